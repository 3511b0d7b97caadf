from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import LineString, Point

from eyesup.geometry.polyline import Polyline, resample

CORNER = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])  # ten metres east, then ten north


def circle(radius: float, points: int, arc: float = np.pi) -> np.ndarray:
    angle = np.linspace(0, arc, points)
    return radius * np.stack(
        [np.sin(angle), 1 - np.cos(angle)], axis=-1
    )  # starts at the origin, heading east, turns left


def test_poses_along_a_corner():
    line = Polyline(CORNER)
    assert line.length == 20.0
    np.testing.assert_allclose(line.at(5.0), [5, 0, 0])
    np.testing.assert_allclose(line.at(10.0), [10, 0, np.pi / 4])  # half way through the turn
    np.testing.assert_allclose(line.at(15.0), [10, 5, np.pi / 2])


def test_heading_of_a_long_segment_is_constant_up_to_the_blend():
    line = Polyline(CORNER)
    assert (line.at(np.linspace(0, 9, 50))[:, 2] == 0.0).all()
    assert line.at(9.5)[2] == pytest.approx(np.pi / 8)


def test_lateral_offset_goes_left():
    np.testing.assert_allclose(Polyline(CORNER).at(5.0, lateral=2.0), [5, 2, 0])
    np.testing.assert_allclose(Polyline(CORNER).at(15.0, lateral=2.0), [8, 5, np.pi / 2])


def test_beyond_the_ends_holds_or_extends():
    line = Polyline(CORNER)
    np.testing.assert_allclose(line.at(25.0), [10, 10, np.pi / 2])
    np.testing.assert_allclose(line.at(25.0, extend=True), [10, 15, np.pi / 2])
    np.testing.assert_allclose(line.at(-3.0, extend=True), [-3, 0, 0])


def test_projection_of_hand_placed_points():
    s, lateral = Polyline(CORNER).project(np.array([[4.0, 1.0], [4.0, -2.0], [9.0, 6.0], [12.0, -1.0], [-2.0, 0.5]]))
    np.testing.assert_allclose(s, [4, 4, 16, 10, 0])
    np.testing.assert_allclose(lateral, [1, -2, 1, -np.sqrt(5), 0.5])


def test_sharp_turn_keeps_its_sides():
    hairpin = Polyline(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 1.0]]))  # turns left by more than 90 degrees
    _, lateral = hairpin.project(np.array([[11.0, -0.5], [11.0, 0.5]]))
    assert (lateral < 0).all()  # outside a left turn is its right


def test_projection_agrees_with_shapely():
    rng = np.random.default_rng(0)
    points = np.cumsum(rng.normal([2, 0], 1.0, size=(40, 2)), axis=0)
    queries = rng.uniform(points.min(0) - 5, points.max(0) + 5, size=(300, 2))
    line, reference = Polyline(points), LineString(points)
    s, lateral = line.project(queries)
    for query, got, offset in zip(queries, s, lateral):
        assert got == pytest.approx(reference.project(Point(query)), abs=1e-9)
        if 0 < got < line.length:
            assert abs(offset) == pytest.approx(reference.distance(Point(query)), abs=1e-9)


def test_single_and_batched_projection_agree():
    queries = np.random.default_rng(1).uniform(-3, 13, size=(4, 5, 2))
    line = Polyline(CORNER)
    s, lateral = line.project(queries)
    assert s.shape == lateral.shape == (4, 5)
    one_s, one_lateral = line.project(queries[2, 3])
    assert (one_s, one_lateral) == (s[2, 3], lateral[2, 3])


def test_projecting_a_point_of_the_path_gives_back_its_arc_length():
    line = Polyline(circle(30.0, 200))
    stations = np.linspace(1.0, line.length - 1.0, 77)
    s, lateral = line.project(line.at(stations)[:, :2])
    np.testing.assert_allclose(s, stations, atol=1e-9)
    np.testing.assert_allclose(lateral, 0.0, atol=1e-9)


def test_sampled_circle_has_tangent_heading_and_its_curvature():
    line = Polyline(circle(25.0, 160))
    s = np.linspace(1.0, line.length - 1.0, 50)
    np.testing.assert_allclose(line.at(s)[:, 2], s / 25.0, atol=1e-3)
    np.testing.assert_allclose(line.curvature(s), 1 / 25.0, rtol=1e-3)
    assert line.curvature(-1.0) == line.curvature(line.length + 1) == 0.0


def test_heading_stays_continuous_through_full_turns():
    line = Polyline(circle(10.0, 600, arc=4 * np.pi))
    headings = line.at(np.linspace(0, line.length, 2000))[:, 2]
    assert np.abs(np.diff(np.unwrap(headings))).max() < 0.05
    assert headings.min() >= -np.pi
    assert headings.max() < np.pi


def test_repeated_points_are_dropped_and_one_point_is_refused():
    assert Polyline(np.repeat(CORNER, 3, axis=0)).length == 20.0
    with pytest.raises(ValueError, match="1 distinct point"):
        Polyline(np.zeros((5, 2)))


def test_cut_returns_the_piece_with_its_ends():
    np.testing.assert_allclose(Polyline(CORNER).cut(8.0, 13.0), [[8, 0], [10, 0], [10, 3]])
    np.testing.assert_allclose(Polyline(CORNER).cut(10.0, 12.0), [[10, 0], [10, 2]])


def test_resample_spaces_points_evenly_and_keeps_the_ends():
    points = resample(np.array([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0]]), 3.0)
    np.testing.assert_allclose(points[:, 0], [0, 2.5, 5, 7.5, 10])
    np.testing.assert_allclose(resample(CORNER, 100.0), [[0, 0], [10, 10]])
