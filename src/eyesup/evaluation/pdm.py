"""NAVSIM's benchmark: one plan per scene, scored by PDMS (v1) and EPDMS (v2) as the official scripts do.

Plans are kept in a file, so an interrupted evaluation goes on where it stopped; scores are worked out anew from a metric cache,
which takes milliseconds a scene. Other traffic is the recorded one (the official ``non_reactive``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eyesup.data.navsim.cache import MetricCache
from eyesup.data.navsim.logs import poses_seen_from
from eyesup.data.navsim.source import NavsimSource
from eyesup.evaluation.pdm_closed import PDMClosed
from eyesup.evaluation.records import Record, append_records, estimate, read_records
from eyesup.geometry.se2 import from_frame
from eyesup.models.protocol import Planner
from eyesup.scoring.pdm.aggregate import Frames, Group, TwoStage, official_rows, predecessors, two_stage
from eyesup.scoring.pdm.score import PDMScore, score
from eyesup.scoring.pdm.version import DAC, DDC, EC, EP, HC, LK, NC, TLC, TTC, C, Version, version_named
from eyesup.types import DataError, Estimate, EyesUpError, Finding, Prediction

WAYPOINTS, DT_S = 8, 0.5
BATCH = 16
# Columns as the papers print them.
COLUMNS = {
    "v1": {"NC": NC, "DAC": DAC, "TTC": TTC, "C": C, "EP": EP, "PDMS": "score"},
    "v2": {"NC": NC, "DAC": DAC, "DDC": DDC, "TLC": TLC, "EP": EP, "TTC": TTC, "LK": LK, "HC": HC, "EC": EC, "EPDMS": "score"},
}  # fmt: skip


@dataclass(frozen=True)
class Plans:
    """What one planner plans for the scenes of a split.

    Attributes:
        name: Of the planner.
        poses: Token -> (T, 3) in the ego frame: 8 at 0.5 s, or 40 at 0.1 s.
        failures: Token -> why there is none.
        privileged: Whether the planner was told more than an Observation.
    """

    name: str
    poses: Mapping[str, np.ndarray]
    failures: Mapping[str, str] = field(default_factory=dict)
    privileged: bool = False


@dataclass(frozen=True)
class Scored:
    """One planner's scores under one version.

    Attributes:
        plans: What was scored.
        version: The definition.
        records: One flat record per scene that could be scored.
        rows: The same in the columns of the official table.
        failures: Token -> why it has no score; shown beside the score.
        stages: The two-stage aggregate, where the split has two stages.
        frames: What it was made of.
    """

    plans: Plans
    version: Version
    records: Sequence[Record]
    rows: Sequence[Mapping[str, object]]
    failures: Mapping[str, str]
    stages: TwoStage | None = None
    frames: Frames | None = None


def make_plans(
    planner: Planner,
    source: NavsimSource,
    seed: int = 0,
    out: Path | None = None,
    stamp: str = "",
    batch_size: int = BATCH,
    keep_going: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Plans:
    """One plan per scene.

    Args:
        planner: Receives Observations only.
        source: The split.
        seed: Noise seed.
        out: Plans file (JSON lines); what it holds for this planner, seed and stamp is not planned again.
        stamp: Tells planners of one name apart, e.g. by their weights.
        batch_size: Observations per call of `plan`.
        keep_going: List scenes that cannot be read or planned instead of stopping at the first.
        progress: Called with the number of scenes just done.

    Raises:
        DataError: A scene that cannot be read, or a plan that is not 4 s long.
    """
    ours = [
        row for row in (read_records(out) if out else ())
        if (row["planner"], row["seed"], row["stamp"]) == (planner.name, seed, stamp)
    ]  # fmt: skip
    poses = {str(row["key"]): np.array(row["plan"], dtype=np.float64) for row in ours}
    failures: dict[str, str] = {}
    for start in range(0, len(source), batch_size):
        keys = [key for key in source.keys[start : start + batch_size] if key not in poses]
        fresh: dict[str, np.ndarray] = {}
        for key, outcome in _planned(planner, source, keys, seed, keep_going).items():
            if isinstance(outcome, str):
                failures[key] = outcome
            else:
                fresh[key] = outcome
        poses |= fresh
        if out and fresh:
            facts = {"planner": planner.name, "seed": seed, "stamp": stamp}
            append_records(out, [{**facts, "key": key, "plan": plan.tolist()} for key, plan in fresh.items()])
        if progress:
            progress(len(source.keys[start : start + batch_size]))
    wanted = set(source.keys)
    return Plans(planner.name, {k: v for k, v in poses.items() if k in wanted}, failures, planner.privileged)


def human_plans(source: NavsimSource) -> Plans:
    """What was driven, in scenes that know it."""
    poses, failures = {}, {}
    for key in source.keys:
        window = source.window(key)
        if window.is_synthetic or len(window.future) < WAYPOINTS:
            failures[key] = f"scene {key}: nobody drove 4 s of it ({len(window.future)} later frames)"
        else:
            poses[key] = poses_seen_from(window.future[:WAYPOINTS], window.now)
    return Plans("human", poses, failures, privileged=True)


def reference_plans(cache: MetricCache, keys: Sequence[str], version: Version | str) -> Plans:
    """PDM-Closed's own plans, chosen by the version's score."""
    planner = PDMClosed(cache.__getitem__, version)
    return Plans(planner.name, {key: planner.path(key) for key in keys if key in cache}, {}, planner.privileged)


def score_plans(
    plans: Plans,
    source: NavsimSource,
    cache: MetricCache,
    version: Version | str,
    keep_going: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Scored:
    """Score plans as the official evaluation: each alone with PDM-Closed, the frame before it for extended comfort.

    Raises:
        DataError: A scene without plan or without prepared scene (unless `keep_going`).
    """
    rules = version_named(version) if isinstance(version, str) else version
    before = _frames_before(source) if rules.two_frame else {}
    failures = {**source.failures, **cache.failures, **plans.failures}
    results: dict[str, PDMScore] = {}
    points: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # end of the plan, start of the scene
    for key in source.keys:
        if progress:
            progress(1)
        if key not in plans.poses or key not in cache:
            reason = failures.setdefault(key, f"scene {key}: {plans.name} has no plan for it")
            if not keep_going:
                raise DataError(reason)
            continue
        scene, plan = cache[key], plans.poses[key]
        earlier = plans.poses.get(before.get(key, ""))
        results[key] = score(
            plan[None, None], [scene], rules, None if earlier is None else earlier[None, None], workers=1
        )
        points[key] = from_frame(plan[-1], scene.origin)[:2], scene.origin[:2]
    rows = [row for result in results.values() for row in official_rows(result)]
    records = [_record(plans, source, key, row, rules) for key, row in zip(results, rows)]
    stages, frames = None, None
    if source.split.two_stage and rules.two_frame:
        groups = [Group(now, before, more) for now, before, more in source.split.two_stage]
        whole = [group for group in groups if _tokens(group) <= results.keys()]
        if whole:
            frames = _frames(source, results, points, rules)
            stages = two_stage(frames, whole, rules)
        failures |= {
            f"group {group.now}": f"group {group.now}: a frame of it has no score, so the group does not count"
            for group in groups
            if group not in whole
        }
    return Scored(plans, rules, records, rows, failures, stages, frames)


def table(scored: Sequence[Scored], short: str) -> Finding:
    """The paper's table of one version, in per cent; intervals are over logs.

    Args:
        scored: One per planner.
        short: ``v1`` or ``v2``.
    """
    rows: dict[str, dict[str, Estimate | float | int | str]] = {}
    for one in scored:
        cells: dict[str, Estimate | float | int | str] = {}
        for title, name in COLUMNS[short].items():
            mean = estimate(one.records, name, "%")
            cells[title] = Estimate(100 * mean.mean, 100 * mean.low, 100 * mean.high, mean.n, mean.groups, "%")
            if one.stages is not None:
                cells[title] = 100 * one.stages.combined[name]
        cells["N"] = len(one.records)
        cells["failed"] = len(one.failures)
        rows[f"{one.plans.name}{' *' if one.plans.privileged else ''}"] = cells
    version = version_named(short)
    protocol = f"{version.name}, recorded (non-reactive) traffic, each plan alone with PDM-Closed."
    if any(one.stages is not None for one in scored):
        protocol += " Two stages, combined as officially (without intervals)."
    notes = ("* privileged: told the future, or map and objects.",)
    return Finding("navsim", f"NAVSIM {short} [%]", protocol, rows, notes)


def _planned(
    planner: Planner, source: NavsimSource, keys: Sequence[str], seed: int, keep_going: bool
) -> dict[str, np.ndarray | str]:
    """The plan of each scene, or why there is none; a batch that fails is tried scene by scene."""
    if not keys:
        return {}
    try:
        observations = [source.observation(source.window(key)) for key in keys]
        predictions = planner.plan(observations, seed)
        return {key: _waypoints(planner.name, prediction) for key, prediction in zip(keys, predictions)}
    except EyesUpError as error:
        if not keep_going:
            raise
        if len(keys) == 1:
            return {keys[0]: str(error)}
        return {k: v for key in keys for k, v in _planned(planner, source, [key], seed, keep_going).items()}


def _waypoints(name: str, prediction: Prediction) -> np.ndarray:
    """Eight poses at 0.5 s; DataError where the plan is shorter."""
    path = prediction.trajectory
    try:
        plan = path.resampled(DT_S, WAYPOINTS)
    except DataError as error:
        raise DataError(
            f"scene {prediction.key}: {name} plans {len(path) * path.dt_s:g} s ({len(path)} x {path.dt_s:g} s); NAVSIM needs "
            f"{WAYPOINTS * DT_S:g} s: train it with {WAYPOINTS} waypoints"
        ) from error
    if not plan.valid.all():
        raise DataError(f"scene {prediction.key}: {name} left {int((~plan.valid).sum())} of {WAYPOINTS} waypoints out")
    return plan.poses


def _frames_before(source: NavsimSource) -> dict[str, str]:
    """The scene half a second before each, where the split has it."""
    if source.split.two_stage:
        pairs = [pair for now, before, more in source.split.two_stage for pair in ((now, before), *more)]
        return dict(pairs)
    keys, places = source.keys, [source.place(key) for key in source.keys]
    found = predecessors([place.log for place in places], np.array([place.time_us * 1e-6 for place in places]))
    return {key: keys[row] for key, row in zip(keys, found.tolist()) if row >= 0}


def _record(plans: Plans, source: NavsimSource, key: str, row: Mapping[str, object], rules: Version) -> Record:
    values = {name: None if value != value else value for name, value in row.items() if name not in ("token", "valid")}
    return {
        "planner": plans.name, "key": key, "scene": source.place(key).log, "version": rules.name, "privileged": plans.privileged,
        "plan": np.round(plans.poses[key], 6).tolist(), **values,
    }  # fmt: skip


def _tokens(group: Group) -> set[str]:
    return {group.now, group.previous, *(token for pair in group.second_stage for token in pair)}


def _frames(
    source: NavsimSource,
    results: Mapping[str, PDMScore],
    points: Mapping[str, tuple[np.ndarray, np.ndarray]],
    rules: Version,
) -> Frames:
    """What the two stages are made of. Extended comfort of a pair of frames belongs to both of them."""
    tokens = tuple(results)
    place = {token: i for i, token in enumerate(tokens)}
    values = {
        name: np.array([results[t].filtered[name][0, 0] for t in tokens], dtype=np.float64) for name in rules.subscores
    }
    compared = np.array([bool(results[token].two_frame_valid[0, 0]) for token in tokens])
    for now, before in _frames_before(source).items():
        if now in place and before in place and compared[place[now]]:
            values[EC][place[before]], compared[place[before]] = values[EC][place[now]], True
    ends, starts = (np.array([points[token][i] for token in tokens]) for i in (0, 1))
    return Frames(tokens, ends, starts, values, compared)
