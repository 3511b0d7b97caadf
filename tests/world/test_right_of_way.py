"""Signs and priority on hand-made junctions: where the expert must stop, and for whom."""

import numpy as np
import pytest

from eyesup.dynamics.bicycle import BicycleState, step_bicycle
from eyesup.types import PACIFICA, AgentKind, Lane, Lights, Maneuver, RoadMap, Signals, SignalState, StopLine
from eyesup.world.agents_now import AgentsNow
from eyesup.world.expert import Expert
from eyesup.world.junctions import downstream, other_ways, upstream, ways_of
from eyesup.world.right_of_way import RightOfWay
from eyesup.world.route import make_route

FRONT_M = PACIFICA.rear_axle_to_center_m + PACIFICA.length_m / 2
LINE_M = 91.0  # our stop line lies at x = -9
DARK = np.zeros(0, np.uint8)


def _arc(start, heading, radius, side, steps=12):
    """A quarter turn from `start`; side +1 left, -1 right."""
    angles = np.linspace(0, np.pi / 2, steps)
    ahead, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    return np.array(start) + radius * (np.sin(angles)[:, None] * ahead + side * (1 - np.cos(angles))[:, None] * left)


def _crossroads(painted=("w_in", "e_in")):
    """Four arms of 100 m, one lane each way, driving on the right; lanes `w_in`, `e_out` and so on.

    Each approach ends 9 m from the middle. Lanes inside: ``:j_<arm><l|s|r>``. `painted` are the lanes with a stop line.
    """
    arms = {"w": 0.0, "s": np.pi / 2, "e": np.pi, "n": -np.pi / 2}  # heading of who comes in
    lanes, edge, offset = [], 9.0, 1.75
    exits = {}
    for name, heading in arms.items():
        ahead, right = np.array([np.cos(heading), np.sin(heading)]), np.array([np.sin(heading), -np.cos(heading)])
        line = np.array([-100.0 * ahead + offset * right, -edge * ahead + offset * right])
        inside = {kind: f":j_{name}{kind}" for kind in "lsr"}
        lanes.append(Lane(f"{name}_in", line, 3.5, 13.9, successors=tuple(inside.values())))
        exits[name] = (ahead, right)
        straight = np.array([line[-1], line[-1] + 2 * edge * ahead])
        names = list(arms)
        place = names.index(name)
        opposite, left, right_arm = names[(place + 2) % 4], names[(place - 1) % 4], names[(place + 1) % 4]
        for kind, way, goal in (
            ("s", straight, opposite),
            ("l", _arc(line[-1], heading, edge + offset, 1), left),
            ("r", _arc(line[-1], heading, edge - offset, -1), right_arm),
        ):
            lanes.append(Lane(inside[kind], way, 3.5, 8.0, successors=(f"{goal}_out",), is_junction=True))
    for name, (ahead, right) in exits.items():
        line = np.array([-edge * ahead - offset * right, -100.0 * ahead - offset * right])
        lanes.append(Lane(f"{name}_out", line, 3.5, 13.9))
    stops = tuple(StopLine(lane.centerline[-2:], lane.id) for lane in lanes if lane.id in painted)
    return RoadMap(lanes=tuple(lanes), stop_lines=stops)


def _signals(*rows):
    """Heads from (lane, state)."""
    count = len(rows)
    return Signals(
        np.arange(count), np.zeros((count, 4)), np.array([[state] for _, state in rows], np.uint8).reshape(count, 1),
        tuple((lane,) for lane, _ in rows), np.zeros((count, 2)),
    )  # fmt: skip


def _cars(*rows):
    """Cars from (x, y, heading, speed, lights)."""
    poses = np.array([row[:3] for row in rows], np.float64).reshape(-1, 3)
    speed = np.array([row[3] for row in rows])
    velocities = (speed[:, None] * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], -1)).astype(np.float32)
    return AgentsNow(
        np.full(len(rows), AgentKind.CAR, np.uint8), np.tile(np.float32([4.6, 1.8, 1.5]), (len(rows), 1)), poses, velocities,
        np.array([row[4] for row in rows], np.uint8),
    )  # fmt: skip


NOBODY = AgentsNow(
    np.zeros(0, np.uint8), np.zeros((0, 3), np.float32), np.zeros((0, 3)), np.zeros((0, 2), np.float32), np.zeros(0, np.uint8)
)  # fmt: skip


