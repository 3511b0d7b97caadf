"""Noise schedule and samplers of the diffusion planner."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from eyesup.nn.diffusion.sampling import draw_noise, row_generators, sample
from eyesup.nn.diffusion.schedule import DiffusionConfig, NoiseSchedule, make_ddim
from eyesup.types import DataError


def cosine_alpha_bar(steps: int) -> torch.Tensor:
    """specs: f(k) = cos^2((k/T + 0.008) / 1.008 * pi/2), beta_k = min(1 - f(k+1)/f(k), 0.999), abar = prod(1 - beta)."""
    f = [math.cos((k / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(steps + 1)]
    betas = [min(1 - f[k + 1] / f[k], 0.999) for k in range(steps)]
    return torch.tensor([math.prod(1 - b for b in betas[: k + 1]) for k in range(steps)], dtype=torch.float64)


@pytest.mark.parametrize("steps", [20, 50, 100])
def test_schedule_is_the_cosine_formula(steps: int) -> None:
    schedule = NoiseSchedule(DiffusionConfig(train_steps=steps, sample_steps=5))
    torch.testing.assert_close(schedule.alphas_cumprod.double(), cosine_alpha_bar(steps), rtol=1e-4, atol=1e-7)


def test_noise_and_targets_match_their_definitions() -> None:
    torch.manual_seed(0)
    clean, noise = torch.rand(4, 6, 3) * 2 - 1, torch.randn(4, 6, 3)
    level = torch.tensor([0, 5, 50, 99])
    for prediction in ("epsilon", "sample", "v_prediction"):
        schedule = NoiseSchedule(DiffusionConfig(prediction=prediction))
        abar = schedule.alphas_cumprod[level][:, None, None]
        torch.testing.assert_close(
            schedule.add_noise(clean, noise, level), abar.sqrt() * clean + (1 - abar).sqrt() * noise
        )
        wanted = {"epsilon": noise, "sample": clean, "v_prediction": abar.sqrt() * noise - (1 - abar).sqrt() * clean}
        torch.testing.assert_close(schedule.target(clean, noise, level), wanted[prediction])


def oracle(clean: torch.Tensor, config: DiffusionConfig):
    """A network that knows x_0 and returns what the scheduler asks for."""
    schedule = NoiseSchedule(config)

    def denoise(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        abar = schedule.alphas_cumprod[k][:, None, None]
        noise = (x - abar.sqrt() * clean) / (1 - abar).sqrt()
        return schedule.target(clean, noise, k)

    return denoise


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("sampler,eta", [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 1.0)])
def test_every_sampler_recovers_the_trajectory_of_a_perfect_network(prediction: str, sampler: str, eta: float) -> None:
    config = DiffusionConfig(20, sampler, 5, eta, "trailing", prediction)  # type: ignore[arg-type]
    torch.manual_seed(1)
    clean = torch.rand(2, 6, 3) * 1.8 - 0.9
    noise = draw_noise(row_generators(0, ["a", "b"], 1), 6, 3)
    found = sample(oracle(clean, config), noise, config, row_generators(1, ["a", "b"], 1))
    torch.testing.assert_close(found, clean, atol=1e-3, rtol=0)


def test_ddim_with_all_steps_and_eta_one_is_ddpm() -> None:
    ddpm = DiffusionConfig(20, "ddpm", 20)
    ddim = DiffusionConfig(20, "ddim", 20, eta=1.0)
    weight = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    noise = draw_noise(row_generators(0, ["a"], 1), 6, 3)

    def denoise(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ weight)

    walks = [sample(denoise, noise, config, row_generators(3, ["a"], 1)) for config in (ddpm, ddim)]
    torch.testing.assert_close(*walks, atol=1e-4, rtol=1e-4)


def test_result_stays_in_the_normalised_range() -> None:
    config = DiffusionConfig(20, sample_steps=5)
    noise = draw_noise(row_generators(0, ["a"], 4), 6, 3)
    assert sample(lambda x, k: -5 * x, noise, config).abs().max() <= 1.0


def test_noise_of_a_row_depends_on_seed_key_and_index_only() -> None:
    pair = draw_noise(row_generators(0, ["a", "b"], 2), 6, 3)
    torch.testing.assert_close(pair[:1], draw_noise(row_generators(0, ["a"], 1), 6, 3), rtol=0, atol=0)
    torch.testing.assert_close(pair[2:], draw_noise(row_generators(0, ["b"], 2), 6, 3), rtol=0, atol=0)
    other = draw_noise(row_generators(1, ["a", "b"], 2), 6, 3)
    assert (pair != other).all()
    assert (pair[0] != pair[1]).all()


def test_trailing_starts_at_pure_noise_and_leading_is_recogdrives_grid() -> None:
    trailing: DDIMScheduler = make_ddim(DiffusionConfig(100, sample_steps=5))
    leading = make_ddim(DiffusionConfig(100, sample_steps=5, spacing="leading"))
    assert trailing.timesteps.tolist() == [99, 79, 59, 39, 19]
    assert leading.timesteps.tolist() == [80, 60, 40, 20, 0]


def test_errors_name_value_and_limit() -> None:
    with pytest.raises(DataError, match="sample_steps 8 must divide train_steps 100"):
        DiffusionConfig(100, sample_steps=8)
    with pytest.raises(DataError, match="one generator per row"):
        sample(lambda x, k: x, torch.zeros(1, 2, 3), DiffusionConfig(20, "ddpm", 5))
