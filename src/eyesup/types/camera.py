"""Pinhole cameras mounted on the ego vehicle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from eyesup.types._check import as_array, check_finite
from eyesup.types.errors import DataError


@dataclass(frozen=True)
class Camera:
    """One pinhole camera.

    Attributes:
        name: Unique in its rig, e.g. ``front_left``.
        intrinsics: (3, 3) float64, pixels; pixel centres at integer + 0.5, origin top-left, u right, v down.
        ego_from_cam: (4, 4) float64, metres. Camera axes: x right, y down, z forward (OpenCV).
        width_px, height_px: Image size in pixels.
    """

    name: str
    intrinsics: np.ndarray
    ego_from_cam: np.ndarray
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "intrinsics", as_array(f"camera {self.name}: intrinsics", self.intrinsics, (3, 3), np.float64)
        )
        object.__setattr__(
            self, "ego_from_cam", as_array(f"camera {self.name}: ego_from_cam", self.ego_from_cam, (4, 4), np.float64)
        )
        check_finite(f"camera {self.name}: intrinsics", self.intrinsics)
        check_finite(f"camera {self.name}: ego_from_cam", self.ego_from_cam)
        if self.width_px <= 0 or self.height_px <= 0:
            raise DataError(f"camera {self.name}: size {self.width_px}x{self.height_px} px, both must be positive")
        if self.intrinsics[0, 0] <= 0 or self.intrinsics[1, 1] <= 0:
            raise DataError(
                f"camera {self.name}: focal lengths {self.intrinsics[0, 0]}, {self.intrinsics[1, 1]} px must be positive"
            )
        rotation = self.ego_from_cam[:3, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
            raise DataError(f"camera {self.name}: ego_from_cam[:3, :3] is no rotation matrix")

    def resized(self, width_px: int, height_px: int) -> Camera:
        """The same camera with its image scaled (not cropped) to another size."""
        scale = np.diag([width_px / self.width_px, height_px / self.height_px, 1.0])
        return replace(self, intrinsics=scale @ self.intrinsics, width_px=width_px, height_px=height_px)


@dataclass(frozen=True)
class CameraRig:
    """Cameras in a fixed order; images of an Observation follow it. All cameras of a rig share one image size."""

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.cameras]
        if not names or len(set(names)) != len(names):
            raise DataError(f"camera rig: names {names} must be unique and at least one")
        sizes = {(camera.width_px, camera.height_px) for camera in self.cameras}
        if len(sizes) != 1:
            raise DataError(f"camera rig: image sizes {sorted(sizes)} differ; resize the images to one size first")

    def __len__(self) -> int:
        return len(self.cameras)

    def __iter__(self):
        return iter(self.cameras)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of every image."""
        return self.cameras[0].width_px, self.cameras[0].height_px

    def select(self, names: tuple[str, ...]) -> CameraRig:
        """The named cameras in the given order; a missing one raises DataError."""
        by_name = {camera.name: camera for camera in self.cameras}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise DataError(f"missing camera {missing}; the rig has {list(by_name)}")
        return CameraRig(tuple(by_name[name] for name in names))

    def resized(self, width_px: int, height_px: int) -> CameraRig:
        return CameraRig(tuple(camera.resized(width_px, height_px) for camera in self.cameras))
