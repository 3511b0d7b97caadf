import numpy as np
import pytest

from eyesup.dynamics.bicycle import BicycleState, step_bicycle
from eyesup.types import AgentKind, Lane, Lights, Maneuver, RoadMap, Signals, SignalState
from eyesup.world.expert import AgentsNow, Expert
from eyesup.world.route import draw_lane_chain, make_route, straightened
from eyesup.world.splits import load_town

STRAIGHT = Lane("road_0", np.array([[0.0, 0.0], [400.0, 0.0]]), 3.5, 14.0)
ROAD = RoadMap((STRAIGHT,))
DARK = np.zeros(0, np.uint8)
FRONT_M = 1.461 + 2.588


def _crowd(*rows):
    """Agents from (kind, length, width, x, y, heading, speed, lights)."""
    rows = list(rows)
    kinds = np.array([row[0] for row in rows], np.uint8)
    sizes = np.array([(row[1], row[2], 1.5) for row in rows], np.float32).reshape(-1, 3)
    poses = np.array([row[3:6] for row in rows], np.float64).reshape(-1, 3)
    speed = np.array([row[6] for row in rows])
    velocities = (speed[:, None] * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], -1)).astype(np.float32)
    return AgentsNow(kinds, sizes, poses, velocities, np.array([row[7] for row in rows], np.uint8))


NOBODY = _crowd()


def _car(x, y, heading=0.0, speed=0.0, lights=Lights.NONE):
    return AgentKind.CAR, 4.6, 1.8, x, y, heading, speed, lights


def _expert(signals=None, road_map=ROAD, lanes=("road_0",)):
    return Expert(make_route(road_map, lanes), 10.0, signals or Signals.empty(1), road_map)


def _drive(expert, state, agents=NOBODY, colours=DARK, steps=100):
    states = [state]
    for _ in range(steps):
        states.append(step_bicycle(states[-1], *expert.command(states[-1], agents, colours)))
    return states


def test_reaches_and_holds_its_cruising_speed():
    states = _drive(_expert(), BicycleState(10.0, 0.0, 0.0, vx=5.0), steps=250)
    assert states[-1].vx == pytest.approx(10.0, abs=0.3)
    assert max(state.vx for state in states) < 10.2


def test_stops_behind_a_standing_car_and_stays():
    states = _drive(_expert(), BicycleState(10.0, 0.0, 0.0, vx=10.0), _crowd(_car(90.0, 0.0)), steps=250)
    gap = 90.0 - 2.3 - states[-1].x - FRONT_M
    assert 1.0 < gap < 4.0
    assert all(state.vx == pytest.approx(0.0, abs=1e-9) for state in states[-20:])
    assert min(state.vx for state in states) > -1e-9


def test_car_beside_the_road_changes_nothing():
    alone = _drive(_expert(), BicycleState(10.0, 0.0, 0.0, vx=10.0))
    beside = _drive(_expert(), BicycleState(10.0, 0.0, 0.0, vx=10.0), _crowd(_car(60.0, 4.5), _car(80.0, -4.5)))
    assert alone[-1] == beside[-1]


def test_waits_for_a_pedestrian_about_to_cross_but_not_for_one_walking_along():
    start = BicycleState(10.0, 0.0, 0.0, vx=10.0)
    walker = (AgentKind.PEDESTRIAN, 0.5, 0.6, 36.0, -3.5)
    crossing, _ = _expert().command(start, _crowd((*walker, np.pi / 2, 1.4, 0)), DARK)
    along, _ = _expert().command(start, _crowd((*walker, 0.0, 1.4, 0)), DARK)
    assert crossing < -2.0
    assert along > -0.1


