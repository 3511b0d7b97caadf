"""`eyesup score openloop` on the golden cases."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

from eyesup.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden" / "nuscenes"
INPUTS = ("id", "pred", "gt", "gt_heading_left_positive", "n_valid_future", "fut_valid_flag", "agents")


@pytest.fixture(scope="module")
def some() -> list[dict]:
    """Forty cases, inputs only."""
    every = json.loads(gzip.decompress((GOLDEN / "cases.json.gz").read_bytes()))
    return [{key: case[key] for key in INPUTS} for case in every[80:120]]


def run(tmp_path: Path, entries: object, protocol: str, *options: str) -> tuple[int, list[dict]]:
    path, out = tmp_path / "in.json", tmp_path / "runs" / "out.jsonl"
    path.write_text(json.dumps(entries) if not isinstance(entries, str) else entries)
    status = main(["score", "openloop", "--cases", str(path), "--protocol", protocol, "--out", str(out), *options])
    return status, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def test_one_line_per_case_then_the_means(tmp_path, some, capsys):
    status, lines = run(tmp_path, some, "vad")
    assert status == 0
    *cases, last = lines
    assert [line["id"] for line in cases] == [case["id"] for case in some]
    assert [line["valid"] for line in cases] == [case["fut_valid_flag"] for case in some]
    assert all(len(line["L2"]) == len(line["obj_box_col"]) == 6 for line in cases)
    assert {value for line in cases for value in line["obj_box_col"]} == {0.0, 1.0}
    dataset, valid = last["dataset"], [line for line in cases if line["valid"]]
    assert (dataset["n"], dataset["cases"], dataset["failed"]) == (len(valid), 40, 0)
    assert 0 < len(valid) < 40
    at_2s = sum(line["L2"][3] for line in valid) / len(valid)
    assert dataset["L2"]["at"]["2s"] == pytest.approx(at_2s)
    for reading in ("at", "cumulative"):
        assert set(dataset["L2"][reading]) == set(dataset["obj_box_col"][reading]) == {"1s", "2s", "3s", "avg"}
    assert dataset["official"] == "cumulative" and "future" in dataset["privileged"]
    text = capsys.readouterr().out
    assert f"N = {len(valid)}" in text and "0 failed" in text and "annotated future" in text


def test_bad_cases_stop_or_are_counted(tmp_path, some, capsys):
    bad = {**some[1], "pred": [[math.nan, 0.0], *some[1]["pred"][1:]]}
    entries = [some[0], bad, some[0], some[2]]
    assert run(tmp_path, entries, "uniad") == (1, [])
    error = capsys.readouterr().err
    assert f"case {bad['id']}: pred[0][0] is nan" in error and error.count("\n") == 1
    status, lines = run(tmp_path, entries, "uniad", "--keep-going")
    assert status == 0 and [line["id"] for line in lines[:-1]] == [some[0]["id"], some[2]["id"]]
    assert (lines[-1]["dataset"]["n"], lines[-1]["dataset"]["failed"]) == (2, 2)
    text = " ".join(capsys.readouterr().out.split())
    assert "not scored: case" in text and "occurs twice" in text and "2 failed" in text


def test_nothing_scored_is_a_failure(tmp_path, some):
    status, lines = run(tmp_path, [{**some[0], "gt": []}], "uniad", "--keep-going")
    assert status == 1 and lines[-1]["dataset"]["n"] == 0 and lines[-1]["dataset"]["L2"]["at"]["1s"] is None


@pytest.mark.parametrize(("entries", "protocol", "words"), [
    ('[{"id": 0, "pred": [[0', "vad", "no valid JSON"),
    ([], "vad", "expected a list of cases"),
    (None, "st-p3", "protocol 'st-p3' is unknown; known: uniad, vad"),
    (None, "omnidrive", "no drivable_area"),
])  # fmt: skip
def test_errors_take_one_line(tmp_path, some, capsys, entries, protocol, words):
    assert run(tmp_path, some if entries is None else entries, protocol) == (1, [])
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_a_readable_table_for_every_protocol_the_cases_allow(tmp_path, some, capsys):
    names = ("vad_rangefiltered", "opendrivevla_vehicles", "opendrivevla_all", "bevplanner", "stp3", "exact")
    for name in names:
        status, lines = run(tmp_path, some, name)
        assert status == 0 and lines[-1]["dataset"]["protocol"] == name
        assert f"{name}, N = " in capsys.readouterr().out
