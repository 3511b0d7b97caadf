"""The route as PDM-Closed sees it: repaired, cut at loops, and searched for the centreline ahead.

A route is a list of roadblock ids, alternating between roadblocks and connectors. Follows the planner of the original
(`pdm_planner`, Dauner et al. 2023) in everything that decides a result, ties included.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from eyesup.data.nuplan_map import Block, MapLane, NuPlanMap
from eyesup.geometry.boxes import box_corners
from eyesup.geometry.se2 import wrap_angle
from eyesup.types import PACIFICA
from eyesup.types.errors import DataError

ON_BLOCK_M = 1.0  # half side of the square in which the current roadblock is looked for
MAX_HEADING_ERROR = np.pi / 4
MAX_DISPLACEMENT_M = 3.0
BACKWARD_DEPTH, FORWARD_DEPTH = 15, 30  # roadblocks
TARGETS = 3  # first roadblocks of the route that a forward search may aim at
CENTERLINE_BLOCKS = 30
LOOP_AREA_M2 = 1.0


@dataclass(frozen=True)
class Route:
    """What follows from a pose and a list of roadblocks.

    Attributes:
        block_ids: The corrected route.
        lane_ids: All lanes of it.
        start: The lane the ego is in.
        centerline: (C, 3) baselines from the start of that lane on, joined; x, y [m], heading [rad].
    """

    block_ids: tuple[str, ...]
    lane_ids: frozenset[str]
    start: MapLane
    centerline: Float64[np.ndarray, "C 3"]


def plan_route(city: NuPlanMap, pose: Float64[np.ndarray, "3"], block_ids: Sequence[str], what: str = "route") -> Route:
    """Correct a route for a rear-axle pose and search the centreline along it.

    Raises:
        DataError: The route is empty, names a roadblock that the map lacks, or no lane of it is left.
    """
    if not block_ids:
        raise DataError(f"{what}: the route has 0 roadblocks; scenes without a route cannot be scored (has_route)")
    corrected = correct_route(city, pose, [city.block_of(token, what).id for token in dict.fromkeys(block_ids)])
    lanes = {lane: city.lanes[lane] for block in corrected for lane in city.blocks[block].lane_ids}
    if not lanes:
        raise DataError(f"{what}: no lane in {len(corrected)} roadblocks of the route (first {corrected[0]})")
    start = starting_lane(city, pose, lanes)
    path = search_lanes(city, start, lanes, corrected)
    centerline = np.concatenate([city.lanes[lane].baseline for lane in path])
    return Route(tuple(corrected), frozenset(lanes), start, centerline)


def correct_route(city: NuPlanMap, pose: Float64[np.ndarray, "3"], block_ids: Sequence[str]) -> list[str]:
    """Lead the route to where the ego is, fill in missing roadblocks, and cut it where it crosses itself."""
    route = list(dict.fromkeys(block_ids))
    current, candidates = _current_block(city, pose, set(route))
    if current.id not in route:
        back = _search_blocks(city, route[0], [block.id for block in candidates], BACKWARD_DEPTH, forward=False)
        if back:
            route[:0] = back[:-1]
        else:
            there = _search_blocks(city, current.id, route[:TARGETS], FORWARD_DEPTH, forward=True)
            if there:
                route = there + route[route.index(there[-1]) + 1 :]
    return _cut_loops(city, list(dict.fromkeys(_filled(city, route))))


def starting_lane(city: NuPlanMap, pose: Float64[np.ndarray, "3"], lanes: Mapping[str, MapLane]) -> MapLane:
    """The lane under the rear axle that heads like the ego; else the one under the box's centre, else the nearest."""
    spot = shapely.Point(pose[0], pose[1])
    under = [lanes[lane] for lane in city.lanes_at(spot) if lane in lanes]
    if under:
        return under[int(np.argmin([_offset(lane, pose)[1] for lane in under]))]
    footprint, center = _footprint(pose)
    nearest, best = None, np.inf
    for lane in lanes.values():
        if lane.polygon.contains(center):
            return lane
        distance = lane.polygon.distance(footprint)
        if distance < best:
            nearest, best = lane, distance
    if nearest is None:
        raise DataError(f"route: no lane of {len(lanes)} has a finite distance to ({pose[0]:.1f}, {pose[1]:.1f})")
    return nearest


