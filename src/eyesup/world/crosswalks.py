"""Crosswalks that a route passes, and the ways that people take over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float64

from eyesup.types import Maneuver, RoadMap
from eyesup.world.route import PATH_STEP_M, Route

NEAR_JUNCTION_M = 3.0
MIN_ACROSS = 0.8  # sine of the angle between route and crosswalk


@dataclass(frozen=True)
class Crosswalk:
    """A crosswalk on the route.

    Attributes:
        start_s, end_s: Where the route enters and leaves it [m].
        right, left: Ends of its middle line at the kerbs right and left of the route, world frame [m].
        after: What the route does in the junction that it ends; None where the crosswalk does not end one.
    """

    start_s: float
    end_s: float
    right: Float64[np.ndarray, "2"]
    left: Float64[np.ndarray, "2"]
    after: Maneuver | None

    @property
    def middle_s(self) -> float:
        return 0.5 * (self.start_s + self.end_s)

    def point(self, side: int, beyond_m: float, shift_m: float = 0.0) -> Float64[np.ndarray, "2"]:
        """A place at its end on one side (+1 left, -1 right), past the kerb and moved across its middle line to the left
        of whoever walks to that side."""
        near, far = (self.right, self.left) if side > 0 else (self.left, self.right)
        ahead = (far - near) / np.linalg.norm(far - near)
        return far + beyond_m * ahead + shift_m * np.array([-ahead[1], ahead[0]])

    def way(self, side: int, before_m: float, beyond_m: float, shift_m: float) -> Float64[np.ndarray, "2 2"]:
        """A straight way over it from `side` to the other side, from `before_m` behind the kerb to `beyond_m` past the other."""
        return np.stack([self.point(side, before_m, -shift_m), self.point(-side, beyond_m, shift_m)])


def crosswalks_on(route: Route, road_map: RoadMap) -> tuple[Crosswalk, ...]:
    """The crosswalks that the route passes, in order."""
    low, high = route.xy.min(axis=0), route.xy.max(axis=0)
    found = []
    for ring in road_map.crosswalks:
        if (ring.max(axis=0) < low).any() or (ring.min(axis=0) > high).any():
            continue
        area = shapely.Polygon(ring)
        rows = np.flatnonzero(shapely.contains_xy(area, route.xy[:, 0], route.xy[:, 1]))
        if len(rows) < 2 or rows[0] == 0 or np.diff(rows).max() > 1:
            continue
        ends = _kerb_ends(area, float(route.headings[rows[len(rows) // 2]]))
        if ends is not None:
            start_s, end_s = float(rows[0] * PATH_STEP_M), float(rows[-1] * PATH_STEP_M)
            found.append(Crosswalk(start_s, end_s, *ends, _passage_before(route, end_s)))
    return tuple(sorted(found, key=lambda crosswalk: crosswalk.start_s))


def _kerb_ends(area: shapely.Polygon, heading: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Middles of its short sides, right and left of a driver; None where people on it do not cross the driver's way."""
    corners = np.array(shapely.minimum_rotated_rectangle(area).exterior.coords)[:4]
    sides = 0.5 * (corners + np.roll(corners, -1, axis=0))
    first, second = max((sides[0], sides[2]), (sides[1], sides[3]), key=lambda pair: np.linalg.norm(pair[1] - pair[0]))
    across = (second - first) @ [-np.sin(heading), np.cos(heading)] / np.linalg.norm(second - first)
    if abs(across) < MIN_ACROSS:
        return None
    return (first, second) if across > 0 else (second, first)


def _passage_before(route: Route, end_s: float) -> Maneuver | None:
    return next((turn.maneuver for turn in route.junctions if abs(turn.end_s - end_s) < NEAR_JUNCTION_M), None)
