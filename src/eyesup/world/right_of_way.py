"""Signs and priority: where the expert must wait for others, decided from the present state alone.

At every junction of the route the other paths through it that cross or join ours are known from the map. A vehicle on such
a path that has priority holds us at the stop line (or, past it, before the place where the paths meet) as long as it would
be there at about the time when we would. Vehicles are predicted along their lanes; which way they turn is read from their
indicators.

Priority: at signals a left turn gives way to oncoming traffic that does not turn left. Elsewhere a lane with a stop or yield
sign, or with a painted stop line, gives way to lanes without; between equals again a left turn to oncoming traffic, else
whoever comes from the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from eyesup.dynamics.bicycle import BicycleState
from eyesup.geometry.polyline import resample
from eyesup.types import AgentKind, Lights, Maneuver, RoadMap, Signals, SignalState, VehicleGeometry
from eyesup.world.agents_now import AgentsNow
from eyesup.world.junctions import OPPOSITE_RAD, Way, joined_line, other_ways, upstream, ways_of
from eyesup.world.route import PATH_STEP_M, TURN_ANGLE_RAD, Route, Turn

REACH_M = 60.0  # junctions farther ahead do not matter yet
SIGHT_M = 90.0  # vehicles farther away are ignored
FOE_SIGHT_M = 90.0  # along a crossing road, from its stop line
FOE_STEP_M = 1.0
BEYOND_M = 6.0  # of the lane after the junction in which paths may still meet
STOP_LINE_GAP_M = 1.0  # the front comes to rest this far before the line
MIN_GAP_M = 2.0  # of the Intelligent Driver Model: a gap of this size is no gap
SIGN_BEFORE_M = 15.0  # a controlled lane that ends this far before a junction still belongs to it
COMFORT_DECEL_MPS2, HARD_DECEL_MPS2 = 3.5, 6.5  # to stop at the line; before the place where paths meet
# Stop signs: the car has stopped for the sign if it stands this near the line, or moves as if it had started there.
NEARLY_MPS, NO_GAP_M = 0.3, 1.9  # so slow in the zone it comes to rest, wherever it is
STOP_ZONE_M, STANDING_MPS, STARTING_MPS2, SETTLED_MPS2 = 3.0, 0.05, 1.7, 0.05
SIDE_GAP_M = 0.5  # between two boxes that pass each other
FOE_WIDTH_M = 2.0
ON_PATH_M, ON_PATH_COS = 1.7, 0.75  # a vehicle is on a path: offset and heading
CREEPING_MPS = 0.5  # who stands lets us go first; at a green light it is about to start
GREEN_START_MPS = 2.0
FOE_ACCEL_MPS2 = 1.0  # it may come earlier than at constant speed
CLOCK_REACH_M, CLOCK_STEP_M, SLOWEST_MPS = 110.0, 1.0, 2.0
OUR_ACCELS_MPS2 = (1.6, 1.2)  # we may come as early as with the first, and be gone as late as with the second
AFTER_US_S, BEFORE_US_S = 1.6, 1.4  # it comes this long after we have left; it has left this long before we come
JOIN_AFTER_S, JOIN_BEFORE_S = 2.2, 0.9  # the same where two paths become one
SLOWER_S = 0.12  # more time [s] for every m/s by which we are slower than who comes from behind


@dataclass(frozen=True)
class _FoePath:
    """A way through a junction of ours.

    Attributes:
        xy, headings: (P, 2) metres, (P,) rad: the approach and the passage, `step_m` apart.
        line_m: Arc length of its stop line.
        meets: It crosses or joins our way; only then the next four mean something.
        enter_m, leave_m: Arc lengths between which it is in our way.
        ours_from_s, ours_to_s: Arc lengths of our route between which we are in its way.
        joins: It ends in the lane that we take, too.
        maneuver: Its turn; `options` are the turns that its lane allows.
        angle: Of its approach to ours: 0 beside us, pi oncoming, positive from the right.
        rows: Signals and signs of its approach.
        is_minor: Its approach gives way by paint.
    """

    xy: Float64[np.ndarray, "P 2"]
    headings: Float64[np.ndarray, "P"]
    step_m: float
    line_m: float
    meets: bool
    enter_m: float
    leave_m: float
    ours_from_s: float
    ours_to_s: float
    joins: bool
    maneuver: Maneuver
    options: frozenset[Maneuver]
    angle: float
    rows: np.ndarray
    is_minor: bool


@dataclass(frozen=True)
class _Passage:
    """A junction of the route: our stop line [m], our turn, the signal rows of our approach, and who may be in the way."""

    turn: Turn
    stop_s: float
    rows: np.ndarray
    is_minor: bool
    foes: tuple[_FoePath, ...]


@dataclass(frozen=True)
class _Clock:
    """When our front would be where, if nothing held us: as early as may be, and as late.

    Attributes:
        s: (K,) arc lengths of the route, `CLOCK_STEP_M` apart, from our front on.
        early_s, late_s: (K,) seconds.
        speeds: (K,) m/s, of the late one.
    """

    s: Float64[np.ndarray, "K"]
    early_s: Float64[np.ndarray, "K"]
    late_s: Float64[np.ndarray, "K"]
    speeds: Float64[np.ndarray, "K"]

    @staticmethod
    def of(route: Route, front: float, front_m: float, speed: float, desired: float) -> _Clock:
        """Speeding up from `speed` towards the posted and curve limits ahead, but not above what is desired here."""
        s = front + np.arange(0.0, CLOCK_REACH_M, CLOCK_STEP_M)
        rows = np.clip(((s - front_m) / PATH_STEP_M).astype(int), 0, len(route.speed_limits) - 1)
        limits = np.minimum(route.speed_limits[rows], max(desired, SLOWEST_MPS))
        times = []
        for accel in OUR_ACCELS_MPS2:
            speeds = np.minimum(np.sqrt(speed**2 + 2 * accel * (s - front + 0.5 * CLOCK_STEP_M)), limits)
            times.append(np.append(0.0, np.cumsum(CLOCK_STEP_M / np.maximum(speeds, 0.3))[:-1]))
        return _Clock(s, times[0], times[1], speeds)

    def at(self, s: float, early: bool) -> float:
        return float(np.interp(s, self.s, self.early_s if early else self.late_s))

    def speed_at(self, s: float) -> float:
        return float(np.interp(s, self.s, self.speeds))


class RightOfWay:
    """Rules of one route.

    Args:
        route: What is followed.
        signals: Lights and signs (places only; what they show comes with each question).
        road_map: Lanes around the route.
        vehicle: Size of the ego.
    """

    def __init__(self, route: Route, signals: Signals, road_map: RoadMap, vehicle: VehicleGeometry) -> None:
        self._route, self._signals, self._vehicle = route, signals, vehicle
        self._front_m = vehicle.front_m
        self._lanes = {lane.id: lane for lane in road_map.lanes}
        self._painted = frozenset(line.lane_id for line in road_map.stop_lines)
        self._starts = np.array([turn.start_s for turn in route.junctions])
        self._ends = np.array([turn.end_s for turn in route.junctions])
        self._passages: dict[int, _Passage] = {}
        ends = dict(zip(route.lane_ids, route.lane_end_s))
        stops = [[ends[lane] for lane in lanes if lane in ends] for lanes in signals.stop_lane_ids]
        self._sign_s = np.array([min(found, default=np.inf) for found in stops], np.float64)

    def gaps(
        self, state: BicycleState, front: float, speed: float, desired: float, agents: AgentsNow, signal_states: np.ndarray
    ) -> Float64[np.ndarray, "G"]:  # fmt: skip
        """Gaps to where we must stop [m], to be followed like standing obstacles.

        Args:
            state: Ego.
            front: Arc length of its front bumper.
            speed, desired: Its speed, and the one that it would like [m/s].
            agents: Everything present now.
            signal_states: (S,) what signals and signs show now.
        """
        return np.array(
            [
                *self._stop_signs(state, front, speed, signal_states),
                *self._priority(state, front, speed, desired, agents, signal_states),
            ],
            np.float64,
        )

    def foreseen(self, front: float, vehicles: AgentsNow, signal_states: np.ndarray) -> Bool[np.ndarray, "M"]:
        """Vehicles of which all is known: their lane never leads into our way, or it does and they have priority (`gaps`).

        Whoever has none should wait for us, but may not.
        """
        known, doubtful = np.zeros(len(vehicles), bool), np.zeros(len(vehicles), bool)
        for index in self._near(front) if len(vehicles) else ():
            passage = self._passage(int(index))
            for foe in passage.foes:
                rows, _ = _on_path(foe, vehicles)
                rows = rows[_may_go(foe, vehicles.lights[rows])]
                clear = not foe.meets or _has_priority(passage, foe, signal_states)
                (known if clear else doubtful)[rows] = True
        return known & ~doubtful & np.isin(vehicles.kinds, _VEHICLES)

    def _near(self, front: float) -> np.ndarray:
        """Rows of the junctions that the ego is in or comes to."""
        return np.flatnonzero((self._starts < front + REACH_M) & (self._ends > front))

    # Stop signs ------------------------------------------------------------------------------------------------------

    def _stop_signs(self, state: BicycleState, front: float, speed: float, signal_states: np.ndarray) -> list[float]:
        found = []
        for row in np.flatnonzero(signal_states == SignalState.STOP_SIGN):
            distance = float(self._sign_s[row]) - front
            if not 0 < distance < REACH_M or _decel(speed, distance) > HARD_DECEL_MPS2:
                continue
            if not _has_stopped(state, speed, distance):
                gap = distance + MIN_GAP_M - STOP_LINE_GAP_M
                nearly = distance < STOP_ZONE_M and speed < NEARLY_MPS
                found.append(min(gap, NO_GAP_M) if nearly else gap)
        return found

    # Priority --------------------------------------------------------------------------------------------------------

    def _priority(
        self,
        state: BicycleState,
        front: float,
        speed: float,
        desired: float,
        agents: AgentsNow,
        signal_states: np.ndarray,
    ) -> list[float]:
        near = self._near(front)
        if not len(near):
            return []
        offset = agents.poses[:, :2] - [state.x, state.y]
        seen = np.isin(agents.kinds, _VEHICLES) & ((offset**2).sum(axis=1) < SIGHT_M**2)
        vehicles = agents.select(np.flatnonzero(seen))
        if not len(vehicles):
            return []
        clock = _Clock.of(self._route, front, self._front_m, speed, desired)
        found = []
        for index in near:
            passage = self._passage(int(index))
            meeting = [
                foe.ours_from_s
                for foe in passage.foes
                if self._holds(passage, foe, front, clock, vehicles, signal_states)
            ]
            if meeting:
                gap = _hold(passage.stop_s, min(meeting), front, speed)
                if gap is not None:
                    found.append(gap)
        return found

    def _holds(
        self,
        passage: _Passage,
        foe: _FoePath,
        front: float,
        clock: _Clock,
        vehicles: AgentsNow,
        signal_states: np.ndarray,
    ) -> bool:
        """Whether anybody on a foe's path has priority and would be in our way."""
        if not foe.meets or front > foe.ours_from_s or not _has_priority(passage, foe, signal_states):
            return False
        here, along = _on_path(foe, vehicles)
        if not len(here):
            return False
        movers = vehicles.select(here)
        half = movers.sizes[:, 0].astype(np.float64) / 2
        pace = np.hypot(movers.velocities[:, 0], movers.velocities[:, 1]).astype(np.float64)
        waiting = along + half < foe.line_m + 1.0
        if len(foe.rows) and _shows(signal_states, foe.rows) == SignalState.GREEN:
            pace = np.where(waiting & (along + half > foe.line_m - 15.0), np.maximum(pace, GREEN_START_MPS), pace)
        enter, leave = foe.enter_m - along - half, foe.leave_m - along + half
        coming = (pace > CREEPING_MPS) & (leave > 0) & _may_go(foe, movers.lights)
        arrives = _time_to(enter, pace, pace + 4.0, FOE_ACCEL_MPS2)
        slow = np.maximum(pace, 1.0)
        ours_in = clock.at(foe.ours_from_s, early=True)
        if foe.joins:
            behind = JOIN_AFTER_S + SLOWER_S * np.maximum(pace - clock.speed_at(foe.ours_from_s), 0.0) * np.maximum(
                arrives, 1.0
            )
            passed = (enter + 2 * half) / slow
            clash = (passed > 0) & (arrives - ours_in < behind) & (ours_in < passed + JOIN_BEFORE_S)
        else:
            ours_out = clock.at(foe.ours_to_s + self._vehicle.length_m, early=False)
            clash = (arrives < ours_out + AFTER_US_S) & (ours_in < leave / slow + BEFORE_US_S)
        return bool((coming & clash).any())

    # What the map tells ----------------------------------------------------------------------------------------------

    def _passage(self, index: int) -> _Passage:
        """Built when the ego first comes near; a log drives through a few of the junctions around it only."""
        if index not in self._passages:
            self._passages[index] = self._build(self._route.junctions[index])
        return self._passages[index]

    def _build(self, turn: Turn) -> _Passage:
        route = self._route
        incoming = route.lane_ids[max(route.lane_at(turn.start_s + 1e-6) - 1, 0)]
        before = (self._sign_s > turn.start_s - SIGN_BEFORE_M) & (self._sign_s < turn.start_s + 0.1)
        rows = np.flatnonzero(before)
        approach = float(route.at(turn.start_s - 1.0)[2])
        return _Passage(
            turn=turn,
            stop_s=float(min([turn.start_s, *self._sign_s[rows]])),
            rows=rows,
            is_minor=incoming in self._painted,
            foes=tuple(self._foe(way, turn, approach) for way in other_ways(self._lanes, route, turn)),
        )

    def _foe(self, way: Way, turn: Turn, approach: float) -> _FoePath:
        """A way through a junction of ours, and where the two meet."""
        route = self._route
        s = np.arange(max(turn.start_s - 1.0, 0.0), min(turn.end_s + BEYOND_M, route.length_m), 0.5)
        ours = route.at(s)[:, :2]
        inside = resample(joined_line(way.inside), FOE_STEP_M / 2)
        distance = np.hypot(ours[:, None, 0] - inside[None, :, 0], ours[:, None, 1] - inside[None, :, 1])
        meets = distance < (self._vehicle.width_m + FOE_WIDTH_M) / 2 + SIDE_GAP_M
        mine, theirs = np.flatnonzero(meets.any(axis=1)), np.flatnonzero(meets.any(axis=0))
        before = joined_line(upstream(self._lanes, way.approach, FOE_SIGHT_M))
        whole = resample(np.concatenate([before, inside[1:]]), FOE_STEP_M)
        tangents = np.gradient(whole, axis=0)
        line_m, inside_m = (np.append(0.0, np.cumsum(np.hypot(*np.diff(line, axis=0).T))) for line in (before, inside))
        controlled = [row for row, lanes in enumerate(self._signals.stop_lane_ids) if way.approach.id in lanes]
        return _FoePath(
            xy=whole,
            headings=np.arctan2(tangents[:, 1], tangents[:, 0]),
            step_m=float(line_m[-1] + inside_m[-1]) / (len(whole) - 1),
            line_m=float(line_m[-1]),
            meets=bool(meets.any()),
            enter_m=float(line_m[-1] + inside_m[theirs].min(initial=np.inf)),
            leave_m=float(line_m[-1] + inside_m[theirs].max(initial=-np.inf)),
            ours_from_s=float(s[mine].min(initial=np.inf)),
            ours_to_s=float(s[mine].max(initial=-np.inf)),
            joins=way.exit in route.lane_ids,
            maneuver=way.maneuver,
            options=frozenset(other.maneuver for other in ways_of(self._lanes, way.approach)),
            angle=way.angle_to(approach),
            rows=np.array(controlled, np.int64),
            is_minor=way.approach.id in self._painted,
        )


