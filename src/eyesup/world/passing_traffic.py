"""Whether the others leave room to pass: oncoming traffic, traffic from behind, and what is beyond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.types import AgentKind, VehicleGeometry
from eyesup.world.agents_now import AgentsNow
from eyesup.world.passing_course import Cluster, Course, EgoNow
from eyesup.world.path_frame import OnPath, Strip
from eyesup.world.road_room import RoadRoom
from eyesup.world.route import PATH_STEP_M, Route

SIGHT_M, STRIP_AHEAD_M = 100.0, 110.0  # how far others are watched; a log holds nobody who stays farther away
ONCOMING_GAP_M = 6.0  # left to an oncoming vehicle when back in the own lane, to begin with; later any gap will do
ONCOMING_GAIN_MPS = 1.0  # oncoming vehicles may speed up by this much, to begin with
START_MPS2 = 1.2  # acceleration assumed of the ego while passing
MERGE_S, MERGE_GAP_M, MERGE_HEADWAY_S = 3.0, 2.0, 0.4  # to a vehicle coming from behind on the lane to be taken
RETURN_GAP_M = 3.0  # to what is beyond, when back

VEHICLES = tuple(int(kind) for kind in AgentKind if kind.is_vehicle)


@dataclass(frozen=True)
class Others:
    """Everybody, and those near the ego: where they are on its route and how fast they go along it [m/s]."""

    everybody: AgentsNow
    near: AgentsNow
    placed: OnPath
    along: np.ndarray


class Gaps:
    """Room that the others leave on one route.

    Args:
        route, room: Where, and how wide the road is.
        vehicle: Size of the ego.
    """

    def __init__(self, route: Route, room: RoadRoom, vehicle: VehicleGeometry) -> None:
        self._route, self._room = route, room
        self._half = vehicle.width_m / 2
        self._front_m = vehicle.front_m
        self._rear_m = vehicle.rear_m

    def allow(self, course: Course, cluster: Cluster, ego: EgoNow, others: Others) -> bool:
        """Whether the course may be driven now."""
        if not course.leaves_lane:
            return True
        pace = max(min(course.speed_mps, ego.desired), 1.0)
        rest = np.ones(len(others.near), bool)
        rest[cluster.rows] = False
        if self._blocked_beyond(course, cluster, ego, others, rest, pace):
            return False
        starting = ego.s > course.start_s - 1.0 or course.start_s - ego.s < ego.speed * MERGE_S
        if starting and self._overtaken(course, ego, others, rest):
            return False
        return not course.oncoming or self._no_one_oncoming(course, ego, others.everybody, pace)

    def _blocked_beyond(
        self, course: Course, cluster: Cluster, ego: EgoNow, others: Others, rest: np.ndarray, pace: float
    ) -> bool:
        """Whether somebody on our lane would stand where we come back."""
        placed = others.placed
        back_s = _time_for(course.end_s - ego.s, ego.speed, pace)
        in_lane = rest & placed.in_corridor(placed.lateral) & (placed.s > cluster.front_s)
        then = placed.s - placed.half_along + np.maximum(others.along, 0.0) * back_s
        return bool((in_lane & (then < course.end_s + self._front_m + RETURN_GAP_M)).any())

    def _overtaken(self, course: Course, ego: EgoNow, others: Others, rest: np.ndarray) -> bool:
        """Whether somebody is beside us, or comes from behind, where we want to go."""
        placed, along = others.placed, others.along
        low = min(ego.offset, course.offset) - self._half - 0.3
        high = max(ego.offset, course.offset) + self._half + 0.3
        there = rest & (placed.lateral - placed.half_across < high) & (placed.lateral + placed.half_across > low)
        ours = np.abs(placed.lateral - ego.offset) < 1.3
        fronts, rears = placed.s + placed.half_along, placed.s - placed.half_along
        needed = np.maximum(along - ego.speed, 0.0) * MERGE_S + MERGE_GAP_M + MERGE_HEADWAY_S * np.maximum(along, 0.0)
        close = (fronts > ego.s - self._rear_m - needed) & (rears < ego.s + self._front_m + 1.0) & (along > 0.5)
        return bool((there & close & ~ours & np.isin(others.near.kinds, VEHICLES)).any())

    def _no_one_oncoming(self, course: Course, ego: EgoNow, everybody: AgentsNow, pace: float) -> bool:
        """Whether every oncoming vehicle is still beyond us when we are back, at constant velocity."""
        begin, end = course.out
        x, y, _ = (float(value) for value in self._route.at(ego.s))
        squared = (everybody.poses[:, 0] - x) ** 2 + (everybody.poses[:, 1] - y) ** 2
        movers = everybody.select(np.flatnonzero(squared < SIGHT_M**2))
        placed = self._long_strip(ego.s).place(movers.poses, movers.sizes)
        along = movers.velocities[:, 0] * placed.cos + movers.velocities[:, 1] * placed.sin
        low = self._room.left[self._room.row((begin + end) / 2)] - 0.2
        high = course.offset + self._half + 0.4
        facing = (placed.turn_cos < -0.5) & np.isin(movers.kinds, VEHICLES)
        in_way = facing & (placed.lateral - placed.half_across < high) & (placed.lateral + placed.half_across > low)
        gain, gap = (0.0, 0.0) if ego.heads_for(course.offset) else (ONCOMING_GAIN_MPS, ONCOMING_GAP_M)
        reach = np.maximum(-along + gain, 0.0) * _time_for(end - ego.s, ego.speed, pace)
        nose = placed.s - placed.half_along
        meets = (placed.s + placed.half_along > ego.s) & (nose - reach < end + self._front_m + gap)
        return not bool((in_way & meets).any())

    def _long_strip(self, s: float) -> Strip:
        first = max(int((s - 10.0) / PATH_STEP_M), 0)
        rows = slice(first, int((s + STRIP_AHEAD_M) / PATH_STEP_M) + 1, 4)
        heading = self._route.headings[rows]
        zero = np.zeros_like(heading)
        return Strip(
            s=np.arange(first, first + 4 * len(heading), 4) * PATH_STEP_M, x=self._route.xy[rows, 0],
            y=self._route.xy[rows, 1], cos=np.cos(heading), sin=np.sin(heading), left=zero, right=zero,
        )  # fmt: skip


def _time_for(distance: float, speed: float, pace: float) -> float:
    """Seconds to drive that far, speeding up to `pace`."""
    if speed >= pace:
        return max(distance, 0.0) / max(pace, 0.5)
    ramp_s = (pace - speed) / START_MPS2
    ramp_m = (speed + pace) / 2 * ramp_s
    if distance >= ramp_m:
        return ramp_s + (distance - ramp_m) / pace
    return float((np.sqrt(speed**2 + 2 * START_MPS2 * max(distance, 0.0)) - speed) / START_MPS2)
