"""Videos: what was written can be read back, and wrong input is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eyesup.types import DataError
from eyesup.world import video


def frames(count=5, height=24, width=32):
    for i in range(count):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, 4 * i : 4 * i + 8] = 255
        yield picture


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_animation_holds_every_frame_at_its_pace(tmp_path, suffix):
    path = video.write_video(tmp_path / f"drive{suffix}", frames(), fps=10)
    with Image.open(path) as read:
        assert read.n_frames == 5 and read.size == (32, 24)
        read.seek(2)
        read.load()
        assert read.info["duration"] == 100
        bright = np.asarray(read.convert("L"))[12] > 128
    assert bright[8:16].all() and not bright[20:].any()


def test_mp4_falls_back_to_webp_without_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setattr(video.shutil, "which", lambda name: None)
    assert video.write_video(tmp_path / "drive.mp4", frames()).name == "drive.webp"


def test_cameras_lie_side_by_side():
    images = np.stack([np.full((2, 3, 3), value, np.uint8) for value in (1, 2, 3)])
    np.testing.assert_array_equal(video.tile(images)[0, :, 0], [1, 1, 1, 2, 2, 2, 3, 3, 3])


def test_errors_name_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match=r"suffix '\.avi'"):
        video.write_video(tmp_path / "drive.avi", frames())
    with pytest.raises(DataError, match="at least one frame"):
        video.write_video(tmp_path / "drive.gif", [])
    with pytest.raises(DataError, match="-1 frames/s"):
        video.write_video(tmp_path / "drive.gif", frames(), fps=-1)
