"""`eyesup eval --benchmark navsim`: plan the scenes of a NAVSIM split and score them by PDMS and EPDMS."""

from __future__ import annotations

import os
import re
from pathlib import Path

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table
from tyro.conf import Positional

from eyesup import catalog
from eyesup.cli.common import console, facts, progress_bar, write_json
from eyesup.cli.evaluate import PlannerNames, stamp
from eyesup.data.navsim.cache import MetricCache, build_cache
from eyesup.data.navsim.source import NavsimSource, Roots
from eyesup.data.navsim.splits import find_split
from eyesup.data.navsim.submission import Team, write_submission
from eyesup.evaluation.pdm import (
    COLUMNS,
    WAYPOINTS,
    Plans,
    Scored,
    human_plans,
    make_plans,
    reference_plans,
    score_plans,
    table,
)
from eyesup.evaluation.records import append_records
from eyesup.models.load import load_planner, read_family, shipped
from eyesup.models.protocol import Planner
from eyesup.scoring.pdm.aggregate import two_stage_rows, write_official_csv, write_two_stage_csv
from eyesup.scoring.pdm.version import version_named
from eyesup.types import DataError, Estimate, Finding
from eyesup.world.workers import Engine

COUNTS = ("N", "failed")  # columns that are told in a line below the table
BLIND = ("ego_mlp",)  # families that no image reaches


def navsim(
    data: Positional[Path],
    split: str = "navtest",
    planners: PlannerNames = ("ik_vla_tiny", "constant_velocity", "ego_mlp_tiny"),
    out: Path = Path("runs/navsim"),
    maps: Path | None = None,
    synthetic: Path | None = None,
    config: Path | None = None,
    versions: tuple[str, ...] = ("v1", "v2"),
    human: bool = True,
    reference: bool = True,
    seed: int = 0,
    every: int = 1,
    workers: int = 1,
    engine: Engine = "process",
    ray_address: str | None = None,
    submission: bool = False,
    team: str = "EyesUp",
    keep_going: bool = False,
) -> int:
    """Score planners on a NAVSIM split: PDMS (v1.1) and EPDMS (v2) with their sub-scores, beside human and PDM-Closed.

    OUT gets cache/ (prepared scenes, made once), plans.jsonl (what was planned; an interrupted evaluation goes on there),
    records.jsonl, one official table per planner and version (.csv), and summary.json.

    Example: eyesup eval runs/navsim --benchmark navsim --split own_world --planners constant_velocity

    The real benchmark: eyesup eval $OPENSCENE_DATA_ROOT --benchmark navsim --split navtest --maps $NUPLAN_MAPS_ROOT

    Args:
        data: Folder with navsim_logs and sensor_blobs (OPENSCENE_DATA_ROOT), or one made by `eyesup world export`.
        split: Name of a split (navtest, navhard_two_stage, ...), or its YAML file.
        planners: Rules, shipped checkpoints or checkpoint folders.
        out: Folder of everything this makes.
        maps: nuPlan's maps; by default DATA/maps, else $NUPLAN_MAPS_ROOT.
        synthetic: Folder with synthetic_scene_pickles and their sensor_blobs, for splits in two stages.
        config: Folder with train_test_split/; by default DATA/config, else the devkit in $NAVSIM_DEVKIT_ROOT.
        versions: Of the score.
        human: Add what was driven (privileged).
        reference: Add PDM-Closed (privileged).
        seed: Noise seed of planners that sample.
        every: Take every k-th scene; extended comfort then has no frame before.
        workers: Processes that prepare scenes.
        engine: process, or ray: prepare scenes on a Ray cluster.
        ray_address: Of the cluster ("auto", "ray://host:10001"); left out, one is started on this machine.
        submission: Also write OUT/<planner>.submission.pkl for the leaderboard.
        team: Name in the submission.
        keep_going: Count and show scenes that cannot be read, planned or scored instead of stopping at the first.
    """
    unknown = sorted(set(versions) - set(COLUMNS))
    if unknown or every < 1 or workers < 1:
        raise DataError(
            f"--versions {unknown or versions} of {', '.join(COLUMNS)}; --every {every}, --workers {workers} >= 1"
        )
    chosen = find_split(split, [folder for folder in (config, data / "config") if folder is not None])
    roots = Roots(data, maps or _maps_of(data), synthetic)
    source = NavsimSource(roots, chosen, keep_going=keep_going, every=every)
    logs = len({source.place(key).log for key in source.keys})
    with progress_bar(f"preparing {len(source)} scenes", logs) as advance:
        report = build_cache(source, out / "cache", versions, workers, engine, ray_address, keep_going, advance)
    cache = MetricCache(out / "cache")
    console.print(f"metric cache: {report.scenes} scenes, {report.made} made now, {len(report.failures)} failed")
    planned = [_plan(name, source, out, seed, keep_going) for name in planners]
    if human:
        planned.append(human_plans(source))
    findings, records = [], []
    for short in versions:
        extra = [reference_plans(cache, source.keys, short)] if reference else []
        scored = [_score(plans, source, cache, short, out, keep_going) for plans in (*planned, *extra)]
        records += [record for one in scored for record in one.records]
        findings.append(table(scored, short))
        _show_table(findings[-1], list(COLUMNS[short])[-1])
        _show_failures(scored)
    (out / "records.jsonl").unlink(missing_ok=True)
    append_records(out / "records.jsonl", records)
    if submission:
        for plans in planned:
            _submit(plans, source, out, team)
    write_json(out / "summary.json", {"findings": findings, "facts": facts(f"eyesup eval {data} --benchmark navsim")})
    console.print(f"records: {out / 'records.jsonl'}   summary: {out / 'summary.json'}", soft_wrap=True)
    return 0 if records else 1


