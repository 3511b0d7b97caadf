"""Ways around what blocks a lane: out, along and back as an offset from the route, within what a car can steer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.types import VehicleGeometry
from eyesup.world.offset_path import OffsetPath
from eyesup.world.road_room import RoadRoom
from eyesup.world.route import Route

PASS_MPS = 7.5  # past standing things
FASTER_MPS = 2.0  # a moving one is overtaken if we would be this much faster
LATERAL_MPS2, HARD_LATERAL_MPS2 = 2.0, 3.2  # planned, and still accepted, while pulling out
MAX_BEND = 0.15  # sharpest curvature of pulling out [1/m]
MIN_LENGTH_M = 7.0  # of pulling out and of coming back
FOLLOW_S = 1.4  # the steering takes at least this long to take up an offset
LATE_M = 0.35  # still missing of the offset when the front reaches the blocker: less than the clearance
BEFORE_M, BEHIND_M = 1.5, 1.0  # the car is out this far before a blocker, and stays out this far behind it
MOVING_EXTRA_M = 2.0  # more of both for a moving one
OUT_M = 1.1  # beyond this offset the ego is not simply in its lane
BEGUN_M = 0.7  # beyond this one, towards the side to pass on, it has begun to pull out


@dataclass(frozen=True)
class EgoNow:
    """The ego on its route: arc length [m], offset to the left [m] and its change per metre, speed, free speed [m/s]."""

    s: float
    offset: float
    slope: float
    speed: float
    desired: float

    def heads_for(self, target: float) -> bool:
        """Whether it has begun to pull out to the side of an offset."""
        return abs(self.offset) > BEGUN_M and self.offset * target > 0


@dataclass(frozen=True)
class Cluster:
    """Blockers that are passed in one go.

    Attributes:
        rows: Which of the near agents they are.
        rear_s, front_s: Where they begin and end along the route [m].
        left_m, right_m: Offset of the ego that clears them on their left, and on their right [m].
        speed_mps: Along the route, 0 for standing ones.
    """

    rows: np.ndarray
    rear_s: float
    front_s: float
    left_m: float
    right_m: float
    speed_mps: float


@dataclass(frozen=True)
class Course:
    """One way around a cluster.

    Attributes:
        offset: Beside it [m].
        path: The whole way.
        start_s, end_s: Where it leaves the lane's middle, and where it is back [m].
        speed_mps: Beside it.
        leaves_lane: Whether the car reaches beyond its lane.
        oncoming: Whether it reaches into the oncoming lane, and between which arc lengths (`out`).
    """

    offset: float
    path: OffsetPath
    start_s: float
    end_s: float
    speed_mps: float
    leaves_lane: bool
    oncoming: bool
    out: tuple[float, float]


class Courses:
    """Courses along one route.

    Args:
        route, room: Where, and how wide the road is.
        vehicle: Size of the ego.
    """

    def __init__(self, route: Route, room: RoadRoom, vehicle: VehicleGeometry) -> None:
        self._route, self._room = route, room
        self._half = vehicle.width_m / 2
        self._front_m = vehicle.front_m
        self._rear_m = vehicle.rear_m

    def around(self, cluster: Cluster, target: float, ego: EgoNow) -> Course | None:
        """The course with offset `target` beside the cluster; None if the car cannot steer or drive it from here."""
        s, before, behind, stretch, pass_mps = ego.s, BEFORE_M, BEHIND_M, 1.0, min(PASS_MPS, ego.desired)
        if cluster.speed_mps > 0:  # while we catch up, it drives on: lengths along the route grow by `stretch`
            pass_mps = max(ego.speed, (ego.speed + ego.desired) / 2)
            if pass_mps - cluster.speed_mps < FASTER_MPS:
                return None
            stretch = pass_mps / (pass_mps - cluster.speed_mps)
            before, behind = before + MOVING_EXTRA_M, behind + MOVING_EXTRA_M
        beside = s + (cluster.rear_s - before - self._front_m - s) * stretch
        behind_it = s + (cluster.front_s + behind + self._rear_m - s) * stretch
        comfort = pass_mps * np.sqrt(6 * abs(target) / LATERAL_MPS2)
        enter, leave = self._free_stretch(beside, behind_it)
        shortest = max(pull_out_m(target), MIN_LENGTH_M)
        out_m = max(min(comfort, beside - enter), shortest)
        back_m = max(min(comfort, leave - behind_it), shortest)
        if cluster.speed_mps == 0 and abs(target) > 0.1:
            pass_mps = min(pass_mps, min(out_m, back_m) / np.sqrt(6 * abs(target) / LATERAL_MPS2))
        start = beside - out_m
        way_out = self._way_out(ego, target, start, beside, beside + before * stretch)
        if way_out is None:
            return None
        end = behind_it + back_m
        path = OffsetPath.through([*way_out, (behind_it, target, 0.0), (end, 0.0, 0.0)])
        return self._described(path, ego.s, target, start, end, pass_mps)

    def _way_out(
        self, ego: EgoNow, target: float, start: float, beside: float, reached: float
    ) -> list[tuple[float, float, float]] | None:
        """Knots up to the cluster, of which the ego's front is abreast at `reached`."""
        s, offset, slope = ego.s, ego.offset, ego.slope
        if s < start:
            onward = [(start, 0.0, 0.0), (beside, target, 0.0)]
            if abs(offset) <= OUT_M:
                return onward
            return [(s, offset, slope), (min(start, s + return_m(offset, ego.speed)), 0.0, 0.0), *onward]
        if s > beside - 3.0 and abs(offset - target) < 0.5:
            return [(s, target, 0.0)]
        length = max(beside - s, MIN_LENGTH_M, FOLLOW_S * ego.speed)
        missing = target - offset
        bend = max(abs(6 * missing / length - 4 * slope), abs(6 * missing / length - 2 * slope)) / length
        if bend > 1.3 * MAX_BEND or bend * ego.speed**2 > HARD_LATERAL_MPS2:
            return None
        knots = [(s, offset, slope), (s + length, target, 0.0)]
        late = abs(float(OffsetPath.through(knots).at(min(reached, s + length))[0]) - target)
        return knots if late <= LATE_M else None

    def _described(
        self, path: OffsetPath, s: float, target: float, start: float, end: float, pass_mps: float
    ) -> Course:
        places = np.arange(s, end + 1.0, 1.0)
        offsets, rows = path.at(places)[0], self._room.rows(places)
        over = np.flatnonzero(offsets + self._half > self._room.left[rows] + 0.1)
        leaves = bool((np.abs(offsets) + self._half > self._room.lane[rows] + 0.1).any())
        out = (float(places[over[0]]), float(places[over[-1]])) if len(over) else (s, s)
        return Course(target, path, start, end, pass_mps, leaves, bool(len(over)), out)

    def _free_stretch(self, low: float, high: float) -> tuple[float, float]:
        """Arc lengths of the last junction's end before `low` and the next one's start after `high`."""
        enter, leave = -np.inf, np.inf
        for turn in self._route.junctions:
            if turn.end_s < low + 8.0:
                enter = max(enter, turn.end_s - 6.0)
            if turn.start_s > high - 2.0:
                leave = min(leave, turn.start_s + 2.0)
        return enter, leave

    def fits(self, course: Course, s: float) -> bool:
        """Whether the car stays on lanes, inside junctions on its own, and is back before the route ends."""
        places = np.arange(max(s, course.start_s), course.end_s, 1.0)
        offsets, rows = course.path.at(places)[0], self._room.rows(places)
        slack = np.where(np.abs(offsets) < 0.3, 0.3, 0.05)
        left, right = self._room.beyond[rows], self._room.right[rows]
        on_lanes = (offsets + self._half < left + slack) & (self._half - offsets < right + slack)
        return bool(course.end_s < self._route.length_m and on_lanes.all())


def back_to_lane(ego: EgoNow) -> OffsetPath:
    """From where the ego is to the middle of its lane."""
    return OffsetPath.through([(ego.s, ego.offset, ego.slope), (ego.s + return_m(ego.offset, ego.speed), 0.0, 0.0)])


def return_m(offset: float, speed: float) -> float:
    """Length over which an offset is given up."""
    return max(MIN_LENGTH_M, pull_out_m(offset), float(speed * np.sqrt(6 * abs(offset) / LATERAL_MPS2)))


def pull_out_m(offset: float) -> float:
    """Shortest length in which a car can take up an offset."""
    return float(np.sqrt(6 * abs(offset) / MAX_BEND))
