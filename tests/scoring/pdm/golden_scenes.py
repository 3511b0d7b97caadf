"""The golden scenes: what NAVSIM's own code computed for 760 trajectories (tests/golden/navsim/README.md)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from eyesup.scoring.pdm.npz import StoredScene, read_scene
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.score import prepare
from eyesup.scoring.pdm.stability import stable as is_stable
from eyesup.scoring.pdm.version import V1, V2

FOLDER = Path(__file__).parents[2] / "golden" / "navsim"
VERSIONS = {"v1": V1, "v2": V2}
NAMES = tuple(Path(entry["file"]).stem for entry in json.loads((FOLDER / "index.json").read_text()))


@lru_cache(maxsize=64)
def stored(name: str) -> StoredScene:
    return read_scene(FOLDER / f"{name}.npz")


@lru_cache(maxsize=64)
def prepared(name: str) -> PreparedScene:
    return prepare(stored(name).inputs, V1, V2)


@lru_cache(maxsize=64)
def official(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


@lru_cache(maxsize=1)
def knife_edges() -> dict[tuple[str, str], np.ndarray]:
    """Stable trajectories by scene and metric, as an independent implementation found by moving the simulated states."""
    with np.load(FOLDER / "stability.npz") as file:
        scenes, metrics, stable = file["scenes"], file["metrics"], file["stable"]
    return {(str(s), str(m)): stable[i, j] for i, s in enumerate(scenes) for j, m in enumerate(metrics)}


@lru_cache(maxsize=128)
def stable(name: str, family: str) -> np.ndarray:
    """(N,) trajectories whose scores neither move with the simulated states nor with the plan itself (1e-6 m and rad)."""
    flags = [flags for (scene, metric), flags in knife_edges().items() if scene == name and metric.startswith(family)]
    return np.all(flags, axis=0) & insensitive(name, family)


@lru_cache(maxsize=128)
def insensitive(name: str, family: str) -> np.ndarray:
    """(N,) trajectories that the scorer's own flag calls stable."""
    item = stored(name)
    return is_stable(item.waypoints, prepared(name), VERSIONS[family], item.previous, item.dt_s)
