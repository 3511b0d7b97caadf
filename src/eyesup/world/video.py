"""Write pictures as a video: mp4 where an ffmpeg is installed, else an animated WebP or GIF."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from eyesup.types import DataError, EyesUpError


def tile(images: UInt8[np.ndarray, "C H W 3"]) -> UInt8[np.ndarray, "H w 3"]:
    """The cameras of one step side by side, in rig order."""
    return np.concatenate(list(images), axis=1)


def write_video(path: Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: float | int = 10.0) -> Path:
    """Write frames of one size to `path`; returns the file that was written.

    The suffix chooses the format: ``.mp4`` (needs the ffmpeg program), ``.webp`` or ``.gif``. An ``.mp4`` on a machine
    without ffmpeg becomes a ``.webp`` beside it. Unknown suffixes, no frames, or frames of different sizes raise DataError.
    """
    path = Path(path)
    if path.suffix not in (".mp4", ".webp", ".gif"):
        raise DataError(f"video {path.name}: suffix {path.suffix!r} is not known; use .mp4, .webp or .gif")
    if not fps > 0:
        raise DataError(f"video {path.name}: {fps} frames/s must be positive")
    pictures = _checked(path, frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    ffmpeg = shutil.which("ffmpeg")
    if path.suffix == ".mp4" and ffmpeg is not None:
        _write_mp4(ffmpeg, path, pictures, float(fps))
        return path
    if path.suffix == ".mp4":
        path = path.with_suffix(".webp")
    _write_animation(path, pictures, float(fps))
    return path


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
        "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", str(path),
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
