"""Agents in path coordinates: arc length along a route and offset from it, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64

from eyesup.geometry.se2 import rotate, wrap_angle
from eyesup.types import Agents
from eyesup.world.route import PATH_STEP_M, Route


def place(route: Route, poses: Float64[np.ndarray, "N 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Arc length and offset (left positive) of each pose from the nearest point of the path [m]."""
    dx, dy = poses[:, :1] - route.xy[:, 0], poses[:, 1:2] - route.xy[:, 1]
    row = (dx * dx + dy * dy).argmin(axis=1)
    pick, turn = np.arange(len(row)), route.headings[row]
    dx, dy = dx[pick, row], dy[pick, row]
    s = row * PATH_STEP_M + dx * np.cos(turn) + dy * np.sin(turn)
    return s, dy * np.cos(turn) - dx * np.sin(turn)


def beside(route: Route, s: np.ndarray, lateral: np.ndarray, turn: np.ndarray | float) -> Float64[np.ndarray, "N 3"]:
    """Poses at arc lengths and offsets, turned by `turn` [rad] against the path."""
    x, y, heading = route.at(s).T
    return np.stack([x - lateral * np.sin(heading), y + lateral * np.cos(heading), wrap_angle(heading + turn)], axis=-1)


def carried(agents: Agents, rows: Bool[np.ndarray, "A T"], before: Route, after: Route, shift_m: float = 0.0) -> Agents:
    """Agents that keep their offset from the path, and their arc length but for `shift_m`, on another route.

    Args:
        agents: World frame.
        rows: Which agents at which steps.
        before, after: The route that they are placed on now and the one that they go to; they may be the same.
        shift_m: How much farther along.
    """
    moved = agents.poses[rows]
    if not len(moved):
        return agents
    s, lateral = place(before, moved)
    change = after.at(s + shift_m)[:, 2] - before.at(s)[:, 2]
    poses, velocities = agents.poses.copy(), agents.velocities.copy()
    poses[rows] = beside(after, s + shift_m, lateral, moved[:, 2] - before.at(s)[:, 2])
    velocities[rows] = rotate(velocities[rows].astype(np.float64), change)
    return replace(agents, poses=poses, velocities=velocities)
