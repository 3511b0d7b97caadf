"""`eyesup eval ROOT --benchmark nuscenes`: plan every keyframe of a split and score the plans in all open-loop protocols."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from eyesup.catalog import RULES
from eyesup.cli.common import console, facts, print_finding, progress_bar, write_json
from eyesup.cli.evaluate import COLUMNS, PlannerNames, check_counts, stamp, with_samples
from eyesup.cli.plan import to_row
from eyesup.cli.score_nuscenes import scorable, score_all, show, write
from eyesup.data.nuscenes.cases import lidar_plan
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.definitions import CommandRule
from eyesup.data.nuscenes.source import NuScenesSource
from eyesup.data.source import SampleSource, subset
from eyesup.diagnostics.ego_status import PROTOCOL, table
from eyesup.evaluation.openloop import evaluate
from eyesup.models.load import load_planner
from eyesup.models.protocol import Planner
from eyesup.scoring.openloop.score import summary
from eyesup.types import DataError, Finding, Observation, Prediction, Trajectory

SHOWN = 5


def evaluation(
    root: Positional[Path],
    planners: PlannerNames = ("constant_velocity",),
    split: str = "val",
    version: str | None = None,
    command: CommandRule = "uniad",
    out: Path = Path("runs/nuscenes"),
    samples: int | None = None,
    every: int = 1,
    keep_going: bool = False,
) -> int:
    """Plan every keyframe of a nuScenes split and score the plans in all open-loop protocols of the literature, side by side.

    Plans go to OUT/<planner>.plans.jsonl, in the layout that `eyesup score openloop --predictions` reads; records in this
    project's own protocol to OUT/records.jsonl. An interrupted evaluation goes on where it stopped. With the published command,
    which is read off the future path, every record is stamped privileged; --command route is not.

    Example: eyesup eval /data/nuscenes --benchmark nuscenes --split val --planners runs/ik_vla/checkpoint constant_velocity

    Args:
        root: Folder that holds v1.0-*, samples/ and can_bus/.
        planners: Rules, shipped checkpoints or checkpoint folders.
        split: val, mini_val, ...
        version: Needed where the root holds several.
        command: uniad or vad (from the future), route (from the CAN bus expansion) or forward.
        out: Folder of plans, records and the summary.
        samples: Alternatives drawn per keyframe by planners that sample (default: as many as the checkpoint says).
        every: Take every k-th keyframe.
        keep_going: Leave out keyframes whose images are missing, count and show them.
    """
    check_counts(samples, every)
    data = NuScenes(root, version)
    whole = NuScenesSource(data, split, command_rule=command)
    blind = NuScenesSource(data, split, command_rule=command, images="none")  # rules look at no pixel
    keys = list(whole.keys[::every])
    missing = [key for key, row in zip(keys, whole.rows[::every]) if not _has_images(data, int(row))]
    if missing and not keep_going:
        raise DataError(
            f"{len(missing)} of {len(keys)} keyframes lack an image, e.g. {missing[0]}; run `eyesup data check {root}`, or leave "
            "them out with --keep-going"
        )
    left_out = set(missing)
    kept = [key for key in keys if key not in left_out]
    protocols = scorable(data)
    by_planner, tables = {}, {}
    for name in planners:
        source = subset(blind if name in RULES else whole, kept)
        planner = Recorded(with_samples(load_planner(name), samples), out)
        with progress_bar(planner.name, len(source)) as advance:
            mark = f"{stamp(name, samples)} {command}"
            by_planner[planner.name] = evaluate(
                planner, source, (0,), out / "records.jsonl", progress=advance, stamp=mark
            )
        results = score_all(data, planner.paths(data, source), whole.rows[::every], protocols)
        write(out / f"{planner.file_name}.scores.jsonl", results)
        privileged = "; privileged: the command is read off the future" if command in ("uniad", "vad") else ""
        show(results, f"{planner.name}, {data.version} {split}{privileged}")
        tables[planner.name] = {protocol: summary(result) for protocol, result in results.items()}
    findings = [
        Finding("openloop", f"{c} [{unit}]", PROTOCOL, table(by_planner, c, unit)) for c, unit in COLUMNS.items()
    ]
    print_finding(findings[0])
    command_line = f"eyesup eval {root} --benchmark nuscenes --split {split} --command {command}"
    write_json(
        out / "summary.json",
        {"protocols": tables, "findings": findings, "left_out": missing, "facts": facts(command_line)},
    )
    for key in missing[:SHOWN]:
        console.print(f"[yellow]left out:[/yellow] {key} lacks an image", highlight=False)
    if missing:
        console.print(
            f"[yellow]{len(missing)} of {len(keys)} keyframes left out; these means are not comparable[/yellow]"
        )
    console.print(f"records: {out / 'records.jsonl'}   summary: {out / 'summary.json'}", soft_wrap=True)
    return 0


def _has_images(data: NuScenes, keyframe: int) -> bool:
    files = [data.file(keyframe, channel) for channel in data.cameras(keyframe)]
    return all(file.exists() and file.stat().st_size > 0 for file in files)


class Recorded:
    """A planner whose plans are also written, one line each."""

    def __init__(self, planner: Planner, folder: Path) -> None:
        self._planner = planner
        self.name = planner.name
        self.privileged = planner.privileged
        self.file_name = "".join(c if c.isalnum() or c in "-_." else "_" for c in planner.name)
        self.file = folder / f"{self.file_name}.plans.jsonl"

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        predictions = self._planner.plan(observations, seed)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as file:
            file.writelines(json.dumps(to_row(prediction)) + "\n" for prediction in predictions)
        return predictions

    def paths(self, data: NuScenes, source: SampleSource) -> dict[str, np.ndarray]:
        """Token -> what was planned for the samples of a source, in the lidar frame; of a keyframe planned twice the last."""
        rows = [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []
        keys, paths = set(source.keys), {}
        for row in rows:
            if row["key"] in keys:
                token = row["key"].rsplit("@", 1)[-1]
                paths[token] = lidar_plan(data, data.index(token), Trajectory(np.array(row["poses"]), row["dt_s"]))
        return paths


def main(argv: list[str]) -> int:
    return tyro.cli(evaluation, args=argv, prog="eyesup eval --benchmark nuscenes")
