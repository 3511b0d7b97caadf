"""NAVSIM's benchmark: plans once, scores as the scorer does, the table, failures beside it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup import catalog
from eyesup.data.navsim.cache import MetricCache, build_cache
from eyesup.data.navsim.source import NavsimSource, Roots
from eyesup.data.navsim.splits import find_split
from eyesup.evaluation.pdm import Plans, Scored, human_plans, make_plans, reference_plans, score_plans, table
from eyesup.evaluation.pdm_closed import PDMClosed
from eyesup.models.baselines.constant_velocity import ConstantVelocity
from eyesup.models.protocol import Planner
from eyesup.scoring.pdm import prepare, score
from eyesup.scoring.pdm.aggregate import write_two_stage_csv
from eyesup.scoring.pdm.score import reference_poses
from eyesup.scoring.pdm.version import V2
from eyesup.types import DataError, Estimate, Observation, Prediction, Trajectory

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuplan"
DATA = GOLDEN / "minimal_navsim"


@pytest.fixture(scope="module")
def source() -> NavsimSource:
    return NavsimSource(Roots(DATA, GOLDEN / "minimal_maps"), find_split("own_world", [DATA / "config"]))


@pytest.fixture(scope="module")
def cache(source: NavsimSource, tmp_path_factory: pytest.TempPathFactory) -> MetricCache:
    root = tmp_path_factory.mktemp("cache")
    build_cache(source, root)
    return MetricCache(root)


class Counting(ConstantVelocity):
    """Constant velocity that counts what it was asked, and breaks where told to."""

    def __init__(self, breaks_at: str = "", waypoints: int = 8) -> None:
        super().__init__(waypoints)
        self.asked: list[str] = []
        self.breaks_at = breaks_at

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        self.asked += [o.key for o in observations]
        if any(o.key == self.breaks_at for o in observations):
            raise DataError(f"scene {self.breaks_at}: out of ideas")
        return super().plan(observations, seed)


def test_plans_are_made_once(source: NavsimSource, tmp_path: Path):
    first, second = Counting(), Counting()
    made = make_plans(first, source, out=tmp_path / "plans.jsonl", batch_size=2)
    again = make_plans(second, source, out=tmp_path / "plans.jsonl", batch_size=2)
    assert first.asked == list(source.keys) and second.asked == []
    assert all(np.array_equal(made.poses[key], again.poses[key]) for key in source.keys)
    make_plans(second, source, out=tmp_path / "plans.jsonl", stamp="other weights")
    assert second.asked == list(source.keys)


def test_scores_are_those_of_the_scorer(source: NavsimSource, cache: MetricCache):
    plans = make_plans(Counting(), source)
    for version in ("v1", "v2"):
        scored = score_plans(plans, source, cache, version)
        assert [record["key"] for record in scored.records] == list(source.keys) and not scored.failures
        before = None
        for key, record in zip(source.keys, scored.records):
            plan = plans.poses[key][None, None]
            expected = score(plan, [prepare(source.inputs(key))], version, before)
            assert record["score"] == expected.score[0, 0]
            for name, values in expected.filtered.items():
                known = expected.validity(name)[0, 0]
                assert record[name] == (values[0, 0] if known else None)
            before = plan


def test_extended_comfort_needs_the_frame_before(source: NavsimSource, cache: MetricCache):
    scored = score_plans(make_plans(Counting(), source), source, cache, "v2")
    comfort = [record["two_frame_extended_comfort"] for record in scored.records]
    assert comfort[0] is None and comfort[1:] == [1.0, 1.0]


def test_human_and_reference(source: NavsimSource, cache: MetricCache):
    human = score_plans(human_plans(source), source, cache, "v2")
    assert human.plans.privileged
    assert np.allclose(human.plans.poses[source.keys[0]][-1], [32.0, 0.0, 0.0])
    for version in ("v1", "v2"):
        reference = score_plans(reference_plans(cache, source.keys, version), source, cache, version)
        assert all(plan.shape == (40, 3) for plan in reference.plans.poses.values())
        assert all(record["ego_progress"] == 1.0 for record in reference.records)


def test_pdm_closed_is_a_planner_of_the_catalogue(source: NavsimSource, cache: MetricCache):
    build = catalog.lookup(catalog.PRIVILEGED, "pdm_closed", "planner")
    assert build is PDMClosed
    fresh = {key: prepare(source.inputs(key)) for key in source.keys}
    planner = PDMClosed(fresh.__getitem__, "v2")
    assert isinstance(planner, Planner) and planner.privileged
    plans = planner.plan([source.observation(source.window(key)) for key in source.keys])
    for key, plan in zip(source.keys, plans):
        assert (plan.key, plan.trajectory.dt_s, len(plan.trajectory)) == (key, 0.1, 40)
        np.testing.assert_array_equal(plan.trajectory.poses, reference_poses(fresh[key], V2)[1:])
        np.testing.assert_allclose(reference_plans(cache, [key], "v2").poses[key], plan.trajectory.poses, atol=1e-6)


def test_the_table(source: NavsimSource, cache: MetricCache):
    scored = [
        score_plans(plans, source, cache, "v2") for plans in (make_plans(Counting(), source), human_plans(source))
    ]
    finding = table(scored, "v2")
    assert list(finding.rows) == ["constant velocity + yaw rate", "human *"]
    row = finding.rows["constant velocity + yaw rate"]
    assert list(row) == ["NC", "DAC", "DDC", "TLC", "EP", "TTC", "LK", "HC", "EC", "EPDMS", "N", "failed"]
    epdms, comfort = row["EPDMS"], row["EC"]
    assert isinstance(epdms, Estimate) and isinstance(comfort, Estimate)
    assert epdms.mean == pytest.approx(100 * np.mean([record["score"] for record in scored[0].records]))
    assert (epdms.n, comfort.n, row["N"], row["failed"]) == (3, 2, 3, 0)
    assert list(table([score_plans(human_plans(source), source, cache, "v1")], "v1").rows["human *"])[:6] == [
        "NC", "DAC", "TTC", "C", "EP", "PDMS",
    ]  # fmt: skip


def test_short_plans_are_named(source: NavsimSource):
    with pytest.raises(DataError, match=r"scene ed72.*plans 3 s \(6 x 0\.5 s\); NAVSIM needs 4 s: train it with 8"):
        make_plans(ConstantVelocity(), source)


def test_plans_with_gaps_are_refused(source: NavsimSource):
    class Gappy(ConstantVelocity):
        def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
            valid = np.arange(8) < 5
            return [Prediction(o.key, Trajectory(np.zeros((8, 3)), 0.5, valid)) for o in observations]

    with pytest.raises(DataError, match="left 3 of 8 waypoints out"):
        make_plans(Gappy(), source)


def test_failures_stop_or_are_counted_beside_the_score(source: NavsimSource, cache: MetricCache):
    bad = source.keys[1]
    with pytest.raises(DataError, match="out of ideas"):
        make_plans(Counting(bad), source)
    plans = make_plans(Counting(bad), source, keep_going=True)
    assert set(plans.poses) == {source.keys[0], source.keys[2]}
    with pytest.raises(DataError, match="out of ideas"):
        score_plans(plans, source, cache, "v2")
    scored = score_plans(plans, source, cache, "v2", keep_going=True)
    assert scored.failures == {bad: f"scene {bad}: out of ideas"}
    row = table([scored], "v2").rows["constant velocity + yaw rate"]
    assert (row["N"], row["failed"]) == (2, 1)


def test_two_stages_are_combined_as_officially(source: NavsimSource, cache: MetricCache, tmp_path: Path):
    """Frames of one log stand in for synthetic ones: first stage (now, before), second stage one pair of the same."""
    before, now, after = source.keys
    staged = NavsimSource(source.roots, replace(source.split, two_stage=((now, before, ((after, now),)),)))
    plans = make_plans(Counting(), staged)
    scored = score_plans(plans, staged, cache, "v2")
    assert scored.stages is not None
    by_key = scored.stages.scores
    # One second-stage scene per frame: its weight is 1, so the products are plain.
    expected = 0.5 * (by_key[now] * by_key[after] + by_key[before] * by_key[now])
    assert scored.stages.combined["score"] == pytest.approx(expected, abs=1e-12)
    assert table([scored], "v2").rows["constant velocity + yaw rate"]["EPDMS"] == pytest.approx(100 * expected)
    _check_two_stage_table(scored, tmp_path / "table.csv")


def _check_two_stage_table(scored: Scored, path: Path):
    """The official columns: every sub-score once per stage; a frame has numbers under its own stage."""
    assert scored.frames is not None and scored.stages is not None
    write_two_stage_csv(path, scored.frames, scored.stages, scored.version)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    both = [f"{name}_{stage}" for name in V2.subscores for stage in ("stage_one", "stage_two")]
    assert list(rows[0]) == ["", "token", "valid", *both, "score"]
    labels = [f"extended_pdm_score_{label}" for label in ("stage_one", "stage_two", "combined")]
    assert [row["token"] for row in rows] == [*scored.frames.tokens, *labels]
    for row in rows[:-3]:
        mine, other = (
            ("stage_two", "stage_one") if row["token"] in scored.stages.weights else ("stage_one", "stage_two")
        )
        i = scored.frames.tokens.index(row["token"])
        for name in V2.subscores:
            assert float(row[f"{name}_{mine}"]) == scored.frames.values[name][i] and row[f"{name}_{other}"] == ""
        assert float(row["score"]) == scored.stages.scores[row["token"]]
    assert float(rows[-1]["score"]) == scored.stages.combined["score"]


def test_a_group_without_all_its_frames_does_not_count(source: NavsimSource, cache: MetricCache):
    before, now, after = source.keys
    staged = NavsimSource(source.roots, replace(source.split, two_stage=((now, before, ((after, now),)),)))
    plans = make_plans(Counting(after), staged, keep_going=True)
    scored = score_plans(plans, staged, cache, "v2", keep_going=True)
    assert scored.stages is None
    assert set(scored.failures) == {after, f"group {now}"}


def test_an_empty_set_of_plans_scores_nothing(source: NavsimSource, cache: MetricCache):
    scored = score_plans(Plans("nobody", {}), source, cache, "v1", keep_going=True)
    assert not scored.records and len(scored.failures) == 3
