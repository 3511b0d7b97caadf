"""One recorded moment of a real vehicle: images, calibration and annotated boxes. What the recording lacks stays unknown."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from eyesup.types import (
    Agents,
    CameraRig,
    Command,
    EgoStatus,
    Observation,
    Trajectory,
    VehicleGeometry,
)
from eyesup.types._check import as_array
from eyesup.types.errors import DataError

SLOW_MPS = 1.0  # below, yaw rate over speed says nothing about the steering


@dataclass(frozen=True)
class RecordedFrame:
    """A keyframe of a data set.

    Attributes:
        key: The data set's own token.
        images: (C, H, W, 3) uint8 RGB.
        rig: Calibration; `ego_from_cam` holds at the keyframe's time.
        agents: Boxes at the keyframe, one step, ego frame. An unknown velocity is 0 and marked in `velocity_known`.
        class_names: The data set's own class per agent.
        velocity_known: (A,) bool.
        history: Past ego poses as far as the recording has them; `valid` is False elsewhere.
    """

    key: str
    images: np.ndarray
    rig: CameraRig
    agents: Agents
    class_names: tuple[str, ...]
    velocity_known: np.ndarray
    history: Trajectory

    def __post_init__(self) -> None:
        if self.agents.steps != 1 or len(self.class_names) != len(self.agents):
            raise DataError(f"frame {self.key}: {len(self.class_names)} class names, {len(self.agents)} agents")
        known = as_array(f"frame {self.key}: velocity_known", self.velocity_known, (len(self.agents),), np.bool_)
        object.__setattr__(self, "velocity_known", known)

    def observation(self, ego: EgoStatus, command: Command, vehicle: VehicleGeometry) -> Observation:
        """What a planner may see. The recording does not tell ego status and command, so the caller states them."""
        return Observation(
            key=self.key,
            images=self.images[None],
            image_times_s=np.zeros(1),
            rig=self.rig,
            ego=ego,
            history=self.history,
            command=command,
            vehicle=vehicle,
        )

    def select(self, cameras: Sequence[str]) -> RecordedFrame:
        """The named cameras in the given order."""
        rig = self.rig.select(tuple(cameras))
        return replace(self, rig=rig, images=self.images[[self.rig.names.index(name) for name in cameras]])

    def renamed(self, names: Mapping[str, str]) -> RecordedFrame:
        """The cameras of `names` (old name -> new name) in that order, so that a model finds the ones it was trained with."""
        chosen = self.select(tuple(names))
        return replace(chosen, rig=CameraRig(tuple(replace(camera, name=names[camera.name]) for camera in chosen.rig)))

    def resized(self, width_px: int, height_px: int) -> RecordedFrame:
        """Images scaled (not cropped) to another size, calibration with them."""
        images = [Image.fromarray(i).resize((width_px, height_px), Image.Resampling.LANCZOS) for i in self.images]
        return replace(
            self, images=np.stack([np.asarray(i) for i in images]), rig=self.rig.resized(width_px, height_px)
        )


def unknown_history(steps: int = 4, dt_s: float = -0.5) -> Trajectory:
    """A history of which nothing is known."""
    return Trajectory(np.zeros((steps, 3)), dt_s, np.zeros(steps, bool))


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image file as RGB; DataError names a missing or corrupt one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: image is missing") from error
    except Exception as error:  # Pillow raises many kinds on broken files
        raise DataError(f"{path}: image cannot be decoded ({error})") from error


def rigid(quaternion_wxyz: Sequence[float | int], translation_m: Sequence[float | int]) -> Float64[np.ndarray, "4 4"]:
    """Homogeneous matrix of a rotation (unit quaternion, scalar first) and a translation."""
    w, x, y, z = np.asarray(quaternion_wxyz, dtype=np.float64) / np.linalg.norm(quaternion_wxyz)
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = translation_m
    return pose


def rotations(quaternions: Float64[np.ndarray, "N 4"]) -> Float64[np.ndarray, "N 3 3"]:
    """Rotation matrices of quaternions, scalar first."""
    norm = np.linalg.norm(quaternions, axis=1, keepdims=True)
    if len(norm) and norm.min() < 1e-6:
        raise DataError("a rotation quaternion is zero; the table is damaged")
    w, x, y, z = (quaternions / norm).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows).reshape(3, 3, -1), -1, 0)


def steering_of(speed_mps: float, yaw_rate_rps: float, wheel_base_m: float) -> float:
    """Front-wheel angle of a car that turns so [rad], left positive; 0 where it hardly moves."""
    return float(np.arctan(wheel_base_m * yaw_rate_rps / speed_mps)) if speed_mps > SLOW_MPS else 0.0


def planar(pose: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "3"]:
    """x, y and heading of a pose, seen from above."""
    return np.array([pose[0, 3], pose[1, 3], np.arctan2(pose[1, 0], pose[0, 0])])
