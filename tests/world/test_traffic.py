import numpy as np
import pytest

from eyesup.types import AgentKind, EyesUpError, Lights
from eyesup.world.roads import build_town
from eyesup.world.route import draw_lane_chain, make_route, road_edges
from eyesup.world.traffic import BODIES, Traffic

EVERYWHERE = 1e4


@pytest.fixture(scope="module")
def town():
    return build_town("grid", 101)


def _positions(town, seed, steps=40):
    with Traffic(town.net_file, town.offset, seed) as traffic:
        traffic.populate(np.random.default_rng(seed), 30, 10)
        for _ in range(steps):
            traffic.step()
        return [(s.name, s.pose, s.speed_mps, s.lights) for s in traffic.sightings(np.zeros(2), EVERYWHERE)]


def test_runs_in_sequence_repeat_bit_by_bit_and_seeds_differ(town):
    first = _positions(town, 1)
    assert len(first) > 20
    assert _positions(town, 2) != first
    assert _positions(town, 1) == first


def test_only_one_simulation_may_be_open_and_an_error_closes_it(town):
    one, two = (Traffic(town.net_file, town.offset, 1) for _ in range(2))
    with pytest.raises(EyesUpError, match="already open"), one, two:
        pass
    with Traffic(town.net_file, town.offset, 1) as traffic:
        traffic.step()


def test_vehicle_inserted_at_a_lane_position_has_its_box_centre_half_a_length_behind_its_front(town):
    chain = next(chain for i in range(50) if (chain := draw_lane_chain(town.road_map, np.random.default_rng(i), 200.0)))
    route = make_route(town.road_map, chain)
    length = BODIES["sedan"].size_m[0]
    with Traffic(town.net_file, town.offset, 1) as traffic:
        traffic.add_vehicle("car", "sedan", road_edges(chain), int(chain[0].rsplit("_", 1)[1]), 20.0, 0.0)
        traffic.hold_speed("car", 0.0)
        traffic.step()
        (car,) = traffic.sightings(np.zeros(2), EVERYWHERE)
    x, y, heading = route.at(20.0 - length / 2)
    assert np.hypot(car.pose[0] - x, car.pose[1] - y) < 0.1
    assert abs(np.sin(car.pose[2] - heading)) < 0.02
    assert car.kind is AgentKind.CAR
    assert car.lights & Lights.BRAKE


def test_followers_stop_behind_the_standing_ego(town):
    chain = next(chain for i in range(50) if (chain := draw_lane_chain(town.road_map, np.random.default_rng(i), 200.0)))
    route = make_route(town.road_map, chain)
    pose = route.at(45.0)
    with Traffic(town.net_file, town.offset, 1) as traffic:
        traffic.add_vehicle("car", "sedan", road_edges(chain), int(chain[0].rsplit("_", 1)[1]), 10.0, 8.0)
        traffic.add_ego(road_edges(chain), pose, 0.0)
        for _ in range(120):
            traffic.move_ego(pose, 0.0)
            traffic.step()
        (car,) = traffic.sightings(np.zeros(2), EVERYWHERE)
    gap = 45.0 - 1.127 - route.project(*car.pose) - BODIES["sedan"].size_m[0] / 2
    assert car.speed_mps < 0.1
    assert 0.5 < gap < 6.0
