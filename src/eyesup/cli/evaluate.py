"""`eyesup eval`: plan every keyframe of a store and score the plans, beside baselines, by stratum."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from eyesup import catalog
from eyesup.cli.common import console, facts, print_finding, progress_bar, write_json
from eyesup.data.source import SampleSource, subset
from eyesup.data.world import WorldSource
from eyesup.diagnostics import twin_pairs
from eyesup.diagnostics.ego_status import PROTOCOL, differences, table
from eyesup.diagnostics.vision_swap import blanked
from eyesup.evaluation.openloop import evaluate
from eyesup.evaluation.records import Record
from eyesup.models.baselines.expert import ExpertReplay
from eyesup.models.load import load_planner, shipped
from eyesup.models.protocol import Planner
from eyesup.types import DataError, Finding

PlannerNames = Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--checkpoint",))]

COLUMNS = {"ade_3s": "m", "l2_at_1s": "m", "l2_at_2s": "m", "l2_at_3s": "m", "l2_at_avg": "m", "l2_cumulative_avg": "m",
           "collision_3s": "%"}  # fmt: skip
COMPARED = ("ade_3s", "l2_at_3s")  # with the first planner, keyframe by keyframe; a cue is defined by the 3 s end point

# Benchmark -> its command, which has options of its own: eyesup eval --benchmark NAME --help
BENCHMARKS = {
    "navsim": "eyesup.cli.evaluate_navsim:main",
    "nuscenes": "eyesup.cli.evaluate_nuscenes:main",
}


def evaluation(
    store: Positional[Path],
    planners: PlannerNames = ("ik_vla_tiny", "constant_velocity", "ego_mlp_tiny"),
    out: Path = Path("runs/eval"),
    samples: int | None = None,
    each: bool = False,
    blank: bool = False,
    every: int = 1,
    expert: bool = True,
    twins: bool = False,
) -> int:
    """Score planners on every keyframe of a store, and each against the first.

    Records go to OUT/records.jsonl, one line per planner and keyframe; an interrupted evaluation goes on where it
    stopped. Example: eyesup eval runs/world/test --planners ik_vla_tiny constant_velocity --blank

    Other benchmarks have options of their own: eyesup eval --benchmark navsim --help

    Args:
        store: Folder made by `eyesup world generate`.
        planners: Rules, shipped checkpoints or checkpoint folders.
        out: Folder of the records and the summary.
        samples: Alternatives drawn per keyframe by planners that sample (default: as many as the checkpoint says).
        each: Score each alternative by itself, not the plan chosen among them: what a single draw would get.
        blank: Also evaluate each checkpoint with its images replaced by grey.
        every: Take every k-th keyframe.
        expert: Add the expert itself (privileged), as the floor.
        twins: Also evaluate the store's pairs: the same moment with its cue and without it.
    """
    check_counts(samples, every)
    whole = WorldSource(store, with_map=False)
    source: SampleSource = subset(whole, whole.keys[::every]) if every > 1 else whole
    chosen: list[tuple[Planner, str]] = [
        (with_samples(load_planner(n), samples), stamp(n, samples, each)) for n in planners
    ]
    if blank:
        chosen += [(blanked(p), mark) for name, (p, mark) in zip(planners, list(chosen)) if name not in catalog.RULES]
    paired = _pairs_of(store) if twins else None
    if expert:
        chosen.append((expert_of(source), ""))
    by_planner, pairs_by_planner = {}, {}
    for planner, mark in chosen:
        with progress_bar(planner.name, len(source)) as advance:
            records = evaluate(planner, source, (0,), out / "records.jsonl", progress=advance, stamp=mark, each=each)
            by_planner[planner.name] = records
        if paired is not None and not planner.privileged:
            with progress_bar(f"{planner.name}, pairs", len(paired)) as advance:
                records = evaluate(
                    planner, paired, (0,), out / "records.jsonl", progress=advance, stamp=mark, each=each
                )
                pairs_by_planner[planner.name] = records
    findings = [
        Finding("openloop", f"{field} [{unit}]", PROTOCOL, table(by_planner, field, unit))
        for field, unit in COLUMNS.items()
    ]
    for field in COMPARED if len(by_planner) > 1 else ():
        title = f"{field} minus that of {next(iter(by_planner))}, paired [m]"
        findings.append(Finding("openloop", title, PROTOCOL, differences(by_planner, field, "m")))
    if pairs_by_planner:
        findings += _pair_findings(pairs_by_planner)
    for finding in findings:
        print_finding(finding)
    write_json(out / "summary.json", {"findings": findings, "facts": facts(f"eyesup eval {store}")})
    console.print(f"records: {out / 'records.jsonl'}   summary: {out / 'summary.json'}")
    return 0


def _pairs_of(store: Path) -> SampleSource:
    """Every moment whose twin without the cue is stored, and that twin."""
    whole = WorldSource(store, with_map=False, twins="also")
    return subset(whole, [key for pair in twin_pairs.pairs(whole.keys).items() for key in pair])


def _pair_findings(by_planner: Mapping[str, Sequence[Record]]) -> list[Finding]:
    tables = {"ade_3s of pairs [m]": twin_pairs.table(by_planner, "ade_3s", "m")}
    if len(by_planner) > 1:
        title = f"ade_3s of pairs minus that of {next(iter(by_planner))} [m]"
        tables[title] = twin_pairs.differences(by_planner, "ade_3s", "m")
    return [Finding("openloop", title, twin_pairs.PROTOCOL, rows) for title, rows in tables.items()]


def check_counts(samples: int | None, every: int) -> None:
    if (samples is not None and samples < 1) or every < 1:
        raise DataError(f"--samples {samples} and --every {every} must be at least 1")


def stamp(name: str, samples: int | None = None, each: bool = False) -> str:
    """What must not have changed for records to be reused: the weights behind the name, and how many plans were drawn."""
    weights = shipped().get(name, Path(name)) / "model.safetensors"
    digest = hashlib.blake2b(weights.read_bytes(), digest_size=6).hexdigest() if weights.exists() else "rule"
    return digest + (f" x {samples}" if samples else "") + (" each" if each else "")


def with_samples(planner: Planner, count: int | None) -> Planner:
    """The planner drawing `count` alternatives per plan, where it samples at all and a count is given."""
    if count is not None and hasattr(planner, "num_samples"):
        planner.num_samples = count
    return planner


def expert_of(source: SampleSource) -> ExpertReplay:
    """The expert's own futures as a (privileged) planner."""
    return ExpertReplay({sample.key: sample.truth.future for sample in source if sample.truth})


def main(argv: list[str]) -> int:
    """`--benchmark NAME` hands over to that benchmark's own command; without it, stores of the world are evaluated."""
    name, rest = _benchmark(argv)
    if name is None:
        return tyro.cli(evaluation, args=argv, prog="eyesup eval")
    command = catalog.lookup(BENCHMARKS, name, "benchmark")
    assert callable(command)
    return int(command(rest))


def _benchmark(argv: list[str]) -> tuple[str | None, list[str]]:
    """The value of --benchmark, and the other arguments."""
    for place, word in enumerate(argv):
        if word.startswith("--benchmark="):
            return word.split("=", 1)[1], argv[:place] + argv[place + 1 :]
        if word == "--benchmark":
            return " ".join(argv[place + 1 : place + 2]), argv[:place] + argv[place + 2 :]
    return None, argv
