"""How the expert goes around what blocks its lane, and makes way for an emergency vehicle.

From the present state alone: what blocks the lane and may be passed (standing cars with hazard lights or none at all,
cones, barriers, debris, slow cyclists) asks for an offset from the route over a piece of it. The offset is taken on the
side with room, the own direction's lanes first, the oncoming lane only where its gap is long enough. Where that is not
(yet) so, the answer is to wait behind with room to pull out. Whether the ego is committed is read from its own offset.
A car with brake lights stands in a queue and is never passed, nor is one that indicates to pull out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.dynamics.bicycle import BicycleState
from eyesup.types import AgentKind, Lights, RoadMap, VehicleGeometry
from eyesup.world.agents_now import AgentsNow
from eyesup.world.offset_path import OffsetPath
from eyesup.world.passing_course import (
    BEFORE_M,
    BEHIND_M,
    OUT_M,
    Cluster,
    Course,
    Courses,
    EgoNow,
    back_to_lane,
    pull_out_m,
    return_m,
)  # fmt: skip
from eyesup.world.passing_traffic import VEHICLES, Gaps, Others
from eyesup.world.path_frame import OnPath
from eyesup.world.road_room import RoadRoom, road_room
from eyesup.world.route import Route

CAP_DECEL_MPS2 = 1.5  # comfortable braking towards the speed of passing
CYCLIST_MAX_MPS = 5.0  # slower cyclists are overtaken
STANDING_MPS = 0.3
CLEARANCE_M = 0.6  # beside a vehicle
OBJECT_CLEARANCE_M = 0.5
CYCLIST_CLEARANCE_M, CYCLIST_MARGIN_M = 1.2, 0.8  # kept, and closer than this to our corridor it is in the way
NOTICE_M = 60.0  # blockers farther ahead do not matter yet
MERGE_M = 22.0  # blockers closer to each other than this are passed in one go,
SAME_MPS = 0.7  # if they move alike
COMMIT_DECEL_MPS2 = 3.0  # out and unable to stop behind with this: it goes on
GENTLE_DECEL_MPS2 = 2.5  # the waiting distance is given up rather than braking harder
WAIT_M = 1.5  # more than it takes to pull out
SIREN_BEHIND_M = 50.0  # an emergency vehicle this close behind is made way for
SIREN_ASIDE_M = 5.0
YIELD_DECEL_MPS2 = 1.8
YIELD_EDGE_M = 0.1  # from the lane's border when making way
YIELD_MPS = 5.0  # typical while it moves over

OBJECTS = (int(AgentKind.CONE), int(AgentKind.BARRIER), int(AgentKind.DEBRIS))


@dataclass(frozen=True)
class Lateral:
    """What to do about it now.

    Attributes:
        path: Offset to follow, or None: the route itself.
        speed_mps: Highest speed now.
        ignored: Rows of the near agents that the path goes around.
        keep_back_m: Per near agent, more distance than usual to keep behind it.
        make_way: Stop at the edge of the lane.
    """

    path: OffsetPath | None = None
    speed_mps: float = np.inf
    ignored: np.ndarray | None = None
    keep_back_m: np.ndarray | None = None
    make_way: bool = False


NOTHING = Lateral()


@dataclass(frozen=True)
class _Road:
    """What is known of the road, worked out when first needed: most rollouts never pass anything."""

    room: RoadRoom
    courses: Courses
    gaps: Gaps


class Passing:
    """Lateral decisions on one route.

    Args:
        route, road_map: Where.
        vehicle: Size of the ego.
    """

    def __init__(self, route: Route, road_map: RoadMap, vehicle: VehicleGeometry) -> None:
        self.route, self._road_map, self._vehicle = route, road_map, vehicle
        self._half = vehicle.width_m / 2
        self._front_m = vehicle.front_m
        self._rear_m = vehicle.rear_m
        self._known_road: _Road | None = None

    @property
    def _road(self) -> _Road:
        if self._known_road is None:
            room = road_room(self.route, self._road_map)
            where = (self.route, room, self._vehicle)
            self._known_road = _Road(room, Courses(*where), Gaps(*where))
        return self._known_road

    def plan(
        self, state: BicycleState, s: float, speed: float, desired: float, agents: AgentsNow, near: AgentsNow, placed: OnPath
    ) -> Lateral:  # fmt: skip
        """What to do now.

        Args:
            state, s, speed: Ego, its arc length on the route [m] and its speed [m/s].
            desired: Speed that it would drive on a free road [m/s].
            agents: Everything.
            near, placed: The agents near the ego, and where they are along the route.
        """
        ego = EgoNow(s, *self._offset_of(state, s), speed, desired)
        if len(near):
            along = near.velocities[:, 0] * placed.cos + near.velocities[:, 1] * placed.sin
            others = Others(agents, near, placed, along)
            if self._siren_behind(others, s):
                return self._make_way(ego)
            cluster = self._cluster(others, ego)
            if cluster is not None:
                return self._around(cluster, ego, others)
        return Lateral(back_to_lane(ego)) if abs(ego.offset) > OUT_M else NOTHING

    def _offset_of(self, state: BicycleState, s: float) -> tuple[float, float]:
        """The ego's offset from the route [m] and its change per metre."""
        x, y, heading = (float(value) for value in self.route.at(s))
        offset = (state.y - y) * np.cos(heading) - (state.x - x) * np.sin(heading)
        error = state.heading - heading
        return float(offset), float(np.clip(np.sin(error) / max(np.cos(error), 0.4), -0.8, 0.8))

    def _cluster(self, others: Others, ego: EgoNow) -> Cluster | None:
        """The first blockers ahead or beside us; None where there are none or something else comes first."""
        near, placed, along = others.near, others.placed, others.along
        stands = np.hypot(near.velocities[:, 0], near.velocities[:, 1]) < STANDING_MPS
        hazard = (near.lights & Lights.HAZARD) == Lights.HAZARD
        parked = hazard | ((near.lights & (Lights.LEFT | Lights.BRAKE)) == 0)  # a left blinker: about to pull out
        vehicle = np.isin(near.kinds, VEHICLES)
        cycling = (near.kinds == AgentKind.BICYCLE) & (along > STANDING_MPS) & (along < CYCLIST_MAX_MPS)
        passable = (stands & (np.isin(near.kinds, OBJECTS) | (vehicle & parked))) | cycling
        if not passable.any():
            return None
        low, high = placed.s - placed.half_along, placed.s + placed.half_along
        ahead = (high > ego.s - self._rear_m - BEHIND_M) & (low < ego.s + NOTICE_M)
        blocks = placed.in_corridor(placed.lateral, np.where(cycling, CYCLIST_MARGIN_M, 0.0))
        rows = np.flatnonzero(passable & ahead & blocks)
        if not len(rows):
            return None
        rows = rows[np.argsort(low[rows], kind="stable")]
        first, end, kept = rows[0], float(high[rows[0]]), []
        traffic = ~passable & placed.in_corridor(placed.lateral) & (placed.s > ego.s + self._front_m)
        if abs(ego.offset) <= OUT_M and (traffic & (low < low[first])).any():
            return None
        for row in rows:
            if abs(along[row] - along[first]) < SAME_MPS and low[row] < end + MERGE_M:
                kept.append(row)
                end = max(end, float(high[row]))
        picked = np.array(kept)
        clear = np.where(cycling, CYCLIST_CLEARANCE_M, np.where(vehicle, CLEARANCE_M, OBJECT_CLEARANCE_M))[picked]
        reach = placed.half_across[picked] + clear + self._half
        return Cluster(
            rows=picked, rear_s=float(low[first]), front_s=end, left_m=float((placed.lateral[picked] + reach).max()),
            right_m=float((placed.lateral[picked] - reach).min()),
            speed_mps=float(along[first]) if along[first] > STANDING_MPS else 0.0,
        )  # fmt: skip

    def _around(self, cluster: Cluster, ego: EgoNow, others: Others) -> Lateral:
        """Take the first course that road and traffic allow, else wait behind."""
        courses = self._possible(cluster, ego)
        for course, committed in courses:
            if committed or self._road.gaps.allow(course, cluster, ego, others):
                ignored = np.zeros(len(others.near), bool)
                ignored[cluster.rows] = True
                to_start = max(course.start_s - ego.s, 0.0)
                cap = np.sqrt(course.speed_mps**2 + 2 * CAP_DECEL_MPS2 * to_start)
                return Lateral(course.path, float(cap), ignored)
        keep_back = np.zeros(len(others.near))
        if courses:
            room = pull_out_m(courses[0][0].offset) + BEFORE_M + WAIT_M
            allowed = self._gap(cluster, ego) - 2.0 - ego.speed**2 / (2 * GENTLE_DECEL_MPS2)
            keep_back[cluster.rows] = max(min(room - 2.0, allowed), 0.0)
        return Lateral(back_to_lane(ego) if abs(ego.offset) > OUT_M else None, keep_back_m=keep_back)

    def _possible(self, cluster: Cluster, ego: EgoNow) -> list[tuple[Course, bool]]:
        """Courses on the road, the best first, and whether the ego is committed to each."""
        gap = self._gap(cluster, ego)
        too_late = ego.speed**2 / (2 * max(gap - 1.0, 0.1)) > COMMIT_DECEL_MPS2
        found = []
        for target in (max(cluster.left_m, 0.0), min(cluster.right_m, 0.0)):
            begun = ego.heads_for(target)
            committed = begun and (gap < 1.0 or too_late)
            course = self._road.courses.around(cluster, target, ego)
            if course is not None and (committed or self._road.courses.fits(course, ego.s)):
                found.append(((not begun, course.oncoming, abs(target)), course, committed))
        return [(course, committed) for _, course, committed in sorted(found, key=lambda one: one[0])]

    def _gap(self, cluster: Cluster, ego: EgoNow) -> float:
        return cluster.rear_s - ego.s - self._front_m

    def _siren_behind(self, others: Others, s: float) -> bool:
        """Whether an emergency vehicle with its beacon on comes up behind us or is passing us."""
        near, placed = others.near, others.placed
        beacon = (near.kinds == AgentKind.EMERGENCY) & ((near.lights & Lights.BEACON) > 0)
        if not beacon.any():
            return False
        behind = (placed.s > s - SIREN_BEHIND_M) & (placed.s - placed.half_along < s + self._front_m + 1.0)
        return bool((beacon & behind & (others.along > 0.5) & (np.abs(placed.lateral) < SIREN_ASIDE_M)).any())

    def _make_way(self, ego: EgoNow) -> Lateral:
        room = self._road.room
        edge = min(self._half + YIELD_EDGE_M - float(room.lane[room.row(ego.s)]), 0.0)
        path = [(ego.s, ego.offset, ego.slope), (ego.s + return_m(ego.offset - edge, YIELD_MPS), edge, 0.0)]
        return Lateral(OffsetPath.through(path), make_way=True)
