"""`eyesup score`: NAVSIM's PDM score of stored plans, a picture of why one lost points, and open-loop protocols."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from rich.table import Table
from tyro.conf import Positional

from eyesup.cli.common import console, progress_bar
from eyesup.cli.score_openloop import openloop
from eyesup.evaluation.records import read_records
from eyesup.scoring.pdm.aggregate import official_rows, write_official_csv
from eyesup.scoring.pdm.npz import read_scene, scene_files
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.score import PDMScore, prepare, score
from eyesup.scoring.pdm.stability import stable
from eyesup.scoring.pdm.version import EC, Version, version_named
from eyesup.types import DataError, EyesUpError

SHOWN = 60  # knife edges named in the terminal; the lines have all


def pdm(
    scenes: tuple[Path, ...],
    out: Path,
    version: str = "v2",
    csv: Path | None = None,
    joint: bool = False,
    keep_going: bool = False,
    stability: bool = True,
    backend: Literal["compiled", "torch"] = "compiled",
    device: str = "cpu",
) -> int:
    """Score every plan stored with scenes; one JSON line per plan goes to OUT.

    A line holds scene, index, version (as asked for) and protocol (its full name), every sub-score under its official name,
    the scores, and whether the plan is stable (false: a millionth of a metre changes the outcome). In v2 sub-scores after the
    human filter follow with the prefix filtered_, and what needs an earlier plan is null where there is none. The layout of a
    scene file is described in eyesup/scoring/pdm/npz.py.
    The first call after an installation compiles for some twenty seconds; the result is kept.
    Example: eyesup score pdm --scenes tests/golden/navsim --version v2 --out runs/pdm/scores.jsonl

    Args:
        scenes: Scene files (.npz), or folders of them.
        out: The file of lines.
        version: v1 (= v1.1), v2, or their relatives: v1.0, v2.2 (human filter as before 2025-09), v1-training.
        csv: Also write the official table, one row per plan, with its average row.
        joint: Compare progress over all plans of a scene together instead of each plan alone with PDM-Closed.
        keep_going: Count and show scenes and plans that cannot be scored instead of stopping at the first.
        stability: Tell of each plan whether it is stable, which takes as long as scoring it six times more.
        backend: compiled (Numba) or torch.
        device: Of the torch backend, e.g. cuda.
    """
    chosen = version_named(version)
    files = scene_files(list(scenes))
    out.parent.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    results: list[PDMScore] = []
    edges: list[str] = []
    with out.open("w") as file, progress_bar(f"{chosen.name}", len(files)) as advance:
        for path in files:
            try:
                stored = read_scene(path)
                scene = prepare(stored.inputs, chosen)
                previous = None if stored.previous is None else stored.previous[None]
                result = score(
                    stored.waypoints[None], [scene], chosen, previous,
                    dt_s=stored.dt_s, joint=joint, keep_going=keep_going, backend=backend, device=device,
                )  # fmt: skip
            except EyesUpError as error:
                if not keep_going:
                    raise
                failures.append(str(error))
            else:
                results.append(result)
                failures += [
                    f"scene {stored.inputs.name}, plan {k}: not finite" for k in np.flatnonzero(~result.valid[0])
                ]
                sure = None
                if stability:
                    sure = stable(stored.waypoints, scene, chosen, stored.previous, stored.dt_s)[None]
                    edges += [f"{stored.inputs.name}/{k}" for k in np.flatnonzero(~sure[0] & result.valid[0])]
                for line in lines(result, version, sure):
                    file.write(json.dumps(line) + "\n")
            advance(1)
    if csv is not None and results:
        write_official_csv(csv, [row for result in results for row in table_rows(result)], chosen)
    show(results, failures)
    if edges:
        listed = " ".join(edges[:SHOWN]) + (" ..." if len(edges) > SHOWN else "")
        console.print(f"{len(edges)} knife edges (stable: false): {listed}", highlight=False)
    console.print(f"one line per plan: {out}")
    return 0 if results else 1


def lines(result: PDMScore, version: str, sure: np.ndarray | None = None) -> Iterator[dict[str, object]]:
    """The JSON lines of one result; `sure` (S, K) tells which plans are no knife edges, where that was looked at."""
    columns = dict(result.subscores)
    if result.version.human_filter:
        columns |= {f"filtered_{name}": values for name, values in result.filtered.items() if name != EC}
    columns |= result.scores
    for s, scene in enumerate(result.scenes):
        for k in range(result.valid.shape[1]):
            line: dict[str, object] = {
                "scene": scene, "index": k, "version": version, "protocol": result.version.name,
                "valid": bool(result.valid[s, k]),
            }  # fmt: skip
            if sure is not None:
                line["stable"] = bool(sure[s, k]) if result.valid[s, k] else None
            for name, values in columns.items():
                line[name] = float(values[s, k]) if result.validity(name)[s, k] else None
            yield line


def table_rows(result: PDMScore) -> list[dict[str, object]]:
    """Rows of the official table; the token carries the plan's number where a scene has several."""
    rows = []
    for k in range(result.valid.shape[1]):
        for row in official_rows(result, k):
            rows.append({**row, "token": f"{row['token']}/{k}" if result.valid.shape[1] > 1 else row["token"]})
    return rows


