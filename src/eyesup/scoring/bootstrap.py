"""How sure a mean is: bootstrap intervals over groups of samples that belong together (scenes), and over training seeds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from eyesup.types import DataError, Score

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile interval.

    Attributes:
        mean: Over all samples (and seeds).
        low, high: Ends of the interval; NaN when there is only one group, which says nothing about the spread.
        n: Samples per seed.
        groups: Independent groups among them.
        seeds: Training seeds.
    """

    mean: float
    low: float
    high: float
    n: int
    groups: int
    seeds: int = 1

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def mean_interval(
    values: Float[np.ndarray, "*seeds B"],
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Mean with a percentile bootstrap interval.

    Whole groups are drawn with replacement, so samples of one scene count as one piece of evidence (cluster
    bootstrap). With a leading axis of training seeds, seeds are drawn too, independently of the groups (Owen 2007, "The
    pigeonhole bootstrap"): the interval then covers both sources of chance.

    Args:
        values: (B,) one value per sample, or (S, B) the same samples under S training seeds.
        groups: (B,) which samples belong together, e.g. scene keys; every sample its own group when None.
        seed: Of the resampling.
        resamples: Number of draws.
        level: Coverage of the interval.

    Raises:
        DataError: There is no sample, or `groups` has another length.
    """
    table = np.atleast_2d(values)
    if table.shape[1] == 0:
        raise DataError("bootstrap: 0 samples; a mean needs at least one")
    labels: list[Hashable] = list(range(table.shape[1]) if groups is None else groups)
    if len(labels) != table.shape[1]:
        raise DataError(f"bootstrap: {len(labels)} group labels for {table.shape[1]} samples; give one per sample")
    sums, counts = _group_sums(table, labels)
    seeds, n_groups = sums.shape
    mean = float(table.mean())
    if n_groups < 2:
        return Interval(mean, float("nan"), float("nan"), table.shape[1], n_groups, seeds)
    rng = np.random.default_rng([seed, 0xB007])
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    group_weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=resamples)
    means = ((seed_weights @ sums) * group_weights).sum(1) / (seeds * (group_weights @ counts))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), table.shape[1], n_groups, seeds)


def _group_sums(table: np.ndarray, labels: list[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """(S, G) sums of each group, and its (G,) sizes; groups in order of first appearance."""
    index = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    member = np.zeros((len(labels), len(index)))
    member[np.arange(len(labels)), [index[label] for label in labels]] = 1.0
    return table @ member, member.sum(axis=0)


def paired_difference_interval(
    a: Float[np.ndarray, "*seeds B"],
    b: Float[np.ndarray, "*seeds B"],
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """Interval of mean(a - b) for two planners on the same samples; much narrower than two separate intervals.

    With a leading axis, row i of `a` is compared with row i of `b`.
    """
    if a.shape != b.shape:
        raise DataError(f"bootstrap: shapes {a.shape} and {b.shape} differ; a paired difference needs the same samples")
    return mean_interval(a - b, groups, seed, resamples, level)


def score_interval(score: Score, groups: Sequence[Hashable], seed: int = 0) -> Interval:
    """`mean_interval` over the valid samples of a score; `groups` labels all of its samples."""
    return mean_interval(score.values[score.valid], _pick(groups, score.valid), seed)


def score_difference_interval(a: Score, b: Score, groups: Sequence[Hashable], seed: int = 0) -> Interval:
    """`paired_difference_interval` over the samples that are valid in both scores."""
    if (a.name, a.protocol, len(a.values)) != (b.name, b.protocol, len(b.values)):
        raise DataError(
            f"bootstrap: {a.name} ({a.protocol}, {len(a.values)} samples) and {b.name} ({b.protocol}, {len(b.values)} samples) "
            "are not the same metric on the same samples"
        )
    both = a.valid & b.valid
    return paired_difference_interval(a.values[both], b.values[both], _pick(groups, both), seed)


def _pick(groups: Sequence[Hashable], rows: np.ndarray) -> list[Hashable]:
    if len(groups) != len(rows):
        raise DataError(f"bootstrap: {len(groups)} group labels for {len(rows)} samples; give one per sample")
    return [group for group, keep in zip(groups, rows) if keep]
