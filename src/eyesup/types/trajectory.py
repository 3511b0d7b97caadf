"""Paths in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.types._check import as_array, check_finite
from eyesup.types.errors import DataError


@dataclass(frozen=True)
class Trajectory:
    """Absolute poses at t = dt, 2 dt, ... in the ego frame at t = 0 (rear axle, x forward, y left).

    A history is the same object with negative `dt_s`: row i is the pose at (i + 1) * dt_s, newest first.

    Attributes:
        poses: (T, 3) float64: x [m], y [m], heading [rad, counter-clockwise].
        dt_s: Step in seconds, non-zero; negative runs into the past.
        valid: (T,) bool; rows that are False carry no meaning.
    """

    poses: np.ndarray
    dt_s: float
    valid: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        poses = as_array("trajectory: poses", self.poses, (None, 3), np.float64)
        valid = (
            np.ones(len(poses), bool)
            if self.valid is None
            else as_array("trajectory: valid", self.valid, (len(poses),), np.bool_)
        )
        if self.dt_s == 0 or not np.isfinite(self.dt_s):
            raise DataError(f"trajectory: dt_s {self.dt_s} s must be finite and not zero")
        check_finite("trajectory: poses", poses, valid)
        object.__setattr__(self, "poses", poses)
        object.__setattr__(self, "valid", valid)

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def times_s(self) -> np.ndarray:
        """(T,) float64 seconds relative to t = 0."""
        return self.dt_s * np.arange(1, len(self.poses) + 1)

    @property
    def xy(self) -> np.ndarray:
        """(T, 2) float64 metres."""
        return self.poses[:, :2]

    def resampled(self, dt_s: float, steps: int) -> Trajectory:
        """Pick every k-th pose so that the step becomes `dt_s` (a whole multiple of ours); `steps` rows, else DataError."""
        stride = round(dt_s / self.dt_s)
        if stride < 1 or abs(stride * self.dt_s - dt_s) > 1e-6 or stride * steps > len(self):
            raise DataError(f"trajectory of {len(self)} x {self.dt_s} s holds no {steps} x {dt_s} s")
        rows = stride * np.arange(1, steps + 1) - 1
        return Trajectory(self.poses[rows], dt_s, self.valid[rows])
