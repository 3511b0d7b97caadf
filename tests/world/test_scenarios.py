from functools import lru_cache

import numpy as np
import pytest

from eyesup.types import CueKind, Lights, SignalState
from eyesup.world.scenarios import SCENARIOS, load_scenario
from eyesup.world.simulate import simulate
from eyesup.world.twins import EFFECT_STEPS, TwinKind, make_twin

SEEDS = (11, 12)
DURATION_S = 12.0
CUES = {"lead_brakes": CueKind.AGENT, "stopped_car": CueKind.AGENT, "red_light": CueKind.SIGNAL, "curve": CueKind.ROAD}


@lru_cache
def _log(name, seed):
    return simulate(name, seed, duration_s=DURATION_S)


@pytest.mark.parametrize("name", CUES)
def test_cue_decides_the_plan_and_only_on_the_path(name):
    """A few seeds of the criterion; `benchmarks/scenario_criterion.py` runs twenty."""
    for seed in SEEDS:
        scene = _log(name, seed)
        assert scene.cue.kind is CUES[name]
        step = int(scene.keyframes[scene.keyframes >= scene.tags["cue_step"]][0])
        removed, beside = (make_twin(scene, step, kind) for kind in (TwinKind.CUE_REMOVED, TwinKind.CUE_OFF_PATH))
        ends = [log.ego_poses[step + EFFECT_STEPS, :2] for log in (scene, removed, beside)]
        assert np.linalg.norm(ends[0] - ends[1]) > 1.0, (seed, step)
        assert np.linalg.norm(ends[1] - ends[2]) < 0.1, (seed, step)


def test_lead_lights_its_brakes_at_the_cue_and_comes_almost_to_rest():
    scene = _log("lead_brakes", SEEDS[0])
    row, start = list(scene.agents.ids).index(scene.cue.id), int(scene.tags["cue_step"])
    speed = np.hypot(*scene.agents.velocities[row].T)
    assert (scene.agents.lights[row, start + 1 : start + 6] & Lights.BRAKE).all()
    assert speed[start] > 3.0
    assert speed[start : start + 50].min() < 3.5


def test_stopped_car_shows_brake_lights_and_stands():
    scene = _log("stopped_car", SEEDS[0])
    row, step = list(scene.agents.ids).index(scene.cue.id), int(scene.tags["cue_step"])
    assert scene.agents.lights[row, step] == Lights.BRAKE
    assert np.hypot(*scene.agents.velocities[row, step]) == 0.0


def test_signal_is_green_until_the_cue_then_amber_then_red():
    scene = _log("red_light", SEEDS[0])
    states, step = scene.signals.states[list(scene.signals.ids).index(scene.cue.id)], int(scene.tags["cue_step"])
    assert (states[:step] == SignalState.GREEN).all()
    later = states[step:]
    assert later[0] == SignalState.AMBER
    assert (later == SignalState.RED).any()


def test_every_name_in_the_catalogue_loads():
    for name in SCENARIOS:
        assert load_scenario(name).__doc__
