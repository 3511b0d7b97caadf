from __future__ import annotations

import numpy as np
import pytest

from eyesup.dynamics.extrapolate import constant_velocity_yaw_rate

TIMES = 0.5 * np.arange(1, 7)


def test_straight_ahead():
    np.testing.assert_allclose(constant_velocity_yaw_rate((8.0, 0.0), 0.0, TIMES)[:, 0], 8.0 * TIMES)
    np.testing.assert_array_equal(constant_velocity_yaw_rate((8.0, 0.0), 0.0, TIMES)[:, 1:], 0.0)


def test_quarter_circle():
    pose = constant_velocity_yaw_rate((10.0, 0.0), np.pi / 4, np.array([2.0]))[0]
    radius = 10.0 / (np.pi / 4)
    np.testing.assert_allclose(pose, [radius, radius, np.pi / 2])


@pytest.mark.parametrize(
    ("velocity", "yaw_rate"), [((7.0, 0.0), 0.3), ((5.0, -0.4), -0.8), ((12.0, 0.2), 1e-7), ((3.0, 1.0), 0.0)]
)
def test_closed_form_equals_numeric_integration(velocity, yaw_rate):
    (vx, vy), steps = velocity, 3000
    middles = (np.arange(steps) + 0.5) * 3.0 / steps
    turned = yaw_rate * middles
    x = np.cumsum(vx * np.cos(turned) - vy * np.sin(turned)) * 3.0 / steps
    y = np.cumsum(vx * np.sin(turned) + vy * np.cos(turned)) * 3.0 / steps
    rows = steps // 6 * np.arange(1, 7) - 1
    poses = constant_velocity_yaw_rate(velocity, yaw_rate, TIMES)
    np.testing.assert_allclose(poses, np.stack([x[rows], y[rows], yaw_rate * TIMES], axis=-1), atol=1e-6)


def test_turning_left_and_right_mirror_each_other():
    left, right = (constant_velocity_yaw_rate((6.0, 0.0), rate, TIMES) for rate in (0.2, -0.2))
    np.testing.assert_allclose(left * [1, -1, -1], right)
