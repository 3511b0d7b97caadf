"""A slow cyclist rides ahead; the ego follows and overtakes once there is room."""

from __future__ import annotations

from eyesup.world.scenarios.blocked_lane import BlockedLane
from eyesup.world.stage import Stage
from eyesup.world.traffic import BODIES

SPEED_MPS = (2.2, 3.6)
FROM_KERB_M = (0.5, 0.9)


class Cyclist(BlockedLane):
    """Cue: the cyclist. Others stand beside the road. The place of `BlockedLane` is where the ego would catch up."""

    length_m = 30.0
    oncoming_share = 0.4
    one_lane_share = 0.6
    react_s = 3.2
    cruise_mps = (7.5, 12.0)

    def block(self, stage: Stage) -> None:
        rng, body = stage.rng, BODIES["bicycle"]
        self._speed = float(rng.uniform(*SPEED_MPS))
        lateral = -float(self.room.right[self.room.row(self.site_s)]) + float(rng.uniform(*FROM_KERB_M))
        first = self.site_s - self._speed * self._arrival_s
        if first < stage.ego_front_s + 8.0:
            first = stage.ego_front_s + 8.0
        last = stage.route.length_m - 2.0
        way = stage.path_beside([(first, lateral), (last, lateral)])
        self.names.append("cyclist")
        stage.script("cyclist", body.kind, body.size_m, way, self._speed)

    def gap(self, stage: Stage) -> tuple[float, float]:
        actor = stage.actors["cyclist"]
        s = stage.place_at(*actor.pose[:2])[0]
        return s - actor.size_m[0] / 2 - stage.ego_front_s, float(stage.ego.vx) - actor.speed_mps

    def decorate(self, stage: Stage) -> None:
        rng, body = stage.rng, BODIES["bicycle"]
        for _ in range(int(rng.integers(0, 3))):
            s, side = float(stage.ego_s + rng.uniform(20.0, 120.0)), int(rng.choice([-1, 1]))
            self.beside(stage, body.kind, body.size_m, s, side)
