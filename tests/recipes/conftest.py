"""A small store with the three front cameras."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eyesup.types import Scene


@pytest.fixture
def front_store(tmp_path: Path, hand_scene: Callable[..., Scene], write_hand_scene: Callable[..., None]) -> Path:
    """Two logs of three keyframes each, seen by three cameras of 64 x 36 px, with labels and questions."""
    from eyesup.world.rigs import front3
    from eyesup.world.store import rig_to_json, scene_files, write_manifest

    root, rig = tmp_path / "store", front3(64, 36)
    root.mkdir()
    keys = ("train-0001-hand", "train-0002-hand")
    for seed, key in enumerate(keys):
        write_hand_scene(root, hand_scene(key, seed=seed), rig)
    write_manifest(root, [scene_files(root, key) for key in keys], {"rig": json.loads(rig_to_json(rig))})
    return root
