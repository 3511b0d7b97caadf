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


def test_knife_edges_are_listed(tmp_path, capsys):
    """The two golden plans whose official score is not met: the scorer says so by itself, from the inputs alone."""
    files = [str(GOLDEN / f"public_00{i}.npz") for i in (0, 2)]
    for version in ("v1", "v2"):
        out = tmp_path / version
        assert main(["score", "pdm", "--scenes", *files, "--version", version, "--out", str(out)]) == 0
        edges = [f"{line['scene']}/{line['index']}" for line in read_lines(out) if not line["stable"]]
        assert {"public_000/11", "public_002/14"} <= set(edges) and len(edges) < 5
        assert f"{len(edges)} knife edges (stable: false): {' '.join(edges)}" in " ".join(
            capsys.readouterr().out.split()
        )


def test_v1_on_the_torch_backend(tmp_path):
    out = tmp_path / "scores.jsonl"
    scene = str(GOLDEN / "public_005.npz")
    ask = [
        "score",
        "pdm",
        "--scenes",
        scene,
        "--version",
        "v1",
        "--out",
        str(out),
        "--backend",
        "torch",
        "--no-stability",
    ]
    assert main(ask) == 0 and "stable" not in read_lines(out)[0]
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


def plans(count: int, steps: int) -> dict[str, np.ndarray]:
    return {name: np.zeros((count, steps, 3)) for name in ("waypoints", "prev_waypoints")}


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
    assert rows[3]["valid"] is False and rows[3]["score"] is None and rows[3]["stable"] is None
    assert rows[4]["valid"] is True and rows[4]["stable"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (plans(20, 6), "scene public_001: plan of 6 waypoints at 0.5 s covers 3 s; the score needs 4 s"),
        (plans(0, 8), "public_001: 0 plans of each scene; there is nothing to score"),
        ({"centerline": np.zeros((0, 3))}, "scene public_001: centreline of 0 point(s); needs two distinct points"),
        ({"poly_xy": np.zeros((0, 2)), "poly_off": np.zeros(1, int)}, "scene public_001: 0 map polygons"),
        ({"ego_past": np.full((4, 7), np.nan)}, "scene public_001: ego_history holds nan at (0, 0)"),
    ],
)
def test_unfit_files_are_named_with_scene_and_value(tmp_path, capsys, changes, message):
    if "poly_off" in changes:
        with np.load(GOLDEN / "public_001.npz") as file:
            meta = json.loads(str(file["meta"])) | {"poly_ids": [], "poly_layers": []}
        changes = {**changes, "meta": np.array(json.dumps(meta))}
    path = stored_with(tmp_path, "unfit", **changes)
    call = ["score", "pdm", "--scenes", str(path), "--out", str(tmp_path / "out.jsonl")]
    assert main(call) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert main([*call, "--keep-going"]) == 1  # nothing is left to score
    text = " ".join(capsys.readouterr().out.split())
    assert message in text and "0 scenes scored, 1 failed" in text


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
