"""Camera rigs: where the cameras sit, which way they look, and what jitter may change."""

from __future__ import annotations

import numpy as np
import pytest

from eyesup.world.rigs import FRONT_X_M, RIGS, front3, jittered, surround6


def in_pixels(camera, point_ego):
    x, y, z = np.linalg.inv(camera.ego_from_cam)[:3] @ np.append(point_ego, 1.0)
    return camera.intrinsics[:2, :2] @ [x / z, y / z] + camera.intrinsics[:2, 2], z


def test_point_straight_ahead_lands_in_the_middle_of_the_front_camera():
    uv, depth = in_pixels(front3().cameras[1], [FRONT_X_M + 10.0, 0.0, 1.5])
    np.testing.assert_allclose(uv, [128, 72], atol=1e-9)
    assert depth == pytest.approx(10.0)


def test_left_and_up_in_the_world_are_left_and_up_in_the_picture():
    uv, _ = in_pixels(front3().cameras[1], [11.7, 1.0, 2.5])
    assert uv[0] < 128 and uv[1] < 72


@pytest.mark.parametrize(("name", "sign"), [("front_left", 1.0), ("front_right", -1.0)])
def test_side_cameras_look_55_degrees_to_their_side(name, sign):
    camera = front3().select((name,)).cameras[0]
    forward = camera.ego_from_cam[:3, 2]
    np.testing.assert_allclose(forward, [np.cos(np.radians(55)), sign * np.sin(np.radians(55)), 0], atol=1e-12)


def test_front3_order_and_field_of_view():
    rig = front3(320, 180)
    assert rig.names == ("front_left", "front", "front_right")
    focal = rig.cameras[1].intrinsics[0, 0]
    assert np.degrees(2 * np.arctan(160 / focal)) == pytest.approx(70.0)
    assert rig.cameras[1].intrinsics[1, 1] == focal


def test_surround6_leaves_no_horizontal_gap():
    covered = np.zeros(360, bool)
    for camera in surround6().cameras:
        yaw = np.degrees(np.arctan2(camera.ego_from_cam[1, 2], camera.ego_from_cam[0, 2]))
        half = np.degrees(np.arctan(camera.width_px / 2 / camera.intrinsics[0, 0]))
        covered |= np.abs((np.arange(360) - yaw + 180) % 360 - 180) <= half
    assert covered.all()


def test_jitter_is_small_seeded_and_leaves_intrinsics():
    rig = front3()
    a, b, c = jittered(rig, 1), jittered(rig, 1), jittered(rig, 2)
    for plain, one, same, other in zip(rig, a, b, c):
        np.testing.assert_array_equal(one.ego_from_cam, same.ego_from_cam)
        assert not np.array_equal(one.ego_from_cam, other.ego_from_cam)
        np.testing.assert_array_equal(one.intrinsics, plain.intrinsics)
        turn = plain.ego_from_cam[:3, :3].T @ one.ego_from_cam[:3, :3]
        assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) < 2.0
        assert np.abs(one.ego_from_cam[:3, 3] - plain.ego_from_cam[:3, 3]).max() <= 0.04


def test_every_rig_in_the_catalogue_takes_a_size():
    for build in RIGS.values():
        assert build(64, 48).size_px == (64, 48)
