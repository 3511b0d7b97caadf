"""Blank and swapped images: what the planner is shown, and what reliance says of planners whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from eyesup.data.source import subset
from eyesup.data.world import WorldSource
from eyesup.diagnostics.vision_swap import blanked, paired, partners, probe, swapped
from eyesup.models.baselines.constant_velocity import ConstantVelocity
from eyesup.types import DataError, Estimate, Prediction, Trajectory
from eyesup.world.store import rig_to_json, scene_files, write_manifest


class Spy(ConstantVelocity):
    """Keeps what it was shown."""

    def __init__(self):
        self.seen = []

    def plan(self, observations, seed=0):
        self.seen += observations
        return super().plan(observations, seed)


class Looks:
    """Plans the true future if, and only if, it is shown the sample's own picture; otherwise it stays."""

    name, privileged = "looks", True

    def __init__(self, source):
        self.known = {s.key: (s.observation.images, s.truth.future.resampled(0.5, 6)) for s in source}

    def plan(self, observations, seed=0):
        plans = []
        for observation in observations:
            images, future = self.known[observation.key]
            same = np.array_equal(images, observation.images)
            plans.append(Prediction(observation.key, future if same else Trajectory(np.zeros((6, 3)), 0.5)))
        return plans


@pytest.fixture
def source(tmp_path, hand_scene, hand_rig, write_hand_scene):
    """Two scenes of three keyframes, every picture another noise."""
    root, keys = tmp_path / "store", ("train-0001-hand", "train-0002-hand")
    root.mkdir()
    for seed, key in enumerate(keys):
        rng, scene_of_key = np.random.default_rng(seed), hand_scene(key, seed=seed)
        steps = sorted({int(k) + later for k in scene_of_key.keyframes for later in (0, 10, 20, 30)})
        images = {step: rng.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8) for step in steps}
        write_hand_scene(root, scene_of_key, hand_rig, images)
    write_manifest(root, [scene_files(root, key) for key in keys], {"rig": json.loads(rig_to_json(hand_rig))})
    return WorldSource(root, with_map=False)


def scene(key):
    return key.rsplit("@", 1)[0]


@pytest.mark.parametrize("edit", ["blank", "swap"])
def test_keys_and_text_stay_so_noise_stays_paired(source, edit):
    spy = Spy()
    observations = [sample.observation for sample in source]
    edited = blanked(spy) if edit == "blank" else swapped(spy, source)
    plans = edited.plan(observations)
    assert [plan.key for plan in plans] == list(source.keys)
    for before, after in zip(observations, spy.seen):
        assert (before.images != after.images).any()
        assert repr(replace(after, images=before.images)) == repr(before)


def test_swapped_images_are_those_of_another_scene(source):
    spy = Spy()
    swapped(spy, source).plan([sample.observation for sample in source])
    owner = {sample.observation.images.tobytes() + scene(sample.key).encode() for sample in source}
    for seen in spy.seen:
        others = {s for s in map(scene, source.keys) if seen.images.tobytes() + s.encode() in owner}
        assert others  # a real picture, not noise
    assert all(scene(source.keys[row]) != scene(key) for key, row in partners(source.keys).items())


def test_partners_differ_in_scene_whatever_the_lengths():
    """Half the source away is the same scene where one is longer than the rest together."""
    keys = [f"a@{i}" for i in range(7)] + ["b@0", "b@1"]
    assert all(scene(keys[row]) != scene(key) for key, row in partners(keys).items())
    with_twin = ["a@0", "a~removed@0", "b@0"]
    assert partners(with_twin)["a@0"] == 2  # a twin is the same scene once more


def test_one_scene_alone_cannot_be_swapped(source):
    with pytest.raises(DataError, match="all 3 samples are of one scene, at least two"):
        swapped(ConstantVelocity(), subset(source, source.keys[:3]))


def test_a_blind_planner_has_no_reliance(source):
    rows = probe(ConstantVelocity(), source).rows
    assert len(rows) == 3
    for name in list(rows)[1:]:
        assert rows[name]["reliance"] == 0.0
        assert (rows[name]["worse by [m]"].mean, rows[name]["worse by [m]"].high) == (0.0, 0.0)


def test_a_planner_that_needs_its_picture_has_full_reliance(source):
    rows = probe(Looks(source), source).rows
    true, blank, swap = rows.values()
    assert true["ADE [m]"].mean == pytest.approx(0.0, abs=1e-9)
    for row in (blank, swap):
        assert row["reliance"] == pytest.approx(1.0)
        assert row["worse by [m]"].mean == pytest.approx(5.0 * 1.75, rel=1e-6)  # 5 m/s; waypoints at 0.5 to 3 s


def test_a_perfect_planner_under_every_image_relies_on_none(source):
    class Perfect(Looks):
        def plan(self, observations, seed=0):
            return [Prediction(o.key, self.known[o.key][1]) for o in observations]

    assert [row["reliance"] for row in list(probe(Perfect(source), source).rows.values())[1:]] == [0.0, 0.0]


def test_rows_carry_n_and_groups(source):
    for row in probe(ConstantVelocity(), source).rows.values():
        estimates = [value for value in row.values() if isinstance(value, Estimate)]
        assert estimates and {(e.n, e.groups) for e in estimates} == {(6, 2)}


def test_pairs_leave_out_what_is_missing_on_either_side():
    def record(key, value):
        return {"key": key, "scene": scene(key), "x": value}

    first = [record("a@1", 1.0), record("a@1", 3.0), record("b@1", 5.0), record("c@1", None)]
    second = [record("a@1", 4.0), record("b@1", None), record("c@1", 1.0)]
    found = paired(first, second, "x")
    assert (found.mean, found.n) == (2.0, 1)  # 4 - mean(1, 3)
