"""`eyesup drive`: a planner in closed loop from the command line."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from eyesup.cli.main import main

TINY = ["--duration-s", "8.0", "--width-px", "64", "--height-px", "36"]


def drive(out, *arguments):
    assert main(["drive", *arguments, *TINY, "--out", str(out)]) == 0
    return json.loads((out / "drive.json").read_text())


def test_a_rule_drives_and_leaves_video_and_events(tmp_path, capsys):
    done = drive(tmp_path, "constant_velocity", "curve", "--seed", "3")
    assert (done["planner"], done["scenario"], done["seed"], done["split"]) == ("constant_velocity", "curve", 3, "test")
    assert [event["event"] for event in done["events"]] == ["off_road"]  # straight on where the road bends
    assert done["events"][0]["time_s"] == done["driven_s"] < 8.0 and not done["privileged"]
    with Image.open(tmp_path / "drive.webp") as video:
        assert video.size[1] == 36 and video.size[0] > 3 * 64
        assert video.n_frames == done["plans"]
    out = " ".join(capsys.readouterr().out.split())
    assert "off_road" in out and "next: eyesup drive expert curve --seed 3 --split test" in out


def test_the_expert_stays_on_the_road(tmp_path, capsys):
    done = drive(tmp_path, "expert", "curve", "--seed", "3", "--no-video")
    assert done["events"] == [] and done["driven_s"] == 8.0 and done["privileged"] and done["plans"] == 0
    assert 30.0 < done["progress_m"] < 110.0 and not (tmp_path / "drive.webp").exists()
    assert "no collision" in " ".join(capsys.readouterr().out.split())


def test_mistakes_are_one_line(tmp_path, capsys):
    assert main(["drive", "expert", "curv", "--out", str(tmp_path)]) == 1
    assert "'curv' is unknown; choose one of" in capsys.readouterr().err
    assert main(["drive", "expert", "curve", "--replan-s", "0.25", "--out", str(tmp_path)]) == 1
    assert "--replan-s 0.25 is no whole multiple of 0.1" in capsys.readouterr().err


def test_help_teaches_with_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["drive", "--help"])
    assert "Example: eyesup drive ik_vla_tiny stopped_car" in " ".join(capsys.readouterr().out.split())
