"""A car is parked half on the lane; the ego drives around it, or waits first for oncoming traffic."""

from __future__ import annotations

from eyesup.types import Lights
from eyesup.world.scenarios.base import draw_body
from eyesup.world.scenarios.blocked_lane import BlockedLane
from eyesup.world.stage import Stage
from eyesup.world.traffic import BODIES

REACH_M = (1.1, 1.75)  # how far it reaches into the lane
LIGHTS = ((Lights.NONE, 0.45), (Lights.HAZARD, 0.4), (Lights.RIGHT, 0.15))


class ParkedCar(BlockedLane):
    """Cue: the parked car. The look-alikes of `dress` stand off the lane."""

    oncoming_share = 0.5
    one_lane_share = 0.6

    def block(self, stage: Stage) -> None:
        rng, body = stage.rng, BODIES[draw_body(stage.rng)]
        row = self.room.row(self.site_s)
        lateral = -float(self.room.right[row]) + float(rng.uniform(*REACH_M)) - body.size_m[1] / 2
        lights = LIGHTS[int(rng.choice(len(LIGHTS), p=[share for _, share in LIGHTS]))][0]
        self.stand(
            stage, body.kind, body.size_m, self.site_s + body.size_m[0] / 2, lateral, float(rng.uniform(-0.05, 0.05)), lights
        )  # fmt: skip
