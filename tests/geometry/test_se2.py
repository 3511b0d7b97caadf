from __future__ import annotations

import numpy as np
import pytest

from eyesup.geometry.se2 import (
    from_frame,
    points_from_frame,
    points_to_frame,
    rotate,
    se2_compose,
    se2_inverse,
    to_frame,
    wrap_angle,
)

RNG = np.random.default_rng(1)


def random_poses(*batch: int) -> np.ndarray:
    return RNG.uniform([-50, -50, -np.pi], [50, 50, np.pi], size=(*batch, 3))


def matrix(pose: np.ndarray) -> np.ndarray:
    x, y, heading = pose
    return np.array([[np.cos(heading), -np.sin(heading), x], [np.sin(heading), np.cos(heading), y], [0, 0, 1]])


@pytest.mark.parametrize(
    ("angle", "expected"), [(0.0, 0.0), (np.pi, -np.pi), (-np.pi, -np.pi), (3.5 * np.pi, -0.5 * np.pi), (-7.0, 2 * np.pi - 7)]
)  # fmt: skip
def test_wrap_angle_lands_in_half_open_interval(angle, expected):
    assert wrap_angle(angle) == pytest.approx(expected, abs=1e-12)


def test_wrap_angle_keeps_angles_inside_bit_by_bit():
    angles = RNG.uniform(-np.pi, np.pi, 1000)
    assert (wrap_angle(angles) == angles).all()


def test_wrap_angle_never_returns_pi_for_tiny_negative_excess():
    assert wrap_angle(np.nextafter(-np.pi, -4.0)) < np.pi


def test_rotating_by_a_quarter_turns_forward_into_left():
    np.testing.assert_allclose(rotate(np.array([1.0, 0.0]), np.pi / 2), [0.0, 1.0], atol=1e-15)


def test_a_point_ahead_of_a_car_facing_left_is_to_the_left():
    car = np.array([10.0, 5.0, np.pi / 2])
    np.testing.assert_allclose(from_frame(np.array([3.0, 0.0, 0.0]), car), [10.0, 8.0, np.pi / 2])
    np.testing.assert_allclose(to_frame(np.array([10.0, 8.0, np.pi / 2]), car), [3.0, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("batch", [(), (7,), (3, 4)])
def test_to_frame_undoes_from_frame(batch):
    poses, origin = random_poses(*batch), random_poses()
    np.testing.assert_allclose(to_frame(from_frame(poses, origin), origin), poses, atol=1e-12)
    xy = poses[..., :2]
    np.testing.assert_allclose(points_to_frame(points_from_frame(xy, origin), origin), xy, atol=1e-12)
    np.testing.assert_allclose(points_from_frame(xy, origin), from_frame(poses, origin)[..., :2])


def test_each_pose_may_have_its_own_origin():
    poses, origins = random_poses(5, 2), random_poses(5, 1)
    together = to_frame(poses, origins)
    for i in range(5):
        np.testing.assert_array_equal(together[i], to_frame(poses[i], origins[i, 0]))


def test_composition_equals_the_product_of_matrices():
    a, b = random_poses(), random_poses()
    np.testing.assert_allclose(matrix(se2_compose(a, b)), matrix(a) @ matrix(b), atol=1e-12)


def test_inverse_composes_to_identity_on_both_sides():
    poses = random_poses(20)
    np.testing.assert_allclose(se2_compose(poses, se2_inverse(poses)), 0.0, atol=1e-12)
    np.testing.assert_allclose(se2_compose(se2_inverse(poses), poses), 0.0, atol=1e-12)
