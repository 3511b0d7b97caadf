"""One training loop for every family: a model, an objective, a source, a collate.

The loop owns steps, schedules, precision, devices, checkpoints and logs; it knows nothing of driving. Runs are exact: a run
that was killed and resumed ends with the same weights, bit for bit, as one that was not (on one kind of hardware), because
order, noise and dropout derive from (seed, step) and weights, optimiser and average are stored whole.

Several GPUs: start the same command with ``accelerate launch`` (DDP, or FSDP with ``fsdp_version: 2``).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, parse_flag_from_env, send_to_device
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyesup.nn.weights import load_weights
from eyesup.training import checkpoint as ckpt
from eyesup.training.config import TrainConfig
from eyesup.training.metrics_log import MetricsLog, Terminal
from eyesup.training.optim import WeightAverage, build_optimizer, lr_factor, set_learning_rates
from eyesup.training.stream import Collate, MicroBatches, Rows, Shuffled, dropout_seed
from eyesup.types import DataError, EyesUpError

CHECKPOINTS_FOLDER = "checkpoints"
FINAL_FOLDER = "final"


class NonFiniteError(EyesUpError):
    """A loss or a gradient became NaN or infinite."""


class Interrupted(EyesUpError):
    """Ctrl-C or a termination signal; a checkpoint was saved."""


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        model: Its trainable parameters are optimised; called as ``model(batch)``.
        objective: (outputs, batch) to named scalars; ``total`` is minimised, the others are logged.
        source: Items by row.
        collate: Items and one generator each to the batch.
        validate: (model in eval mode, step) to named numbers; must leave global randomness alone.
        export: (model, folder) writes config and processor beside ``model.safetensors``, so that the folder loads as a planner.
    """

    model: nn.Module
    objective: Callable[[Any, Any], Mapping[str, Tensor]]
    source: Rows
    collate: Collate
    validate: Callable[[nn.Module, int], Mapping[str, float]] | None = None
    export: Callable[[nn.Module, Path], None] | None = None


@dataclass(frozen=True)
class TrainResult:
    """Attributes: final: folder of the finished model. step: steps done. metrics: last validation and losses."""

    final: Path
    step: int
    metrics: Mapping[str, float]


def train(
    task: Task,
    config: TrainConfig,
    folder: Path,
    resume: bool = False,
    resume_command: str = "the same call with resume=True",
    quiet: bool = False,
) -> TrainResult:
    """Train and write ``folder/final``.

    A folder that already holds checkpoints is continued with `resume` and refused without it.

    Raises:
        NonFiniteError: A loss or gradient is NaN or infinite; the weights are not updated with it.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was saved first. A second Ctrl-C stops at once.
        CheckpointError: A checkpoint could not be written, e.g. the disk is full.
        DataError: Config, source and folder do not fit together.
    """
    with torch.random.fork_rng():  # dropout seeds torch's global generator at each step; the caller's stays untouched
        return _Trainer(task, config, folder, resume, resume_command, quiet).run()


@dataclass
class _Window:
    """Sums of the numbers since the last log line; stored in checkpoints so that a resumed log reads the same.

    A loss that only some batches have (answers, say) is averaged over those.
    """

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    steps: int = 0

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.steps += 1

    def means(self) -> dict[str, float]:
        return {name: value / self.counts[name] for name, value in self.sums.items()}


