"""Records: one JSON line per (planner, keyframe, seed). Append-only, so an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from eyesup.scoring.bootstrap import mean_interval
from eyesup.types import DataError, Estimate

Record = dict[str, object]


def read_records(path: Path) -> list[Record]:
    """All complete records of a file; a last line cut by a kill is dropped."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    records = []
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines) - 1:
                break
            raise DataError(
                f"{path}: line {number + 1} is no JSON ({error}); delete the file and evaluate again"
            ) from error
    return records


def append_records(path: Path, records: Iterable[Record]) -> None:
    """Append lines; a partial last line left by a kill is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _cut_partial_line(path)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def _cut_partial_line(path: Path) -> None:
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])


def estimate(records: Sequence[Record], field: str, unit: str = "", seed: int = 0) -> Estimate:
    """Mean of a field with its 95 % bootstrap interval over scenes. Noise seeds of one keyframe are averaged first.

    Records whose field is None (not measurable there) are left out of the mean and of n.
    """
    by_key: dict[tuple[str, str], list[float]] = {}
    for record in records:
        value = record.get(field)
        if value is not None:
            by_key.setdefault((str(record["scene"]), str(record["key"])), []).append(float(value))  # type: ignore[arg-type]
    values = np.array([np.mean(group) for group in by_key.values()])
    return estimate_values(values, [scene for scene, _ in by_key], unit, seed)


def estimate_values(values: np.ndarray, scenes: Sequence[str], unit: str = "", seed: int = 0) -> Estimate:
    """The same for plain values, one per sample, with the scene each belongs to."""
    if len(values) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0, unit)
    interval = mean_interval(np.asarray(values, float), list(scenes), seed=seed)
    return Estimate(interval.mean, interval.low, interval.high, len(values), len(set(scenes)), unit)


def group_by(records: Iterable[Record], key: str | Callable[[Record], object]) -> Mapping[object, list[Record]]:
    """Records by the value of a field (or of a function), in order of first appearance."""
    groups: dict[object, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record) if callable(key) else record[key], []).append(record)
    return groups
