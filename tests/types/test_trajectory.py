from __future__ import annotations

import numpy as np
import pytest

from eyesup.types import DataError, Trajectory


def test_times_run_from_dt_on():
    np.testing.assert_allclose(Trajectory(np.zeros((3, 3)), 0.5).times_s, [0.5, 1.0, 1.5])
    np.testing.assert_allclose(Trajectory(np.zeros((2, 3)), -0.5).times_s, [-0.5, -1.0])


def test_all_rows_are_valid_unless_said_otherwise():
    path = Trajectory(np.array([[1, 2, 0], [3, 4, 0]]), 0.5)
    assert path.valid.all()
    assert path.poses.dtype == np.float64
    np.testing.assert_array_equal(path.xy, [[1, 2], [3, 4]])


def test_rows_marked_missing_may_hold_anything_and_others_may_not():
    poses = np.array([[0.0, 0, 0], [np.nan, 0, 0]])
    Trajectory(poses, 0.5, np.array([True, False]))
    with pytest.raises(DataError, match=r"trajectory: poses: 1 non-finite value\(s\), first at \(1, 0\)"):
        Trajectory(poses, 0.5)


@pytest.mark.parametrize("dt_s", [0.0, np.nan, np.inf])
def test_impossible_steps_are_refused(dt_s):
    with pytest.raises(DataError, match=f"dt_s {dt_s} s must be finite and not zero"):
        Trajectory(np.zeros((2, 3)), dt_s)


def test_wrong_shapes_are_refused():
    with pytest.raises(DataError, match=r"shape \(4, 2\), expected \(any, 3\)"):
        Trajectory(np.zeros((4, 2)), 0.5)
    with pytest.raises(DataError, match=r"valid: shape \(3,\), expected \(4\)"):
        Trajectory(np.zeros((4, 3)), 0.5, np.ones(3, bool))


def test_resampling_picks_the_poses_at_the_new_times():
    dense = Trajectory(np.arange(150.0).reshape(50, 3), 0.1, np.arange(50) != 9)
    sparse = dense.resampled(0.5, 6)
    np.testing.assert_array_equal(sparse.poses, dense.poses[[4, 9, 14, 19, 24, 29]])
    np.testing.assert_array_equal(sparse.valid, [True, False, True, True, True, True])
    assert sparse.dt_s == 0.5
    past = Trajectory(np.arange(60.0).reshape(20, 3), -0.1).resampled(-0.5, 4)
    np.testing.assert_array_equal(past.poses[:, 0], [12, 27, 42, 57])


@pytest.mark.parametrize(("dt_s", "steps"), [(0.5, 11), (0.05, 2), (0.25, 2), (-0.5, 2)])
def test_resampling_to_what_is_not_there_is_refused(dt_s, steps):
    with pytest.raises(DataError, match=rf"trajectory of 50 x 0.1 s holds no {steps} x {dt_s} s"):
        Trajectory(np.zeros((50, 3)), 0.1).resampled(dt_s, steps)
