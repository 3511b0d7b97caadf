"""Losses of language."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def token_loss(logits: Float[Tensor, "M V"], targets: Int[Tensor, "M"]) -> Float[Tensor, ""]:
    """Mean next-token cross entropy over the M labelled positions; 0 when there is none."""
    if not len(targets):
        return logits.sum() * 0.0
    return F.cross_entropy(logits.float(), targets)
