"""`eyesup doctor`: what is installed, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eyesup import __version__

# package -> extra that brings it
PACKAGES = {
    "numpy": "", "scipy": "", "panda3d": "world", "eclipse-sumo": "world", "libsumo": "world", "pyarrow": "world",
    "shapely": "world", "torch": "models", "transformers": "models", "diffusers": "models", "safetensors": "models",
    "accelerate": "train", "tensorboard": "train", "matplotlib": "report", "jinja2": "report", "numba": "score",
}  # fmt: skip


def installed(package: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def doctor() -> int:
    """Print the machine, the packages and what is missing. Example: eyesup doctor"""
    console = Console()
    console.print(
        f"EyesUp {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores"
    )
    table = Table("package", "version", "remedy if missing")
    missing = 0
    for package, extra in PACKAGES.items():
        found = installed(package)
        missing += found is None
        remedy = f"pip install 'eyesup[{extra}]'" if extra else "pip install eyesup"
        table.add_row(package, found or "[red]missing[/red]", "" if found else escape(remedy))
    console.print(table)
    if installed("torch"):
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none (everything runs on the CPU)"
        console.print(f"GPU: {device}")
    console.print("[green]all packages found[/green]" if not missing else f"[red]{missing} missing[/red]")
    return 1 if missing else 0


def main(argv: list[str]) -> int:
    return tyro.cli(doctor, args=argv, prog="eyesup doctor")
