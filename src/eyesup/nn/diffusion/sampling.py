"""Samplers: from noise to a trajectory, with the noise of every row in the caller's hands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from eyesup.nn.diffusion.schedule import DiffusionConfig, make_ddim, make_ddpm
from eyesup.types import DataError

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x_k [R, T, A], k [R]) -> the network's prediction [R, T, A]."""


def row_generator(seed: int, key: str, index: int = 0) -> torch.Generator:
    """Generator of alternative `index` of sample `key`: a stable digest of the three, so a batch equals its singles."""
    digest = hashlib.sha256(f"{seed}/{index}/{key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def row_generators(seed: int, keys: Sequence[str], samples: int) -> list[torch.Generator]:
    """B * K generators, the alternatives of a sample next to each other; alternative 0 does not depend on K."""
    return [row_generator(seed, key, index) for key in keys for index in range(samples)]


def draw_noise(generators: Sequence[torch.Generator], waypoints: int, dims: int) -> Float[Tensor, "R T A"]:
    """Standard normal noise, each row from its own generator."""
    return torch.stack([torch.randn(waypoints, dims, generator=generator) for generator in generators])


@torch.no_grad()
def sample(
    denoise: Denoiser,
    noise: Float[Tensor, "R T A"],
    config: DiffusionConfig,
    generators: Sequence[torch.Generator] | None = None,
) -> Float[Tensor, "R T A"]:
    """Walk from x_T = `noise` to x_0.

    `generators` (one per row) give the noise added on the way; needed unless the sampler is ``ddim`` with eta = 0.
    """
    if generators is None and (config.sampler == "ddpm" or config.eta > 0):
        raise DataError(f"sampler {config.sampler} with eta {config.eta} adds noise: pass one generator per row")
    walk = _walk_ddpm if config.sampler == "ddpm" else _walk_ddim
    return walk(denoise, noise, config, list(generators or []))


def _walk_ddpm(denoise: Denoiser, x: Tensor, config: DiffusionConfig, generators: list[torch.Generator]) -> Tensor:
    scheduler = make_ddpm(config)
    for level in range(config.train_steps - 1, -1, -1):
        prediction = denoise(x, torch.full((len(x),), level, device=x.device))
        # diffusers annotates one generator but takes a list with one per row
        x = scheduler.step(prediction, level, x, generator=generators).prev_sample
    return x


def _walk_ddim(denoise: Denoiser, x: Tensor, config: DiffusionConfig, generators: list[torch.Generator]) -> Tensor:
    """eps is re-derived from the clipped x_0: near T, abar is so small that an unclipped eps would contradict it."""
    scheduler = make_ddim(config)
    for level in scheduler.timesteps.tolist():
        prediction = denoise(x, torch.full((len(x),), level, device=x.device))
        extra = draw_noise(generators, *x.shape[1:]).to(x) if config.eta > 0 else None
        x = scheduler.step(
            prediction, level, x, eta=config.eta, use_clipped_model_output=True, variance_noise=extra
        ).prev_sample
    return x
