"""Supervised training of IK-VLA: next state, trajectory and answers together, on cached tokens of a frozen encoder.

AdamW, cosine and warm-up are the paper's (arXiv 2605.21061), but its text lacks the numbers: rates and decays are those of
ReCogDrive (IK network) and AutoVLA (language model). The tiny sizes learn from scratch and so take larger rates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from eyesup.data.source import SampleSource
from eyesup.data.world import Twins, WorldSource
from eyesup.models.ik_vla.config import IGNORED_LABEL
from eyesup.models.ik_vla.model import IKVLA
from eyesup.models.ik_vla.planner import IKVLAPlanner, build, export
from eyesup.models.ik_vla.presets import IKVLAPreset, preset
from eyesup.models.ik_vla.processor import IKVLAProcessor, fit_normalizer
from eyesup.nn.vision.encoder import CONFIG_FILE as ENCODER_CONFIG_FILE
from eyesup.nn.vision.encoder import VisualEncoder
from eyesup.nn.vision.images import normalize
from eyesup.nn.weights import load_weights
from eyesup.objectives.diffusion import TrajectoryError
from eyesup.objectives.grpo import GRPOObjective
from eyesup.objectives.ik_vla import IKVLAObjective
from eyesup.recipes.base import Inputs, LoopConfig
from eyesup.recipes.encoder_tiny import trained_image_rule
from eyesup.recipes.rewards import PDMReward
from eyesup.recipes.validation import OpenLoopValidation, validation_samples
from eyesup.recipes.world_parts import PreparedSamples, TokenCollate, world_features
from eyesup.training.checkpoint import WEIGHTS_FILE, save_weights
from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.training.features import FeatureStore, encoder_fingerprint
from eyesup.training.grpo import GRPOModel, RLConfig
from eyesup.training.loop import Task
from eyesup.training.metrics_log import Terminal
from eyesup.types import DataError

STATISTICS_FRAMES = 2000  # 200 000 tokens of the tiny size: means to within 1 % of a standard deviation
NUSCENES_TRAIN_SAMPLES = 28_130
QUESTION_RATE = 0.2  # of the samples also ask: enough to learn the answers, short enough sequences to stay fast


@dataclass(frozen=True)
class LossWeights:
    """Weights of the three losses, which the paper combines equally (section 3.4), and the measure of the trajectory's error."""

    next_state: float = 1.0
    trajectory: float = 1.0
    answer: float = 1.0
    trajectory_error: TrajectoryError = "squared"


# Predicting x_0, the trajectory loss soon falls below 0.1 while the next-state loss stays above 0.2: equal weights would train a
# video model. The square of a small error has no gradient to speak of: near waypoints stay 0.1 m off, the absolute error halves that.
TINY_LOSSES = LossWeights(next_state=0.5, trajectory=10.0, answer=0.25, trajectory_error="absolute")


