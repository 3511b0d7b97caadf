"""What every planner in the catalog must do, whatever it is. A new family is found by its catalog line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup import catalog
from eyesup.data.world import WorldSource
from eyesup.models.ik_vla.planner import IKVLAPlanner, build
from eyesup.models.ik_vla.presets import preset
from eyesup.models.ik_vla.processor import fit_normalizer
from eyesup.models.load import load_planner, shipped
from eyesup.models.protocol import Planner
from eyesup.types import DataError, Observation, Prediction, Sample
from eyesup.world.rigs import front3

WAYPOINTS, DT_S = 6, 0.5


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Six real keyframes of the world: two scenes, small images, question on half of them."""
    from eyesup.world.generate import GenerateConfig, generate

    root = tmp_path_factory.mktemp("contracts") / "store"
    scenarios = {"free_drive": 1.0, "lead_brakes": 1.0}
    generate(GenerateConfig(root, split="val", logs=2, scenarios=scenarios, duration_s=9.0, width_px=64, height_px=36))
    chosen = list(WorldSource(root))[:6]
    assert len(chosen) >= 4
    return [
        replace(s, observation=replace(s.observation, question="How many vehicles are visible?" if i % 2 else None))
        for i, s in enumerate(chosen)
    ]


def debug_ik_vla(samples: list[Sample]) -> Planner:
    model, processor = build(preset("debug"), seed=0)
    futures = [s.truth.future.resampled(DT_S, WAYPOINTS) for s in samples if s.truth]
    return IKVLAPlanner(model, processor.with_normalizer(fit_normalizer(futures)))


def debug_ego_mlp(samples: list[Sample]) -> Planner:
    from eyesup.models.baselines.ego_mlp import EgoMLP

    planner = EgoMLP()
    planner.fit(samples, seed=0, steps=3)
    return planner


DEBUG: dict[str, Callable[[list[Sample]], Planner]] = {"ik_vla": debug_ik_vla, "ego_mlp": debug_ego_mlp}


def test_every_family_of_the_catalog_has_a_debug_model():
    assert set(DEBUG) == set(catalog.FAMILIES)


@pytest.fixture(scope="session", params=[*catalog.FAMILIES, *catalog.RULES])
def planner(request: pytest.FixtureRequest, samples: list[Sample]) -> Planner:
    name = request.param
    return DEBUG[name](samples) if name in DEBUG else load_planner(name)


def observations(samples: list[Sample]) -> list[Observation]:
    return [sample.observation for sample in samples]


def poses(predictions: list[Prediction]) -> np.ndarray:
    return np.stack([prediction.trajectory.poses for prediction in predictions])


def test_it_is_a_planner(planner: Planner):
    assert isinstance(planner, Planner)
    assert planner.privileged is False


def test_it_plans_three_finite_seconds_for_each_observation(planner: Planner, samples: list[Sample]):
    predictions = planner.plan(observations(samples))
    assert [p.key for p in predictions] == [s.key for s in samples]
    assert poses(predictions).shape == (len(samples), WAYPOINTS, 3)
    assert np.isfinite(poses(predictions)).all()
    assert all(p.trajectory.dt_s == DT_S and p.trajectory.valid.all() for p in predictions)


def test_the_same_seed_gives_the_same_plan(planner: Planner, samples: list[Sample]):
    first, second = planner.plan(observations(samples), seed=3), planner.plan(observations(samples), seed=3)
    assert np.array_equal(poses(first), poses(second))


def test_a_batch_equals_its_singles_in_any_order(planner: Planner, samples: list[Sample]):
    batch = poses(planner.plan(observations(samples), seed=1))
    singles = [poses(planner.plan([observation], seed=1))[0] for observation in observations(samples)]
    backwards = poses(planner.plan(observations(samples)[::-1], seed=1))[::-1]
    # Matrix products of another batch size round differently in float32: 0.1 mm of metres-long plans.
    np.testing.assert_allclose(batch, singles, atol=1e-4)
    np.testing.assert_allclose(batch, backwards, atol=1e-4)


def test_no_observations_give_no_plans(planner: Planner):
    assert planner.plan([]) == []


def test_a_saved_family_plans_bit_for_bit_the_same_when_loaded_by_name(
    planner: Planner, samples: list[Sample], tmp_path: Path
):
    if not hasattr(planner, "save"):
        assert planner.name in {load_planner(name).name for name in catalog.RULES}  # rules need no folder
        return
    planner.save(tmp_path / "checkpoint")
    again = load_planner(str(tmp_path / "checkpoint"))
    assert np.array_equal(poses(planner.plan(observations(samples), 2)), poses(again.plan(observations(samples), 2)))


def test_nothing_unpickles():
    for folder in shipped().values():
        suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
        assert suffixes <= {".json", ".safetensors", ".txt", ".md"}, folder


def test_a_folder_without_a_checkpoint_is_refused_with_the_known_names(tmp_path: Path):
    with pytest.raises(DataError, match=r"no config\.json.*constant_velocity"):
        load_planner(str(tmp_path))


def test_a_checkpoint_of_an_unknown_family_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"family": "other"}')
    with pytest.raises(DataError, match=r"unknown family .*'other'.*ik_vla"):
        load_planner(str(tmp_path))


def test_a_damaged_config_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"fam')
    with pytest.raises(DataError, match="damaged"):
        load_planner(str(tmp_path))


def test_the_rig_of_the_world_is_the_rig_of_the_models(samples: list[Sample]):
    assert samples[0].observation.rig.names == front3().names
