"""Decoders without diffusion: the two architectural ablations of the paper's table on nuScenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eyesup.nn.heads.decoder import DecoderTerms, TrajectoryDecoder
from eyesup.nn.heads.ik import CrossAttention, VisualMemory
from eyesup.nn.position.patches import INIT_STD, TokenGrid


class RegressionDecoder(TrajectoryDecoder):
    """Shared by decoders whose context already is the trajectory (B, T, A): the same plan for every alternative."""

    stochastic: ClassVar[bool] = False

    def terms(
        self,
        context: Float[Tensor, "B T A"],
        trajectory: Float[Tensor, "B T A"],
        generator: torch.Generator | None = None,
    ) -> DecoderTerms:
        """The regressed trajectory against the driven one."""
        return DecoderTerms(context[:, None], trajectory[:, None])

    def sample(
        self, context: Float[Tensor, "B T A"], generators: Sequence[torch.Generator], samples: int = 1
    ) -> Float[Tensor, "B K T A"]:
        """Clipped to [-1, 1] as the diffusion decoder's are."""
        return context.clamp(-1, 1)[:, None].expand(-1, samples, -1, -1)


class AttentionPoolDecoder(RegressionDecoder):
    """The ablation without diffusion: one learned query pools current and next tokens, an MLP writes the trajectory.

    Sees exactly what the IK network sees: two tensors of visual tokens.
    """

    reads: ClassVar[Literal["visual", "hidden"]] = "visual"

    def __init__(
        self, *, grid: TokenGrid, horizons: int, current_dim: int, next_dim: int, waypoints: int, action_dim: int,
        width: int = 512, heads: int = 8, mlp_ratio: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        self.visual = VisualMemory(grid, horizons, current_dim, next_dim, width)
        self.query = nn.Parameter(torch.randn(1, 1, width) * INIT_STD)
        self.pool = CrossAttention(width, heads)
        self.mlp = trajectory_mlp(width, mlp_ratio * width, waypoints, action_dim)

    def context(self, *tokens: Tensor) -> Float[Tensor, "B T A"]:
        """The trajectory, from (current [B, N, Dv], next [B, H, N, Dl])."""
        current, next = tokens
        keys, values = self.pool.project(self.visual(current, next))
        return self.mlp(self.pool(self.query.expand(len(current), -1, -1), keys, values)[:, 0])


class HiddenMLPDecoder(RegressionDecoder):
    """The ablation without an IK network: an MLP reads the trajectory off one hidden state of the language model.

    That state has attended to ego status, command and history: the shortcut that the IK network closes.
    """

    reads: ClassVar[Literal["visual", "hidden"]] = "hidden"

    def __init__(self, *, hidden_dim: int, width: int, waypoints: int, action_dim: int) -> None:
        super().__init__()
        self.mlp = trajectory_mlp(hidden_dim, width, waypoints, action_dim)

    def context(self, *tokens: Tensor) -> Float[Tensor, "B T A"]:
        """The trajectory, from one hidden state per row [B, D]."""
        (hidden,) = tokens
        return self.mlp(hidden)


def trajectory_mlp(width_in: int, width: int, waypoints: int, action_dim: int) -> nn.Sequential:
    """LayerNorm, Linear, GELU, Linear to a whole trajectory."""
    return nn.Sequential(
        nn.LayerNorm(width_in), nn.Linear(width_in, width), nn.GELU(), nn.Linear(width, waypoints * action_dim),
        nn.Unflatten(-1, (waypoints, action_dim)),
    )  # fmt: skip
