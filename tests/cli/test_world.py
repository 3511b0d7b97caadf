"""`eyesup world` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyesup.cli.main import main
from eyesup.world.store import SceneStore


def add_report(store):
    """What `generate` adds to a manifest, so that a hand-made store can be inspected."""
    path = store / "manifest.json"
    facts = {
        "config": {"split": "train", "seed": 0}, "versions": {"eyesup": "0"},
        "report": {"cue_share": 0.5, "rho": 0.25, "twins": 1, "failed": []},
    }  # fmt: skip
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_inspect_prints_counts_and_verifies(hand_store, capsys):
    add_report(hand_store)
    assert main(["world", "inspect", str(hand_store)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "hand │ 2 │ 6" in out and "cue_share 0.500" in out and "checksums match" in out


def test_inspect_fails_on_damage_and_names_the_file(hand_store, capsys):
    add_report(hand_store)
    frames = hand_store / "train-0002-hand.frames.arrow"
    frames.write_bytes(frames.read_bytes()[:-9] + b"x" + frames.read_bytes()[-8:])
    assert main(["world", "inspect", str(hand_store)]) == 1
    assert "train-0002-hand.frames.arrow" in capsys.readouterr().out.replace("\n", "")
    assert main(["world", "inspect", str(hand_store), "--no-verify"]) == 0


def test_check_names_what_is_broken_and_how_to_mend_it(hand_store, capsys):
    add_report(hand_store)
    assert main(["world", "check", str(hand_store), "--pictures"]) == 0
    assert "3 scenes, 6 files" in capsys.readouterr().out
    frames = hand_store / "train-0002-hand.frames.arrow"
    frames.write_bytes(frames.read_bytes()[:100])
    assert main(["world", "check", str(hand_store)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "train-0002-hand.frames.arrow has 100 bytes" in out and "1 broken" in out
    assert f"eyesup world check {hand_store} --repair, then: eyesup world generate --out {hand_store}" in out
    assert main(["world", "check", str(hand_store), "--repair"]) == 1
    assert not frames.exists() and len(list(hand_store.glob("*.arrow"))) == 5


def test_import_draws_a_map_of_ones_own(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EYESUP_CACHE", str(tmp_path / "cache"))
    map_file, out = Path(__file__).parents[1] / "world" / "maps" / "bend.xodr", tmp_path / "town.png"
    options = ["--out", str(out), "--width-px", "96", "--height-px", "54"]
    assert main(["world", "import", "--opendrive", str(map_file), *options]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "1.4 km of lanes in 4 lanes" in said and "the expert drove" in said and "eyesup world generate --town" in said
    )
    picture = np.asarray(Image.open(out))
    assert picture.shape[1] == 3 * 96 + 54 and picture.shape[0] > 54 + 300
    assert main(["world", "import", "--osm", str(map_file), *options]) == 1
    assert "use --opendrive for it" in capsys.readouterr().err
    assert main(["world", "import"]) == 1
    assert "give one map" in capsys.readouterr().err


def test_inspecting_nothing_is_an_error_without_traceback(tmp_path, capsys):
    assert main(["world", "inspect", str(tmp_path)]) == 1
    assert "no scene store here" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["render", "video"])
def test_an_unknown_scenario_lists_the_known_ones(command, capsys):
    assert main(["world", command, "red_ligth"]) == 1
    error = capsys.readouterr().err
    assert "unknown scenario 'red_ligth'; known: free_drive" in error and "red_light" in error


def test_generate_then_inspect(tmp_path, capsys):
    store = tmp_path / "store"
    options = [
        "--logs",
        "1",
        "--duration-s",
        "8.0",
        "--width-px",
        "48",
        "--height-px",
        "28",
        "--scenarios",
        "lead_brakes",
        "1",
        "--cue-share",
        "0.5",
    ]
    assert main(["world", "generate", "--out", str(store), *options]) == 0
    made = " ".join(capsys.readouterr().out.split())
    assert "next: eyesup world inspect" in made and "(asked for 0.5)" in made
    assert main(["world", "inspect", str(store)]) == 0
    assert "(asked for 0.5)" in capsys.readouterr().out
    assert SceneStore(store).keys == ("train-0000000-lead_brakes",)


def test_render_writes_cameras_and_the_view_from_above(tmp_path):
    plain, removed = tmp_path / "plain.png", tmp_path / "removed.png"
    options = ["world", "render", "lead_brakes", "--seed", "0", "--step", "70", "--width-px", "96", "--height-px", "54"]
    assert main([*options, "--out", str(plain)]) == 0
    assert main([*options, "--out", str(removed), "--twin", "removed"]) == 0
    a, b = (np.asarray(Image.open(path)) for path in (plain, removed))
    assert a.shape == (54, 3 * 96 + 54, 3)
    assert (a != b).any()


def test_a_step_outside_the_log_is_refused(capsys, tmp_path):
    assert main(["world", "render", "lead_brakes", "--step", "9999", "--out", str(tmp_path / "a.png")]) == 1
    assert "step 9999 is outside the log, which has steps 0 to 200" in capsys.readouterr().err


def test_every_command_teaches_with_an_example(capsys):
    for command in ("generate", "inspect", "check", "render", "video", "import"):
        with pytest.raises(SystemExit) as stop:
            main(["world", command, "--help"])
        assert stop.value.code == 0
        assert f"Example: eyesup world {command}" in " ".join(capsys.readouterr().out.split())
