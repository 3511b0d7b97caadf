"""A user's own frames: what is read, and what is refused with a remedy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from eyesup.data.folder import read_frames
from eyesup.types import Maneuver
from eyesup.types.errors import DataError


def camera(name="front", **changes):
    return {"name": name, "hfov_deg": 90.0, "position_m": [1.7, 0.0, 1.5], "yaw_deg": 0.0, **changes}


def write_frame(folder, status=None, cameras=None, size=(64, 36)):
    folder.mkdir(parents=True, exist_ok=True)
    cameras = cameras or [camera("front"), camera("front_left", yaw_deg=90.0)]
    (folder / "status.json").write_text(json.dumps(status or {"speed_mps": 8.0}))
    (folder / "calibration.json").write_text(json.dumps({"cameras": cameras}))
    for i, row in enumerate(cameras):
        Image.new("RGB", size, (10 * i, 100, 200)).save(folder / row.get("file", f"{row['name']}.jpg"), quality=95)
    return folder


def test_a_minimal_frame_is_read(tmp_path):
    (seen,) = read_frames(write_frame(tmp_path / "one"))
    assert seen.key == "one" and seen.images.shape == (1, 2, 36, 64, 3)
    assert seen.ego.speed_mps == 8.0 and seen.command.maneuver is Maneuver.KEEP_FORWARD
    assert not seen.history.valid.any()  # unknown, not zero
    np.testing.assert_allclose(seen.rig.cameras[0].intrinsics, [[32, 0, 32], [0, 32, 18], [0, 0, 1]])


def test_angles_turn_the_camera_left_and_up_and_its_right_side_down(tmp_path):
    cameras = [camera("left", yaw_deg=90.0), camera("up", pitch_deg=90.0), camera("rolled", roll_deg=90.0)]
    (seen,) = read_frames(write_frame(tmp_path / "f", cameras=cameras))
    left, up, rolled = (c.ego_from_cam[:3, :3] for c in seen.rig)
    np.testing.assert_allclose(left @ [0, 0, 1], [0, 1, 0], atol=1e-12)  # optical axis to the left
    np.testing.assert_allclose(left @ [0, 1, 0], [0, 0, -1], atol=1e-12)  # still level
    np.testing.assert_allclose(up @ [0, 0, 1], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rolled @ [1, 0, 0], [0, 0, -1], atol=1e-12)  # the right side points down


def test_matrices_and_angles_say_the_same(tmp_path):
    matrix = [[0, 0, 1, 1.7], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]]
    rows = [camera("a"), {"name": "b", "intrinsics": [[32, 0, 32], [0, 32, 18], [0, 0, 1]], "ego_from_cam": matrix}]
    (seen,) = read_frames(write_frame(tmp_path / "f", cameras=rows))
    a, b = seen.rig
    np.testing.assert_allclose(a.ego_from_cam, b.ego_from_cam, atol=1e-12)
    np.testing.assert_allclose(a.intrinsics, b.intrinsics, atol=1e-12)


def test_all_of_the_status_is_taken(tmp_path):
    status = {
        "speed_mps": 3.0, "acceleration_mps2": -1.0, "yaw_rate_rps": 0.1, "steering_rad": 0.2, "command": "turn left",
        "history": [[-1.5, 0, 0], [-3.0, 0, 0]], "history_dt_s": 0.5, "question": "What is ahead?",
    }  # fmt: skip
    (seen,) = read_frames(write_frame(tmp_path / "f", status))
    assert seen.ego.as_array().tolist() == [3.0, 0.0, -1.0, 0.0, 0.1, 0.2]
    assert seen.command.maneuver is Maneuver.TURN_LEFT and seen.question == "What is ahead?"
    assert seen.history.dt_s == -0.5 and seen.history.poses[1, 0] == -3.0 and seen.history.valid.all()


def test_several_frames_share_the_outer_calibration(tmp_path):
    for name in ("0002", "0001"):
        write_frame(tmp_path / name)
    (tmp_path / "0001" / "calibration.json").rename(tmp_path / "calibration.json")
    (tmp_path / "0002" / "calibration.json").unlink()
    assert [seen.key for seen in read_frames(tmp_path)] == ["0001", "0002"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({}, r"status\.json: 'speed_mps' is missing"),
        ({"speed_mps": float("nan")}, "speed_mps holds a value that is not finite"),
        ({"speed_mps": "fast"}, "speed_mps must be numbers, got 'fast'"),
        ({"speed_mps": 500.0}, "speed"),
        ({"speed_mps": 8.0, "comand": "turn left"}, "unknown field comand; known: acceleration_mps2"),
        ({"speed_mps": 8.0, "command": "u-turn"}, "command 'u-turn' is unknown; choose one of"),
        ({"speed_mps": 8.0, "history": [[1.0, 2.0]]}, r"history has shape \(1, 2\), expected any x 3"),
        ({"speed_mps": 8.0, "history": [[1, 2, 3]], "history_dt_s": 0.0}, "history_dt_s 0 s must be positive"),
    ],
)
def test_a_bad_status_is_refused(tmp_path, status, message):
    folder = write_frame(tmp_path / "f")
    (folder / "status.json").write_text(json.dumps(status))
    with pytest.raises(DataError, match=message):
        read_frames(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": "front", "position_m": [0, 0, 1]}, "needs 'intrinsics'"),
        ({"name": "front", "hfov_deg": 70}, "needs 'ego_from_cam'"),
        (camera(hfov_deg=180.0), r"hfov_deg 180 must lie in \(1, 170\)"),
        (camera(width_px=1600), "calibrated at width_px 1600, its image has 64"),
        (camera(ego_from_cam=np.full((4, 4), np.nan).tolist()), "ego_from_cam holds a value that is not finite"),
        (camera(ego_from_cam=np.zeros((4, 4)).tolist()), "no rotation matrix"),
        (camera(yaw="left"), "unknown field yaw; known"),
    ],
)
def test_a_bad_calibration_is_refused(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_frames(write_frame(tmp_path / "f", cameras=[row]))


def test_missing_and_corrupt_images_are_named(tmp_path):
    folder = write_frame(tmp_path / "f")
    image = folder / "front_left.jpg"
    image.write_bytes(image.read_bytes()[:80])
    with pytest.raises(DataError, match=r"front_left\.jpg: image cannot be decoded"):
        read_frames(folder)
    image.unlink()
    with pytest.raises(DataError, match=r"front_left\.jpg: image is missing"):
        read_frames(folder)


def test_images_of_different_size_are_refused(tmp_path):
    folder = write_frame(tmp_path / "f")
    Image.new("RGB", (32, 36)).save(folder / "front_left.jpg")
    with pytest.raises(DataError, match="resize the images to one size"):
        read_frames(folder)


def test_missing_files_point_to_the_documentation(tmp_path):
    folder = write_frame(tmp_path / "f")
    (folder / "calibration.json").unlink()
    with pytest.raises(DataError, match=r"calibration\.json is missing; docs/own_frames\.md"):
        read_frames(folder)
    (folder / "calibration.json").write_text("{")
    with pytest.raises(DataError, match="no valid JSON"):
        read_frames(folder)
    with pytest.raises(DataError, match=r"no status\.json here or in a subfolder"):
        read_frames(_empty(tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        read_frames(tmp_path / "nowhere")


def _empty(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"
