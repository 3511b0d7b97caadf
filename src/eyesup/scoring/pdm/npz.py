"""Scenes with trajectories stored as one npz file each: the layout of the project's golden NAVSIM scenes.

Only the inputs of a file are read, never results stored beside them:

| key | shape | meaning |
|---|---|---|
| poly_xy, poly_off | (M, 2), (P + 1,) | map polygons, concatenated, and where each begins |
| centerline | (C, 3) | route centreline x, y, heading |
| ego_past, ego_past_us | (4, 7), (4,) | x, y, heading, vx, vy, ax, ay at -1.5 ... 0 s; times in microseconds |
| agent_pose_2hz, agent_vel_2hz | (A, 11, 3), (A, 11, 2) | annotations at 2 Hz, t = 0 ... 5 s |
| agent_lwh, agent_vis | (A, 3), (A, 2) | size; first and last frame in which the agent is seen |
| waypoints, prev_waypoints | (N, T, 3) | plans of this frame and of the frame before, each in its own ego frame |
| human_waypoints | (8, 3) | what was driven |
| meta | text | JSON: scene, waypoint_dt, poly_ids, poly_layers, route_lane_ids, agent_types, traffic_lights_2hz, speed_limit_mps |
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

from eyesup.scoring.pdm.scene import SceneInputs
from eyesup.types import DataError


@dataclass(frozen=True)
class StoredScene:
    """A scene and the plans stored with it.

    Attributes:
        inputs: For `prepare`.
        waypoints: (N, T, 3).
        previous: (N, T, 3) of the frame before, where stored.
        dt_s: Step of the waypoints.
    """

    inputs: SceneInputs
    waypoints: Float[np.ndarray, "N T 3"]
    previous: Float[np.ndarray, "N T 3"] | None
    dt_s: float


def scene_files(paths: list[Path]) -> list[Path]:
    """The npz files named, and the scenes among those in folders named, in order; DataError when there is none.

    In a folder, npz files of another kind (without `meta` and `waypoints`) are passed over; broken ones are not.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder of scenes")
        found += [part for part in sorted(path.glob("*.npz")) if _may_be_scene(part)] if path.is_dir() else [path]
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: no scene (*.npz) found")
    return found


def _may_be_scene(path: Path) -> bool:
    try:
        names = set(zipfile.ZipFile(path).namelist())
    except (OSError, zipfile.BadZipFile):
        return True  # reading it will tell what is wrong
    return {"meta.npy", "waypoints.npy"} <= names


def read_scene(path: Path) -> StoredScene:
    """One stored scene; DataError names the file and what is wrong with it."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "meta" not in stored or "waypoints" not in stored:
                raise DataError(f"{path}: no scene (its parts: {', '.join(stored.files[:5]) or 'none'})")
            return _scene(stored)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: unreadable scene ({error})") from error


def _scene(stored: np.lib.npyio.NpzFile) -> StoredScene:
    meta = json.loads(str(stored["meta"]))
    offsets, vertices = stored["poly_off"], stored["poly_xy"]
    frames, seen = np.arange(stored["agent_pose_2hz"].shape[1]), stored["agent_vis"]
    inputs = SceneInputs(
        name=meta["scene"],
        polygons=tuple(vertices[a:b] for a, b in pairwise(offsets)),
        polygon_ids=tuple(meta["poly_ids"]),
        polygon_layers=tuple(meta["poly_layers"]),
        centerline=stored["centerline"],
        route_lane_ids=frozenset(meta["route_lane_ids"]),
        ego_history=stored["ego_past"],
        ego_times_us=stored["ego_past_us"],
        agent_poses=stored["agent_pose_2hz"],
        agent_velocities=stored["agent_vel_2hz"],
        agent_sizes=stored["agent_lwh"][:, :2],
        agent_seen=(frames >= seen[:, :1]) & (frames <= seen[:, 1:]),
        agent_types=tuple(meta["agent_types"]),
        red_lane_ids=tuple(tuple(str(i) for i, red in frame if red) for frame in meta["traffic_lights_2hz"]),
        human=stored.get("human_waypoints"),
        speed_limit_mps=meta.get("speed_limit_mps"),
    )
    return StoredScene(inputs, stored["waypoints"], stored.get("prev_waypoints"), float(meta["waypoint_dt"]))
