"""`eyesup score` on golden scenes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from eyesup.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden" / "navsim"


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_line_per_plan_under_official_names(tmp_path, capsys):
    files = [str(GOLDEN / f"public_00{i}.npz") for i in (1, 4)]
    out, table = tmp_path / "a" / "scores.jsonl", tmp_path / "table.csv"
    assert main(["score", "pdm", "--scenes", *files, "--version", "v2", "--out", str(out), "--csv", str(table)]) == 0
    lines = read_lines(out)
    assert [(line["scene"], line["index"]) for line in lines] == [
        (scene, k) for scene in ("public_001", "public_004") for k in range(20)
    ]
    with np.load(files[0]) as truth:
        for line in (lines[0], lines[13]):
            assert (line["version"], line["protocol"], line["valid"]) == ("v2", "navsim-v2", True)
            for name in ("no_at_fault_collisions", "lane_keeping", "two_frame_extended_comfort", "ego_progress", "pdm_score",
                         "filtered_drivable_area_compliance", "epdms_nofilter_noec", "epdms_filter_ec"):  # fmt: skip
                assert line[name] == pytest.approx(float(truth[f"v2_{name}"][line["index"]]), abs=1e-5)
            assert line["score"] == line["epdms_filter_ec"]
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 41
    assert rows[0]["token"] == "public_001/0"
    assert float(rows[-1]["score"]) == pytest.approx(np.mean([line["score"] for line in lines]))
    assert "40 plans in 2 scenes" in capsys.readouterr().out


def test_v1_on_the_torch_backend(tmp_path):
    out = tmp_path / "scores.jsonl"
    scene = str(GOLDEN / "public_005.npz")
    assert main(["score", "pdm", "--scenes", scene, "--version", "v1", "--out", str(out), "--backend", "torch"]) == 0
    with np.load(scene) as truth:
        np.testing.assert_allclose([line["score"] for line in read_lines(out)], truth["v1_score"], atol=1e-4)
    assert not any(name.startswith(("filtered_", "epdms_")) for name in read_lines(out)[0])


def stored_with(tmp_path: Path, name: str, **changes: np.ndarray) -> Path:
    with np.load(GOLDEN / "public_001.npz") as file:
        parts = {key: file[key] for key in file.files}
    path = tmp_path / "scenes" / f"{name}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **{**parts, **changes})
    return path


def test_results_stored_with_a_scene_are_not_read(tmp_path):
    with np.load(GOLDEN / "public_001.npz") as file:
        results = ("v1_", "v2_", "sim_", "ref_")
        inputs = {key: file[key] for key in file.files if not key.startswith(results)}
    path = tmp_path / "inputs.npz"
    np.savez(path, **inputs)
    for source, out in ((path, "a"), (GOLDEN / "public_001.npz", "b")):
        assert main(["score", "pdm", "--scenes", str(source), "--out", str(tmp_path / out)]) == 0
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_what_cannot_be_scored_stops_or_is_counted(tmp_path, capsys):
    with np.load(GOLDEN / "public_001.npz") as file:
        waypoints, line = file["waypoints"], file["centerline"]
    waypoints[3, 2, 0] = np.inf
    stored_with(tmp_path, "a", waypoints=waypoints)
    stored_with(tmp_path, "b", centerline=line[:0])
    (tmp_path / "scenes" / "c.npz").write_bytes(b"no scene")
    np.savez(tmp_path / "scenes" / "d.npz", other=np.zeros(3))  # no scene and no failure
    call = ["score", "pdm", "--scenes", str(tmp_path / "scenes"), "--out", str(tmp_path / "out.jsonl")]
    assert main(call) == 1
    assert "scene public_001, plan 3: waypoint 2 has x = inf" in capsys.readouterr().err
    assert main([*call, "--keep-going"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "not scored: scene public_001, plan 3: not finite" in text
    assert "centreline of 0 point(s)" in text
    assert "c.npz" in text and "3 of 22 failed" in text
    rows = read_lines(tmp_path / "out.jsonl")
    assert len(rows) == 20
    assert rows[3]["valid"] is False and rows[3]["score"] is None
    assert rows[4]["valid"] is True


def test_wrong_names_are_answered_with_the_right_ones(tmp_path, capsys):
    scene = str(GOLDEN / "public_001.npz")
    assert main(["score", "pdm", "--scenes", scene, "--version", "v3", "--out", str(tmp_path / "x")]) == 1
    assert "unknown version 'v3'; known: v1, v1.0" in capsys.readouterr().err
    assert main(["score", "pdm", "--scenes", str(tmp_path / "no"), "--out", str(tmp_path / "x")]) == 1
    assert "no such file or folder of scenes" in capsys.readouterr().err
    assert main(["score", "explain", scene, "20", "--out", str(tmp_path / "x.png")]) == 1
    assert "plan 20 asked for; it holds 20, counted from 0" in capsys.readouterr().err


def test_explain_draws(tmp_path, capsys):
    out = tmp_path / "pictures" / "why.png"
    assert main(["score", "explain", str(GOLDEN / "public_005.npz"), "7", "--out", str(out)]) == 0
    assert out.stat().st_size > 10_000
    assert "no_at_fault_collisions 0: first at 1.5 s" in capsys.readouterr().out
