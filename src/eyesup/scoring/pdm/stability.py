"""Knife edges: plans whose score a millionth of a metre decides, so that no two programs need agree on it.

The tracker amplifies: near standstill, or where a heading jumps by half a turn, rounding in the last digit can move the driven
path by metres. What is flagged here is no fault of a plan, only no ground for comparing implementations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from eyesup.scoring.pdm import cpu
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.score import HORIZON_S, versioned
from eyesup.scoring.pdm.simulate import resample, resampling
from eyesup.scoring.pdm.version import SAMPLES, V2, Version

NOISE = 1e-6  # [m] and [rad], standard deviation
DRAWS = 6  # half of them on the waypoints, half on the reference poses at 0.1 s
MOVED_M = 1e-3  # a path that moves this far is no longer the same

_Change = Callable[[np.ndarray], np.ndarray]


def stable(
    plans: Float[np.ndarray, "K T 3"],
    scene: PreparedScene,
    version: Version = V2,
    previous: Float[np.ndarray, "K T 3"] | None = None,
    dt_s: float | None = None,
    draws: int = DRAWS,
    seed: int = 7,
) -> Bool[np.ndarray, "K"]:
    """Whether noise on a plan (and on the one before) leaves its driven path and every sub-score as they are.

    Args:
        plans, previous, dt_s: As for `score`; a plan that is not finite is not stable.
        scene: Prepared.
        version: Of the score.
        draws: More of them find more knife edges.
        seed: Of the noise.
    """
    dt_s = HORIZON_S / max(plans.shape[1], 1) if dt_s is None else dt_s
    finite = np.isfinite(plans).all(axis=(1, 2))
    if previous is not None:
        finite = finite & np.isfinite(previous).all(axis=(1, 2))
    rng = np.random.default_rng(seed)

    def noisy(values: np.ndarray) -> np.ndarray:
        return values + rng.normal(0.0, NOISE, values.shape)

    def outcome(on_waypoints: _Change, on_poses: _Change) -> tuple[np.ndarray, np.ndarray]:
        """Driven path (K, 41, 2) and sub-scores (K, names)."""
        states = _drive(plans, dt_s, scene.ego.initial, on_waypoints, on_poses)
        judged = cpu.Judged.empty((1, len(plans)), version).part(0, slice(None))
        cpu.judge(states, scene, versioned(scene, version).agents, version, scene.ego.driven, judged)
        if previous is not None and version.two_frame and scene.ego.frame_gap:
            before = _drive(previous, dt_s, scene.ego.previous, on_waypoints, on_poses)
            cpu.compare(states, before, scene.ego.frame_gap, version, judged)
        return states[..., :2], np.stack(list(judged.values.values()), axis=1)

    path, values = outcome(_same, _same)
    kept = finite
    for draw in range(draws):
        moved, changed = outcome(noisy, _same) if draw % 2 else outcome(_same, noisy)
        kept = kept & (np.abs(moved - path).max(axis=(1, 2)) < MOVED_M) & (changed == values).all(axis=1)
    return kept


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _drive(plans: np.ndarray, dt_s: float, initial: np.ndarray, on_waypoints: _Change, on_poses: _Change) -> np.ndarray:
    """States (K, 41, 11) of plans whose waypoints or reference poses are changed on the way."""
    waypoints = on_waypoints(np.nan_to_num(np.ascontiguousarray(plans, dtype=np.float64), posinf=0.0, neginf=0.0))
    poses = np.empty((len(plans), SAMPLES, 3))
    resample(waypoints, *resampling(plans.shape[1], dt_s), poses)
    return cpu.drive(on_poses(poses), initial)
