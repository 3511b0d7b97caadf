"""Where a car ends up that keeps its velocity and yaw rate."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from eyesup.geometry.se2 import wrap_angle


def constant_velocity_yaw_rate(
    velocity: tuple[float, float], yaw_rate: float, times_s: Float[np.ndarray, "T"]
) -> Float[np.ndarray, "T 3"]:
    """Poses at `times_s` in the frame of the car at t = 0, with body velocity and yaw rate held.

    The integral of the body velocity turned by psi(t) = yaw_rate * t, in closed form; written with sinc it needs no
    special case at zero yaw rate.

    Args:
        velocity: (vx, vy), x forward and y left [m/s].
        yaw_rate: Counter-clockwise [rad/s].
        times_s: Seconds after t = 0.

    Source: the ego-status baseline of the grounding diagnostics (IK-VLA, arXiv 2605.21061, Appendix J).
    """
    vx, vy = velocity
    turned = yaw_rate * times_s
    along = times_s * np.sinc(turned / np.pi)  # integral of cos(psi)
    across = times_s * np.sin(turned / 2) * np.sinc(turned / (2 * np.pi))  # integral of sin(psi)
    return np.stack([vx * along - vy * across, vx * across + vy * along, np.asarray(wrap_angle(turned))], axis=-1)
