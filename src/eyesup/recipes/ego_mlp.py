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


@dataclass(frozen=True)
class EgoMLPRun(RunConfig):
    """Full-batch training in one go: `train.steps` epochs at the rate of the first group. Seconds, so nothing to resume.

    Attributes:
        model: Sizes.
        val_samples: Validation keyframes, spread evenly over the store.
    """

    model: EgoMLPConfig = field(default_factory=EgoMLPConfig)
    val_samples: int = 512

    def execute(self, inputs: Inputs, folder: Path, resume: bool, resume_command: str, quiet: bool) -> TrainResult:
        terminal = Terminal(self.train.steps, 0, quiet)
        samples = list(WorldSource(inputs.data, images="none", with_map=False))
        model = EgoMLP(self.model)
        losses = model.fit(samples, self.train.seed, self.train.steps, self.train.groups[0].lr)
        metrics = {"loss/total": losses[-1]} | self._validate(model, inputs)
        log = MetricsLog(folder, 0, self.train.tensorboard)
        for step in range(self.train.log_every, len(losses), self.train.log_every):
            log.write(step, {"loss/total": losses[step - 1]})
        log.write(len(losses), metrics)
        log.close()
        final = write_folder(folder / FINAL_FOLDER, model.save)
        terminal.show(len(losses), metrics)
        terminal.say(f"finished; the model is in {final}")
        return TrainResult(final, len(losses), metrics)

    def _validate(self, model: EgoMLP, inputs: Inputs) -> dict[str, float]:
        if inputs.val is None:
            return {}
        validation = OpenLoopValidation(validation_samples(inputs.val, self.val_samples), lambda trained: trained)  # type: ignore[arg-type, return-value]
        return {f"val/{name}": value for name, value in validation(model.eval(), self.train.steps).items()}


def ego_mlp() -> EgoMLPRun:
    """the blind baseline: ego status and command to a plan"""
    train = TrainConfig(
        steps=1500, batch_size=1, groups=(GroupConfig("mlp", ("",), 2e-3, weight_decay=1e-4),), log_every=50
    )
    return EgoMLPRun("ego_mlp", train, EgoMLPConfig(waypoints=8))
