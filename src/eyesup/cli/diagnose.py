"""`eyesup diagnose`: does this planner look at the road?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tyro
from tyro.conf import Positional

from eyesup import catalog
from eyesup.cli.common import console, facts, print_finding, write_json
from eyesup.data.world import WorldSource
from eyesup.models.load import load_planner


def diagnose(
    planner: Positional[str],
    store: Positional[Path],
    probes: tuple[str, ...] = ("ego_status", "vision_swap", "insertion"),
    seeds: tuple[int, ...] = (0,),
    out: Path = Path("runs/diagnose"),
) -> int:
    """Run probes on one planner and write the findings.

    Example: eyesup diagnose ik_vla_tiny runs/world/test --probes insertion next_source --seeds 0 1 2

    Args:
        planner: A rule, a shipped checkpoint or a checkpoint folder.
        store: Folder made by `eyesup world generate`.
        probes: Any of ego_status, vision_swap, insertion, next_source.
        seeds: Noise seeds of planners that sample.
        out: Folder of findings.json.
    """
    chosen = load_planner(planner)
    source = WorldSource(store, with_map=False)
    functions: dict[str, Any] = {name: catalog.lookup(catalog.PROBES, name, "probe") for name in probes}
    findings = []
    for name, probe in functions.items():
        with console.status(f"{name} on {chosen.name}"):
            findings.append(probe(chosen, source, seeds))
        print_finding(findings[-1])
    write_json(out / "findings.json", {"findings": findings, "facts": facts(f"eyesup diagnose {planner} {store}")})
    console.print(f"findings: {out / 'findings.json'}")
    return 0


def main(argv: list[str]) -> int:
    return tyro.cli(diagnose, args=argv, prog="eyesup diagnose")
