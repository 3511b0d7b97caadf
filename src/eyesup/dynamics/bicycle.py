"""Kinematic bicycle with first-order actuators, as the NAVSIM and nuPlan simulators step it.

Poses are those of the rear axle. Batched: every field of the state may carry the same leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from eyesup.geometry.se2 import wrap_angle
from eyesup.types import PACIFICA, EgoStatus

ACCELERATION_LAG_S = 0.2  # nuPlan kinematic bicycle, time constant of throttle and brake
STEERING_LAG_S = 0.05  # nuPlan kinematic bicycle, time constant of the steering
MAX_STEERING_RAD = np.pi / 3
STATE_SIZE = 11


@dataclass(frozen=True)
class BicycleState:
    """Motion state of a car, or of a batch of cars (arrays of one shape).

    Attributes:
        x, y: Rear axle [m].
        heading: [rad], counter-clockwise.
        vx, vy: Velocity of the rear axle in the body frame, x forward, y left [m/s].
        ax, ay: Acceleration in the body frame [m/s^2].
        steering: Front-wheel angle, left positive [rad].
        steering_rate: [rad/s].
        yaw_rate: [rad/s].
        yaw_acceleration: [rad/s^2].
    """

    x: Any
    y: Any
    heading: Any
    vx: Any = 0.0
    vy: Any = 0.0
    ax: Any = 0.0
    ay: Any = 0.0
    steering: Any = 0.0
    steering_rate: Any = 0.0
    yaw_rate: Any = 0.0
    yaw_acceleration: Any = 0.0

    @staticmethod
    def at_origin(ego: EgoStatus) -> BicycleState:
        """The measured ego at the origin of its own frame."""
        return BicycleState(
            0.0, 0.0, 0.0, *ego.velocity_mps, *ego.acceleration_mps2, steering=ego.steering_rad, yaw_rate=ego.yaw_rate_rps
        )  # fmt: skip

    @staticmethod
    def from_array(array: Float[np.ndarray, "*batch 11"]) -> BicycleState:
        """From columns in the order of the fields (NAVSIM's state layout)."""
        return BicycleState(*(array[..., i] for i in range(STATE_SIZE)))

    def as_array(self) -> Float[np.ndarray, "... 11"]:
        """Columns in the order of the fields (NAVSIM's state layout)."""
        columns = np.broadcast_arrays(*(np.asarray(getattr(self, f.name), dtype=np.float64) for f in fields(self)))
        return np.stack(columns, axis=-1)

    @property
    def pose(self) -> Float[np.ndarray, "... 3"]:
        """Rear axle x, y [m] and heading [rad]."""
        return np.stack(np.broadcast_arrays(self.x, self.y, self.heading), axis=-1)


def step_bicycle(
    state: BicycleState,
    accel_cmd: float | np.ndarray,
    steering_rate_cmd: float | np.ndarray,
    dt: float = 0.1,
    wheel_base: float = PACIFICA.wheel_base_m,
) -> BicycleState:
    """One Euler step of the commanded car.

    Commands pass through first-order lags (a third of the acceleration error and two thirds of the steering error are
    made up in 0.1 s). Pose uses the old speed, heading and steering; speed uses the new acceleration. There is no speed
    floor: a braked car may roll backwards.

    Args:
        state: Current state.
        accel_cmd: Wanted longitudinal acceleration [m/s^2].
        steering_rate_cmd: Wanted change of the front-wheel angle [rad/s].
        dt: Step [s].
        wheel_base: [m].

    Source: the NAVSIM simulator's motion model (nuPlan's kinematic bicycle).
    """
    ax = state.ax + dt / (dt + ACCELERATION_LAG_S) * (accel_cmd - state.ax)
    steering_rate = steering_rate_cmd * dt / (dt + STEERING_LAG_S)
    steering = np.clip(state.steering + steering_rate * dt, -MAX_STEERING_RAD, MAX_STEERING_RAD)
    vx = state.vx + ax * dt
    yaw_rate = vx * np.tan(steering) / wheel_base
    turn = state.vx * np.tan(state.steering) / wheel_base * dt
    return replace(
        state,
        x=state.x + state.vx * np.cos(state.heading) * dt,
        y=state.y + state.vx * np.sin(state.heading) * dt,
        heading=wrap_angle(state.heading + turn),
        vx=vx,
        vy=np.zeros_like(vx),
        ax=ax,
        ay=np.zeros_like(ax),
        steering=steering,
        steering_rate=steering_rate,
        yaw_rate=yaw_rate,
        yaw_acceleration=(yaw_rate - state.yaw_rate) / dt,
    )
