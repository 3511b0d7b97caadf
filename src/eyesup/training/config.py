"""The knobs of the training loop, frozen and serialisable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eyesup.types import DataError


@dataclass(frozen=True)
class GroupConfig:
    """Parameters that share a learning rate.

    Attributes:
        name: Shown in the logs as ``lr/<name>``.
        prefixes: A parameter belongs to the group with the longest prefix of its name; ``""`` takes the rest.
        lr: Peak learning rate.
        weight_decay: Decoupled decay of matrices; norms, biases and embeddings never decay.
    """

    name: str
    prefixes: tuple[str, ...]
    lr: float
    weight_decay: float = 0.01


@dataclass(frozen=True)
class TrainConfig:
    """One run of the loop. Schedules count optimiser steps, never time, so a run repeats on any machine.

    Attributes:
        steps: Optimiser steps.
        batch_size: Samples per optimiser step, over all processes and micro-batches together.
        micro_batch_size: Samples per forward pass and process (None: as many as `batch_size` asks for). It changes memory
            and speed, never which samples a step sees nor their noise.
        groups: Parameter groups; every trainable parameter must fall into one.
        optimizer: ``adamw``, or ``muon`` for the matrices of layers (`eyesup.training.optim.Muon`) and AdamW for the rest.
        betas: AdamW moments; (0.9, 0.95) as ReCogDrive's agent.
        warmup_ratio: Share of `steps` with linearly growing learning rate; cosine to `min_lr_ratio` afterwards.
        clip_norm: Limit of the global gradient norm; None switches clipping off.
        precision: ``bf16`` runs the forward pass under autocast; weights and optimiser stay float32.
        ema_decay: Decay of averaged weights, which are then the ones validated and exported; None: no average.
        seed: Order of the data, noise, dropout.
        log_every, validate_every, checkpoint_every: In steps; 0 switches the periodic one off (the end always counts).
        checkpoint_minutes: Also save after so many minutes; 0 switches it off.
        keep_checkpoints: Older ones are deleted.
        workers: Loader processes; 0 collates in the training process, which suits memory-mapped features.
        tensorboard: Also write TensorBoard events where the package is installed.
        device: ``auto`` takes the accelerator that is there.
    """

    steps: int
    batch_size: int
    groups: tuple[GroupConfig, ...]
    micro_batch_size: int | None = None
    optimizer: Literal["adamw", "muon"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_ratio: float = 0.03
    min_lr_ratio: float = 0.0
    clip_norm: float | None = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"
    ema_decay: float | None = None
    seed: int = 0
    log_every: int = 10
    validate_every: int = 0
    checkpoint_every: int = 0
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    workers: int = 0
    tensorboard: bool = True
    device: Literal["auto", "cpu"] = "auto"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise DataError(f"training: steps {self.steps} and batch size {self.batch_size} must be at least 1")
        if not 0 <= self.warmup_ratio < 1:
            raise DataError(f"training: warm-up ratio {self.warmup_ratio} must lie in [0, 1)")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise DataError(f"training: EMA decay {self.ema_decay} must lie in (0, 1); use None for no average")
        if self.keep_checkpoints < 1:
            raise DataError(f"training: keep_checkpoints {self.keep_checkpoints} must be at least 1")

    def micro_batches(self, processes: int = 1) -> tuple[int, int]:
        """(samples per forward pass and process, forward passes per optimiser step)."""
        micro = self.micro_batch_size or -(-self.batch_size // processes)
        if self.batch_size % (micro * processes):
            raise DataError(
                f"training: batch size {self.batch_size} is no multiple of {micro} samples x {processes} process(es); "
                "change the batch size or the micro batch size"
            )
        return micro, self.batch_size // (micro * processes)
