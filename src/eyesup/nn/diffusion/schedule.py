"""The noise schedule of the diffusion planner (Ho et al. 2020, DDPM; Nichol & Dhariwal 2021, cosine schedule).

Notation: x_0 clean trajectory in [-1, 1], k noise level in {0, ..., T - 1}, eps ~ N(0, I),
x_k = sqrt(abar_k) x_0 + sqrt(1 - abar_k) eps. The schedulers of diffusers do the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from jaxtyping import Float, Int
from torch import Tensor

from eyesup.types import DataError

COSINE_SCHEDULE = "squaredcos_cap_v2"  # diffusers' name of f(k) = cos^2((k/T + 0.008) / 1.008 * pi/2), beta <= 0.999


@dataclass(frozen=True)
class DiffusionConfig:
    """How trajectories are noised and denoised.

    Attributes:
        train_steps: T, number of noise levels.
        sampler: ``ddpm`` walks all T levels ancestrally (the paper's); ``ddim`` takes `sample_steps` of them.
        sample_steps: Steps of ``ddim``; must divide `train_steps`.
        eta: Noise kept by ``ddim``: 0 is deterministic given x_T, 1 as noisy as ``ddpm``.
        spacing: Levels visited by ``ddim``. ``trailing`` starts at T - 1, where x_k really is pure noise; ``leading``
            (ReCogDrive's) starts at T - T / steps.
        prediction: What the network returns; the paper's is ``epsilon``.
        clip: Bound on the predicted x_0 at every step (trajectories are normalised to [-1, 1]).
    """

    train_steps: int = 100
    sampler: Literal["ddpm", "ddim"] = "ddim"
    sample_steps: int = 10
    eta: float = 0.0
    spacing: Literal["trailing", "leading"] = "trailing"
    prediction: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    clip: float = 1.0

    def __post_init__(self) -> None:
        if self.train_steps < 1 or not 1 <= self.sample_steps <= self.train_steps:
            raise DataError(f"diffusion: {self.sample_steps} sample steps of {self.train_steps} train steps")
        if self.train_steps % self.sample_steps:
            raise DataError(
                f"diffusion: sample_steps {self.sample_steps} must divide train_steps {self.train_steps}, "
                "or DDIM's strides miss their levels"
            )
        if not 0 <= self.eta <= 1:
            raise DataError(f"diffusion: eta {self.eta} must lie in [0, 1]")


class NoiseSchedule:
    """The forward process: noise in, and the value the network must predict."""

    def __init__(self, config: DiffusionConfig) -> None:
        self.config = config
        self._ddpm = make_ddpm(config)

    @property
    def alphas_cumprod(self) -> Float[Tensor, "T"]:
        """abar_k for k = 0 ... T - 1 (one noising step is already applied at k = 0)."""
        return self._ddpm.alphas_cumprod

    def draw_levels(self, rows: int, generator: torch.Generator | None = None) -> Int[Tensor, "B"]:
        """k ~ U{0, ..., T - 1}, one per row; without a generator, torch's default one."""
        return torch.randint(0, self.config.train_steps, (rows,), generator=generator)

    def add_noise(
        self, clean: Float[Tensor, "B T A"], noise: Float[Tensor, "B T A"], level: Int[Tensor, "B"]
    ) -> Float[Tensor, "B T A"]:
        """x_k from x_0."""
        return self._ddpm.add_noise(clean, noise, level)

    def target(
        self, clean: Float[Tensor, "B T A"], noise: Float[Tensor, "B T A"], level: Int[Tensor, "B"]
    ) -> Float[Tensor, "B T A"]:
        """What the network is asked for: eps, x_0, or v = sqrt(abar) eps - sqrt(1 - abar) x_0."""
        if self.config.prediction == "sample":
            return clean
        if self.config.prediction == "v_prediction":
            return self._ddpm.get_velocity(clean, noise, level)
        return noise


def make_ddpm(config: DiffusionConfig) -> Any:
    """diffusers' DDPMScheduler: ancestral sampling over all T levels, posterior variance ("fixed_small")."""
    return DDPMScheduler(
        num_train_timesteps=config.train_steps,
        beta_schedule=COSINE_SCHEDULE,
        prediction_type=config.prediction,
        clip_sample=True,
        clip_sample_range=config.clip,
    )


def make_ddim(config: DiffusionConfig) -> Any:
    """diffusers' DDIMScheduler over `sample_steps` levels; the last step lands on x_0 itself (abar = 1)."""
    scheduler = DDIMScheduler(
        num_train_timesteps=config.train_steps,
        beta_schedule=COSINE_SCHEDULE,
        prediction_type=config.prediction,
        clip_sample=True,
        clip_sample_range=config.clip,
        timestep_spacing=config.spacing,
        set_alpha_to_one=True,
    )
    scheduler.set_timesteps(config.sample_steps)
    return scheduler
