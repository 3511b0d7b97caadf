"""The expert: a rule-based driver that sees the true state of the world.

It follows its route and answers, at each step, with the smallest of these accelerations: Intelligent Driver Model towards
whatever is in its swept corridor or about to enter it, towards red and amber signals, and towards the speed that limit and
curves allow. It steers by the curvature of its path; the motion is that of the kinematic bicycle, so a log can always be
driven by the same dynamics. (The regulator of `dynamics.lqr` cuts corners of 7 m radius by 1 m: too much for a teacher.)

The command is a pure function of the ego state, the agents and signals at that step and the route, so it can be re-run
from any step of a log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.dynamics.bicycle import ACCELERATION_LAG_S, BicycleState
from eyesup.dynamics.idm import IDMParameters, idm_acceleration
from eyesup.dynamics.lqr import DT_S
from eyesup.types import PACIFICA, AgentKind, Lights, RoadMap, Signals, SignalState, VehicleGeometry
from eyesup.world.agents_now import AgentsNow as AgentsNow
from eyesup.world.passing import YIELD_DECEL_MPS2, Lateral, Passing
from eyesup.world.path_frame import CORRIDOR_MARGIN_M, PATH_AHEAD_M, PATH_BACK_M, OnPath, Strip
from eyesup.world.right_of_way import RightOfWay
from eyesup.world.route import PATH_STEP_M, Route

DRIVER = IDMParameters(
    min_gap_m=2.0, headway_s=1.4, max_accel_mps2=1.6, comfort_decel_mps2=2.2, max_brake_mps2=7.0
)  # emergency braking ends at 7 m/s^2
SIGHT_M = 70.0  # agents farther away are ignored
NOTICE_DECEL_MPS2 = 0.9  # something slower ahead matters once it asks for this much braking, or within the headway
CURVE_BRAKE_MPS2 = 3.0
PREVIEW_S = 0.4  # the speed limit is read this far ahead: the actuators lag
AMBER_DECEL_MPS2 = 3.0  # amber: stop if this suffices
RED_DECEL_MPS2 = 6.5  # red: go on only if even this does not suffice
STOP_LINE_GAP_M = 1.0  # the front comes to rest this far before the line
STANDING_MPS, START_ACCEL_MPS2 = 0.05, 1.1  # a standing car starts only when asked for this much: it does not creep
CREEP_MPS, FINAL_BRAKE_MPS2 = 0.3, 0.8  # a car this slow that brakes comes to rest this fast
MIN_REACH_M, REACH_S = 4.5, 0.8  # length over which the steering corrects an offset
STEERING_PREVIEW_S = 0.25  # the actuators lag
MAX_STEERING_RATE_RPS = 0.9
CUT_IN_S = 1.5
PREDICTION_S = np.arange(0.3, 3.31, 0.3)
PREDICTION_SLACK_S = 0.6  # arrivals closer in time than this are a conflict
CROSSING_MARGIN_M = 0.3
ONCOMING_MPS = 12.0  # what comes towards us counts as at most this fast
SOFT_BRAKING = 1.3  # braking behind what cannot be passed yet, as a share of what is needed
FOE_STOPS_MPS2 = 5.0  # a vehicle that would have to brake harder than this for its red light will run it
BRAKING_FOE_MPS2 = 2.0  # deceleration assumed of a crossing vehicle whose brake lights are on
ALIGNED = np.cos(np.deg2rad(50.0))


@dataclass(frozen=True)
class _View:
    """The road as it lies ahead at one step.

    Attributes:
        s, front: Arc length of the rear axle and of the front bumper [m].
        speed, desired: Of the ego, and what it would drive on a free road [m/s].
        near: Agents within sight.
        strip: The path to follow.
        placed: The near agents on it.
        lateral: Whether and how it leaves the route.
    """

    s: float
    front: float
    speed: float
    desired: float
    near: AgentsNow
    strip: Strip
    placed: OnPath
    lateral: Lateral


class Expert:
    """Drives one route.

    Args:
        route: What to follow.
        cruise_mps: Speed it likes on a free road.
        signals: Traffic signals (only their places are read here; colours come with each command).
        road_map: Lanes that the signals control.
        vehicle: Size of the ego.
    """

    def __init__(
        self, route: Route, cruise_mps: float, signals: Signals, road_map: RoadMap, vehicle: VehicleGeometry = PACIFICA
    ) -> None:
        self.route, self.cruise_mps, self.vehicle = route, cruise_mps, vehicle
        self._front_m = vehicle.front_m
        self._bulge = _front_swing(route.curvatures, self._front_m)
        self._stop_s = _stops_on_route(route, signals)
        self._held_rows, self._held_ends = _controlled_lane_ends(signals, road_map)
        self._right_of_way = RightOfWay(route, signals, road_map, vehicle)
        self._passing = Passing(route, road_map, vehicle)

    def command(self, state: BicycleState, agents: AgentsNow, signal_states: np.ndarray) -> tuple[float, float]:
        """Acceleration [m/s^2] and steering rate [rad/s] for the next step.

        Args:
            state: Ego, rear axle.
            agents: Everything present now.
            signal_states: (S,) colours now, in the order of the signals.
        """
        s = self.route.project(state.x, state.y, state.heading)
        speed = max(float(state.vx), 0.0)
        desired = min(self.cruise_mps, self.route.speed_limit_at(s + PREVIEW_S * speed))
        offset_x, offset_y = agents.poses[:, 0] - state.x, agents.poses[:, 1] - state.y
        near = agents.select(np.flatnonzero(offset_x**2 + offset_y**2 < SIGHT_M**2))
        strip = self._strip(s)
        placed = strip.place(near.poses, near.sizes)
        lateral = self._passing.plan(state, s, speed, desired, agents, near, placed)
        if lateral.path is not None:
            strip = lateral.path.displace(strip, self._front_m)
            placed = strip.place(near.poses, near.sizes)
        view = _View(s, s + self._front_m, speed, min(desired, lateral.speed_mps), near, strip, placed, lateral)
        return self._acceleration(state, view, agents, signal_states), self._steering_rate(state, view)

    # Along the path --------------------------------------------------------------------------------------------------

    def _acceleration(self, state: BicycleState, view: _View, agents: AgentsNow, signal_states: np.ndarray) -> float:
        speed, desired = view.speed, view.desired
        accel = max(float(idm_acceleration(speed, desired, params=DRIVER)), -CURVE_BRAKE_MPS2)
        gaps, lead_speeds = self._obstacles(state, view, agents, signal_states)
        if len(gaps):
            towards = idm_acceleration(speed, desired, gaps, lead_speeds, DRIVER)
            closing = np.maximum(speed - lead_speeds, 0.0)
            needed = closing**2 / (2 * np.maximum(gaps - DRIVER.min_gap_m, 0.1))
            if view.lateral.keep_back_m is not None:  # it gave up passing, maybe late: no harder than it takes
                towards = np.maximum(towards, -SOFT_BRAKING * needed - 0.3)
            noticed = (needed > NOTICE_DECEL_MPS2) | (gaps < DRIVER.min_gap_m + DRIVER.headway_s * speed)
            accel = min(accel, float(np.where(noticed, towards, np.inf).min()))
        if view.lateral.make_way and not self._would_stop_in_junction(view):
            accel = min(accel, -YIELD_DECEL_MPS2)
        if speed < STANDING_MPS and accel < START_ACCEL_MPS2:
            accel = -np.inf
        elif speed < CREEP_MPS and (accel < 0 or (state.ax < 0 and accel < START_ACCEL_MPS2)):
            accel = min(accel, -FINAL_BRAKE_MPS2)
        return max(accel, _standstill_command(state))

    def _obstacles(
        self, state: BicycleState, view: _View, agents: AgentsNow, signal_states: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gaps from the front bumper [m] and speeds along the path [m/s] of everything to follow or to stop for."""
        lights = self._stop_gaps(view.front, view.speed, signal_states)
        waits = self._right_of_way.gaps(state, view.front, view.speed, view.desired, agents, signal_states)
        stops = np.concatenate([lights, waits])
        gaps = [stops, np.array([self.route.length_m - view.front])]
        speeds = [np.zeros(len(stops) + 1)]
        if len(view.near):
            lead_gaps, lead_speeds, leading = self._leaders(view)
            crossing = self._crossing_gaps(view, ~leading, signal_states)
            gaps += [lead_gaps, crossing]
            speeds += [lead_speeds, np.zeros(len(crossing))]
        return np.concatenate(gaps), np.concatenate(speeds)

    def _would_stop_in_junction(self, view: _View) -> bool:
        """Whether the car would come to rest in a junction if it made way from here."""
        rest = view.front + view.speed**2 / (2 * YIELD_DECEL_MPS2)
        return bool(self.route.in_junction(np.array([rest, rest - self.vehicle.length_m])).any())

    def _stop_gaps(self, front: float, speed: float, signal_states: np.ndarray) -> np.ndarray:
        """Gaps to the stop lines that hold us."""
        distance = self._stop_s - front
        needed = speed**2 / (2 * np.maximum(distance, 0.05))
        red = (signal_states == SignalState.RED) & (needed < RED_DECEL_MPS2)
        amber = (signal_states == SignalState.AMBER) & (needed < AMBER_DECEL_MPS2)
        held = (distance > 0) & (distance < SIGHT_M) & (red | amber)
        return distance[held] + DRIVER.min_gap_m - STOP_LINE_GAP_M

    def _leaders(self, view: _View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Agents in the corridor, or drifting into it, ahead of us, but for those that the path goes around."""
        agents, placed, s, front = view.near, view.placed, view.s, view.front
        along = agents.velocities[:, 0] * placed.cos + agents.velocities[:, 1] * placed.sin
        across = agents.velocities[:, 1] * placed.cos - agents.velocities[:, 0] * placed.sin
        heading_along = np.abs(along) > ALIGNED * np.hypot(agents.velocities[:, 0], agents.velocities[:, 1])
        drifted = placed.in_corridor(placed.lateral + np.where(heading_along, across, 0.0) * CUT_IN_S)
        ahead = (placed.s > s + self.vehicle.rear_axle_to_center_m) & (placed.s - placed.half_along < s + PATH_AHEAD_M)
        clear_of_us = placed.s - placed.half_along > front - 1.0  # a drift counts only from ahead, not from beside us
        now = placed.in_corridor(placed.lateral)
        leading = ahead & (now | (drifted & clear_of_us & (along > 0.5)))
        gap, slowest = placed.s - placed.half_along - front, 0.0
        gap = gap + np.where(now, 0.0, np.maximum(along - view.speed, 0.0) * CUT_IN_S)  # as it will be once in
        lateral = view.lateral
        if lateral.ignored is not None:
            leading &= ~lateral.ignored
            slowest = -ONCOMING_MPS  # on the oncoming lane what comes closes the gap too
        if lateral.keep_back_m is not None:
            gap = gap - lateral.keep_back_m
        return gap[leading], np.maximum(along[leading], slowest), leading

    def _crossing_gaps(self, view: _View, candidates: np.ndarray, signal_states: np.ndarray) -> np.ndarray:
        """Gaps to where agents will cross our path at about the time when we would be there (constant velocity)."""
        agents, placed, front, speed, desired = view.near, view.placed, view.front, view.speed, view.desired
        if view.lateral.ignored is not None:
            candidates = candidates & ~view.lateral.ignored
        pace = np.hypot(agents.velocities[:, 0], agents.velocities[:, 1])
        behind = (placed.s + placed.half_along < front) & (np.abs(placed.lateral) < 2.0) & (placed.turn_cos > 0.8)
        rows = np.flatnonzero(candidates & (pace > 0.3) & ~behind & ~self._held_by_red(agents, signal_states))
        rows = rows[~self._right_of_way.foreseen(front, agents.select(rows), signal_states)]
        if not len(rows):
            return np.zeros(0)
        movers = agents.select(rows)
        future = self._predict(movers)  # (M, H, 3)
        there = view.strip.place(future.reshape(-1, 3), np.repeat(movers.sizes, len(PREDICTION_S), axis=0))
        shape = (len(rows), len(PREDICTION_S))
        low, high = (there.s - there.half_along).reshape(shape), (there.s + there.half_along).reshape(shape)
        inside = there.in_corridor(there.lateral, CROSSING_MARGIN_M).reshape(shape)
        on_foot = np.isin(movers.kinds, (AgentKind.PEDESTRIAN, AgentKind.BICYCLE))[:, None]
        inside &= on_foot | self.route.in_junction(there.s, 2.0).reshape(shape)
        rear_then = self._distance_going(np.maximum(PREDICTION_S - PREDICTION_SLACK_S, 0), speed, desired) + front
        front_then = self._distance_going(PREDICTION_S + PREDICTION_SLACK_S, speed, desired) + front
        meets = (
            inside & (low - 1.0 < front_then) & (high + 1.0 > rear_then - self.vehicle.length_m) & (low > front - 1.0)
        )
        first = np.where(meets, low, np.inf).min(axis=1)
        return first[np.isfinite(first)] - front

    def _distance_going(self, times: np.ndarray, speed: float, desired: float) -> np.ndarray:
        """Metres driven by then, speeding up to the desired speed where we are slower."""
        gain = max(desired - speed, 0.0)
        ramp = np.minimum(times, gain / DRIVER.max_accel_mps2)
        return speed * times + DRIVER.max_accel_mps2 * ramp * (times - ramp / 2)

    def _predict(self, agents: AgentsNow) -> np.ndarray:
        """(M, H, 3) poses at constant velocity; vehicles that show brake lights slow down."""
        pace = np.hypot(agents.velocities[:, 0], agents.velocities[:, 1])[:, None]
        slowing = np.where((agents.lights & Lights.BRAKE) > 0, BRAKING_FOE_MPS2, 0.0)[:, None]
        times = np.minimum(PREDICTION_S, pace / np.maximum(slowing, 1e-6))
        share = (times - 0.5 * slowing * times**2 / pace)[..., None]  # of the velocity vector, in seconds
        xy = agents.poses[:, None, :2] + share * agents.velocities[:, None]
        return np.concatenate([xy, np.broadcast_to(agents.poses[:, None, 2:], (*xy.shape[:2], 1))], axis=-1)

    def _held_by_red(self, agents: AgentsNow, signal_states: np.ndarray) -> np.ndarray:
        """(M,) vehicles in front of a red light of their own lane that can and will stop at it: those without a beacon."""
        red = signal_states[self._held_rows] == SignalState.RED
        ends = self._held_ends[red]
        if not len(ends):
            return np.zeros(len(agents), bool)
        dx, dy = ends[:, 0] - agents.poses[:, :1], ends[:, 1] - agents.poses[:, 1:2]
        along, across = dx * ends[:, 2] + dy * ends[:, 3], dy * ends[:, 2] - dx * ends[:, 3]
        facing = np.cos(agents.poses[:, 2:]) * ends[:, 2] + np.sin(agents.poses[:, 2:]) * ends[:, 3]
        left = np.maximum(along - 0.5 * agents.sizes[:, :1] + STOP_LINE_GAP_M, 0.1)
        stops = (agents.velocities**2).sum(axis=1)[:, None] < 2 * FOE_STOPS_MPS2 * left
        before = (along > 0) & (along < 50.0) & (np.abs(across) < 1.6) & (facing > 0.8)
        return (before & stops).any(axis=1) & ((agents.lights & Lights.BEACON) == 0)

    # Path coordinates ------------------------------------------------------------------------------------------------

    def _strip(self, s: float) -> Strip:
        first = max(int((s - PATH_BACK_M) / PATH_STEP_M), 0)
        rows = slice(first, int((s + PATH_AHEAD_M) / PATH_STEP_M) + 1, 2)
        heading, bulge = self.route.headings[rows], self._bulge[rows]
        half = self.vehicle.width_m / 2 + CORRIDOR_MARGIN_M
        return Strip(
            s=np.arange(first, first + 2 * len(heading), 2) * PATH_STEP_M, x=self.route.xy[rows, 0], y=self.route.xy[rows, 1],
            cos=np.cos(heading), sin=np.sin(heading), left=half + np.maximum(-bulge, 0.0), right=half + np.maximum(bulge, 0.0),
        )  # fmt: skip

    # Across the path -------------------------------------------------------------------------------------------------

    def _steering_rate(self, state: BicycleState, view: _View) -> float:
        """Curvature of the path a moment ahead, corrected for offset and heading; critically damped in distance.

        With offset d and heading error e of the rear axle, d' = e and e' = kappa - kappa_path per metre driven, so
        kappa = kappa_path - d / l^2 - 2 e / l brings both to zero over a few l.
        """
        s, speed, path = view.s, view.speed, view.lateral.path
        x, y, heading = self.route.at(s)
        offset = (state.y - y) * np.cos(heading) - (state.x - x) * np.sin(heading)
        bend = self.route.curvature_at(s + STEERING_PREVIEW_S * speed)
        if path is not None:
            beside, slope, _ = path.at(s)
            offset, heading = offset - beside, heading + np.arctan(slope)
            bend += float(path.at(s + STEERING_PREVIEW_S * speed)[2])
        error = np.sin(state.heading - heading)
        reach = max(MIN_REACH_M, REACH_S * speed)
        curvature = bend - offset / reach**2 - 2 * error / reach
        target = np.arctan(self.vehicle.wheel_base_m * curvature)
        return float(np.clip((target - state.steering) / DT_S, -MAX_STEERING_RATE_RPS, MAX_STEERING_RATE_RPS))


def _standstill_command(state: BicycleState) -> float:
    """The hardest braking that does not roll backwards, given the lag of throttle and brake."""
    gain = DT_S / (DT_S + ACCELERATION_LAG_S)
    return float(max(state.ax + (-state.vx / DT_S - state.ax) / gain, -DRIVER.max_brake_mps2))


def _front_swing(curvatures: np.ndarray, front_m: float) -> np.ndarray:
    """How far the front bumper's middle is to the right of the path when it passes each row [m] (small angles)."""
    lags = np.arange(int(front_m / PATH_STEP_M))
    kernel = (lags + 0.5) * PATH_STEP_M * PATH_STEP_M
    return np.convolve(curvatures, kernel)[: len(curvatures)]


def _stops_on_route(route: Route, signals: Signals) -> np.ndarray:
    """(S,) arc length of each signal's stop line on the route, inf where it does not control the route."""
    ends = dict(zip(route.lane_ids, route.lane_end_s))
    stops = [[ends[lane] for lane in lanes if lane in ends] for lanes in signals.stop_lane_ids]
    return np.array([min(found, default=np.inf) for found in stops], np.float64)


def _controlled_lane_ends(signals: Signals, road_map: RoadMap) -> tuple[np.ndarray, np.ndarray]:
    """Signal row and (x, y, cos, sin) of the end of every lane that a signal controls."""
    known = {lane.id: lane for lane in road_map.lanes}
    rows, ends = [], []
    for row, lanes in enumerate(signals.stop_lane_ids):
        for lane in (known[name] for name in lanes if name in known):
            step = lane.centerline[-1] - lane.centerline[-2]
            rows.append(row)
            ends.append([*lane.centerline[-1], *(step / np.linalg.norm(step))])
    return np.array(rows, np.int64), np.array(ends, np.float64).reshape(-1, 4)
