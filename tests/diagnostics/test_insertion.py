"""The insertion probe, tried on planners whose answer is known: one that cannot see, and one that recognises every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup.data.world import WorldSource
from eyesup.diagnostics.insertion import Case, InsertionSettings, cases, end_point, expected_end_point, probe, shifts
from eyesup.diagnostics.vision_swap import blanked
from eyesup.models.baselines.constant_velocity import ConstantVelocity
from eyesup.types import DataError, Estimate, Observation, Prediction, Trajectory

SETTINGS = InsertionSettings(distances_m=(8.0, 14.0), per_scene=1)
WAYPOINTS, DT_S = 6, 0.5


class Oracle:
    """Knows every rendered version by its pixels and plans what the expert drove in it; noise seeds jitter it, paired by key."""

    name, privileged = "oracle", True

    def __init__(self, versions: Sequence[Case], jitter_m: float = 0.0) -> None:
        self.futures: dict[bytes, Trajectory] = {}
        self.jitter_m = jitter_m
        for case in versions:
            for seen, future in (
                (case.observation, case.expert), (case.on_path, case.expert_on), (case.off_path, case.expert_off)
            ):  # fmt: skip
                self.futures[seen.images.tobytes()] = future.resampled(DT_S, WAYPOINTS)

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        return [self._plan(observation, seed) for observation in observations]

    def _plan(self, observation: Observation, seed: int) -> Prediction:
        future = self.futures[observation.images.tobytes()]
        noise = np.random.default_rng([seed, *observation.key.encode()]).normal(scale=self.jitter_m)
        return Prediction(observation.key, replace(future, poses=future.poses + [noise, 0.0, 0.0]))


@pytest.fixture(scope="session")
def source(tiny_store: Path) -> WorldSource:
    return WorldSource(tiny_store, with_map=False)


@pytest.fixture(scope="session")
def versions(source: WorldSource) -> list[Case]:
    found = list(cases(source, SETTINGS))
    assert len(found) >= 2 and len({case.scene_key for case in found}) == 2
    return found


def number(value: object) -> float:
    assert isinstance(value, Estimate)
    return value.mean


def test_only_the_picture_is_edited(versions):
    for case in versions:
        assert case.on_path.images.shape == case.observation.images.shape
        for edited in (case.on_path, case.off_path):
            assert (edited.images != case.observation.images).any()
            assert repr(replace(edited, images=case.observation.images)) == repr(case.observation)  # key, text, rig
        assert (case.on_path.images != case.off_path.images).any()


def test_the_expert_stops_for_the_car_on_its_path_and_ignores_the_one_beside_it(versions):
    for case in versions:
        front_m = 1.461 + 5.176 / 2  # of the ego, from its rear axle
        assert end_point(case.expert_on) < min(end_point(case.expert) - 1.0, front_m + case.distance_m)
        assert end_point(case.expert_off) == end_point(case.expert)


def test_a_blind_planner_moves_by_exactly_nothing(source, versions):
    on, off = shifts(ConstantVelocity(), versions, seed=0)
    assert (on == 0).all() and (off == 0).all()
    finding = probe(ConstantVelocity(), source, settings=SETTINGS, prepared=versions)
    for row in finding.rows.values():
        for column, value in row.items():
            if column.startswith("error"):  # its plan runs through the car that the expert stops for
                assert number(value) > 1.0
            elif not column.startswith("expert"):
                assert (number(value), value.low, value.high) == (0.0, 0.0, 0.0), column


def test_shut_eyes_make_any_planner_blind(versions):
    oracle = Oracle(versions)
    grey = np.full_like(versions[0].observation.images, 128)
    oracle.futures[grey.tobytes()] = versions[0].expert.resampled(DT_S, WAYPOINTS)
    on, off = shifts(blanked(oracle), versions, seed=0)
    assert (on == 0).all() and (off == 0).all()


def test_an_oracle_moves_exactly_as_the_expert_does(source, versions):
    finding = probe(Oracle(versions), source, settings=SETTINGS, prepared=versions)
    assert finding.rows
    for row in finding.rows.values():
        assert number(row["on path [m]"]) == pytest.approx(number(row["expert on path [m]"]), abs=1e-9)
        assert number(row["on path [m]"]) < -1.0
        assert number(row["off path [m]"]) == number(row["expert off path [m]"]) == 0.0
        assert number(row["on - off [m]"]) == pytest.approx(number(row["on path [m]"]))
        assert number(row["error on path [m]"]) == pytest.approx(0.0, abs=1e-9)
        assert number(row["shorter by > 0.5 m on path [%]"]) == 100.0
        assert number(row["shorter by > 0.5 m off path [%]"]) == 0.0


def test_noise_is_paired_so_it_cancels(source, versions):
    """Plans jitter by metres from seed to seed, the shifts do not."""
    noisy = Oracle(versions, jitter_m=5.0)
    first, second = (noisy.plan([versions[0].observation], seed)[0] for seed in (0, 1))
    assert abs(end_point(first.trajectory) - end_point(second.trajectory)) > 0.1
    quiet = probe(Oracle(versions), source, settings=SETTINGS, prepared=versions)
    loud = probe(noisy, source, seeds=(0, 1, 2), settings=SETTINGS, prepared=versions)
    for column in ("on path [m]", "off path [m]"):
        found, wanted = (number(f.rows["all distances"][column]) for f in (loud, quiet))
        assert found == pytest.approx(wanted, abs=1e-9)


def test_alternatives_are_averaged():
    poses = np.zeros((2, WAYPOINTS, 3))
    poses[:, -1, 0] = 10.0, 14.0
    plan = Prediction("k@1", Trajectory(poses[0], DT_S), samples=poses)
    assert expected_end_point(plan) == 12.0
    assert expected_end_point(replace(plan, samples=None)) == 10.0


def test_every_row_carries_its_n(source, versions):
    rows = probe(ConstantVelocity(), source, settings=SETTINGS, prepared=versions).rows
    assert list(rows) == ["8 m ahead", "14 m ahead", "all distances"]
    counts = {label: {value.n for value in row.values()} for label, row in rows.items()}
    assert counts["all distances"] == {len(versions)}
    for distance in SETTINGS.distances_m:
        assert counts[f"{distance:g} m ahead"] == {sum(case.distance_m == distance for case in versions)}
    assert {value.groups for value in rows["all distances"].values()} == {2}


def test_a_car_that_no_camera_shows_is_no_case(source, monkeypatch):
    """A lead vehicle may hide the obstacle altogether; no planner can be blamed for not seeing it."""
    from eyesup.diagnostics import insertion

    class Fog(insertion.Renderer):
        def images(self, step, agents=None, signals=None):
            width, height = self.rig.size_px
            return np.zeros((len(self.rig), height, width, 3), np.uint8)

    monkeypatch.setattr(insertion, "Renderer", Fog)
    assert list(cases(source, SETTINGS)) == []


def test_nothing_to_shorten_is_an_error_that_says_what_is_needed(source):
    with pytest.raises(DataError, match=r"no keyframe of world:store fits; it needs an ego at 99 m/s"):
        probe(ConstantVelocity(), source, settings=replace(SETTINGS, min_speed_mps=99.0))
