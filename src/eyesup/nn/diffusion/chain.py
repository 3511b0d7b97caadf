"""Denoising as a chain of random decisions, for reinforcement learning: draw chains, and say how likely they are.

    x_0 <- mu_theta(x_1) + sigma eps <- ... <- mu_theta(x_K) + sigma eps <- x_K ~ N(0, 1)

Each arrow is a Gaussian whose mean is DDIM's step with eta = 1 and whose spread never falls below a floor, or the last steps
would be deterministic and have no gradient. Source: ReCogDrive's DiffGRPO, which section 3.4 of "Grounding Driving VLA via
Inverse Kinematics" takes over; DPPO (Ren et al. 2024) for the view of denoising as decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from eyesup.nn.diffusion.sampling import Denoiser
from eyesup.nn.diffusion.schedule import DiffusionConfig, NoiseSchedule
from eyesup.types import DataError

LOG_PROB_RANGE = (-5.0, 2.0)  # ReCogDrive clamps each element's log-probability


@dataclass(frozen=True)
class ChainConfig:
    """How chains are drawn and weighed; the defaults are ReCogDrive's.

    Attributes:
        steps: K, decisions per chain; must divide the schedule's T. Levels T - T / K, ..., 0 ("leading").
        sample_floor: Least standard deviation when drawing.
        log_prob_floor: Least standard deviation when weighing; wider, so that no step dominates the gradient.
        noise_clip: Bound on drawn noise.
    """

    steps: int = 5
    sample_floor: float = 0.04
    log_prob_floor: float = 0.1
    noise_clip: float = 5.0

    def __post_init__(self) -> None:
        if self.steps < 1 or min(self.sample_floor, self.log_prob_floor, self.noise_clip) <= 0:
            raise DataError(f"chain: steps {self.steps}, floors and clip must be positive: {self}")


class DenoisingChain:
    """Draws and weighs chains of one diffusion process.

    Args:
        diffusion: The process; its prediction type and clip are used, its sampler is not.
        config: The chain's own settings.
    """

    def __init__(self, diffusion: DiffusionConfig, config: ChainConfig) -> None:
        if diffusion.train_steps % config.steps:
            raise DataError(f"chain: {config.steps} steps must divide the schedule's {diffusion.train_steps}")
        self.diffusion, self.config = diffusion, config
        stride = diffusion.train_steps // config.steps
        self.levels = tuple(range(diffusion.train_steps - stride, -1, -stride))
        self._alphas = NoiseSchedule(diffusion).alphas_cumprod

    @torch.no_grad()
    def draw(
        self, denoise: Denoiser, noise: Float[Tensor, "R T A"], generator: torch.Generator
    ) -> Float[Tensor, "K1 R T A"]:
        """K + 1 states from pure noise (row 0) to the trajectory (last row, clipped to the normalised range)."""
        states = [noise]
        for step in range(self.config.steps):
            mean, sigma = self._transition(denoise, states[-1], step)
            drawn = torch.randn(mean.shape, generator=generator).to(mean)
            limit = self.config.noise_clip
            states.append(mean + max(sigma, self.config.sample_floor) * drawn.clamp(-limit, limit))
        states[-1] = states[-1].clamp(-self.diffusion.clip, self.diffusion.clip)
        return torch.stack(states)

    def log_prob(self, denoise: Denoiser, chain: Float[Tensor, "K1 R T A"]) -> Float[Tensor, "K R"]:
        """Log-probability of each decision, mean over waypoints and dimensions; the gradient passes through the means."""
        rows = []
        for step in range(self.config.steps):
            mean, sigma = self._transition(denoise, chain[step], step)
            spread = torch.full_like(mean, max(sigma, self.config.log_prob_floor))
            log_prob = torch.distributions.Normal(mean, spread).log_prob(chain[step + 1])
            rows.append(log_prob.clamp(*LOG_PROB_RANGE).mean(dim=(-2, -1)))
        return torch.stack(rows)

    def _transition(self, denoise: Denoiser, x: Float[Tensor, "R T A"], step: int) -> tuple[Tensor, float]:
        """Mean and standard deviation of DDIM's step with eta = 1 (Song et al. 2021, equation 12)."""
        level = self.levels[step]
        now = float(self._alphas[level])
        then = float(self._alphas[self.levels[step + 1]]) if step + 1 < len(self.levels) else 1.0
        levels = torch.full((len(x),), level, device=x.device)
        clean = self._clean(denoise(x, levels), x, now).clamp(-self.diffusion.clip, self.diffusion.clip)
        noise = (x - now**0.5 * clean) / (1 - now) ** 0.5
        variance = (1 - then) / (1 - now) * (1 - now / then)
        mean = then**0.5 * clean + max(1 - then - variance, 0.0) ** 0.5 * noise
        return mean, variance**0.5

    def _clean(self, prediction: Tensor, x: Tensor, alpha: float) -> Tensor:
        """x_0 from what the network predicts."""
        if self.diffusion.prediction == "sample":
            return prediction
        if self.diffusion.prediction == "v_prediction":
            return alpha**0.5 * x - (1 - alpha) ** 0.5 * prediction
        return (x - (1 - alpha) ** 0.5 * prediction) / alpha**0.5
