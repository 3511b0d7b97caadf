from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point, Polygon

from eyesup.types.errors import DataError
from eyesup.types.road_map import Paint, RoadMap
from eyesup.types.scene import PropKind, Props
from eyesup.world.map_io import map_to_bytes
from eyesup.world.roads import build_town
from eyesup.world.scenery import build_props, crop_map


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("towns")


@pytest.fixture(scope="module")
def road_map(cache) -> RoadMap:
    return build_town("random", 3, cache_dir=cache).road_map


@pytest.fixture(scope="module")
def path(road_map) -> np.ndarray:
    """Points along the road that is nearest to the middle of the town."""
    roads = [lane for lane in road_map.lanes if not lane.is_junction]
    lane = min(roads, key=lambda lane: float(np.linalg.norm(lane.centerline.mean(0))))
    start, end = lane.centerline[0], lane.centerline[-1]
    return start + np.linspace(0, 1, 20)[:, None] * (end - start)


def footprint(props: Props, index: int) -> Polygon:
    (x, y, heading), (length, width, _) = props.poses[index], props.sizes[index]
    ahead, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    corners = [(a * length / 2, b * width / 2) for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    return Polygon([np.array([x, y]) + a * ahead + b * left for a, b in corners])


def raw(props: Props) -> list[bytes]:
    return [props.kinds.tobytes(), props.poses.tobytes(), props.sizes.tobytes(), props.looks.tobytes()]


def everywhere(road_map: RoadMap) -> np.ndarray:
    return np.array([lane.centerline[0] for lane in road_map.lanes])


@pytest.mark.parametrize(("kind", "seed"), [("random", 3), ("grid", 1), ("bend_left", 1)])
def test_props_stand_off_the_road_and_off_each_other(cache, kind, seed):
    road_map = build_town(kind, seed, cache_dir=cache).road_map
    props = build_props(road_map, seed, everywhere(road_map), 500.0)
    road = shapely.union_all([Polygon(ring) for ring in (*road_map.drivable, *road_map.sidewalks)])
    shapes = [footprint(props, index) for index in range(len(props))]
    shapely.prepare(road)
    assert not any(road.intersects(shape) for shape in shapes)
    buildings = [shape for shape, kind in zip(shapes, props.kinds) if kind == PropKind.BUILDING]
    tree = shapely.STRtree(buildings)
    first, second = tree.query(shapes, predicate="intersects")
    assert all(shapes[a] is buildings[b] for a, b in zip(first, second))


def test_there_is_enough_to_see(road_map, path):
    kinds = build_props(road_map, 0, path).kinds
    assert (kinds == PropKind.BUILDING).sum() >= 30
    assert {int(kind) for kind in kinds} == {PropKind.BUILDING, PropKind.TREE, PropKind.POLE, PropKind.BUSH}


def test_nothing_leafy_hides_a_stop_line(road_map):
    props = build_props(road_map, 0, everywhere(road_map), 500.0)
    stops = shapely.union_all([LineString(stop.points) for stop in road_map.stop_lines])
    leafy = np.isin(props.kinds, [PropKind.TREE, PropKind.BUSH])
    assert min(stops.distance(Point(xy)) for xy in props.poses[leafy, :2]) > 20.0


def test_props_depend_on_the_seed_and_not_on_the_order_of_the_path(road_map, path):
    props = build_props(road_map, 4, path)
    assert raw(props) == raw(build_props(road_map, 4, path[::-1].copy()))
    assert raw(props) != raw(build_props(road_map, 5, path))


def test_a_smaller_radius_keeps_a_subset(road_map, path):
    def rows(radius_m: float) -> set[bytes]:
        props = build_props(road_map, 4, path, radius_m)
        return {pose.tobytes() + look.tobytes() for pose, look in zip(props.poses, props.looks)}

    assert rows(60.0) < rows(120.0)


def test_an_empty_path_is_an_error(road_map):
    with pytest.raises(DataError, match="no points"):
        build_props(road_map, 0, np.zeros((0, 2)))
    with pytest.raises(DataError, match="no points"):
        crop_map(road_map, np.zeros((0, 2)), 50.0)


def test_a_crop_keeps_what_is_near(road_map, path):
    cropped = crop_map(road_map, path, 60.0)
    near = shapely.MultiPoint(path).buffer(60.0)
    assert 0 < len(cropped.lanes) < len(road_map.lanes) / 3
    kept = {lane.id for lane in cropped.lanes}
    assert all((lane.id in kept) for lane in road_map.lanes if near.intersects(LineString(lane.centerline)))
    for name in ("drivable", "sidewalks", "crosswalks"):
        whole = shapely.union_all([Polygon(ring) for ring in getattr(road_map, name)]).intersection(near)
        part = shapely.union_all([Polygon(ring) for ring in getattr(cropped, name)]).intersection(near)
        assert part.area == pytest.approx(whole.area, rel=1e-3)
    reach = 60.0 + 4.0 + 3.0
    assert np.linalg.norm(np.concatenate(cropped.drivable)[:, None] - path, axis=-1).min(1).max() < reach + 5.0


def test_a_crop_keeps_painted_lines_whole_and_clips_kerbs(road_map, path):
    cropped = crop_map(road_map, path, 60.0)
    whole = {line.points.tobytes() for line in road_map.lines}
    assert all(line.points.tobytes() in whole for line in cropped.lines if line.paint != Paint.KERB)
    kerbs = [LineString(line.points) for line in cropped.lines if line.paint == Paint.KERB]
    near = shapely.MultiPoint(path).buffer(60.0)
    expected = shapely.union_all(
        [LineString(line.points).intersection(near) for line in road_map.lines if line.paint == Paint.KERB]
    )
    assert shapely.union_all(kerbs).intersection(near).length == pytest.approx(expected.length, rel=1e-3)


def test_a_crop_is_consistent_small_and_independent_of_order(road_map, path):
    cropped = crop_map(road_map, path, 60.0)
    ids = {lane.id for lane in cropped.lanes}
    assert all(set(lane.successors) <= ids for lane in cropped.lanes)
    assert all(stop.lane_id in ids for stop in cropped.stop_lines)
    data = map_to_bytes(cropped)
    assert data == map_to_bytes(crop_map(road_map, path[::-1].copy(), 60.0))
    assert len(data) < len(map_to_bytes(road_map)) / 3
