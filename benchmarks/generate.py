"""How fast a scene store is made, how large it gets, how fast it is read.

python benchmarks/generate.py --logs 20 --workers 2
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import tyro
from rich.table import Table

from eyesup.cli.common import console, facts
from eyesup.data.world import WorldSource
from eyesup.world.generate import GenerateConfig, GenerateReport, generate

PLAIN_LOGS = 5  # one of each scenario
GOALS = {"keyframes/s": "25 on two cores", "MB per 1,000 keyframes": "60", "images of a keyframe, ms": "5"}


def main(logs: int = 20, workers: int = 2, width_px: int = 256, height_px: int = 144) -> None:
    """Generate into a temporary folder and print one table.

    Args:
        logs: Logs of 20 s, all scenarios in turn.
        workers: Processes.
        width_px: Width of each of the three cameras.
        height_px: Height of each of the three cameras.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        size = {"width_px": width_px, "height_px": height_px}
        report = generate(GenerateConfig(out=root, logs=logs, workers=workers, keep_going=True, **size))
        plain = generate(
            GenerateConfig(out=Path(folder) / "plain", logs=PLAIN_LOGS, workers=1, keep_going=True, **size)
        )
        baseline = {"plain: one process, keyframes/s": f"{plain.keyframes_per_s:.1f}"}
        rows = {**_making(report, root), **baseline, **_reading(root)}
    table = Table(
        "generation", "measured", "goal", title=f"{logs} logs, {workers} workers, 3 x {width_px}x{height_px} px"
    )
    for name, value in rows.items():
        table.add_row(name, value, GOALS.get(name, ""))
    console.print(table)
    for name, value in facts(f"python benchmarks/generate.py --logs {logs} --workers {workers}").items():
        console.print(f"{name}: {value}")


def _making(report: GenerateReport, root: Path) -> dict[str, str]:
    megabytes = sum(path.stat().st_size for path in root.iterdir()) / 1e6
    spent = sum(report.stage_s.values())
    return {
        "keyframes": str(report.keyframes),
        "keyframes/s": f"{report.keyframes_per_s:.1f}",
        **{f"share of {name}": f"{100 * seconds / spent:.0f} %" for name, seconds in report.stage_s.items()},
        "MB per 1,000 keyframes": f"{1000 * megabytes / report.keyframes:.1f}",
        "failed logs": str(len(report.failed)),
        "cue_share": f"{report.cue_share:.3f}",
        "rho(1 m)": f"{report.rho:.3f}",
    }


def _reading(root: Path) -> dict[str, str]:
    order = np.random.default_rng(0).permutation(len(WorldSource(root)))
    bare, full = WorldSource(root, with_truth=False), WorldSource(root)
    store = bare.store
    places = [(key, step) for key in store.keys for step in store.keyframes(key)]
    return {
        "images of a keyframe, ms": f"{_ms(lambda i: store.images(*places[i]), order):.2f}",
        "Observation, ms": f"{_ms(bare.__getitem__, order):.2f}",
        "Sample with Truth, ms": f"{_ms(full.__getitem__, order):.2f}",
    }


def _ms(read, order: np.ndarray) -> float:
    start = time.perf_counter()
    for index in order:
        read(int(index))
    return 1e3 * (time.perf_counter() - start) / len(order)


if __name__ == "__main__":
    tyro.cli(main)
