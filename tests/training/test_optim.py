from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.training.optim import WeightAverage, build_optimizer, lr_factor, parameter_groups, set_learning_rates
from eyesup.types import DataError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.language = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
        self.position = nn.Parameter(torch.zeros(3, 4))
        self.decoder = nn.Linear(4, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


GROUPS = (GroupConfig("rest", ("",), 1.0, 0.1), GroupConfig("ik", ("decoder.",), 2.0, 0.2))


def names_of(model, group):
    by_id = {id(p): name for name, p in model.named_parameters()}
    return {by_id[id(p)] for p in group["params"]}


def test_only_matrices_of_layers_decay_and_the_longest_prefix_wins():
    model = Net()
    groups = parameter_groups(model, GROUPS)
    assert [(g["name"], g["weight_decay"], names_of(model, g)) for g in groups] == [
        ("rest", 0.1, {"language.1.weight"}),
        ("rest", 0.0, {"language.0.weight", "language.1.bias", "language.2.weight", "language.2.bias", "position"}),
        ("ik", 0.2, {"decoder.weight"}),
        ("ik", 0.0, {"decoder.bias"}),
    ]


def test_a_parameter_without_a_group_is_named():
    with pytest.raises(DataError, match=r"parameter position belongs to none of the groups \['a'\]"):
        parameter_groups(Net(), (GroupConfig("a", ("language", "decoder"), 1.0),))


def test_nothing_to_train_is_refused():
    config = TrainConfig(steps=1, batch_size=1, groups=GROUPS)
    with pytest.raises(DataError, match="no trainable parameter"):
        build_optimizer(Net().requires_grad_(False), config)


def test_schedule_by_hand():
    factors = [lr_factor(step, 12, 2 / 12, 0.0) for step in range(12)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[7] == pytest.approx(0.5)  # half of the 10 steps after the warm-up
    assert factors[11] == pytest.approx(0.5 * (1 + math.cos(0.9 * math.pi)))
    assert lr_factor(12, 12, 2 / 12, 0.1) == pytest.approx(0.1)


def test_rates_are_per_group():
    optimizer = build_optimizer(Net(), TrainConfig(steps=1, batch_size=1, groups=GROUPS))
    assert set_learning_rates(optimizer, 0.5) == {"rest": 0.5, "ik": 1.0}


def test_average_follows_the_weights_and_swaps_back():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average = WeightAverage(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(2.0)
    average.update(model)  # decay min(0.5, 1/10): 1 + 0.9 * (2 - 1)
    with average.applied(model):
        assert model.weight.item() == pytest.approx(1.9)
    assert model.weight.item() == 2.0
    with pytest.raises(KeyError), average.applied(model):
        raise KeyError
    assert model.weight.item() == 2.0