@dataclass(frozen=True)
class IKVLARun(LoopConfig):
    """One supervised run.

    Attributes:
        preset: Model and processor.
        losses: Weights.
        random_encoder: Use an untrained encoder when none is given; for tests only.
        text_variants: Versions of each sample's text kept tokenised, each with its own drawn question.
        val_samples: Validation keyframes, spread evenly over the store.
        range_per_waypoint: Normalise each waypoint by its own range, so that the near term counts as much as the far.
        twins: Whether the store's twins are training samples too: the same moment with another picture and another answer.
        rl: With ``rl.enabled`` the decoder learns from rewards (GRPO) instead of from the driven plan; needs --init.
    """

    preset: IKVLAPreset = field(default_factory=lambda: preset("tiny"))
    losses: LossWeights = LossWeights()
    random_encoder: bool = False
    text_variants: int = 4
    val_samples: int = 64
    range_per_waypoint: bool = False
    twins: Twins = "none"
    rl: RLConfig = field(default_factory=RLConfig)

    def task(self, inputs: Inputs, quiet: bool) -> Task:
        terminal = Terminal(0, 0, quiet)
        source = WorldSource(
            inputs.data, images="none", with_map=False, twins=self.twins
        )  # the model trains on cached tokens
        chosen = with_data_normalizer(self._with_weights(inputs), source, self.range_per_waypoint)
        encoder = self._encoder(chosen, inputs)
        model, processor = build(chosen, self.train.seed, encoder)
        encode = token_encoder(model.encoder, processor, source.store.rig.names)
        rule = chosen.processor
        fingerprint = encoder_fingerprint(model.encoder, rule.image, rule.cameras, rule.merge)
        features = world_features(source, encode, fingerprint, inputs.features, rule.horizons_s, terminal)
        model.fit_token_stats(features.sample_tokens(STATISTICS_FRAMES))
        if inputs.init is not None:
            load_weights(model, inputs.init / WEIGHTS_FILE)
        variants = self.text_variants if chosen.processor.question_rate > 0 else 1
        prepared = PreparedSamples(source, processor, self.train.seed, variants)
        if self.train.workers == 0 and self.train.steps * self.train.batch_size >= len(prepared):
            prepared.read_all(terminal)
        if self.rl.enabled:
            return self._reinforcement(model, processor, source, prepared, features, inputs)
        return Task(
            model=model,
            objective=IKVLAObjective(**asdict(self.losses)),
            source=prepared,
            collate=TokenCollate(features, _padding(processor), blind=chosen.processor.vision == "none"),
            validate=self._validation(processor, inputs),
            export=lambda trained, folder: export(trained, processor, folder),  # type: ignore[arg-type]
        )

    def _reinforcement(
        self, model: IKVLA, processor: IKVLAProcessor, source: WorldSource, prepared: PreparedSamples,
        features: FeatureStore, inputs: Inputs,
    ) -> Task:  # fmt: skip
        """Rollouts of a supervised model, rewarded by the PDM score."""
        if inputs.init is None:
            raise DataError(
                f"recipe {self.name} goes on from a supervised run: give --init, e.g. --init runs/ik_vla_tiny/final"
            )

        def export_policy(trained: torch.nn.Module, folder: Path) -> None:
            policy = cast(GRPOModel, trained).policy
            save_weights(
                policy.state_dict(), folder / WEIGHTS_FILE
            )  # in place of the rollout's, which holds its teacher too
            export(policy, processor, folder)

        validate = self._validation(processor, inputs)
        return Task(
            model=GRPOModel(model, PDMReward(source, self.rl), processor.denormalize, self.rl),
            objective=GRPOObjective(self.rl.gamma, self.rl.imitation),
            source=prepared,
            collate=TokenCollate(features, _padding(processor), blind=processor.config.vision == "none"),
            validate=None
            if validate is None
            else lambda trained, step: validate(cast(GRPOModel, trained).policy, step),
            export=export_policy,
        )

    def _with_weights(self, inputs: Inputs) -> IKVLAPreset:
        """The preset with a given language model in place of the one it names."""
        chosen = self.preset
        if inputs.language is None:
            return chosen
        language = replace(chosen.model.language, pretrained=str(inputs.language))
        processor = replace(chosen.processor, tokenizer=str(inputs.language))
        return replace(chosen, model=replace(chosen.model, language=language), processor=processor)

    def _encoder(self, chosen: IKVLAPreset, inputs: Inputs) -> VisualEncoder:
        vision = chosen.model.vision
        if inputs.encoder is not None and (inputs.encoder / ENCODER_CONFIG_FILE).exists():
            return load_encoder(inputs.encoder, chosen)
        if inputs.encoder is not None:
            return VisualEncoder(replace(vision, pretrained=str(inputs.encoder), frozen=True))
        if vision.pretrained is None and not self.random_encoder:
            raise DataError(
                f"recipe {self.name} needs a trained visual encoder: give --encoder runs/encoder_tiny/final, made by "
                f"`eyesup train encoder_tiny --data {inputs.data}`"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.train.seed)
            return VisualEncoder(replace(vision, frozen=True))

    def _validation(self, processor: IKVLAProcessor, inputs: Inputs) -> OpenLoopValidation | None:
        if inputs.val is None:
            return None
        samples = validation_samples(inputs.val, self.val_samples)
        return OpenLoopValidation(samples, lambda model: IKVLAPlanner(model, processor))  # type: ignore[arg-type]


