"""Losses of IK-VLA on hand-computed numbers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from eyesup.objectives.diffusion import trajectory_loss
from eyesup.objectives.ik_vla import IKVLAObjective
from eyesup.objectives.language import token_loss
from eyesup.objectives.next_state import CollapseAlarm, CollapseError, next_state_loss
from eyesup.types import DataError

VALID = torch.ones(2, 1, dtype=torch.bool)


def outputs(**changes: object) -> SimpleNamespace:
    """Two samples, one horizon, three tokens of four channels; every error is known."""
    found = {
        "next_state": torch.full((2, 1, 3, 4), 2.0, requires_grad=True), "next_target": torch.zeros(2, 1, 3, 4),
        "next_valid": VALID, "target_std": torch.tensor(1.0), "target_std_initial": torch.tensor(1.0),
        "decoder": SimpleNamespace(prediction=torch.full((2, 1, 5, 3), 3.0), target=torch.zeros(2, 1, 5, 3)),
        "answer_logits": torch.zeros(3, 7), "answer_targets": torch.tensor([1, 2, 3]), "text_is_plan": False,
    }  # fmt: skip
    return SimpleNamespace(**(found | changes))


BATCH = {"trajectory_valid": torch.ones(2, 5, dtype=torch.bool)}


def test_total_is_the_weighted_sum_of_the_named_losses() -> None:
    losses = IKVLAObjective(next_state=2.0, trajectory=0.5, answer=3.0)(outputs(), BATCH)
    assert losses["next_state"].item() == pytest.approx(4.0)
    assert losses["trajectory"].item() == pytest.approx(9.0)
    assert losses["answer"].item() == pytest.approx(math.log(7))
    assert losses["total"].item() == pytest.approx(2 * 4 + 0.5 * 9 + 3 * math.log(7), rel=1e-5)
    assert losses["target_std"].item() == 1.0


def test_a_sample_without_a_future_frame_is_left_out_of_next_state_only() -> None:
    prediction = torch.stack([torch.full((1, 3, 4), 1.0), torch.full((1, 3, 4), 100.0)])
    valid = torch.tensor([[True], [False]])
    losses = IKVLAObjective()(outputs(next_state=prediction, next_valid=valid), BATCH)
    assert losses["next_state"].item() == pytest.approx(1.0)
    assert losses["trajectory"].item() == pytest.approx(9.0)


def test_nothing_valid_gives_zero_with_a_gradient_path() -> None:
    none = torch.zeros(2, 1, dtype=torch.bool)
    prediction = torch.ones(2, 1, 3, 4, requires_grad=True)
    loss = next_state_loss(prediction, torch.zeros(2, 1, 3, 4), none)
    loss.backward()
    assert loss.item() == 0.0 and prediction.grad is not None and (prediction.grad == 0).all()
    logits = torch.zeros(0, 7, requires_grad=True)
    assert token_loss(logits, torch.zeros(0, dtype=torch.long)).item() == 0.0


def test_invalid_waypoints_do_not_count() -> None:
    prediction = torch.zeros(1, 1, 2, 3)
    prediction[0, 0, 0], prediction[0, 0, 1] = 2.0, 50.0
    loss = trajectory_loss(prediction, torch.zeros(1, 1, 2, 3), torch.tensor([[True, False]]))
    assert loss.item() == pytest.approx(4.0)
    absolute = trajectory_loss(prediction, torch.zeros(1, 1, 2, 3), torch.tensor([[True, False]]), "absolute")
    assert absolute.item() == pytest.approx(2.0)


def test_text_of_a_plan_is_a_trajectory_loss() -> None:
    losses = IKVLAObjective()(outputs(decoder=None, text_is_plan=True), BATCH)
    assert losses["trajectory"].item() == pytest.approx(math.log(7)) and "answer" not in losses


def test_the_set_of_losses_does_not_depend_on_the_batch() -> None:
    """Several processes average their losses by position."""
    empty = outputs(next_valid=~VALID, answer_logits=torch.zeros(0, 7), answer_targets=torch.zeros(0, dtype=torch.long))
    assert IKVLAObjective()(empty, BATCH).keys() == IKVLAObjective()(outputs(), BATCH).keys()


def test_collapse_alarm_fires_below_five_percent_of_the_initial_spread() -> None:
    alarm = CollapseAlarm()
    alarm.check(0.06, 1.0)
    alarm.check(0.0, 0.0)  # training has not begun
    with pytest.raises(CollapseError, match=r"token spread 0\.04 is 0\.04 of its initial 1 \(limit 0\.05\)"):
        alarm.check(0.04, 1.0)
    with pytest.raises(CollapseError, match=r"ema=0\.999"):
        IKVLAObjective()(outputs(target_std=torch.tensor(0.01)), BATCH)


def test_a_batch_without_any_target_is_an_error() -> None:
    with pytest.raises(DataError, match="training=True"):
        IKVLAObjective()(outputs(next_target=None, decoder=None, answer_logits=None), BATCH)
