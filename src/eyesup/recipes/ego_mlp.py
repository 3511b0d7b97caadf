"""The blind baseline as a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from eyesup.data.world import WorldSource
from eyesup.models.baselines.ego_mlp import EgoMLP, EgoMLPConfig
from eyesup.recipes.base import Inputs, RunConfig
from eyesup.recipes.validation import OpenLoopValidation, validation_samples
from eyesup.training.checkpoint import write_folder
from eyesup.training.config import GroupConfig, TrainConfig
from eyesup.training.loop import FINAL_FOLDER, TrainResult
from eyesup.training.metrics_log import MetricsLog, Terminal
from eyesup.types import Sample


@dataclass(frozen=True)
class EgoMLPRun(RunConfig):
    """Minutes on one core, in one go: nothing to resume. Rate: that of the first group.

    Attributes:
        model: Sizes.
        val_samples: Validation keyframes, spread evenly over the store.
    """

    model: EgoMLPConfig = field(default_factory=EgoMLPConfig)
    val_samples: int = 512

    def execute(self, inputs: Inputs, folder: Path, resume: bool, resume_command: str, quiet: bool) -> TrainResult:
        train, terminal = self.train, Terminal(self.train.steps, 0, quiet)
        samples = self._read(inputs, terminal)
        model, log = EgoMLP(self.model), MetricsLog(folder, 0, self.train.tensorboard)

        def show(step: int, loss: float) -> None:
            terminal.advance(step)
            if step % train.log_every == 0 and step < train.steps:
                log.write(step, {"loss/total": loss})
                terminal.show(step, {"loss/total": loss})

        with terminal:
            losses = model.fit(samples, train.seed, train.steps, train.groups[0].lr, train.batch_size, show)
        metrics = {"loss/total": losses[-1]} | self._validate(model, inputs)
        log.write(len(losses), metrics)
        log.close()
        final = write_folder(folder / FINAL_FOLDER, model.save)
        terminal.show(len(losses), metrics)
        terminal.say(f"finished; the model is in {final}")
        return TrainResult(final, len(losses), metrics)

    def _read(self, inputs: Inputs, terminal: Terminal) -> list[Sample]:
        samples = []
        source = WorldSource(inputs.data, images="none", with_map=False)
        for sample in source:
            samples.append(sample)
            if len(samples) % 5000 == 0 or len(samples) == len(source):
                terminal.say(f"read {len(samples)}/{len(source)} samples")
        return samples

    def _validate(self, model: EgoMLP, inputs: Inputs) -> dict[str, float]:
        if inputs.val is None:
            return {}
        validation = OpenLoopValidation(validation_samples(inputs.val, self.val_samples), lambda trained: trained)  # type: ignore[arg-type, return-value]
        return {f"val/{name}": value for name, value in validation(model.eval(), self.train.steps).items()}


def ego_mlp() -> EgoMLPRun:
    """the blind baseline: ego status and command to a plan"""
    train = TrainConfig(
        steps=10_000, batch_size=512, groups=(GroupConfig("mlp", ("",), 2e-3, weight_decay=1e-4),), log_every=500
    )
    return EgoMLPRun("ego_mlp", train, EgoMLPConfig(waypoints=8))
