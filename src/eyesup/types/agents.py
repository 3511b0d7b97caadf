"""Everything that moves or could: vehicles, people, and objects on the road, as boxes over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

import numpy as np

from eyesup.types._check import as_array, check_finite
from eyesup.types.errors import DataError


class AgentKind(IntEnum):
    """What an agent is; the values are stored in files, so append only."""

    CAR = 0
    VAN = 1
    TRUCK = 2
    BUS = 3
    MOTORCYCLE = 4
    BICYCLE = 5
    PEDESTRIAN = 6
    CONE = 7
    BARRIER = 8
    EMERGENCY = 9
    DEBRIS = 10

    @property
    def is_vehicle(self) -> bool:
        return self in _VEHICLES


_VEHICLES = frozenset(
    {
        AgentKind.CAR,
        AgentKind.VAN,
        AgentKind.TRUCK,
        AgentKind.BUS,
        AgentKind.MOTORCYCLE,
        AgentKind.BICYCLE,
        AgentKind.EMERGENCY,
    }
)


class Lights(IntFlag):
    """Lamps lit on an agent at one time."""

    NONE = 0
    BRAKE = 1
    LEFT = 2
    RIGHT = 4
    HAZARD = 6
    BEACON = 8


@dataclass(frozen=True)
class Agents:
    """Oriented boxes over time, in the frame of whatever holds them (Scene: world; Observation and Truth: ego at t = 0).

    Attributes:
        ids: (A,) int64, unique.
        kinds: (A,) uint8 of `AgentKind`.
        sizes: (A, 3) float32 length, width, height in metres.
        poses: (A, T, 3) float64 x, y of the box centre [m] and heading [rad].
        bottom_z: (A, T) float32 height of the box's underside [m]; 0 on the world's flat ground.
        velocities: (A, T, 2) float32 m/s, same frame as `poses`.
        lights: (A, T) uint8 of `Lights`.
        looks: (A,) uint32 seed of colour and body variant.
        valid: (A, T) bool.
    """

    ids: np.ndarray
    kinds: np.ndarray
    sizes: np.ndarray
    poses: np.ndarray
    velocities: np.ndarray
    valid: np.ndarray
    lights: np.ndarray = None  # type: ignore[assignment]  # None becomes zeros
    bottom_z: np.ndarray = None  # type: ignore[assignment]
    looks: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        poses = as_array("agents: poses", self.poses, (None, None, 3), np.float64)
        a, t = poses.shape[:2]
        zeros: dict[str, tuple[tuple[int, ...], type]] = {
            "lights": ((a, t), np.uint8),
            "bottom_z": ((a, t), np.float32),
            "looks": ((a,), np.uint32),
        }
        for name, (shape, dtype) in zeros.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(shape, dtype))
        fields: dict[str, tuple[tuple[int, ...], type]] = {
            "ids": ((a,), np.int64), "kinds": ((a,), np.uint8), "sizes": ((a, 3), np.float32), "poses": ((a, t, 3), np.float64),
            "velocities": ((a, t, 2), np.float32), "valid": ((a, t), np.bool_), **zeros,
        }  # fmt: skip
        for name, (shape, dtype) in fields.items():
            object.__setattr__(self, name, as_array(f"agents: {name}", getattr(self, name), shape, dtype))
        if len(np.unique(self.ids)) != a:
            raise DataError(f"agents: {a - len(np.unique(self.ids))} duplicate id(s); ids must be unique")
        check_finite("agents: poses", self.poses, self.valid)
        check_finite("agents: velocities", self.velocities, self.valid)
        if a and (self.sizes <= 0).any():
            raise DataError(f"agents: smallest size {self.sizes.min():g} m must be positive")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def steps(self) -> int:
        return self.poses.shape[1]

    @staticmethod
    def empty(steps: int) -> Agents:
        return Agents(
            ids=np.zeros(0, np.int64), kinds=np.zeros(0, np.uint8), sizes=np.zeros((0, 3), np.float32), poses=np.zeros((0, steps, 3)),
            velocities=np.zeros((0, steps, 2), np.float32), valid=np.zeros((0, steps), bool),
        )  # fmt: skip

    def at(self, steps: slice | np.ndarray) -> Agents:
        """The same agents at some time steps only."""
        return replace(
            self, poses=self.poses[:, steps], velocities=self.velocities[:, steps], valid=self.valid[:, steps],
            lights=self.lights[:, steps], bottom_z=self.bottom_z[:, steps],
        )  # fmt: skip

    def select(self, rows: np.ndarray) -> Agents:
        """Some of the agents, by index or mask."""
        return Agents(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})
