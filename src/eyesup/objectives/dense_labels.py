"""Losses of the encoder's pretraining on rendered pixel labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from eyesup.types import SemanticClass

_RARE = {
    SemanticClass.VEHICLE: 2.0, SemanticClass.CROSSWALK: 2.0, SemanticClass.PAINT: 2.0, SemanticClass.SIGNAL_BODY: 4.0,
    SemanticClass.PEDESTRIAN: 8.0, SemanticClass.CYCLIST: 8.0, SemanticClass.OBSTACLE: 8.0, SemanticClass.SIGNAL_GREEN: 12.0,
    SemanticClass.SIGNAL_AMBER: 12.0, SemanticClass.SIGNAL_RED: 12.0, SemanticClass.BRAKE_LIGHT: 12.0,
    SemanticClass.INDICATOR: 12.0, SemanticClass.BEACON: 12.0, SemanticClass.STOP_SIGN: 12.0, SemanticClass.YIELD_SIGN: 12.0,
}  # fmt: skip
PRESENCE_WEIGHTS = tuple(_RARE.get(k, 1.0) for k in SemanticClass)
"""How much more a present class counts than an absent one. A lamp fills one patch in some thousand; without a weight, "no
lamp anywhere" is nearly right. The weights stay far below the inverse frequency, so that the logits remain calibrated enough
to be read."""


@dataclass(frozen=True)
class DenseLabelWeights:
    """Weight of each named loss in ``total``."""

    fraction: float = 1.0
    presence: float = 4.0
    depth: float = 1.0
    image: float = 1.0


def dense_label_losses(
    outputs: Mapping[str, Tensor], batch: Mapping[str, Any], weights: DenseLabelWeights = DenseLabelWeights()
) -> dict[str, Tensor]:
    """Named losses of `DenseLabelModel`: ``fraction``, ``presence``, ``depth``, ``image`` and their weighted sum ``total``.

    Depth is the mean absolute error of log(1/m), so 0.1 is about 10 % of the distance; patches without a measurement are
    left out.
    """
    losses = {
        "fraction": soft_cross_entropy(outputs["fraction_logits"], batch["fraction"]),
        "presence": weighted_presence(outputs["presence_logits"], batch["presence"]),
        "depth": masked_l1(outputs["log_inverse_depth"], batch["log_inverse_depth"], batch["depth_valid"]),
        "image": weighted_presence(outputs["image_logits"], batch["image_presence"]),
    }
    total = sum(getattr(weights, name) * loss for name, loss in losses.items())
    return {"total": torch.as_tensor(total), **losses}


def soft_cross_entropy(logits: Float[Tensor, "*batch K"], target: Float[Tensor, "*batch K"]) -> Float[Tensor, ""]:
    """Cross-entropy between class histograms."""
    return -(target * F.log_softmax(logits.float(), dim=-1)).sum(dim=-1).mean()


def weighted_presence(logits: Float[Tensor, "*batch K"], present: Bool[Tensor, "*batch K"]) -> Float[Tensor, ""]:
    """Binary cross-entropy in which a present class counts `PRESENCE_WEIGHTS` times."""
    weight = torch.tensor(PRESENCE_WEIGHTS, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits.float(), present.float(), pos_weight=weight)


def masked_l1(
    prediction: Float[Tensor, "*batch"], target: Float[Tensor, "*batch"], valid: Bool[Tensor, "*batch"]
) -> Float[Tensor, ""]:
    """Mean absolute error over the valid entries; 0 when there is none."""
    error = (prediction.float() - target).abs() * valid
    return error.sum() / valid.sum().clamp_min(1)
