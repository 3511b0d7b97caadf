"""Where numbers of a run go: metrics.jsonl, TensorBoard where installed, and the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """Appends one JSON object per line; a line holds `step` and flat float values.

    Opened at a step (resume), lines after it are dropped: they belong to the part that is trained again.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / METRICS_FILE
        _keep_until(self.path, step)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115  # closed by close()
        self._writer = _tensorboard(folder / "tensorboard", step) if tensorboard else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        if self._writer is not None:
            self._writer.close()


def read_metrics(folder: Path) -> list[dict[str, int | float]]:
    """The lines of a run; a half-written last line (the process was killed) is left out."""
    path = folder / METRICS_FILE
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _keep_until(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [json.dumps(record) + "\n" for record in read_metrics(path.parent) if record["step"] <= step]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(kept), encoding="utf-8")
    os.replace(partial, path)


def _tensorboard(folder: Path, step: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # an optional package
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


class Terminal:
    """A progress bar with the time left on a terminal; one line per log step elsewhere."""

    def __init__(self, steps: int, step: int, quiet: bool) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self._steps = steps
        columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
                   TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
        self._bar = Progress(*columns, console=self.console, disable=quiet or not self.console.is_terminal)
        self._task = self._bar.add_task("train", total=steps, completed=step, note="")

    def __enter__(self) -> Terminal:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def advance(self, step: int) -> None:
        self._bar.update(self._task, completed=step)

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a log step."""
        note = "  ".join(f"{name.removeprefix('loss/')} {value:.4g}" for name, value in values.items())
        self._bar.update(self._task, note=note)
        if self._bar.disable:
            self.console.print(f"step {step}/{self._steps}  {note}", highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)
