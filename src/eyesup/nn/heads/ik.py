"""The inverse-kinematics network: which motion leads from what I see to what I expect to see?

    x_k [B,K,T,A] --Linear--+-- pos(t) -- + -- MLP(sinusoid(k)) --> queries [B,K*T,d]
                                                                       |
    v_t   [B,N,Dv]   --Linear-- + pos(now) --\\                         v
    s_hat [B,H,N,Dl] --Linear-- + pos(h)   ---> memory --K,V--> blocks x 2 --LayerNorm, Linear--> eps [B,K,T,A]

Source: "Grounding Driving VLA via Inverse Kinematics", section 3.3 ("stack two cross-attention layers", "timestep added
to the query"). Departures: self-attention between waypoints (optional), LayerNorm on the memory, pre-norm.

The rule of this module: it takes two tensors of visual tokens and the noised trajectory. Ego status, command, history and
text cannot enter, because no argument could carry them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from eyesup.nn.diffusion.sampling import draw_noise, sample
from eyesup.nn.diffusion.schedule import DiffusionConfig, NoiseSchedule
from eyesup.nn.heads.decoder import DecoderTerms, TrajectoryDecoder
from eyesup.nn.position.patches import PatchPosition, TokenGrid

HEAD_INIT_STD = 1e-3  # start by predicting nothing: trains several times faster than the default on small data
MAX_PERIOD = 10_000.0  # of the sinusoidal level embedding (Vaswani et al. 2017)


class Memory(NamedTuple):
    """Keys and values of every block, [B, heads, M, d / heads] each; M = N * (1 + H)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


