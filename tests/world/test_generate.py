"""Generation: resumable, the same whoever makes it, clear when it fails."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup.types import SemanticClass
from eyesup.types.errors import DataError, EyesUpError
from eyesup.world import generate as module
from eyesup.world import store as store_module
from eyesup.world.check import check_store, generate_command
from eyesup.world.generate import GenerateConfig, generate, log_plan, share
from eyesup.world.render.labels import FrameLabels
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.store import MANIFEST, SceneStore

EFFECTS_M = np.array([0.5, 2.0, 3.0])


class FakeRenderer(module.Renderer):
    """Pictures that depend on the scene's seed and the step alone."""

    def __init__(self, rig):
        self.rig = rig

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def load(self, scene):
        self.seed = int(scene.tags["seed"])

    def images(self, step):
        width, height = self.rig.size_px
        return np.full((len(self.rig), height, width, 3), (self.seed * 7 + step) % 256, np.uint8)

    def labels(self, step, depth=True):
        width, height = self.rig.size_px
        instances = np.zeros((len(self.rig), height, width), np.int32)
        instances[0, :5, :5] = 8  # agent 7
        return FrameLabels(np.full(instances.shape, SemanticClass.ROAD, np.uint8), instances)

    def whole_pixels(self, step, visible_px, agents=None):
        return 2 * visible_px


@pytest.fixture
def fake_world(monkeypatch, hand_scene):
    """The real machinery around a world of hand-made scenes; `calls` counts the simulated logs."""
    calls: list[tuple[str, int]] = []

    def simulate(scenario, seed, split, duration_s):
        calls.append((scenario, seed))
        scene = hand_scene(f"{split}-{seed}-{scenario}", steps=round(10 * duration_s), seed=seed)
        return replace(scene, tags={**scene.tags, "scenario": scenario, "seed": seed})

    def make_twin(scene, step, kind):
        return replace(scene, keyframes=np.array([step]), tags={**scene.tags, "twin": kind.value})

    monkeypatch.setattr(module, "simulate", simulate)
    monkeypatch.setattr(module, "cue_effects", lambda scene, steps: EFFECTS_M)
    monkeypatch.setattr(module, "make_twin", make_twin)
    monkeypatch.setattr(module, "Renderer", FakeRenderer)
    return calls


def config(out: Path, **changes) -> GenerateConfig:
    defaults = {
        "logs": 4,
        "width_px": 32,
        "height_px": 18,
        "duration_s": 12.0,
        "scenarios": {"lead_brakes": 1.0, "red_light": 1.0},
    }
    return GenerateConfig(out=out, **{**defaults, **changes})


def content(root: Path) -> dict[str, bytes]:
    """Every file but the one that holds machine-dependent speed."""
    return {path.name: path.read_bytes() for path in root.iterdir() if path.name != module.SPEED}


def test_a_store_holds_what_was_asked_for(tmp_path, fake_world):
    report = generate(config(tmp_path), show_progress=False)
    store = SceneStore(tmp_path)
    assert (report.logs, report.keyframes, report.twins, report.made) == (4, 12, 0, 12)
    assert len(store) == 4 and store.verify() == []
    assert store.rig.names == ("front_left", "front", "front_right")
    first = store.annotations(store.keys[0])
    assert first.cue_effect_m.tolist() == EFFECTS_M.tolist() and first.cue_effect_valid.all()
    assert first.visible_px[:, 0].sum(-1).tolist() == [25, 25, 25]
    assert first.visible_share[:, 0].tolist() == [0.5, 0.5, 0.5] and not first.visible_share[:, 1:].any()
    assert all(len(qa) >= 2 for qa in first.qa)
    assert store.steps(store.keys[0]) == (20, 30, 40, 50, 60, 70, 80, 90)
    assert store.has_labels(store.keys[0], 20) and not store.has_labels(store.keys[0], 30)


def test_shares_are_those_of_the_stored_keyframes(tmp_path, fake_world):
    report = generate(config(tmp_path), show_progress=False)
    gaps = np.concatenate([SceneStore(tmp_path).annotations(key).ego_gap_m for key in SceneStore(tmp_path).keys])
    assert report.cue_share == pytest.approx(2 / 3)
    assert report.rho == pytest.approx((gaps > 1.0).mean())
    stored = SceneStore(tmp_path).manifest["report"]
    assert (stored["cue_share"], stored["rho"], stored["keyframes"]) == (report.cue_share, report.rho, 12)
    assert share(np.zeros(0, bool)) == 0.0


