from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.training.optim import (
    Muon,
    WeightAverage,
    build_optimizer,
    lr_factor,
    orthogonalised,
    parameter_groups,
    set_learning_rates,
)
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


def test_orthogonalising_keeps_directions_and_evens_out_strengths():
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(6, 4, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    matrix = left @ torch.diag(torch.tensor([9.0, 3.0, 1.0, 0.5])) @ right.T
    found = left.T @ orthogonalised(matrix) @ right
    torch.testing.assert_close(found, torch.diag(found.diagonal()), atol=1e-4, rtol=0)
    assert ((found.diagonal() > 0.65) & (found.diagonal() < 1.25)).all()
    torch.testing.assert_close(orthogonalised(matrix.T), orthogonalised(matrix).T)


def test_muon_moves_matrices_by_its_scale_and_the_rest_as_adamw():
    """A first step from momentum 0: the update's RMS is 0.6 x learning rate up to the spread of singular values."""
    model, twin = Net(), Net()
    twin.load_state_dict(model.state_dict())
    config = TrainConfig(steps=1, batch_size=1, groups=(GroupConfig("all", ("",), 1e-2, 0.1),), optimizer="muon")
    muon, adamw = (
        build_optimizer(model, config),
        torch.optim.AdamW(twin.parameters(), lr=1e-2, betas=config.betas, weight_decay=0),
    )
    assert isinstance(muon, Muon)
    set_learning_rates(muon, 1.0)
    before = model.decoder.weight.detach().clone()
    for net in (model, twin):
        (net.decoder(net.language(torch.tensor([1, 2]))) + net.position.sum()).square().sum().backward()
    muon.step()
    adamw.step()
    torch.testing.assert_close(model.decoder.bias, twin.decoder.bias)
    torch.testing.assert_close(model.language[0].weight, twin.language[0].weight)
    change = model.decoder.weight.detach() - before * (1 - 1e-2 * 0.1)
    # 2 x 4, two singular values near 1: RMS of the update = 0.6 sqrt(4) sqrt(2 / 8) = 0.6
    assert 0.65 * 6e-3 < change.square().mean().sqrt() < 1.25 * 6e-3
    assert set(muon.state[model.decoder.weight]) == {"momentum"}
    assert len(muon.param_groups) == 2
