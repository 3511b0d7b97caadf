from __future__ import annotations

import numpy as np
import pytest

from eyesup.types import DataError, Lane, RoadMap, StopLine

LINE = np.array([[0.0, 0.0], [10.0, 0.0]])


def test_lanes_are_found_by_id():
    road_map = RoadMap((Lane("a", LINE, 3.5, 13.9, ("b",)), Lane("b", LINE + 10, 3.5, 13.9)))
    assert road_map.lane("a").successors == ("b",)
    with pytest.raises(KeyError):
        road_map.lane("c")


def test_impossible_maps_are_refused():
    with pytest.raises(DataError, match=r"lane a: centerline has 1 point\(s\), needs at least 2"):
        Lane("a", LINE[:1], 3.5, 13.9)
    with pytest.raises(DataError, match="lane a: centerline: 4 non-finite"):
        Lane("a", np.full((2, 2), np.nan), 3.5, 13.9)
    with pytest.raises(DataError, match="lane ids must be unique"):
        RoadMap((Lane("a", LINE, 3.5, 13.9), Lane("a", LINE, 3.5, 13.9)))
    with pytest.raises(DataError, match=r"stop line: points: shape \(3, 2\), expected \(2, 2\)"):
        StopLine(np.zeros((3, 2)), "a")
    with pytest.raises(DataError, match=r"road map: drivable: shape \(4, 3\), expected \(any, 2\)"):
        RoadMap(drivable=(np.zeros((4, 3)),))
