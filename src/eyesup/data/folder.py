"""A user's own frames: a folder of images with ``calibration.json`` and ``status.json`` (documented in docs/own_frames.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from eyesup.data.recorded import read_image, unknown_history
from eyesup.types import (
    PACIFICA,
    Camera,
    CameraRig,
    Command,
    EgoStatus,
    Maneuver,
    Observation,
    Trajectory,
    VehicleGeometry,
)
from eyesup.types.errors import DataError

CALIBRATION, STATUS = "calibration.json", "status.json"
HISTORY_DT_S = 0.5
_CAMERA_KEYS = {
    "name", "file", "intrinsics", "hfov_deg", "width_px", "height_px", "ego_from_cam", "position_m", "yaw_deg", "pitch_deg",
    "roll_deg",
}  # fmt: skip
_STATUS_KEYS = {
    "speed_mps", "acceleration_mps2", "yaw_rate_rps", "steering_rad", "command", "history", "history_dt_s", "question",
}  # fmt: skip


def read_frames(folder: str | Path) -> list[Observation]:
    """One Observation per frame: the folder itself if it holds status.json, else each of its subfolders that does, by name.

    A subfolder without its own calibration.json uses the folder's.

    Raises:
        DataError: Something is missing, damaged, not finite or unknown; the message names the file, the value and the remedy.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    frames = [folder] if (folder / STATUS).exists() else sorted(path.parent for path in folder.glob(f"*/{STATUS}"))
    if not frames:
        raise DataError(f"{folder}: no {STATUS} here or in a subfolder; it needs at least {{'speed_mps': 8.0}}")
    return [_read_frame(frame, folder) for frame in frames]


def _read_frame(frame: Path, folder: Path) -> Observation:
    calibration = frame / CALIBRATION if (frame / CALIBRATION).exists() else folder / CALIBRATION
    rig, images, vehicle = _read_cameras(calibration, frame)
    path = frame / STATUS
    status = _read_object(path, _STATUS_KEYS)
    return Observation(
        key=frame.name,
        images=images[None],
        image_times_s=np.zeros(1),
        rig=rig,
        ego=_ego(status, path),
        history=_history(status, path),
        command=Command(_maneuver(status, path)),
        vehicle=vehicle,
        question=status.get("question"),
    )


def _read_cameras(path: Path, frame: Path) -> tuple[CameraRig, np.ndarray, VehicleGeometry]:
    calibration = _read_object(path, {"cameras", "vehicle"})
    rows = calibration.get("cameras")
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path}: 'cameras' must be a list with at least one camera")
    cameras, images = [], []
    for row in rows:
        _check_keys(path, row, _CAMERA_KEYS)
        name = _field(path, row, "name")
        images.append(read_image(frame / row.get("file", f"{name}.jpg")))
        cameras.append(_camera(path, row, images[-1].shape))
    rig = CameraRig(tuple(cameras))  # checks that all images have one size
    vehicle = VehicleGeometry(**calibration["vehicle"]) if "vehicle" in calibration else PACIFICA
    return rig, np.stack(images), vehicle


def _camera(path: Path, row: Mapping[str, Any], shape: tuple[int, ...]) -> Camera:
    height, width = shape[:2]
    for name, actual in (("width_px", width), ("height_px", height)):
        if row.get(name, actual) != actual:
            raise DataError(
                f"{path}: camera {row['name']} was calibrated at {name} {row[name]}, its image has {actual}; "
                f"scale the intrinsics to the image, or give the image in its calibrated size"
            )
    intrinsics = (
        _numbers(path, row, "intrinsics", (3, 3)) if "intrinsics" in row else _pinhole(path, row, width, height)
    )
    pose = _numbers(path, row, "ego_from_cam", (4, 4)) if "ego_from_cam" in row else _mount(path, row)
    return Camera(row["name"], intrinsics, pose, width, height)


