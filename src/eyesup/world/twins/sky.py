"""How high a thing must hang to be seen against the sky."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eyesup.types import Scene
from eyesup.world.rigs import CAMERA_Z_M, FRONT_X_M

SKY_ANGLE_RAD = np.deg2rad(8.0)  # above the horizon; pictures end at 21 deg
LOWEST_M = 3.0  # a car passes below


def height_in_sky(scene: Scene, step: int, xy: Float64[np.ndarray, "2"]) -> float:
    """Height at which what hangs above `xy` begins `SKY_ANGLE_RAD` above the horizon of the camera at a step [m]."""
    x, y, heading = scene.ego_poses[step]
    camera = np.array([x + FRONT_X_M * np.cos(heading), y + FRONT_X_M * np.sin(heading)])
    distance = float(np.hypot(*(xy - camera)))
    return max(LOWEST_M, CAMERA_Z_M + distance * float(np.tan(SKY_ANGLE_RAD)))
