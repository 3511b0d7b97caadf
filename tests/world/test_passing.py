import numpy as np
import pytest

from eyesup.dynamics.bicycle import BicycleState, step_bicycle
from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import PACIFICA, AgentKind, Lane, Lights, RoadMap, Signals
from eyesup.world.agents_now import AgentsNow
from eyesup.world.expert import Expert
from eyesup.world.offset_path import OffsetPath
from eyesup.world.road_room import road_room
from eyesup.world.route import make_route

WIDTH_M = 3.2
DARK = np.zeros(0, np.uint8)
OURS = Lane("road_1", np.array([[0.0, 0.0], [400.0, 0.0]]), WIDTH_M, 14.0)
THEIRS = Lane("back_1", np.array([[400.0, WIDTH_M], [0.0, WIDTH_M]]), WIDTH_M, 14.0)
TWO_WAY = RoadMap((OURS, THEIRS))
ONE_WAY = RoadMap((OURS,))
RIGHT = Lane("road_0", np.array([[0.0, -WIDTH_M], [400.0, -WIDTH_M]]), WIDTH_M, 14.0, left="road_1")
TWO_LANES = RoadMap((Lane("road_1", OURS.centerline, WIDTH_M, 14.0, right="road_0"), RIGHT, THEIRS))
START = BicycleState(10.0, 0.0, 0.0, vx=10.0)


def _car(x, y, heading=0.0, speed=0.0, lights=Lights.NONE, kind=AgentKind.CAR, size=(4.6, 1.8, 1.5)):
    return {"kind": kind, "size": size, "pose": [x, y, heading], "speed": speed, "lights": lights}


def _now(things):
    poses = np.array([thing["pose"] for thing in things], np.float64).reshape(-1, 3)
    speeds = np.array([thing["speed"] for thing in things], np.float64)
    return AgentsNow(
        np.array([thing["kind"] for thing in things], np.uint8),
        np.array([thing["size"] for thing in things], np.float32).reshape(-1, 3),
        poses,
        (speeds[:, None] * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], -1)).astype(np.float32),
        np.array([thing["lights"] for thing in things], np.uint8),
    )


def _drive(things, road_map=TWO_WAY, steps=180, state=START, cruise=10.0):
    """Ego states (T, 5): x, y, heading, speed, acceleration; whether it touched anything; the others' x (T, M)."""
    expert = Expert(make_route(road_map, ("road_1",)), cruise, Signals.empty(1), road_map)
    things = [{**thing, "pose": list(thing["pose"])} for thing in things]
    states, touched, places = [], False, []
    for _ in range(steps):
        now = _now(things)
        centre = [state.x + 1.461 * np.cos(state.heading), state.y + 1.461 * np.sin(state.heading), state.heading]
        ego = box_corners(np.array(centre), PACIFICA.length_m, PACIFICA.width_m)
        for thing in things:
            box = box_corners(np.array(thing["pose"]), thing["size"][0], thing["size"][1])
            touched = touched or bool(boxes_overlap(ego, box))
        states.append([state.x, state.y, state.heading, state.vx, state.ax])
        places.append([thing["pose"][0] for thing in things])
        state = step_bicycle(state, *expert.command(state, now, DARK))
        for thing in things:
            thing["pose"][0] += 0.1 * thing["speed"] * np.cos(thing["pose"][2])
            thing["pose"][1] += 0.1 * thing["speed"] * np.sin(thing["pose"][2])
    return np.array(states), touched, np.array(places)


@pytest.mark.parametrize("lights", [Lights.HAZARD, Lights.NONE, Lights.RIGHT])
def test_goes_around_a_broken_down_or_parked_car_and_comes_back(lights):
    states, touched, _ = _drive([_car(90.0, 0.0, lights=lights)])
    beside = np.abs(states[:, 0] + 1.461 - 90.0) < 2.0
    assert not touched
    assert (states[beside, 1] - PACIFICA.width_m / 2 - 0.9 > 0.5).all()  # clearance between the sides
    assert states[:, 1].max() < 2.8
    assert abs(states[-1, 1]) < 0.2 and states[-1, 0] > 130.0
    assert states[:, 3].min() > 6.0 and states[:, 4].min() > -3.0


