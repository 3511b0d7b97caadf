"""NAVSIM's agent input (as its harness hands it to agents) as an Observation. Needs no NAVSIM: it only reads attributes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from eyesup.data.navsim.logs import FRAME_US, FRONT3, MANEUVERS, NOMINAL_LIDAR_M, command_of
from eyesup.geometry.se2 import to_frame, wrap_angle
from eyesup.types import PACIFICA, Camera, CameraRig, Command, EgoStatus, Observation, Trajectory
from eyesup.types.errors import DataError

DT_S = FRAME_US * 1e-6
HISTORY_POSES = 4


def observation_of(agent_input: Any, cameras: Mapping[str, str] = FRONT3) -> Observation:
    """What a planner may see of an ``AgentInput``.

    The input does not tell its token: the Observation's key is a digest of the past ego states, so that the same scene is always
    planned with the same noise. It does not tell where the lidar sits either; nuPlan's nominal place is taken.

    Args:
        agent_input: ``ego_statuses`` and ``cameras``, oldest first, the current frame last.
        cameras: NAVSIM's camera -> name in the rig, in the order in which the planner wants them.

    Raises:
        DataError: A camera was not loaded (see `sensors_of`), or a value is not finite.
    """
    now = agent_input.ego_statuses[-1]
    poses = np.array([status.ego_pose for status in agent_input.ego_statuses], dtype=np.float64)
    past = to_frame(poses[-2::-1], poses[-1])[:HISTORY_POSES]
    history, known = np.zeros((HISTORY_POSES, 3)), np.arange(HISTORY_POSES) < len(past)
    history[: len(past)] = past
    turned = float(wrap_angle(poses[-1, 2] - poses[-2, 2])) if len(poses) > 1 else 0.0
    images, rig = _look(agent_input.cameras[-1], cameras)
    velocity, acceleration = (np.asarray(part, np.float64) for part in (now.ego_velocity, now.ego_acceleration))
    return Observation(
        key=hashlib.blake2b(np.append(poses, [*velocity, *acceleration]).tobytes(), digest_size=8).hexdigest(),
        images=images[None],
        image_times_s=np.zeros(1),
        rig=rig,
        ego=EgoStatus(
            (float(velocity[0]), float(velocity[1])), (float(acceleration[0]), float(acceleration[1])), turned / DT_S
        ),
        history=Trajectory(history, -DT_S, known),
        command=Command(MANEUVERS[command_of(now.driving_command)]),
        vehicle=PACIFICA,
    )


def sensors_of(cameras: Mapping[str, str] = FRONT3, history: int = 4) -> dict[str, list[int] | bool]:
    """Arguments of NAVSIM's ``SensorConfig``: these cameras in the current frame, and nothing else."""
    names = ("cam_f0", "cam_l0", "cam_l1", "cam_l2", "cam_r0", "cam_r1", "cam_r2", "cam_b0", "lidar_pc")
    wanted = {name.lower() for name in cameras}
    return {name: [history - 1] if name in wanted else False for name in names}


def _look(now: Any, cameras: Mapping[str, str]) -> tuple[np.ndarray, CameraRig]:
    pictures, rig = [], []
    for official, ours in cameras.items():
        seen = getattr(now, official.lower())
        if seen.image is None:
            raise DataError(f"NAVSIM gave no image of {official}; the agent's get_sensor_config must ask for it")
        picture = np.asarray(seen.image)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = seen.sensor2lidar_rotation, seen.sensor2lidar_translation
        pose[:3, 3] += NOMINAL_LIDAR_M
        pictures.append(picture.astype(np.uint8))
        rig.append(Camera(ours, np.asarray(seen.intrinsics), pose, picture.shape[1], picture.shape[0]))
    return np.stack(pictures), CameraRig(tuple(rig))
