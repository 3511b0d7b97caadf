"""A Scene: a continuous log of a piece of world, with enough in it to draw it, replay it and score a plan in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np

from eyesup.types._check import as_array, check_finite
from eyesup.types.agents import Agents
from eyesup.types.ego import PACIFICA, Maneuver, VehicleGeometry
from eyesup.types.errors import DataError
from eyesup.types.road_map import RoadMap


class SignalState(IntEnum):
    """What a signal head shows: a colour, or that it is a sign; values are stored in files, append only."""

    OFF = 0
    GREEN = 1
    AMBER = 2
    RED = 3
    STOP_SIGN = 4
    YIELD_SIGN = 5

    @property
    def is_sign(self) -> bool:
        """A sign shows the same at every step."""
        return self in (SignalState.STOP_SIGN, SignalState.YIELD_SIGN)


@dataclass(frozen=True)
class Signals:
    """Traffic signal heads over time, and stop and yield signs, world frame.

    Attributes:
        ids: (S,) int64, unique.
        poses: (S, 4) float64: x, y, z of the head's centre [m] and the heading [rad] of the direction it faces.
        states: (S, T) uint8 of `SignalState`.
        stop_lane_ids: per signal, ids of the lanes that it controls (the lane ends at the stop line); empty: controls nothing.
        stop_points: (S, 2) float64: where the stop line crosses the (first) controlled lane's centreline.
    """

    ids: np.ndarray
    poses: np.ndarray
    states: np.ndarray
    stop_lane_ids: tuple[tuple[str, ...], ...]
    stop_points: np.ndarray

    def __post_init__(self) -> None:
        s = len(np.asarray(self.ids))
        t = as_array("signals: states", self.states, (s, None), np.uint8).shape[1]
        shapes = {
            "ids": ((s,), np.int64), "poses": ((s, 4), np.float64), "states": ((s, t), np.uint8), "stop_points": ((s, 2), np.float64)
        }  # fmt: skip
        for name, (shape, dtype) in shapes.items():
            object.__setattr__(self, name, as_array(f"signals: {name}", getattr(self, name), shape, dtype))
        check_finite("signals: poses", self.poses)
        if len(self.stop_lane_ids) != s:
            raise DataError(f"signals: {len(self.stop_lane_ids)} stop_lane_ids for {s} signals")

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def empty(steps: int) -> Signals:
        return Signals(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros((0, steps), np.uint8), (), np.zeros((0, 2)))


class PropKind(IntEnum):
    """Static things beside the road; values are stored in files, append only."""

    BUILDING = 0
    TREE = 1
    POLE = 2
    BUSH = 3
    SIGN = 4


@dataclass(frozen=True)
class Props:
    """Static scenery, world frame.

    Attributes:
        kinds: (P,) uint8 of `PropKind`.
        poses: (P, 3) float64: x, y of the footprint's centre [m], heading [rad].
        sizes: (P, 3) float32: length, width, height [m].
        looks: (P,) uint32 seed of colour and texture.
    """

    kinds: np.ndarray
    poses: np.ndarray
    sizes: np.ndarray
    looks: np.ndarray

    def __post_init__(self) -> None:
        p = len(np.asarray(self.kinds))
        shapes = {
            "kinds": ((p,), np.uint8),
            "poses": ((p, 3), np.float64),
            "sizes": ((p, 3), np.float32),
            "looks": ((p,), np.uint32),
        }
        for name, (shape, dtype) in shapes.items():
            object.__setattr__(self, name, as_array(f"props: {name}", getattr(self, name), shape, dtype))

    def __len__(self) -> int:
        return len(self.kinds)

    @staticmethod
    def empty() -> Props:
        return Props(np.zeros(0, np.uint8), np.zeros((0, 3)), np.zeros((0, 3), np.float32), np.zeros(0, np.uint32))


class Weather(StrEnum):
    """What kind of day it is; the values are stored in files."""

    CLEAR = "clear"
    OVERCAST = "overcast"
    DRIZZLE = "drizzle"
    DUSK = "dusk"
    FOG = "fog"
    DOWNPOUR = "downpour"


class Ground(StrEnum):
    """What the ground is made of; the values are stored in files."""

    PLAIN = "plain"
    DRY = "dry"
    PATCHED = "patched"


@dataclass(frozen=True)
class Appearance:
    """How a scene looks; drawn from the seed. Colours are RGB in [0, 1].

    Attributes:
        sun_azimuth_rad, sun_elevation_rad: Direction of the light.
        sky, haze, grass, asphalt: Base colours.
        haze_density: Fog per metre (0 = clear).
        brightness: Overall light level, 1 = day.
        texture_seed: Seeds ground and facade textures.
        weather: Kind of day.
        ground: Kind of ground.
        sun: Strength of the direct light, 0 under a closed cloud cover.
    """

    sun_azimuth_rad: float = 0.8
    sun_elevation_rad: float = 0.9
    sky: tuple[float, float, float] = (0.55, 0.70, 0.90)
    haze: tuple[float, float, float] = (0.75, 0.80, 0.86)
    grass: tuple[float, float, float] = (0.36, 0.47, 0.25)
    asphalt: tuple[float, float, float] = (0.30, 0.30, 0.32)
    haze_density: float = 0.002
    brightness: float = 1.0
    texture_seed: int = 0
    weather: Weather = Weather.CLEAR
    ground: Ground = Ground.PLAIN
    sun: float = 1.0


class CueKind(IntEnum):
    """What decides the expert's plan in a scenario."""

    NONE = 0
    AGENT = 1
    SIGNAL = 2
    ROAD = 3


