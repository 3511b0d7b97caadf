"""How fast a scene store is made, how large it gets, how fast it is read.

python benchmarks/generate.py --logs 20 --workers 2
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import tyro
from rich.table import Table

from eyesup.cli.common import console, facts
from eyesup.data.world import WorldSource
from eyesup.world import generate as generation
from eyesup.world.expert import Expert
from eyesup.world.generate import GenerateConfig, GenerateReport, generate
from eyesup.world.scenarios import SCENARIOS

PLAIN_LOGS = len(SCENARIOS)  # one of each
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
        config = GenerateConfig(
            root, logs=logs, workers=workers, keep_going=True, width_px=width_px, height_px=height_px
        )
        report = generate(config)
        with _expert_clock() as expert_s:
            plain = generate(replace(config, out=Path(folder) / "plain", logs=PLAIN_LOGS, workers=1, twins=True))
        rows = {**_making(report, root), **_plain(plain, expert_s["simulate"]), **_reading(root)}
    table = Table(
        "generation", "measured", "goal", title=f"{logs} logs, {workers} workers, 3 x {width_px}x{height_px} px"
    )
    for name, value in rows.items():
        table.add_row(name, value, GOALS.get(name, ""))
    console.print(table)
    for name, value in facts(f"python benchmarks/generate.py --logs {logs} --workers {workers}").items():
        console.print(f"{name}: {value}")


@contextmanager
def _expert_clock() -> Iterator[dict[str, float]]:
    """Seconds that the expert thinks, in all (``all``) and while logs are simulated (``simulate``); in this process only."""
    seconds = {"all": 0.0, "simulate": 0.0}
    command, simulate = Expert.command, generation.simulate

    def timed_command(*args, **kwargs):
        start = time.perf_counter()
        try:
            return command(*args, **kwargs)
        finally:
            seconds["all"] += time.perf_counter() - start

    def timed_simulate(*args, **kwargs):
        before = seconds["all"]
        try:
            return simulate(*args, **kwargs)
        finally:
            seconds["simulate"] += seconds["all"] - before

    with patch.object(Expert, "command", timed_command), patch.object(generation, "simulate", timed_simulate):
        yield seconds


def _plain(report: GenerateReport, expert_s: float) -> dict[str, str]:
    """One process, one log of each scenario, with twins: where the time goes."""
    stages = {
        "traffic and script": report.stage_s["simulate"] - expert_s,
        "expert": expert_s,
        "twins, driven": report.stage_s["cue"],
        "render": report.stage_s["render"],
        "labels and questions": report.stage_s["labels"],
        "encoding and writing": report.stage_s["write"],
    }
    spent = sum(stages.values())
    title = "with twins"
    return {
        f"{title}: keyframes/s": f"{report.keyframes_per_s:.1f}",
        **{f"{title}: share of {name}": f"{100 * seconds / spent:.0f} %" for name, seconds in stages.items()},
    }


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
