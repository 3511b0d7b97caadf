"""Group relative policy optimisation of a diffusion planner (ReCogDrive's DiffGRPO; ik_vla paper, section 3.4).

No importance ratio and no clip: one update per rollout, that is REINFORCE with the group as baseline. Imitating chains of the
policy that training began with takes the place of a KL term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from eyesup.types import DataError

STD_FLOOR = 1e-8


@runtime_checkable
class Rollouts(Protocol):
    """What the objective reads off a rollout of G chains with K decisions per scene."""

    @property
    def log_probs(self) -> Tensor:
        """[K, B, G] of the drawn chains."""
        ...

    @property
    def rewards(self) -> Tensor:
        """[B, G]."""
        ...

    @property
    def teacher_log_probs(self) -> Tensor | None:
        """[K, B, G] of chains that the policy of the start drew."""
        ...


def group_advantages(rewards: Float[Tensor, "B G"]) -> Float[Tensor, "B G"]:
    """Reward in standard deviations of its group; 0 where all of a group are rewarded alike.

    Raises:
        DataError: a group of one has no baseline.
    """
    if rewards.shape[1] < 2:
        raise DataError(f"GRPO: a group of {rewards.shape[1]} has no baseline; draw at least 2 plans per scene")
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (rewards.std(dim=1, keepdim=True) + STD_FLOOR)


@dataclass(frozen=True)
class GRPOObjective:
    """Named losses of one rollout.

    Attributes:
        gamma: Discount per decision towards the noisy end of the chain.
        imitation: Weight of imitating the first policy's chains.
    """

    gamma: float = 0.6
    imitation: float = 0.1

    def __call__(self, outputs: Rollouts, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``total`` is minimised; ``policy`` and ``imitation`` are its parts, ``reward`` and ``reward_spread`` are watched."""
        advantages = group_advantages(outputs.rewards).to(outputs.log_probs)
        steps = len(outputs.log_probs)
        weights = self.gamma ** torch.arange(steps - 1, -1, -1, device=advantages.device, dtype=advantages.dtype)
        policy = -(weights[:, None, None] * outputs.log_probs * advantages).mean()
        losses = {
            "policy": policy,
            "reward": outputs.rewards.mean(),
            "reward_spread": outputs.rewards.std(dim=1).mean(),
        }
        total = policy
        if outputs.teacher_log_probs is not None and self.imitation > 0:
            losses["imitation"] = -outputs.teacher_log_probs.mean()
            total = total + self.imitation * losses["imitation"]
        return {"total": total, **losses}