@pytest.mark.parametrize("lights", [Lights.BRAKE, Lights.LEFT, Lights.HAZARD | Lights.BRAKE])
def test_traffic_that_stands_is_waited_for_and_hazard_lights_win_over_brake_lights(lights):
    states, touched, _ = _drive([_car(90.0, 0.0, lights=lights)])
    assert not touched
    if lights & Lights.HAZARD == Lights.HAZARD:
        assert states[-1, 0] > 110.0
    else:
        assert np.abs(states[:, 1]).max() < 0.05
        assert states[-1, 3] < 0.01 and states[-1, 0] < 84.0


def test_a_queue_behind_a_broken_down_car_is_not_passed():
    states, _, _ = _drive([_car(90.0, 0.0, lights=Lights.BRAKE), _car(97.0, 0.0, lights=Lights.HAZARD)])
    assert states[-1, 0] < 84.0 and np.abs(states[:, 1]).max() < 0.05


def test_no_room_on_a_single_lane():
    states, touched, _ = _drive([_car(90.0, 0.0, lights=Lights.HAZARD)], ONE_WAY)
    assert not touched
    assert 80.0 < states[-1, 0] < 84.0 and states[-1, 3] < 0.01


def test_no_coming_back_into_a_queue():
    states, _, _ = _drive([_car(90.0, 0.0, lights=Lights.HAZARD), _car(104.0, 0.0, lights=Lights.BRAKE)])
    assert states[-1, 0] < 82.0 and np.abs(states[:, 1]).max() < 0.1


def test_waits_for_oncoming_traffic_with_room_to_pull_out():
    things = [_car(90.0, 0.0, lights=Lights.HAZARD), _car(170.0, WIDTH_M, np.pi, 8.0)]
    states, touched, places = _drive(things, steps=260)
    assert not touched
    met = int(np.flatnonzero(places[:, 1] < states[:, 0])[0])
    assert states[:met, 1].max() < 0.1  # the ego left its lane only after the other had gone by
    waiting = states[met - 1, 0] + 1.461 + PACIFICA.length_m / 2
    assert 90.0 - 2.3 - waiting > 8.0
    assert states[-1, 0] > 100.0


def test_own_direction_comes_before_the_oncoming_lane():
    states, touched, _ = _drive([_car(90.0, 0.0, lights=Lights.HAZARD)], TWO_LANES)
    assert not touched
    assert states[:, 1].min() < -2.0 and states[:, 1].max() < 0.3 and abs(states[-1, 1]) < 0.2


def test_lets_somebody_from_behind_on_the_other_lane_go_first():
    blocked = _car(90.0, 0.0, lights=Lights.HAZARD)
    closed = [_car(x, WIDTH_M, np.pi, 0.0, Lights.BRAKE) for x in (70.0, 85.0, 100.0)]  # no way on the left
    states, touched, places = _drive([blocked, _car(-2.0, -WIDTH_M, 0.0, 12.0), *closed], TWO_LANES, steps=260)
    gone = int(np.flatnonzero(places[:, 1] > states[:, 0] + 5.0)[0])
    assert not touched
    assert states[:gone, 1].min() > -0.5
    assert states[:, 1].min() < -2.0 and states[-1, 0] > 100.0


def test_overtakes_a_cyclist_with_distance():
    rider = _car(50.0, -1.0, 0.0, 3.0, kind=AgentKind.BICYCLE, size=(1.8, 0.65, 1.75))
    states, touched, places = _drive([rider])
    centre = states[:, 0] + 1.461
    beside = np.abs(centre - places[:, 0]) < (PACIFICA.length_m + 1.8) / 2
    assert not touched and beside.any()
    assert (states[beside, 1] - PACIFICA.width_m / 2 - (-1.0 + 0.325)).min() > 1.0
    assert abs(states[-1, 1]) < 0.1 and states[-1, 0] > places[-1, 0] + 20.0


