"""Pretraining of the visual encoder on the world's free labels: what is in each patch, and how far away.

A frozen encoder is only as good as what it was taught. DINOv3's weights are gated, so a run without them teaches a small one
to see what decides a driver's plan: lamps, people, vehicles, paint, and distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eyesup.models.encoder.config import EncoderModelConfig
from eyesup.nn.vision.encoder import VisualEncoder

DEPTH_TARGETS = 2  # mean of the patch, nearest dynamic thing in it


class DenseLabelModel(nn.Module):
    """Encoder, a patch head and an image head. After training only the encoder is kept (`save_encoder`)."""

    def __init__(self, config: EncoderModelConfig, encoder: VisualEncoder | None = None) -> None:
        """`encoder`: one that is already trained; None builds what `config` describes."""
        super().__init__()
        self.config = config
        self.encoder = encoder if encoder is not None else VisualEncoder(config.vision)
        width, k = self.encoder.config.hidden, config.classes
        self.patch_head = _head(width, config.head_width, 2 * k + DEPTH_TARGETS)
        self.image_head = _head(2 * width, config.head_width, k)

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Predictions for a batch of single images; B images, P patches, K classes.

        Args:
            batch: `images` [B, 3, h, w], normalised.

        Returns:
            fraction_logits: [B, P, K], softmax gives the share of the patch's pixels.
            presence_logits: [B, P, K], sigmoid gives the probability that the class is in the patch.
            log_inverse_depth: [B, P, 2], log(1/m): the patch's mean, and its nearest dynamic thing.
            image_logits: [B, K], sigmoid gives the probability that the class is anywhere in the image.
        """
        features = self.encoder.patch_features(batch["images"])
        k = self.config.classes
        fraction, presence, depth = self.patch_head(features).split((k, k, DEPTH_TARGETS), dim=-1)
        # The mean says what the scene is like, the maximum keeps a lamp that fills one patch of many.
        pooled: Float[Tensor, "B width2"] = torch.cat([features.mean(dim=1), features.amax(dim=1)], dim=-1)
        return {
            "fraction_logits": fraction,
            "presence_logits": presence,
            "log_inverse_depth": depth,
            "image_logits": self.image_head(pooled),
        }

    def save_encoder(self, folder: Path) -> None:
        """Write the encoder alone; `VisualEncoder.load(folder)` reads it, frozen."""
        self.encoder.save(folder)


def _head(width_in: int, width: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width), nn.GELU(), nn.Linear(width, width_out))
