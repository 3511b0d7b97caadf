"""Cones and barriers close the lane for road works; the ego drives around them."""

from __future__ import annotations

import numpy as np

from eyesup.types import AgentKind
from eyesup.world.scenarios.base import EdgeCase
from eyesup.world.scenarios.blocked_lane import BlockedLane
from eyesup.world.stage import Stage
from eyesup.world.traffic import PEDESTRIAN_SIZE_M

CONE_SIZE_M = (0.45, 0.45, 0.9)
BARRIER_SIZE_M = (0.5, 2.0, 1.05)
TAPER_STEP_M = 2.6
EDGE_M = (0.35, 0.85)  # how far left of the lane's middle the closure reaches
INSIDE_M = (5.0, 9.0)
WORKER_LOOK = 0xFF000000  # looks from here on wear a vest and a helmet


class Construction(BlockedLane):
    """Cue: everything that closes the lane, and the people who work behind it. Cones and barriers also stand beside the road."""

    edge_case = EdgeCase.CONSTRUCTION_ZONE
    length_m = 22.0
    oncoming_share = 0.35
    one_lane_share = 0.4

    def block(self, stage: Stage) -> None:
        rng = stage.rng
        kerb = -float(self.room.right[self.room.row(self.site_s)]) + 0.3
        edge, inside = float(rng.uniform(*EDGE_M)), float(rng.uniform(*INSIDE_M))
        taper = np.linspace(kerb + 0.3, edge, 4)
        for i, lateral in enumerate(taper):
            self.stand(stage, AgentKind.CONE, CONE_SIZE_M, self.site_s + 0.3 + i * TAPER_STEP_M, float(lateral))
        front = self.site_s + len(taper) * TAPER_STEP_M
        for s in (front, front + inside):
            self.stand(stage, AgentKind.BARRIER, BARRIER_SIZE_M, s, edge - 1.0)
        for s in np.arange(front + 2.0, front + inside - 1.0, 2.5):
            self.stand(stage, AgentKind.CONE, CONE_SIZE_M, float(s), edge)
        for _ in range(int(rng.integers(0, 4))):
            s, lateral = front + 1.2 + rng.uniform(0.0, inside - 2.4), rng.uniform(kerb, edge - 0.9)
            look = WORKER_LOOK + int(rng.integers(2**24))
            self.stand(
                stage, AgentKind.PEDESTRIAN, PEDESTRIAN_SIZE_M, float(s), float(lateral), float(rng.uniform(-3, 3)), look=look
            )  # fmt: skip

    def decorate(self, stage: Stage) -> None:
        rng = stage.rng
        for _ in range(int(rng.integers(0, 4))):
            s, side = float(stage.ego_s + rng.uniform(20.0, 120.0)), int(rng.choice([-1, 1]))
            self.beside(stage, AgentKind.CONE, CONE_SIZE_M, s, side)
            if rng.random() < 0.5:
                self.beside(stage, AgentKind.BARRIER, BARRIER_SIZE_M, s + 1.8, side)
