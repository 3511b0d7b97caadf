from __future__ import annotations

import numpy as np
import pytest

from eyesup.dynamics.bicycle import MAX_STEERING_RAD, BicycleState, step_bicycle
from eyesup.types import EgoStatus


def drive(
    state: BicycleState, steps: int, accel: float = 0.0, rate: float = 0.0, **options: float
) -> list[BicycleState]:
    states = [state]
    for _ in range(steps):
        states.append(step_bicycle(states[-1], accel, rate, **options))
    return states


def test_one_step_by_hand():
    state = BicycleState(1.0, 2.0, np.pi / 2, vx=10.0, ax=0.3, steering=0.0)
    after = step_bicycle(state, accel_cmd=3.3, steering_rate_cmd=0.6, dt=0.1, wheel_base=3.0)
    assert (after.x, after.y) == pytest.approx((1.0, 3.0))  # old speed, old heading
    assert after.heading == pytest.approx(np.pi / 2)  # old steering
    assert after.ax == pytest.approx(0.3 + 3.0 / 3)  # a third of the error
    assert after.vx == pytest.approx(10.13)  # new acceleration
    assert after.steering == pytest.approx(0.04)  # two thirds of 0.06
    assert after.steering_rate == pytest.approx(0.4)
    assert after.yaw_rate == pytest.approx(10.13 * np.tan(0.04) / 3.0)
    assert after.yaw_acceleration == pytest.approx(after.yaw_rate / 0.1)
    assert (after.vy, after.ay) == (0.0, 0.0)


def test_constant_speed_goes_straight():
    last = drive(BicycleState(0.0, 0.0, 0.0, vx=8.0), 25)[-1]
    assert (last.x, last.y, last.heading, last.vx) == pytest.approx((20.0, 0.0, 0.0, 8.0))


def test_held_steering_drives_a_circle_of_the_wheel_base_over_its_tangent():
    wheel_base, steering, speed, dt = 2.5, 0.2, 5.0, 1e-3
    radius = wheel_base / np.tan(steering)
    states = drive(BicycleState(0.0, 0.0, 0.0, vx=speed, steering=steering), 4000, dt=dt, wheel_base=wheel_base)
    distances = np.hypot([s.x for s in states], [s.y - radius for s in states])
    np.testing.assert_allclose(distances, radius, rtol=2e-3)
    assert states[-1].yaw_rate == pytest.approx(speed / radius)


def test_commands_arrive_with_their_lags():
    states = drive(BicycleState(0.0, 0.0, 0.0, vx=5.0), 30, accel=1.5, rate=0.0)
    errors = 1.5 - np.array([s.ax for s in states])
    np.testing.assert_allclose(errors[1:] / errors[:-1], 2 / 3)


def test_steering_stops_at_its_limit():
    states = drive(BicycleState(0.0, 0.0, 0.0, vx=0.0), 100, rate=1.0)
    assert states[-1].steering == MAX_STEERING_RAD


def test_braking_past_zero_rolls_backwards():
    assert drive(BicycleState(0.0, 0.0, 0.0, vx=0.5), 20, accel=-2.0)[-1].vx < 0


def test_a_batch_equals_its_singles():
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, size=(5, 11))
    accel, rate = rng.uniform(-2, 2, 5), rng.uniform(-0.3, 0.3, 5)
    together = step_bicycle(BicycleState.from_array(rows), accel, rate).as_array()
    for i in range(5):
        single = step_bicycle(BicycleState(*map(float, rows[i])), float(accel[i]), float(rate[i])).as_array()
        np.testing.assert_allclose(together[i], single, rtol=1e-14, atol=1e-14)


def test_array_layout_round_trips():
    rows = np.arange(22.0).reshape(2, 11)
    np.testing.assert_array_equal(BicycleState.from_array(rows).as_array(), rows)
    np.testing.assert_array_equal(BicycleState.from_array(rows).pose, rows[:, :3])


def test_measured_ego_starts_at_the_origin():
    state = BicycleState.at_origin(EgoStatus((6.0, 0.1), (0.5, 0.2), yaw_rate_rps=0.3, steering_rad=0.05))
    np.testing.assert_allclose(state.as_array(), [0, 0, 0, 6.0, 0.1, 0.5, 0.2, 0.05, 0, 0.3, 0])
