"""Camera rigs of the embedded world. Ego frame: x forward, y left, z up, rear axle on the ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from eyesup.types import Camera, CameraRig

FRONT_X_M, CAMERA_Z_M = 1.7, 1.5  # near the windscreen, as nuScenes' CAM_FRONT
FRONT3_HFOV_DEG, FRONT3_SIDE_YAW_DEG = 70.0, 55.0
JITTER_ANGLE_DEG, JITTER_SHIFT_M = 1.0, 0.04  # half-ranges of what a mounting tolerance could be
JITTER_SCALE = {"shifted": 2.5}  # by split; 1 elsewhere

# yaw [deg], x, y, z [m], horizontal field of view [deg]: the mean layout of nuScenes' cameras, rounded
_SURROUND6 = {
    "front_left": (55.0, 1.52, 0.49, 1.51, 65.0),
    "front": (0.0, 1.70, 0.0, 1.51, 65.0),
    "front_right": (-55.0, 1.52, -0.49, 1.51, 65.0),
    "back_left": (110.0, 1.03, 0.48, 1.56, 65.0),
    "back": (180.0, 0.03, 0.0, 1.57, 89.0),
    "back_right": (-110.0, 1.03, -0.48, 1.56, 65.0),
}


def ego_from_cam(yaw_rad: float, xyz: tuple[float, float, float]) -> Float64[np.ndarray, "4 4"]:
    """Pose of a level camera that looks along `yaw_rad` (0 = forward, left positive) from `xyz` metres, ego frame."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    pose = np.eye(4)
    pose[:3, :3] = [[sin, 0.0, cos], [-cos, 0.0, sin], [0.0, -1.0, 0.0]]  # columns: camera right, down, forward
    pose[:3, 3] = xyz
    return pose


def pinhole(
    name: str, yaw_deg: float, xyz: tuple[float, float, float], hfov_deg: float, width_px: int, height_px: int
) -> Camera:
    """A level camera with square pixels, principal point in the middle, and the given horizontal field of view."""
    focal = width_px / 2.0 / np.tan(np.radians(hfov_deg) / 2.0)
    intrinsics = np.array([[focal, 0.0, width_px / 2.0], [0.0, focal, height_px / 2.0], [0.0, 0.0, 1.0]])
    return Camera(name, intrinsics, ego_from_cam(float(np.radians(yaw_deg)), xyz), width_px, height_px)


def front3(width_px: int = 256, height_px: int = 144) -> CameraRig:
    """Front-left, front, front-right near the windscreen, 1.5 m high; the sides turned by 55 degrees (IK-VLA's views)."""
    yaws = {"front_left": FRONT3_SIDE_YAW_DEG, "front": 0.0, "front_right": -FRONT3_SIDE_YAW_DEG}
    return CameraRig(
        tuple(
            pinhole(name, yaw, (FRONT_X_M, 0.0, CAMERA_Z_M), FRONT3_HFOV_DEG, width_px, height_px)
            for name, yaw in yaws.items()
        )
    )


def surround6(width_px: int = 256, height_px: int = 144) -> CameraRig:
    """Six cameras all around, as on nuScenes' car: three to the front, three to the back."""
    return CameraRig(
        tuple(
            pinhole(name, yaw, (x, y, z), hfov, width_px, height_px)
            for name, (yaw, x, y, z, hfov) in _SURROUND6.items()
        )
    )


def looks_back(rig: CameraRig) -> bool:
    """Whether any camera looks behind the ego."""
    return any(camera.ego_from_cam[0, 2] < 0 for camera in rig)


def jittered(rig: CameraRig, seed: int, scale: float = 1.0) -> CameraRig:
    """The rig as a workshop would mount it: each camera turned by up to 1 degree and shifted by up to 4 cm, times `scale`.

    The calibration that comes back is the true one, so projection stays exact.
    """
    cameras = []
    for index, camera in enumerate(rig.cameras):
        rng = np.random.default_rng([seed, index])
        turn = _rotation(scale * np.radians(rng.uniform(-JITTER_ANGLE_DEG, JITTER_ANGLE_DEG, 3)))
        pose = camera.ego_from_cam.copy()
        pose[:3, :3] = pose[:3, :3] @ turn
        pose[:3, 3] += scale * rng.uniform(-JITTER_SHIFT_M, JITTER_SHIFT_M, 3)
        cameras.append(replace(camera, ego_from_cam=pose))
    return CameraRig(tuple(cameras))


def _rotation(angles: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Rotation about x, then y, then z [rad]."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


RIGS: dict[str, Callable[[int, int], CameraRig]] = {"front3": front3, "surround6": surround6}
