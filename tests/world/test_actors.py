"""Scripted actors: how they move, what SUMO's traffic sees of them, and how a vehicle is handed over."""

from contextlib import contextmanager

import numpy as np
import pytest

from eyesup.dynamics.bicycle import BicycleState
from eyesup.geometry.polyline import Polyline
from eyesup.types import AgentKind, Lane, Lights, RoadMap, Signals
from eyesup.world.actors import Actor, path_beside
from eyesup.world.crosswalks import crosswalks_on
from eyesup.world.roads import build_town
from eyesup.world.route import draw_lane_chain, make_route
from eyesup.world.stage import Stage
from eyesup.world.traffic import Traffic

CAR_M = (4.6, 1.8, 1.5)


def _actor(kind=AgentKind.CAR, speed_mps=0.0, length_m=100.0):
    path = Polyline(np.array([[0.0, 0.0], [length_m, 0.0]]))
    return Actor("a", kind, CAR_M, path, 10.0, speed_mps, Lights.NONE, blocks=False)


def test_actor_speeds_up_evenly_and_holds_what_was_ordered():
    actor = _actor()
    actor.go(6.0, 2.0)
    for _ in range(50):
        actor.advance(0.1)
    assert actor.speed_mps == pytest.approx(6.0)
    assert actor.s == pytest.approx(10.0 + 0.5 * 2.0 * 3.0**2 + 6.0 * 2.0)  # 3 s at 2 m/s^2, then 2 s at 6 m/s
    assert actor.pose == pytest.approx((actor.s, 0.0, 0.0))


def test_actor_stops_at_the_end_of_its_path():
    actor = _actor(speed_mps=5.0, length_m=12.0)
    for _ in range(10):
        actor.advance(0.1)
    assert actor.done and actor.speed_mps == 0.0 and actor.s == 12.0


def test_brake_lamps_light_while_slowing_and_after_but_not_on_a_parked_car_or_a_person():
    parked = _actor()
    parked.advance(0.1)
    assert parked.sighting().lights == Lights.NONE
    for kind, lamps in ((AgentKind.CAR, Lights.BRAKE), (AgentKind.PEDESTRIAN, Lights.NONE)):
        actor = _actor(kind, speed_mps=1.0)
        actor.go(0.0, 2.0)
        actor.advance(0.1)
        assert actor.sighting().lights == lamps
        for _ in range(10):
            actor.advance(0.1)
        assert actor.speed_mps == 0.0 and actor.sighting().lights == lamps
    actor.go(3.0)
    for _ in range(3):
        actor.advance(0.1)
    assert actor.sighting().lights == Lights.NONE


def test_path_beside_meets_its_knots_and_runs_along_the_route_there():
    road = RoadMap((Lane("road_0", np.array([[0.0, 0.0], [200.0, 0.0]]), 3.5, 14.0),))
    path = path_beside(make_route(road, ("road_0",)), [(20.0, -3.0), (30.0, -3.0), (50.0, 0.0), (60.0, 0.0)])
    assert path[0] == pytest.approx([20.0, -3.0]) and path[-1] == pytest.approx([60.0, 0.0])
    middle = path[np.abs(path[:, 0] - 40.0).argmin()]
    assert middle == pytest.approx([40.0, -1.5], abs=1e-6)  # half way in the middle of a symmetric change
    slope = np.gradient(path[:, 1], path[:, 0])
    assert abs(slope[np.abs(path[:, 0] - 30.0).argmin()]) < 0.01
    assert slope.max() == pytest.approx(1.875 * 3.0 / 20.0, rel=0.02)  # of 10 u^3 - 15 u^4 + 6 u^5 at u = 1/2


def test_crosswalks_on_a_route_run_from_its_right_to_its_left():
    ring = np.array([[48.0, -6.0], [52.0, -6.0], [52.0, 4.0], [48.0, 4.0]])
    along = np.array(
        [[80.0, -1.0], [100.0, -1.0], [100.0, 1.0], [80.0, 1.0]]
    )  # runs along the road: nobody crosses there
    road = RoadMap((Lane("road_0", np.array([[0.0, 0.0], [200.0, 0.0]]), 3.5, 14.0),), crosswalks=(along, ring))
    (crosswalk,) = crosswalks_on(make_route(road, ("road_0",)), road)
    assert crosswalk.middle_s == pytest.approx(50.0, abs=0.5)
    assert crosswalk.right == pytest.approx([50.0, -6.0]) and crosswalk.left == pytest.approx([50.0, 4.0])
    way = crosswalk.way(-1, 1.0, 2.0, 0.5)  # from the right, half a metre to the left of the middle line
    assert way == pytest.approx(np.array([[49.5, -7.0], [49.5, 6.0]]))