@dataclass(frozen=True)
class Cue:
    """The thing that decides what the expert does: agents, a signal, or the road itself.

    Attributes:
        kind: What it is.
        id: The agent's or signal's id; of several agents the one that matters first.
        others: Ids of the agents that belong to it: the other cones, the second car of an accident.
    """

    kind: CueKind = CueKind.NONE
    id: int = -1
    others: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.others and self.kind is not CueKind.AGENT:
            raise DataError(f"cue: others {self.others} belong to a cue of agents, not of kind {self.kind.name}")

    @property
    def ids(self) -> tuple[int, ...]:
        """All ids; empty where there is no cue."""
        return () if self.id < 0 else (self.id, *self.others)


@dataclass(frozen=True)
class Scene:
    """A continuous log, world frame (metres, flat ground z = 0, origin near the scene).

    Attributes:
        key: Unique, e.g. ``train-0007-lead_brakes``.
        dt_s: Step in seconds (0.1 in the world).
        ego_poses: (T, 3) float64 rear axle x, y [m], heading [rad].
        ego_velocities, ego_accelerations: (T, 2) float64, ego frame at each step.
        ego_yaw_rates, ego_steerings: (T,) float64 rad/s, rad.
        maneuvers: Command known to the ego at each step (from the route, never from the driven future).
        agents: Everything else, T steps.
        signals: Traffic signals, T steps.
        road_map: Vector map.
        props: Static scenery.
        appearance: Light and colours.
        route: (P, 2) float64 centreline the ego was told to follow.
        route_lane_ids: Lanes of the route in order.
        cue: What decides the expert's plan.
        keyframes: (K,) int64 steps at which samples may be taken (enough history and future).
        vehicle: Ego size.
        tags: Facts: scenario, town, seed, split, twin.
    """

    key: str
    dt_s: float
    ego_poses: np.ndarray
    ego_velocities: np.ndarray
    ego_accelerations: np.ndarray
    ego_yaw_rates: np.ndarray
    ego_steerings: np.ndarray
    maneuvers: tuple[Maneuver, ...]
    agents: Agents
    signals: Signals
    road_map: RoadMap
    props: Props
    appearance: Appearance
    route: np.ndarray
    route_lane_ids: tuple[str, ...]
    cue: Cue
    keyframes: np.ndarray
    vehicle: VehicleGeometry = PACIFICA
    tags: Mapping[str, str | float | int | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        poses = as_array(f"scene {self.key}: ego_poses", self.ego_poses, (None, 3), np.float64)
        t = len(poses)
        shapes = {
            "ego_poses": (t, 3), "ego_velocities": (t, 2), "ego_accelerations": (t, 2), "ego_yaw_rates": (t,), "ego_steerings": (t,)
        }  # fmt: skip
        for name, shape in shapes.items():
            array = as_array(f"scene {self.key}: {name}", getattr(self, name), shape, np.float64)
            check_finite(f"scene {self.key}: {name}", array)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "route", as_array(f"scene {self.key}: route", self.route, (None, 2), np.float64))
        object.__setattr__(
            self, "keyframes", as_array(f"scene {self.key}: keyframes", self.keyframes, (None,), np.int64)
        )
        if not (np.isfinite(self.dt_s) and self.dt_s > 0):
            raise DataError(f"scene {self.key}: dt_s {self.dt_s} s must be finite and positive")
        if len(self.keyframes) and (self.keyframes.min() < 0 or self.keyframes.max() >= t):
            raise DataError(f"scene {self.key}: keyframes {self.keyframes.tolist()} leave its steps 0 .. {t - 1}")
        for name, steps in (
            ("agents", self.agents.steps),
            ("signals", self.signals.states.shape[1]),
            ("maneuvers", len(self.maneuvers)),
        ):
            if steps != t:
                raise DataError(f"scene {self.key}: {name} have {steps} steps, the ego has {t}")

    def __len__(self) -> int:
        return len(self.ego_poses)
