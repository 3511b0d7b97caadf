"""What a run leaves beside its weights: resolved config, versions, commit, and the next command to type."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import eyesup
from eyesup.training.checkpoint import write_json
from eyesup.types import DataError

RUN_FILE = "run.json"
PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "tokenizers", "numpy")


def plain(value: Any) -> Any:
    """Dataclasses, enums, paths and tuples as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def environment() -> dict[str, Any]:
    """Versions, commit and machine."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "eyesup": eyesup.__version__,
        "python": platform.python_version(),
        "packages": versions,
        "commit": git_commit(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def git_commit() -> str | None:
    """Commit of the source tree this package is imported from, with ``+changes`` when it was edited since; None outside git."""
    folder = Path(eyesup.__file__).parent

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "__init__.py") is None:  # installed inside somebody else's repository
        return None
    commit = git("rev-parse", "HEAD")
    return f"{commit}+changes" if commit and git("status", "--porcelain", "--", ".") else commit


def write_run(folder: Path, name: str, options: Mapping[str, Any], config: Any, next_command: str) -> None:
    """run.json of a run that starts, resumes or ends: recipe, its options, resolved config, environment, next command."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "recipe": name,
        "options": plain(options),
        "config": plain(config),
        "environment": environment(),
        "next": next_command,
    }
    partial = folder / f".{RUN_FILE}.partial"
    write_json(partial, record)
    os.replace(partial, folder / RUN_FILE)


def read_run(folder: Path) -> dict[str, Any]:
    """run.json of a folder; DataError when there is no run in it."""
    path = folder / RUN_FILE
    if not path.exists():
        raise DataError(f"{folder} holds no run ({RUN_FILE} is missing); start one without --resume")
    return json.loads(path.read_text(encoding="utf-8"))
