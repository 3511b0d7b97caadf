"""Pretraining of the small visual encoder on what the world knows about every pixel.

IK-VLA takes a frozen encoder. DINOv3's weights are gated, so a run without them learns its own here first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eyesup.data.world import WorldSource
from eyesup.models.encoder.config import LAMPS, EncoderModelConfig, EncoderProcessorConfig
from eyesup.models.encoder.model import DenseLabelModel
from eyesup.models.encoder.processor import EncoderProcessor
from eyesup.models.ik_vla.presets import preset
from eyesup.nn.vision.encoder import VisionConfig
from eyesup.nn.vision.images import ImageRule
from eyesup.objectives.dense_labels import dense_label_losses
from eyesup.recipes.base import Inputs, LoopConfig
from eyesup.training.checkpoint import write_json
from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.training.loop import Task
from eyesup.types import DataError, SemanticClass

IMAGE_RULE_FILE = "image.json"  # beside encoder.json: the crop and size the encoder was trained with
GROUPS = {
    "lamp": LAMPS,
    "vehicle": (SemanticClass.VEHICLE,),
    "person": (SemanticClass.PEDESTRIAN, SemanticClass.CYCLIST),
    "obstacle": (SemanticClass.OBSTACLE,),
}


def labelled_keyframes(root: Path) -> WorldSource:
    """Keyframes of a store and its twins that carry class labels, with the images at t = 0 only and depth;
    DataError when there are none.
    """
    source = WorldSource(root, keyframes="labelled", images="present", with_map=False, depth=True, twins="also")
    if not len(source):
        raise DataError(f"{root} holds no labelled keyframes; generate the store with labels")
    return source


@dataclass(frozen=True)
class DenseValidation:
    """Losses, share of patches whose main class is right, and F1 of the rare things, on fixed samples.

    Attributes:
        batches: Not augmented.
    """

    batches: Sequence[Mapping[str, Any]]

    def __call__(self, model: nn.Module, step: int) -> Mapping[str, float]:
        device = next(model.parameters()).device
        sums: dict[str, float] = {}
        counts = {name: np.zeros(3) for name in GROUPS}
        for batch in self.batches:
            moved = {name: v.to(device) if isinstance(v, Tensor) else v for name, v in batch.items()}
            outputs = model(moved)
            losses = dense_label_losses(outputs, moved)
            right = outputs["fraction_logits"].argmax(-1) == moved["fraction"].argmax(-1)
            for name, value in {**losses, "patch_accuracy": right.float().mean()}.items():
                sums[name] = sums.get(name, 0.0) + float(value) / len(self.batches)
            for name, classes in GROUPS.items():
                counts[name] += detections(outputs["presence_logits"] > 0, moved["presence"], classes)
        return sums | {f"f1_{name}": f1(*found) for name, found in counts.items()}


def detections(predicted: Tensor, present: Tensor, classes: Sequence[SemanticClass]) -> np.ndarray:
    """Hits, false alarms and misses of some classes over patches."""
    columns = [int(k) for k in classes]
    p, t = predicted[..., columns], present[..., columns]
    return np.array([int((p & t).sum()), int((p & ~t).sum()), int((~p & t).sum())], float)


def f1(hits: float, false_alarms: float, misses: float) -> float:
    """Harmonic mean of precision and recall; 1 where there is nothing to find and nothing was found."""
    total = 2 * hits + false_alarms + misses
    return float(2 * hits / total) if total else 1.0


@dataclass(frozen=True)
class EncoderRun(LoopConfig):
    """Pretraining run.

    Attributes:
        model, processor: Of `eyesup.models.encoder`.
        val_samples: Validation keyframes, spread evenly over the store.
    """

    model: EncoderModelConfig = field(default_factory=EncoderModelConfig)
    processor: EncoderProcessorConfig = field(default_factory=EncoderProcessorConfig)
    val_samples: int = 64

    def task(self, inputs: Inputs, quiet: bool) -> Task:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.train.seed)
            model = DenseLabelModel(self.model)
        processor = EncoderProcessor(self.processor)
        return Task(
            model=model,
            objective=dense_label_losses,
            source=labelled_keyframes(inputs.data),
            collate=processor,
            validate=self._validation(processor, inputs),
            export=self._export,  # type: ignore[arg-type]
        )

    def _validation(self, processor: EncoderProcessor, inputs: Inputs) -> DenseValidation | None:
        if inputs.val is None:
            return None
        samples = labelled_keyframes(inputs.val)
        rows = np.unique(np.linspace(0, len(samples) - 1, self.val_samples).astype(int))
        return DenseValidation([processor([samples[int(row)] for row in part]) for part in _chunks(rows, 8)])

    def _export(self, model: DenseLabelModel, folder: Path) -> None:
        model.save_encoder(folder)
        write_json(folder / IMAGE_RULE_FILE, asdict(self.processor.image))

    def next_command(self, final: Path, inputs: Inputs) -> str:
        val = f" --val {inputs.val}" if inputs.val else ""
        return f"eyesup train ik_vla_tiny --data {inputs.data}{val} --encoder {final}"


def trained_image_rule(folder: Path) -> ImageRule | None:
    """The image rule an encoder in `folder` was trained with; None for weights from elsewhere."""
    path = folder / IMAGE_RULE_FILE
    return ImageRule(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def encoder_tiny() -> EncoderRun:
    """visual encoder, from scratch, on the world's free labels (class of every patch, depth)"""
    train = TrainConfig(
        steps=3600, batch_size=8, groups=(GroupConfig("encoder", ("",), 2e-3, weight_decay=0.05),), optimizer="muon",
        warmup_ratio=0.05, precision="bf16", ema_decay=0.999, log_every=25, validate_every=500, checkpoint_every=500,
    )  # fmt: skip
    return EncoderRun("encoder_tiny", train)


def encoder_debug() -> EncoderRun:
    """the same in seconds, for tests"""
    debug = preset("debug")
    vision: VisionConfig = debug.model.vision
    train = TrainConfig(
        steps=4, batch_size=2, groups=(GroupConfig("encoder", ("",), 1e-3),), log_every=2, checkpoint_every=2, device="cpu",
        tensorboard=False,
    )  # fmt: skip
    model = EncoderModelConfig(replace(vision, frozen=False), head_width=16)
    processor = EncoderProcessorConfig(debug.processor.image, patch_px=vision.patch_px)
    return EncoderRun("encoder_debug", train, model, processor, val_samples=2)
