"""Rewards for reinforcement learning on the embedded world."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from eyesup.data.world import WorldSource
from eyesup.scoring.pdm.from_scene import scene_inputs
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.score import prepare, score, with_weights
from eyesup.scoring.pdm.version import EP, TTC, version_named
from eyesup.training.grpo import RLConfig
from eyesup.types import DataError

KEPT_SCENES = 4096  # prepared scenes in memory, about 100 kB each


class PDMReward:
    """The PDM score of plans for a store's samples; progress is measured against the expert's.

    Args:
        source: Where the samples' keys lead to.
        config: Version of the score and weights of its mean.
    """

    def __init__(self, source: WorldSource, config: RLConfig) -> None:
        self.source = source
        version = version_named(config.version)
        progress, collision_time, comfort = config.weights
        self.version = with_weights(version, **{EP: progress, TTC: collision_time, version.comfort: comfort})
        self._rows = {key: row for row, key in enumerate(source.keys)}
        self._prepared = lru_cache(KEPT_SCENES)(self._prepare)

    def __call__(self, keys: Sequence[str], poses: Float64[np.ndarray, "B G T 3"]) -> Float64[np.ndarray, "B G"]:
        """Rewards in [0, 1]; plans of 4 s."""
        return score(poses, [self._prepared(key) for key in keys], self.version).score

    def _prepare(self, key: str) -> PreparedScene:
        if key not in self._rows:
            raise DataError(f"reward: sample {key} is not in {self.source.name}")
        scene, step = self.source.place(self._rows[key])
        return prepare(scene_inputs(self.source.store.scene(scene), step, expert_is_reference=True), self.version)