class _Trainer:
    def __init__(
        self, task: Task, config: TrainConfig, folder: Path, resume: bool, resume_command: str, quiet: bool
    ) -> None:
        self.task, self.config, self.folder, self.resume_command = task, config, folder, resume_command
        self.checkpoints = folder / CHECKPOINTS_FOLDER
        self.step = self._saved_step = 0
        self.window = _Window()
        found = ckpt.latest_checkpoint(self.checkpoints)
        if found and not resume:
            raise DataError(
                f"{folder} already holds a run ({found.name}); continue it with --resume or choose another --out"
            )
        self.accelerator = _accelerator(config)
        self.main = self.accelerator.is_main_process
        state = self._load_weights(found) if found else None
        # FSDP shards parameters in place, so the optimiser is built before `prepare`, which re-targets it.
        self.model, self.optimizer = self.accelerator.prepare(task.model, build_optimizer(task.model, config))
        self.bare = self.accelerator.unwrap_model(self.model)
        self.average = WeightAverage(self.bare, config.ema_decay) if config.ema_decay else None
        if found and state:
            self._load_trainer(found, state)
        self.terminal = Terminal(config.steps, self.step, quiet or not self.main)
        self.log = MetricsLog(folder, self.step, config.tensorboard) if self.main else None
        micro, self.accumulation = config.micro_batches(self.accelerator.num_processes)
        self.batches = MicroBatches(
            task.source, task.collate, Shuffled(len(task.source), config.seed), micro,
            self.accelerator.process_index, self.accelerator.num_processes,
        )  # fmt: skip

    # -- the run

    def run(self) -> TrainResult:
        metrics: dict[str, float] = {}
        first, last = (step * self.accumulation for step in (self.step, self.config.steps))
        stream = self.batches.iterate(first, last, self.config.workers)
        self._clock = self._saved_at = time.monotonic()
        self._waited_s = 0.0
        try:
            with self.terminal, _stop_requests() as stop:
                self.model.train()
                while self.step < self.config.steps:
                    wants = self._optimise(stream, bool(stop), self._save_due())
                    metrics |= self._after_step()
                    if wants["stop"]:
                        self._stop_here()
                    if wants["save"]:
                        self.save()
                return self._finish(metrics)
        finally:
            if self.log:
                self.log.close()

    def _optimise(self, stream: Iterator[Any], stop: bool, save: bool) -> dict[str, bool]:
        """One optimiser step. Returns what the processes agreed to do next (any one's wish counts)."""
        rates = set_learning_rates(
            self.optimizer, lr_factor(self.step, self.config.steps, self.config.warmup_ratio, self.config.min_lr_ratio)
        )
        seen: dict[str, list[Tensor]] = {}
        for micro in range(self.accumulation):
            batch = self._next_batch(stream)
            for name, value in self._backward(batch, micro, sync=micro == self.accumulation - 1).items():
                seen.setdefault(name, []).append(value.detach().float())
        norm = self.accelerator.clip_grad_norm_(self.bare.parameters(), self.config.clip_norm or float("inf"))
        losses = {name: torch.stack(found).mean() for name, found in seen.items()}
        values, wants = self._agree(losses, full_norm(norm), stop, save)
        if not all(map(_finite, values.values())):
            raise NonFiniteError(self._non_finite_message(values, batch))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.average:
            self.average.update(self.bare)
        self.window.add(values)
        self._rates = {f"lr/{name}": rate for name, rate in rates.items()}
        return wants

    def _next_batch(self, stream: Iterator[Any]) -> Any:
        start = time.monotonic()
        batch = send_to_device(next(stream), self.accelerator.device, non_blocking=True)
        self._waited_s += time.monotonic() - start
        return batch

    def _backward(self, batch: Any, micro: int, sync: bool) -> Mapping[str, Tensor]:
        """Forward and backward of one micro-batch; gradients cross processes only with the last one of a step."""
        context: AbstractContextManager = nullcontext() if sync else self.accelerator.no_sync(self.model)
        torch.manual_seed(
            dropout_seed(self.config.seed, self.step * self.accumulation + micro, self.accelerator.process_index)
        )
        with context:
            losses = self.task.objective(self.model(batch), batch)  # autocast covers the model; losses are float32
            self.accelerator.backward(losses["total"] / self.accumulation)
        return losses

    def _agree(
        self, losses: Mapping[str, Tensor], norm: Tensor, stop: bool, save: bool
    ) -> tuple[dict[str, float], dict[str, bool]]:
        """Numbers of the step and the wishes of any process, in one transfer from the device.

        The total is averaged over processes; its parts, which may differ from process to process, are this one's.
        """
        device = self.accelerator.device
        shared = torch.stack([losses["total"].to(device), *torch.tensor([float(stop), float(save)], device=device)])
        if self.accelerator.num_processes > 1:
            shared = self.accelerator.reduce(shared, reduction="mean")
        total, any_stop, any_save, *values = torch.cat(
            [shared, torch.stack([*(value.to(device) for value in losses.values()), norm.to(device)])]
        ).tolist()
        numbers = dict(zip([*(f"loss/{name}" for name in losses), "grad_norm"], values)) | {"loss/total": total}
        return numbers, {"stop": any_stop > 0, "save": any_save > 0}

    def _non_finite_message(self, values: Mapping[str, float], batch: Any) -> str:
        numbers = ", ".join(f"{name} {value:g}" for name, value in values.items())
        keys = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        found = ckpt.latest_checkpoint(self.checkpoints)
        kept = f"the checkpoint {found} is intact" if found else "there is no checkpoint yet"
        return (
            f"step {self.step + 1}: loss or gradient is not finite ({numbers}); batch keys {keys}; {kept}. "
            "Lower the learning rate, lengthen the warm-up, or look for non-finite values in the data"
        )

    # -- between steps

    def _after_step(self) -> dict[str, float]:
        """Log and validate where due; returns the newest numbers."""
        config = self.config
        news: dict[str, float] = {}
        end = self.step == config.steps
        self.terminal.advance(self.step)
        if end or (config.log_every and self.step % config.log_every == 0):
            news |= self._log_losses()
        if self.task.validate and (end or (config.validate_every and self.step % config.validate_every == 0)):
            news |= self._validate()
        return news

    def _log_losses(self) -> dict[str, float]:
        now = time.monotonic()
        elapsed = max(now - self._clock, 1e-9)
        means = self.window.means()
        speed = {
            "samples_per_s": self.window.steps * self.config.batch_size / elapsed,
            "data_wait": self._waited_s / elapsed,  # share of the time spent waiting for batches
            "memory_mb": _memory_mb(self.accelerator.device),
        }
        if self.log:
            self.log.write(self.step, {**means, **self._rates, **speed})
        self.terminal.show(self.step, {**means, "samples/s": speed["samples_per_s"]})
        self.window, self._clock, self._waited_s = _Window(), now, 0.0
        return means

    def _validate(self) -> dict[str, float]:
        assert self.task.validate is not None
        paused = time.monotonic()
        self.bare.eval()
        with self._deployed(), torch.no_grad():
            values = {f"val/{name}": float(v) for name, v in self.task.validate(self.bare, self.step).items()}
        self.model.train()
        if self.log:
            self.log.write(self.step, values)
        self.terminal.show(self.step, values)
        self._clock += time.monotonic() - paused
        return values

    def _deployed(self) -> AbstractContextManager:
        """Inside, the model carries the weights to use: the average where one is kept."""
        return self.average.applied(self.bare) if self.average else nullcontext()

    def _save_due(self) -> bool:
        """Whether to save after the coming step."""
        every, minutes = self.config.checkpoint_every, self.config.checkpoint_minutes
        by_step = every and (self.step + 1) % every == 0
        return bool(by_step or (minutes and time.monotonic() - self._saved_at > 60 * minutes))

    def _stop_here(self) -> None:
        saved = self.save()
        raise Interrupted(f"stopped after step {self.step}; saved {saved}. Continue with: {self.resume_command}")

    def _finish(self, metrics: dict[str, float]) -> TrainResult:
        if self._saved_step != self.step:
            self.save()
        final = self.folder / FINAL_FOLDER
        weights = self._deployed_weights()
        if self.main:
            with self._deployed():
                ckpt.write_folder(final, lambda target: self._write_model(target, weights))
        self.accelerator.wait_for_everyone()
        self.terminal.say(f"finished {self.step} steps; the model is in {final}")
        return TrainResult(final, self.step, metrics)

    # -- checkpoints

    def save(self) -> Path:
        """Write the checkpoint of this step and delete old ones."""
        target = self.checkpoints / ckpt.step_name(self.step)
        weights, raw = self._deployed_weights(), self._state_dict() if self.average else None
        optimizer = ckpt.optimizer_tensors(self.optimizer.optimizer, self.bare)
        if self.main:

            def fill(path: Path) -> None:
                with self._deployed():
                    self._write_model(path, weights)
                trainer = path / ckpt.TRAINER_FOLDER
                trainer.mkdir()
                if raw is not None:
                    ckpt.save_weights(raw, trainer / "weights.safetensors")
                save_file(optimizer, trainer / "optimizer.safetensors")
                ckpt.write_json(trainer / "state.json", self._state())

            try:
                ckpt.write_folder(target, fill)
                ckpt.point_latest(self.checkpoints, target)
            except ckpt.CheckpointError as error:
                raise ckpt.CheckpointError(self._failed_write_message(error)) from error
            ckpt.prune(self.checkpoints, self.config.keep_checkpoints)
        self.accelerator.wait_for_everyone()
        self._saved_at, self._saved_step = time.monotonic(), self.step
        return target

    def _failed_write_message(self, error: Exception) -> str:
        found = ckpt.latest_checkpoint(self.checkpoints)
        kept = f"{found} is intact" if found else "there is no earlier one"
        return f"{error}; {kept}. Free some space and continue with: {self.resume_command}"

    def _write_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        ckpt.save_weights(weights, folder / ckpt.WEIGHTS_FILE)
        if self.task.export:
            self.task.export(self.bare, folder)

    def _deployed_weights(self) -> dict[str, Tensor]:
        with self._deployed():
            state = self._state_dict()
            # With an average, the live tensors go back to the raw weights when the context ends.
            return {name: tensor.clone() for name, tensor in state.items()} if self.average else state

    def _state_dict(self) -> dict[str, Tensor]:
        if self.accelerator.distributed_type is DistributedType.FSDP:
            return self.accelerator.get_state_dict(self.model)
        return self.bare.state_dict()

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seed": self.config.seed,
            "batch_size": self.config.batch_size,
            "steps": self.config.steps,
            "rows": len(self.task.source),
            "average_updates": self.average.updates if self.average else None,
            "window": asdict(self.window),
        }

    def _load_weights(self, found: Path) -> dict[str, Any]:
        """Weights before `prepare` shards them; returns state.json, checked against this run."""
        state = json.loads((found / ckpt.TRAINER_FOLDER / "state.json").read_text(encoding="utf-8"))
        now = {"seed": self.config.seed, "batch_size": self.config.batch_size, "steps": self.config.steps,
               "rows": len(self.task.source)}  # fmt: skip
        changed = [f"{name} was {state[name]}, is {value}" for name, value in now.items() if state[name] != value]
        if changed or (state["average_updates"] is None) == bool(self.config.ema_decay):
            changed = changed or ["the EMA of weights was switched on or off"]
            raise DataError(
                f"cannot resume {found}: {'; '.join(changed)}. Restore the old value or start another --out"
            )
        raw = found / ckpt.TRAINER_FOLDER / "weights.safetensors"
        load_weights(self.task.model, raw if raw.exists() else found / ckpt.WEIGHTS_FILE)
        return state

    def _load_trainer(self, found: Path, state: Mapping[str, Any]) -> None:
        path = found / ckpt.TRAINER_FOLDER / "optimizer.safetensors"
        ckpt.load_optimizer_tensors(self.optimizer.optimizer, self.bare, path)
        self.step = self._saved_step = state["step"]
        self.window = _Window(**state["window"])
        if self.average:
            averaged = load_file(found / ckpt.WEIGHTS_FILE)
            shadow = {name: averaged[name] for name in self.average.shadow}
            self.average.load(shadow, state["average_updates"])


