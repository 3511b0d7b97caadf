"""Rendered images and their pixel labels to the tensors of the encoder's pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from eyesup.models.encoder.config import DYNAMIC, LAMPS, EncoderProcessorConfig
from eyesup.nn.vision.images import normalize
from eyesup.types import DataError, Sample, SemanticClass

CLASSES = len(SemanticClass)


class EncoderProcessor:
    """Samples with rendered labels to batches; each camera is an image of its own, so one sample gives C rows."""

    def __init__(self, config: EncoderProcessorConfig) -> None:
        self.config = config

    def __call__(self, samples: Sequence[Sample], rngs: Sequence[np.random.Generator] | None = None) -> dict[str, Any]:
        """One batch. B = samples x cameras, P patches (row-major), K classes.

        Args:
            samples: With Truth and its `semantics`; `depth_m` may be missing.
            rngs: One per sample: augment. None: do not.

        Returns:
            keys: B names, ``<sample>/<camera>``.
            images: [B, 3, h, w] normalised.
            fraction: [B, P, K] share of the patch's pixels.
            presence: [B, P, K] bool; image_presence: [B, K] bool.
            log_inverse_depth: [B, P, 2] log(1/m) of the patch's mean and of its nearest dynamic thing; depth_valid says where.

        Raises:
            DataError: a sample has no semantics.
        """
        rows: list[dict[str, Tensor]] = []
        for index, sample in enumerate(samples):
            rows += self._rows(sample, rngs[index] if rngs is not None else None)
        batch: dict[str, Any] = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        batch["keys"] = tuple(f"{sample.key}/{camera.name}" for sample in samples for camera in sample.observation.rig)
        return batch

    def _rows(self, sample: Sample, rng: np.random.Generator | None) -> list[dict[str, Tensor]]:
        truth = sample.truth
        if truth is None or truth.semantics is None:
            raise DataError(
                f"sample {sample.key} has no semantics; generate the store with labels to train an encoder on it"
            )
        images = self.config.image.images(sample.observation.images[-1])  # (C, 3, h, w)
        semantics = self.config.image.labels(np.asarray(truth.semantics, np.uint8))
        depth = np.full(semantics.shape, np.inf, np.float32)
        if truth.depth_m is not None:
            depth = self.config.image.labels(np.asarray(truth.depth_m, np.float32))
        return [self._row(*view, rng) for view in zip(images, semantics, depth)]

    def _row(
        self, image: Tensor, semantics: np.ndarray, depth_m: np.ndarray, rng: np.random.Generator | None
    ) -> dict[str, Tensor]:
        if rng is not None:
            if self.config.flip and rng.random() < 0.5:
                image, semantics, depth_m = image.flip(-1), semantics[:, ::-1], depth_m[:, ::-1]
            image = jitter_colours(image, self.config.jitter, rng)
        patches = to_patches(semantics, self.config.patch_px)  # (P, pixels)
        counts = class_counts(patches)
        needed = np.array([1 if k in LAMPS else self.config.presence_px for k in SemanticClass])
        presence = counts >= needed
        depth, valid = self._depth(patches, to_patches(depth_m, self.config.patch_px))
        return {
            "images": normalize(image),
            "fraction": torch.from_numpy((counts / patches.shape[1]).astype(np.float32)),
            "presence": torch.from_numpy(presence),
            "image_presence": torch.from_numpy(presence.any(axis=0)),
            "log_inverse_depth": torch.from_numpy(depth),
            "depth_valid": torch.from_numpy(valid),
        }

    def _depth(
        self, classes: UInt8[np.ndarray, "P pixels"], depth_m: Float32[np.ndarray, "P pixels"]
    ) -> tuple[Float32[np.ndarray, "P 2"], Bool[np.ndarray, "P 2"]]:
        """Log inverse depth of each patch (mean, nearest dynamic) and where it is known."""
        measured = depth_m < self.config.far_m  # inf is sky, or no depth at all
        log_inverse = -np.log(np.clip(depth_m, self.config.near_m, self.config.far_m))
        dynamic = measured & np.isin(classes, DYNAMIC)
        count = measured.sum(axis=1)
        mean = np.where(measured, log_inverse, 0).sum(axis=1) / np.maximum(count, 1)
        nearest = np.where(dynamic, log_inverse, -np.log(self.config.far_m)).max(axis=1)
        valid = np.stack([2 * count >= depth_m.shape[1], dynamic.any(axis=1)], axis=1)
        return np.where(valid, np.stack([mean, nearest], axis=1), 0).astype(np.float32), valid


def to_patches(image: np.ndarray, patch_px: int) -> np.ndarray:
    """(h, w) to (P, patch_px^2): patches row-major, as the encoder orders them."""
    h, w = image.shape
    cells = image.reshape(h // patch_px, patch_px, w // patch_px, patch_px)
    return np.ascontiguousarray(cells.transpose(0, 2, 1, 3)).reshape(-1, patch_px * patch_px)


def class_counts(patches: UInt8[np.ndarray, "P pixels"]) -> Int64[np.ndarray, "P K"]:
    """Pixels of each class in each patch."""
    cell = np.arange(len(patches))[:, None] * CLASSES + patches
    return np.bincount(cell.ravel(), minlength=len(patches) * CLASSES).reshape(len(patches), CLASSES)


def jitter_colours(image: Float[Tensor, "3 h w"], strength: float, rng: np.random.Generator) -> Float[Tensor, "3 h w"]:
    """Scale contrast (about the mean), brightness and, half as much, each channel by random factors; stays in [0, 1]."""
    contrast, brightness = rng.uniform(1 - strength, 1 + strength, 2)
    channels = torch.from_numpy(rng.uniform(1 - strength / 2, 1 + strength / 2, 3)).to(image.dtype)[:, None, None]
    mean = image.mean()
    return (((image - mean) * contrast + mean) * brightness * channels).clamp(0, 1)