def _pinhole(path: Path, row: Mapping[str, Any], width: int, height: int) -> Float64[np.ndarray, "3 3"]:
    if "hfov_deg" not in row:
        raise DataError(f"{path}: camera {row['name']} needs 'intrinsics' (3 x 3, pixels) or 'hfov_deg'")
    hfov = float(_numbers(path, row, "hfov_deg", ()))
    if not 1.0 < hfov < 170.0:
        raise DataError(f"{path}: camera {row['name']}: hfov_deg {hfov:g} must lie in (1, 170)")
    focal = width / 2.0 / np.tan(np.radians(hfov) / 2.0)
    return np.array([[focal, 0.0, width / 2.0], [0.0, focal, height / 2.0], [0.0, 0.0, 1.0]])


def _mount(path: Path, row: Mapping[str, Any]) -> Float64[np.ndarray, "4 4"]:
    """Camera pose from its place and angles: yaw to the left, then pitch upwards, then roll with the right side down."""
    if "position_m" not in row:
        raise DataError(f"{path}: camera {row['name']} needs 'ego_from_cam' (4 x 4) or 'position_m' with 'yaw_deg'")
    angles = [
        _numbers(path, row, f"{name}_deg", ()) if f"{name}_deg" in row else 0.0 for name in ("yaw", "pitch", "roll")
    ]
    yaw, pitch, roll = (float(np.radians(angle)) for angle in angles)
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[np.cos(pitch), 0.0, -np.sin(pitch)], [0.0, 1.0, 0.0], [np.sin(pitch), 0.0, np.cos(pitch)]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(roll), -np.sin(roll)], [0.0, np.sin(roll), np.cos(roll)]])
    level = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # columns: camera right, down, forward
    pose = np.eye(4)
    pose[:3, :3] = about_z @ about_y @ about_x @ level
    pose[:3, 3] = _numbers(path, row, "position_m", (3,))
    return pose


def _ego(status: Mapping[str, Any], path: Path) -> EgoStatus:
    speed = float(_numbers(path, status, "speed_mps", ()))
    rest = {
        name: float(_numbers(path, status, name, ())) if name in status else 0.0
        for name in ("acceleration_mps2", "yaw_rate_rps", "steering_rad")
    }
    return EgoStatus((speed, 0.0), (rest["acceleration_mps2"], 0.0), rest["yaw_rate_rps"], rest["steering_rad"])


def _history(status: Mapping[str, Any], path: Path) -> Trajectory:
    if "history" not in status:
        return unknown_history()
    poses = _numbers(path, status, "history", (None, 3))
    step = float(_numbers(path, status, "history_dt_s", ())) if "history_dt_s" in status else HISTORY_DT_S
    if step <= 0:
        raise DataError(f"{path}: history_dt_s {step:g} s must be positive")
    return Trajectory(poses, -step)


def _maneuver(status: Mapping[str, Any], path: Path) -> Maneuver:
    name = status.get("command", Maneuver.KEEP_FORWARD.value)
    try:
        return Maneuver(name)
    except ValueError:
        raise DataError(f"{path}: command {name!r} is unknown; choose one of {[m.value for m in Maneuver]}") from None


def _numbers(
    path: Path, row: Mapping[str, Any], name: str, shape: tuple[int | None, ...]
) -> Float64[np.ndarray, "..."]:
    """A field as an array of that shape, all finite."""
    value = _field(path, row, name)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{path}: {name} must be numbers, got {value!r}") from None
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape))
    if not fits:
        wanted = " x ".join("any" if n is None else str(n) for n in shape) or "one number"
        raise DataError(f"{path}: {name} has shape {array.shape}, expected {wanted}")
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {name} holds a value that is not finite ({value}); leave an unknown field out")
    return array


def _field(path: Path, row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise DataError(f"{path}: '{name}' is missing")
    return row[name]


def _read_object(path: Path, keys: set[str]) -> dict[str, Any]:
    if not path.exists():
        raise DataError(f"{path} is missing; docs/own_frames.md shows a complete folder")
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: no valid JSON ({error})") from error
    _check_keys(path, content, keys)
    return content


def _check_keys(path: Path, row: object, keys: set[str]) -> None:
    if not isinstance(row, dict):
        raise DataError(f"{path}: {row!r} must be an object {{...}}")
    unknown = sorted(set(row) - keys)
    if unknown:
        raise DataError(f"{path}: unknown field {', '.join(unknown)}; known: {', '.join(sorted(keys))}")
