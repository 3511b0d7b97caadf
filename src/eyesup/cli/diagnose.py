"""`eyesup diagnose`: does this planner look at the road?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tyro
from tyro.conf import Positional

from eyesup import catalog
from eyesup.cli.common import console, facts, print_finding, write_json
from eyesup.cli.evaluate import check_counts, with_samples
from eyesup.data.source import subset
from eyesup.data.world import WorldSource
from eyesup.models.load import load_planner


def diagnose(
    planner: Positional[str],
    store: Positional[Path],
    probes: tuple[str, ...] = ("ego_status", "vision_swap", "insertion"),
    seeds: tuple[int, ...] = (0,),
    samples: int | None = None,
    every: int = 1,
    out: Path = Path("runs/diagnose"),
) -> int:
    """Run probes on one planner and write the findings.

    Example: eyesup diagnose ik_vla_tiny runs/world/test --probes insertion next_source --every 14

    Args:
        planner: A rule, a shipped checkpoint or a checkpoint folder.
        store: Folder made by `eyesup world generate`.
        probes: Any of ego_status, vision_swap, insertion, next_source.
        seeds: Seeds of the noise; each plans everything once more.
        samples: Alternatives drawn per keyframe by planners that sample (default: as many as the checkpoint says).
        every: Take every k-th keyframe; insertion chooses its own from all of them.
        out: Folder of findings.json.
    """
    check_counts(samples, every)
    chosen = with_samples(load_planner(planner), samples)
    whole = WorldSource(store, with_map=False)
    thinned = subset(whole, whole.keys[::every]) if every > 1 else whole
    functions: dict[str, Any] = {name: catalog.lookup(catalog.PROBES, name, "probe") for name in probes}
    findings = []
    for name, probe in functions.items():
        with console.status(f"{name} on {chosen.name}"):
            findings.append(probe(chosen, whole if name == "insertion" else thinned, seeds))
        print_finding(findings[-1])
    write_json(out / "findings.json", {"findings": findings, "facts": facts(f"eyesup diagnose {planner} {store}")})
    console.print(f"findings: {out / 'findings.json'}")
    return 0


def main(argv: list[str]) -> int:
    return tyro.cli(diagnose, args=argv, prog="eyesup diagnose")
