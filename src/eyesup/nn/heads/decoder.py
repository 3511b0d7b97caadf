"""The one interface of everything that turns tokens into a trajectory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class DecoderTerms:
    """What a decoder predicts in training and what it should have predicted; the loss is their squared difference.

    Attributes:
        prediction, target: (B, K, T, A); noise for a diffusion decoder (K draws of it), the normalised trajectory for a
            regressor (K = 1).
    """

    prediction: Float[Tensor, "B K T A"]
    target: Float[Tensor, "B K T A"]


class TrajectoryDecoder(nn.Module, ABC):
    """Tokens in, normalised trajectory out. `T` waypoints of `A` dimensions in [-1, 1].

    `reads` says which tensors `context` takes: ``visual`` decoders get (current tokens, next tokens) and nothing else,
    ``hidden`` ones get one hidden state of the language model.
    """

    reads: ClassVar[Literal["visual", "hidden"]]
    stochastic: ClassVar[bool]

    @abstractmethod
    def context(self, *tokens: Tensor) -> Any:
        """Everything that depends on the tokens alone: computed once, reused by every step and every alternative."""

    @abstractmethod
    def terms(
        self, context: Any, trajectory: Float[Tensor, "B T A"], generator: torch.Generator | None = None
    ) -> DecoderTerms:
        """Prediction and target for one training step; randomness from `generator`, or torch's default one."""

    @abstractmethod
    def sample(self, context: Any, generators: Sequence[torch.Generator], samples: int = 1) -> Float[Tensor, "B K T A"]:
        """`samples` trajectories per row, each from its own generator (B * K of them, a row's alternatives adjacent)."""
