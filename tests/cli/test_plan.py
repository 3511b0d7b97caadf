"""`eyesup plan` end to end: a folder of frames in, plans and pictures out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from eyesup.cli.main import main
from eyesup.data.folder import read_frames
from eyesup.models.load import load_planner

CAMERAS = {"front_left": 55.0, "front": 0.0, "front_right": -55.0}
SIZE = (64, 36)


@pytest.fixture
def frames(tmp_path):
    """Two frames of three cameras, the second turning left at 4 m/s."""
    root = tmp_path / "frames"
    root.mkdir()
    rows = [{"name": n, "hfov_deg": 70.0, "position_m": [1.7, 0.0, 1.5], "yaw_deg": yaw} for n, yaw in CAMERAS.items()]
    (root / "calibration.json").write_text(json.dumps({"cameras": rows}))
    statuses = ({"speed_mps": 8.0}, {"speed_mps": 4.0, "yaw_rate_rps": 0.2, "command": "turn left"})
    rng = np.random.default_rng(0)
    for index, status in enumerate(statuses):
        folder = root / f"frame_{index}"
        folder.mkdir()
        (folder / "status.json").write_text(json.dumps(status))
        for name in CAMERAS:
            Image.fromarray(rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)).save(folder / f"{name}.jpg")
    return root


def run(frames, out, *options):
    assert main(["plan", str(frames), "--out", str(out), *options]) == 0
    return json.loads((out / "plans.json").read_text())["plans"]


def test_a_checkpoint_plans_every_frame(frames, debug_checkpoint, tmp_path, capsys):
    plans = run(
        frames, tmp_path / "out", "--model", str(debug_checkpoint), "--question", "How many vehicles are visible?"
    )
    wanted = load_planner(str(debug_checkpoint)).plan(read_frames(frames))
    assert [plan["key"] for plan in plans] == ["frame_0", "frame_1"]
    for plan, prediction in zip(plans, wanted):
        poses = np.array(plan["poses"])
        assert poses.shape == (6, 3) and plan["dt_s"] == 0.5 and np.isfinite(poses).all()
        np.testing.assert_allclose(poses, prediction.trajectory.poses, atol=1e-3)
        assert isinstance(plan["answer"], str) and all(seconds >= 0 for seconds in plan["stage_s"].values())
    assert plans[0]["poses"] != plans[1]["poses"]
    assert "3 s ahead" in capsys.readouterr().out


def test_pictures_show_the_plan(frames, tmp_path):
    """A plan straight ahead is painted into the front camera, in the middle, and not into those at its sides."""
    pictures = []
    for model in ("constant_velocity", "constant_position"):
        run(frames, tmp_path / model, "--model", model)
        pictures.append(np.asarray(Image.open(tmp_path / model / "frame_0.png").convert("RGB"), dtype=int))
    painted = np.flatnonzero((pictures[0] != pictures[1]).any(axis=(0, 2)))
    width = pictures[0].shape[1]
    assert len(painted) and width / 3 < painted.min() and painted.max() < 2 * width / 3


def test_the_rule_drives_on(frames, tmp_path):
    first, second = run(frames, tmp_path / "out", "--model", "constant_velocity")
    np.testing.assert_allclose(first["poses"], [[4.0 * (i + 1), 0, 0] for i in range(6)], atol=1e-4)
    assert second["poses"][-1][1] > 0 and second["poses"][-1][2] == pytest.approx(0.6)  # 3 s at 0.2 rad/s to the left


def test_the_same_seed_gives_the_same_plan_and_another_another(frames, debug_checkpoint, tmp_path):
    model = ("--model", str(debug_checkpoint))
    a, b = (run(frames, tmp_path / name, *model, "--seed", "1") for name in "ab")
    c = run(frames, tmp_path / "c", *model, "--seed", "2")
    assert [p["poses"] for p in a] == [p["poses"] for p in b] != [p["poses"] for p in c]


def test_a_frame_named_by_a_relative_path_keeps_its_name(frames, tmp_path, monkeypatch):
    monkeypatch.chdir(frames / "frame_0")
    (frames / "frame_0" / "calibration.json").write_text((frames / "calibration.json").read_text())
    (plan,) = run(".", tmp_path / "out", "--model", "constant_velocity")
    assert plan["key"] == "frame_0" and (tmp_path / "out" / "frame_0.png").exists()
