"""IK-VLA: the hard rule, gradients, determinism, persistence. All on the ``debug`` preset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eyesup.models.ik_vla.config import DecoderConfig, IKVLAConfig, NextStateConfig, from_mapping
from eyesup.models.ik_vla.model import IKVLA
from eyesup.models.ik_vla.planner import IKVLAPlanner, build, headline
from eyesup.models.ik_vla.presets import IKVLAPreset, preset
from eyesup.models.ik_vla.processor import IKVLAProcessor
from eyesup.models.protocol import Planner
from eyesup.nn.diffusion.sampling import row_generators
from eyesup.nn.vision.images import ImageRule
from eyesup.types import (
    QA,
    Agents,
    Camera,
    CameraRig,
    Command,
    DataError,
    EgoStatus,
    Maneuver,
    Observation,
    Sample,
    Trajectory,
    Truth,
)

WIDTH_PX, HEIGHT_PX = 32, 16


def make_rig() -> CameraRig:
    intrinsics = np.array([[16.0, 0, 16], [0, 16, 8], [0, 0, 1]])
    ego_from_cam = np.eye(4)
    ego_from_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    names = ("front_left", "front", "front_right")
    return CameraRig(tuple(Camera(name, intrinsics, ego_from_cam, WIDTH_PX, HEIGHT_PX) for name in names))


def make_sample(seed: int, question: str | None = None, speed: float | None = None) -> Sample:
    """Noise for images, a straight drive at a random speed."""
    rng = np.random.default_rng([7, seed])
    speed = float(rng.uniform(2, 12)) if speed is None else speed
    images = rng.integers(0, 255, (1, 3, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    past = np.stack([-speed * 0.5 * np.arange(1, 5), np.zeros(4), np.zeros(4)], axis=1)
    ahead = np.stack([speed * 0.5 * np.arange(1, 11), 0.02 * np.arange(1, 11) ** 2, 0.01 * np.arange(1, 11)], axis=1)
    observation = Observation(
        key=f"sample-{seed}", images=images, image_times_s=np.zeros(1), rig=make_rig(), ego=EgoStatus((speed, 0.0)),
        history=Trajectory(past, -0.5), command=Command(Maneuver.KEEP_FORWARD), question=question,
    )  # fmt: skip
    truth = Truth(
        future=Trajectory(ahead, 0.5), agents=Agents.empty(11),
        future_images=rng.integers(0, 255, (2, 3, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8),
        future_image_times_s=np.array([1.0, 3.0]), qa=(QA("how many cars?", "two"),),
    )  # fmt: skip
    return Sample(observation, truth)


def variant(decoder: dict | None = None, next_state: dict | None = None) -> IKVLAPreset:
    """The debug preset with some fields of its parts replaced."""
    base = preset("debug")
    model = replace(
        base.model,
        decoder=replace(base.model.decoder, **(decoder or {})),
        next_state=replace(base.model.next_state, **(next_state or {})),
    )
    return replace(base, model=model)


@pytest.fixture(scope="module")
def parts() -> tuple[IKVLA, IKVLAProcessor]:
    return build(preset("debug"))


@pytest.fixture(scope="module")
def planner(parts) -> IKVLAPlanner:
    return IKVLAPlanner(*parts, num_samples=3, max_answer_tokens=4)


def noise(batch: dict, samples: int = 1) -> list[torch.Generator]:
    return row_generators(0, batch["keys"], samples)


def mean_losses(outputs) -> dict[str, torch.Tensor]:
    """The two regression losses without their masks (everything is valid here)."""
    return {
        "next_state": (outputs.next_state - outputs.next_target).square().mean(),
        "trajectory": (outputs.decoder.prediction - outputs.decoder.target).square().mean(),
    }


# -- the rule of the IK network


def test_plan_is_bit_identical_under_any_ego_text_and_history_when_visual_tokens_are_held(parts) -> None:
    """The rule of the IK network: the trajectory may depend on words through the two visual tensors alone."""
    model, processor = parts
    batch = processor([make_sample(i) for i in range(2)], training=True)
    tokens = model.current_tokens(batch)
    held = model.read(batch, tokens)
    changed = dict(batch)
    changed["ego_vector"] = batch["ego_vector"] + 5.0
    changed["input_ids"] = torch.where(
        batch["scene_mask"] | batch["ego_mask"] | batch["next_mask"],
        batch["input_ids"],
        (batch["input_ids"] + 11) % 300,
    )
    other = model.read(changed, tokens)
    assert not torch.equal(other.hidden, held.hidden)
    mixed = replace(other, next_state=held.next_state)
    plans = [model.decode(b, tokens, r, noise(batch, 2), 2) for b, r in ((batch, held), (changed, mixed))]
    assert torch.equal(*plans)


def test_hidden_mlp_does_read_the_words() -> None:
    """The ablation without an IK network is what the rule guards against."""
    model, processor = build(variant({"kind": "llm_mlp"}))
    batch = processor([make_sample(0)], training=True)
    tokens = model.current_tokens(batch)
    held = model.read(batch, tokens)
    other = model.read(batch | {"ego_vector": batch["ego_vector"] + 5.0}, tokens)
    mixed = replace(other, next_state=held.next_state)
    assert not torch.equal(
        model.decode(batch, tokens, held, noise(batch)), model.decode(batch, tokens, mixed, noise(batch))
    )


# -- training


def test_trajectory_loss_teaches_the_language_model_and_the_projector(parts) -> None:
    model, processor = parts
    outputs = model(processor([make_sample(0)], training=True), torch.Generator().manual_seed(0))
    model.zero_grad()
    mean_losses(outputs)["trajectory"].backward()
    for name in ("language.causal_lm.model.layers.0", "projector.0", "ego_encoder.0", "placeholder", "decoder.network"):
        grads = [p.grad for n, p in model.named_parameters() if n.startswith(name)]
        assert grads and all(g is not None and torch.isfinite(g).all() for g in grads), name
        assert sum(float(g.abs().sum()) for g in grads) > 0, name
    assert all(p.grad is None for p in model.encoder.parameters())
    model.zero_grad()


def test_next_state_target_carries_no_gradient(parts) -> None:
    model, processor = parts
    outputs = model(processor([make_sample(0)], training=True))
    assert outputs.next_target is not None and not outputs.next_target.requires_grad
    assert outputs.next_state.requires_grad


def test_next_target_is_the_normalised_projection_of_the_true_future(parts) -> None:
    model, processor = parts
    sample = make_sample(0)
    batch = processor([sample], training=True)
    outputs = model(batch)
    tokens = model.encoder(batch["future_images"][:, 1])
    wanted = model.projector(tokens)
    wanted = (wanted - wanted.mean(-1, keepdim=True)) / (wanted.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(outputs.next_target[:, 1], wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("target", ["current", "none"])
def test_next_state_ablations(target: str) -> None:
    model, processor = build(variant(next_state={"target": target}))
    batch = processor([make_sample(0)], training=True)
    outputs = model(batch)
    if target == "none":
        assert outputs.next_target is None
        return
    wanted = model.target_norm(model.projector(model.current_tokens(batch)))
    torch.testing.assert_close(outputs.next_target, wanted[:, None].expand_as(outputs.next_target))
    assert outputs.next_valid.all()


def test_averaged_target_projector_follows_slowly_and_only_in_training() -> None:
    model, processor = build(variant(next_state={"ema": 0.9}))
    batch = processor([make_sample(0)], training=True)
    start = model.projector[0].weight.detach().clone()
    with torch.no_grad():
        model.projector[0].weight += 1.0
    model.eval()(batch)
    torch.testing.assert_close(model.target_projector[0].weight, start)
    model.train()(batch)
    torch.testing.assert_close(model.target_projector[0].weight, start + 0.1)
    assert not any(p.requires_grad for p in model.target_projector.parameters())


def test_logits_exist_at_answer_positions_only(parts) -> None:
    model, processor = parts
    asking = [make_sample(0, "how many cars?"), make_sample(1)]
    batch = processor(asking, training=True)
    outputs = model(batch)
    rows, columns = (batch["labels"] != -100).nonzero(as_tuple=True)
    assert len(rows) > 0 and (rows == 0).all()
    everything = model.language(
        model.embed(batch, model.current_tokens(batch)), batch["attention_mask"], logits=True
    ).logits
    torch.testing.assert_close(outputs.answer_logits, everything[rows, columns - 1], atol=1e-5, rtol=1e-5)
    assert torch.equal(outputs.answer_targets, batch["input_ids"][rows, columns])


def test_token_statistics_standardise_the_training_tokens(parts) -> None:
    model, _ = build(preset("debug"))
    tokens = torch.randn(7, 6, model.encoder.width, generator=torch.Generator().manual_seed(0)) * 30 + 4
    tokens[..., 0] = 2.0  # a dead channel
    model.fit_token_stats([tokens[:3], tokens[3:]])
    found = model.standardize(tokens).flatten(0, 1)
    torch.testing.assert_close(found.mean(0), torch.zeros(found.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 1:].std(0, correction=0), torch.ones(found.shape[1] - 1), atol=1e-3, rtol=0)
    assert found[:, 0].abs().max() < 1e-2


@pytest.mark.parametrize(
    "kind,mask",
    [
        ("ik_diffusion", "causal"),
        ("ik_diffusion", "bidirectional"),
        ("ik_attnpool_mlp", "causal"),
        ("llm_mlp", "causal"),
    ],
)
def test_overfits_one_sample(kind: str, mask: str) -> None:
    model, processor = build(variant({"kind": kind}, {"readout_mask": mask}))
    sample = make_sample(0, speed=8.0)
    one = processor([sample], training=True)
    rows = 4 if kind == "ik_diffusion" else 1  # noise levels per step
    batch = {k: v.repeat_interleave(rows, 0) if isinstance(v, torch.Tensor) else v * rows for k, v in one.items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        losses = mean_losses(model(batch, generator))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    [found] = IKVLAPlanner(model, processor).plan([sample.observation])
    wanted = processor.waypoints(sample.truth.future)
    assert np.abs(found.trajectory.xy - wanted.xy).mean() < 1.0  # metres, on a 24 m path
    assert losses["next_state"] < 0.5  # 1.0 is the variance of the target


@pytest.mark.parametrize("mask", ["causal", "bidirectional"])
@pytest.mark.parametrize("weights,autocast", [("float32", True), ("bfloat16", False)])
def test_bfloat16_trains_with_a_float32_decoder(mask: str, weights: str, autocast: bool) -> None:
    chosen = variant(next_state={"readout_mask": mask, "head": "linear"})
    language = replace(chosen.model.language, dtype=weights)
    model, processor = build(replace(chosen, model=replace(chosen.model, language=language)))
    batch = processor([make_sample(0, "how many cars?"), make_sample(1)], training=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        outputs = model(batch)
    assert outputs.decoder.prediction.dtype == torch.float32
    losses = mean_losses(outputs)
    (losses["next_state"] + losses["trajectory"] + outputs.answer_logits.float().logsumexp(-1).mean()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# -- planning


def test_is_a_planner_with_a_plan_of_the_right_shape(planner) -> None:
    assert isinstance(planner, Planner) and not planner.privileged
    [found] = planner.plan([make_sample(0).observation])
    assert found.trajectory.poses.shape == (6, 3) and found.trajectory.dt_s == 0.5
    assert found.samples is not None and found.samples.shape == (3, 6, 3)
    assert found.answer is None
    assert set(found.stage_s) == {"process", "encode", "prefill", "ik", "answer"}
    assert planner.plan([]) == []


def test_batch_equals_singles(planner) -> None:
    """Up to float32 arithmetic in another order: 1e-3 m."""
    observations = [make_sample(i, "how many cars?" if i == 1 else None).observation for i in range(3)]
    together = planner.plan(observations, seed=4)
    for observation, batched in zip(observations, together):
        [alone] = planner.plan([observation], seed=4)
        assert alone.key == batched.key and alone.answer == batched.answer
        np.testing.assert_allclose(batched.samples, alone.samples, atol=1e-3)
    assert together[1].answer is not None and together[0].answer is None


def test_same_seed_same_bytes_and_another_seed_another_plan(planner) -> None:
    observations = [make_sample(0).observation]
    first, again, other = (planner.plan(observations, seed)[0].samples for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_alternative_zero_does_not_depend_on_their_number(parts) -> None:
    observation = make_sample(0).observation
    [one] = IKVLAPlanner(*parts, num_samples=1).plan([observation])
    [four] = IKVLAPlanner(*parts, num_samples=4).plan([observation])
    np.testing.assert_allclose(one.trajectory.poses, four.samples[0], atol=1e-3)


def test_headline_is_the_first_or_the_medoid() -> None:
    poses = np.zeros((4, 2, 3))
    poses[:, :, 0] = np.array([9.0, 1.0, 2.0, 3.0])[:, None]  # mean distances 7, 4, 3.33, 3.33: the first least wins
    assert headline(poses, "first") == 0
    assert headline(poses, "medoid") == 2


def test_future_tokens_do_not_reach_a_plan_unless_it_is_the_oracle(parts) -> None:
    model, processor = parts
    model.eval()
    batch = processor([make_sample(i) for i in range(2)], training=True)
    tampered = batch | {"future_images": batch["future_images"] + 1.0, "trajectory": batch["trajectory"] + 1.0}
    for source in ("pred", "shuffled", "zeros"):
        plans = [model.sample(b, noise(batch), source=source) for b in (batch, tampered)]
        assert torch.equal(*plans), source
    oracle = [model.sample(b, noise(batch), source="oracle") for b in (batch, tampered)]
    assert not torch.equal(*oracle)


def test_planner_never_hands_a_truth_to_its_processor(parts) -> None:
    model, processor = parts
    seen = []

    class Spy(IKVLAProcessor):
        def __call__(self, samples, *args, **kwargs):
            seen.append((list(samples), args, kwargs))
            return super().__call__(samples, *args, **kwargs)

    IKVLAPlanner(model, Spy(processor.config, processor.tokenizer)).plan([make_sample(0).observation])
    [(samples, args, kwargs)] = seen
    assert all(type(s) is Observation for s in samples) and args == () and kwargs == {"training": False}


class Source(list):
    """Samples as a source of data gives them."""

    @property
    def keys(self) -> list[str]:
        return [sample.key for sample in self]


def test_next_source_diagnostics(parts) -> None:
    model, processor = parts
    source = Source(make_sample(i) for i in range(4))
    observations = [sample.observation for sample in source]
    planner = IKVLAPlanner(model, processor)
    plans = {}
    for name in ("pred", "oracle", "shuffled", "zeros"):
        other = planner.with_next_source(name, source)
        assert other.privileged == (name == "oracle")
        plans[name] = np.stack([p.trajectory.poses for p in other.plan(observations)])
        alone = [other.plan([o])[0].trajectory.poses for o in observations]
        np.testing.assert_allclose(alone, plans[name], atol=1e-3)
    np.testing.assert_array_equal(plans["pred"], [p.trajectory.poses for p in planner.plan(observations)])
    batch = processor(source, training=True)
    direct = processor.denormalize(model.sample(batch, noise(batch), source="oracle"))[:, 0]
    np.testing.assert_allclose(plans["oracle"], direct, atol=1e-3)
    tokens = model.current_tokens(batch)
    readout = model.read(batch, tokens)
    swapped = replace(readout, next_state=readout.next_state[[2, 3, 0, 1]])
    direct = processor.denormalize(model.decode(batch, tokens, swapped, noise(batch)))[:, 0]
    np.testing.assert_allclose(plans["shuffled"], direct, atol=1e-3)
    for name in ("oracle", "shuffled", "zeros"):
        assert not np.allclose(plans[name], plans["pred"], atol=1e-4), name


def test_next_source_errors_name_the_cause(parts) -> None:
    model, processor = parts
    planner = IKVLAPlanner(model, processor)
    with pytest.raises(DataError, match="reference of at least 2 samples"):
        planner.with_next_source("shuffled", Source([make_sample(0)]))
    with pytest.raises(DataError, match="has no sample-5"):
        planner.with_next_source("shuffled", Source([make_sample(0), make_sample(1)])).plan(
            [make_sample(5).observation]
        )
    batch = processor([make_sample(0)])
    with pytest.raises(DataError, match="another sample in the batch"):
        model.sample(batch, noise(batch), source="shuffled")
    with pytest.raises(DataError, match="'oracle' needs future tokens"):
        model.sample(batch, noise(batch), source="oracle")


def test_a_plan_written_as_text_is_learnt_and_read_back() -> None:
    chosen = variant({"kind": "llm_text"}, {"target": "none"})
    model, processor = build(replace(chosen, processor=replace(chosen.processor, plan_as_text=True)))
    assert model.decoder is None
    sample = make_sample(0, speed=8.0)
    batch = processor([sample], training=True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    for _ in range(110):
        outputs = model(batch)
        assert outputs.decoder is None and outputs.text_is_plan
        loss = torch.nn.functional.cross_entropy(outputs.answer_logits, outputs.answer_targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    [found] = IKVLAPlanner(model, processor).plan([sample.observation])
    np.testing.assert_allclose(found.trajectory.xy, processor.waypoints(sample.truth.future).xy, atol=0.006)
    assert found.extras["missing_waypoints"] == 0 and found.answer is None


# -- the paper's parts, with small random weights in place of the gated ones


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> tuple[str, str]:
    """Folders as transformers writes them: a DINOv3 encoder, a Qwen2 language model with its tokeniser."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel, Qwen2Config, Qwen2ForCausalLM

    vision, language = (tmp_path_factory.mktemp(name) for name in ("dinov3", "qwen2"))
    DINOv3ViTModel(
        DINOv3ViTConfig(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, patch_size=16)
    ).save_pretrained(vision)
    Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64, vocab_size=700,
            tie_word_embeddings=True,
        )
    ).save_pretrained(language)  # fmt: skip
    build(preset("debug"))[1].tokenizer.save_pretrained(str(language))
    return str(vision), str(language)


