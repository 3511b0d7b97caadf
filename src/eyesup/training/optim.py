"""Parameter groups, the learning-rate schedule, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.types import DataError


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with one group per (`GroupConfig`, decays or not); a trainable parameter without a group raises DataError."""
    groups = [group for group in parameter_groups(model, config.groups) if group["params"]]
    if not groups:
        raise DataError("training: the model has no trainable parameter")
    return torch.optim.AdamW(groups, betas=config.betas, lr=0.0)


def parameter_groups(model: nn.Module, configs: Sequence[GroupConfig]) -> list[dict]:
    """Two torch parameter groups per config: decayed matrices, then everything that never decays."""
    never_decays = undecayed_names(model)
    buckets: list[tuple[list[nn.Parameter], list[nn.Parameter]]] = [([], []) for _ in configs]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            buckets[_group_of(name, configs)][name in never_decays].append(parameter)
    return [
        {"params": bucket[plain], "name": config.name, "base_lr": config.lr, "weight_decay": 0.0 if plain else config.weight_decay}
        for config, bucket in zip(configs, buckets)
        for plain in (False, True)
    ]  # fmt: skip


def _group_of(name: str, configs: Sequence[GroupConfig]) -> int:
    matches = [(len(prefix), row) for row, c in enumerate(configs) for prefix in c.prefixes if name.startswith(prefix)]
    if not matches:
        raise DataError(
            f"training: parameter {name} belongs to none of the groups {[c.name for c in configs]}; "
            'add its prefix, or "" to take the rest, or freeze it'
        )
    return max(matches)[1]


def undecayed_names(model: nn.Module) -> set[str]:
    """Names of norms, biases, scalars, embedding tables, and raw parameters (positions, learned tokens, queries).

    What decays is the matrices of layers: parameters of two or more dimensions whose name ends in ``weight``.
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return {
        name for name, p in model.named_parameters() if p.ndim < 2 or id(p) in tables or not name.endswith("weight")
    }


def lr_factor(step: int, steps: int, warmup_ratio: float, min_ratio: float) -> float:
    """Multiplier of the peak learning rate at `step` (0-based): linear warm-up, then half a cosine down to `min_ratio`."""
    warmup = round(warmup_ratio * steps)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Apply the schedule; returns the rates by group name."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return {group["name"]: group["lr"] for group in optimizer.param_groups}


class WeightAverage:
    """Exponential moving average of the trainable parameters.

    The decay grows as (1 + n) / (10 + n) up to its limit, so that early averages forget the random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        pairs = [(self.shadow[name], p.detach()) for name, p in model.named_parameters() if name in self.shadow]
        averages, weights = [list(column) for column in zip(*pairs)]
        torch._foreach_lerp_(averages, weights, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model carries the averaged weights."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            if name in self.shadow:
                held = parameter.detach().clone()
                parameter.copy_(self.shadow[name])
                self.shadow[name].copy_(held)

    def state(self) -> dict[str, Tensor]:
        return dict(self.shadow)

    @torch.no_grad()
    def load(self, state: dict[str, Tensor], updates: int) -> None:
        for name, tensor in state.items():
            self.shadow[name].copy_(tensor)
        self.updates = updates
