"""How far the road reaches to either side of a route, along it: own lanes, and the oncoming lane beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eyesup.types import Lane, RoadMap
from eyesup.world.route import PATH_STEP_M, Route

EXIT_M, ENTRY_M = 8.0, 2.0  # this much of a junction counts to the road behind it, and to the road before it
BESIDE_M = 1.2  # a lane's centre this close to where an oncoming lane would be is one
OPPOSITE = -0.9  # cosine of the angle between the two directions


@dataclass(frozen=True)
class RoadRoom:
    """Metres from the path to the border on each side; one row per row of the route's path.

    Attributes:
        right: To the end of the lanes of our direction.
        left: To the end of the lanes of our direction.
        beyond: To the end of the oncoming lane beside them; equals `left` where there is none.
        lane: To the border of the route's own lane, either side.
        oncoming: Per lane of the route, id of the oncoming lane, or None.
    """

    right: Float64[np.ndarray, "N"]
    left: Float64[np.ndarray, "N"]
    beyond: Float64[np.ndarray, "N"]
    lane: Float64[np.ndarray, "N"]
    oncoming: tuple[str | None, ...]

    def rows(self, s: np.ndarray) -> np.ndarray:
        """Rows of arc lengths."""
        return np.clip((s / PATH_STEP_M).astype(int), 0, len(self.right) - 1)

    def row(self, s: float) -> int:
        """Row of one arc length."""
        return min(max(int(s / PATH_STEP_M), 0), len(self.right) - 1)


def road_room(route: Route, road_map: RoadMap) -> RoadRoom:
    """Inside junctions only the own lane counts, but for the metres next to a road."""
    count = len(route.xy)
    s = np.arange(count) * PATH_STEP_M
    right, left, beyond, half = (np.full(count, np.inf) for _ in range(4))
    known = {lane.id: lane for lane in road_map.lanes}
    oncoming: list[str | None] = []
    for index, lane_id in enumerate(route.lane_ids):
        lane = known.get(lane_id, Lane(lane_id, route.xy[:2], 3.2, 10.0))
        rows = (s >= route.lane_start_s(index) - 1e-6) & (s <= route.lane_end_s[index] + 1e-6)
        half[rows] = right[rows] = left[rows] = beyond[rows] = lane.width_m / 2
        opposite = None
        if not lane.is_junction:
            near = (s >= route.lane_start_s(index) - EXIT_M) & (s <= route.lane_end_s[index] + ENTRY_M)
            lefts, rights = _neighbours(known, lane, "left"), _neighbours(known, lane, "right")
            outermost = lefts[-1] if lefts else lane
            opposite = _oncoming_beside(road_map, outermost)
            right[near] = lane.width_m / 2 + sum(other.width_m for other in rights)
            left[near] = lane.width_m / 2 + sum(other.width_m for other in lefts)
            beyond[near] = left[near] + (opposite.width_m if opposite else 0.0)
        oncoming.append(opposite.id if opposite else None)
    tail = ~np.isfinite(half)  # rounding at the end of the route
    for array in (right, left, beyond, half):
        array[tail] = 1.6
    return RoadRoom(right, left, beyond, half, tuple(oncoming))


def _neighbours(known: dict[str, Lane], lane: Lane, side: str) -> list[Lane]:
    """Lanes of the same direction beside a lane, from near to far."""
    found: list[Lane] = []
    name = getattr(lane, side)
    while name in known and known[name] not in found:
        found.append(known[name])
        name = getattr(known[name], side)
    return found


def _oncoming_beside(road_map: RoadMap, lane: Lane) -> Lane | None:
    """The lane of the other direction just left of a lane, seen from its middle."""
    line = lane.centerline
    middle = len(line) // 2
    step = line[middle] - line[middle - 1]
    along = step / np.linalg.norm(step)
    point = (line[middle] + line[middle - 1]) / 2 + lane.width_m * np.array([-along[1], along[0]])
    for other in road_map.lanes:
        centres = other.centerline
        if other.is_junction or (centres.max(axis=0) < point - 2).any() or (centres.min(axis=0) > point + 2).any():
            continue
        edge = np.diff(centres, axis=0)
        share = np.clip(((point - centres[:-1]) * edge).sum(-1) / (edge * edge).sum(-1), 0.0, 1.0)
        distance = np.linalg.norm(point - centres[:-1] - share[:, None] * edge, axis=-1)
        nearest = int(distance.argmin())
        facing = edge[nearest] @ along / np.linalg.norm(edge[nearest])
        if distance[nearest] < BESIDE_M and facing < OPPOSITE:
            return other
    return None
