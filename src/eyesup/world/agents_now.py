"""Everything else on the road at one step, as the expert and its rules read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.types import Agents

HEADROOM_M = 2.5  # what hangs higher than this is no obstacle


@dataclass(frozen=True)
class AgentsNow:
    """The agents present at one step, world frame; columns as in `Agents`. What hangs overhead is not among them."""

    kinds: np.ndarray
    sizes: np.ndarray
    poses: np.ndarray
    velocities: np.ndarray
    lights: np.ndarray

    @staticmethod
    def of(agents: Agents, step: int) -> AgentsNow:
        rows = np.flatnonzero(agents.valid[:, step] & (agents.bottom_z[:, step] < HEADROOM_M))
        return AgentsNow(
            agents.kinds[rows], agents.sizes[rows], agents.poses[rows, step], agents.velocities[rows, step], agents.lights[rows, step]
        )  # fmt: skip

    def select(self, rows: np.ndarray) -> AgentsNow:
        return AgentsNow(self.kinds[rows], self.sizes[rows], self.poses[rows], self.velocities[rows], self.lights[rows])

    def __len__(self) -> int:
        return len(self.kinds)
