from __future__ import annotations

import json
import subprocess
import sys

import pytest

from eyesup.cli.main import main
from eyesup.recipes import RECIPES


def test_help_teaches_every_recipe_without_importing_torch():
    code = (
        "import sys\nfrom eyesup.cli.train import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules)"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(name in text for name in RECIPES)
    assert "--resume" in text and "Example:" in text and text.rstrip().endswith("False")


def test_unknown_recipe_lists_the_known(capsys):
    assert main(["train", "ik_vla_tinny"]) == 1
    error = capsys.readouterr().err
    assert "no recipe 'ik_vla_tinny'" in error and "ik_vla_tiny_blind" in error and "Traceback" not in error


def test_missing_store_and_missing_run_are_named(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert main(["train", "ego_mlp", "--data", str(tmp_path / "none"), "--out", out]) == 1
    assert "manifest.json is missing" in capsys.readouterr().err
    assert main(["train", "ego_mlp", "--out", str(tmp_path / "other"), "--resume"]) == 1
    assert "holds no run" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--steps", "--batch-size"])
def test_nonsense_numbers_are_refused(option, capsys):
    assert main(["train", "ik_vla_debug", option, "0"]) == 1
    assert "at least 1" in capsys.readouterr().err


def test_train_and_resume_remember_their_options(hand_store, tmp_path, capsys):
    out = tmp_path / "run"
    common = ["train", "encoder_debug", "--out", str(out), "--features", str(tmp_path / "features")]
    # The hand store's 48 x 32 px images are cut to the debug encoder's 32 x 16.
    assert main([*common, "--data", str(hand_store), "--steps", "3", "--seed", "5"]) == 0
    assert "next: eyesup train ik_vla_tiny --data" in capsys.readouterr().out
    assert main([*common, "--data", str(hand_store)]) == 1
    assert "--resume" in capsys.readouterr().err
    assert main(["train", "encoder_debug", "--out", str(out), "--resume", "--quiet"]) == 0
    record = json.loads((out / "run.json").read_text())
    assert record["options"]["data"] == str(hand_store)
    assert (record["config"]["train"]["steps"], record["config"]["train"]["seed"]) == (3, 5)
    assert main(["train", "encoder_debug", "--out", str(out), "--resume", "--steps", "4"]) == 1
    assert "train.steps was 3, is 4" in capsys.readouterr().err
