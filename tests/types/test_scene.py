from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyesup.types import Agents, DataError, PropKind, Props, Signals, SignalState

SIGNALS = Signals(
    ids=np.array([1, 2]),
    poses=np.zeros((2, 4)),
    states=np.array([[1, 2, 3], [3, 3, 1]]),
    stop_lane_ids=(("a",), ()),
    stop_points=np.zeros((2, 2)),
)


def test_signals_have_one_row_per_head():
    assert len(SIGNALS) == 2
    assert len(Signals.empty(5)) == 0
    assert Signals.empty(5).states.shape == (0, 5)
    assert SIGNALS.states[1, 2] == SignalState.GREEN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop_lane_ids": (("a",),)}, "1 stop_lane_ids for 2 signals"),
        ({"poses": np.zeros((2, 3))}, r"poses: shape \(2, 3\), expected \(2, 4\)"),
        ({"states": np.zeros(2, np.uint8)}, r"states: shape \(2,\), expected \(2, any\)"),
        ({"poses": np.full((2, 4), np.inf)}, "poses: 8 non-finite"),
    ],
)
def test_impossible_signals_are_refused(change, message):
    with pytest.raises(DataError, match=f"signals: .*{message}|signals: {message}"):
        replace(SIGNALS, **change)


def test_props_check_their_shapes():
    assert len(Props.empty()) == 0
    trees = Props(np.array([PropKind.TREE]), np.zeros((1, 3)), np.ones((1, 3)), np.array([4]))
    assert trees.looks.dtype == np.uint32
    with pytest.raises(DataError, match=r"props: sizes: shape \(1, 2\), expected \(1, 3\)"):
        replace(trees, sizes=np.ones((1, 2)))


def test_a_scene_is_as_long_as_its_ego_log(hand_scene):
    assert len(hand_scene(steps=90)) == 90


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agents": Agents.empty(5)}, "agents have 5 steps, the ego has 120"),
        ({"signals": Signals.empty(119)}, "signals have 119 steps, the ego has 120"),
        ({"maneuvers": ()}, "maneuvers have 0 steps, the ego has 120"),
        ({"ego_yaw_rates": np.zeros(119)}, r"ego_yaw_rates: shape \(119,\), expected \(120\)"),
        ({"ego_poses": np.full((120, 3), np.nan)}, "ego_poses: 360 non-finite"),
        ({"keyframes": np.array([20, 120])}, r"keyframes \[20, 120\] leave its steps 0 .. 119"),
        ({"dt_s": 0.0}, "dt_s 0.0 s must be finite and positive"),
    ],
)
def test_impossible_scenes_are_refused_by_key(hand_scene, change, message):
    with pytest.raises(DataError, match=f"scene train-0001-hand: {message}"):
        replace(hand_scene(), **change)
