"""`eyesup diagnose` end to end on a real, tiny store."""

from __future__ import annotations

import json
import math

from eyesup import catalog
from eyesup.cli.main import main


def estimates(finding):
    return [v for row in finding["rows"].values() for v in row.values() if isinstance(v, dict)]


def test_a_blind_rule_is_found_blind(tiny_store, tmp_path, capsys):
    assert main(["diagnose", "constant_velocity", str(tiny_store), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "findings.json").read_text())
    by_probe = {finding["probe"]: finding for finding in found["findings"]}
    assert list(by_probe) == ["ego_status", "vision_swap", "insertion"]
    assert all(finding["planner"] == "constant velocity + yaw rate" for finding in by_probe.values())
    for finding in by_probe.values():
        known = [e for e in estimates(finding) if e["n"]]
        assert known and all(math.isfinite(e["mean"]) for e in known)
        assert all(e["low"] <= e["mean"] <= e["high"] for e in known if e["groups"] > 1)
    shift = by_probe["insertion"]["rows"]["all distances"]
    assert shift["on path [m]"]["mean"] == shift["off path [m]"]["mean"] == 0.0
    assert shift["expert on path [m]"]["mean"] < -1.0
    rows = list(by_probe["vision_swap"]["rows"].values())
    assert [row["reliance"] for row in rows[1:]] == [0.0, 0.0]
    text = capsys.readouterr().out
    assert "cue-active" in text and "reliance" in text and "findings.json" in text.replace("\n", "")


def test_a_checkpoint_takes_the_probe_of_its_next_state(tiny_store, debug_checkpoint, tmp_path):
    options = ["--probes", "next_source", "--seeds", "0", "1", "--out", str(tmp_path)]
    assert main(["diagnose", str(debug_checkpoint), str(tiny_store), *options]) == 0
    (finding,) = json.loads((tmp_path / "findings.json").read_text())["findings"]
    assert list(finding["rows"]) == ["pred", "oracle", "shuffled", "zeros"] and finding["settings"]["seeds"] == [0, 1]
    assert {e["n"] for e in estimates(finding)} == {10}


def test_an_unknown_probe_lists_the_known(tiny_store, tmp_path, capsys):
    assert main(["diagnose", "constant_velocity", str(tiny_store), "--probes", "stitch", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "'stitch'" in error and all(name in error for name in catalog.PROBES) and "Traceback" not in error


def test_a_planner_without_next_state_is_refused(hand_store, tmp_path, capsys):
    assert (
        main(["diagnose", "constant_velocity", str(hand_store), "--probes", "next_source", "--out", str(tmp_path)]) == 1
    )
    assert "predicts no next state" in capsys.readouterr().err