_VEHICLES = np.array([int(kind) for kind in AgentKind if kind.is_vehicle], np.uint8)


# Who goes first ------------------------------------------------------------------------------------------------------


def _has_priority(passage: _Passage, foe: _FoePath, signal_states: np.ndarray) -> bool:
    ours, theirs = _shows(signal_states, passage.rows), _shows(signal_states, foe.rows)
    turns_left = passage.turn.maneuver is Maneuver.TURN_LEFT and foe.maneuver is not Maneuver.TURN_LEFT
    oncoming = bool(abs(foe.angle) > OPPOSITE_RAD)
    if ours in _COLOURS or theirs in _COLOURS:
        return theirs in (SignalState.GREEN, SignalState.AMBER) and turns_left and oncoming
    our_rank = 0 if ours.is_sign or passage.is_minor else 1
    their_rank = 0 if theirs.is_sign or foe.is_minor else 1
    if our_rank != their_rank:
        return their_rank > our_rank
    return turns_left if oncoming else bool(foe.angle > 0 and abs(foe.angle) > TURN_ANGLE_RAD)


_COLOURS = (SignalState.GREEN, SignalState.AMBER, SignalState.RED)


def _shows(signal_states: np.ndarray, rows: np.ndarray) -> SignalState:
    """What an approach sees: the colour that holds it most, or its sign; OFF without any."""
    return SignalState(int(signal_states[rows].max())) if len(rows) else SignalState.OFF


