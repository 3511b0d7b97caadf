"""Intelligent Driver Model: how a car follows another (Treiber, Hennecke and Helbing 2000, Phys. Rev. E 62, 1805)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

MIN_GAP_M = 0.1  # closer counts as this close: the model divides by the gap


@dataclass(frozen=True)
class IDMParameters:
    """Driver of the model.

    Attributes:
        min_gap_m: Gap kept at standstill, s_0.
        headway_s: Time gap kept while following, T.
        max_accel_mps2: Acceleration of a car that starts on a free road, a.
        comfort_decel_mps2: Braking aimed at when approaching, b (positive).
        exponent: How late the acceleration fades near the desired speed, delta.
        max_brake_mps2: The answer never brakes harder than this (positive).
    """

    min_gap_m: float = 2.0
    headway_s: float = 1.5
    max_accel_mps2: float = 1.5
    comfort_decel_mps2: float = 2.0
    exponent: float = 4.0
    max_brake_mps2: float = 8.0


def idm_acceleration(
    speed: float | np.ndarray,
    desired: float | np.ndarray,
    gap: float | np.ndarray = np.inf,
    lead_speed: float | np.ndarray = 0.0,
    params: IDMParameters = IDMParameters(),
) -> Float[np.ndarray, "..."]:
    """Acceleration [m/s^2] of a follower; all arguments broadcast.

    dv/dt = a (1 - (v / v_0)^delta - (s* / s)^2),  s* = s_0 + max(0, v T + v (v - v_lead) / (2 sqrt(a b)))

    The max keeps a leader that pulls away from causing braking (Treiber and Kesting, Traffic Flow Dynamics, chapter 11).

    Args:
        speed: v >= 0 [m/s].
        desired: v_0 [m/s]; below 0.1 counts as 0.1.
        gap: s, bumper to bumper [m]; inf when nobody is ahead.
        lead_speed: v_lead [m/s].
        params: The driver.
    """
    approach = speed * (speed - lead_speed) / (2.0 * np.sqrt(params.max_accel_mps2 * params.comfort_decel_mps2))
    wanted_gap = params.min_gap_m + np.maximum(0.0, speed * params.headway_s + approach)
    free = (speed / np.maximum(desired, 0.1)) ** params.exponent
    accel = params.max_accel_mps2 * (1.0 - free - (wanted_gap / np.maximum(gap, MIN_GAP_M)) ** 2)
    return np.asarray(np.clip(accel, -params.max_brake_mps2, params.max_accel_mps2))
