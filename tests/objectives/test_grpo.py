"""Group relative policy optimisation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from eyesup.objectives.grpo import GRPOObjective, group_advantages
from eyesup.types import DataError


def test_advantages_are_standard_scores_within_a_group() -> None:
    rewards = torch.tensor([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    torch.testing.assert_close(group_advantages(rewards), torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    with pytest.raises(DataError, match="a group of 1 has no baseline"):
        group_advantages(torch.zeros(2, 1))


def test_losses_are_the_hand_computed_ones() -> None:
    log_probs = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])  # K = 2 decisions, B = 1, G = 2
    outputs = SimpleNamespace(
        log_probs=log_probs, rewards=torch.tensor([[0.0, 2.0]]), teacher_log_probs=torch.full((2, 1, 2), -3.0)
    )
    losses = GRPOObjective(gamma=0.5, imitation=0.1)(outputs, {})
    high = 1.0 / 2**0.5  # advantages are -high, +high
    policy = -(0.5 * (2.0 - 1.0) * high + 1.0 * (4.0 - 3.0) * high) / 4
    assert losses["policy"].item() == pytest.approx(policy, rel=1e-5)
    assert losses["imitation"].item() == pytest.approx(3.0)
    assert losses["total"].item() == pytest.approx(policy + 0.3, rel=1e-5)
    assert losses["reward"].item() == pytest.approx(1.0)
    alone = GRPOObjective()(SimpleNamespace(log_probs=log_probs, rewards=outputs.rewards, teacher_log_probs=None), {})
    assert "imitation" not in alone and alone["total"] == alone["policy"]
