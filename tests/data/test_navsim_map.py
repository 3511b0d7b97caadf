"""nuPlan maps: a small official one read, and what a broken one says."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import shapely

from eyesup.data.geopackage import Layer, Schema, read_layers, write_layers
from eyesup.data.nuplan_map import NuPlanMap, find_map, open_map, rings, with_headings
from eyesup.types.errors import DataError

MAPS = Path(__file__).parents[1] / "golden" / "minimal_nuplan" / "minimal_maps"
HERE = np.array([330937.0, 4690994.75])


@pytest.fixture(scope="module")
def city() -> NuPlanMap:
    return open_map(MAPS, "us-ma-boston")


@pytest.fixture
def broken(tmp_path: Path):
    """Applies SQL to a copy of the map and returns its path."""

    def change(*statements: str) -> Path:
        path = tmp_path / "map.gpkg"
        shutil.copy(find_map(MAPS, "us-ma-boston"), path)
        with sqlite3.connect(path) as database:
            for statement in statements:
                database.execute(statement)
        return path

    return change


def test_counts_are_those_of_the_official_reader(city: NuPlanMap):
    assert sum(lane.is_connector for lane in city.lanes.values()) == 32
    assert len(city.lanes) == 64
    assert {name: len(areas.ids) for name, areas in city.areas.items()} == {
        "ROADBLOCK": 16, "ROADBLOCK_CONNECTOR": 20, "INTERSECTION": 5, "CARPARK_AREA": 1,
    }  # fmt: skip


def test_vertices_come_back_in_metres(city: NuPlanMap):
    # The map was drawn with vertices on a grid of 0.25 m along straight lanes.
    straight = [lane for lane in city.lanes.values() if not lane.is_connector]
    points = np.concatenate([lane.baseline[:, :2] for lane in straight])
    assert np.abs(points * 4 - np.round(points * 4)).max() < 1e-6


def test_the_graph_is_linked_both_ways(city: NuPlanMap):
    for lane in city.lanes.values():
        assert all(lane.id in city.lanes[after].incoming for after in lane.outgoing)
        assert all(lane.id in city.lanes[before].outgoing for before in lane.incoming)
        assert lane.id in city.blocks[lane.block_id].lane_ids
    for block in city.blocks.values():
        assert all(block.id in city.blocks[after].incoming for after in block.outgoing)


def test_connectors_begin_and_end_on_lanes(city: NuPlanMap):
    for lane in (lane for lane in city.lanes.values() if lane.is_connector):
        (before,), (after,) = lane.incoming, lane.outgoing
        assert np.allclose(city.lanes[before].baseline[-1, :2], lane.baseline[0, :2], atol=1e-6)
        assert np.allclose(city.lanes[after].baseline[0, :2], lane.baseline[-1, :2], atol=1e-6)


def test_polygons_around_stand_in_the_official_order(city: NuPlanMap):
    polygons, ids, layers = city.polygons_around(HERE)
    assert len(polygons) == len(ids) == len(layers)
    kinds = list(dict.fromkeys(layers))
    assert kinds == ["ROADBLOCK", "LANE", "LANE_CONNECTOR", "INTERSECTION", "CARPARK_AREA"]
    assert sorted(layers, key=kinds.index) == list(layers)


def test_nowhere_is_an_error(city: NuPlanMap):
    with pytest.raises(DataError, match=r"no road within 100 m of \(0\.0, 0\.0\)"):
        city.polygons_around(np.zeros(2))


def test_road_map(city: NuPlanMap):
    road_map = city.road_map(HERE)
    left = road_map.lane("1021")
    assert (left.right, left.left) == ("1025", None)
    assert left.width_m == pytest.approx(3.5, abs=1e-3)
    assert left.speed_limit_mps == pytest.approx(13.4)
    assert {road_map.lane(after).is_junction for after in left.successors} == {True}
    assert len(road_map.stop_lines) == 8
    for stop in road_map.stop_lines:
        lane = road_map.lane(stop.lane_id)
        assert np.allclose(stop.points.mean(axis=0), lane.centerline[-1])
        assert np.hypot(*np.diff(stop.points, axis=0)[0]) == pytest.approx(lane.width_m)


def test_headings_are_those_of_the_segment_that_follows():
    assert np.allclose(with_headings(np.array([[0.0, 0], [1, 0], [1, 2]]))[:, 2], [0, np.pi / 2, np.pi / 2])


def test_a_hole_stays_outside():
    square = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (3, 1), (3, 3), (1, 3)]])
    (ring,) = rings(square)
    assert shapely.Polygon(ring).area == pytest.approx(16 - 4) or shapely.Polygon(ring).area == pytest.approx(16 + 4)
    assert _even_odd(ring, np.array([0.5, 2.1])) and not _even_odd(ring, np.array([2.0, 2.1]))


def _even_odd(ring: np.ndarray, point: np.ndarray) -> bool:
    a, b = ring, np.roll(ring, -1, axis=0)
    crosses = (a[:, 1] <= point[1]) != (b[:, 1] <= point[1])
    at = a[:, 0] + (point[1] - a[:, 1]) / np.where(crosses, b[:, 1] - a[:, 1], 1.0) * (b[:, 0] - a[:, 0])
    return bool((crosses & (at > point[0])).sum() % 2)


def test_missing_table(broken):
    with pytest.raises(DataError, match="no table 'baseline_paths'"):
        NuPlanMap(broken("DROP TABLE baseline_paths"))


def test_null_reference(broken):
    with pytest.raises(DataError, match=r"lane_connectors\.entry_lane_fid is None in row 0"):
        NuPlanMap(broken("UPDATE lane_connectors SET entry_lane_fid = NULL WHERE fid = 1059"))


def test_ids_shared_by_lanes_and_connectors(broken):
    with pytest.raises(DataError, match="id 1007 is in lanes_polygons and in lane_connectors"):
        NuPlanMap(broken("UPDATE lane_connectors SET fid = 1007 WHERE fid = 1059"))


def test_lane_without_baseline(broken):
    with pytest.raises(DataError, match="lane 1007 has no row in baseline_paths"):
        NuPlanMap(broken("DELETE FROM baseline_paths WHERE lane_fid = 1007"))


def test_unknown_projection(broken):
    with pytest.raises(DataError, match="projectedCoordSystem '3857'"):
        NuPlanMap(broken("UPDATE meta SET value = 'epsg:3857' WHERE key = 'projectedCoordSystem'"))


def test_speed_limit_may_be_missing(broken):
    city = NuPlanMap(broken("UPDATE lanes_polygons SET speed_limit_mps = NULL"))
    assert city.lanes["1007"].speed_limit_mps is None


def test_damaged_geometry(broken):
    with pytest.raises(DataError, match="lanes_polygons 1007: geometry begins with b'XX', not GP"):
        NuPlanMap(broken("UPDATE lanes_polygons SET geom = X'58580000000000000000' WHERE fid = 1007"))


def test_no_geopackage(tmp_path: Path):
    (tmp_path / "map.gpkg").write_bytes(b"this is no database, however long one reads in it" * 20)
    with pytest.raises(DataError, match=r"no readable GeoPackage"):
        NuPlanMap(tmp_path / "map.gpkg")
    with pytest.raises(DataError, match="no such map file"):
        NuPlanMap(tmp_path / "other.gpkg")


def test_locations(tmp_path: Path):
    assert find_map(MAPS, "las_vegas").parts[-3:] == ("us-nv-las-vegas-strip", "9.15.1915", "map.gpkg")
    with pytest.raises(DataError, match="map location 'berlin' is unknown"):
        find_map(MAPS, "berlin")
    with pytest.raises(DataError, match=r"0 maps of us-ma-boston; set NUPLAN_MAPS_ROOT"):
        find_map(tmp_path, "us-ma-boston")


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_every_kind_of_envelope_is_skipped(tmp_path: Path, kind: int):
    path = tmp_path / "one.gpkg"
    point = shapely.Point(3.0, 4.0)
    table = Layer({"fid": [7], "name": ["x"]}, np.array([point], object))
    write_layers(path, {"spots": (Schema("POINT", {"name": "TEXT"}), table)})
    envelope = bytes({0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[kind])
    blob = b"GP\x00" + bytes([1 | kind << 1]) + (4326).to_bytes(4, "little") + envelope + shapely.to_wkb(point)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE spots SET geom = ?", (blob,))
    read = read_layers(path, ["spots"])["spots"]
    assert read.columns == {"fid": [7], "name": ["x"]}
    assert read.geometries[0].equals(point)
