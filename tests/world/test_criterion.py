"""Every scenario of the catalogue: its cue decides the plan, and only where it matters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eyesup.types import DataError
from eyesup.world.scenarios import SCENARIOS, load_scenario
from eyesup.world.scenarios.base import Ability, EdgeCase
from eyesup.world.twins.criterion import CueTest, cue_keyframe, is_good, probe_cue

SEEDS = (11, 12, 13)  # `benchmarks/scenario_criterion.py` runs twenty
WITH_CUE = [name for name in SCENARIOS if load_scenario(name).has_cue]


@pytest.mark.parametrize("name", WITH_CUE)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_cue_decides_the_plan_and_only_on_the_path(name, seed, log_of):
    scene = log_of(name, seed)
    found = probe_cue(scene)
    assert found.removed_m > 1.0, found
    assert found.only_on_path, found
    assert scene.cue.kind.name != "NONE" and found.step == cue_keyframe(scene)


def test_what_the_criterion_asks():
    good = CueTest(20, removed_m=1.2, off_path_m=0.0, in_sky_m=None, moved_m=0.4)
    weak = replace(good, removed_m=0.9)
    distracting = replace(good, in_sky_m=0.2)
    unproven = replace(good, off_path_m=None)
    assert good.decides and good.only_on_path
    assert is_good([good] * 9 + [weak]) and not is_good([good] * 8 + [weak] * 2)
    assert not is_good([good] * 19 + [distracting]) and not is_good([good] * 19 + [unproven])


def test_a_log_without_a_cue_has_no_moment_to_probe(hand_scene):
    with pytest.raises(DataError, match="no keyframe at which its cue matters"):
        cue_keyframe(hand_scene())


def test_abilities_and_edge_cases_are_covered():
    classes = [load_scenario(name) for name in SCENARIOS]
    assert len(classes) >= 16
    assert {cls.ability for cls in classes} >= set(Ability)
    assert {cls.edge_case for cls in classes} >= set(EdgeCase)
    assert len({cls.__module__ for cls in classes}) == len(classes)  # one file each