def show(results: list[PDMScore], failures: list[str]) -> None:
    """Means over all plans, and what could not be scored."""
    for failure in failures:
        console.print(f"[yellow]not scored:[/yellow] {failure}", highlight=False)
    if not results:
        console.print(f"[red]0 scenes scored, {len(failures)} failed[/red]")
        return
    version = results[0].version
    table = Table(version.name, "mean", "after the human filter" if version.human_filter else "", "N")
    for name in version.subscores:
        valid = np.concatenate([r.validity(name).ravel() for r in results])
        means = [
            np.concatenate([getattr(r, part)[name].ravel() for r in results])[valid]
            for part in ("subscores", "filtered")
        ]
        plain, filtered = (f"{values.mean():.4f}" if len(values) else "-" for values in means)
        table.add_row(name, plain, filtered if version.human_filter else "", str(valid.sum()))
    table.add_section()
    final = np.concatenate([r.score[r.valid] for r in results])
    table.add_row(
        "score",
        "" if version.human_filter else _mean(final),
        _mean(final) if version.human_filter else "",
        str(len(final)),
    )
    console.print(table)
    count = len(final) + len(failures)
    console.print(f"{len(final)} plans in {len(results)} scenes; {len(failures)} of {count} failed" if failures
                  else f"{len(final)} plans in {len(results)} scenes")  # fmt: skip


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.4f}" if len(values) else "-"


def explain(
    scene: Positional[Path], index: Positional[int], out: Path, version: str = "v2", records: Path | None = None
) -> int:
    """Draw why a stored plan lost points: road, agents, driven path, and where each failure begins.

    Example: eyesup score explain tests/golden/navsim/public_005.npz 3 --out runs/pdm/why.png

    After eyesup eval --benchmark navsim, a prepared scene and who planned it (0: the first planner of the table):
    eyesup score explain runs/navsim/cache/LOG/TOKEN.npz 0 --records runs/navsim/records.jsonl --out runs/pdm/why.png

    Args:
        scene: A scene file (.npz); with --records one of a metric cache.
        index: Which of its plans, from 0.
        out: The picture.
        version: As for `eyesup score pdm`.
        records: Take the plans from these records of an evaluation. They hold no plan of the frame before, so extended comfort
            is left out.
    """
    from eyesup.scoring.pdm.explain import draw

    chosen = version_named(version)
    if records is None:
        stored = read_scene(scene)
        if not 0 <= index < len(stored.waypoints):
            raise DataError(f"{scene}: plan {index} asked for; it holds {len(stored.waypoints)}, counted from 0")
        previous = None if stored.previous is None else stored.previous[index]
        found = draw(prepare(stored.inputs, chosen), stored.waypoints[index], chosen, out, previous, stored.dt_s)
    else:
        prepared, plan, whose = _recorded(scene, records, index, chosen)
        console.print(f"scene {prepared.name}, {whose}", highlight=False)
        found = draw(prepared, plan, chosen, out)
    for reason in found:
        console.print(reason, highlight=False)
    console.print(f"picture: {out}")
    return 0


def _recorded(scene: Path, records: Path, index: int, version: Version) -> tuple[PreparedScene, np.ndarray, str]:
    """A scene of a metric cache, the plan that an evaluation recorded for it, and whose it is."""
    from eyesup.data.navsim.cache import from_bytes

    if not scene.is_file():
        raise DataError(f"{scene}: no such file; with --records it is a scene of the evaluation's cache/")
    prepared = from_bytes(scene.read_bytes(), str(scene))
    rows = [row for row in read_records(records) if (row["key"], row["version"]) == (prepared.name, version.name)]
    if not 0 <= index < len(rows):
        raise DataError(
            f"{records}: planner {index} asked for; scene {prepared.name} has {len(rows)} plans of {version.name}, counted from 0"
        )
    return prepared, np.array(rows[index]["plan"], dtype=np.float64), str(rows[index]["planner"])


def main(argv: list[str]) -> int:
    commands: dict[str, Callable[..., int]] = {"pdm": pdm, "explain": explain, "openloop": openloop}
    return tyro.extras.subcommand_cli_from_dict(commands, args=argv, prog="eyesup score")
