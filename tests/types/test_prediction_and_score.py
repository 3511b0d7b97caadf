from __future__ import annotations

import numpy as np
import pytest

from eyesup.types import DataError, Prediction, Score, Trajectory

PLAN = Trajectory(np.zeros((6, 3)), 0.5)


def test_alternatives_are_as_long_as_the_plan():
    prediction = Prediction("a", PLAN, samples=np.zeros((4, 6, 3)), sample_scores=np.arange(4))
    assert prediction.sample_scores.dtype == np.float64
    with pytest.raises(DataError, match=r"prediction a: samples: shape \(4, 5, 3\), expected \(any, 6, 3\)"):
        Prediction("a", PLAN, samples=np.zeros((4, 5, 3)))
    with pytest.raises(DataError, match=r"sample_scores: shape \(3,\), expected \(4\)"):
        Prediction("a", PLAN, samples=np.zeros((4, 6, 3)), sample_scores=np.zeros(3))
    with pytest.raises(DataError, match="prediction a: samples: 72 non-finite"):
        Prediction("a", PLAN, samples=np.full((4, 6, 3), np.nan))


def test_a_mean_leaves_out_what_is_not_valid():
    score = Score("l2", "p", "m", np.array([1.0, np.nan, 3.0]), np.array([True, False, True]))
    assert (score.n, score.mean) == (2, 2.0)
    assert np.isnan(Score("l2", "p", "m", np.zeros(2), np.zeros(2, bool)).mean)


def test_impossible_scores_are_refused_by_name():
    with pytest.raises(
        DataError, match=r"score l2: 1 non-finite value\(s\), first at \(0,\); missing data must be masked"
    ):
        Score("l2", "p", "m", np.array([np.nan]), np.ones(1, bool))
    with pytest.raises(DataError, match=r"score l2: valid: shape \(2,\), expected \(1\)"):
        Score("l2", "p", "m", np.zeros(1), np.ones(2, bool))
