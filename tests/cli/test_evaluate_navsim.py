"""`eyesup world export` and `eyesup eval --benchmark navsim`, from a store of the world to the table."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from eyesup.cli.main import main
from eyesup.models.ik_vla.planner import IKVLAPlanner, build
from eyesup.models.ik_vla.presets import preset


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An IK-VLA of debug size with random weights that plans 4 s."""
    folder = tmp_path_factory.mktemp("navsim") / "debug8"
    debug = preset("debug")
    model = replace(debug.model, decoder=replace(debug.model.decoder, waypoints=8))
    IKVLAPlanner(*build(replace(debug, model=model, processor=replace(debug.processor, waypoints=8)), seed=0)).save(
        folder
    )
    return folder


def test_from_world_to_table(navsim_split: Path, planner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    command = [
        "eval",
        str(navsim_split),
        "--benchmark",
        "navsim",
        "--split",
        "own_world",
        "--out",
        str(out),
        "--every",
        "3",
    ]
    command += ["--planners", "constant_velocity", str(planner), "--submission"]
    assert main(command) == 0
    summary = json.loads((out / "summary.json").read_text())
    v1, v2 = (finding["rows"] for finding in summary["findings"])
    assert set(v1) == set(v2) and list(v1)[2:] == ["human *", "PDM-Closed *"]
    assert v2["human *"]["EPDMS"]["mean"] > v2["constant velocity + yaw rate"]["EPDMS"]["mean"]
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert {record["version"] for record in records} == {"navsim-v1.1", "navsim-v2"}
    with (out / "human_v2.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["token"] == "average_all_frames" and len(rows) == v2["human *"]["N"] + 1
    assert len(list(out.glob("*.submission.pkl"))) == 2
    printed = capsys.readouterr().out
    assert f"{v2['human *']['EPDMS']['mean']:.1f}" in printed and "…" not in printed  # all columns fit a terminal
    plans = (out / "plans.jsonl").read_text()
    assert main(command) == 0  # nothing is planned or prepared again
    assert (out / "plans.jsonl").read_text() == plans
    assert "0 made now" in capsys.readouterr().out
    _explain_recorded_plans(out, records, capsys)


def _explain_recorded_plans(out: Path, records: list[dict], capsys: pytest.CaptureFixture[str]):
    """Why a recorded plan lost points, from the evaluation's own files."""
    one = next(r for r in records if r["planner"] == "human" and r["version"] == "navsim-v2")
    scene = out / "cache" / one["scene"] / f"{one['key']}.npz"
    ask = ["score", "explain", str(scene), "2", "--records", str(out / "records.jsonl"), "--out", str(out / "why.png")]
    assert main(ask) == 0
    assert f"scene {one['key']}, human" in capsys.readouterr().out
    assert (out / "why.png").stat().st_size > 10_000
    ask[3] = "9"
    assert main(ask) == 1
    assert "has 4 plans of navsim-v2, counted from 0" in " ".join(capsys.readouterr().err.split())
    ask[2] = str(out / "nowhere.npz")
    assert main(ask) == 1
    assert "it is a scene of the evaluation's cache/" in " ".join(capsys.readouterr().err.split())


def test_export(tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "export"
    assert main(["world", "export", str(tiny_store), "--out", str(out), "--images", "stored", "--logs", "1"]) == 0
    printed = "".join(capsys.readouterr().out.split())  # a narrow terminal breaks lines anywhere
    assert re.search(r"export:1logs,\d+frames,", printed), printed
    assert sorted(path.name for path in out.iterdir()) == ["config", "maps", "navsim_logs", "sensor_blobs"]


def test_errors_are_one_line(navsim_split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["eval", str(navsim_split), "--benchmark", "navsim", "--split", "navtest", "--out", str(tmp_path)]) == 1
    assert "split 'navtest' not found" in capsys.readouterr().err
    given = ["eval", str(navsim_split), "--benchmark", "navsim", "--split", "own_world", "--every", "20"]
    assert main([*given, "--planners", "pdm_closed", "--out", str(tmp_path)]) == 1
    assert "pdm_closed is told more than cameras and ego status" in " ".join(capsys.readouterr().err.split())
    assert main(["eval", "--benchmark", "kitti"]) == 1
    assert "unknown benchmark 'kitti'" in capsys.readouterr().err
    assert main(["world", "export", str(tmp_path), "--out", str(tmp_path / "x"), "--logs", "0"]) == 1
    assert "--logs 0 must be at least 1" in capsys.readouterr().err