def is_main_process() -> bool:
    """True in the one process, or the first of those that `accelerate launch` started."""
    return os.environ.get("RANK", "0") == "0"


def main_process_first(config: TrainConfig) -> AbstractContextManager:
    """Inside, the main process runs alone; the others follow when it has left."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return nullcontext()
    return PartialState(cpu=_on_cpu(config)).main_process_first()


def _on_cpu(config: TrainConfig) -> bool:
    """Whether to leave accelerators alone. Accelerate forms no group of CPU processes unless it is told so from the start."""
    return config.device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()


def _accelerator(config: TrainConfig) -> Accelerator:
    precision = "bf16" if config.precision == "bf16" else "no"
    # Accelerate keeps one state per process and refuses another precision; a second run in one process starts afresh.
    if AcceleratorState._shared_state and AcceleratorState._shared_state.get("_mixed_precision") != precision:
        AcceleratorState._reset_state()
    # Not every weight has a part in every batch: a backbone's mask token never has, an answer's only where a question is asked.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=precision, cpu=_on_cpu(config), kwargs_handlers=[ddp])
    if accelerator.distributed_type is DistributedType.FSDP and accelerator.state.fsdp_plugin.fsdp_version != 2:
        raise DataError(
            "FSDP 1 flattens parameters and hides their names; set fsdp_version: 2 in the accelerate config"
        )
    return accelerator


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM; the second SIGINT acts at once. Does nothing outside the main thread."""
    received: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # signal only works in the main thread
        pass
    try:
        yield received
    finally:
        for stopped, handler in before.items():
            signal.signal(stopped, handler)


def full_norm(norm: Tensor) -> Tensor:
    """Gradient norm as a plain float32 scalar."""
    return ckpt.full_tensor(norm).detach().float()


def _finite(value: float) -> bool:
    return abs(value) < float("inf")


def _memory_mb(device: torch.device) -> float:
    """Peak memory: of the accelerator where there is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # Linux counts kilobytes