def test_paper_preset_runs_on_local_checkpoints(checkpoints, tmp_path: Path) -> None:
    chosen = preset("paper", *checkpoints)
    chosen = replace(chosen, processor=replace(chosen.processor, image=ImageRule(32, 32, fit="stretch")))
    model, processor = build(chosen)
    assert model.config.grid.tokens == 3 * 2 * 2 and model.config.vision.width == 24
    batch = processor([make_sample(0, "how many cars?"), make_sample(1)], training=True)
    outputs = model(batch)
    assert outputs.next_state.shape == (2, 3, 12, 32) and outputs.decoder.prediction.shape == (2, 1, 6, 2)
    planner = IKVLAPlanner(model, processor, max_answer_tokens=3)
    [first] = planner.plan([make_sample(0, "how many cars?").observation], seed=3)
    planner.save(tmp_path)
    [second] = IKVLAPlanner.load(tmp_path, max_answer_tokens=3).plan(
        [make_sample(0, "how many cars?").observation], seed=3
    )
    assert first.trajectory.poses.tobytes() == second.trajectory.poses.tobytes() and first.answer == second.answer


# -- persistence


def test_save_and_load_give_the_same_bytes(planner, tmp_path: Path) -> None:
    planner.save(tmp_path)
    again = IKVLAPlanner.load(tmp_path, num_samples=3, max_answer_tokens=4)
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".pt", ".bin", ".pkl", ".pth")]
    observations = [make_sample(0, "how many cars?").observation]
    first, second = (p.plan(observations, seed=9)[0] for p in (planner, again))
    assert first.samples.tobytes() == second.samples.tobytes()
    assert first.answer == second.answer


