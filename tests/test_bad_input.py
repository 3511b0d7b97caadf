"""Whatever is wrong with the input or the machine, the command line says it in one line: the value, the limit, the remedy."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyesup.cli.main import GROUPS, main
from eyesup.models.baselines.ego_mlp import EgoMLP, EgoMLPConfig
from eyesup.recipes import RECIPES
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.store import SceneStore

CAMERAS = {"front_left": 55.0, "front": 0.0, "front_right": -55.0}


@pytest.fixture
def fails(capsys):
    """Run a command that must fail with status 1 and one line on stderr that holds all the words."""

    def run(argv: list[object], *words: str, status: int = 1) -> str:
        assert main([str(word) for word in argv]) == status
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1, error
        assert "Traceback" not in error
        assert [word for word in words if word not in error] == [], error
        return error

    return run


@pytest.fixture
def frame(tmp_path) -> Path:
    """One good frame of three cameras."""
    folder = tmp_path / "frame"
    folder.mkdir()
    rows = [{"name": n, "hfov_deg": 70.0, "position_m": [1.7, 0.0, 1.5], "yaw_deg": yaw} for n, yaw in CAMERAS.items()]
    (folder / "calibration.json").write_text(json.dumps({"cameras": rows}))
    (folder / "status.json").write_text(json.dumps({"speed_mps": 8.0, "history": [[-4.0, 0, 0], [-8.0, 0, 0]]}))
    for name in CAMERAS:
        Image.fromarray(np.full((36, 64, 3), 90, np.uint8)).save(folder / f"{name}.jpg")
    return folder


@pytest.fixture
def plan(frame, tmp_path):
    def argv(model="constant_velocity"):
        return ["plan", frame, "--model", model, "--out", tmp_path / "out"]

    return argv


def status(frame: Path, **fields) -> None:
    (frame / "status.json").write_text(json.dumps({"speed_mps": 8.0, **fields}))


# Frames of one's own ----------------------------------------------------------------------------------------------------


def test_the_good_frame_is_good(plan, debug_checkpoint):
    assert main([str(word) for word in plan(debug_checkpoint)]) == 0


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_corrupt_image(plan, frame, fails, content):
    path = frame / "front.jpg"
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    fails(plan(), str(path), "cannot be decoded")


def test_a_missing_image(plan, frame, fails):
    (frame / "front.jpg").unlink()
    fails(plan(), str(frame / "front.jpg"), "missing")


def test_a_camera_that_the_model_needs(plan, frame, fails, debug_checkpoint):
    calibration = json.loads((frame / "calibration.json").read_text())
    kept = [row for row in calibration["cameras"] if row["name"] != "front_right"]
    (frame / "calibration.json").write_text(json.dumps({"cameras": kept}))
    fails(plan(debug_checkpoint), "front_right", "front_left")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pose_that_is_not_a_number(plan, frame, fails, value):
    status(frame, history=[[-4.0, value, 0.0]])
    fails(plan(), "status.json", "history", "not finite", "leave an unknown field out")


def test_a_calibration_that_is_not_a_number(plan, frame, fails):
    calibration = json.loads((frame / "calibration.json").read_text())
    calibration["cameras"][1]["position_m"] = [1.7, float("nan"), 1.5]
    (frame / "calibration.json").write_text(json.dumps(calibration))
    fails(plan(), "calibration.json", "position_m", "not finite")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"speed_mps": 900.0}, ("900", "80")),
        ({"speed_mps": "fast"}, ("speed_mps", "'fast'", "numbers")),
        ({"command": "fly"}, ("'fly'", "turn left", "keep forward")),
        ({"speed_kmh": 30.0}, ("speed_kmh", "known", "speed_mps")),
    ],
)
def test_a_status_that_cannot_be(plan, frame, fails, fields, words):
    status(frame, **fields)
    fails(plan(), *words)


def test_a_folder_without_frames(fails, tmp_path):
    fails(["plan", tmp_path], "status.json", "needs at least")
    fails(["plan", tmp_path / "none"], str(tmp_path / "none"), "no such folder")


# Names ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["render", "video"])
def test_an_unknown_scenario_to_draw(fails, command):
    fails(["world", command, "red_ligth"], "'red_ligth'", *SCENARIOS)


def test_an_unknown_scenario_to_generate(fails, tmp_path):
    out = tmp_path / "store"
    fails(["world", "generate", "--out", out, "--scenarios", "red_ligth", "1"], "red_ligth", *SCENARIOS)
    assert not out.exists()


def test_an_unknown_recipe(fails):
    fails(["train", "ik_vla_tinny"], "'ik_vla_tinny'", *RECIPES)


def test_an_unknown_group(fails):
    fails(["evla"], "'evla'", *GROUPS, status=2)


@pytest.mark.parametrize("group", ["eval", "diagnose", "plan"])
def test_an_unknown_planner(fails, group, hand_store, frame, tmp_path):
    argv = {
        "eval": ["eval", hand_store, "--planners", "ik_vla_tinny"],
        "diagnose": ["diagnose", "ik_vla_tinny", hand_store],
        "plan": ["plan", frame, "--model", "ik_vla_tinny"],
    }[group]
    fails([*argv, "--out", tmp_path / "out"], "ik_vla_tinny", "known names", "constant_velocity")


# Checkpoints ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluate(hand_store, tmp_path):
    def argv(checkpoint: Path) -> list[object]:
        return ["eval", hand_store, "--planners", checkpoint, "--out", tmp_path / "out"]

    return argv


@pytest.fixture(params=["ik_vla", "ego_mlp"])
def checkpoint(request, debug_checkpoint, tmp_path) -> Path:
    """A good checkpoint of each family, to be damaged."""
    folder = tmp_path / "checkpoint"
    if request.param == "ik_vla":
        shutil.copytree(debug_checkpoint, folder)
    else:
        EgoMLP(EgoMLPConfig(width=8, layers=1)).save(folder)
    return folder


def test_a_checkpoint_of_an_unknown_family(fails, evaluate, checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "family": "unknown"}))
    fails(evaluate(checkpoint), "'unknown'", "config.json", "ik_vla", "ego_mlp")


def test_a_checkpoint_under_the_name_of_another_family(fails, evaluate, checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    other = {"ik_vla": "ego_mlp", "ego_mlp": "ik_vla"}[config["family"]]
    (checkpoint / "config.json").write_text(json.dumps({**config, "family": other}))
    fails(evaluate(checkpoint), str(checkpoint))


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "other sizes"])
def test_damaged_weights(fails, evaluate, checkpoint, damage, tmp_path):
    weights = checkpoint / "model.safetensors"
    if damage == "gone":
        weights.unlink()
    elif damage == "other sizes":
        EgoMLP(EgoMLPConfig(width=12, layers=1)).save(tmp_path / "wider")
        shutil.copy(tmp_path / "wider" / "model.safetensors", weights)
    else:
        weights.write_bytes(weights.read_bytes()[:-100] if damage == "cut" else b"")
    fails(evaluate(checkpoint), str(checkpoint))


# Stores -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv", [["eval", "STORE", "--planners", "constant_velocity"], ["diagnose", "constant_velocity", "STORE"]]
)
def test_a_store_that_is_none(fails, argv, tmp_path):
    fails(
        [tmp_path if word == "STORE" else word for word in argv],
        str(tmp_path),
        "manifest.json",
        "eyesup world generate",
    )


@pytest.mark.parametrize("kind", ["frames", "scene"])
def test_a_store_cut_by_a_bad_copy(fails, hand_store, tmp_path, kind):
    path = hand_store / f"train-0001-hand.{kind}.arrow"
    path.write_bytes(path.read_bytes()[:500])
    argv = ["eval", hand_store, "--planners", "constant_velocity", "--out", tmp_path / "out"]
    fails(argv, str(path), "eyesup world generate")


# The machine ------------------------------------------------------------------------------------------------------------


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_while_generating(fails, tmp_path, monkeypatch):
    monkeypatch.setattr("eyesup.world.store.os.fsync", full_disk)
    out = tmp_path / "store"
    size = [
        "--logs",
        "1",
        "--duration-s",
        "8",
        "--width-px",
        "32",
        "--height-px",
        "18",
        "--scenarios",
        "free_drive",
        "1",
    ]
    fails(["world", "generate", "--out", out, *size], "no space left on the disk", str(out), "same command continues")
    assert list(out.iterdir()) == []  # no half file


def test_a_disk_that_is_full_while_evaluating(fails, hand_store, tmp_path, monkeypatch):
    argv = ["eval", hand_store, "--planners", "constant_velocity", "--no-expert", "--out", tmp_path / "out"]
    with monkeypatch.context() as patch:
        patch.setattr("eyesup.evaluation.openloop.append_records", full_disk)
        fails(argv, "No space left on device", "repeat the command")
    assert main([str(word) for word in argv]) == 0


def test_a_folder_that_is_a_file(fails, frame, tmp_path):
    (tmp_path / "taken").write_text("")
    fails(["plan", frame, "--model", "constant_velocity", "--out", tmp_path / "taken"], str(tmp_path / "taken"))


def checksums(root: Path) -> dict[str, str]:
    return {name: digest for row in SceneStore(root).manifest["scenes"] for name, digest in row["sha256"].items()}


def test_a_killed_generation_keeps_what_was_finished_and_ends_as_if_nothing_had_happened(tiny_store, tmp_path):
    """The command is that of `tiny_store`; it gets SIGKILL as soon as its first log is on disk."""
    out = tmp_path / "store"
    argv = ["world", "generate", "--out", str(out), "--split", "val", "--logs", "2", "--duration-s", "9", "--width-px", "64",
            "--height-px", "36", "--scenarios", "free_drive", "1", "lead_brakes", "1"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "eyesup", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(out.glob("*.scene.arrow")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it was still at work
    finished = {path: path.stat().st_mtime_ns for path in out.glob("*-free_drive.*.arrow")}
    assert len(finished) == 2 and not (out / "manifest.json").exists()
    assert main(argv) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # not made again
    assert checksums(out) == checksums(tiny_store)
    assert SceneStore(out).verify() == [] and not list(out.glob(".*.tmp"))
