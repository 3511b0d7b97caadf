"""`eyesup data`: check a download of a data set before hours are spent on it."""

from __future__ import annotations

import json
from pathlib import Path

import tyro
from rich.table import Table
from tyro.conf import Positional

from eyesup.cli.common import console
from eyesup.data.nuscenes.check import CheckReport
from eyesup.data.nuscenes.check import check as check_nuscenes


def check(
    root: Positional[Path],
    version: str | None = None,
    sweeps: bool = False,
    files: bool = True,
    out: Path | None = None,
) -> int:
    """Verify a nuScenes download: tables, links between them, images, CAN bus, maps; and count the usable keyframes.

    The full val split must show 6,019 keyframes for UniAD's definition, 5,119 for VAD's and 4,819 for ST-P3's. The exit status
    is 0 when all that an evaluation needs is there, 1 when something is missing or damaged.

    Example: eyesup data check /data/nuscenes --version v1.0-trainval

    Args:
        root: Folder that holds v1.0-*, samples/, maps/ and can_bus/.
        version: Needed where the root holds several, e.g. v1.0-mini.
        sweeps: Look for the files of all records, not of keyframes only.
        files: Look for files at all; --no-files checks the tables alone.
        out: Also write the report as JSON.
    """
    report = check_nuscenes(root, version, sweeps, files)
    show(report)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(to_json(report), indent=1) + "\n")
    return 1 if report.faults else 0


def show(report: CheckReport) -> None:
    """The report on the terminal, with what to type next."""
    console.print(f"{report.root} {report.version}: " + ", ".join(f"{n} {name}" for name, n in report.rows.items()))
    if report.splits:
        table = Table(
            "split", "scenes", "keyframes", "UniAD", "VAD", "ST-P3", "release", title="usable keyframes by definition"
        )
        for count in report.splits:
            release = "-" if count.expected is None else f"{count.expected[0]} scenes, {count.expected[1]} keyframes"
            numbers = (count.scenes, count.keyframes, count.uniad, count.vad, count.stp3)
            table.add_row(count.split, *(f"{number:,}" for number in numbers), release)
        console.print(table)
    if report.files[1]:
        console.print(f"files: {report.files[0]:,} of {report.files[1]:,} are there")
    for note in report.notes:
        console.print(f"[yellow]note:[/yellow] {note}", highlight=False, soft_wrap=True)
    for fault in report.faults:
        console.print(f"[red]fault:[/red] {fault}", highlight=False, soft_wrap=True)
    if report.faults:
        console.print(
            f"{len(report.faults)} fault(s); mend them and repeat: eyesup data check {report.root}", soft_wrap=True
        )
        return
    split = next((count.split for count in report.splits if "val" in count.split), report.splits[0].split)
    console.print(
        f"all well; next: eyesup eval {report.root} --benchmark nuscenes --split {split} --planners constant_velocity",
        soft_wrap=True,
    )


def to_json(report: CheckReport) -> dict[str, object]:
    """Plain values."""
    return {
        "root": str(report.root), "version": report.version, "rows": report.rows, "files": list(report.files),
        "splits": [vars(count) for count in report.splits], "faults": report.faults, "notes": report.notes,
    }  # fmt: skip


def main(argv: list[str]) -> int:
    return tyro.extras.subcommand_cli_from_dict({"check": check}, args=argv, prog="eyesup data", description=__doc__)
