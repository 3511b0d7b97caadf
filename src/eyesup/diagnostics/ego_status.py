"""Stratify by how much ego status alone explains (specs: diagnostics section 3; IK-VLA Appendix J).

The gap of a keyframe is the 3 s ADE between the driven path and the constant-velocity + constant-yaw-rate extrapolation. Where it is
small, ego status suffices and looking earns nothing; where it is large, only vision (or the command) can know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from eyesup.data.source import SampleSource
from eyesup.evaluation.openloop import evaluate
from eyesup.evaluation.records import Record, estimate
from eyesup.models.protocol import Planner
from eyesup.types import DataError, Estimate, Finding

QUANTILE = 0.25
ONSET_S = (
    1.0  # a blind planner is told 2 s of history: the longer the expert has reacted, the more that gives the cue away
)
PROTOCOL = (
    "Strata of the 3 s gap between the driven path and constant velocity + constant yaw rate: vision-critical = top 25 % of the "
    "keyframes, ego-dominated = bottom 25 %, cue-active = removing the cue moves the expert's 3 s end point by more than 1 m; "
    "cue-active, critical = both: a cue decides, and the ego's motion does not show yet what it will be; cue onset = the first "
    "second in which the cue decides, when the ego's own motion tells least of it."
)
FIELDS = {"ADE [m]": ("ade_3s", "m"), "L2 at 3 s [m]": ("l2_at_3s", "m"), "collision by 3 s [%]": ("collision_3s", "%")}


def strata(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records of each stratum; thresholds are quantiles of the gap over the distinct keyframes given."""
    gap = {r["key"]: float(r["ego_gap"]) for r in records if r["ego_gap"] is not None}  # type: ignore[arg-type]
    if not gap:
        raise DataError(f"none of {len(records)} records has 3 s of truth; strata need a source with it")
    low, high = np.quantile(list(gap.values()), [QUANTILE, 1 - QUANTILE])
    known = [record for record in records if record["key"] in gap]
    critical = [r for r in known if gap[r["key"]] >= high]
    return {
        "all": list(records),
        f"ego-dominated (gap <= {low:.2f} m)": [r for r in known if gap[r["key"]] <= low],
        f"vision-critical (gap >= {high:.2f} m)": critical,
        "cue-active": [r for r in records if r["cue_active"]],
        "cue-active, critical": [r for r in critical if r["cue_active"]],
        f"cue onset (<= {ONSET_S:g} s)": [r for r in records if _since_s(r) <= ONSET_S],
    }


def _since_s(record: Record) -> float:
    """Seconds that the cue has decided; infinite where it does not, or where nobody knows since when."""
    since = record.get("cue_since_s")
    return math.inf if since is None else float(since)  # type: ignore[arg-type]


def table(by_planner: Mapping[str, Sequence[Record]], field: str, unit: str) -> dict[str, dict[str, Estimate]]:
    """Rows of planners, columns of strata."""
    rows = {}
    for planner, records in by_planner.items():
        rows[planner] = {f"{name}": estimate(group, field, unit) for name, group in strata(records).items()}
    return rows


def differences(by_planner: Mapping[str, Sequence[Record]], field: str, unit: str) -> dict[str, dict[str, Estimate]]:
    """How much larger a field is for each planner than for the first one, plan by plan; same columns as `table`.

    Scenes are hard or easy for everybody, so the interval of a difference is far narrower than those of the two means.

    Args:
        by_planner: Records of each planner; what the first has no record of is left out.
        field: Name of a score, in `unit`.

    Returns:
        Rows of the other planners, in `unit`; above 0: larger than the first one's.
    """
    (_, first), *others = by_planner.items()
    reference = {_plan_of(record): record.get(field) for record in first}

    def minus(record: Record) -> object:
        value, base = record.get(field), reference.get(_plan_of(record))
        return None if value is None or base is None else float(value) - float(base)  # type: ignore[arg-type]

    paired = {name: [dict(r) | {field: minus(r)} for r in records] for name, records in others}
    return table(paired, field, unit)


def _plan_of(record: Record) -> tuple[object, ...]:
    """Which plan a record scores, whoever made it."""
    return record["key"], record["seed"], record.get("alternative", 0)


def probe(planner: Planner, source: SampleSource, seeds: Sequence[int] = (0,)) -> Finding:
    """The planner's error by stratum."""
    groups = strata(evaluate(planner, source, seeds))
    rows = {
        name: {title: estimate(group, field, unit) for title, (field, unit) in FIELDS.items()}
        | {"N": len({r["key"] for r in group})}
        for name, group in groups.items()
    }
    return Finding("ego_status", planner.name, PROTOCOL, rows, settings={"seeds": list(seeds), "quantile": QUANTILE})