def test_follows_a_cyclist_while_somebody_is_oncoming():
    rider = _car(50.0, -1.0, 0.0, 3.0, kind=AgentKind.BICYCLE, size=(1.8, 0.65, 1.75))
    column = [_car(x, WIDTH_M, np.pi, 6.0) for x in (100.0, 120.0, 140.0)]
    states, touched, places = _drive([rider, *column], steps=120)
    met = int(np.flatnonzero(places[:, 3] < states[:, 0])[0])
    assert not touched
    assert states[:met, 1].max() < 0.1 and states[met, 3] < 6.0


def test_cones_are_passed_together():
    size, laterals = (0.45, 0.45, 0.9), (-1.2, -0.4, 0.4, 0.6)
    cones = [_car(80.0 + 3 * i, lateral, kind=AgentKind.CONE, size=size) for i, lateral in enumerate(laterals)]
    states, touched, _ = _drive(cones)
    between = (states[:, 0] > 84.0) & (states[:, 0] < 88.0)
    assert not touched
    assert (states[between, 1] > 2.0).all() and abs(states[-1, 1]) < 0.1


def test_makes_way_for_a_siren_and_drives_on_behind_it():
    siren = _car(-60.0, 0.0, 0.0, 14.0, Lights.BEACON, AgentKind.EMERGENCY, (5.6, 2.1, 2.7))
    siren["pose"][1] = 2.6
    states, touched, places = _drive([siren], steps=160)
    heard = int(np.flatnonzero(places[:, 0] > states[:, 0] - 50.0)[0])
    passed = int(np.flatnonzero(places[:, 0] > states[:, 0] + 12.0)[0])
    assert not touched
    assert states[:heard, 3].min() > 9.9
    assert states[heard:passed, 3].min() < 4.0 and states[passed, 1] < -0.2
    assert states[-1, 3] > 6.0 and abs(states[-1, 1]) < 0.1
    dark = {**siren, "lights": Lights.NONE}
    assert _drive([dark], steps=100)[0][:, 3].min() > 9.9


def test_command_depends_on_the_present_alone():
    things = [_car(60.0, 0.0, lights=Lights.HAZARD)]
    expert, other = (Expert(make_route(TWO_WAY, ("road_1",)), 10.0, Signals.empty(1), TWO_WAY) for _ in range(2))
    middle = BicycleState(45.0, 1.4, 0.1, vx=7.0)
    expected = expert.command(middle, _now(things), DARK)
    other.command(START, _now([_car(90.0, 1.0)]), DARK)
    assert other.command(middle, _now(things), DARK) == expected


def test_offset_path_meets_its_knots_smoothly():
    path = OffsetPath.through([(10.0, 0.5, 0.1), (30.0, 2.5, 0.0), (30.0, 9.0, 0.0), (50.0, 0.0, 0.0)])
    assert path.at(np.array([10.0, 30.0, 50.0, 80.0]))[0] == pytest.approx([0.5, 2.5, 0.0, 0.0])
    assert path.at(8.0)[0] == pytest.approx(0.3)  # straight on before the first knot
    s = np.linspace(10.5, 49.5, 400)
    offset, slope, bend = path.at(s)
    inner = np.abs(s - 30.0) > 0.3
    assert np.gradient(offset, s)[inner][1:-1] == pytest.approx(slope[inner][1:-1], abs=2e-3)
    assert np.gradient(slope, s)[inner][1:-1] == pytest.approx(bend[inner][1:-1], abs=5e-3)


def test_road_room_counts_lanes_on_both_sides():
    room = road_room(make_route(TWO_LANES, ("road_1",)), TWO_LANES)
    row = room.row(200.0)
    assert (room.lane[row], room.right[row], room.left[row], room.beyond[row]) == pytest.approx((1.6, 4.8, 1.6, 4.8))
    assert room.oncoming == ("back_1",)
    alone = road_room(make_route(ONE_WAY, ("road_1",)), ONE_WAY)
    assert alone.oncoming == (None,) and alone.beyond[row] == pytest.approx(1.6)
