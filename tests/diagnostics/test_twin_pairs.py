"""Pairs by hand: what a blind planner cannot have twice."""

from __future__ import annotations

import pytest

from eyesup.diagnostics.twin_pairs import BOTH, WITH, WITHOUT, differences, pairs, table
from eyesup.types import DataError

KEYS = ["a@20", "a@24", "b@20", "a~removed@24", "a~off_path@24", "b~removed@20"]


def records(errors: dict[str, float | None]) -> list[dict]:
    return [{"key": key, "scene": key.split("@")[0], "seed": 0, "ade_3s": value} for key, value in errors.items()]


LOOKS = records({"a@20": 9.0, "a@24": 0.5, "a~removed@24": 1.5, "a~off_path@24": 9.0, "b@20": 1.0, "b~removed@20": 1.0})
BLIND = records({"a@24": 1.5, "a~removed@24": 4.5, "b@20": 1.0, "b~removed@20": 3.0})


def test_a_pair_is_a_moment_and_its_twin_without_the_cue():
    assert pairs(KEYS) == {"a@24": "a~removed@24", "b@20": "b~removed@20"}
    with pytest.raises(DataError, match="no twin without its cue among 3 samples; generate the store with --twins"):
        pairs(KEYS[:3])


def test_table_and_differences_by_hand():
    rows = table({"looks": LOOKS, "blind": BLIND}, "ade_3s", "m")
    assert {name: cell.mean for name, cell in rows["looks"].items()} == {WITH: 0.75, WITHOUT: 1.25, BOTH: 1.0}
    assert {name: cell.mean for name, cell in rows["blind"].items()} == {WITH: 1.25, WITHOUT: 3.75, BOTH: 2.5}
    assert (rows["looks"][BOTH].n, rows["looks"][BOTH].groups) == (2, 2)
    assert {n: c.mean for n, c in differences({"looks": LOOKS, "blind": BLIND}, "ade_3s", "m")["blind"].items()} == {
        WITH: 0.5, WITHOUT: 2.5, BOTH: 1.5
    }  # fmt: skip


def test_pairs_of_one_log_are_one_scene_and_half_a_pair_is_none():
    more = records({"a@28": 1.0, "a~removed@28": 3.0, "c@20": 1.0, "c~removed@20": None})
    cell = table({"looks": [*LOOKS, *more]}, "ade_3s", "m")["looks"][BOTH]
    assert (cell.n, cell.groups) == (3, 2)
    assert cell.mean == pytest.approx((1.0 + 1.0 + 2.0) / 3)
