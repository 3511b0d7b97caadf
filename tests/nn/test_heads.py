"""Trajectory decoders: the IK network and its two ablations."""

from __future__ import annotations

import inspect

import pytest
import torch

from eyesup.nn.diffusion.sampling import row_generators
from eyesup.nn.diffusion.schedule import DiffusionConfig
from eyesup.nn.heads.decoder import TrajectoryDecoder
from eyesup.nn.heads.ik import IKDiffusionDecoder, IKNetwork
from eyesup.nn.heads.regression import AttentionPoolDecoder, HiddenMLPDecoder
from eyesup.nn.position.patches import TokenGrid

GRID = TokenGrid(cameras=2, rows=2, cols=3)  # N = 12
SIZES = {
    "grid": GRID,
    "horizons": 2,
    "current_dim": 10,
    "next_dim": 14,
    "waypoints": 5,
    "action_dim": 3,
    "width": 16,
    "heads": 2,
}


@pytest.fixture
def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 12, 10, generator=generator), torch.randn(3, 2, 12, 14, generator=generator)


def build(kind: str) -> TrajectoryDecoder:
    torch.manual_seed(0)
    if kind == "ik":
        return IKDiffusionDecoder(IKNetwork(**SIZES), DiffusionConfig(20, sample_steps=5, prediction="sample"))
    if kind == "attention_pool":
        return AttentionPoolDecoder(**SIZES)
    return HiddenMLPDecoder(hidden_dim=14, width=32, waypoints=5, action_dim=3)


def context(decoder: TrajectoryDecoder, tokens: tuple[torch.Tensor, torch.Tensor]):
    return decoder.context(*tokens) if decoder.reads == "visual" else decoder.context(tokens[1][:, 0, 0])


def test_ik_network_can_only_be_given_visual_tokens() -> None:
    assert list(inspect.signature(IKNetwork.memory).parameters) == ["self", "current", "next"]
    assert list(inspect.signature(IKNetwork.forward).parameters) == ["self", "x_k", "k", "memory"]


def test_cached_memory_equals_attending_row_by_row_to_the_raw_tokens(tokens) -> None:
    """Naive twin: K alternatives over one memory = each alternative alone with its own memory."""
    network = build("ik").network
    x = torch.randn(3, 4, 5, 3)
    k = torch.randint(0, 20, (3, 4))
    together = network(x, k, network.memory(*tokens))
    for b in range(3):
        memory = network.memory(tokens[0][b : b + 1], tokens[1][b : b + 1])
        for j in range(4):
            alone = network(x[b : b + 1, j : j + 1], k[b : b + 1, j : j + 1], memory)
            torch.testing.assert_close(alone[0, 0], together[b, j], atol=1e-5, rtol=1e-5)


def test_level_per_sample_is_the_level_of_all_its_alternatives(tokens) -> None:
    network = build("ik").network
    memory = network.memory(*tokens)
    x, k = torch.randn(3, 2, 5, 3), torch.tensor([0, 7, 19])
    assert torch.equal(network(x, k, memory), network(x, k[:, None].expand(3, 2), memory))


@pytest.mark.parametrize("which", ["camera", "patch", "frame"])
def test_memory_knows_where_and_when_a_token_was_seen(tokens, which: str) -> None:
    """Swapping two tokens changes the output: attention alone would be blind to the order."""
    network = build("ik").network
    current, next = tokens
    current, next = current.clone(), next.clone()
    if which == "camera":
        current = current.roll(6, dims=1)
    elif which == "patch":
        current[:, [0, 1]] = current[:, [1, 0]]
    else:
        next = next.flip(1)
    x, k = torch.randn(3, 1, 5, 3), torch.tensor([3, 3, 3])
    assert not torch.allclose(
        network(x, k, network.memory(*tokens)), network(x, k, network.memory(current, next)), atol=1e-6
    )


def test_without_self_attention_waypoints_are_denoised_independently(tokens) -> None:
    torch.manual_seed(0)
    network = IKNetwork(**SIZES, self_attention=False)
    memory = network.memory(*tokens)
    x = torch.randn(3, 1, 5, 3)
    moved = x.clone()
    moved[:, :, 2] += 1.0
    change = (
        (network(moved, torch.tensor([1, 1, 1]), memory) - network(x, torch.tensor([1, 1, 1]), memory)).abs().amax(-1)
    )
    assert (change[:, :, 2] > 1e-4).all()
    assert change[:, :, [0, 1, 3, 4]].max() < 1e-6


@pytest.mark.parametrize("kind", ["ik", "attention_pool", "hidden"])
def test_decoder_overfits_one_batch(kind: str, tokens) -> None:
    decoder = build(kind)
    goal = torch.rand(3, 5, 3, generator=torch.Generator().manual_seed(2)) * 1.6 - 0.8
    optimizer = torch.optim.AdamW(decoder.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(3)
    wide = tuple(t.repeat_interleave(8, 0) for t in tokens)  # eight noise levels per step
    for _ in range(150):
        terms = decoder.terms(context(decoder, wide), goal.repeat_interleave(8, 0), generator)
        loss = (terms.prediction - terms.target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        plans = decoder.sample(context(decoder, tokens), row_generators(0, ["a", "b", "c"], 2), 2)
    assert plans.shape == (3, 2, 5, 3)
    assert (plans - goal[:, None]).abs().mean() < 0.05


@pytest.mark.parametrize("kind", ["ik", "attention_pool", "hidden"])
def test_gradient_reaches_every_parameter_and_both_inputs(kind: str, tokens) -> None:
    decoder = build(kind)
    leaves = tuple(t.clone().requires_grad_() for t in tokens)
    terms = decoder.terms(context(decoder, leaves), torch.zeros(3, 5, 3), torch.Generator().manual_seed(0))
    (terms.prediction - terms.target).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in decoder.parameters())
    assert leaves[1].grad is not None and leaves[1].grad.abs().sum() > 0
    if decoder.reads == "visual":
        assert leaves[0].grad is not None and leaves[0].grad.abs().sum() > 0


def test_regressors_give_the_same_plan_for_every_alternative(tokens) -> None:
    decoder = build("attention_pool")
    plans = decoder.sample(context(decoder, tokens), row_generators(0, ["a", "b", "c"], 4), 4)
    assert torch.equal(plans, plans[:, :1].expand_as(plans))
    assert not decoder.stochastic and build("ik").stochastic


def test_draws_of_noise_share_a_row_and_differ(tokens) -> None:
    decoder = build("ik")
    decoder.noise_draws = 4
    goal = torch.rand(3, 5, 3, generator=torch.Generator().manual_seed(2))
    terms = decoder.terms(decoder.context(*tokens), goal, torch.Generator().manual_seed(0))
    assert terms.prediction.shape == terms.target.shape == (3, 4, 5, 3)
    if decoder.diffusion.prediction == "sample":
        assert torch.equal(terms.target, goal[:, None].expand(-1, 4, -1, -1))
    else:
        assert (terms.target[:, 0] != terms.target[:, 1]).any()
    alone = build("ik")
    alone.load_state_dict(decoder.state_dict())
    wide = tuple(t.repeat_interleave(4, 0) for t in tokens)
    same = alone.terms(alone.context(*wide), goal.repeat_interleave(4, 0), torch.Generator().manual_seed(0))
    assert torch.allclose(same.prediction.flatten(0, 1), terms.prediction.flatten(0, 1), atol=1e-5)
