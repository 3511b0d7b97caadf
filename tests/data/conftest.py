"""Hand-made data sets shared by the readers' tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def write_nuscenes() -> Callable[..., None]:
    """`write_nuscenes(root, version, {scene: keyframes})`: tables of scenes that drive straight ahead."""
    return write_scenes


def write_scenes(root: Path, version: str, counts: dict[str, int]) -> None:
    """Tables of scenes with that many keyframes: LIDAR_TOP alone, driving along +x of the map at 4 m per keyframe."""
    tables: dict[str, list[dict]] = {
        "category": [], "attribute": [], "visibility": [], "instance": [], "sample_annotation": [], "scene": [], "sample": [],
        "sensor": [{"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"}], "sample_data": [], "ego_pose": [],
        "calibrated_sensor": [
            {"token": "mount", "sensor_token": "lidar", "translation": [1.0, 0.0, 2.0], "rotation": [0.5**0.5, 0.0, 0.0, -(0.5**0.5)],
             "camera_intrinsic": []}
        ],
        "log": [{"token": "log", "logfile": "", "vehicle": "n015", "date_captured": "", "location": "boston-seaport"}],
        "map": [{"token": "map", "log_tokens": ["log"], "category": "", "filename": "maps/x.png"}],
    }  # fmt: skip
    for number, (name, count) in enumerate(counts.items()):
        tokens = [f"{name}-{i:03d}" for i in range(count)]
        tables["scene"].append({
            "token": name, "log_token": "log", "nbr_samples": count, "first_sample_token": tokens[0], "last_sample_token": tokens[-1],
            "name": name, "description": "",
        })  # fmt: skip
        for i, token in enumerate(tokens):
            time, around = 10**12 * (number + 1) + 500_000 * i, ["", *tokens, ""]
            links = {"prev": around[i], "next": around[i + 2]}
            tables["sample"].append({"token": token, "timestamp": time, "scene_token": name, **links})
            pose = {"token": token, "timestamp": time, "rotation": [1, 0, 0, 0], "translation": [4.0 * i, 0, 0]}
            tables["ego_pose"].append(pose)
            tables["sample_data"].append({
                "token": token, "sample_token": token, "ego_pose_token": token, "calibrated_sensor_token": "mount", "timestamp": time,
                "fileformat": "pcd", "is_key_frame": True, "height": 0, "width": 0, "filename": f"samples/LIDAR_TOP/{token}", **links,
            })  # fmt: skip
    (root / version).mkdir(parents=True)
    for table, rows in tables.items():
        (root / version / f"{table}.json").write_text(json.dumps(rows, indent=0))


@pytest.fixture
def flat() -> Callable[[object], bytes]:
    """Every number and word of anything made of dataclasses and arrays (an Observation, say), to compare it bit by bit."""
    return _flat


def _flat(value: Any) -> bytes:
    if hasattr(value, "__dataclass_fields__"):
        return b"".join(_flat(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, tuple | list):
        return b"".join(_flat(item) for item in value)
    return repr(value).encode()
