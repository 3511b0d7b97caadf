from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from eyesup.data.world import WorldSource
from eyesup.models.ik_vla.planner import IKVLAPlanner
from eyesup.models.ik_vla.presets import preset
from eyesup.models.ik_vla.processor import IKVLAProcessor
from eyesup.models.load import load_planner
from eyesup.nn.vision.encoder import VisualEncoder
from eyesup.recipes import RECIPES, SUMMARIES, load_recipe
from eyesup.recipes.base import Inputs, run_recipe
from eyesup.recipes.encoder_tiny import f1, trained_image_rule
from eyesup.recipes.ik_vla import ik_vla_debug, ik_vla_tiny, token_encoder
from eyesup.recipes.world_parts import PreparedSamples, WorldFrames
from eyesup.training.grpo import RLConfig
from eyesup.training.metrics_log import read_metrics
from eyesup.types import DataError


@pytest.fixture
def inputs(front_store, tmp_path) -> Inputs:
    return Inputs(front_store, val=front_store, features=tmp_path / "features")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_resolves_and_says_what_it_is(name):
    config = load_recipe(name)
    assert config.name == name
    assert SUMMARIES.keys() == RECIPES.keys()
    module, function = RECIPES[name].split(":")
    doc = getattr(__import__(module, fromlist=["x"]), function).__doc__
    assert SUMMARIES[name].lower() == doc.splitlines()[0].rstrip(".").lower()
    json.dumps(config, default=lambda value: "an object" if hasattr(value, "__dict__") else pytest.fail(str(value)))


def test_unknown_recipe_lists_the_known():
    with pytest.raises(DataError, match="no recipe 'nope'; known: encoder_tiny, "):
        load_recipe("nope")


def test_ik_vla_trains_plans_and_resumes(inputs, tmp_path):
    result = run_recipe(ik_vla_debug(), inputs, tmp_path / "run", quiet=True)
    assert np.isfinite(result.metrics["val/ade_3s"])
    planner = load_planner(str(result.final))
    observation = WorldSource(inputs.data)[0].observation
    plan = planner.plan([observation])[0]
    assert len(plan.trajectory) == 6 and plan.trajectory.dt_s == 0.5
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["recipe"] == "ik_vla_debug" and record["next"].startswith(f"eyesup eval {inputs.val} --planners")
    assert record["config"]["train"]["steps"] == 8 and record["environment"]["packages"]["torch"]
    losses = [line for line in read_metrics(tmp_path / "run") if "loss/total" in line]
    assert {"loss/trajectory", "loss/next_state"} <= losses[-1].keys()
    checkpoint = load_planner(str(tmp_path / "run/checkpoints/step-000008"))
    np.testing.assert_array_equal(checkpoint.plan([observation])[0].trajectory.poses, plan.trajectory.poses)

    cut = tmp_path / "cut"  # as a run killed between steps 4 and 8 leaves it
    (cut / "checkpoints").mkdir(parents=True)
    (tmp_path / "run/checkpoints/step-000004").rename(cut / "checkpoints/step-000004")
    (cut / "run.json").write_text((tmp_path / "run/run.json").read_text())
    resumed = run_recipe(ik_vla_debug(), inputs, cut, resume=True, quiet=True)
    left, right = (load_file(folder / "model.safetensors") for folder in (result.final, resumed.final))
    assert all(torch.equal(left[name], right[name]) for name in left)
    with pytest.raises(DataError, match=r"cannot resume .*val_samples was 2, is 1"):
        run_recipe(replace(ik_vla_debug(), val_samples=1), inputs, cut, resume=True)


def test_cached_batches_equal_the_processors_own(inputs):
    """Tokens from the store and text padded from single samples: the batch that the processor makes of whole samples."""
    chosen = replace(ik_vla_debug(), preset=replace(ik_vla_debug().preset, processor=question_processor()))
    task = chosen.task(inputs, quiet=True)
    rows = [0, 4, 5]
    items = [task.source[row] for row in rows]
    batch = task.collate(items, [np.random.default_rng(0) for _ in rows])
    source = WorldSource(inputs.data)
    processor = IKVLAProcessor(replace(chosen.preset.processor, question_rate=0.0)).with_normalizer(
        task.source.processor.config.normalizer
    )
    whole = processor([source[row] for row in rows], training=True)
    for name in ("ego_vector", "trajectory", "trajectory_valid", "future_valid"):
        assert torch.equal(batch[name], whole[name]), name
    encode = token_encoder(task.model.encoder, processor, source.store.rig.names)
    for position, row in enumerate(rows):
        torch.testing.assert_close(
            batch["current_tokens"][position], encode(source[row].observation.images)[0], atol=2e-3, rtol=2e-3
        )
    direct = task.model.encoder(whole["images"])
    torch.testing.assert_close(batch["current_tokens"], direct, atol=2e-3, rtol=2e-3)  # float16 on disk
    with_tokens = task.source.processor(
        [source[row] for row in rows], training=True, features=task.collate.features,
        rngs=[np.random.default_rng([0, row, variant]) for row, variant in zip(rows, drawn(len(rows)))],
    )  # fmt: skip
    for name, value in with_tokens.items():
        assert torch.equal(batch[name], value) if isinstance(value, Tensor) else batch[name] == value, name


def question_processor():
    return replace(ik_vla_debug().preset.processor, question_rate=0.5)


def drawn(count: int) -> list[int]:
    """The variants that the collate of the test draws."""
    return [int(np.random.default_rng(0).integers(ik_vla_debug().text_variants)) for _ in range(count)]


