"""What a metric returns: values with their validity, and the protocol that defines them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.types._check import as_array, check_finite


@dataclass(frozen=True)
class Score:
    """One metric over N samples.

    Attributes:
        name: Metric name, e.g. ``l2_at_3s``.
        protocol: Which definition, e.g. ``eyesup-openloop-v1``; printed beside every number.
        unit: ``m``, ``%``, ``1``.
        values: (N,) float64.
        valid: (N,) bool; rows that are False are left out of every mean and of `n`.
    """

    name: str
    protocol: str
    unit: str
    values: np.ndarray
    valid: np.ndarray

    def __post_init__(self) -> None:
        values = as_array(f"score {self.name}: values", self.values, (None,), np.float64)
        valid = as_array(f"score {self.name}: valid", self.valid, (len(values),), np.bool_)
        check_finite(f"score {self.name}", values, valid)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "valid", valid)

    @property
    def n(self) -> int:
        return int(self.valid.sum())

    @property
    def mean(self) -> float:
        """Mean over the valid samples; NaN when there is none."""
        return float(self.values[self.valid].mean()) if self.n else float("nan")
