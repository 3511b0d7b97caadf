from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point, Polygon

from eyesup.types import Maneuver, SignalState
from eyesup.types.errors import DataError
from eyesup.types.road_map import Paint
from eyesup.world.junctions import ways_of
from eyesup.world.map_io import map_to_bytes
from eyesup.world.roads import Town, build_town

TOWNS = [("random", 3), ("grid", 1)]
BENDS = ("bend_left", "bend_right", "bend_straight", "bend_decoy")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("towns")


@pytest.fixture(scope="module", params=TOWNS, ids=lambda town: f"{town[0]}-{town[1]}")
def town(request, cache) -> Town:
    return build_town(*request.param, cache_dir=cache)


def drivable_area(town: Town) -> shapely.Geometry:
    return shapely.union_all([Polygon(ring) for ring in town.road_map.drivable])


def end_heading(line: np.ndarray) -> float:
    step = line[-1] - line[-2]
    return math.atan2(step[1], step[0])


def test_a_successor_starts_where_its_lane_ends(town):
    for lane in town.road_map.lanes:
        for name in lane.successors:
            start = town.road_map.lane(name).centerline[0]
            assert np.linalg.norm(start - lane.centerline[-1]) < 0.1


def test_only_roads_that_leave_the_town_end(town):
    """Single lanes may end (drivers merge), whole roads end only where there is nothing left to drive to."""
    roads: dict[str, list] = {}
    for lane in town.road_map.lanes:
        if not lane.is_junction:
            roads.setdefault(lane.id.rsplit("_", 1)[0], []).append(lane)
    paths = shapely.union_all([LineString(lane.centerline) for lane in town.road_map.lanes if lane.is_junction])
    ends = [lanes[0].centerline[-1] for lanes in roads.values() if not any(lane.successors for lane in lanes)]
    assert 0 < len(ends) < len(roads) / 2
    assert min(paths.distance(Point(end)) for end in ends) > 20.0


def test_junction_paths_and_roads_alternate(town):
    for lane in town.road_map.lanes:
        if not lane.is_junction:
            assert all(town.road_map.lane(name).is_junction for name in lane.successors)


def test_neighbours_run_side_by_side(town):
    pairs = 0
    for lane in town.road_map.lanes:
        if lane.left is not None:
            left = town.road_map.lane(lane.left)
            assert left.right == lane.id
            heading = end_heading(lane.centerline)
            normal = np.array([-math.sin(heading), math.cos(heading)])
            assert (left.centerline[-1] - lane.centerline[-1]) @ normal == pytest.approx(lane.width_m, abs=0.02)
            pairs += 1
    assert pairs > 20


def test_signals_stand_ahead_face_the_traffic_and_are_in_view(town):
    assert len(town.signals) >= 8
    for head in town.signals:
        x, y, z, facing = head.pose
        line = town.road_map.lane(head.lane_ids[0]).centerline
        driving = end_heading(line)
        assert math.cos(facing - driving) == pytest.approx(-1.0, abs=1e-6)
        offset = np.array([x, y]) - head.stop_point
        ahead = offset @ [math.cos(driving), math.sin(driving)] + 2.0
        sideways = abs(offset @ [-math.sin(driving), math.cos(driving)])
        assert ahead >= 11.0 - 1e-6
        assert math.degrees(math.atan2(z - 1.5, ahead)) < 18.0
        assert math.degrees(math.atan2(sideways, ahead)) < 30.0


def test_poles_of_signals_beside_the_road_are_off_it(town):
    road = drivable_area(town)
    beside = [head for head in town.signals if head.pose[2] < 5.0]
    assert len(beside) >= 0.7 * len(town.signals)
    assert min(road.distance(Point(head.pose[:2])) for head in beside) > 0.3


def test_stop_points_lie_at_the_ends_of_controlled_lanes(town):
    for head in town.signals:
        ends = np.array([town.road_map.lane(name).centerline[-1] for name in head.lane_ids])
        assert np.allclose(head.stop_point, ends.mean(0), atol=1e-6)
        stops = {stop.lane_id: stop.points for stop in town.road_map.stop_lines}
        for name, end in zip(head.lane_ids, ends):
            assert np.allclose(stops[name].mean(0), end, atol=1e-6)


def test_every_link_of_a_head_shows_one_colour(town):
    sumolib = pytest.importorskip("sumolib")
    net = sumolib.net.readNet(str(town.net_file), withPrograms=True)
    for head in town.signals:
        for phase in next(iter(net.getTLS(head.tls_id).getPrograms().values())).getPhases():
            assert len({phase.state[index].lower() for index in head.link_indices}) == 1


def test_the_offset_maps_sumo_to_world(town):
    sumolib = pytest.importorskip("sumolib")
    net = sumolib.net.readNet(str(town.net_file))
    for edge in net.getEdges()[:10]:
        for lane in edge.getLanes():
            if lane.allows("passenger"):
                assert np.allclose(np.array(lane.getShape()) + town.offset, town.road_map.lane(lane.getID()).centerline)
    points = np.concatenate(town.road_map.drivable)
    assert np.abs(points.min(0) + points.max(0)).max() < 20.0
    assert 450.0 < np.ptp(points, axis=0).max() < 950.0