def test_blind_variant_hides_the_present_and_keeps_the_targets(inputs):
    debug = ik_vla_debug()
    blind = replace(debug, preset=replace(debug.preset, processor=replace(debug.preset.processor, vision="none")))
    task = blind.task(inputs, quiet=True)
    batch = task.collate([task.source[0]], [np.random.default_rng(0)])
    assert batch["current_tokens"].abs().max() == 0
    assert batch["future_tokens"].abs().max() > 0
    assert (
        task.collate.features.horizons_s == debug.preset.processor.horizons_s == (1.0, 3.0)
    )  # no token that nobody reads


def test_world_frames_are_those_of_the_samples(hand_store):
    for twins in ("none", "only"):
        source = WorldSource(hand_store, twins=twins)
        frames = WorldFrames(source)
        for row in range(len(source)):
            sample = source[row]
            np.testing.assert_array_equal(frames.frame(row, 0), sample.observation.images[-1])
            for slot in range(3):
                known = frames.frame_ids(row)[1 + slot] is not None
                assert known == sample.truth.future_images_valid[slot]
                if known:
                    np.testing.assert_array_equal(frames.frame(row, 1 + slot), sample.truth.future_images[slot])


def test_encoder_run_feeds_the_next_one(inputs, tmp_path):
    encoder = run_recipe(load_recipe("encoder_debug"), inputs, tmp_path / "encoder", quiet=True)
    assert {"val/f1_lamp", "val/patch_accuracy", "val/total"} <= encoder.metrics.keys()
    assert trained_image_rule(encoder.final) == ik_vla_debug().preset.processor.image
    trained = VisualEncoder.load(encoder.final)
    run = replace(ik_vla_debug(), random_encoder=False)
    result = run_recipe(run, replace(inputs, encoder=encoder.final), tmp_path / "run", quiet=True)
    loaded = IKVLAPlanner.load(result.final).model.encoder.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in trained.state_dict().items())
    with pytest.raises(DataError, match=r"needs a trained visual encoder: give --encoder .*eyesup train encoder_tiny"):
        run.task(inputs, quiet=True)
    with pytest.raises(DataError, match=r"does not fit the recipe: patch side \[px\] 8, the recipe takes 16"):
        ik_vla_tiny().task(replace(inputs, encoder=encoder.final), quiet=True)


def test_texts_read_in_advance_are_those_of_their_rows(inputs):
    """The order of reading draws nothing: a row's text depends on its number alone."""
    source = WorldSource(inputs.data, images="none")
    processor = IKVLAProcessor(preset("debug").processor)
    ahead, lazy = (PreparedSamples(source, processor, seed=3, variants=2) for _ in range(2))
    ahead.read_all()
    for row in reversed(range(len(source))):
        assert ahead[row].key == lazy[row].key
        for a, b in zip(ahead[row].variants, lazy[row].variants, strict=True):
            assert all(torch.equal(a[name], b[name]) for name in a)


def test_ego_mlp_run(inputs, tmp_path):
    run = load_recipe("ego_mlp")
    run = replace(run, train=replace(run.train, steps=20, log_every=10, tensorboard=False))
    result = run_recipe(run, inputs, tmp_path / "run", quiet=True)
    assert load_planner(str(result.final)).plan([WorldSource(inputs.data)[0].observation])
    assert result.metrics["val/ade_3s"] >= 0 and read_metrics(tmp_path / "run")[-1]["step"] == 20
    with pytest.raises(DataError, match="already holds a run"):
        run_recipe(run, inputs, tmp_path / "run")


def test_f1_by_hand():
    assert f1(3.0, 1.0, 1.0) == 0.75
    assert f1(0.0, 0.0, 0.0) == 1.0


def test_reinforcement_goes_on_from_a_supervised_run_and_repeats(tiny_store, tmp_path):
    """On the simulated store: the reward needs its maps."""
    debug = ik_vla_debug()
    model, processor = debug.preset.model, debug.preset.processor
    plans_4s = replace(
        debug.preset,
        model=replace(model, decoder=replace(model.decoder, waypoints=8)),
        processor=replace(processor, waypoints=8),
    )
    supervised = replace(debug, preset=plans_4s)
    inputs = Inputs(tiny_store, features=tmp_path / "features")
    first = run_recipe(supervised, inputs, tmp_path / "supervised", quiet=True)
    groups = (replace(debug.train.groups[0], prefixes=("policy.decoder.",)),)
    train = replace(debug.train, steps=3, groups=groups, log_every=1, checkpoint_every=0, validate_every=0)
    rewarded = replace(supervised, name="grpo", train=train, rl=RLConfig(enabled=True, group=3))
    with pytest.raises(DataError, match="give --init"):
        run_recipe(rewarded, inputs, tmp_path / "without", quiet=True)
    started = replace(inputs, init=first.final)
    one = run_recipe(rewarded, started, tmp_path / "one", quiet=True)
    two = run_recipe(rewarded, started, tmp_path / "two", quiet=True)
    before, after, again = (load_file(run.final / "model.safetensors") for run in (first, one, two))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], again[name]) for name in after)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("decoder.") for name in changed)
    losses = [line for line in read_metrics(tmp_path / "one") if "loss/reward" in line]
    assert len(losses) == 3 and all(0 <= line["loss/reward"] <= 1 for line in losses)
    planner = load_planner(str(one.final))
    assert len(planner.plan([WorldSource(tiny_store)[0].observation])[0].trajectory) == 8
