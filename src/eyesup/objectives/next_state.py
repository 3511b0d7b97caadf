"""Next-state prediction: predicted against true visual tokens of the future, and the alarm against their collapse."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from eyesup.types import EyesUpError

MIN_STD_RATIO = 0.05  # our choice; the paper names no limit


def next_state_loss(
    prediction: Float[Tensor, "B H N D"], target: Float[Tensor, "B H N D"], valid: Bool[Tensor, "B H"]
) -> Float[Tensor, ""]:
    """Mean squared error over the valid (sample, horizon) pairs, all tokens and channels; 0 when none is valid.

    A sample without a future frame is left out here and kept everywhere else.
    """
    error = (prediction.float() - target.float()).square().mean(dim=(2, 3))  # (B, H)
    weight = valid.to(error.dtype)
    return (error * weight).sum() / weight.sum().clamp(min=1)


class CollapseError(EyesUpError):
    """The target of next-state prediction has become (nearly) the same for every token."""


@dataclass(frozen=True)
class CollapseAlarm:
    """Watches the spread of the target tokens while the projector that makes them is being trained.

    A projector that maps every patch to one vector makes next-state prediction perfect and worthless. The spread is
    the standard deviation over tokens, averaged over channels. The model keeps its first value, so that a resumed run
    is still measured against the start.

    Attributes:
        min_ratio: Smallest allowed spread relative to the initial one.
    """

    min_ratio: float = MIN_STD_RATIO

    def check(self, std: float, initial_std: float) -> None:
        """CollapseError below the limit; an initial spread of 0 means that training has not begun."""
        if initial_std > 0 and std < self.min_ratio * initial_std:
            raise CollapseError(
                f"next-state target collapsed: token spread {std:.3g} is {std / initial_std:.3g} of its initial "
                f"{initial_std:.3g} (limit {self.min_ratio:g}); lower the projector's learning rate, or set "
                "next_state.target_norm=True or next_state.ema=0.999"
            )
