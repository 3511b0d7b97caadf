"""Parameter groups, the learning-rate schedule, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.types import DataError

# Coefficients of the quintic that pushes all singular values towards 1, and what one update is scaled to.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
MUON_RMS = 0.6  # of an update's entries in learning rates; AdamW's is about 0.2, but orthogonal steps may be longer
MUON_MOMENTUM = 0.95


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """One group per (`GroupConfig`, decays or not); a trainable parameter without a group raises DataError."""
    groups = [group for group in parameter_groups(model, config.groups) if group["params"]]
    if not groups:
        raise DataError("training: the model has no trainable parameter")
    kind = Muon if config.optimizer == "muon" else torch.optim.AdamW
    return kind(groups, betas=config.betas, lr=0.0)


class Muon(torch.optim.AdamW):
    """AdamW whose groups of decayed matrices step along their orthogonalised momentum instead.

    Jordan et al. 2024 (Muon), scaled as by Liu et al. 2025 ("Muon is Scalable for LLM Training", section 2.2) so that the
    entries of an update have the same RMS whatever the shape [m, n] of the matrix. IK-VLA tiny needs half the steps with it.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of both kinds; a closure is not supported."""
        groups = self.param_groups
        matrices = [group for group in groups if group["weight_decay"] > 0]
        self.param_groups = [group for group in groups if group["weight_decay"] == 0]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in matrices:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_matrix(parameter, parameter.grad, group["lr"], group["weight_decay"])

    def _step_matrix(self, parameter: Tensor, gradient: Tensor, lr: float, weight_decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(gradient, 1 - MUON_MOMENTUM)
        nesterov = gradient.lerp(momentum, MUON_MOMENTUM)
        update = orthogonalised(nesterov.flatten(1))
        scale = MUON_RMS * math.sqrt(max(update.shape))
        parameter.mul_(1 - lr * weight_decay).add_(update.view_as(parameter), alpha=-lr * scale)


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V^T of a matrix U S V^T, nearly: all singular values between about 0.7 and 1.2 (Newton-Schulz iteration)."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


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
