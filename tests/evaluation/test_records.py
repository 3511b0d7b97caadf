"""Records survive kills, and estimates average seeds before scenes."""

from __future__ import annotations

import numpy as np
import pytest

from eyesup.evaluation.records import append_records, estimate, estimate_values, group_by, read_records
from eyesup.types import DataError


def record(scene: str, key: str, seed: int, value: float | None) -> dict:
    return {"planner": "p", "scene": scene, "key": key, "seed": seed, "x": value}


def test_a_line_cut_by_a_kill_is_dropped_and_appending_goes_on(tmp_path):
    path = tmp_path / "records.jsonl"
    append_records(path, [record("a", "a@1", 0, 1.0)])
    with path.open("a") as file:
        file.write('{"planner": "p", "sce')
    assert len(read_records(path)) == 1
    append_records(path, [record("a", "a@2", 0, 2.0)])
    assert [r["key"] for r in read_records(path)] == ["a@1", "a@2"]


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(DataError, match="line 2"):
        read_records(path)


def test_seeds_are_averaged_before_keyframes():
    records = [record("a", "a@1", 0, 0.0), record("a", "a@1", 1, 4.0), record("b", "b@1", 0, 5.0)]
    found = estimate(records, "x", "m")
    assert found.mean == pytest.approx((2.0 + 5.0) / 2)
    assert (found.n, found.groups, found.unit) == (2, 2, "m")


def test_missing_values_leave_the_mean_and_n():
    found = estimate([record("a", "a@1", 0, None), record("b", "b@1", 0, 3.0), record("c", "c@1", 0, 5.0)], "x")
    assert (found.mean, found.n, found.groups) == (4.0, 2, 2)


def test_no_value_at_all_is_not_a_number():
    found = estimate([], "x")
    assert np.isnan(found.mean)
    assert found.n == 0


def test_the_interval_counts_scenes_not_keyframes():
    values = np.repeat([0.0, 1.0], 200)
    by_scene = estimate_values(values, ["a"] * 200 + ["b"] * 200)
    by_keyframe = estimate_values(values, [str(i) for i in range(400)])
    assert by_scene.high - by_scene.low > 5 * (by_keyframe.high - by_keyframe.low)


def test_group_by_keeps_the_order_of_first_appearance():
    records = [record("b", "b@1", 0, 1.0), record("a", "a@1", 0, 1.0), record("b", "b@2", 0, 1.0)]
    assert list(group_by(records, "scene")) == ["b", "a"]