def test_lanes_are_drivable_and_blocks_are_not(town):
    road = drivable_area(town)
    for lane in town.road_map.lanes:
        assert road.buffer(0.2).contains(
            LineString(lane.centerline[[0, -1]] if not lane.is_junction else lane.centerline)
        ) or (
            lane.is_junction and LineString(lane.centerline).length < 12.0  # turning round at the end of a road
        )
    assert road.area < 0.35 * shapely.convex_hull(road).area


def test_rings_are_simple_counter_clockwise_and_apart(town):
    for rings in (town.road_map.drivable, town.road_map.sidewalks, town.road_map.crosswalks):
        assert len(rings) > 0
        for ring in rings:
            polygon = Polygon(ring)
            assert polygon.is_valid and polygon.exterior.is_ccw
            assert not np.array_equal(ring[0], ring[-1])
    pieces = [Polygon(ring) for ring in town.road_map.drivable]
    assert sum(piece.area for piece in pieces) == pytest.approx(drivable_area(town).area, rel=1e-6)
    walks = shapely.union_all([Polygon(ring) for ring in town.road_map.sidewalks])
    assert drivable_area(town).intersection(walks).area < 1.0


def test_paint_lies_on_the_road_and_outside_junctions(town):
    road = drivable_area(town).buffer(0.2)
    paths = shapely.union_all([LineString(lane.centerline) for lane in town.road_map.lanes if lane.is_junction])
    counts = dict.fromkeys(Paint, 0)
    for line in town.road_map.lines:
        counts[line.paint] += 1
        assert road.contains(LineString(line.points).buffer(0.01))
        if line.paint != Paint.KERB:
            middle = line.points.mean(0)
            assert paths.distance(Point(middle)) > 1.0
    assert min(counts.values()) > 0


def test_the_same_seed_gives_the_same_bytes(tmp_path, cache, town):
    again = build_town(town.kind, town.seed, cache_dir=tmp_path)
    assert map_to_bytes(again.road_map) == map_to_bytes(town.road_map)
    assert again.net_file.read_bytes() == town.net_file.read_bytes()
    assert again.signals == town.signals


def test_seeds_give_different_towns(cache):
    one, other = (build_town("random", seed, cache_dir=cache) for seed in (3, 4))
    assert map_to_bytes(one.road_map) != map_to_bytes(other.road_map)


