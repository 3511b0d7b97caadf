"""What several commands share: progress bars, facts about a run, findings on the terminal."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from eyesup import __version__
from eyesup.types import Estimate, Finding

PACKAGES = ("torch", "transformers", "diffusers", "numpy", "panda3d", "eclipse-sumo")
console = Console()


@contextmanager
def progress_bar(title: str, total: int):
    """A bar with counts and remaining time; yields a function that advances it."""
    columns = (
        TextColumn(f"{title:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda amount: progress.advance(task, amount)


def facts(command: str) -> dict[str, str]:
    """Machine, versions, commit and date: what a reader needs to believe or repeat a number."""
    from eyesup.training.run_folder import git_commit  # brings torch, which --help does without

    return {
        "command": command,
        "EyesUp": f"{__version__} ({git_commit() or 'no git commit'})",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_finding(finding: Finding) -> None:
    """A finding as a terminal table, protocol below."""
    names = list(dict.fromkeys(name for row in finding.rows.values() for name in row))
    table = Table(finding.planner, *names)
    for label, row in finding.rows.items():
        table.add_row(
            label, *(f"{row[n]:.2f}" if isinstance(row.get(n), float) else str(row.get(n, "")) for n in names)
        )
    console.print(table)
    console.print(f"[dim]{finding.protocol} {' '.join(finding.notes)}[/dim]")


def to_json(value: object) -> object:
    """Findings and estimates as plain JSON values; what is not a number (a mean of nothing) is null."""
    if isinstance(value, Estimate):
        return to_json(asdict(value))
    if isinstance(value, Finding):
        return {
            name: to_json(getattr(value, name))
            for name in ("probe", "planner", "protocol", "rows", "notes", "settings")
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_json(value), indent=1) + "\n")