@pytest.mark.parametrize("stop_at", [0, 2])
def test_an_interrupted_run_continues_to_the_same_bytes(tmp_path, fake_world, monkeypatch, stop_at):
    generate(config(tmp_path / "whole", twins=True), show_progress=False)
    simulate, count = module.simulate, Counter()

    def stop(*args, **kwargs):
        if count["logs"] == stop_at:
            raise KeyboardInterrupt
        count["logs"] += 1
        return simulate(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "simulate", stop)
        with pytest.raises(KeyboardInterrupt):
            generate(config(tmp_path / "parts", twins=True), show_progress=False)
    (tmp_path / "parts" / ".train-0000000-lead_brakes.frames.arrow.1.tmp").write_bytes(
        b"half"
    )  # as a killed writer leaves
    fake_world.clear()
    generate(config(tmp_path / "parts", twins=True), show_progress=False)
    assert len(fake_world) == 4 - stop_at  # finished logs are not made again
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_death_between_any_two_writes_is_repaired(tmp_path, fake_world, monkeypatch):
    generate(config(tmp_path / "whole", twins=True, twins_per_log=1, logs=1), show_progress=False)
    writes = len(content(tmp_path / "whole"))
    for death in range(writes):
        root, done = tmp_path / f"d{death}", Counter()

        def dying(source, target, done=done, death=death):
            if done["writes"] == death:
                raise SystemExit  # no handler of ours sees it
            done["writes"] += 1
            Path(target).write_bytes(Path(source).read_bytes())

        with monkeypatch.context() as patch:
            patch.setattr(store_module.os, "replace", dying)
            with pytest.raises(SystemExit):
                generate(config(root, twins=True, twins_per_log=1, logs=1), show_progress=False)
        generate(config(root, twins=True, twins_per_log=1, logs=1), show_progress=False)
        assert content(root) == content(tmp_path / "whole")


def test_a_cut_file_is_made_again(tmp_path, fake_world):
    generate(config(tmp_path), show_progress=False)
    whole = content(tmp_path)
    path = next(tmp_path.glob("*.frames.arrow"))
    path.write_bytes(path.read_bytes()[:100])
    fake_world.clear()
    generate(config(tmp_path), show_progress=False)
    assert len(fake_world) == 1 and content(tmp_path) == whole


def test_a_finished_store_can_be_extended(tmp_path, fake_world):
    generate(config(tmp_path / "a", logs=2), show_progress=False)
    report = generate(config(tmp_path / "a", logs=4), show_progress=False)
    assert report.made == 6
    generate(config(tmp_path / "b", logs=4), show_progress=False)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_other_settings_do_not_mix_into_a_store(tmp_path, fake_world):
    generate(config(tmp_path), show_progress=False)
    before = content(tmp_path)
    with pytest.raises(DataError, match="made with other settings or by another version; choose another folder"):
        generate(config(tmp_path, width_px=48), show_progress=False)
    assert content(tmp_path) == before


def test_twins_are_stored_apart_at_keyframes_that_the_cue_decides(tmp_path, fake_world):
    report = generate(config(tmp_path, twins=True, twins_per_log=1, logs=1), show_progress=False)
    store = SceneStore(tmp_path)
    (key,) = store.keys
    assert report.twins == 2 and report.keyframes == 3
    step = store.keyframes(store.twin_keys[0])[0]
    assert store.twin_keys == (f"{key}~off_path@{step}", f"{key}~removed@{step}") and step in (40, 60)
    assert store.steps(store.twin_keys[0]) == (step, step + 10, step + 20, step + 30)


def test_a_twin_that_does_not_fit_is_left_out(tmp_path, fake_world, monkeypatch):
    def no_room(scene, step, kind):
        raise DataError("no verge")

    monkeypatch.setattr(module, "make_twin", no_room)
    assert generate(config(tmp_path, twins=True), show_progress=False).twins == 0


def fail_on_red_lights(monkeypatch, error):
    simulate = module.simulate

    def failing(scenario, **kwargs):
        if scenario == "red_light":
            raise error
        return simulate(scenario, **kwargs)

    monkeypatch.setattr(module, "simulate", failing)


def test_a_failing_log_stops_the_run_and_names_itself(tmp_path, fake_world, monkeypatch):
    fail_on_red_lights(monkeypatch, EyesUpError("no draw fitted"))
    with pytest.raises(EyesUpError, match=r"log train-000000\d-red_light failed: .*no draw fitted.*--keep-going"):
        generate(config(tmp_path), show_progress=False)


def test_keep_going_counts_and_lists_failures(tmp_path, fake_world, monkeypatch):
    fail_on_red_lights(monkeypatch, EyesUpError("no draw fitted"))
    report = generate(config(tmp_path, keep_going=True), show_progress=False)
    assert report.logs == 2 and len(report.failed) == 2 and all(key.endswith("red_light") for key in report.failed)
    assert SceneStore(tmp_path).manifest["report"]["failed"] == list(report.failed)


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_full_disk_is_one_clear_error_and_keeps_what_is_finished(tmp_path, fake_world, monkeypatch, keep_going):
    fsync, count = store_module.os.fsync, Counter()

    def full(fd):
        count["writes"] += 1
        if count["writes"] > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "fsync", full)
        with pytest.raises(EyesUpError, match=r"no space left on the disk.*finished logs are kept"):
            generate(config(tmp_path, keep_going=keep_going), show_progress=False)
    assert len(list(tmp_path.glob("*.scene.arrow"))) == 2 and not list(tmp_path.glob(".*.tmp"))
    fake_world.clear()
    generate(config(tmp_path), show_progress=False)
    assert len(fake_world) == 2


