"""Extrapolation of the measured motion: the plan of a driver with closed eyes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eyesup.dynamics.extrapolate import constant_velocity_yaw_rate
from eyesup.types import Observation, Prediction, Trajectory

WAYPOINTS = 6
WAYPOINT_DT_S = 0.5


class ConstantVelocity:
    """Keeps velocity and yaw rate of t = 0 (diagnostics of IK-VLA, arXiv 2605.21061, Appendix J).

    Args:
        waypoints: Planned poses, 0.5 s apart.
    """

    name = "constant velocity + yaw rate"
    privileged = False
    waypoints = WAYPOINTS

    def __init__(self, waypoints: int = WAYPOINTS) -> None:
        self.waypoints = waypoints

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        """One plan each; `seed` changes nothing."""
        times = WAYPOINT_DT_S * np.arange(1, self.waypoints + 1)
        return [
            Prediction(
                observation.key,
                Trajectory(
                    constant_velocity_yaw_rate(observation.ego.velocity_mps, observation.ego.yaw_rate_rps, times),
                    WAYPOINT_DT_S,
                ),
            )
            for observation in observations
        ]


class ConstantPosition:
    """Stays where it is, for `waypoints` poses of 0.5 s."""

    name = "constant position"
    privileged = False
    waypoints = WAYPOINTS

    def __init__(self, waypoints: int = WAYPOINTS) -> None:
        self.waypoints = waypoints

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        """All waypoints at the origin; `seed` changes nothing."""
        return [Prediction(o.key, Trajectory(np.zeros((self.waypoints, 3)), WAYPOINT_DT_S)) for o in observations]
