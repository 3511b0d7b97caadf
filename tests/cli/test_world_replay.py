"""`eyesup world replay` on a log written by hand: store, evaluation of that store, video, and what can be wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyesup.cli.main import main
from eyesup.world.topdown import PATH

SMALL = ["--width-px", "64", "--height-px", "36"]


@pytest.fixture(scope="module")
def log(write_argoverse_log, tmp_path_factory) -> Path:
    return write_argoverse_log(tmp_path_factory.mktemp("argoverse") / "log-a")


@pytest.fixture(scope="module")
def store(log, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("replay") / "store"
    assert main(["world", "replay", str(log), "--out", str(out), *SMALL]) == 0
    return out


def words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_store_is_inspected_and_evaluated_as_any_other(store, tmp_path, capsys):
    """The ego drives 5 m/s straight on: constant velocity is right to the millimetre, standing still is 8.75 m off on average."""
    assert main(["world", "inspect", str(store)]) == 0
    assert "recorded │ 1 │ 2" in words(capsys)
    planners = ["--planners", "constant_velocity", "constant_position"]
    assert main(["eval", str(store), *planners, "--out", str(tmp_path)]) == 0
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    ade = {(r["planner"], r["key"]): r["ade_3s"] for r in records}
    assert len(ade) == 6 and not any(r["privileged"] for r in records if "expert" not in r["planner"])
    moving = [value for (name, _), value in ade.items() if name.startswith("constant velocity")]
    standing = [value for (name, _), value in ade.items() if name.startswith("constant position")]
    assert moving == pytest.approx([0.0, 0.0], abs=1e-3) and standing == pytest.approx([8.75, 8.75], abs=1e-3)


def test_a_video_shows_the_front_the_road_from_above_and_the_plan(log, tmp_path, capsys):
    """Frames at 2 s .. 4.9 s, every 0.5 s; constant position plans where it stands, what was driven is green."""
    out = tmp_path / "log.webp"
    options = ["--planner", "constant_velocity", "--every-s", "0.5", *SMALL]
    assert main(["world", "replay", str(log), "--video", str(out), *options]) == 0
    assert "1 logs, 6 frames; green: as driven, orange: constant velocity + yaw rate" in words(capsys)
    with Image.open(out) as film:
        assert film.n_frames == 6 and film.size == (128 + 72, 72)
        above = np.asarray(film.convert("RGB"), int)[:, 128:]
    green = (np.abs(above - np.array(PATH)).sum(-1) < 120) & (above[..., 1] > above[..., 0] + 30)
    assert green[:55, 30:42].any() and not green[:, :25].any()  # straight ahead of the ego, nowhere else


def test_logs_that_cannot_be_read_stop_the_run_or_are_left_out(log, write_argoverse_log, tmp_path, capsys):
    broken = write_argoverse_log(tmp_path / "log-b")
    shutil.rmtree(broken / "map")
    out = tmp_path / "store"
    command = ["world", "replay", str(broken), str(log), "--out", str(out), *SMALL]
    assert main(command) == 1
    assert "log-b: 0 files map/log_map_archive_*.json" in capsys.readouterr().err
    assert main([*command, "--keep-going"]) == 0
    said = words(capsys)
    assert "left out:" in said and "log-b: 0 files" in said and "1 logs, 2 keyframes" in said
    assert json.loads((out / "manifest.json").read_text())["report"]["failed"] == ["argoverse2-log-b"]
    assert main(["world", "replay", str(broken), "--out", str(tmp_path / "none"), "--keep-going"]) == 1
    assert "none of 1 logs can be read; the first:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [([], "nothing to write: give --out STORE, --video FILE, or both"),
     (["--out", "x", "--planner", "constant_velocity"], "--planner constant_velocity plans for the video; give --video FILE"),
     (["--video", "x.webp", "--every-s", "0.25"], "--every-s 0.25 is no whole multiple of 0.1; use 0.2")],
)  # fmt: skip
def test_options_that_make_no_sense_are_named(log, options, message, capsys):
    assert main(["world", "replay", str(log), *options]) == 1
    assert message in capsys.readouterr().err
