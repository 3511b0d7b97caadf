"""`eyesup world export`: logs of the world in the formats of other benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from eyesup.catalog import resolve
from eyesup.cli.common import console, progress_bar
from eyesup.types import DataError
from eyesup.world.store import SceneStore

# Format -> what writes it: export(store, out, name, images, logs, size_px, progress) -> lines to print.
FORMATS = {
    "navsim": "eyesup.data.navsim.write:export",
    "nuscenes": "eyesup.data.nuscenes.export:export",
}


def export(
    store: Positional[Path],
    out: Path,
    format: Literal["navsim", "nuscenes"] = "navsim",
    name: str = "own_world",
    images: Literal["rendered", "stored"] = "rendered",
    logs: int | None = None,
    width_px: int = 480,
    height_px: int = 270,
) -> int:
    """Write a store in the format of a benchmark.

    navsim: log pickles, sensor blobs, a nuPlan map, and the split's YAML. The official devkits open it (set
    OPENSCENE_DATA_ROOT and NUPLAN_MAPS_ROOT as printed), and so does `eyesup eval --benchmark navsim`.

    nuscenes: tables, images, points, CAN bus and map expansion. nuscenes-devkit 1.2.0 opens it. With --name val (mini_val, train,
    ...) the logs carry scene names of that official split, so that other projects' converters find them.

    Example: eyesup world export runs/world/test --out runs/navsim --format navsim

    Args:
        store: Folder made by `eyesup world generate`.
        out: Folder to write.
        format: Of the files.
        name: Of the split.
        images: rendered: all of the benchmark's cameras at every frame; stored: the store's own front cameras at its keyframes.
        logs: Take only the first ones.
        width_px: Width of each rendered image.
        height_px: Height of each rendered image.
    """
    if logs is not None and logs < 1:
        raise DataError(f"--logs {logs} must be at least 1")
    opened = SceneStore(store)
    total = len(opened.keys) if logs is None else min(logs, len(opened.keys))
    write: Callable[..., Any] = resolve(FORMATS[format])  # type: ignore[assignment]
    with progress_bar(f"export to {out}", total) as advance:
        lines = write(
            opened, out, name=name, images=images, logs=logs, size_px=(width_px, height_px), progress=advance
        )  # fmt: skip
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    return 0
