"""PDM-Closed's route: correction, starting lane and search, on the small official map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from eyesup.data.navsim.route import correct_route, plan_route, search_lanes, starting_lane
from eyesup.data.nuplan_map import Block, MapLane, NuPlanMap, open_map, with_headings
from eyesup.types.errors import DataError

MAPS = Path(__file__).parents[1] / "golden" / "minimal_nuplan" / "minimal_maps"
ROUTE = ["1176", "1230", "1190", "1391", "1032", "1069", "1046"]  # eastwards through the crossing
EGO = np.array([330937.0, 4690994.75, 0.0])  # in the right lane of roadblock 1190


@pytest.fixture(scope="module")
def city() -> NuPlanMap:
    return open_map(MAPS, "us-ma-boston")


def test_a_good_route_stays(city: NuPlanMap):
    assert correct_route(city, EGO, ROUTE) == ROUTE


def test_missing_connectors_are_filled_in(city: NuPlanMap):
    assert correct_route(city, EGO, ["1176", "1190", "1032", "1046"]) == ROUTE


def test_a_route_that_starts_ahead_is_led_back_to_the_ego(city: NuPlanMap):
    assert correct_route(city, EGO, ROUTE[4:]) == ROUTE[2:]


def test_the_centreline_joins_the_lanes_up_to_the_last_roadblock(city: NuPlanMap):
    route = plan_route(city, EGO, ROUTE)
    assert route.start.id == "1197"
    assert route.start.speed_limit_mps == pytest.approx(13.4)
    assert np.allclose(route.centerline[[0, -1], :2], [[330930.0, 4690994.75], [331130.0, 4690994.75]], atol=1e-6)
    assert np.abs(route.centerline[:, 2]).max() < 1e-6
    steps = np.hypot(*np.diff(route.centerline[:, :2], axis=0).T)
    assert steps.max() < 1.0 + 1e-6 and (steps < 1e-6).sum() == 4  # where five parts join
    assert route.lane_ids == {lane for block in ROUTE for lane in city.blocks[block].lane_ids}


def test_off_the_road_the_nearest_lane_starts(city: NuPlanMap):
    beside = EGO + [0.0, -12.0, 0.0]
    assert plan_route(city, beside, ROUTE).start.block_id == "1190"


def test_a_route_of_the_current_roadblock_only(city: NuPlanMap):
    route = plan_route(city, EGO, ["1190"])
    assert route.block_ids == ("1190",)
    assert len(route.centerline) == len(city.lanes["1197"].baseline)


def test_a_loop_is_cut_where_it_crosses_itself(city: NuPlanMap):
    # Connector 1391 twice: the second lies over the first.
    turned = next(b for b in city.blocks.values() if b.is_connector and b.id != "1391" and _over(city, b.id, "1391"))
    route = [*ROUTE[:5], turned.id]
    assert correct_route(city, EGO, route)[: len(ROUTE[:5])] == ROUTE[:5]
    assert turned.id not in correct_route(city, EGO, route)


def _over(city: NuPlanMap, one: str, other: str) -> bool:
    return city.blocks[one].polygon.intersection(city.blocks[other].polygon).area > 1.0


def test_bad_routes(city: NuPlanMap):
    with pytest.raises(DataError, match="the route has 0 roadblocks"):
        plan_route(city, EGO, [])
    with pytest.raises(DataError, match=r"scene x: roadblock 'nowhere' is neither"):
        plan_route(city, EGO, ["nowhere"], "scene x")


def lane(
    name: str, block: str, start: tuple[float, float], end: tuple[float, float], after: tuple[str, ...] = ()
) -> MapLane:
    line = shapely.LineString([start, end])
    points = shapely.get_coordinates(shapely.segmentize(line, 1.0))
    return MapLane(name, block, line.buffer(1.75, cap_style="flat"), with_headings(points), 10.0, (), after, False)


def little_city(lanes: list[MapLane]) -> NuPlanMap:
    """A map of these lanes only, without a file."""
    city = NuPlanMap.__new__(NuPlanMap)
    city.lanes = {one.id: one for one in lanes}
    city.blocks = {one.block_id: Block(one.block_id, one.polygon, (), (), (), False) for one in lanes}
    return city


def test_the_shorter_of_two_ways_is_taken():
    lanes = [
        lane("a", "A", (0, 0), (10, 0), ("long", "short")),
        lane("long", "B", (10, 0), (20, 15), ("z",)),
        lane("short", "B", (10, 0), (20, 0), ("z",)),
        lane("z", "Z", (20, 0), (30, 0)),
    ]
    city = little_city(lanes)
    assert search_lanes(city, lanes[0], city.lanes, ["A", "B", "Z"]) == ["a", "short", "z"]


def test_a_goal_out_of_reach_gives_the_longest_chain_of_lanes_and_of_those_the_shortest_way():
    lanes = [
        lane("a", "A", (0, 0), (10, 0), ("b", "c")),
        lane("b", "B", (10, 0), (40, 0)),
        lane("c", "C", (10, 0), (12, 0), ("d",)),
        lane("d", "D", (12, 0), (14, 0)),
    ]
    city = little_city(lanes)
    assert search_lanes(city, lanes[0], city.lanes, ["A", "nowhere"]) == ["a", "c", "d"]


def test_of_overlapping_lanes_the_one_that_heads_like_the_ego_starts():
    lanes = [lane("east", "A", (-10, 0), (10, 0)), lane("north", "B", (0, -10), (0, 10))]
    city = little_city(lanes)
    assert starting_lane(city, np.array([0.2, 0.1, 1.4]), city.lanes).id == "north"
    assert starting_lane(city, np.array([0.2, 0.1, -0.2]), city.lanes).id == "east"
    only = {"east": replace(lanes[0])}
    assert starting_lane(city, np.array([0.0, 8.0, 1.5]), only).id == "east"  # not under the car: the nearest one
