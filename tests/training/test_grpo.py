"""The rollout of a diffusion planner, on the ``debug`` preset with made-up rewards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from eyesup.models.ik_vla.planner import build
from eyesup.models.ik_vla.presets import preset
from eyesup.objectives.grpo import GRPOObjective
from eyesup.training.grpo import GRPOModel, RLConfig
from eyesup.types import DataError


def batch_for(model, scenes: int = 3) -> dict:
    """Visual tokens and placeholders alone make a batch that the language model can read."""
    grid, horizons = model.config.grid, model.config.next_state.horizons
    n, places = grid.tokens, grid.tokens * horizons
    length = n + 1 + places + 1
    rng = torch.Generator().manual_seed(0)
    mask = torch.zeros(scenes, length, dtype=torch.bool)
    scene, ego, following = mask.clone(), mask.clone(), mask.clone()
    scene[:, :n], ego[:, n], following[:, n + 1 : -1] = True, True, True
    return {
        "keys": tuple(f"scene-{i}" for i in range(scenes)),
        "input_ids": torch.zeros(scenes, length, dtype=torch.long),
        "attention_mask": torch.ones(scenes, length, dtype=torch.long),
        "scene_mask": scene, "ego_mask": ego, "next_mask": following,
        "ego_vector": torch.randn(scenes, model.config.ego_dim, generator=rng),
        "current_tokens": torch.randn(scenes, n, model.encoder.width, generator=rng),
    }  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    return build(preset("debug"), seed=0)


def short_plans(keys, poses: np.ndarray) -> np.ndarray:
    """Likes plans that end near the origin."""
    assert len(keys) == len(poses)
    return -np.hypot(poses[..., -1, 0], poses[..., -1, 1])


def test_only_the_decoder_learns_and_rollouts_repeat(parts) -> None:
    model, processor = parts
    rollout = GRPOModel(model, short_plans, processor.denormalize, RLConfig(enabled=True, group=4))
    batch = batch_for(model)
    first = rollout(batch, torch.Generator().manual_seed(5))
    again = rollout(batch, torch.Generator().manual_seed(5))
    assert torch.equal(first.plans, again.plans) and first.plans.shape[:2] == (3, 4)
    assert first.log_probs.shape == (5, 3, 4) and first.rewards.shape == (3, 4)
    assert not torch.equal(first.plans[:, 0], first.plans[:, 1])
    GRPOObjective()(first, batch)["total"].backward()
    learning = {name for name, p in rollout.named_parameters() if p.requires_grad}
    assert learning == {f"policy.decoder.{name}" for name, _ in model.decoder.named_parameters()}
    assert all(p.grad is None for name, p in rollout.named_parameters() if name not in learning)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.decoder.parameters())


def test_reward_rises(parts) -> None:
    fresh, processor = build(preset("debug"), seed=1)
    rollout = GRPOModel(fresh, short_plans, processor.denormalize, RLConfig(enabled=True, group=16, imitation=0.0))
    objective, batch = GRPOObjective(imitation=0.0), batch_for(fresh, 2)
    optimizer = torch.optim.AdamW([p for p in rollout.parameters() if p.requires_grad], 1e-3)
    rewards = []
    for step in range(40):
        losses = objective(rollout(batch, torch.Generator().manual_seed(step)), batch)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        rewards.append(losses["reward"].item())
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 1.0  # metres


def test_a_decoder_without_diffusion_is_refused() -> None:
    chosen = preset("debug")
    regressor = replace(chosen.model, decoder=replace(chosen.model.decoder, kind="ik_attnpool_mlp"))
    model, processor = build(replace(chosen, model=regressor), seed=0)
    with pytest.raises(DataError, match="draws no plans"):
        GRPOModel(model, short_plans, processor.denormalize, RLConfig(enabled=True))
    with pytest.raises(DataError, match="a group of 1"):
        RLConfig(group=1)