@pytest.mark.parametrize(
    ("colour", "distance_m", "stops"),
    [
        (SignalState.RED, 30.0, True), (SignalState.AMBER, 30.0, True), (SignalState.GREEN, 30.0, False),
        (SignalState.AMBER, 12.0, False), (SignalState.RED, 5.0, False),
    ],
)  # fmt: skip
def test_answers_signals_that_it_can_still_answer(colour, distance_m, stops):
    signals = Signals(
        np.array([7]), np.zeros((1, 4)), np.zeros((1, 1), np.uint8), (("road_0",),), np.array([[400.0, 0.0]])
    )
    lane = Lane("road_0", np.array([[0.0, 0.0], [100.0, 0.0]]), 3.5, 14.0, successors=("next_0",))
    onward = Lane("next_0", np.array([[100.0, 0.0], [400.0, 0.0]]), 3.5, 14.0)
    expert = _expert(signals, RoadMap((lane, onward)), ("road_0", "next_0"))
    start = BicycleState(100.0 - FRONT_M - distance_m, 0.0, 0.0, vx=10.0)
    states = _drive(expert, start, colours=np.array([colour], np.uint8), steps=120)
    if stops:
        assert 0.3 < 100.0 - FRONT_M - states[-1].x < 2.5
        assert min(state.ax for state in states) > -6.0
    else:
        assert states[60].x + FRONT_M > 100.0


def test_stays_near_its_path_and_within_lateral_comfort_through_turns():
    town = load_town("random", 100)
    turning = 0
    for seed in range(12):
        chain = draw_lane_chain(town.road_map, np.random.default_rng(seed), 180.0)
        if chain is None:
            continue
        route = make_route(town.road_map, chain)
        turning += any(turn.maneuver is not Maneuver.KEEP_FORWARD for turn in route.junctions)
        expert = Expert(route, 10.0, Signals.empty(1), town.road_map)
        x, y, heading = (float(value) for value in route.at(2.0))
        for state in _drive(expert, BicycleState(x, y, heading, vx=min(8.0, route.speed_limit_at(3.0))), steps=150):
            px, py, angle = route.at(route.project(state.x, state.y, state.heading))
            assert abs((state.y - py) * np.cos(angle) - (state.x - px) * np.sin(angle)) < 0.5
            assert abs(state.vx * state.yaw_rate) < 3.0
    assert turning >= 2


def test_command_comes_from_the_route_35_m_before_a_turn():
    road = Lane("a_0", np.array([[0.0, 0.0], [100.0, 0.0]]), 3.5, 14.0, successors=(":j_0",))
    angles = np.linspace(0, np.pi / 2, 12)
    arc = np.array([100.0, 0.0]) + 12 * np.stack([np.sin(angles), 1 - np.cos(angles)], -1)
    inside = Lane(":j_0", arc, 3.5, 7.0, successors=("b_0",), is_junction=True)
    onward = Lane("b_0", np.array([[112.0, 12.0], [112.0, 90.0]]), 3.5, 14.0)
    route = make_route(RoadMap((road, inside, onward)), ("a_0", ":j_0", "b_0"))
    assert route.maneuver_at(60.0) is Maneuver.KEEP_FORWARD
    assert route.maneuver_at(70.0) is Maneuver.TURN_LEFT
    assert route.maneuver_at(110.0) is Maneuver.TURN_LEFT
    assert route.maneuver_at(130.0) is Maneuver.KEEP_FORWARD
    assert route.speed_limit_at(105.0) == pytest.approx(np.sqrt(2.0 * 12.0), rel=0.15)


def test_straightened_route_leaves_the_road_along_its_tangent():
    town = load_town("bend_left", 1000)
    route = make_route(town.road_map, ("main_0",))
    ahead = straightened(route, 240.0)
    x, y, heading = ahead.at(30.0 + 60.0)  # 30 m of the old road are kept
    assert float(x) == pytest.approx(50.0, abs=0.5)
    assert float(heading) == pytest.approx(0.0, abs=1e-3)
    assert float(y) == pytest.approx(float(route.at(240.0)[1]), abs=0.05)
