"""Open-loop validation during training: plans from real images, as at evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from eyesup.data.world import WorldSource
from eyesup.models.protocol import Planner
from eyesup.scoring import openloop
from eyesup.types import DataError, Sample

REPORTED = ("ade_3s", "l2_at_avg", "l2_cumulative_avg", "l2_at_3s", "collision_3s")


@dataclass(frozen=True)
class OpenLoopValidation:
    """Callback of the loop: the model as a planner on fixed samples, with fixed noise.

    Attributes:
        samples: With Truth.
        planner: The model as a planner.
    """

    samples: Sequence[Sample]
    planner: Callable[[nn.Module], Planner]

    def __call__(self, model: nn.Module, step: int) -> Mapping[str, float]:
        predictions = self.planner(model).plan([sample.observation for sample in self.samples], seed=0)
        truths = [sample.truth for sample in self.samples if sample.truth is not None]
        scores = openloop.evaluate(predictions, truths)
        return {score.name: score.mean for score in scores if score.name in REPORTED and score.n}


def validation_samples(root: Path, count: int) -> list[Sample]:
    """`count` samples spread evenly over a store, without the future images, which would fill the memory."""
    source = WorldSource(root, images="present", with_map=False)
    if not len(source):
        raise DataError(f"{root} holds no samples to validate on; give another --val or leave it out")
    rows = np.unique(np.linspace(0, len(source) - 1, count).astype(int))
    return [source[int(row)] for row in rows]