def search_lanes(city: NuPlanMap, start: MapLane, lanes: Mapping[str, MapLane], block_ids: Sequence[str]) -> list[str]:
    """Shortest chain of lanes to the last of the next 30 roadblocks (Dijkstra; the cost of a lane is its length).

    Where that cannot be reached: to the shortest of the chains with the most lanes.
    """
    first = block_ids.index(start.block_id) if start.block_id in block_ids else 0
    goal = block_ids[first : first + CENTERLINE_BLOCKS][-1]
    order = {start.id: 0}  # ties go to what was found first
    best: dict[str, tuple[float, int]] = {start.id: (1.0, 1)}  # cost so far, lanes in the chain
    parent: dict[str, str | None] = {start.id: None}
    queue = [(1.0, 0, start.id)]
    done: dict[str, tuple[float, int]] = {}
    while queue:
        cost, _, lane_id = heapq.heappop(queue)
        if lane_id in done or cost > best[lane_id][0]:
            continue
        if city.lanes[lane_id].block_id == goal:
            return _chain(parent, lane_id)
        depth = best[lane_id][1]
        done[lane_id] = (cost, depth)
        for after in city.lanes[lane_id].outgoing:
            if after not in lanes or after in done:
                continue
            dearer = cost + city.lanes[after].length_m
            if after not in best or dearer < best[after][0]:
                order.setdefault(after, len(order))
                best[after], parent[after] = (dearer, depth + 1), lane_id
                heapq.heappush(queue, (dearer, order[after], after))
    deepest = max(depth for _, depth in done.values())
    end = min((lane for lane, (_, depth) in done.items() if depth == deepest), key=lambda lane: done[lane][0])
    return _chain(parent, end)


def _current_block(city: NuPlanMap, pose: np.ndarray, route: set[str]) -> tuple[Block, list[Block]]:
    """The roadblock that the ego is in, and all that come into question; those on the route go first."""
    around = [block for block in city.blocks_at(pose, ON_BLOCK_M) if block.lane_ids]
    if not around:
        raise DataError(f"route: {city.path} has no roadblock with lanes near ({pose[0]:.1f}, {pose[1]:.1f})")
    on_route: list[tuple[float, Block]] = []
    fitting: list[tuple[float, Block]] = []
    every: list[tuple[float, Block]] = []
    for block in around:
        offsets = [_offset(city.lanes[lane], pose) for lane in block.lane_ids]
        every.append((min(distance for distance, _ in offsets), block))
        near = [d for d, turned in offsets if d < MAX_DISPLACEMENT_M and turned < MAX_HEADING_ERROR]
        (on_route if block.id in route else fitting).extend((distance, block) for distance in near)
    found = on_route or fitting or every
    return min(found, key=lambda one: one[0])[1], [block for _, block in found]


def _offset(lane: MapLane, pose: np.ndarray) -> tuple[float, float]:
    """Distance to the nearest vertex of the baseline, and the difference to its heading."""
    distances = np.hypot(*(lane.baseline[:, :2] - pose[:2]).T)
    nearest = int(distances.argmin())
    return float(distances[nearest]), abs(float(wrap_angle(lane.baseline[nearest, 2] - pose[2])))


def _search_blocks(city: NuPlanMap, start: str, targets: Sequence[str], depth: int, forward: bool) -> list[str]:
    """Breadth-first search; the chain in driving direction, empty where no target is within reach.

    Of two ways of one length the original keeps the one found last, but stops at the target that it finds first.
    """
    parents: list[dict[str, str]] = [{}]
    found_first, found_last = [start], [start]
    for level in range(depth):
        goal = next((block for block in found_first if block in targets), None)
        if goal is not None:
            chain = [goal]
            for parent in reversed(parents[1:]):
                chain.append(parent[chain[-1]])
            return chain[::-1] if forward else chain
        if level == depth - 1:
            break
        first = [(after, block) for block in found_first for after in _beyond(city, block, forward)]
        last = [(after, block) for block in found_last for after in _beyond(city, block, forward)]
        parents.append(dict(last))
        found_first = list(dict.fromkeys(after for after, _ in first))
        found_last = list(dict.fromkeys(after for after, _ in reversed(last)))[::-1]
    return []


def _beyond(city: NuPlanMap, block: str, forward: bool) -> tuple[str, ...]:
    return city.blocks[block].outgoing if forward else city.blocks[block].incoming


def _filled(city: NuPlanMap, route: list[str]) -> list[str]:
    """The route with the shortest link between roadblocks that do not follow each other, where there is one."""
    filled = route[:1]
    for before, after in pairwise(route):
        if before not in city.blocks[after].incoming:
            filled += _search_blocks(city, before, [after], FORWARD_DEPTH, forward=True)[1:-1]
        filled.append(after)
    return filled


def _cut_loops(city: NuPlanMap, route: list[str]) -> list[str]:
    """The route up to the first connector that lies over an earlier one."""
    passed: list[BaseGeometry] = []
    for i, token in enumerate(route):
        block = city.blocks[token]
        if not block.is_connector:
            continue
        if any(block.polygon.intersection(other).area > LOOP_AREA_M2 for other in passed):
            return route[:i]
        passed.append(block.polygon)
    return route


def _footprint(pose: np.ndarray) -> tuple[BaseGeometry, BaseGeometry]:
    x, y, heading = pose
    shift = PACIFICA.rear_axle_to_center_m
    center = np.array([x + shift * np.cos(heading), y + shift * np.sin(heading), heading])
    box = shapely.Polygon(box_corners(center, PACIFICA.length_m, PACIFICA.width_m))
    return box, shapely.Point(center[0], center[1])


def _chain(parent: Mapping[str, str | None], end: str) -> list[str]:
    chain: list[str] = []
    lane: str | None = end
    while lane is not None:
        chain.append(lane)
        lane = parent[lane]
    return chain[::-1]