def test_what_comes_from_behind_is_generated_for_rigs_that_look_there(tmp_path):
    names = {
        rig: {key.rsplit("-", 1)[1] for key in log_plan(config(tmp_path, logs=len(SCENARIOS), rig=rig, scenarios={}))}
        for rig in ("front3", "surround6")
    }
    assert names["surround6"] == set(SCENARIOS)
    assert names["front3"] == set(SCENARIOS) - {"emergency_vehicle"}
    asked = log_plan(config(tmp_path, logs=1, rig="front3", scenarios={"emergency_vehicle": 1.0}))
    assert asked[0].endswith("-emergency_vehicle")


def test_scenarios_take_turns_by_weight(tmp_path):
    plan = log_plan(config(tmp_path, logs=30, scenarios={"red_light": 2.0, "lead_brakes": 1.0}))
    for n in (3, 9, 30):
        counts = Counter(key.rsplit("-", 1)[1] for key in plan[:n])
        assert counts == {"red_light": 2 * n // 3, "lead_brakes": n // 3}
    assert log_plan(config(tmp_path, logs=5)) == log_plan(config(tmp_path, logs=9))[:5]
    assert len(set(plan)) == 30


def test_a_scenario_meets_every_town(tmp_path):
    """Towns go round with the seed; so scenarios must not go round in the same order."""
    names = dict.fromkeys(("lead_brakes", "red_light"), 1.0)
    seeds = [int(key.split("-")[1]) for key in log_plan(config(tmp_path, logs=64, scenarios=names)) if "red" in key]
    assert {seed % 8 for seed in seeds} == set(range(8))


def test_seeds_do_not_share_logs(tmp_path):
    a, b = (set(log_plan(config(tmp_path, logs=50, seed=seed))) for seed in (0, 1))
    assert not a & b


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenarios": {"red_ligth": 1.0}}, "unknown scenario red_ligth; known: "),
        ({"scenarios": {"red_light": 0.0}}, "must be positive"),
        ({"logs": 0}, "logs 0 must be at least 1"),
        ({"width_px": 33}, "must be even"),
    ],
)
def test_bad_settings_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        config(tmp_path, **changes)


REAL = {"logs": 3, "width_px": 64, "height_px": 36, "duration_s": 8.0, "twins": True, "twins_per_log": 1}


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """Three real logs, made by this process. Read only."""
    root = tmp_path_factory.mktemp("real") / "store"
    generate(config(root, **REAL), show_progress=False)
    return root


def test_the_real_world_is_the_same_for_one_and_two_workers(tmp_path, real):
    generate(config(tmp_path, workers=2, **REAL), show_progress=False)
    assert content(tmp_path) == content(real)
    store = SceneStore(real)
    assert check_store(real, pictures=True).faults == () and len(store) == 3
    image = store.images(store.keys[0], store.keyframes(store.keys[0])[0])
    assert image.std() > 10  # something is to be seen
    speed = json.loads((tmp_path / module.SPEED).read_text())
    assert speed["workers"] == 2 and sum(speed["stage_share"].values()) == pytest.approx(1.0, abs=1e-3)


def test_the_real_world_is_the_same_under_ray(tmp_path, real):
    pytest.importorskip("ray", reason="ray is not installed (pip install 'eyesup[ray]')")
    generate(config(tmp_path, workers=2, engine="ray", **{**REAL, "logs": 2}), show_progress=False)
    made, whole = content(tmp_path), content(real)
    assert len(SceneStore(tmp_path)) == 2
    assert all(made[name] == whole[name] for name in made if name != MANIFEST)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
def test_a_killed_worker_costs_nothing_and_what_was_cut_short_is_made_later(tmp_path, real):
    arguments = [sys.executable, "-m", "eyesup.cli.main", *generate_words(tmp_path, real), "--workers", "2"]
    run = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(tmp_path.glob("*.frames.arrow")) or run.poll() is not None)
    workers = [pid for pid in children_of(run.pid) if "spawn_main" in command_of(pid)]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    _, error = run.communicate(timeout=120)
    assert run.returncode == 0, error
    assert content(tmp_path) == content(real)
    (tmp_path / ".half.scene.arrow.7.tmp").write_bytes(b"half")
    done = sorted(tmp_path.glob("*.frames.arrow"))
    done[0].write_bytes(done[0].read_bytes()[:50])  # as a machine that lost power leaves it
    generate(config(tmp_path, **REAL), show_progress=False)
    assert content(tmp_path) == content(real)


def generate_words(out: Path, like: Path) -> list[str]:
    """Arguments of the command that makes a store like another one: the one that `check` prints."""
    return generate_command(out, SceneStore(like).manifest["config"]).split()[1:]


def wait_until(is_true, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "nothing was written"
        time.sleep(0.01)


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
