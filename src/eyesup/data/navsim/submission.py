"""The file that NAVSIM's leaderboard takes: plans by token, as the devkit's own trajectory objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eyesup.data.navsim.official_pickle import dumps, stand_in
from eyesup.types.errors import DataError
from eyesup.world.store import write_atomic

WAYPOINTS, DT_S = 8, 0.5
_Trajectory = stand_in("navsim.common.dataclasses", "Trajectory")
_Sampling = stand_in("nuplan.planning.simulation.trajectory.trajectory_sampling", "TrajectorySampling")


@dataclass(frozen=True)
class Team:
    """Who submits; all fields are public on the leaderboard, but the address."""

    name: str
    authors: str
    email: str
    institution: str
    country: str


def write_submission(
    path: Path,
    team: Team,
    plans: Mapping[str, np.ndarray],
    second_stage: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a submission: NAVSIM v1's (one set of plans), or v2's where the plans of the second stage are given too.

    Args:
        path: The pickle.
        team: Who submits.
        plans: Token -> (8, 3) poses x, y [m], heading [rad] at 0.5 s in the ego frame.
        second_stage: The same for synthetic scenes.

    Raises:
        DataError: No plan; a plan of another shape, or with a value that is not finite.
    """
    if not plans:
        raise DataError(f"{path}: 0 plans; a submission needs one for every scene of the split")
    content: dict[str, object] = {
        "team_name": team.name, "authors": team.authors, "email": team.email, "institution": team.institution,
        "country / region": team.country,
    }  # fmt: skip
    if second_stage is None:
        content["predictions"] = [_trajectories(path, plans)]
    else:
        content["first_stage_predictions"] = [_trajectories(path, plans)]
        content["second_stage_predictions"] = [_trajectories(path, second_stage)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, dumps(content))


def _trajectories(path: Path, plans: Mapping[str, np.ndarray]) -> dict[str, object]:
    return {token: _trajectory(path, token, poses) for token, poses in plans.items()}


def _trajectory(path: Path, token: str, poses: np.ndarray) -> object:
    if poses.shape != (WAYPOINTS, 3):
        raise DataError(
            f"{path}: plan of scene {token} has shape {poses.shape}, expected ({WAYPOINTS}, 3): 4 s at 0.5 s"
        )
    if not np.isfinite(poses).all():
        raise DataError(
            f"{path}: plan of scene {token} holds {poses[~np.isfinite(poses)][0]}; every value must be finite"
        )
    sampling, trajectory = _Sampling(), _Trajectory()
    sampling.__dict__ = {"num_poses": WAYPOINTS, "time_horizon": WAYPOINTS * DT_S, "interval_length": DT_S}
    trajectory.__dict__ = {"poses": poses.astype(np.float32), "trajectory_sampling": sampling}
    return trajectory
