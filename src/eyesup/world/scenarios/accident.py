"""Two cars have crashed and stand across the lane, with debris around them; the ego drives around them."""

from __future__ import annotations

from eyesup.types import AgentKind, Lights
from eyesup.world.scenarios.base import EdgeCase, draw_body
from eyesup.world.scenarios.blocked_lane import BlockedLane
from eyesup.world.stage import Stage
from eyesup.world.traffic import BODIES, PEDESTRIAN_SIZE_M

CONE_SIZE_M = (0.45, 0.45, 0.9)
DEBRIS_SIZES_M = ((1.2, 0.9, 0.5), (0.7, 0.5, 0.25), (0.5, 0.35, 0.2))
TURN_RAD = (0.2, 0.6)
GAP_M = (0.3, 1.2)
LEFT_EDGE_M = 1.25  # the wrecks reach no farther to the left of the lane's middle
HAZARD_SHARE = 0.6


class Accident(BlockedLane):
    """Cue: both cars, the debris and the cone before them. Damaged cars also stand on the verge."""

    edge_case = EdgeCase.ACCIDENT_AHEAD
    length_m = 14.0
    oncoming_share = 0.35
    one_lane_share = 0.4

    def block(self, stage: Stage) -> None:
        rng = stage.rng
        s, kerb = self.site_s, -float(self.room.right[self.room.row(self.site_s)])
        side = int(rng.choice([-1, 1]))
        for i in range(2):
            body = BODIES[draw_body(rng)]
            turn = side * (-1) ** i * float(rng.uniform(*TURN_RAD))
            half = 0.5 * (body.size_m[0] * abs(turn) + body.size_m[1])  # about: across the lane
            lateral = float(rng.uniform(min(kerb + half, LEFT_EDGE_M - half) - 0.2, LEFT_EDGE_M - half))
            lights = Lights.HAZARD if rng.random() < HAZARD_SHARE else Lights.NONE
            self.stand(stage, body.kind, body.size_m, s + body.size_m[0] / 2, lateral, turn, lights)
            s += body.size_m[0] + float(rng.uniform(*GAP_M))
        for _ in range(int(rng.integers(2, 5))):
            size = DEBRIS_SIZES_M[int(rng.integers(len(DEBRIS_SIZES_M)))]
            place, lateral = float(rng.uniform(self.site_s, s + 1.5)), float(rng.uniform(kerb + 0.5, LEFT_EDGE_M - 0.6))
            self.stand(stage, AgentKind.DEBRIS, size, place, lateral, float(rng.uniform(-3, 3)))
        if rng.random() < 0.5:
            self.stand(stage, AgentKind.CONE, CONE_SIZE_M, self.site_s - float(rng.uniform(2.0, 5.0)), 0.0)
        for _ in range(int(rng.integers(0, 3))):  # its people wait beside the road
            place = self.site_s + float(rng.uniform(-2.0, 10.0))
            self.beside(stage, AgentKind.PEDESTRIAN, PEDESTRIAN_SIZE_M, place, -1, float(rng.uniform(-3, 3)))

    def decorate(self, stage: Stage) -> None:
        rng = stage.rng
        for _ in range(int(rng.integers(0, 2))):
            s, side, body = (
                float(stage.ego_s + rng.uniform(25.0, 120.0)),
                int(rng.choice([-1, 1])),
                BODIES[draw_body(rng)],
            )
            self.beside(stage, body.kind, body.size_m, s, side, float(rng.uniform(*TURN_RAD)), Lights.HAZARD)
            self.beside(stage, AgentKind.DEBRIS, DEBRIS_SIZES_M[0], s + 4.0, side)
