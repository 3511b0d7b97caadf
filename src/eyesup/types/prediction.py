"""What a planner returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from eyesup.types._check import as_array, check_finite
from eyesup.types.trajectory import Trajectory


@dataclass(frozen=True)
class Prediction:
    """A plan for one Observation, in its ego frame.

    Attributes:
        key: The Observation's key.
        trajectory: The plan to be driven and scored.
        samples: (K, T, 3) float64 alternatives (same dt as `trajectory`), or None.
        sample_scores: (K,) float64, higher is better, or None.
        answer: Answer to the Observation's question, if it had one.
        stage_s: Wall-clock seconds per stage, e.g. ``encode``, ``prefill``, ``ik``.
        extras: Further arrays a family wants to show (e.g. predicted visual tokens).
    """

    key: str
    trajectory: Trajectory
    samples: np.ndarray | None = None
    sample_scores: np.ndarray | None = None
    answer: str | None = None
    stage_s: Mapping[str, float] = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.samples is None:
            return
        samples = as_array(f"prediction {self.key}: samples", self.samples, (None, len(self.trajectory), 3), np.float64)
        check_finite(f"prediction {self.key}: samples", samples)
        object.__setattr__(self, "samples", samples)
        if self.sample_scores is not None:
            scores = as_array(f"prediction {self.key}: sample_scores", self.sample_scores, (len(samples),), np.float64)
            object.__setattr__(self, "sample_scores", scores)