def split_heads(x: Float[Tensor, "B M D"], heads: int) -> Float[Tensor, "B heads M d"]:
    """Last axis into `heads` groups, heads first."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def sinusoid(level: Int[Tensor, "*rows"], width: int) -> Float[Tensor, "*rows D"]:
    """Sinusoidal embedding of noise levels."""
    half = width // 2
    frequencies = torch.exp(-math.log(MAX_PERIOD) * torch.arange(half, device=level.device) / half)
    angles = level.float()[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def feed_forward(width: int, ratio: int) -> nn.Sequential:
    """LayerNorm, Linear, GELU, Linear."""
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
    )


class VisualMemory(nn.Module):
    """Current and next visual tokens in one sequence of width d, each knowing its camera, patch and time."""

    def __init__(self, grid: TokenGrid, horizons: int, current_dim: int, next_dim: int, width: int) -> None:
        super().__init__()
        self.current = nn.Linear(current_dim, width)
        self.next = nn.Linear(next_dim, width)
        self.position = PatchPosition(grid, width, frames=1 + horizons)
        self.norm = nn.LayerNorm(width)

    def forward(self, current: Float[Tensor, "B N Dv"], next: Float[Tensor, "B H N Dl"]) -> Float[Tensor, "B M D"]:
        """M = N * (1 + H) tokens."""
        tokens = torch.cat([self.current(current)[:, None], self.next(next)], dim=1) + self.position()
        return self.norm(tokens.flatten(1, 2))


class SelfAttention(nn.Module):
    """Pre-norm self-attention between the waypoints of one trajectory."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "R T D"]) -> Float[Tensor, "R T D"]:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(self.norm(x)).chunk(3, dim=-1))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class CrossAttention(nn.Module):
    """Pre-norm cross-attention whose keys and values can be computed ahead of time."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def project(self, memory: Float[Tensor, "B M D"]) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, M, D / heads]."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return split_heads(keys, self.heads), split_heads(values, self.heads)

    def forward(self, x: Float[Tensor, "B Q D"], keys: Tensor, values: Tensor) -> Float[Tensor, "B Q D"]:
        q = split_heads(self.query(self.norm(x)), self.heads)
        return self.out(F.scaled_dot_product_attention(q, keys, values).transpose(1, 2).flatten(-2))


class IKBlock(nn.Module):
    """Waypoints look at each other, then at the visual tokens."""

    def __init__(self, width: int, heads: int, self_attention: bool, mlp_ratio: int) -> None:
        super().__init__()
        self.self_attention = SelfAttention(width, heads) if self_attention else None
        self.cross_attention = CrossAttention(width, heads)
        self.mlp = feed_forward(width, mlp_ratio)

    def forward(self, x: Float[Tensor, "B K T D"], keys: Tensor, values: Tensor) -> Float[Tensor, "B K T D"]:
        alternatives = x.shape[1]
        if self.self_attention is not None:
            x = x + self.self_attention(x.flatten(0, 1)).view_as(x)
        x = x.flatten(1, 2)  # (B, K * T, D): the alternatives of a sample share its keys and values
        x = x + self.cross_attention(x, keys, values)
        x = x + self.mlp(x)
        return x.unflatten(1, (alternatives, -1))


class IKNetwork(nn.Module):
    """eps_theta(x_k, k | v_t, s_hat) of section 3.3.

    Args:
        grid: Layout of the N visual tokens.
        horizons: H, number of predicted frames.
        current_dim, next_dim: Widths of current (Dv) and next (Dl) tokens.
        width, heads, blocks: Size of the network.
        waypoints, action_dim: T and A.
        self_attention: Let waypoints attend to each other; off is the paper's wording to the letter.
    """

    def __init__(
        self, *, grid: TokenGrid, horizons: int, current_dim: int, next_dim: int, waypoints: int, action_dim: int,
        width: int = 512, heads: int = 8, blocks: int = 2, mlp_ratio: int = 4, self_attention: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width = width
        self.waypoints, self.action_dim = waypoints, action_dim
        self.visual = VisualMemory(grid, horizons, current_dim, next_dim, width)
        self.embed = nn.Linear(action_dim, width)
        # Learned, but born as sinusoids: beside embedded noise of unit size, embeddings of size 0.02 are slow to be heard.
        self.waypoint_position = nn.Parameter(sinusoid(torch.arange(waypoints), width))
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(IKBlock(width, heads, self_attention, mlp_ratio) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, action_dim)
        nn.init.normal_(self.head.weight, std=HEAD_INIT_STD)
        nn.init.zeros_(self.head.bias)

    def memory(self, current: Float[Tensor, "B N Dv"], next: Float[Tensor, "B H N Dl"]) -> Memory:
        """Keys and values of all blocks: once per sample, reused over denoising steps and alternatives."""
        tokens = self.visual(current, next)
        projected = [block.cross_attention.project(tokens) for block in self.blocks]  # type: ignore[union-attr, operator]
        return Memory(tuple(k for k, _ in projected), tuple(v for _, v in projected))

    def forward(
        self, x_k: Float[Tensor, "B K T A"], k: Int[Tensor, "B"] | Int[Tensor, "B K"], memory: Memory
    ) -> Float[Tensor, "B K T A"]:
        """Predicted noise (or x_0, or v; see `DiffusionConfig.prediction`) of K trajectories per sample."""
        levels = k[:, None].expand(x_k.shape[:2]) if k.ndim == 1 else k
        level = self.level(sinusoid(levels, self.width))[:, :, None]  # (B, K, 1, D)
        x = self.embed(x_k) + self.waypoint_position + level
        for block, keys, values in zip(self.blocks, memory.keys, memory.values):
            x = block(x, keys, values)
        return self.head(self.norm(x))


class IKDiffusionDecoder(TrajectoryDecoder):
    """The paper's decoder: an IK network inside a diffusion process."""

    reads: ClassVar[Literal["visual", "hidden"]] = "visual"
    stochastic: ClassVar[bool] = True

    def __init__(self, network: IKNetwork, diffusion: DiffusionConfig, noise_draws: int = 1) -> None:
        super().__init__()
        self.network = network
        self.diffusion = diffusion
        self.noise_draws = noise_draws
        self.schedule = NoiseSchedule(diffusion)

    def context(self, *tokens: Tensor) -> Memory:
        """Keys and values from (current [B, N, Dv], next [B, H, N, Dl])."""
        current, next = tokens
        return self.network.memory(current, next)

    def terms(
        self, context: Memory, trajectory: Float[Tensor, "B T A"], generator: torch.Generator | None = None
    ) -> DecoderTerms:
        """`noise_draws` noise levels, each with its noise, per row; they share the row's keys and values."""
        shape = (-1, self.noise_draws)
        clean = trajectory.repeat_interleave(self.noise_draws, dim=0)
        noise = torch.randn(clean.shape, generator=generator).to(trajectory)
        level = self.schedule.draw_levels(len(clean), generator).to(trajectory.device)
        x_k = self.schedule.add_noise(clean, noise, level)
        prediction = self.network(x_k.unflatten(0, shape), level.unflatten(0, shape), context)
        return DecoderTerms(prediction, self.schedule.target(clean, noise, level).unflatten(0, shape))

    def sample(
        self, context: Memory, generators: Sequence[torch.Generator], samples: int = 1
    ) -> Float[Tensor, "B K T A"]:
        """Denoise from x_T drawn row by row."""
        noise = draw_noise(generators, self.network.waypoints, self.network.action_dim)

        def denoise(x_k: Tensor, k: Tensor) -> Tensor:
            shape = (-1, samples)
            return self.network(x_k.unflatten(0, shape), k.unflatten(0, shape), context).flatten(0, 1)

        rows = sample(denoise, noise.to(self.network.head.weight), self.diffusion, generators)
        return rows.unflatten(0, (-1, samples))