def _may_go(foe: _FoePath, lights: np.ndarray) -> Bool[np.ndarray, "M"]:
    """Whether vehicles mean to take this path, by their indicators."""
    if len(foe.options) < 2:
        return np.ones(len(lights), bool)
    left, right = (lights & Lights.LEFT) > 0, (lights & Lights.RIGHT) > 0
    if foe.maneuver is Maneuver.TURN_LEFT:
        return left
    if foe.maneuver is Maneuver.TURN_RIGHT:
        return right
    return ~(left ^ right)


def _on_path(foe: _FoePath, vehicles: AgentsNow) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the vehicles on a path and the arc lengths of their centres."""
    dx = vehicles.poses[:, :1] - foe.xy[:, 0]
    dy = vehicles.poses[:, 1:2] - foe.xy[:, 1]
    squared = dx * dx + dy * dy
    place = squared.argmin(axis=1)
    near = squared[np.arange(len(place)), place] < ON_PATH_M**2
    aligned = np.cos(vehicles.poses[:, 2] - foe.headings[place]) > ON_PATH_COS
    rows = np.flatnonzero(near & aligned)
    return rows, place[rows] * foe.step_m


# When and where ------------------------------------------------------------------------------------------------------


def _has_stopped(state: BicycleState, speed: float, distance: float) -> bool:
    """Whether the car has stood in the zone before the line: it stands there, or speeds up as from a start in it."""
    if distance > STOP_ZONE_M:
        return False
    standing = speed < STANDING_MPS and abs(float(state.ax)) < SETTLED_MPS2
    starting = float(state.ax) > 0 and speed**2 <= 2 * STARTING_MPS2 * (STOP_ZONE_M - distance)
    return standing or starting


def _hold(stop_s: float, meet_s: float, front: float, speed: float) -> float | None:
    """Gap to the stop line, or past it to where paths meet; None where it is too late to stop."""
    for place, decel in ((stop_s, COMFORT_DECEL_MPS2), (meet_s, HARD_DECEL_MPS2)):
        distance = place - front
        if distance > 0 and _decel(speed, distance) < decel:
            return distance + MIN_GAP_M - STOP_LINE_GAP_M
    return None


def _decel(speed: float, distance: float) -> float:
    return speed**2 / (2 * max(distance, 0.05))


def _time_to(
    distance: float | np.ndarray, speed: float | np.ndarray, top: float | np.ndarray, accel: float
) -> Float64[np.ndarray, "..."]:
    """Seconds to drive some metres, speeding up to `top` (a faster car keeps its speed)."""
    distance = np.maximum(distance, 0.0)
    top = np.maximum(top, speed)
    ramp_s = (top - speed) / accel
    ramp_m = (speed + top) / 2 * ramp_s
    within = (np.sqrt(speed**2 + 2 * accel * np.minimum(distance, ramp_m)) - speed) / accel
    return np.where(distance < ramp_m, within, ramp_s + (distance - ramp_m) / np.maximum(top, 0.1))
