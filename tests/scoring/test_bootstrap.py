from __future__ import annotations

import numpy as np
import pytest

from eyesup.scoring.bootstrap import (
    mean_interval,
    paired_difference_interval,
    score_difference_interval,
    score_interval,
)
from eyesup.types import DataError, Score

RNG = np.random.default_rng(0)


def test_interval_of_independent_samples_is_near_the_normal_one():
    values = RNG.normal(3.0, 2.0, 400)
    interval = mean_interval(values, seed=1)
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert (interval.n, interval.groups, interval.seeds) == (400, 400, 1)


def test_same_seed_same_interval_and_other_seed_another():
    values = RNG.normal(size=50)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_copies_of_a_sample_in_its_group_add_no_evidence():
    values = RNG.normal(size=30)
    single = mean_interval(values, groups=range(30), seed=5)
    copied = mean_interval(np.repeat(values, 8), groups=np.repeat(np.arange(30), 8).tolist(), seed=5)
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high))
    ignored = mean_interval(np.repeat(values, 8), seed=5)
    assert ignored.high - ignored.low < 0.5 * (copied.high - copied.low)


def test_cluster_bootstrap_equals_a_plain_loop():
    values, labels = RNG.normal(size=12), list("aabbbccdddde")
    rng = np.random.default_rng([7, 0xB007])
    rng.multinomial(1, [1.0], size=500)  # the single training seed is drawn first
    means = []
    for weights in rng.multinomial(5, np.full(5, 0.2), size=500):
        drawn = [v for group, weight in zip("abcde", weights) for v in list(values[np.array(labels) == group]) * weight]
        means.append(np.mean(drawn))
    interval = mean_interval(values, labels, seed=7, resamples=500)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_seeds_that_disagree_widen_the_interval():
    base = RNG.normal(0.0, 0.1, 200)
    agreeing = mean_interval(np.stack([base, base, base]), seed=0)
    disagreeing = mean_interval(np.stack([base - 1, base, base + 1]), seed=0)
    assert agreeing.seeds == disagreeing.seeds == 3
    assert disagreeing.mean == pytest.approx(agreeing.mean)
    assert disagreeing.high - disagreeing.low > 10 * (agreeing.high - agreeing.low)


def test_coverage_is_close_to_its_level():
    rng = np.random.default_rng(8)
    inside = 0
    for trial in range(200):
        offsets = np.repeat(rng.normal(0, 1, 40), 5)
        interval = mean_interval(
            offsets + rng.normal(0, 1, 200), np.repeat(np.arange(40), 5).tolist(), trial, resamples=300
        )
        inside += interval.low <= 0.0 <= interval.high
    assert 0.88 <= inside / 200 <= 0.99


def test_paired_difference_sees_what_separate_intervals_hide():
    hard = RNG.normal(0, 5, 100)
    a, b = hard + 0.2 + RNG.normal(0, 0.1, 100), hard + RNG.normal(0, 0.1, 100)
    difference = paired_difference_interval(a, b)
    assert difference.excludes_zero
    assert difference.mean == pytest.approx(0.2, abs=0.05)
    assert mean_interval(a).low < mean_interval(b).high
    assert not paired_difference_interval(b, b).excludes_zero


def test_one_group_has_a_mean_but_no_interval():
    interval = mean_interval(np.array([1.0, 3.0]), groups=["scene", "scene"])
    assert interval.mean == 2.0
    assert np.isnan(interval.low)
    assert not interval.excludes_zero


def test_scores_use_their_valid_samples_only():
    a = Score("l2", "p", "m", np.array([1.0, 2.0, 99.0, 4.0]), np.array([True, True, False, True]))
    b = Score("l2", "p", "m", np.array([0.0, 99.0, 0.0, 2.0]), np.array([True, False, True, True]))
    assert score_interval(a, list("wxyz")).mean == pytest.approx(7 / 3)
    difference = score_difference_interval(a, b, list("wxyz"))
    assert (difference.mean, difference.n) == (pytest.approx(1.5), 2)


def test_misuse_is_refused_with_the_numbers():
    with pytest.raises(DataError, match="0 samples"):
        mean_interval(np.zeros(0))
    with pytest.raises(DataError, match="3 group labels for 2 samples"):
        mean_interval(np.zeros(2), groups=[1, 2, 3])
    other = Score("ade", "p", "m", np.zeros(2), np.ones(2, bool))
    with pytest.raises(DataError, match="not the same metric"):
        score_difference_interval(Score("l2", "p", "m", np.zeros(2), np.ones(2, bool)), other, [0, 1])
