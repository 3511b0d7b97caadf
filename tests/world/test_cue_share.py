"""The share of keyframes that the cue decides is what was asked for, whatever the logs are like."""

from dataclasses import replace

import numpy as np
import pytest

from eyesup.types import DataError
from eyesup.world import generate as module
from eyesup.world.cue_share import FULL, KEPT_SHARE, eventful_share, is_eventful, kept_keyframes
from eyesup.world.generate import GenerateConfig, log_plan, make_log

KEYFRAMES = np.arange(20, 150, 5)  # 26, as in a log of 20 s
LOGS = 60
TOLERANCE = 0.2  # of the share asked for: what follows from logs that are not like the average one


@pytest.fixture
def measured(monkeypatch, hand_scene, tmp_path):
    """`measured(share)`: the share over `LOGS` logs made by the real code from scenes in which the cue decides 5 to 23
    keyframes of 26; nothing is drawn."""
    effects, kept = {}, []

    def simulate(scenario, seed, split, duration_s):
        scene = replace(hand_scene(steps=201, seed=seed), keyframes=KEYFRAMES)
        active = 0 if scenario == "free_drive" else 5 + seed % 19
        effects[seed] = np.where(np.arange(26) < active, 2.0, 0.0)
        return replace(scene, tags={**scene.tags, "scenario": scenario, "seed": seed})

    class NoArtist:
        def __init__(self, *unused):
            pass

        def draw_and_write(self, scene, steps, annotated, twins):
            assert len(scene.keyframes) == len(annotated[0]) and set(scene.keyframes) <= set(steps)
            kept.append(annotated[0] > 1.0)

    monkeypatch.setattr(module, "simulate", simulate)
    monkeypatch.setattr(module, "cue_effects", lambda scene, steps: effects[scene.tags["seed"]])
    monkeypatch.setattr(module, "_Artist", NoArtist)

    def measure(share):
        kept.clear()
        config = GenerateConfig(tmp_path, logs=LOGS, cue_share=share, scenarios={"lead_brakes": 1.0, "curve": 2.0})
        for index in range(LOGS):
            make_log(config, index)
        return float(np.concatenate(kept).mean())

    return measure


@pytest.mark.parametrize("asked", [0.01, 0.1, 0.5])
def test_the_share_asked_for_is_reached(measured, asked):
    assert measured(asked) == pytest.approx(asked, rel=TOLERANCE)


def test_logs_with_an_event_are_as_many_as_it_takes():
    # 0.2 f = 0.01 ((0.2 + 0.4) f + 1 - f), so f = 0.01 / (0.2 + 0.01 x 0.4)
    assert eventful_share(0.01) == pytest.approx(0.04902, abs=1e-5)
    assert eventful_share(FULL) == pytest.approx(1.0) and eventful_share(0.5) == 1.0
    assert sum(is_eventful(index, 0.01) for index in range(1000)) == 49
    assert all(is_eventful(index, 0.5) for index in range(100))


def test_plan_mixes_in_logs_without_an_event_and_keeps_the_weights(tmp_path):
    weights = {"lead_brakes": 1.0, "curve": 3.0}
    keys = log_plan(GenerateConfig(tmp_path, logs=200, cue_share=0.05, scenarios=weights))
    names = [key.rsplit("-", 1)[1] for key in keys]
    eventful = round(200 * eventful_share(0.05))
    assert names.count("free_drive") == 200 - eventful
    assert abs(names.count("curve") - 0.75 * eventful) <= 1
    assert keys[:50] == log_plan(GenerateConfig(tmp_path, logs=50, cue_share=0.05, scenarios=weights))


def test_keyframes_are_kept_in_the_ratio_asked_for():
    decided = np.arange(26) < 8
    rng = np.random.default_rng(0)
    half = kept_keyframes(decided, 0.5, 0, rng)
    assert decided[half].sum() == 8 and len(half) == 16 and (np.diff(half) > 0).all()
    most = kept_keyframes(decided, 0.8, 0, rng)
    assert decided[most].sum() == 8 and len(most) == 10
    few = kept_keyframes(~decided, 0.4, 0, rng)  # 18 decided, 8 not: 8 x 2 / 3 are kept of the 18
    assert (~decided)[few].sum() == 5 and len(few) == 13
    rare = kept_keyframes(decided, 0.01, 0, rng)
    assert decided[rare].sum() == int(KEPT_SHARE * 26) and len(rare) == 18 + 5
    assert kept_keyframes(np.zeros(5, bool), 0.5, 0, rng).tolist() == [0]


def test_shares_outside_zero_and_one_are_errors(tmp_path):
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(DataError, match="between 0 and 1"):
            GenerateConfig(tmp_path, cue_share=share)
    config = GenerateConfig(tmp_path, cue_share=0.5, scenarios={"free_drive": 1.0})
    with pytest.raises(DataError, match="none of free_drive has a cue"):
        log_plan(config)
