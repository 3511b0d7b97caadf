"""The README's picture: one frame before and after a car is put on the path, and beside it, with IK-VLA's and the expert's plans.

    python tools/make_hero.py runs/demo/world docs/images/hero.jpg

Takes the case to which the shipped model reacts most among the store's insertions: a picture of what looking is, not of the average.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from eyesup.data.world import WorldSource
from eyesup.diagnostics.insertion import InsertionSettings, cases, shifts
from eyesup.models.load import load_planner
from eyesup.reports.draw import side_by_side
from eyesup.reports.scenes import front_image


def main(store: Path, out: Path) -> None:
    planner = load_planner("ik_vla_tiny")
    versions = list(cases(WorldSource(store, with_map=False), InsertionSettings(distances_m=(14.0,))))
    on, _ = shifts(planner, versions, seed=0)
    case = versions[int(np.argmin(on))]
    frames = ((case.observation, case.expert), (case.on_path, case.expert_on), (case.off_path, case.expert_off))
    plans = planner.plan([observation for observation, _ in frames])
    pictures = [
        front_image(observation, {"IK-VLA": plan.trajectory, "expert": expert})
        for (observation, expert), plan in zip(frames, plans)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(side_by_side(pictures)).save(out, quality=88)
    print(f"{out}: {case.key}, plan's 3 s end point moved by {on.min():.1f} m ({len(versions)} cases)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
