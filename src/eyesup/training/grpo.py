"""Rollouts for group relative policy optimisation of a diffusion planner: draw G plans per scene, have them rewarded.

    batch --frozen--> (v_t, s_hat) --decoder's keys and values--> G chains --decode--> plans --reward--> advantages

Source: ReCogDrive's DiffGRPO, which the IK-VLA paper's reinforcement stage takes over (ik_vla spec, section 6). Only the decoder
learns; encoder, projector and language model are frozen, and the visual tokens are computed once per scene.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eyesup.models.ik_vla.model import IKVLA
from eyesup.nn.diffusion.chain import ChainConfig, DenoisingChain
from eyesup.nn.heads.ik import IKDiffusionDecoder, Memory
from eyesup.types import DataError

Reward = Callable[[Sequence[str], Float64[np.ndarray, "B G T 3"]], Float64[np.ndarray, "B G"]]
"""Sample keys and planned poses in the ego frame [m, m, rad] to one number per plan, larger is better."""

Decode = Callable[[Tensor], Float64[np.ndarray, "*batch T 3"]]
"""Normalised plans (..., T, A) to poses, e.g. `IKVLAProcessor.denormalize`."""


@dataclass(frozen=True)
class RLConfig:
    """The reinforcement stage; defaults are ReCogDrive's.

    Attributes:
        enabled: Train by reward instead of by imitation; the run then needs the weights of a supervised one.
        group: G, plans drawn per scene.
        gamma: Discount per decision towards the noisy end of a chain.
        imitation: Weight of imitating chains of the policy that training began with.
        chain: How chains are drawn and weighed.
        weights: Of ego progress, time to collision and comfort in the reward (the benchmark's are 5, 5, 2).
        version: Of the PDM score.
    """

    enabled: bool = False
    group: int = 8
    gamma: float = 0.6
    imitation: float = 0.1
    chain: ChainConfig = field(default_factory=ChainConfig)
    weights: tuple[float, float, float] = (10.0, 5.0, 2.0)
    version: str = "v1"

    def __post_init__(self) -> None:
        if self.group < 2:
            raise DataError(f"rl: a group of {self.group} has no baseline; draw at least 2 plans per scene")
        if not 0 < self.gamma <= 1 or self.imitation < 0:
            raise DataError(f"rl: gamma {self.gamma} must lie in (0, 1] and imitation {self.imitation} be 0 or more")


@dataclass(frozen=True)
class GRPOOutputs:
    """One rollout.

    Attributes:
        log_probs: [K, B, G] of the drawn chains under the policy as it is.
        rewards: [B, G].
        teacher_log_probs: [K, B, G] of the first policy's chains under the policy as it is; None where they have no weight.
        plans: [B, G, T, A] normalised.
    """

    log_probs: Tensor
    rewards: Tensor
    teacher_log_probs: Tensor | None
    plans: Tensor


class GRPOModel(nn.Module):
    """An IK-VLA whose forward pass is a rollout.

    Args:
        policy: A trained IK-VLA with a diffusion decoder; everything but the decoder is frozen here.
        reward: Rewards plans.
        decode: Normalised plans to poses.
        config: The stage's settings.
    """

    def __init__(self, policy: IKVLA, reward: Reward, decode: Decode, config: RLConfig) -> None:
        super().__init__()
        if not isinstance(policy.decoder, IKDiffusionDecoder):
            raise DataError(f"rl: decoder {policy.config.decoder.kind!r} draws no plans; it must be 'ik_diffusion'")
        self.policy = policy.requires_grad_(False)
        self.policy.decoder.requires_grad_(True)  # type: ignore[union-attr]
        self.teacher = copy.deepcopy(policy.decoder).requires_grad_(False) if config.imitation > 0 else None
        self.reward, self.decode, self.config = reward, decode, config
        self.chain = DenoisingChain(policy.decoder.diffusion, config.chain)

    def forward(self, batch: Mapping[str, Any], generator: torch.Generator | None = None) -> GRPOOutputs:
        """Roll out, reward, and weigh. Randomness from `generator`, or a draw from torch's default one."""
        seed = int(torch.randint(2**62, (), generator=generator))
        drawing = torch.Generator().manual_seed(seed)
        decoder: IKDiffusionDecoder = self.policy.decoder  # type: ignore[assignment]
        current, next = self._visual_tokens(batch)
        with torch.autocast(current.device.type, enabled=False):  # chains are float32, as in ReCogDrive
            context = decoder.context(current, next)
            rows = len(current)
            noise = torch.randn(2, rows * self.config.group, *self._shape, generator=drawing).to(current)
            chain = self.chain.draw(self._denoiser(decoder, context, rows), noise[0], drawing)
            log_probs = self.chain.log_prob(self._denoiser(decoder, context, rows), chain)
            plans = chain[-1].unflatten(0, (rows, self.config.group))
            taught = self._teacher_log_probs(current, next, context, noise[1], drawing)
        rewards = torch.from_numpy(self.reward(batch["keys"], self.decode(plans))).to(current)
        return GRPOOutputs(log_probs.unflatten(1, (rows, self.config.group)), rewards, taught, plans)

    @property
    def _shape(self) -> tuple[int, int]:
        plan = self.policy.config.decoder
        return plan.waypoints, plan.action_dim

    @torch.no_grad()
    def _visual_tokens(self, batch: Mapping[str, Any]) -> tuple[Float[Tensor, "B N D"], Float[Tensor, "B H N Dl"]]:
        """What the decoder may see: present tokens and s_hat."""
        tokens = self.policy.current_tokens(batch)
        readout = self.policy.read(batch, tokens)
        encoder = self.policy.config.decoder.current_source == "encoder"
        current = tokens if encoder else self.policy.projector(tokens)
        return current.float(), readout.next_state.float()

    def _denoiser(self, decoder: IKDiffusionDecoder, context: Memory, rows: int) -> Callable[[Tensor, Tensor], Tensor]:
        shape = (rows, self.config.group)

        def denoise(x: Tensor, k: Tensor) -> Tensor:
            return decoder.network(x.unflatten(0, shape), k.unflatten(0, shape), context).flatten(0, 1)

        return denoise

    def _teacher_log_probs(
        self, current: Tensor, next: Tensor, context: Memory, noise: Tensor, drawing: torch.Generator
    ) -> Float[Tensor, "K B G"] | None:
        """How likely the policy finds chains that the policy of the start draws."""
        if self.teacher is None:
            return None
        rows = len(current)
        with torch.no_grad():
            known = self.teacher.context(current, next)  # type: ignore[operator]
            chain = self.chain.draw(self._denoiser(self.teacher, known, rows), noise, drawing)  # type: ignore[arg-type]
        decoder: IKDiffusionDecoder = self.policy.decoder  # type: ignore[assignment]
        log_probs = self.chain.log_prob(self._denoiser(decoder, context, rows), chain)
        return log_probs.unflatten(1, (rows, self.config.group))
