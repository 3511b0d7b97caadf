"""The ego vehicle: its size, its measured state and what it was told to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from eyesup.types._check import check_finite, check_range
from eyesup.types.errors import DataError

MAX_SPEED_MPS = 80.0


@dataclass(frozen=True)
class VehicleGeometry:
    """Size of a car-like vehicle, in metres; poses refer to the rear axle on the ground."""

    length_m: float
    width_m: float
    height_m: float
    wheel_base_m: float
    rear_axle_to_center_m: float

    @property
    def front_m(self) -> float:
        """From the rear axle to the front bumper."""
        return self.rear_axle_to_center_m + self.length_m / 2

    @property
    def rear_m(self) -> float:
        """From the rear bumper to the rear axle."""
        return self.length_m / 2 - self.rear_axle_to_center_m


# nuPlan's ego vehicle (nuplan-devkit, `get_pacifica_parameters`).
PACIFICA = VehicleGeometry(5.176, 2.297, 1.777, 3.089, 1.461)
# nuScenes' Renault Zoe: the footprint of UniAD's and VAD's planning metric; wheel base and height from the data sheet.
ZOE = VehicleGeometry(4.084, 1.85, 1.56, 2.588, 1.278)


@dataclass(frozen=True)
class EgoStatus:
    """Measured ego state at one time, ego frame (x forward, y left), SI units.

    Attributes:
        velocity_mps: (vx, vy) of the rear axle.
        acceleration_mps2: (ax, ay).
        yaw_rate_rps: Counter-clockwise positive.
        steering_rad: Front-wheel angle, left positive.
    """

    velocity_mps: tuple[float, float]
    acceleration_mps2: tuple[float, float] = (0.0, 0.0)
    yaw_rate_rps: float = 0.0
    steering_rad: float = 0.0

    def __post_init__(self) -> None:
        check_finite("ego status", self.as_array())
        check_range("ego status: speed", self.speed_mps, 0.0, MAX_SPEED_MPS, "m/s")

    @property
    def speed_mps(self) -> float:
        return float(np.hypot(*self.velocity_mps))

    def as_array(self) -> np.ndarray:
        """(6,) float64: vx, vy, ax, ay, yaw rate, steering."""
        return np.array(
            [*self.velocity_mps, *self.acceleration_mps2, self.yaw_rate_rps, self.steering_rad], dtype=np.float64
        )


class Maneuver(Enum):
    """The three mission goals of nuScenes-style prompts (IK-VLA, arXiv 2605.21061, Appendix D)."""

    TURN_RIGHT = "turn right"
    TURN_LEFT = "turn left"
    KEEP_FORWARD = "keep forward"


class CommandSource(Enum):
    """Where a command came from. `FUTURE` means derived from the future driven path, so every record is privileged."""

    ROUTE = "route"
    FUTURE = "future"


@dataclass(frozen=True)
class Command:
    """What the navigation told the vehicle to do next."""

    maneuver: Maneuver
    source: CommandSource = CommandSource.ROUTE

    def __post_init__(self) -> None:
        if not isinstance(self.maneuver, Maneuver) or not isinstance(self.source, CommandSource):
            raise DataError(f"command ({self.maneuver!r}, {self.source!r}) must be a Maneuver and a CommandSource")

    @property
    def privileged(self) -> bool:
        return self.source is CommandSource.FUTURE
