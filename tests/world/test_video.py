"""Videos: what was written can be read back, and wrong input is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eyesup.types import DataError, EyesUpError, MissingExtraError
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


def test_mp4_holds_every_frame_at_its_pace(tmp_path):
    """Written by ffmpeg and decoded by it again; sizes are padded to even numbers, as H.264 wants."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = video.write_video(tmp_path / "drive.mp4", frames(height=47, width=63), fps=10)
    reader = ffmpeg.read_frames(str(path))
    facts = next(reader)
    pictures = [np.frombuffer(data, np.uint8).reshape(48, 64, 3) for data in reader]
    assert facts["size"] == (64, 48) and facts["fps"] == 10 and facts["codec"] == "h264"
    assert len(pictures) == 5
    for i, picture in enumerate(pictures):
        bright = picture[20, :, 1] > 128
        assert bright[4 * i + 1 : 4 * i + 7].all() and not bright[4 * i + 10 : 60].any()


def test_mp4_without_ffmpeg_names_the_extra(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(video.shutil, "which", lambda name: None)
    monkeypatch.setattr(video, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"\.webp or \.gif does without.*eyesup\[video\]"):
        video.write_video(tmp_path / "drive.mp4", frames())


def test_a_failing_ffmpeg_is_told(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "drive.mp4").mkdir()
    with pytest.raises(EyesUpError, match="ffmpeg could not write"):
        video.write_video(tmp_path / "drive.mp4", frames())


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
