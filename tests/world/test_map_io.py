from __future__ import annotations

import numpy as np
import pytest

from eyesup.types.errors import DataError
from eyesup.types.road_map import Lane, Paint, RoadLine, RoadMap, StopLine
from eyesup.world.map_io import map_from_bytes, map_to_bytes


def small_map() -> RoadMap:
    line = np.array([[0.1, 1 / 3], [10.0, 2e-9], [20.0, -5.0]])
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    return RoadMap(
        lanes=(
            Lane("a_0", line, 3.4, 13.89, successors=(":j_0",), left="a_1"),
            Lane("a_1", line + 3, 3.4, 13.89, right="a_0"),
            Lane(":j_0", line[:2] + 20, 3.2, 5.5, is_junction=True),
        ),
        lines=(RoadLine(line, Paint.DASHED_YELLOW), RoadLine(line + 1, Paint.KERB)),
        crosswalks=(square,),
        stop_lines=(StopLine(line[:2], "a_0"),),
        drivable=(square * 3, square - 7),
        sidewalks=(square + 9,),
    )


def assert_same(one: RoadMap, other: RoadMap) -> None:
    assert [(a.id, a.width_m, a.speed_limit_mps, a.successors, a.left, a.right, a.is_junction) for a in one.lanes] == [
        (a.id, a.width_m, a.speed_limit_mps, a.successors, a.left, a.right, a.is_junction) for a in other.lanes
    ]
    assert [line.paint for line in one.lines] == [line.paint for line in other.lines]
    assert [stop.lane_id for stop in one.stop_lines] == [stop.lane_id for stop in other.stop_lines]
    for shapes in (
        lambda m: [lane.centerline for lane in m.lanes],
        lambda m: [line.points for line in m.lines],
        lambda m: [stop.points for stop in m.stop_lines],
        lambda m: m.crosswalks,
        lambda m: m.drivable,
        lambda m: m.sidewalks,
    ):
        assert len(shapes(one)) == len(shapes(other))
        assert all(np.array_equal(a, b) for a, b in zip(shapes(one), shapes(other)))


def test_a_map_survives_bytes_exactly():
    assert_same(map_from_bytes(map_to_bytes(small_map())), small_map())


def test_an_empty_map_survives():
    assert_same(map_from_bytes(map_to_bytes(RoadMap())), RoadMap())


def test_equal_maps_give_equal_bytes():
    data = map_to_bytes(small_map())
    assert data == map_to_bytes(small_map()) == map_to_bytes(map_from_bytes(data))


@pytest.mark.parametrize("damage", [lambda data: b"PK" + data, lambda data: data[:-9], lambda data: data[:20]])
def test_damaged_bytes_say_what_to_do(damage):
    with pytest.raises(DataError, match="rebuild the map"):
        map_from_bytes(damage(map_to_bytes(small_map())))