def _from_south(distance_m, speed, lights=Lights.NONE):
    """A car whose front is that far from its own stop line."""
    return 1.75, -9.0 - distance_m - 2.3, np.pi / 2, speed, lights


def _from_east(distance_m, speed, lights=Lights.NONE):
    return 9.0 + distance_m + 2.3, 1.75, np.pi, speed, lights


def _gaps(road_map, lanes, distance_m, speed, cars, signals=None):
    """What holds an ego that comes from the west with its front that far from its stop line."""
    route = make_route(road_map, lanes)
    signals = _signals() if signals is None else signals
    rules = RightOfWay(route, signals, road_map, PACIFICA)
    front = LINE_M - distance_m
    state = BicycleState(front - FRONT_M - 100.0, -1.75, 0.0, vx=speed)
    return rules.gaps(state, front, speed, 10.0, cars, signals.states[:, 0])


STRAIGHT, LEFT = ("w_in", ":j_ws", "e_out"), ("w_in", ":j_wl", "n_out")


def test_the_ways_through_a_crossroads():
    road_map = _crossroads()
    lanes = {lane.id: lane for lane in road_map.lanes}
    turns = {way.exit: way.maneuver for way in ways_of(lanes, lanes["w_in"])}
    assert turns == {"n_out": Maneuver.TURN_LEFT, "e_out": Maneuver.KEEP_FORWARD, "s_out": Maneuver.TURN_RIGHT}
    route = make_route(road_map, STRAIGHT)
    others = other_ways(lanes, route, route.junctions[0])
    assert {way.approach.id for way in others} == {"n_in", "e_in", "s_in"}
    angles = {way.approach.id: np.rad2deg(way.angle_to(0.0)) for way in others}
    assert angles["s_in"] == pytest.approx(90.0) and angles["n_in"] == pytest.approx(-90.0)
    assert abs(angles["e_in"]) == pytest.approx(180.0)
    assert [lane.id for lane in upstream(lanes, lanes["e_out"], 130.0)] == ["w_in", ":j_ws", "e_out"]
    assert [lane.id for lane in downstream(lanes, lanes["w_in"], 120.0)] == ["w_in", ":j_ws", "e_out"]


@pytest.mark.parametrize(
    ("car", "waits"),
    [
        (_from_south(20.0, 10.0), True),  # there when we would be
        (_from_south(75.0, 10.0), False),  # long after us
        (_from_south(20.0, 0.0), False),  # stands
        (_from_south(20.0, 10.0, Lights.RIGHT), True),  # turns right, into our lane
        (_from_south(20.0, 10.0, Lights.LEFT), True),  # turns left across us
        (_from_east(20.0, 10.0), False),  # comes towards us and goes straight on
    ],
)
def test_a_lesser_road_gives_way(car, waits):
    gaps = _gaps(_crossroads(), STRAIGHT, 20.0, 8.0, _cars(car))
    assert (len(gaps) > 0) == waits
    if waits:
        assert gaps[0] == pytest.approx(20.0 + 2.0 - 1.0)  # to rest 1 m before the line


def test_the_greater_road_does_not_wait_for_the_lesser_one():
    road_map = _crossroads(painted=("s_in", "n_in"))
    assert len(_gaps(road_map, STRAIGHT, 20.0, 8.0, _cars(_from_south(15.0, 8.0)))) == 0
    assert len(_gaps(road_map, LEFT, 20.0, 5.0, _cars(_from_east(25.0, 10.0)))) == 1  # but turning left it does


def test_among_equals_the_right_goes_first():
    road_map = _crossroads(painted=())
    from_north = (-1.75, 9.0 + 20.0 + 2.3, -np.pi / 2, 10.0, Lights.NONE)
    assert len(_gaps(road_map, STRAIGHT, 20.0, 8.0, _cars(_from_south(20.0, 10.0)))) == 1
    assert len(_gaps(road_map, STRAIGHT, 20.0, 8.0, _cars(from_north))) == 0


@pytest.mark.parametrize(
    ("lights", "waits"),
    [(Lights.NONE, True), (Lights.RIGHT, True), (Lights.LEFT, False)],
    ids=["straight", "right", "left"],
)
def test_left_turn_at_green_waits_for_oncoming_traffic(lights, waits):
    signals = _signals(("w_in", SignalState.GREEN), ("e_in", SignalState.GREEN), ("s_in", SignalState.RED))
    cars = _cars(_from_east(22.0, 9.0, lights))
    assert (len(_gaps(_crossroads(), LEFT, 15.0, 5.0, cars, signals)) > 0) == waits


