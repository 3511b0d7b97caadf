from __future__ import annotations

import numpy as np
import pytest

from eyesup.types import AgentKind, Agents, DataError, Lights


def fields(a: int = 3, t: int = 4) -> dict[str, np.ndarray]:
    return {
        "ids": np.arange(a), "kinds": np.zeros(a, np.uint8), "sizes": np.ones((a, 3)), "poses": np.zeros((a, t, 3)),
        "velocities": np.zeros((a, t, 2)), "valid": np.ones((a, t), bool),
    }  # fmt: skip


def test_what_is_left_out_becomes_zeros_of_the_right_shape():
    agents = Agents(**fields())
    assert (len(agents), agents.steps) == (3, 4)
    assert agents.lights.shape == agents.bottom_z.shape == (3, 4)
    assert agents.looks.shape == (3,)
    assert agents.poses.dtype == np.float64
    assert agents.sizes.dtype == np.float32


def test_no_agents_still_have_a_time_axis():
    nobody = Agents.empty(7)
    assert (len(nobody), nobody.steps) == (0, 7)
    assert nobody.at(slice(2, 4)).steps == 2


def test_picking_times_and_agents():
    agents = Agents(**{**fields(), "ids": np.array([5, 9, 7]), "poses": np.arange(36.0).reshape(3, 4, 3)})
    later = agents.at(np.array([1, 3]))
    np.testing.assert_array_equal(later.poses, agents.poses[:, [1, 3]])
    assert later.lights.shape == (3, 2)
    some = agents.select(np.array([False, True, True]))
    assert some.ids.tolist() == [9, 7]
    np.testing.assert_array_equal(agents.select(np.array([2, 0])).poses, agents.poses[[2, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.array([1, 1, 2])}, r"agents: 1 duplicate id\(s\); ids must be unique"),
        ({"sizes": np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])}, "smallest size 0 m must be positive"),
        ({"velocities": np.zeros((3, 4, 3))}, r"velocities: shape \(3, 4, 3\), expected \(3, 4, 2\)"),
        ({"valid": np.ones((3, 5), bool)}, r"valid: shape \(3, 5\), expected \(3, 4\)"),
        ({"lights": np.zeros((3, 1), np.uint8)}, r"lights: shape \(3, 1\), expected \(3, 4\)"),
        ({"poses": np.full((3, 4, 3), np.nan)}, r"poses: 36 non-finite value\(s\).*masked by `valid`"),
        ({"kinds": np.array([-1, 0, 0])}, "kinds: value -1 does not fit uint8"),
    ],
)
def test_impossible_agents_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        Agents(**{**fields(), **change})


def test_masked_rows_may_hold_anything():
    poses = np.zeros((3, 4, 3))
    poses[1, 2] = np.nan
    valid = np.ones((3, 4), bool)
    valid[1, 2] = False
    assert np.isnan(Agents(**{**fields(), "poses": poses, "valid": valid}).poses).sum() == 3


def test_vehicles_are_told_from_people_and_things():
    assert AgentKind.BICYCLE.is_vehicle
    assert AgentKind.EMERGENCY.is_vehicle
    assert not any(
        kind.is_vehicle for kind in (AgentKind.PEDESTRIAN, AgentKind.CONE, AgentKind.BARRIER, AgentKind.DEBRIS)
    )


def test_hazard_lights_are_both_indicators():
    assert Lights.LEFT | Lights.RIGHT == Lights.HAZARD


def test_stored_numbers_of_kinds_never_change():
    assert [kind.value for kind in AgentKind] == list(range(11))
    assert (AgentKind.CAR, AgentKind.PEDESTRIAN, AgentKind.DEBRIS) == (0, 6, 10)
