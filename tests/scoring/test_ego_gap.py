from __future__ import annotations

import numpy as np
import pytest

from eyesup.dynamics.extrapolate import constant_velocity_yaw_rate
from eyesup.scoring.ego_gap import ego_gap, restrict, rho, stratify, summary
from eyesup.types import Agents, DataError, EgoStatus, Score, Trajectory, Truth

TIMES = 0.5 * np.arange(1, 7)


def truth(poses: np.ndarray, valid: np.ndarray | None = None) -> Truth:
    valid = np.ones(len(poses), bool) if valid is None else valid
    return Truth(Trajectory(poses, 0.5, valid), Agents.empty(len(poses) + 1))


def gaps(*values: float) -> Score:
    return Score("ego_gap", "p", "m", np.array(values), np.ones(len(values), bool))


def test_a_car_that_keeps_turning_has_no_gap():
    ego = EgoStatus((7.0, 0.2), yaw_rate_rps=-0.3)
    driven = constant_velocity_yaw_rate(ego.velocity_mps, ego.yaw_rate_rps, TIMES)
    assert ego_gap([ego], [truth(driven)]).values[0] == 0.0


def test_a_car_that_stops_at_once_has_the_gap_of_its_lost_way():
    score = ego_gap([EgoStatus((4.0, 0.0))], [truth(np.zeros((6, 3)))])
    assert score.values[0] == pytest.approx(7.0)  # mean of 2, 4, ..., 12 m
    assert (score.name, score.unit) == ("ego_gap", "m")


def test_incomplete_truth_is_invalid():
    valid = np.array([True] * 5 + [False])
    score = ego_gap([EgoStatus((4.0, 0.0))] * 2, [truth(np.zeros((6, 3)), valid), truth(np.zeros((4, 3)))])
    assert score.n == 0
    for function in (stratify, rho, summary):
        with pytest.raises(DataError, match="none of 2 samples"):
            function(score)


def test_strata_are_the_two_ends():
    score = gaps(*range(9))
    strata = stratify(score, 0.25)
    np.testing.assert_array_equal(np.flatnonzero(strata.ego_dominated), [0, 1, 2])
    np.testing.assert_array_equal(np.flatnonzero(strata.vision_critical), [6, 7, 8])
    assert (strata.low_m, strata.high_m) == (2.0, 6.0)
    assert restrict(score, strata.vision_critical).mean == 7.0
    with pytest.raises(DataError, match=r"quantile 0\.7"):
        stratify(score, 0.7)


def test_invalid_samples_are_in_no_stratum():
    score = Score("ego_gap", "p", "m", np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, True, True, True]))
    strata = stratify(score, 0.34)
    assert not strata.ego_dominated[0]
    assert strata.ego_dominated[1]


def test_rho_counts_gaps_above_each_threshold():
    np.testing.assert_allclose(rho(gaps(0.1, 0.6, 1.0, 5.5), (0.5, 1.0, 5.0)), [0.75, 0.25, 0.25])


def test_rho_recovers_the_rate_of_a_generator():
    rng = np.random.default_rng(0)
    surprised = rng.uniform(size=2000) < 0.3
    score = gaps(*np.where(surprised, 3.0, 0.1))
    assert rho(score, (1.0,))[0] == pytest.approx(0.3, abs=3 * np.sqrt(0.21 / 2000))


def test_summary_holds_the_quantiles():
    assert summary(gaps(*range(11))) == {"mean": 5.0, "median": 5.0, "p75": 7.5, "p90": 9.0}
