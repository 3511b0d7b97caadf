"""The probe of the next visual state: who can be asked, and that each source is really used."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from eyesup.data.source import subset
from eyesup.data.world import WorldSource
from eyesup.diagnostics.next_source import SOURCES, probe
from eyesup.models.baselines.constant_velocity import ConstantVelocity
from eyesup.models.load import load_planner
from eyesup.types import DataError, Prediction, Trajectory

OFFSET_M = {"pred": 1.0, "oracle": 0.0, "shuffled": 3.0, "zeros": 7.0}


@dataclass
class Replaceable:
    """Misses the true path by a known distance for each source of its next state."""

    truth: dict
    source: str = "pred"
    asked: list = field(default_factory=list)
    privileged = False

    @property
    def name(self):
        return f"fake {self.source}"

    def with_next_source(self, next_source, source):
        self.asked.append(next_source)
        return Replaceable(self.truth, next_source)

    def plan(self, observations, seed=0):
        futures = [self.truth[o.key] for o in observations]
        shift = [0.0, OFFSET_M[self.source], 0.0]
        return [Prediction(o.key, Trajectory(f.poses + shift, f.dt_s)) for o, f in zip(observations, futures)]


def test_a_planner_without_a_next_state_is_refused(hand_store):
    with pytest.raises(DataError, match=r"'constant velocity \+ yaw rate' predicts no next state.*needs an IK-VLA"):
        probe(ConstantVelocity(), WorldSource(hand_store))


def test_each_source_is_planned_and_scored(hand_store):
    source = WorldSource(hand_store, with_map=False)
    planner = Replaceable({s.key: s.truth.future.resampled(0.5, 6) for s in source})
    rows = probe(planner, source).rows
    assert tuple(planner.asked) == tuple(rows) == SOURCES
    for name, row in rows.items():
        assert row["ADE [m]"].mean == pytest.approx(OFFSET_M[name])
        assert (row["ADE [m]"].n, row["ADE [m]"].groups) == (6, 2)


def test_a_checkpoint_answers_all_four(tiny_store, debug_checkpoint):
    source = WorldSource(tiny_store, with_map=False)
    rows = probe(load_planner(str(debug_checkpoint)), subset(source, source.keys[::3])).rows
    means = [row["L2 at 3 s [m]"].mean for row in rows.values()]
    assert len(set(means)) == len(SOURCES)  # the next state reaches the plan
