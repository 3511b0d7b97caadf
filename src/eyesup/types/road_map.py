"""The road as vectors: lanes, paint, crossings, drivable area."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from eyesup.types._check import as_array, check_finite
from eyesup.types.errors import DataError


class Paint(IntEnum):
    """How a line on the road is painted; values are stored in files, append only."""

    SOLID_WHITE = 0
    DASHED_WHITE = 1
    SOLID_YELLOW = 2
    DASHED_YELLOW = 3
    KERB = 4


@dataclass(frozen=True)
class Lane:
    """One driving lane.

    Attributes:
        id: Unique in the map.
        centerline: (P, 2) float64 metres, in driving direction, P >= 2.
        width_m: Lane width.
        speed_limit_mps: Posted limit.
        successors: Ids of lanes that continue this one.
        left, right: Id of the neighbour lane of the same direction, or None.
        is_junction: True for a connection inside a junction.
    """

    id: str
    centerline: np.ndarray
    width_m: float
    speed_limit_mps: float
    successors: tuple[str, ...] = ()
    left: str | None = None
    right: str | None = None
    is_junction: bool = False

    def __post_init__(self) -> None:
        line = as_array(f"lane {self.id}: centerline", self.centerline, (None, 2), np.float64)
        if len(line) < 2:
            raise DataError(f"lane {self.id}: centerline has {len(line)} point(s), needs at least 2")
        check_finite(f"lane {self.id}: centerline", line)
        object.__setattr__(self, "centerline", line)


@dataclass(frozen=True)
class RoadLine:
    """A painted line or kerb: (P, 2) float64 metres."""

    points: np.ndarray
    paint: Paint

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", as_array("road line: points", self.points, (None, 2), np.float64))


@dataclass(frozen=True)
class StopLine:
    """Where to stop: a segment across a lane, (2, 2) float64 metres, and the lane that ends there."""

    points: np.ndarray
    lane_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", as_array("stop line: points", self.points, (2, 2), np.float64))


@dataclass(frozen=True)
class RoadMap:
    """Vector map in the frame of whatever holds it. Polygons are (P, 2) float64 rings, not closed, counter-clockwise."""

    lanes: tuple[Lane, ...] = ()
    lines: tuple[RoadLine, ...] = ()
    crosswalks: tuple[np.ndarray, ...] = ()
    stop_lines: tuple[StopLine, ...] = ()
    drivable: tuple[np.ndarray, ...] = ()
    sidewalks: tuple[np.ndarray, ...] = ()

    def __post_init__(self) -> None:
        ids = [lane.id for lane in self.lanes]
        if len(set(ids)) != len(ids):
            raise DataError("road map: lane ids must be unique")
        for name in ("crosswalks", "drivable", "sidewalks"):
            rings = tuple(as_array(f"road map: {name}", ring, (None, 2), np.float64) for ring in getattr(self, name))
            object.__setattr__(self, name, rings)

    def lane(self, lane_id: str) -> Lane:
        """The lane of that id; KeyError if there is none."""
        return self._by_id()[lane_id]

    def _by_id(self) -> dict[str, Lane]:
        index = self.__dict__.get("_index")
        if index is None:
            index = {lane.id: lane for lane in self.lanes}
            object.__setattr__(self, "_index", index)
        return index
