from __future__ import annotations

import numpy as np
import pytest

from eyesup.dynamics.bicycle import BicycleState, step_bicycle
from eyesup.dynamics.lqr import Reference, fit_velocity_curvature, lqr_command, simulate, track_step
from eyesup.geometry.se2 import from_frame, wrap_angle
from eyesup.types import DataError

DT = 0.1
STRAIGHT = np.zeros(10)


def drive_arc(speed: float | np.ndarray, curvature: float | np.ndarray, steps: int = 40) -> np.ndarray:
    """Poses of a car with given speed and curvature in each step, finely integrated."""
    speed, curvature = np.broadcast_to(speed, steps), np.broadcast_to(curvature, steps)
    poses, fine = [np.zeros(3)], 100
    for v, k in zip(speed, curvature):
        x, y, heading = poses[-1]
        for _ in range(fine):
            middle = heading + 0.5 * v * k * DT / fine
            x, y = x + v * np.cos(middle) * DT / fine, y + v * np.sin(middle) * DT / fine
            heading += v * k * DT / fine
        poses.append(np.array([x, y, heading]))
    return np.array(poses)


def wiggle(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    speed = np.abs(np.cumsum(rng.normal(0, 0.5, 40)) + rng.uniform(0, 15))
    return drive_arc(speed, np.cumsum(rng.normal(0, 0.01, 40))) + rng.normal(0, 0.02, (41, 3))


def naive_fit(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two least-squares problems of the tracker written down row by row."""
    count = len(poses) - 1
    rows, right = np.zeros((2 * count, count)), np.diff(poses[:, :2], axis=0).ravel()
    for i in range(count):
        for axis, direction in enumerate((np.cos(poses[i, 2]), np.sin(poses[i, 2]))):
            rows[2 * i + axis, 0] = DT * direction
            rows[2 * i + axis, 1 : i + 1] = DT**2 * direction
    ridge = np.zeros((count - 2, count))
    for r in range(count - 2):
        ridge[r, 1 + r] = -1.0
    ridge[-1, -1] = 1.0
    solution = np.linalg.pinv(rows.T @ rows + 1e-4 * ridge.T @ ridge) @ rows.T @ right
    velocity = solution[0] + DT * np.append(0.0, np.cumsum(solution[1:]))

    rows = np.zeros((count, count))
    for i in range(count):
        rows[i, 0] = velocity[i] * DT
        rows[i, 1 : i + 1] = velocity[i] * DT**2
    turn = np.array([wrap_angle(float(b - a)) for a, b in zip(poses[:-1, 2], poses[1:, 2])])
    penalty = np.diag(np.append(1e-10, np.full(count - 1, 1e-2)))
    solution = np.linalg.pinv(rows.T @ rows + penalty) @ rows.T @ turn
    return velocity, solution[0] + DT * np.append(0.0, np.cumsum(solution[1:]))


def naive_steering_rate(
    state: BicycleState, accel: float, pose: np.ndarray, curvature: np.ndarray, base: float
) -> float:
    """The lateral regulator with its matrices multiplied out step by step."""
    a, b, g = np.eye(3), np.zeros(3), np.zeros(3)
    for k in range(10):
        speed = state.vx + k * DT * accel
        step = np.eye(3)
        step[0, 1], step[1, 2] = speed * DT, speed * DT / base
        a, b, g = step @ a, step @ b + [0, 0, DT], step @ g + [0, -speed * curvature[k] * DT, 0]
    dx, dy, h = state.x - pose[0], state.y - pose[1], pose[2]
    error = a @ [-dx * np.sin(h) + dy * np.cos(h), wrap_angle(state.heading - h), state.steering] + g
    error[1] = wrap_angle(error[1])
    weights = np.diag([1.0, 10.0, 0.0])
    return float(-(b @ weights @ error) / (b @ weights @ b + 1.0))


@pytest.mark.parametrize("seed", range(5))
def test_fit_equals_plain_least_squares(seed):
    poses = wiggle(seed)
    velocity, curvature = fit_velocity_curvature(poses)
    expected_velocity, expected_curvature = naive_fit(poses)
    np.testing.assert_allclose(velocity, expected_velocity, atol=1e-9)
    np.testing.assert_allclose(curvature, expected_curvature, atol=1e-8)


def test_fit_recovers_constant_speed_and_turning_circle():
    velocity, curvature = fit_velocity_curvature(drive_arc(8.0, 0.05))
    np.testing.assert_allclose(velocity, 8.0, rtol=1e-3)
    np.testing.assert_allclose(curvature, 0.05, rtol=1e-3)


def test_fit_of_a_standing_car_is_zero():
    velocity, curvature = fit_velocity_curvature(np.tile([3.0, 4.0, 0.7], (41, 1)))
    np.testing.assert_allclose(velocity, 0.0, atol=1e-12)
    np.testing.assert_allclose(curvature, 0.0, atol=1e-12)


def test_a_path_too_short_to_fit_is_refused():
    with pytest.raises(DataError, match=r"3 pose\(s\), needs at least 4"):
        fit_velocity_curvature(np.zeros((3, 3)))
    assert fit_velocity_curvature(np.zeros((4, 3)))[0].shape == (3,)


def test_fit_is_batched_and_ignores_the_frame():
    poses = np.stack([wiggle(seed) for seed in range(4)])
    velocity, curvature = fit_velocity_curvature(poses)
    for i in range(4):
        one_velocity, one_curvature = fit_velocity_curvature(poses[i])
        np.testing.assert_allclose(velocity[i], one_velocity, atol=1e-12)
        np.testing.assert_allclose(curvature[i], one_curvature, atol=1e-12)
    moved = from_frame(poses, np.array([100.0, -50.0, 2.0]))
    np.testing.assert_allclose(fit_velocity_curvature(moved)[0], velocity, atol=1e-9)
    np.testing.assert_allclose(fit_velocity_curvature(moved)[1], curvature, atol=1e-9)


def test_acceleration_makes_up_ten_elevenths_of_the_speed_error():
    accel, rate = lqr_command(BicycleState(0.0, 0.0, 0.0, vx=7.0), np.zeros(3), 9.2, STRAIGHT)
    assert accel == pytest.approx(2.0)  # 10 / 11 x 2.2
    assert rate == 0.0


def test_stopping_mode_needs_a_slow_car_and_a_slow_reference():
    crooked = np.array([0.0, -1.0, 0.0])  # the car is a metre left of its reference
    accel, rate = lqr_command(BicycleState(0.0, 0.0, 0.0, vx=0.2), crooked, 0.0, STRAIGHT)
    assert (accel, rate) == pytest.approx((-0.1, 0.0))
    accel, rate = lqr_command(BicycleState(0.0, 0.0, 0.0, vx=0.21), crooked, 0.0, STRAIGHT)
    assert accel == pytest.approx(-10 / 11 * 0.21)
    assert rate < 0
    accel, _ = lqr_command(BicycleState(0.0, 0.0, 0.0, vx=0.2), crooked, 0.21, STRAIGHT)
    assert accel == pytest.approx(10 / 11 * 0.01)


def test_a_batch_mixes_stopping_and_driving():
    state = BicycleState.from_array(np.array([[0, 0, 0, 0.1] + [0] * 7, [0, 0, 0, 5.0] + [0] * 7], dtype=float))
    accel, rate = lqr_command(state, np.zeros((2, 3)), np.zeros(2), np.full((2, 10), 0.1))
    np.testing.assert_allclose(accel, [-0.05, -50 / 11])
    assert rate[0] == 0.0
    assert rate[1] > 0


def test_steering_equals_the_regulator_with_matrices():
    rng = np.random.default_rng(3)
    for _ in range(50):
        row = rng.uniform([-1, -1, -3, 0.5, 0, -2, 0, -0.4, 0, 0, 0], [1, 1, 3, 20, 0, 2, 0, 0.4, 0, 0, 0])
        state, pose = BicycleState(*map(float, row)), rng.uniform([-1, -1, -3], [1, 1, 3])
        curvature = rng.uniform(-0.1, 0.1, 10)
        accel, rate = lqr_command(state, pose, 8.0, curvature, wheel_base=2.7)
        assert rate == pytest.approx(naive_steering_rate(state, float(accel), pose, curvature, 2.7), rel=1e-10)


def test_straight_line_at_constant_speed_is_tracked_exactly():
    poses = drive_arc(10.0, 0.0)
    states = simulate(poses, BicycleState(0.0, 0.0, 0.0, vx=10.0))
    assert states.shape == (41, 11)
    np.testing.assert_allclose(states[:, :3], poses, atol=1e-6)
    np.testing.assert_allclose(states[:, 3], 10.0, atol=1e-6)


def test_circle_is_tracked_once_the_steering_has_turned_in():
    poses = drive_arc(6.0, 0.05)
    start = BicycleState(0.0, 0.0, 0.0, vx=6.0, steering=np.arctan(3.089 * 0.05), yaw_rate=0.3)
    states = simulate(poses, start)
    assert np.linalg.norm(states[-1, :2] - poses[-1, :2]) < 0.3
    assert states[-1, 9] == pytest.approx(6.0 * 0.05, rel=0.05)


def test_car_off_its_path_returns_to_it():
    poses = drive_arc(10.0, 0.0)
    states = simulate(poses, BicycleState(0.0, 1.0, 0.0, vx=10.0))
    assert states[0, 1] == 1.0
    assert abs(states[-1, 1]) < 0.1


def test_own_profiles_replace_the_fit():
    poses = drive_arc(10.0, 0.0)
    standing = Reference(poses, np.zeros(40), np.zeros(40))
    states = simulate(poses, BicycleState(0.0, 0.0, 0.0, vx=3.0), reference=standing)
    assert abs(states[-1, 3]) < 0.2
    fitted = simulate(poses, BicycleState(0.0, 0.0, 0.0, vx=3.0), reference=Reference.fitted(poses))
    np.testing.assert_array_equal(fitted, simulate(poses, BicycleState(0.0, 0.0, 0.0, vx=3.0)))


def test_window_runs_up_to_the_last_profile_entry():
    reference = Reference(np.zeros((41, 3)), np.arange(40.0), np.zeros(40))
    state = BicycleState(0.0, 0.0, 0.0, vx=0.0)
    assert track_step(state, reference, 5)[0] == pytest.approx(10 / 11 * 15)
    assert track_step(state, reference, 39)[0] == pytest.approx(10 / 11 * 39)


def test_simulation_is_the_loop_of_its_parts_and_batches():
    poses = np.stack([wiggle(seed) for seed in range(3)])
    start = BicycleState(0.0, 0.0, 0.0, vx=8.0, ax=0.5)
    together = simulate(poses, start)
    for i in range(3):
        reference, state = Reference.fitted(poses[i]), start
        for step in range(40):
            state = step_bicycle(state, *track_step(state, reference, step))
        np.testing.assert_allclose(together[i, -1], state.as_array(), atol=1e-9)


def test_simulation_moves_with_the_world():
    poses, origin = wiggle(7), np.array([200.0, 80.0, -2.5])
    here = simulate(poses, BicycleState(*map(float, poses[0]), vx=9.0))
    moved = from_frame(poses, origin)
    there = simulate(moved, BicycleState(*map(float, moved[0]), vx=9.0))
    np.testing.assert_allclose(there[:, :2], from_frame(here[:, :3], origin)[:, :2], atol=1e-7)
    np.testing.assert_allclose(there[:, 3:], here[:, 3:], atol=1e-7)
