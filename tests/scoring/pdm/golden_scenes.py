"""The golden scenes: what NAVSIM's own code computed for 760 trajectories (tests/golden/navsim/README.md)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from eyesup.scoring.pdm import cpu
from eyesup.scoring.pdm.npz import StoredScene, read_scene
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.score import prepare, versioned
from eyesup.scoring.pdm.simulate import resample, resampling
from eyesup.scoring.pdm.version import V1, V2, Version

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
    return np.all(flags, axis=0) & _insensitive(name, VERSIONS[family])


def _insensitive(name: str, version: Version, draws: int = 6, size: float = 1e-6) -> np.ndarray:
    """Whether noise on waypoints or on reference poses leaves every sub-score and the driven path (to 1 mm) as they are."""
    scene, item = prepared(name), stored(name)
    rng = np.random.default_rng(7)
    before = _outcome(scene, item, version, lambda poses: poses, lambda poses: poses)
    kept = np.ones(len(item.waypoints), dtype=bool)
    for draw in range(draws):

        def moved(poses: np.ndarray) -> np.ndarray:
            return poses + rng.normal(0.0, size, poses.shape)

        on_waypoints, on_poses = (moved, _same) if draw % 2 else (_same, moved)
        after = _outcome(scene, item, version, on_waypoints, on_poses)
        kept &= np.abs(after[0] - before[0]).max(axis=(1, 2)) < 1e-3
        kept &= (after[1] == before[1]).all(axis=1)
    return kept


def _same(poses: np.ndarray) -> np.ndarray:
    return poses


def _outcome(scene: PreparedScene, item: StoredScene, version: Version, on_waypoints, on_poses) -> tuple:
    states = []
    for plans, initial in ((item.waypoints, scene.ego.initial), (item.previous, scene.ego.previous)):
        poses = np.empty((len(plans), 41, 3))
        resample(on_waypoints(plans), *resampling(plans.shape[1], item.dt_s), poses)
        states.append(cpu.drive(on_poses(poses), initial))
    judged = cpu.Judged.empty((1, len(item.waypoints)), version).part(0, slice(None))
    cpu.judge(states[0], scene, versioned(scene, version).agents, version, scene.ego.driven, judged)
    if version.two_frame:
        cpu.compare(states[0], states[1], scene.ego.frame_gap, version, judged)
    return states[0][..., :2], np.stack(list(judged.values.values()), axis=1)
