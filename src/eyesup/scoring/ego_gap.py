"""How much of the driven path the ego status alone explains, and the subsets that follow from it.

The gap of a sample is the average displacement (six waypoints, 3 s) between the driven path and the extrapolation of
velocity and yaw rate at t = 0. Small gap: the ego status suffices ("ego-dominated"). Large gap: something seen on the
road decides ("vision-critical").

Source: IK-VLA, arXiv 2605.21061, Appendix J (subsets) and E.4 (rho).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from eyesup.dynamics.extrapolate import constant_velocity_yaw_rate
from eyesup.scoring.openloop import WAYPOINT_DT_S, WAYPOINTS, truth_waypoints
from eyesup.types import DataError, EgoStatus, Score, Truth

PROTOCOL = "eyesup-ego-gap-v1"
QUANTILE = 0.25  # share of the samples in each subset
THRESHOLDS_M = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)


def ego_gap(egos: Sequence[EgoStatus], truths: Sequence[Truth]) -> Score:
    """Gap of each sample [m]; samples without a full 3 s of truth are invalid.

    Args:
        egos: Measured state at t = 0, one per sample.
        truths: What was driven, in the same order.
    """
    if len(egos) != len(truths):
        raise DataError(f"ego gap: {len(egos)} ego states for {len(truths)} truths; give one per sample")
    values, valid = np.zeros(len(truths)), np.zeros(len(truths), dtype=bool)
    times = WAYPOINT_DT_S * np.arange(1, WAYPOINTS + 1)
    for i, (ego, truth) in enumerate(zip(egos, truths)):
        driven, known = truth_waypoints(truth.future)
        guess = constant_velocity_yaw_rate(ego.velocity_mps, ego.yaw_rate_rps, times)
        valid[i] = known.all()
        values[i] = np.linalg.norm(guess[:, :2] - driven[:, :2], axis=-1).mean() if valid[i] else 0.0
    return Score("ego_gap", PROTOCOL, "m", values, valid)


@dataclass(frozen=True)
class Strata:
    """The two ends of the gap's distribution; samples between them belong to neither.

    Attributes:
        ego_dominated: (B,) gap <= `low_m`.
        vision_critical: (B,) gap >= `high_m`.
        low_m, high_m: The quantiles [m].
    """

    ego_dominated: Bool[np.ndarray, "B"]
    vision_critical: Bool[np.ndarray, "B"]
    low_m: float
    high_m: float


def stratify(gap: Score, quantile: float = QUANTILE) -> Strata:
    """Bottom and top `quantile` of the valid samples by gap; DataError when no sample is valid."""
    if gap.n == 0:
        raise DataError(f"ego gap: none of {len(gap.values)} samples has 3 s of truth, so there is nothing to stratify")
    if not 0 < quantile <= 0.5:
        raise DataError(f"ego gap: quantile {quantile:g} must lie in (0, 0.5]")
    low, high = np.quantile(gap.values[gap.valid], [quantile, 1 - quantile])
    return Strata(gap.valid & (gap.values <= low), gap.valid & (gap.values >= high), float(low), float(high))


def restrict(score: Score, rows: Bool[np.ndarray, "B"]) -> Score:
    """The same score with only some samples valid, e.g. one of the strata."""
    return Score(score.name, score.protocol, score.unit, score.values, score.valid & rows)


def rho(gap: Score, thresholds_m: Sequence[float] = THRESHOLDS_M) -> Float[np.ndarray, "H"]:
    """Share of valid samples whose gap exceeds each threshold; DataError when no sample is valid."""
    if gap.n == 0:
        raise DataError(f"ego gap: none of {len(gap.values)} samples has 3 s of truth, so rho is undefined")
    return (gap.values[gap.valid] > np.asarray(thresholds_m, dtype=np.float64)[:, None]).mean(axis=1)


def summary(gap: Score) -> dict[str, float]:
    """Mean, median, p75 and p90 of the gap [m] over the valid samples."""
    values = gap.values[gap.valid]
    if not len(values):
        raise DataError(
            f"ego gap: none of {len(gap.values)} samples has 3 s of truth, so there is nothing to summarise"
        )
    median, p75, p90 = np.quantile(values, [0.5, 0.75, 0.9])
    return {"mean": gap.mean, "median": float(median), "p75": float(p75), "p90": float(p90)}
