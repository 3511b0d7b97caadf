"""What a recipe is: a function that returns a frozen config, which can build what the loop trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eyesup.training.config import TrainConfig
from eyesup.training.loop import Task, TrainResult, is_main_process, main_process_first, train
from eyesup.training.run_folder import RUN_FILE, plain, read_run, write_run
from eyesup.types import DataError


@dataclass(frozen=True)
class Inputs:
    """What a run reads.

    Attributes:
        data: Store of training samples.
        val: Store of validation samples; None: no validation.
        encoder: Folder of a trained visual encoder; None where the recipe brings its own.
        language: Folder of a pretrained language model; None takes what the recipe names.
        init: Folder of a finished run whose weights this one starts from; None starts from the recipe's own.
        features: Folder below which encoder tokens are cached, shared between runs.
    """

    data: Path
    val: Path | None = None
    encoder: Path | None = None
    language: Path | None = None
    init: Path | None = None
    features: Path = Path("runs/features")


@dataclass(frozen=True)
class RunConfig(ABC):
    """One run, resolved; families add their parts.

    Attributes:
        name: Recipe name; also the default run folder below ``runs/``.
        train: The loop's knobs.
    """

    name: str
    train: TrainConfig

    @abstractmethod
    def execute(self, inputs: Inputs, folder: Path, resume: bool, resume_command: str, quiet: bool) -> TrainResult:
        """Do the run; the model ends in ``folder/final``."""

    def next_command(self, final: Path, inputs: Inputs) -> str:
        """What to type when the run has finished."""
        return f"eyesup eval {inputs.val or inputs.data} --planners {final} constant_velocity"


@dataclass(frozen=True)
class LoopConfig(RunConfig):
    """A run of the training loop."""

    @abstractmethod
    def task(self, inputs: Inputs, quiet: bool) -> Task:
        """Model, objective, source, validation: everything heavy is built here."""

    def execute(self, inputs: Inputs, folder: Path, resume: bool, resume_command: str, quiet: bool) -> TrainResult:
        with main_process_first(self.train):  # caches are written by one process, read by the others
            task = self.task(inputs, quiet)
        return train(task, self.train, folder, resume, resume_command, quiet)


def run_recipe(
    config: RunConfig, inputs: Inputs, folder: Path, resume: bool = False, quiet: bool = False
) -> TrainResult:
    """Train a recipe into `folder` and leave run.json there.

    Raises:
        DataError: `resume` with a config or inputs that differ from those of the run in `folder`.
        The errors of `eyesup.training.loop.train`.
    """
    options = asdict(inputs)
    again = f"eyesup train {config.name} --out {folder} --resume"
    main = is_main_process()
    if main and resume:
        _check_same(folder, config, options)
    elif main and (folder / RUN_FILE).exists():
        raise DataError(f"{folder} already holds a run; continue it with --resume or choose another --out")
    if main:
        write_run(folder, config.name, options, config, again)
    result = config.execute(inputs, folder, resume, again, quiet)
    if main:
        write_run(folder, config.name, options, config, config.next_command(result.final, inputs))
    return result


def _check_same(folder: Path, config: RunConfig, options: Mapping[str, Any]) -> None:
    before = read_run(folder)
    now = {"recipe": config.name, "options": plain(options), "config": plain(config)}
    changed = list(_differences("", {name: before[name] for name in now}, now))
    if changed:
        raise DataError(
            f"cannot resume {folder}: {'; '.join(changed[:5])}. Give the old values (or none: they are remembered), "
            "or start another --out"
        )


def _differences(path: str, before: Any, now: Any):
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            yield from _differences(f"{path}.{name}".lstrip("."), before.get(name), now.get(name))
    elif before != now:
        yield f"{path} was {before}, is {now}"
