"""The training objective of IK-VLA: L = w_next L_next + w_traj L_IK + w_qa L_QA (arXiv 2605.21061, section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from eyesup.objectives.diffusion import TrajectoryError, trajectory_loss
from eyesup.objectives.language import token_loss
from eyesup.objectives.next_state import CollapseAlarm, next_state_loss
from eyesup.types import DataError


@runtime_checkable
class DecoderOutputs(Protocol):
    """[B, K, T, A] each."""

    @property
    def prediction(self) -> Tensor: ...
    @property
    def target(self) -> Tensor: ...


@runtime_checkable
class Outputs(Protocol):
    """What this objective reads off a model's outputs; a part that is None makes no loss."""

    @property
    def next_state(self) -> Tensor: ...
    @property
    def next_target(self) -> Tensor | None: ...
    @property
    def next_valid(self) -> Tensor | None: ...
    @property
    def target_std(self) -> Tensor | None: ...
    @property
    def target_std_initial(self) -> Tensor | None: ...
    @property
    def decoder(self) -> DecoderOutputs | None: ...
    @property
    def answer_logits(self) -> Tensor | None: ...
    @property
    def answer_targets(self) -> Tensor | None: ...
    @property
    def text_is_plan(self) -> bool: ...


@dataclass(frozen=True)
class IKVLAObjective:
    """Named losses of one batch.

    Attributes:
        next_state, trajectory, answer: Weights; the paper combines its terms with equal ones.
        trajectory_error: ``squared`` (the paper's) or ``absolute``.
        alarm: Raises `CollapseError` when the next-state target loses its spread.
    """

    next_state: float = 1.0
    trajectory: float = 1.0
    answer: float = 1.0
    trajectory_error: TrajectoryError = "squared"
    alarm: CollapseAlarm = field(default_factory=CollapseAlarm)

    def __call__(self, outputs: Outputs, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``total`` is minimised; ``next_state``, ``trajectory``, ``answer`` are its unweighted parts, ``target_std`` is watched.

        Which parts appear depends on the model's config, not on the batch: a part without a single valid target is 0.
        """
        parts: dict[str, Tensor] = {}
        if outputs.next_target is not None and outputs.next_valid is not None:
            parts["next_state"] = next_state_loss(outputs.next_state, outputs.next_target, outputs.next_valid)
        if outputs.decoder is not None:
            terms = outputs.decoder
            parts["trajectory"] = trajectory_loss(
                terms.prediction, terms.target, batch["trajectory_valid"], self.trajectory_error
            )
        if outputs.answer_logits is not None and outputs.answer_targets is not None:
            name = "trajectory" if outputs.text_is_plan else "answer"
            parts[name] = token_loss(outputs.answer_logits, outputs.answer_targets)
        if not parts:
            raise DataError("objective: the batch gave no target at all; was it made with training=True?")
        weights = {"next_state": self.next_state, "trajectory": self.trajectory, "answer": self.answer}
        losses = {"total": torch.stack([weights[name] * loss for name, loss in parts.items()]).sum(), **parts}
        if outputs.target_std is not None and outputs.target_std_initial is not None:
            self.alarm.check(float(outputs.target_std), float(outputs.target_std_initial))
            losses["target_std"] = outputs.target_std
        return losses
