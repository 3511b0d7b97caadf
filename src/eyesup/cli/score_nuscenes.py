"""The `--nuscenes ROOT --predictions FILE` side of `eyesup score openloop`: one's own plans in all protocols, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from eyesup.cli.common import console
from eyesup.cli.score_openloop import PRIVILEGES
from eyesup.data.nuscenes.areas import missing_maps
from eyesup.data.nuscenes.cases import cases_of
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.definitions import usable
from eyesup.data.nuscenes.predictions import Frame, checked_plans, read_predictions
from eyesup.scoring.openloop.protocol import Reading, protocol_named
from eyesup.scoring.openloop.score import CaseScores, score, summary
from eyesup.types.errors import DataError

# Protocol -> sample definition, and the fewest lidar points that an agent of its ground truth has.
SIDES: dict[str, tuple[str, int]] = {
    "uniad": ("uniad", 0), "opendrivevla_vehicles": ("uniad", 0), "opendrivevla_all": ("uniad", 0), "vad": ("vad", 1),
    "vad_rangefiltered": ("vad", 1), "stp3": ("stp3", 0), "bevplanner": ("vad", 0), "omnidrive": ("vad", 0), "exact": ("vad", 0),
}  # fmt: skip
MAP_NEEDED = "omnidrive"  # its drivable area; bevplanner's kerbs are left out without a map
SHOWN = 5


def run(
    nuscenes: Path,
    predictions: Path,
    out: Path,
    split: str = "val",
    version: str | None = None,
    frame: Frame | None = None,
    protocol: str | None = None,
    keep_going: bool = False,
) -> int:
    """Score a file of plans; one JSON line per protocol and sample goes to OUT, the means are its last lines.

    Args:
        nuscenes: Root of the data set.
        predictions: Plans: `eyesup plan`'s JSON, OpenDriveVLA's or VAD's results (see data/nuscenes/predictions.py).
        out: The file of lines.
        split: Whose keyframes count.
        version: Needed where the root holds several.
        frame: Of the plans, where it is not the format's own.
        protocol: One instead of all.
        keep_going: Count and show what is wrong with the file instead of stopping at the first complaint.
    """
    data = NuScenes(nuscenes, version)
    complaints: list[str] = []
    keyframes = data.keyframes(split)
    plans = read_predictions(predictions, frame)
    paths = checked_plans(data, plans, keyframes, complaints.append if keep_going else None)
    results = score_all(data, paths, keyframes, (protocol,) if protocol else scorable(data))
    write(out, results)
    show(results, f"{plans.format} plans ({plans.frame} frame), {data.version} {split}")
    for complaint in complaints[:SHOWN]:
        console.print(f"[yellow]not scored:[/yellow] {complaint}", highlight=False, soft_wrap=True)
    if complaints:
        console.print(
            f"[yellow]{len(complaints)} complaint(s); {len(paths)} of {len(keyframes)} samples scored[/yellow]"
        )
    console.print(f"lines: {out}", soft_wrap=True)
    return 0 if results else 1


def scorable(data: NuScenes) -> tuple[str, ...]:
    """All protocols that the data set has the maps for; says which one not."""
    missing = missing_maps(data)
    if missing:
        console.print(
            f"[yellow]{MAP_NEEDED} and bevplanner's kerbs not scored:[/yellow] no map expansion of {', '.join(missing)}; unpack "
            "nuScenes-map-expansion-v1.3.zip into maps/",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    return tuple(name for name in SIDES if not missing or name != MAP_NEEDED)


def score_all(
    data: NuScenes, paths: Mapping[str, np.ndarray], keyframes: np.ndarray, protocols: tuple[str, ...]
) -> dict[str, CaseScores]:
    """Each protocol on the keyframes that it counts."""
    unknown = [name for name in protocols if name not in SIDES]
    if unknown:
        raise DataError(f"protocol {unknown[0]!r} cannot be scored from a data set; choose one of {', '.join(SIDES)}")
    rows = [row for row in keyframes.tolist() if data.tokens[row] in paths]
    asked = [name for name in protocols if name == MAP_NEEDED or protocol_named(name).kerbs]
    with_road = MAP_NEEDED in asked or bool(asked and not missing_maps(data))
    cases, points = cases_of(data, paths, rows, with_road)
    results = {}
    for name in protocols:
        definition, min_points = SIDES[name]
        counted = cases.selected(usable(data, definition)[rows], points >= min_points)  # type: ignore[arg-type]
        if len(counted):
            results[name] = score(counted, protocol_named(name))
    return results


def write(out: Path, results: Mapping[str, CaseScores]) -> None:
    """Lines per protocol and sample, then one line of means per protocol."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w") as file:
        for name, result in results.items():
            for i, token in enumerate(result.ids):
                line = {
                    "protocol": name, "id": token, "L2": result.l2_m[i].round(6).tolist(),
                    "obj_box_col": result.collides[i].astype(int).tolist(), "valid": bool(result.counted[i]),
                }  # fmt: skip
                line |= {metric: steps[i].astype(int).tolist() for metric, steps in result.off_road.items()}
                file.write(json.dumps(line) + "\n")
        for name, result in results.items():
            line = {
                "protocol": name, "official": result.protocol.official.value, "privileged": PRIVILEGES,
                "notes": list(result.protocol.notes), "dataset": summary(result),
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")


def show(results: Mapping[str, CaseScores], title: str) -> None:
    """Side by side, each in the reading of its own papers; never compare a line with another."""
    horizons = ("1s", "2s", "3s", "avg")
    of = " / ".join(horizons)
    table = Table(
        "protocol", "reading", f"L2 in m at {of}", f"collision in % at {of}", "off the road in %", "N", title=title
    )
    for name, result in results.items():
        means: Any = summary(result)
        reading = result.protocol.official
        distance = Reading.CUMULATIVE if reading is Reading.ANY else reading
        cells = [
            " / ".join(_number(means[metric][read.value][h], factor) for h in horizons)
            for metric, read, factor in (("L2", distance, 1.0), ("obj_box_col", reading, 100.0))
        ]
        off = [" / ".join(_number(means[metric]["any"][h], 100.0) for h in horizons) for metric in result.off_road]
        table.add_row(name, reading.value, *cells, *(off or ["not asked"]), str(means["n"]))
    console.print(table)
    console.print(f"each reads {PRIVILEGES}; what else to know of each: docs/metrics.md", highlight=False)


def _number(value: float | None, factor: float) -> str:
    return "-" if value is None else f"{factor * value:.2f}"
