"""Write pictures as a video: an animated WebP or GIF, or mp4 with the ffmpeg of the system or of the `video` extra."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from eyesup.types import DataError, EyesUpError, MissingExtraError


def tile(images: UInt8[np.ndarray, "C H W 3"]) -> UInt8[np.ndarray, "H w 3"]:
    """The cameras of one step side by side, in rig order."""
    return np.concatenate(list(images), axis=1)


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: float | int = 10.0) -> Path:
    """Write frames of one size to `path`; returns the file that was written.

    The suffix chooses the format: ``.webp``, ``.gif``, or ``.mp4`` (H.264).

    Raises:
        DataError: Unknown suffix, no frames, or frames of different sizes.
        MissingExtraError: An ``.mp4`` without any ffmpeg.
        EyesUpError: ffmpeg failed.
    """
    path = Path(path)
    if path.suffix not in (".mp4", ".webp", ".gif"):
        raise DataError(f"video {path.name}: suffix {path.suffix!r} is not known; use .mp4, .webp or .gif")
    if not fps > 0:
        raise DataError(f"video {path.name}: {fps} frames/s must be positive")
    ffmpeg = _ffmpeg() if path.suffix == ".mp4" else None  # before the frames are drawn
    pictures = _checked(path, frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    if ffmpeg is not None:
        _write_mp4(ffmpeg, path, pictures, float(fps))
    else:
        _write_animation(path, pictures, float(fps))
    return path


def _ffmpeg() -> str:
    """The system's ffmpeg, else the one that imageio-ffmpeg brings along."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        return import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:  # not installed, or without a program for this machine
        raise MissingExtraError("an .mp4 (a .webp or .gif does without)", "video") from error


def _checked(path: Path, frames: Iterable[np.ndarray]) -> list[np.ndarray]:
    pictures = [np.ascontiguousarray(frame) for frame in frames]
    sizes = {picture.shape for picture in pictures}
    if len(sizes) != 1:
        raise DataError(f"video {path.name}: frame shapes {sorted(sizes)}; give at least one frame, all of one size")
    return pictures


def _write_mp4(ffmpeg: str, path: Path, pictures: list[np.ndarray], fps: float) -> None:
    height, width = pictures[0].shape[:2]
    command = [
        ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps),
        "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    done = subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), capture_output=True, check=False)
    if done.returncode != 0:
        raise EyesUpError(
            f"ffmpeg could not write {path}: {done.stderr.decode(errors='replace').strip()}; try a .webp path"
        )


def _write_animation(path: Path, pictures: list[np.ndarray], fps: float) -> None:
    images = [Image.fromarray(picture) for picture in pictures]
    options: dict[str, Any] = {"quality": 85, "method": 2} if path.suffix == ".webp" else {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, **options)