@pytest.fixture(scope="module")
def town():
    return build_town("grid", 101)


@contextmanager
def _stage(town):
    """An empty town with the ego on a route of plain roads, at 20 m."""
    chain = next(chain for i in range(50) if (chain := draw_lane_chain(town.road_map, np.random.default_rng(i), 300.0)))
    route = make_route(town.road_map, chain)
    ego = BicycleState(*(float(value) for value in route.at(20.0)), vx=0.0)
    with Traffic(town.net_file, town.offset, 1) as traffic:
        yield Stage(
            town, town.road_map, route, 20.0, 8.0, (), Signals.empty(1), np.random.default_rng(1), traffic, ego, 20.0
        )


def _step(stage, steps):
    for _ in range(steps):
        stage.move_actors()
        stage.traffic.step()
        stage.sightings = stage.traffic.sightings(np.array([stage.ego.x, stage.ego.y]), 300.0)


@pytest.mark.parametrize("kind", [AgentKind.CONE, AgentKind.PEDESTRIAN, AgentKind.CAR])
def test_traffic_stops_before_what_stands_on_its_lane_and_goes_on_when_it_is_gone(town, kind):
    with _stage(town) as stage:
        size = CAR_M if kind is AgentKind.CAR else (0.5, 0.5, 1.0)
        pose = tuple(float(value) for value in stage.route.at(70.0))
        stage.stand("thing", kind, size, pose, blocks=True)
        stage.put_on_route("car", "sedan", 20.0, 8.0)
        _step(stage, 150)
        car = stage.find("car")
        assert car.speed_mps < 0.1
        gap = 70.0 - size[0] / 2 - stage.place_of(car)[0] - car.size_m[0] / 2
        assert 0.3 < gap < 6.0
        assert [sighting.name for sighting in stage.standing] == ["thing"]
        assert stage.find("standin_thing") is None  # SUMO's stand-in is not sighted
        stage.take_away("thing")
        _step(stage, 40)
        assert stage.find("car").speed_mps > 2.0 and not stage.standing


def test_scripted_car_follows_its_path_and_drives_on_when_let_go(town):
    with _stage(town) as stage:
        path = stage.path_beside([(30.0, -3.5), (42.0, 0.0), (90.0, 0.0)])
        actor = stage.script("puller", AgentKind.CAR, CAR_M, path)
        _step(stage, 5)
        assert stage.place_at(*actor.pose[:2]) == pytest.approx((30.0, -3.5), abs=0.1)
        actor.go(5.0, 2.0)
        _step(stage, 70)
        before = stage.place_at(*actor.pose[:2])
        assert before[1] == pytest.approx(0.0, abs=0.1) and actor.speed_mps == pytest.approx(5.0)
        stage.release("puller")
        assert not stage.actors
        _step(stage, 5)
        after = stage.find("puller")
        assert stage.place_of(after)[0] - before[0] == pytest.approx(2.5, abs=0.8)  # 0.5 s at about 5 m/s
        assert abs(stage.place_of(after)[1]) < 0.3 and after.kind is AgentKind.CAR and after.size_m == CAR_M


def test_vehicle_of_the_traffic_that_is_taken_over_starts_where_it_was(town):
    with _stage(town) as stage:
        stage.put_on_route("car", "sedan", 25.0, 6.0)
        _step(stage, 5)
        s, lateral = stage.place_of(stage.find("car"))
        actor = stage.take_over("car", stage.path_beside([(s, lateral), (s + 15.0, 1.5), (s + 40.0, 1.5)]))
        speed = actor.speed_mps
        _step(stage, 30)
        assert stage.place_at(*actor.pose[:2]) == pytest.approx((s + 3.0 * speed, 1.5), abs=0.3)


def test_way_across_ends_off_the_lanes_on_the_other_side(town):
    with _stage(town) as stage:
        start, end = stage.path_across(50.0, -4.0, 1.0)
        assert stage.place_at(*start) == pytest.approx((50.0, -4.0), abs=0.1)
        assert stage.place_at(*end)[1] > 2.5


def test_cars_do_not_park_on_each_other(town):
    with _stage(town) as stage:
        assert stage.park(60.0, -1, "sedan")
        assert not stage.park(62.0, -1, "sedan")
        assert stage.park(68.0, -1, "sedan")
