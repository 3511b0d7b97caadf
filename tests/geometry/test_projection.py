from __future__ import annotations

import numpy as np
import pytest

from eyesup.geometry.projection import (
    NEAR_M,
    box_corners_3d,
    box_edges_3d,
    clip_polyline_to_camera,
    clip_segments,
    in_image,
    project,
    to_camera,
)
from eyesup.types import Camera

# A camera 1 m ahead of the rear axle, 2 m up, looking straight ahead: x right = -y_ego, y down = -z_ego, z = x_ego.
FORWARD = np.array([[0.0, 0.0, 1.0, 1.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 2.0], [0.0, 0.0, 0.0, 1.0]])
CAMERA = Camera("front", np.array([[100.0, 0, 64], [0, 100.0, 32], [0, 0, 1]]), FORWARD, 128, 64)


def test_a_point_on_the_axis_hits_the_principal_point():
    uv, depth = project(np.array([11.0, 0.0, 2.0]), CAMERA)
    np.testing.assert_allclose(uv, [64, 32])
    assert depth == pytest.approx(10.0)


def test_left_of_the_car_is_left_in_the_image_and_the_ground_is_below():
    uv, _ = project(np.array([[11.0, 1.0, 2.0], [11.0, 0.0, 0.0]]), CAMERA)
    np.testing.assert_allclose(uv, [[54, 32], [64, 52]])


def test_turned_camera_sees_what_is_beside_the_car():
    turn_left = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    left = Camera("left", CAMERA.intrinsics, turn_left @ FORWARD, 128, 64)
    uv, depth = project(np.array([0.0, 11.0, 2.0]), left)
    np.testing.assert_allclose(uv, [64, 32], atol=1e-9)
    assert depth == pytest.approx(10.0)


def test_visibility_needs_positive_depth_and_the_image():
    points = np.array([[11.0, 0, 2], [-9.0, 0, 2], [11.0, 7.0, 2], [11.0, 6.0, 2]])
    uv, depth = project(points, CAMERA)
    assert np.isfinite(uv).all()
    np.testing.assert_array_equal(in_image(uv, depth, CAMERA), [True, False, False, True])


def test_segment_through_the_camera_plane_is_cut_there():
    segment = np.array([[-9.0, 1.0, 2.0], [11.0, 1.0, 2.0]])
    uv, visible = clip_segments(segment, CAMERA)
    assert visible
    np.testing.assert_allclose(uv[1], [54, 32])
    np.testing.assert_allclose(uv[0], [64 - 100 / NEAR_M, 32])
    assert not clip_segments(segment - [20, 0, 0], CAMERA)[1]


def test_polyline_that_leaves_and_returns_becomes_two_pieces():
    path = np.array([[11.0, -1, 0], [6.0, -1, 0], [-5.0, -1, 0], [-5.0, 1, 0], [6.0, 1, 0], [11.0, 1, 0], [21.0, 1, 0]])
    pieces = clip_polyline_to_camera(path, CAMERA)
    assert [len(piece) for piece in pieces] == [3, 4]
    np.testing.assert_allclose(pieces[0][0], [74, 52])
    np.testing.assert_allclose(pieces[1][-1], [59, 42])
    assert clip_polyline_to_camera(path[2:4], CAMERA) == []
    assert clip_polyline_to_camera(path[:1], CAMERA) == []


def test_box_corners_stand_on_their_underside():
    corners = box_corners_3d(np.array([10.0, 0, 0]), np.array([4.0, 2.0, 1.5]), 0.3)
    np.testing.assert_allclose(corners[0], [12, 1, 0.3])
    np.testing.assert_allclose(corners[4], [12, 1, 1.8])
    assert box_corners_3d(np.zeros((3, 5, 3)), np.ones((3, 5, 3)), np.zeros((3, 5))).shape == (3, 5, 8, 3)


def test_box_has_four_edges_of_each_extent():
    edges = box_edges_3d(np.array([10.0, 3.0, 0.7]), np.array([4.0, 2.0, 1.5]))
    lengths = np.linalg.norm(edges[:, 0] - edges[:, 1], axis=-1)
    np.testing.assert_allclose(np.sort(lengths), np.repeat([1.5, 2.0, 4.0], 4))


def test_projection_undoes_unprojection():
    rng = np.random.default_rng(0)
    points = rng.uniform([3, -10, -1], [60, 10, 4], size=(50, 3))
    uv, depth = project(points, CAMERA)
    rays = np.concatenate([uv, np.ones((50, 1))], axis=-1) @ np.linalg.inv(CAMERA.intrinsics).T * depth[:, None]
    back = rays @ CAMERA.ego_from_cam[:3, :3].T + CAMERA.ego_from_cam[:3, 3]
    np.testing.assert_allclose(back, points, atol=1e-9)
    np.testing.assert_allclose(to_camera(points, CAMERA), rays, atol=1e-9)