def _padding(processor: IKVLAProcessor) -> dict[str, int]:
    return {"input_ids": int(processor.tokenizer.pad_token_id), "labels": IGNORED_LABEL}


def with_data_normalizer(chosen: IKVLAPreset, source: SampleSource, per_waypoint: bool = False) -> IKVLAPreset:
    """Trajectory range measured on the training samples."""
    processor = chosen.processor
    futures = [sample.truth.future for sample in source if sample.truth is not None]
    plans = [future.resampled(processor.waypoint_dt_s, processor.waypoints) for future in futures]
    return replace(chosen, processor=replace(processor, normalizer=fit_normalizer(plans, per_waypoint=per_waypoint)))


def load_encoder(folder: Path, chosen: IKVLAPreset) -> VisualEncoder:
    """A frozen encoder from a training run; DataError when it was trained on other image sizes or patches."""
    encoder = VisualEncoder.load(folder, frozen=True)
    processor = chosen.processor
    facts: dict[str, tuple[object, object]] = {
        "patch side [px]": (encoder.config.patch_px, processor.patch_px),
        "patch merge": (encoder.config.merge, processor.merge),
        "token width": (encoder.width, processor.token_width),
    }
    trained = trained_image_rule(folder)
    if trained is not None:
        facts["image rule"] = (trained, processor.image)
    for name, (theirs, ours) in facts.items():
        if theirs != ours:
            raise DataError(f"encoder {folder} does not fit the recipe: {name} {theirs}, the recipe takes {ours}")
    return encoder


def token_encoder(
    encoder: VisualEncoder, processor: IKVLAProcessor, cameras: tuple[str, ...]
) -> Callable[[np.ndarray], Tensor]:
    """uint8 images (F, C, H, W, 3) of the rig's `cameras` to tokens (F, N, Dv), as the processor and model make them."""
    config = processor.config
    missing = [name for name in config.cameras if name not in cameras]
    if missing:
        raise DataError(f"missing camera {missing}; the store's rig has {list(cameras)}")
    order = [cameras.index(name) for name in config.cameras]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def encode(images: np.ndarray) -> Tensor:
        encoder.to(device)
        return encoder(normalize(config.image.images(images[:, order])).to(device)).float()

    return encode


def _groups(language_lr: float, ik_lr: float) -> tuple[GroupConfig, ...]:
    """Language model with projector and placeholders, and the decoder; weight decay as AutoVLA's and ReCogDrive's."""
    return (
        GroupConfig("llm", ("",), language_lr, weight_decay=0.01),
        GroupConfig("ik", ("decoder.",), ik_lr, weight_decay=1e-4),
    )


def ik_vla_tiny() -> IKVLARun:
    """IK-VLA of laptop size on cached encoder tokens."""
    train = TrainConfig(
        steps=24_000, batch_size=8, groups=_groups(1e-3, 1e-3), optimizer="muon", warmup_ratio=0.03, precision="bf16",
        ema_decay=0.999, log_every=50, validate_every=1000, checkpoint_every=500,
    )  # fmt: skip
    chosen = preset("tiny")
    chosen = replace(chosen, processor=replace(chosen.processor, question_rate=QUESTION_RATE))
    return IKVLARun("ik_vla_tiny", train, chosen, TINY_LOSSES, range_per_waypoint=True, twins="also")


def ik_vla_tiny_grpo() -> IKVLARun:
    """reinforcement: a trained ik_vla_tiny (--init) whose IK network learns from the PDM score"""
    run = ik_vla_tiny()
    train = replace(
        run.train, steps=400, batch_size=16, optimizer="adamw", groups=(GroupConfig("ik", ("policy.decoder.",), 1e-4, weight_decay=1e-4),),
        warmup_ratio=0.0, precision="fp32", ema_decay=None, validate_every=100, checkpoint_every=100,
    )  # fmt: skip
    return replace(run, name="ik_vla_tiny_grpo", train=train, twins="none", rl=RLConfig(enabled=True))


