"""The ego's motion from its poses, looking back only.

At each sweep, x, y and heading of the last `WINDOW_S` are fitted with parabolas in time; their slope and curvature at the sweep
are velocity, yaw rate and acceleration. Against fits to both sides (cubic, +-0.5 s) this errs by 0.05 m/s, 0.4 m/s^2 and 0.006 rad/s
(RMS, 567 sweeps of four logs); 0.2 s doubles the error of the acceleration, 0.8 s that of the velocity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eyesup.data.recorded import steering_of
from eyesup.geometry.se2 import rotate

WINDOW_S = 0.4
MIN_PARABOLA_S = 0.2  # with less past than that a straight line is fitted: the acceleration stays 0


@dataclass(frozen=True)
class Motion:
    """Ego status at each of T sweeps, ego frame at that sweep, as in `Scene`.

    Attributes:
        velocities: (T, 2) m/s.
        accelerations: (T, 2) m/s^2.
        yaw_rates: (T,) rad/s.
        steerings: (T,) rad: that of a bicycle that turns so; the steering wheel is not recorded.
    """

    velocities: Float64[np.ndarray, "T 2"]
    accelerations: Float64[np.ndarray, "T 2"]
    yaw_rates: Float64[np.ndarray, "T"]
    steerings: Float64[np.ndarray, "T"]


def past_motion(
    times_s: Float64[np.ndarray, "P"], poses: Float64[np.ndarray, "P 3"], rows: np.ndarray, wheel_base_m: float
) -> Motion:
    """Motion at some of the poses, each from poses that are not later than it.

    Args:
        times_s: Increasing.
        poses: x, y [m], heading [rad, unwrapped].
        rows: Which poses.
        wheel_base_m: Of the vehicle.
    """
    states = np.array([_fit(times_s, poses, int(row)) for row in rows])  # (T, 2, 3): first and second derivatives
    headings = poses[rows, 2]
    velocities, accelerations = (rotate(states[:, order, :2], -headings) for order in (0, 1))
    yaw_rates = states[:, 0, 2]
    steerings = np.array([steering_of(v, w, wheel_base_m) for v, w in zip(velocities[:, 0], yaw_rates)])
    return Motion(velocities, accelerations, yaw_rates, steerings)


def _fit(times_s: np.ndarray, poses: np.ndarray, row: int) -> Float64[np.ndarray, "2 3"]:
    """Slope and curvature at a pose."""
    first = int(np.searchsorted(times_s[: row + 1], times_s[row] - WINDOW_S))
    ago, past = times_s[first : row + 1] - times_s[row], poses[first : row + 1] - poses[row]
    derivatives = np.zeros((2, 3))
    degree = 0 if len(ago) < 3 else 1 if ago[0] > -MIN_PARABOLA_S else 2
    if degree:
        terms = np.linalg.lstsq(ago[:, None] ** np.arange(degree + 1), past, rcond=None)[0]
        derivatives[:degree] = terms[1:] * np.array([1.0, 2.0])[:degree, None]
    return derivatives
