"""Where boxes are along a path: arc length, offset, and the corridor that a car sweeps on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CORRIDOR_MARGIN_M = 0.25
PATH_BACK_M, PATH_AHEAD_M = 10.0, 70.0  # the piece of path that agents are placed on


@dataclass(frozen=True)
class OnPath:
    """Boxes in path coordinates: arc length and offset of the centre, half extents along and across, motion."""

    s: np.ndarray
    lateral: np.ndarray
    half_along: np.ndarray
    half_across: np.ndarray
    turn_cos: np.ndarray  # of the angle between the box and the path
    cos: np.ndarray
    sin: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def in_corridor(self, lateral: np.ndarray, margin_m: float | np.ndarray = 0.0) -> np.ndarray:
        return (lateral - self.half_across < self.left + margin_m) & (
            lateral + self.half_across > -self.right - margin_m
        )


@dataclass(frozen=True)
class Strip:
    """The piece of path around the ego on which agents are placed; arc lengths are the route's."""

    s: np.ndarray
    x: np.ndarray
    y: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    left: np.ndarray  # how far the swept corridor reaches to the left of the path [m]
    right: np.ndarray

    def place(self, poses: np.ndarray, sizes: np.ndarray) -> OnPath:
        """Boxes (M, 3), (M, 3) in coordinates of the path; beyond its ends along the tangents there."""
        dx, dy = poses[:, :1] - self.x, poses[:, 1:2] - self.y  # (M, K)
        row = (dx * dx + dy * dy).argmin(axis=1)
        pick = np.arange(len(row))
        dx, dy, cos, sin = dx[pick, row], dy[pick, row], self.cos[row], self.sin[row]
        turn_cos = np.cos(poses[:, 2]) * cos + np.sin(poses[:, 2]) * sin
        turn_sin = np.sin(poses[:, 2]) * cos - np.cos(poses[:, 2]) * sin
        half_length, half_width = sizes[:, 0] * 0.5, sizes[:, 1] * 0.5
        return OnPath(
            s=self.s[row] + dx * cos + dy * sin,
            lateral=dy * cos - dx * sin,
            half_along=np.abs(turn_cos) * half_length + np.abs(turn_sin) * half_width,
            half_across=np.abs(turn_sin) * half_length + np.abs(turn_cos) * half_width,
            turn_cos=turn_cos, cos=cos, sin=sin, left=self.left[row], right=self.right[row],
        )  # fmt: skip
