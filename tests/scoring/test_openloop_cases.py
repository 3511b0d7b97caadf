"""Reading cases: what is wrong is named with its case and value."""

from __future__ import annotations

import copy
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from eyesup.scoring.openloop.cases import read_cases
from eyesup.types import DataError

AGENT = {
    "category": "bus", "size_lwh": [10.0, 2.5, 3.0], "valid_t0_t6": [1, 1, 1, 1, 1, 0, 0],
    "poses_xyyaw_t0_t6": [[1.0, float(step), 0.5] for step in range(7)],
}  # fmt: skip
GOOD = {
    "id": 7, "pred": [[0.0, float(step)] for step in range(6)], "gt": [[0.5, float(step)] for step in range(6)],
    "n_valid_future": 6, "fut_valid_flag": True, "agents": [AGENT], "anything": "else",
}  # fmt: skip


def stored(tmp_path: Path, *entries: object) -> Path:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(list(entries)))
    return path


def changed(path: tuple[str | int, ...], value: object) -> dict:
    entry = copy.deepcopy(GOOD)
    place = entry
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return entry


def test_reading(tmp_path):
    other = GOOD | {"id": "b", "agents": [], "n_valid_future": 2, "fut_valid_flag": False}
    cases = read_cases(stored(tmp_path, GOOD, other))
    assert cases.ids == (7, "b") and len(cases) == 2
    assert cases.agent_starts.tolist() == [0, 1, 1] and cases.agent_sample.tolist() == [0]
    assert cases.known.tolist() == [6, 2] and cases.complete.tolist() == [True, False]
    np.testing.assert_array_equal(cases.plans[0], GOOD["pred"])
    assert cases.poses[0, 4].tolist() == [1.0, 4.0, 0.5]
    assert not cases.poses[0, 5:].any()  # not annotated
    assert not cases.has_heading.any() and cases.drivable == (None, None)


def test_a_compressed_file(tmp_path):
    path = tmp_path / "cases.json.gz"
    path.write_bytes(gzip.compress(json.dumps([GOOD]).encode()))
    assert read_cases(path).ids == (7,)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"cases\.json\.gz: cannot be read"):
        read_cases(path)


def test_what_is_not_annotated_may_hold_anything(tmp_path):
    entry = changed(("agents", 0, "poses_xyyaw_t0_t6", 6), [math.nan, None, 0.0])
    assert not read_cases(stored(tmp_path, entry)).poses[0, 6].any()


@pytest.mark.parametrize(("path", "value", "words"), [
    (("pred", 3, 0), math.nan, r"case 7: pred\[3\]\[0\] is nan, expected a finite number"),
    (("gt", 0, 1), math.inf, r"case 7: gt\[0\]\[1\] is inf"),
    (("pred", 2, 1), 1e9, r"case 7: pred\[2\]\[1\] is 1e\+09, expected a finite number within 1e\+06"),
    (("pred",), [[0.0, 0.0]] * 5, r"case 7: pred: shape \(5, 2\), expected \(6, 2\)"),
    (("pred", 1), [0.0], r"case 7: pred: no array of numbers of shape \(6, 2\)"),
    (("pred", 1), ["left", 0.0], r"case 7: pred: no array of numbers"),
    (("gt",), None, r"case 7: gt: shape \(\), expected \(6, 2\)"),
    (("id",), None, "entry 0: id null, expected a number or text"),
    (("id",), True, "entry 0: id true"),
    (("n_valid_future",), 7, "case 7: n_valid_future 7, expected a whole number from 0 to 6"),
    (("n_valid_future",), 2.5, "case 7: n_valid_future 2.5"),
    (("n_valid_future",), 3, "case 7: fut_valid_flag is true, but n_valid_future is 3"),
    (("fut_valid_flag",), "yes", 'case 7: fut_valid_flag "yes", expected true or false'),
    (("agents",), {}, "case 7: agents {}, expected a list"),
    (("agents", 0), 3, r"case 7: agents\[0\]: 3, expected an object with category"),
    (("agents", 0, "category"), "tank", r'case 7: agents\[0\].category "tank", expected one of car, truck'),
    (("agents", 0, "size_lwh", 1), -1.0, r"case 7: agents\[0\].size_lwh 10 m x -1 m"),
    (("agents", 0, "valid_t0_t6", 0), 2, r"case 7: agents\[0\].valid_t0_t6 holds 2, expected 0 or 1"),
    (("agents", 0, "poses_xyyaw_t0_t6", 2, 2), math.nan, r"case 7: agents\[0\].poses_xyyaw_t0_t6\[2\]\[2\] is nan"),
    (("agents", 0, "poses_xyyaw_t0_t6"), [[0, 0, 0]], r"poses_xyyaw_t0_t6: shape \(1, 3\), expected \(7, 3\)"),
    (("gt_heading_left_positive",), [0.0], r"gt_heading_left_positive: shape \(1,\), expected \(6,\)"),
    (("drivable_area",), [[0, 0]], "case 7: drivable_area .*, expected a list of objects"),
    (("drivable_area",), [{"exterior": [[0, 0], [1, 1]]}], r"drivable_area\[0\]: .*, expected at least 3 points"),
    (("road_boundaries",), "left", "case 7: road_boundaries \"left\", expected a list of lines"),
    (("road_boundaries",), [[[0, 0], [1, 1]], [[0, 0]]], r"road_boundaries\[1\]: .*, expected at least 2 points"),
    (("road_boundaries",), [[[0, 0], [1, float("nan")]]], r"road_boundaries\[0\]\[1\]\[1\] is nan"),
])  # fmt: skip
def test_a_bad_case_is_named(tmp_path, path, value, words):
    file = stored(tmp_path, changed(path, value))
    with pytest.raises(DataError, match=words):
        read_cases(file)


def test_missing_parts_are_listed(tmp_path):
    entry = {key: value for key, value in GOOD.items() if key not in ("gt", "agents")}
    with pytest.raises(DataError, match="case 7: gt, agents missing; it has id, pred, n_valid_future"):
        read_cases(stored(tmp_path, entry))
    with pytest.raises(DataError, match="entry 1: 5, expected an object with id, pred"):
        read_cases(stored(tmp_path, GOOD, 5))


def test_an_id_may_occur_once(tmp_path):
    with pytest.raises(DataError, match=r"case 7: id 7 occurs twice \(entry 1\)"):
        read_cases(stored(tmp_path, GOOD, GOOD))


def test_bad_cases_are_left_out_on_request(tmp_path):
    messages: list[str] = []
    bad = changed(("pred", 0, 0), math.nan) | {"id": 8}
    cases = read_cases(stored(tmp_path, GOOD, bad, GOOD, GOOD | {"id": 9}), messages.append)
    assert cases.ids == (7, 9)
    assert [message.split(":")[0] for message in messages] == ["case 8", "case 7"]


@pytest.mark.parametrize(("text", "words"), [
    (json.dumps([GOOD])[:-30], "no valid JSON .* is the file cut short"),
    ("[]", r"\[\], expected a list of cases"),
    ('{"cases": 1}', "expected a list of cases"),
    ("\xff", "no text"),
])  # fmt: skip
def test_a_bad_file_is_named(tmp_path, text, words):
    path = tmp_path / "cases.json"
    path.write_bytes(text.encode("latin-1"))
    for on_error in (None, lambda message: None):
        with pytest.raises(DataError, match=f"cases.json: .*{words}"):
            read_cases(path, on_error)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.json: cannot be read .*No such file"):
        read_cases(tmp_path / "nothing.json")
