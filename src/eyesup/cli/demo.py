"""`eyesup demo`: from nothing to a report. Generates unseen scenes, plans them, scores the plans, edits the scenes, shows what happened."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import tyro

from eyesup.cli.common import console, facts, print_finding, progress_bar, write_json
from eyesup.cli.evaluate import expert_of, stamp
from eyesup.data.source import subset
from eyesup.data.world import WorldSource
from eyesup.diagnostics import ego_status, insertion, next_source
from eyesup.diagnostics.vision_swap import blanked
from eyesup.evaluation.openloop import evaluate
from eyesup.evaluation.records import Record
from eyesup.models.load import load_planner
from eyesup.models.protocol import Planner
from eyesup.reports.charts import grouped_bars, intervals
from eyesup.reports.page import Page, Picture, Section, write
from eyesup.reports.scenes import before_after_row, keyframe_row
from eyesup.types import Estimate, Finding, Sample
from eyesup.world.generate import GenerateConfig, generate

MODEL = "ik_vla_tiny"
NEXT_SOURCE_EVERY = 4  # keyframes
BASELINES = ("constant_velocity", "ego_mlp_tiny")
TABLES = {"ade_3s": ("ADE over 3 s", "m"), "l2_at_3s": ("L2 at 3 s", "m"), "l2_at_avg": ("L2 at-t, mean of 1/2/3 s", "m"),
          "l2_cumulative_avg": ("L2 cumulative, mean of 1/2/3 s", "m"), "collision_3s": ("collision by 3 s", "%")}  # fmt: skip
OPENLOOP = "Protocol eyesup-openloop-v1: ego frame, rear axle, six waypoints of 0.5 s; exact oriented boxes. "


def demo(out: Path = Path("runs/demo"), model: str = MODEL, logs: int = 46) -> int:
    """Generate an unseen test split, plan it with IK-VLA and baselines, insert obstacles, write report.html and summary.json.

    Safe to repeat: what is finished is kept. Example: eyesup demo --out runs/demo --logs 46

    Args:
        out: Folder of everything the demo makes.
        model: Shipped checkpoint or checkpoint folder of the planner under test.
        logs: Test logs of 20 s to generate; towns and seeds that training never saw.
    """
    started = time.perf_counter()
    console.rule("1/4 the world: unseen towns, traffic, cameras")
    world = generate(GenerateConfig(out=out / "world", split="test", logs=logs, workers=2, keep_going=True))
    source = WorldSource(out / "world", with_map=False)
    console.rule("2/4 planning every keyframe")
    planner = load_planner(model)
    expert = expert_of(source)
    planners: list[Planner] = [planner, blanked(planner), *map(load_planner, BASELINES), expert]
    marks = [stamp(model)] * 2 + [stamp(name) for name in BASELINES] + [""]
    records = plan_all(planners, marks, source, out)
    console.rule("3/4 what if there were a car on the path?")
    finding, versions = insert(planner, source)
    probes = [finding]
    if isinstance(planner, next_source.NextSourcePlanner):
        probes.append(next_source.probe(planner, subset(source, source.keys[::NEXT_SOURCE_EVERY])))
    for found in probes:
        print_finding(found)
    console.rule("4/4 report")
    tables = score_tables(records)
    page = Page(
        "EyesUp demo: does the planner look at the road?",
        headline(records, planner.name, finding),
        [
            scores_section(tables, world.cue_share, world.rho),
            insertion_section(finding, planner, versions),
            *([Section("The next visual state", findings=probes[1:])] if probes[1:] else []),
            pictures_section(planner, source),
        ],
        {
            **facts(f"eyesup demo --logs {logs}"),
            "took": f"{time.perf_counter() - started:.0f} s",
        },
    )
    report = write(page, out / "report.html")
    write_json(out / "summary.json", {"headline": page.lead, "tables": tables, "probes": probes, "facts": page.facts})
    console.print(f"\n[bold green]Done.[/bold green] Open [bold]{report}[/bold] (numbers: {out / 'summary.json'})")
    return 0


def plan_all(
    planners: Sequence[Planner], marks: Sequence[str], source: WorldSource, out: Path
) -> dict[str, list[Record]]:
    """Records of every planner, kept in one file so that a repeated demo does not plan again."""
    by_planner = {}
    for planner, mark in zip(planners, marks):
        with progress_bar(planner.name, len(source)) as advance:
            by_planner[planner.name] = evaluate(
                planner, source, (0,), out / "records.jsonl", progress=advance, stamp=mark
            )
    return by_planner


def score_tables(records: Mapping[str, Sequence[Record]]) -> list[Finding]:
    """One table per metric: planners by stratum."""
    tables = []
    for field, (title, unit) in TABLES.items():
        rows = ego_status.table(records, field, unit)
        keyframes = len({record["key"] for group in records.values() for record in group})
        note = f"{keyframes} keyframes. Privileged: the expert row."
        tables.append(Finding("openloop", f"{title} [{unit}]", OPENLOOP + ego_status.PROTOCOL, rows, (note,)))
    return tables


def insert(planner: Planner, source: WorldSource) -> tuple[Finding, list[insertion.Case]]:
    """The insertion probe, and the cases it was made on."""
    settings = insertion.InsertionSettings()
    with console.status("rendering edited scenes"):
        versions = list(insertion.cases(source, settings))
    with console.status("planning them"):
        return insertion.probe(planner, source, settings=settings, prepared=versions), versions


def headline(records: Mapping[str, Sequence[Record]], name: str, finding: Finding) -> str:
    """One paragraph with the measured numbers; it says what was seen, whichever way it went."""
    table = ego_status.table(records, "ade_3s", "m")
    own, blind, constant = (table[row] for row in (name, f"{name}, blank images", "constant velocity + yaw rate"))
    shift = finding.rows["all distances"]
    on, off = shift["on path [m]"], shift["off path [m]"]
    if not isinstance(on, Estimate) or not isinstance(off, Estimate):
        raise TypeError("the insertion probe gives estimates")
    return (
        f"{name} plans {own['all'].n} unseen keyframes with an average error of {own['all']} m over 3 s "
        f"({own['cue-active']} m where the cue decides). With its images blanked: {blind['all']} m ({blind['cue-active']} m). "
        f"Constant velocity + yaw rate: {constant['all']} m ({constant['cue-active']} m). A car inserted on its path moves the "
        f"plan's end point by {on} m, the same car beside the path by {off} m."
    )


def scores_section(tables: Sequence[Finding], cue_share: float, rho: float) -> Section:
    shown = {
        row: {c: e for c, e in columns.items() if isinstance(e, Estimate)} for row, columns in tables[0].rows.items()
    }
    by_stratum: dict[str, dict[str, Estimate]] = {}
    for row, columns in shown.items():
        for column, estimate in columns.items():
            by_stratum.setdefault(column.replace(" (", "\n("), {})[row] = estimate
    text = [
        f"Cue share {100 * cue_share:.1f} % (keyframes at which removing the cue moves the expert's 3 s end point by more than 1 m), "
        f"rho {100 * rho:.1f} % (gap to constant velocity + yaw rate above 1 m).",
        "Every cell is a mean with its 95 % bootstrap interval over scenes; hover for N.",
    ]
    return Section("Scores", text, tables, [grouped_bars(by_stratum, "ADE over 3 s [m]")])


def insertion_section(finding: Finding, planner: Planner, versions: Sequence[insertion.Case]) -> Section:
    row = finding.rows["all distances"]
    names = ("on path [m]", "off path [m]", "expert on path [m]", "expert off path [m]")
    chart = intervals(
        {n: e for n in names if isinstance(e := row[n], Estimate)}, "change of the 3 s end point [m]", zero_line=True
    )
    text = [
        "A standing car is put on the planner's path, and the same car beside it, in the same frame with the same noise, ego status "
        "and command. A planner that looks shortens its plan for the first and not for the second, as the expert does."
    ]
    return Section(
        "Counterfactual: a car on the path, and beside it",
        text,
        [finding],
        [chart],
        list(_before_after(planner, versions)),
    )


def _before_after(planner: Planner, versions: Sequence[insertion.Case], rows: int = 4) -> list[list[Picture]]:
    pictures = []
    for case in _spread(versions, rows):
        fields = {"before": ("observation", case.expert), "car on the path": ("on_path", case.expert_on),
                  "same car beside it": ("off_path", case.expert_off)}  # fmt: skip
        plans = planner.plan([getattr(case, field) for field, _ in fields.values()])
        pictures.append(
            before_after_row(
                {
                    title: (getattr(case, field), {planner.name: plan.trajectory, "expert": expert})
                    for (title, (field, expert)), plan in zip(fields.items(), plans)
                }
            )
        )
    return pictures


def pictures_section(planner: Planner, source: WorldSource) -> Section:
    """Per scenario the keyframes at which its cue matters most, and one at random."""
    rows = []
    maps = WorldSource(source.store.root, with_map=True)
    for scenario, index in _showcase(source).items():
        sample: Sample = maps[index]
        if sample.truth is None:
            continue
        plan = planner.plan([sample.observation])[0]
        plans = {planner.name: plan.trajectory, "expert": sample.truth.future}
        cue = sample.truth.tags.get("cue_id", -1)
        effect = float(sample.truth.tags.get("cue_effect_m", 0.0))
        caption = (
            f"{scenario}, key {sample.key}: removing the cue would move the expert's 3 s end point by {effect:.1f} m"
        )
        rows.append(
            keyframe_row(sample.observation, plans, caption, sample.truth.agents, sample.truth.road_map, [int(cue)])
        )
    return Section(
        "Keyframes",
        ["One per scenario: where its cue matters most. The cue, where it is an agent, is red."],
        pictures=rows,
    )


def _showcase(source: WorldSource) -> dict[str, int]:
    """Scenario -> index of the keyframe with the largest visible cue effect."""
    best: dict[str, tuple[float, int]] = {}
    for index, (scenario, effect) in enumerate(source.cue_effects()):
        if scenario not in best or effect > best[scenario][0]:
            best[scenario] = (effect, index)
    return {scenario: index for scenario, (_, index) in best.items()}


def _spread(items: Sequence[insertion.Case], count: int) -> list[insertion.Case]:
    step = max(1, len(items) // count)
    return list(items[::step])[:count]


def main(argv: list[str]) -> int:
    return tyro.cli(demo, args=argv, prog="eyesup demo")
