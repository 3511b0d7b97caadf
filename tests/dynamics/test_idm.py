from __future__ import annotations

import numpy as np
import pytest

from eyesup.dynamics.idm import IDMParameters, idm_acceleration

DRIVER = IDMParameters(min_gap_m=2.0, headway_s=1.5, max_accel_mps2=1.0, comfort_decel_mps2=4.0, max_brake_mps2=9.0)


def test_free_road_starts_with_full_and_ends_with_no_acceleration():
    assert idm_acceleration(0.0, 15.0, params=DRIVER) == 1.0
    assert idm_acceleration(15.0, 15.0, params=DRIVER) == pytest.approx(0.0)
    assert idm_acceleration(7.5, 15.0, params=DRIVER) == pytest.approx(1 - 0.5**4)


def test_following_by_hand():
    # s* = 2 + 10 * 1.5 + 10 * (10 - 6) / (2 * sqrt(4)) = 27 m; a = 1 - (10 / 20)^4 - (27 / 54)^2
    assert idm_acceleration(10.0, 20.0, 54.0, 6.0, DRIVER) == pytest.approx(1 - 0.0625 - 0.25)


def test_standing_behind_a_standing_car_at_the_minimum_gap_is_equilibrium():
    assert idm_acceleration(0.0, 15.0, 2.0, 0.0, DRIVER) == pytest.approx(0.0)


def test_a_leader_that_pulls_away_does_not_cause_braking():
    assert idm_acceleration(5.0, 15.0, 30.0, 25.0, DRIVER) > 0.9


def test_touching_bumpers_brake_at_the_limit_and_stay_finite():
    assert idm_acceleration(10.0, 15.0, 0.0, 0.0, DRIVER) == -9.0
    assert idm_acceleration(10.0, 0.0, params=DRIVER) == -9.0


def test_arguments_broadcast():
    speeds, gaps = np.linspace(0, 20, 5), np.linspace(1, 80, 7)[:, None]
    accel = idm_acceleration(speeds, 15.0, gaps, 8.0, DRIVER)
    assert accel.shape == (7, 5)
    assert accel[3, 2] == idm_acceleration(speeds[2], 15.0, gaps[3, 0], 8.0, DRIVER)
    assert (np.diff(accel, axis=0) >= 0).all()  # more gap, less braking


def test_a_platoon_settles_behind_its_leader_without_touching():
    position, speed, leader = 0.0, 20.0, 60.0
    for _ in range(1200):
        gap = leader - position
        assert gap > 0
        speed = max(0.0, speed + 0.05 * float(idm_acceleration(speed, 25.0, gap, 8.0, DRIVER)))
        position, leader = position + 0.05 * speed, leader + 0.05 * 8.0
    assert speed == pytest.approx(8.0, abs=0.05)