def _variant(name: str, **changes: dict[str, Any]) -> IKVLARun:
    """`ik_vla_tiny` under another name; `changes` name fields of next_state, decoder or processor."""
    run = ik_vla_tiny()
    model, processor = run.preset.model, run.preset.processor
    model = replace(
        model,
        next_state=replace(model.next_state, **changes.get("next_state", {})),
        decoder=replace(model.decoder, **changes.get("decoder", {})),
    )
    processor = replace(processor, **changes.get("processor", {}))
    return replace(run, name=name, preset=replace(run.preset, model=model, processor=processor))


def ik_vla_tiny_blind() -> IKVLARun:
    """ablation: no images reach the model, the targets stay"""
    return _variant("ik_vla_tiny_blind", processor={"vision": "none"})


def ik_vla_tiny_no_ego() -> IKVLARun:
    """ablation: no ego status and no history"""
    prompt = replace(ik_vla_tiny().preset.processor.prompt, ego="none")
    return _variant("ik_vla_tiny_no_ego", processor={"prompt": prompt})


def ik_vla_tiny_no_next() -> IKVLARun:
    """ablation: placeholders without a next-state loss"""
    return _variant("ik_vla_tiny_no_next", next_state={"target": "none"})


def ik_vla_tiny_current() -> IKVLARun:
    """ablation: predict the present view instead of the next"""
    return _variant("ik_vla_tiny_current", next_state={"target": "current"})


def ik_vla_tiny_attnpool() -> IKVLARun:
    """ablation: attention pooling and an MLP instead of diffusion"""
    return _variant("ik_vla_tiny_attnpool", decoder={"kind": "ik_attnpool_mlp"})


def ik_vla_tiny_llm_mlp() -> IKVLARun:
    """ablation: an MLP on the language model instead of the IK network"""
    return _variant("ik_vla_tiny_llm_mlp", decoder={"kind": "llm_mlp"})


def ik_vla_tiny_llm_text() -> IKVLARun:
    """ablation: the plan as text, in the manner of OpenDriveVLA"""
    text = {"plan_as_text": True, "question_rate": 0.0}
    return _variant("ik_vla_tiny_llm_text", decoder={"kind": "llm_text"}, processor=text)


def ik_vla_debug() -> IKVLARun:
    """IK-VLA in seconds with a random encoder, for tests"""
    train = TrainConfig(
        steps=8, batch_size=2, groups=_groups(1e-3, 1e-3), log_every=2, validate_every=4, checkpoint_every=4, device="cpu",
        tensorboard=False,
    )  # fmt: skip
    return IKVLARun("ik_vla_debug", train, preset("debug"), random_encoder=True, val_samples=2)


def ik_vla_paper() -> IKVLARun:
    """The paper's sizes: DINOv3 ViT-S, Qwen2.5-0.5B, bf16; needs a GPU.

    Give the (gated) encoder and the language model as local folders with --encoder and --language. Ten epochs of nuScenes'
    28 130 training keyframes. Weights stay float32 under bf16 autocast: at a rate of 2e-5 most updates would be lost in the
    8 bits of a bf16 weight.
    """
    train = TrainConfig(
        steps=10 * NUSCENES_TRAIN_SAMPLES // 32, batch_size=32, micro_batch_size=8, groups=_groups(2e-5, 1e-4), warmup_ratio=0.03,
        clip_norm=1.0, precision="bf16", log_every=20, validate_every=1000, checkpoint_every=1000, workers=4,
    )  # fmt: skip
    chosen = preset("paper")
    language = replace(chosen.model.language, dtype="float32")
    return IKVLARun(
        "ik_vla_paper", train, replace(chosen, model=replace(chosen.model, language=language)), val_samples=256
    )
