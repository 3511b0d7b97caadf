"""The same moment with its cue and without it: the two pictures differ, ego status and command do not.

Where a log has been driven for a while, the ego's motion gives the cue away. In a pair it cannot: a planner that does not look plans
the same twice, and the two right answers lie further apart than the cue's effect of 1 m.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyesup.evaluation.records import Record, estimate
from eyesup.types import DataError, Estimate

PROTOCOL = (
    "Pairs of the same moment: as driven, where the cue moves the expert's 3 s end point by more than 1 m, and its twin without the "
    "cue, where the truth is what the expert then drives. Both = mean of the two errors of a pair."
)
REMOVED = "removed"  # name of the twin in a store, see `world.generate`
WITH, WITHOUT, BOTH = "with the cue", "without the cue", "both"


def pairs(keys: Sequence[str]) -> dict[str, str]:
    """Key of the moment as driven -> key of its twin without the cue, for every such twin among `keys` (those of a WorldSource).

    Raises:
        DataError: there is none.
    """
    found = {}
    for key in keys:
        scene, step = key.rsplit("@", 1)
        log, _, twin = scene.partition("~")
        if twin == REMOVED:
            found[f"{log}@{step}"] = key
    if not found:
        raise DataError(f"no twin without its cue among {len(keys)} samples; generate the store with --twins")
    return found


def table(by_planner: Mapping[str, Sequence[Record]], field: str, unit: str) -> dict[str, dict[str, Estimate]]:
    """Rows of planners, columns `WITH`, `WITHOUT` and `BOTH`, over the pairs both of whose moments have the field."""
    rows = {}
    for planner, records in by_planner.items():
        joined = _joined(records, field)
        rows[planner] = {name: estimate(joined, name, unit) for name in (WITH, WITHOUT, BOTH)}
    return rows


def differences(by_planner: Mapping[str, Sequence[Record]], field: str, unit: str) -> dict[str, dict[str, Estimate]]:
    """How much larger a field is for each planner than for the first one, pair by pair; same columns as `table`."""
    (_, first), *others = by_planner.items()
    reference = {str(pair["key"]): pair for pair in _joined(first, field)}
    rows = {}
    for planner, records in others:
        minus: list[Record] = []
        for pair in _joined(records, field):
            base = reference.get(str(pair["key"]))
            if base is not None:
                minus.append(pair | {n: float(pair[n]) - float(base[n]) for n in (WITH, WITHOUT, BOTH)})  # type: ignore[arg-type]
        rows[planner] = {name: estimate(minus, name, unit) for name in (WITH, WITHOUT, BOTH)}
    return rows


def _joined(records: Sequence[Record], field: str) -> list[Record]:
    """One record per pair. Its scene is the log's: two moments of one log are not two scenes."""
    values: dict[str, list[float]] = {}
    for record in records:
        if record.get(field) is not None:
            values.setdefault(str(record["key"]), []).append(float(record[field]))  # type: ignore[arg-type]
    means = {key: sum(group) / len(group) for key, group in values.items()}  # over noise seeds and alternatives
    joined: list[Record] = []
    for key, twin in pairs(sorted({str(record["key"]) for record in records})).items():
        if key in means and twin in means:
            both = (means[key] + means[twin]) / 2
            scene = key.rsplit("@", 1)[0]
            joined.append({"key": key, "scene": scene, WITH: means[key], WITHOUT: means[twin], BOTH: both})
    return joined