def test_config_survives_json() -> None:
    from dataclasses import asdict

    config = variant({"kind": "llm_mlp"}, {"ema": 0.99}).model
    assert from_mapping(IKVLAConfig, json.loads(json.dumps(asdict(config)))) == config


def test_load_errors_name_the_cause(planner, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        IKVLAPlanner.load(tmp_path)
    (tmp_path / "config.json").write_text('{"family": "spacedrive"}')
    with pytest.raises(DataError, match="family 'spacedrive', expected 'ik_vla'"):
        IKVLAPlanner.load(tmp_path)
    planner.save(tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    record["model"]["decoder"]["width"] = 64
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="does not fit"):
        IKVLAPlanner.load(tmp_path)


def test_config_errors_name_value_and_limit(parts) -> None:
    model, processor = parts
    with pytest.raises(DataError, match="width 30 must be a multiple of 2 x heads = 16"):
        DecoderConfig(width=30)
    with pytest.raises(DataError, match="must be positive and increasing"):
        NextStateConfig(horizons_s=(2.0, 1.0))
    wrong = IKVLAProcessor(replace(processor.config, waypoints=8), processor.tokenizer)
    with pytest.raises(DataError, match="waypoints 6 in the model, 8 in the processor"):
        IKVLAPlanner(model, wrong)
    batch = processor([make_sample(0)])
    with pytest.raises(DataError, match="2 visual tokens per sample"):
        model.current_tokens({"current_tokens": torch.zeros(1, 2, model.encoder.width)})
    batch["ego_mask"] = torch.zeros_like(batch["ego_mask"])
    with pytest.raises(DataError, match=r"ego_mask: rows mark \[0\] positions, expected 1"):
        model.read(batch, model.current_tokens(batch))
