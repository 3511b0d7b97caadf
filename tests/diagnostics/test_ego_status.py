"""Strata are quantiles of the gap, counted over keyframes."""

from __future__ import annotations

import numpy as np
import pytest

from eyesup.data.world import WorldSource
from eyesup.diagnostics.ego_status import differences, probe, strata, table
from eyesup.models.baselines.constant_velocity import ConstantVelocity
from eyesup.scoring.ego_gap import ego_gap
from eyesup.types import DataError, Estimate


def record(index: int, gap: float | None, seed: int = 0, active: bool = False) -> dict:
    return {"key": f"s{index}@0", "scene": f"s{index}", "seed": seed, "ego_gap": gap, "cue_active": active, "x": gap}


def test_strata_are_the_quarters_of_the_gap():
    gaps = np.random.default_rng(0).permutation(101).astype(float)  # quartiles at exactly 25 and 75
    groups = strata([record(i, float(g), active=g > 90 or g < 3) for i, g in enumerate(gaps)])
    whole, low, high, active, both, _ = groups.values()
    assert list(groups)[1:3] == ["ego-dominated (gap <= 25.00 m)", "vision-critical (gap >= 75.00 m)"]
    assert sorted(r["ego_gap"] for r in low) == list(range(26))
    assert sorted(r["ego_gap"] for r in high) == list(range(75, 101))
    assert len(whole) == 101 and {r["ego_gap"] for r in active} == {0, 1, 2, *range(91, 101)}
    assert {r["ego_gap"] for r in both} == set(range(91, 101))


def test_the_onset_is_the_first_second_in_which_the_cue_decides():
    since = (None, 0.0, 0.5, 1.0, 1.5)
    records = [record(i, 1.0, active=s is not None) | {"cue_since_s": s} for i, s in enumerate(since)]
    assert [r["key"] for r in strata(records)["cue onset (<= 1 s)"]] == ["s1@0", "s2@0", "s3@0"]


def test_records_of_sources_without_cues_have_no_onset():
    assert strata([record(0, 1.0)])["cue onset (<= 1 s)"] == []


def test_seeds_of_a_keyframe_do_not_weigh_in_the_quantiles():
    records = [record(i, float(i)) for i in range(9)] + [record(8, 8.0, seed) for seed in range(1, 50)]
    assert list(strata(records))[1:3] == ["ego-dominated (gap <= 2.00 m)", "vision-critical (gap >= 6.00 m)"]


def test_keyframes_without_a_gap_are_in_no_stratum_but_all():
    records = [record(i, float(i)) for i in range(5)] + [record(9, None)]
    groups = list(strata(records).values())
    assert len(groups[0]) == 6 and all(r["key"] != "s9@0" for group in groups[1:3] for r in group)


def test_no_gap_at_all_is_an_error():
    with pytest.raises(DataError, match="none of 2 records has 3 s of truth"):
        strata([record(0, None), record(1, None)])


def test_a_table_has_planners_in_rows_and_strata_in_columns():
    rows = table({"p": [record(i, float(i)) for i in range(5)], "q": [record(i, 2.0 * i) for i in range(5)]}, "x", "m")
    assert list(rows) == ["p", "q"]
    low, high = list(rows["p"].values())[1:3]
    assert (low.mean, low.n, low.unit) == (0.5, 2, "m") and (high.mean, high.n) == (3.5, 2)
    assert rows["q"]["all"].mean == 4.0


def test_the_probe_on_a_blind_planner_equals_the_gap_itself(hand_store):
    """Constant velocity errs by the gap, so its error on a stratum is the stratum's mean gap."""
    source = WorldSource(hand_store, with_map=False)
    samples = [sample for sample in source if sample.truth]
    gaps = ego_gap([s.observation.ego for s in samples], [s.truth for s in samples]).values
    low, high = np.quantile(gaps, [0.25, 0.75])
    rows = list(probe(ConstantVelocity(), source).rows.values())
    for row, chosen in zip(rows, (gaps, gaps[gaps <= low], gaps[gaps >= high])):
        assert row["ADE [m]"].mean == pytest.approx(chosen.mean())
        assert row["N"] == row["ADE [m]"].n == len(chosen)
    assert all(isinstance(row["collision by 3 s [%]"], Estimate) for row in rows)


def test_differences_are_taken_keyframe_by_keyframe():
    """Keyframes differ by metres and planners by centimetres: only the paired interval shows it."""
    base = [record(i, 1.0) | {"x": 10.0 * i} for i in range(20)]
    worse = [r | {"x": r["x"] + (0.1 if i % 2 else 0.3)} for i, r in enumerate(base)]
    unknown = [record(20, 1.0) | {"x": None}]
    ((name, row),) = differences({"ours": base + unknown, "theirs": worse[::-1] + unknown}, "x", "m").items()
    assert name == "theirs" and row["all"].n == 20
    assert row["all"].mean == pytest.approx(0.2) and 0.1 < row["all"].low < row["all"].high < 0.3