def test_nobody_goes_first_at_red():
    signals = _signals(("w_in", SignalState.GREEN), ("e_in", SignalState.RED), ("s_in", SignalState.RED))
    for car in (_from_east(22.0, 9.0), _from_south(20.0, 10.0)):
        assert len(_gaps(_crossroads(), LEFT, 15.0, 5.0, _cars(car), signals)) == 0


def test_a_car_past_its_line_that_is_too_near_to_stop_goes_on():
    assert len(_gaps(_crossroads(), STRAIGHT, 0.5, 12.0, _cars(_from_south(8.0, 10.0)))) == 0


def _drive(signals, road_map, lanes=STRAIGHT, start_x=-60.0, cars=NOBODY, steps=140):
    expert = Expert(make_route(road_map, lanes), 9.0, signals, road_map)
    states = [BicycleState(start_x, -1.75, 0.0, vx=9.0)]
    for _ in range(steps):
        states.append(step_bicycle(states[-1], *expert.command(states[-1], cars, signals.states[:, 0])))
    return states


def test_stops_at_a_stop_sign_and_goes_on():
    states = _drive(_signals(("w_in", SignalState.STOP_SIGN)), _crossroads())
    speeds = np.array([state.vx for state in states])
    fronts = np.array([state.x + FRONT_M for state in states])
    standing = np.flatnonzero(speeds < 0.01)
    assert len(standing) and (np.diff(standing) == 1).all()  # once
    assert -9.0 - 3.0 < fronts[standing[0]] < -9.0
    assert fronts[-1] > 0.0  # and then across
    assert min(state.ax for state in states) > -4.0


def test_does_not_stop_for_a_yield_sign_nor_for_the_sign_of_another_road():
    for sign in (("w_in", SignalState.YIELD_SIGN), ("s_in", SignalState.STOP_SIGN)):
        assert min(state.vx for state in _drive(_signals(sign), _crossroads())) > 7.0


def test_waits_at_the_stop_sign_until_the_road_is_free():
    """A car that is always about to cross keeps the ego at the line."""
    states = _drive(_signals(("w_in", SignalState.STOP_SIGN)), _crossroads(), cars=_cars(_from_south(12.0, 8.0)))
    assert states[-1].vx == pytest.approx(0.0, abs=1e-6)
    assert states[-1].x + FRONT_M < -9.0


def test_merging_lets_the_main_road_pass_and_falls_in_behind():
    angle = np.deg2rad(20.0)
    main = Lane("m_in", np.array([[-150.0, 0.0], [-6.0, 0.0]]), 3.5, 13.9, (":j_m",))
    ramp_end = np.array([-6.0, -4.0])
    ramp = Lane(
        "r_in", np.array([ramp_end - 140.0 * np.array([np.cos(angle), np.sin(angle)]), ramp_end]), 3.5, 13.9, (":j_r",)
    )
    through = Lane(":j_m", np.array([[-6.0, 0.0], [10.0, 0.0]]), 3.5, 13.9, ("out",), is_junction=True)
    t = np.linspace(0, 1, 15)[:, None]
    bend = (1 - t) ** 2 * ramp_end + 2 * t * (1 - t) * np.array([3.0, 0.0]) + t**2 * np.array([10.0, 0.0])
    join = Lane(":j_r", bend, 3.5, 13.9, ("out",), is_junction=True)
    out = Lane("out", np.array([[10.0, 0.0], [200.0, 0.0]]), 3.5, 13.9)
    road_map = RoadMap((main, ramp, through, join, out), stop_lines=(StopLine(ramp.centerline[-2:], "r_in"),))
    expert = Expert(make_route(road_map, ("r_in", ":j_r", "out")), 11.0, Signals.empty(1), road_map)
    x, y, heading = (float(value) for value in expert.route.at(85.0))
    state, nearest = BicycleState(x, y, heading, vx=10.0), np.inf
    for step in range(120):
        there = -62.0 + 10.0 * 0.1 * step
        state = step_bicycle(state, *expert.command(state, _cars((there, 0.0, 0.0, 10.0, Lights.NONE)), DARK))
        nearest = min(nearest, float(np.hypot(state.x - there, state.y)))
    assert nearest > 5.0  # they never touch
    assert state.x < there - 8.0 and abs(state.y) < 0.5  # behind it, in its lane
    assert state.vx > 5.0
