"""Evaluation: a record for every keyframe, seed and alternative; none made twice; privileges stamped; what is missing is null."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup.cli.evaluate import expert_of
from eyesup.data.source import subset
from eyesup.data.world import WorldSource
from eyesup.evaluation.openloop import evaluate
from eyesup.evaluation.records import read_records
from eyesup.models.baselines.constant_velocity import ConstantVelocity
from eyesup.scoring import openloop
from eyesup.types import Command, CommandSource, DataError, Maneuver, Prediction, Sample, Trajectory

OFFSETS_M = np.arange(3)[:, None, None] * [0.0, 1.0, 0.0]  # of three alternatives


class Noisy(ConstantVelocity):
    """Three alternatives beside each other; counts what it plans."""

    name = "noisy"

    def __init__(self):
        self.planned: list[tuple[str, int]] = []

    def plan(self, observations, seed=0):
        self.planned += [(o.key, seed) for o in observations]
        plans = super().plan(observations, seed)
        return [replace(plan, samples=plan.trajectory.poses + OFFSETS_M) for plan in plans]


class Edited:
    """A source with every sample passed through a function."""

    name = "edited"

    def __init__(self, source, edit):
        self.source, self.edit, self.keys = source, edit, source.keys

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.edit(self.source[index])

    def __iter__(self):
        return (self[index] for index in range(len(self)))


@pytest.fixture
def source(hand_store: Path) -> WorldSource:
    return WorldSource(hand_store, with_map=False)


def names(records):
    return [(r["key"], r["seed"], r["alternative"]) for r in records]


def test_one_record_per_keyframe_seed_and_alternative(source, tmp_path):
    out = tmp_path / "records.jsonl"
    progress: list[int] = []
    made = evaluate(Noisy(), source, (0, 5), out, batch_size=4, progress=progress.append, each=True)
    wanted = {(key, seed, k) for key in source.keys for seed in (0, 5) for k in range(3)}
    assert set(names(made)) == wanted and len(made) == len(wanted) == 36
    assert read_records(out) == json.loads(json.dumps(made)) == made  # nothing is lost in writing
    assert sum(progress) == 12
    first = made[0]
    assert (first["planner"], first["protocol"]) == ("noisy", openloop.PROTOCOL)
    assert (first["scenario"], first["town"], first["split"]) == ("hand", "paper", "train")
    assert first["scene"] == "train-0001-hand" and first["key"].startswith(first["scene"] + "@")


def test_each_alternative_is_scored_by_itself(source):
    """Alternatives 0, 1 and 2 m beside the driven path err by just that."""

    class Beside(ConstantVelocity):
        def plan(self, observations, seed=0):
            return [replace(p, samples=p.trajectory.poses + OFFSETS_M) for p in expert_of(source).plan(observations)]

    assert [r["ade_3s"] for r in evaluate(Beside(), source)] == pytest.approx([0.0] * len(source), abs=1e-9)
    records = evaluate(Beside(), source, each=True)
    for record in records:
        assert record["ade_3s"] == pytest.approx(record["alternative"], abs=1e-9)
    assert [r["alternative"] for r in records] == [0, 1, 2] * len(source)


def test_scores_are_those_of_the_metric(source):
    (record, *_) = evaluate(ConstantVelocity(), source)
    sample = source[0]
    scores = openloop.evaluate(ConstantVelocity().plan([sample.observation]), [sample.truth])
    assert scores and all(record[s.name] == s.values[0] for s in scores if s.valid[0])
    assert record["ego_gap"] == pytest.approx(record["ade_3s"])


@pytest.mark.parametrize("kept_lines", [0, 1, 3, 17, 36])
def test_what_a_cut_file_holds_is_not_planned_again(source, tmp_path, kept_lines):
    """Also a keyframe whose alternatives were cut in the middle ends with all of them, once."""
    out = tmp_path / "records.jsonl"
    whole = evaluate(Noisy(), source, (0, 5), out, each=True)
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:kept_lines]) + (lines[kept_lines][:40] if kept_lines < len(lines) else ""))
    planner = Noisy()
    again = evaluate(planner, source, (0, 5), out, each=True)
    finished = kept_lines // 3
    assert len(planner.planned) == len(set(planner.planned)) == 12 - finished
    assert sorted(names(again)) == sorted(names(whole))
    assert {json.dumps(r) for r in again} == {json.dumps(r) for r in whole}
    silent = Noisy()
    assert sorted(names(evaluate(silent, source, (0, 5), out, each=True))) == sorted(names(whole))
    assert silent.planned == []


def test_records_of_other_planners_seeds_sources_and_weights_are_left_alone(source, tmp_path):
    out = tmp_path / "records.jsonl"
    evaluate(Noisy(), source, (0,), out, stamp="first weights", each=True)
    half = subset(source, source.keys[:2])
    assert {r["key"] for r in evaluate(Noisy(), half, (0,), out, stamp="first weights", each=True)} == set(half.keys)
    for change in ({"stamp": "other weights"}, {"stamp": "first weights", "seeds": (1,)}):
        planner = Noisy()
        made = evaluate(planner, half, each=True, **{"seeds": (0,), "out": out, **change})
        assert len(planner.planned) == 2 and len(made) == 6
    assert len(evaluate(ConstantVelocity(), half, (0,), out)) == 2


def test_the_planner_gets_observations_and_nothing_else(source):
    class Spy(ConstantVelocity):
        def plan(self, observations, seed=0):
            assert all(type(o).__name__ == "Observation" for o in observations)
            self.seen = list(observations)
            return super().plan(observations, seed)

    spy = Spy()
    evaluate(spy, source)
    assert len(spy.seen) == len(source)


def future_command(sample: Sample) -> Sample:
    command = Command(Maneuver.TURN_LEFT, CommandSource.FUTURE)
    return replace(sample, observation=replace(sample.observation, command=command))


def given_map(sample: Sample) -> Sample:
    assert sample.truth is not None
    return replace(sample, observation=replace(sample.observation, road_map=sample.truth.road_map))


def test_privileges_are_stamped_on_every_record(hand_store):
    source = WorldSource(hand_store)
    stamps = {
        "honest": evaluate(ConstantVelocity(), source),
        "expert": evaluate(expert_of(source), source),
        "future command": evaluate(ConstantVelocity(), Edited(source, future_command)),
        "map": evaluate(ConstantVelocity(), Edited(source, given_map)),
    }
    assert {name: {r["privileged"] for r in records} for name, records in stamps.items()} == {
        "honest": {False}, "expert": {True}, "future command": {True}, "map": {True},
    }  # fmt: skip
    assert all(len(records) == len(source) for records in stamps.values())
    assert all(r["ade_3s"] < 1e-9 for r in stamps["expert"])


def test_what_the_truth_does_not_hold_is_null(source):
    """The log ends after 1.2 s: the error at 1 s is known, those later are not."""

    def cut(sample: Sample) -> Sample:
        truth = sample.truth
        assert truth is not None
        valid = truth.future.valid & (truth.future.times_s < 1.25)
        return replace(sample, truth=replace(truth, future=replace(truth.future, valid=valid)))

    for record in evaluate(ConstantVelocity(), Edited(source, cut)):
        assert isinstance(record["l2_at_1s"], float)
        for name in ("l2_at_2s", "l2_at_3s", "l2_at_avg", "ade_3s", "ego_gap"):
            assert record[name] is None, name


def test_a_short_plan_is_refused_not_scored_as_far_as_it_goes(source):
    class Short(ConstantVelocity):
        def plan(self, observations, seed=0):
            return [Prediction(o.key, Trajectory(np.zeros((2, 3)), 0.5)) for o in observations]

    with pytest.raises(DataError, match=r"3 s|6"):
        evaluate(Short(), source)


def test_a_source_without_truth_is_refused_with_the_key(hand_store):
    source = WorldSource(hand_store, with_truth=False)
    with pytest.raises(DataError, match="train-0001-hand@20 has no Truth"):
        evaluate(ConstantVelocity(), source)
