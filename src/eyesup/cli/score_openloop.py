"""`eyesup score openloop`: stored plans under one open-loop protocol of the literature."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from rich.table import Table

from eyesup.catalog import resolve
from eyesup.cli.common import console
from eyesup.scoring.openloop.cases import read_cases
from eyesup.scoring.openloop.protocol import Reading, protocol_named
from eyesup.scoring.openloop.score import CaseScores, published_l2, score, summary
from eyesup.types import DataError

PRIVILEGES = "the agents' annotated future; the driven path"
_COLUMNS = {
    "L2": ("L2", "m", 1.0), "obj_box_col": ("collision", "%", 100.0), "intersection": ("off the road", "%", 100.0),
    "kerb": ("over the kerb", "%", 100.0),
}  # fmt: skip


def openloop(
    out: Path,
    cases: Path | None = None,
    protocol: str | None = None,
    nuscenes: Path | None = None,
    predictions: Path | None = None,
    split: str = "val",
    version: str | None = None,
    frame: Literal["ego", "lidar"] | None = None,
    keep_going: bool = False,
) -> int:
    """Score every stored case under one protocol; one JSON line per case goes to OUT, the means are its last line.

    A line holds id, L2 and obj_box_col (six steps of 0.5 s; metres, and 1 where a collision counts) and valid, which tells
    whether the protocol counts the sample. The last line is {"dataset": {n, L2, obj_box_col, ...}} with 1s, 2s, 3s and avg,
    read at the step, cumulative, and as any step so far; "official" names the reading of the protocol's papers. The layout of a
    case is described in eyesup/scoring/openloop/cases.py, the protocols in docs/metrics.md.
    Example: eyesup score openloop --cases tests/golden/nuscenes/cases.json.gz --protocol uniad --out runs/openloop/uniad.jsonl

    Your own plans for nuScenes keyframes, in all protocols side by side (formats: eyesup/data/nuscenes/predictions.py):
    eyesup score openloop --nuscenes /data/nuscenes --predictions plans.json --out runs/openloop/mine.jsonl

    Args:
        out: The file of lines.
        cases: A JSON list of cases (.json or .json.gz).
        protocol: uniad, vad, vad_rangefiltered, opendrivevla_vehicles, opendrivevla_all, bevplanner; stp3 and omnidrive, where
            cases hold what they need; exact is this project's own. With --nuscenes: one of them instead of all.
        nuscenes: Root of a nuScenes data set, instead of --cases; with --predictions.
        predictions: Plans: JSON as `eyesup plan` writes it, OpenDriveVLA's pred_trajs_dict, VAD's plan_results.
        split: Of the data set: val, mini_val, ...
        version: Of the data set, where the root holds several.
        frame: Of the predictions: ego (x forward, y left) or lidar (x right, y forward), where it is not their format's own.
        keep_going: Count, show and leave out what cannot be read instead of stopping at the first.
    """
    if nuscenes is not None or predictions is not None:
        if nuscenes is None or predictions is None or cases is not None:
            raise DataError("give --nuscenes ROOT together with --predictions FILE, or --cases FILE alone")
        run: Callable[..., int] = resolve("eyesup.cli.score_nuscenes:run")  # type: ignore[assignment]
        return run(nuscenes, predictions, out, split, version, frame, protocol, keep_going)
    if cases is None or protocol is None:
        raise DataError("give --cases FILE with --protocol NAME, or --nuscenes ROOT with --predictions FILE")
    chosen = protocol_named(protocol)
    failures: list[str] = []
    result = score(read_cases(cases, failures.append if keep_going else None), chosen)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w") as file:
        for line in lines(result, failures):
            file.write(json.dumps(line, allow_nan=False) + "\n")
    show(result, failures)
    console.print(f"one line per case: {out}", highlight=False)
    return 0 if result.ids else 1


def lines(result: CaseScores, failures: list[str]) -> Iterator[dict[str, object]]:
    """The JSON lines of a result: its cases, then the means."""
    l2_m = published_l2(result)
    for i, identity in enumerate(result.ids):
        line: dict[str, object] = {
            "id": identity, "protocol": result.protocol.name, "L2": l2_m[i].tolist(),
            "obj_box_col": result.collides[i].astype(float).tolist(), "valid": bool(result.counted[i]),
        }  # fmt: skip
        line |= {metric: steps[i].astype(float).tolist() for metric, steps in result.off_road.items()}
        yield line
    facts = {
        "protocol": result.protocol.name, "official": result.protocol.official.value, "cases": len(result.ids),
        "failed": len(failures), "privileged": PRIVILEGES, "notes": list(result.protocol.notes),
    }  # fmt: skip
    yield {"dataset": {**summary(result), **facts}}


def show(result: CaseScores, failures: list[str]) -> None:
    """The means as a table, with N, what the protocol reads of the future, and what a reader must know."""
    for failure in failures:
        console.print(f"[yellow]not scored:[/yellow] {failure}", highlight=False)
    n, total = int(result.counted.sum()), len(result.ids) + len(failures)
    if not result.ids:
        console.print(f"[red]0 cases scored, {len(failures)} failed[/red]")
        return
    table = Table(f"{result.protocol.name}, N = {n}", "1 s", "2 s", "3 s", "avg")
    means = summary(result)
    for metric, (title, unit, factor) in _COLUMNS.items():
        readings = means.get(metric, {})
        assert isinstance(readings, dict)
        for reading, values in readings.items():
            official = ", official" if reading == _official(result, metric) else ""
            shown = ["-" if value is None else f"{factor * value:.3f}" for value in values.values()]
            table.add_row(f"{title} [{unit}], {reading}{official}".replace("[", r"\["), *shown)
    console.print(table)
    console.print(f"{result.protocol.source}; N = {n} of {total} cases, {len(failures)} failed", highlight=False)
    console.print(f"reads {PRIVILEGES}. Notes: {'; '.join(result.protocol.notes)}", highlight=False)


def _official(result: CaseScores, metric: str) -> str:
    """Distances are read at the step or cumulative; who reads collisions as any step so far reads distances cumulative."""
    reading = result.protocol.official
    return (Reading.CUMULATIVE if metric == "L2" and reading is Reading.ANY else reading).value
