"""Chains of denoising decisions."""

from __future__ import annotations

import math

import pytest
import torch

from eyesup.nn.diffusion.chain import LOG_PROB_RANGE, ChainConfig, DenoisingChain
from eyesup.nn.diffusion.schedule import DiffusionConfig, make_ddim
from eyesup.types import DataError

GOAL = torch.tensor([[[0.5, -0.25, 0.1], [0.8, -0.5, 0.2]]])


def knows_the_goal(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return GOAL.expand_as(x)


def chain_of(prediction: str = "sample", **changes: float) -> DenoisingChain:
    return DenoisingChain(DiffusionConfig(100, prediction=prediction), ChainConfig(**changes))


def test_levels_are_recogdrives() -> None:
    assert chain_of().levels == (80, 60, 40, 20, 0)
    with pytest.raises(DataError, match="3 steps must divide"):
        chain_of(steps=3)


def test_a_network_that_knows_the_goal_ends_near_it_and_same_seed_same_chain() -> None:
    noise = torch.randn(64, 2, 3, generator=torch.Generator().manual_seed(0))
    states = chain_of().draw(knows_the_goal, noise, torch.Generator().manual_seed(1))
    again = chain_of().draw(knows_the_goal, noise, torch.Generator().manual_seed(1))
    assert states.shape == (6, 64, 2, 3) and torch.equal(states, again) and torch.equal(states[0], noise)
    error = states[-1] - GOAL
    assert abs(error.std().item() - 0.04) < 0.006 and abs(error.mean().item()) < 0.01  # the last spread is the floor
    assert states[-1].abs().max() <= 1


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_means_and_spreads_are_those_of_ddim_with_eta_one(prediction: str) -> None:
    """diffusers takes the same step; its noise is set to zero for the mean and to one for the spread."""
    chain = chain_of(prediction)
    scheduler = make_ddim(DiffusionConfig(100, sample_steps=5, spacing="leading", prediction=prediction))
    assert tuple(scheduler.timesteps.tolist()) == chain.levels
    x = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(2))
    output = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(3)) * 0.3
    for step, level in enumerate(chain.levels):
        mean, sigma = chain._transition(lambda x, k: output, x, step)
        keep = {"eta": 1.0, "use_clipped_model_output": True}
        still = scheduler.step(output, level, x, variance_noise=torch.zeros_like(x), **keep).prev_sample
        moved = scheduler.step(output, level, x, variance_noise=torch.ones_like(x), **keep).prev_sample
        torch.testing.assert_close(mean, still, atol=2e-5, rtol=1e-5)
        assert sigma == pytest.approx((moved - still).mean().item(), abs=1e-4)


def test_log_probability_is_gaussian_clamped_and_has_a_gradient() -> None:
    chain = chain_of(steps=1)
    offset = torch.zeros((), requires_grad=True)
    noise = torch.zeros(1, 2, 3)
    end = torch.stack([noise, GOAL + 0.1])
    log_prob = chain.log_prob(lambda x, k: GOAL + offset, end)
    assert log_prob.shape == (1, 1)
    assert log_prob.item() == pytest.approx(-0.5 - math.log(0.1) - 0.5 * math.log(2 * math.pi), abs=1e-5)
    log_prob.sum().backward()
    assert offset.grad is not None and offset.grad.item() == pytest.approx(10.0, rel=1e-4)  # (x - mu) / sigma^2
    far = chain.log_prob(lambda x, k: GOAL, torch.stack([noise, GOAL + 0.9]))
    assert far.item() == pytest.approx(LOG_PROB_RANGE[0])
