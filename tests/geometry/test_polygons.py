from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import MultiPoint, Point, Polygon

from eyesup.geometry.polygons import contains, convex_hull, signed_area

SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])


def test_square_contains_its_centre_only():
    points = np.array([[1.0, 1.0], [3.0, 1.0], [1.0, -0.1], [-1.0, 2.0]])
    np.testing.assert_array_equal(contains(SQUARE, points), [True, False, False, False])


def test_concave_ring_agrees_with_shapely():
    rng = np.random.default_rng(0)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 25))
    ring = rng.uniform(1, 5, 25)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    points = rng.uniform(-5, 5, size=(10, 60, 2))
    expected = [[Polygon(ring).contains(Point(p)) for p in row] for row in points]
    np.testing.assert_array_equal(contains(ring, points), expected)


def test_area_is_positive_counter_clockwise():
    assert signed_area(SQUARE) == 4.0
    assert signed_area(SQUARE[::-1]) == -4.0


def test_hull_agrees_with_shapely_and_drops_collinear_points():
    points = np.random.default_rng(1).normal(size=(200, 2))
    hull = convex_hull(points)
    assert signed_area(hull) == pytest.approx(MultiPoint(points).convex_hull.area)
    square = np.concatenate([SQUARE, [[1.0, 0.0], [1.0, 1.0]]])
    assert len(convex_hull(square)) == 4


def test_hull_of_two_points_is_the_two_points():
    assert convex_hull(SQUARE[:2]).shape == (2, 2)
