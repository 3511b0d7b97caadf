from __future__ import annotations

import numpy as np
import pytest

from eyesup.types import PACIFICA, ZOE, Command, CommandSource, DataError, EgoStatus, Maneuver


def test_status_as_an_array_in_documented_order():
    status = EgoStatus((3.0, 4.0), (0.1, 0.2), 0.3, 0.4)
    np.testing.assert_allclose(status.as_array(), [3, 4, 0.1, 0.2, 0.3, 0.4])
    assert status.speed_mps == 5.0


def test_impossible_states_are_refused():
    with pytest.raises(DataError, match=r"ego status: 1 non-finite value\(s\), first at \(4,\)"):
        EgoStatus((3.0, 0.0), yaw_rate_rps=float("nan"))
    with pytest.raises(DataError, match=r"speed: range \[90, 90\] m/s leaves \[0, 80\] m/s"):
        EgoStatus((90.0, 0.0))


def test_a_command_from_the_future_is_privileged():
    assert not Command(Maneuver.TURN_LEFT).privileged
    assert Command(Maneuver.TURN_LEFT, CommandSource.FUTURE).privileged


def test_rear_overhang_of_the_shipped_vehicles_is_positive():
    for vehicle in (PACIFICA, ZOE):
        rear_overhang = vehicle.length_m / 2 - vehicle.rear_axle_to_center_m
        front_overhang = vehicle.length_m - rear_overhang - vehicle.wheel_base_m
        assert 0.4 < rear_overhang < 1.3
        assert 0.4 < front_overhang < 1.3
    assert PACIFICA.length_m / 2 + PACIFICA.rear_axle_to_center_m == pytest.approx(4.049)  # NAVSIM's front length
