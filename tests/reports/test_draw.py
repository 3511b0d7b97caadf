"""Drawn paths and boxes land where projection says."""

from __future__ import annotations

import numpy as np
import pytest

from eyesup.reports.draw import Path, bev_svg, draw_boxes, overlay, side_by_side
from eyesup.types import PACIFICA, AgentKind, Agents, Trajectory

ORANGE = (255, 140, 0)


def straight(speed_mps: float = 8.0) -> Trajectory:
    x = speed_mps * 0.5 * np.arange(1, 7)
    return Trajectory(np.stack([x, np.zeros(6), np.zeros(6)], -1), 0.5)


def test_a_straight_path_is_painted_below_the_horizon_in_the_middle(hand_rig):
    camera = hand_rig.cameras[0].resized(192, 128)
    black = np.zeros((128, 192, 3), np.uint8)
    drawn = overlay(black, camera, [Path(straight(), "plan", ORANGE)], scale=1)
    rows, columns = np.nonzero(drawn.sum(-1))
    assert rows.min() > 64  # the horizon of a level camera is the image's middle
    assert abs(columns.mean() - 96) < 1.5


def test_a_path_to_the_left_is_painted_to_the_left(hand_rig):
    camera = hand_rig.cameras[0].resized(192, 128)
    poses = straight().poses + [0.0, 1.5, 0.0]
    drawn = overlay(np.zeros((128, 192, 3), np.uint8), camera, [Path(Trajectory(poses, 0.5), "plan", ORANGE)], scale=1)
    assert np.nonzero(drawn.sum(-1))[1].mean() < 96


def test_a_path_behind_the_camera_paints_nothing(hand_rig):
    camera = hand_rig.cameras[0]
    poses = straight().poses * [-1.0, 1.0, 1.0] - [5.0, 0.0, 0.0]
    drawn = overlay(np.zeros((32, 48, 3), np.uint8), camera, [Path(Trajectory(poses, 0.5), "back", ORANGE)], scale=1)
    ahead = overlay(np.zeros((32, 48, 3), np.uint8), camera, [], scale=1)
    assert np.array_equal(drawn, ahead)


def one_car(x: float) -> Agents:
    return Agents(
        ids=np.array([5]), kinds=np.array([AgentKind.CAR], np.uint8), sizes=np.array([[4.0, 2.0, 1.5]]),
        poses=np.array([[[x, 0.0, 0.0]]]), velocities=np.zeros((1, 1, 2)), valid=np.ones((1, 1), bool),
    )  # fmt: skip


def test_a_box_ahead_is_drawn_with_its_pinhole_height(hand_rig):
    camera = hand_rig.cameras[0].resized(480, 320)
    drawn = draw_boxes(np.zeros((320, 480, 3), np.uint8), camera, one_car(20.0))
    rows = np.nonzero(drawn.sum(-1))[0]
    nearest = 20.0 - 2.0 - camera.ego_from_cam[0, 3]
    assert rows.max() - rows.min() == pytest.approx(camera.intrinsics[1, 1] * 1.5 / nearest, abs=3)


def test_a_box_behind_is_not_drawn(hand_rig):
    assert draw_boxes(np.zeros((32, 48, 3), np.uint8), hand_rig.cameras[0], one_car(-20.0)).sum() == 0


def test_images_stand_side_by_side():
    left, right = np.zeros((4, 5, 3), np.uint8), np.full((4, 6, 3), 9, np.uint8)
    row = side_by_side([left, right], gap=2)
    assert row.shape == (4, 13, 3)
    assert (row[:, -6:] == 9).all()


def test_the_view_from_above_holds_ego_agents_and_a_titled_path():
    svg = bev_svg([Path(straight(), "a <plan>", ORANGE)], one_car(20.0), None, PACIFICA, marked=[5])
    assert svg.count("<polygon") == 2
    assert "#e03131" in svg
    assert "a &lt;plan&gt;" in svg
    assert svg.count("<circle") == 6