def test_racing_builders_agree_and_leave_nothing_behind(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        towns = list(pool.map(lambda _: build_town("bend_left", 5, cache_dir=tmp_path), range(3)))
    assert len({map_to_bytes(town.road_map) for town in towns}) == 1
    assert [path.name.split("-")[0] for path in (tmp_path / "towns").iterdir()] == ["bend_left"]


def test_a_cached_town_is_not_built_again(cache, monkeypatch):
    build_town("bend_right", 2, cache_dir=cache)
    monkeypatch.setattr("eyesup.world.roads.run_sumo_tool", lambda *_: pytest.fail("built again"))
    build_town("bend_right", 2, cache_dir=cache)


def test_the_environment_names_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EYESUP_CACHE", str(tmp_path))
    assert build_town("bend_straight", 0).net_file.is_relative_to(tmp_path)


def test_unknown_kinds_and_seeds_are_named():
    with pytest.raises(DataError, match=r"'roundabout'.*bend_left"):
        build_town("roundabout", 0)
    with pytest.raises(DataError, match="-1"):
        build_town("grid", -1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bends_share_their_straight_part_exactly(cache, seed):
    def shared(points: np.ndarray) -> np.ndarray:
        return points[points[:, 0] <= -1.0 + 1e-9]

    maps = [build_town(kind, seed, cache_dir=cache).road_map for kind in BENDS]
    for name in ("main_0", "-main_0"):
        lanes = [road_map.lane(name) for road_map in maps]
        assert len({(lane.width_m, lane.speed_limit_mps) for lane in lanes}) == 1
        parts = [shared(lane.centerline) for lane in lanes]
        assert sorted(parts[0][:, 0]) == [pytest.approx(-250.0, abs=0.2), -1.0]
        assert all(np.array_equal(part, parts[0]) for part in parts)
    paint = [
        [part.tolist() for line in road_map.lines if abs((part := shared(line.points))[:, 1]).max() < 5.0]
        for road_map in maps
    ]
    assert len(paint[0]) == 3
    assert all(lines == paint[0] for lines in paint)
    strip = shapely.box(-240.0, -10.0, -1.0, 10.0)
    areas = [shapely.union_all([Polygon(ring) for ring in road_map.drivable]).intersection(strip) for road_map in maps]
    assert max(area.hausdorff_distance(areas[0]) for area in areas) < 2e-3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_middle_of_the_world_is_where_the_bend_begins(cache, seed):
    town = build_town("bend_left", seed, cache_dir=cache)
    assert town.offset == (0.0, 0.0)
    line = town.road_map.lane("main_0").centerline
    steps = np.diff(line, axis=0)
    turned = np.abs(np.arctan2(steps[:, 1], steps[:, 0])) > 0.005
    assert line[:-1][turned][0, 0] == pytest.approx(0.0, abs=0.1)
    assert not turned[:2].any()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bends_turn_as_their_names_say(cache, seed):
    turns = {}
    for kind in BENDS:
        turns[kind] = math.degrees(
            end_heading(build_town(kind, seed, cache_dir=cache).road_map.lane("main_0").centerline)
        )
    assert 49.0 < turns["bend_left"] < 91.0
    assert turns["bend_right"] == pytest.approx(-turns["bend_left"], abs=0.1)
    assert turns["bend_straight"] == turns["bend_decoy"] == 0.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_decoy_bends_like_the_bend_and_stays_clear(cache, seed):
    town = build_town("bend_decoy", seed, cache_dir=cache)
    ours = shapely.union_all([LineString(town.road_map.lane(name).centerline) for name in ("main_0", "-main_0")])
    theirs = shapely.union_all([LineString(town.road_map.lane(name).centerline) for name in ("decoy_0", "-decoy_0")])
    width = town.road_map.lane("main_0").width_m
    assert ours.distance(theirs) - width >= 12.0
    turn = abs(end_heading(town.road_map.lane("decoy_0").centerline))
    bend = end_heading(build_town("bend_left", seed, cache_dir=cache).road_map.lane("main_0").centerline)
    assert turn == pytest.approx(bend, abs=0.01)


@pytest.fixture(scope="module")
def signed(cache) -> Town:
    return build_town("crossing", 1, cache_dir=cache)


def test_signs_stand_beside_their_stop_line_and_face_the_traffic(signed):
    road = drivable_area(signed)
    signs = [head for head in signed.signals if head.sign]
    assert {head.sign for head in signs} == {SignalState.STOP_SIGN, SignalState.YIELD_SIGN}
    assert any(not head.sign for head in signed.signals)  # some junctions have lights instead
    for head in signs:
        x, y, z, facing = head.pose
        driving = end_heading(signed.road_map.lane(head.lane_ids[0]).centerline)
        assert math.cos(facing - driving) == pytest.approx(-1.0, abs=1e-6)
        offset = np.array([x, y]) - head.stop_point
        ahead = offset @ [math.cos(driving), math.sin(driving)]
        right = offset @ [math.sin(driving), -math.cos(driving)]
        assert -2.0 - 1e-6 <= ahead <= 0.5 + 1e-6 and 1.5 < right < 6.0
        assert road.distance(Point(x, y)) >= 0.35
        assert 2.0 < z < 3.0
        assert head.tls_id == "" and head.link_indices == ()


def test_every_lane_of_a_lesser_road_has_a_sign_or_a_light(signed):
    controlled = {lane for head in signed.signals for lane in head.lane_ids}
    assert {stop.lane_id for stop in signed.road_map.stop_lines} == controlled
    names = [head.lane_ids for head in signed.signals if head.sign]
    assert all(lane.startswith(("c", "-c")) for lanes in names for lane in lanes)  # side roads, never main roads


def test_ids_of_signals_and_signs_are_apart(signed):
    assert [head.id for head in signed.signals] == list(range(len(signed.signals)))


def test_old_towns_have_no_signs(town):
    assert not any(head.sign for head in town.signals)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ramps_join_the_road_at_a_narrow_angle(cache, seed):
    town = build_town("merge", seed, cache_dir=cache)
    lanes = {lane.id: lane for lane in town.road_map.lanes}
    ramps = [lane for name, lane in lanes.items() if name.startswith("r")]
    assert len(ramps) == 3
    for ramp in ramps:
        ways = [way for lane in lanes.values() if not lane.is_junction for way in ways_of(lanes, lane)]
        ours = next(way for way in ways if way.approach.id == ramp.id)
        others = [way for way in ways if way.exit == ours.exit and way is not ours and way.approach.id != ramp.id]
        assert ours.maneuver is Maneuver.KEEP_FORWARD and len(others) == 1
        assert 10.0 < abs(math.degrees(others[0].angle_to(end_heading(ramp.centerline)))) < 30.0
    assert {head.sign for head in town.signals} == {SignalState.YIELD_SIGN}
    assert {head.lane_ids for head in town.signals} == {(ramp.id,) for ramp in ramps}


def test_a_signed_town_is_the_same_again_and_reads_back_its_signs(signed, tmp_path):
    again = build_town("crossing", 1, cache_dir=tmp_path)
    assert map_to_bytes(again.road_map) == map_to_bytes(signed.road_map)
    assert again.signals == build_town("crossing", 1, cache_dir=tmp_path).signals == signed.signals
    assert isinstance(again.signals[-1].sign, SignalState)
