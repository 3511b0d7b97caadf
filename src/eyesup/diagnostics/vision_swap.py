"""Blank or swapped images: if the plan barely gets worse, the planner was not looking (specs: diagnostics section 9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eyesup.data.source import SampleSource
from eyesup.evaluation.openloop import evaluate
from eyesup.evaluation.records import Record, estimate, estimate_values, group_by
from eyesup.models.protocol import Planner
from eyesup.types import DataError, Estimate, Finding, Observation, Prediction

GREY = 128
PROTOCOL = (
    "ADE over 6 waypoints (3 s) with the true images, with grey images, and with the images of another scene; text untouched. "
    "Reliance = 1 - ADE / ADE(swapped): 0 means the images do not matter."
)


def blank(observation: Observation) -> Observation:
    """The same observation with every pixel mid-grey."""
    return replace(observation, images=np.full_like(observation.images, GREY))


@dataclass(frozen=True)
class Edited:
    """A planner that sees edited observations; `edit` must keep the key, so noise stays paired."""

    planner: Planner
    edit: Callable[[Observation], Observation]
    name: str

    @property
    def privileged(self) -> bool:
        return self.planner.privileged

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        return self.planner.plan([self.edit(observation) for observation in observations], seed)


def blanked(planner: Planner) -> Edited:
    """The planner with its eyes shut."""
    return Edited(planner, blank, f"{planner.name}, blank images")


def swapped(planner: Planner, source: SampleSource) -> Edited:
    """The planner shown the images of a sample of another scene, always the same one, about half the source away."""
    partner = partners(source.keys)

    def edit(observation: Observation) -> Observation:
        return replace(observation, images=source[partner[observation.key]].observation.images)

    return Edited(planner, edit, f"{planner.name}, images of another scene")


def partners(keys: Sequence[str]) -> dict[str, int]:
    """Key -> row of the sample whose images it is shown. Raises DataError when all samples are of one scene."""
    scenes = [key.split("@")[0].split("~")[0] for key in keys]  # a twin shows its log's scene
    if len(set(scenes)) < 2:
        raise DataError(f"images of another scene: all {len(keys)} samples are of one scene, at least two are needed")
    count = len(keys)
    return {
        key: next(o for o in ((row + count // 2 + s) % count for s in range(count)) if scenes[o] != scenes[row])
        for row, key in enumerate(keys)
    }


def probe(planner: Planner, source: SampleSource, seeds: Sequence[int] = (0,)) -> Finding:
    """ADE with true, blank and swapped images, and the reliance index of each."""
    records = {
        variant.name: evaluate(variant, source, seeds)
        for variant in (planner, blanked(planner), swapped(planner, source))
    }
    true_records = records[planner.name]
    true_ade = estimate(true_records, "ade_3s").mean
    rows: dict[str, dict[str, Estimate | float | int | str]] = {}
    for name, variant in records.items():
        ade = estimate(variant, "ade_3s")
        rows[name] = {"ADE [m]": ade, "L2 at 3 s [m]": estimate(variant, "l2_at_3s")}
        if variant is not true_records:
            rows[name] |= {
                "worse by [m]": paired(true_records, variant, "ade_3s"),
                "reliance": 1.0 - true_ade / ade.mean if ade.mean else 0.0,
            }
    return Finding("vision_swap", planner.name, PROTOCOL, rows, settings={"seeds": list(seeds)})


def paired(first: Sequence[Record], second: Sequence[Record], field: str) -> Estimate:
    """Mean of second - first over shared keyframes (noise seeds averaged), with its interval over scenes."""
    means = [
        {
            key: float(np.mean([r[field] for r in group]))
            for key, group in group_by(records, "key").items()
            if group[0][field] is not None
        }
        for records in (first, second)
    ]
    scene = {record["key"]: str(record["scene"]) for record in first}
    keys = [key for key in means[0] if key in means[1]]
    return estimate_values(np.array([means[1][key] - means[0][key] for key in keys]), [scene[key] for key in keys])