def _maps_of(data: Path) -> Path | None:
    if (data / "maps").is_dir():
        return data / "maps"
    named = os.environ.get("NUPLAN_MAPS_ROOT")
    return Path(named) if named else None


def _plan(name: str, source: NavsimSource, out: Path, seed: int, keep_going: bool) -> Plans:
    planner = _planner(name)
    looks = name not in catalog.RULES and read_family(shipped().get(name, Path(name))) not in BLIND
    seen = source.showing(looks)
    with progress_bar(planner.name, len(source)) as advance:
        return make_plans(
            planner, seen, seed, out / "plans.jsonl", stamp(name), keep_going=keep_going, progress=advance
        )  # fmt: skip


def _planner(name: str) -> Planner:
    """A planner that plans 4 s, where it can be told to."""
    if name in catalog.RULES:
        rule = catalog.lookup(catalog.RULES, name, "planner")
        assert callable(rule)
        return rule(waypoints=WAYPOINTS)
    return load_planner(name)


def _score(plans: Plans, source: NavsimSource, cache: MetricCache, short: str, out: Path, keep_going: bool) -> Scored:
    # What cannot be had (a human's path in a synthetic scene, a reference where there is no map) is counted, not raised.
    with progress_bar(f"{plans.name}: {short}", len(source)) as advance:
        scored = score_plans(plans, source, cache, short, keep_going or plans.privileged, advance)
    path = out / f"{re.sub(r'[^a-z0-9]+', '_', plans.name.lower())}_{short}.csv"
    if scored.stages is not None and scored.frames is not None:
        write_two_stage_csv(path, scored.frames, scored.stages, scored.version)
    elif scored.rows:
        write_official_csv(path, scored.rows, scored.version)
    if scored.stages is not None:
        for row in two_stage_rows(scored.stages, version_named(short)):
            console.print(f"{row['token']}: {row['score']:.4f}", highlight=False)
    return scored


def _show_table(finding: Finding, final: str) -> None:
    """The table as wide as a terminal: one decimal, and an interval for the final score alone (summary.json has them all)."""
    names = [name for name in next(iter(finding.rows.values())) if name not in COUNTS]
    shown = Table(
        "", *names, title=finding.planner, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
        pad_edge=False, show_edge=False,
    )  # fmt: skip
    for label, row in finding.rows.items():
        shown.add_row(label, *(_cell(row[name], name == final) for name in names))
    console.print(shown)
    counts = {label: f"N = {row['N']}, failed {row['failed']}" for label, row in finding.rows.items()}
    same = len(set(counts.values())) == 1
    console.print(next(iter(counts.values())) if same else "; ".join(map(": ".join, counts.items())), highlight=False)
    console.print(f"[dim]{finding.protocol} {' '.join(finding.notes)}[/dim]")


def _cell(value: Estimate | float | int | str, with_interval: bool) -> str:
    if isinstance(value, Estimate):
        if not value.n:
            return "-"
        return f"{value.mean:.1f}" + (f"\n{value.low:.0f}..{value.high:.0f}" if with_interval else "")
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _show_failures(scored: list[Scored]) -> None:
    for one in scored:
        for reason in list(one.failures.values())[:3]:
            console.print(f"[yellow]{one.plans.name}, not scored:[/yellow] {reason}", highlight=False, soft_wrap=True)


def _submit(plans: Plans, source: NavsimSource, out: Path, team: str) -> None:
    if plans.privileged:
        return
    stages: tuple[dict, dict] = ({}, {})
    for key, poses in plans.poses.items():
        stages[source.place(key).start is None][key] = poses
    path = out / f"{re.sub(r'[^a-z0-9]+', '_', plans.name.lower())}.submission.pkl"
    write_submission(path, Team(team, team, "", "", ""), stages[0], stages[1] if source.split.two_stage else None)
    console.print(f"submission: {path}; put in authors and address before you send it", soft_wrap=True)


def main(argv: list[str]) -> int:
    return tyro.cli(navsim, args=argv, prog="eyesup eval --benchmark navsim")
