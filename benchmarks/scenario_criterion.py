"""Does each scenario's cue decide what the expert does? The criterion of a good scenario, over many seeds.

At the first keyframe at which the cue matters, the expert's 3 s end point must differ from the twin without the cue by more
than 1 m in at least 90 % of the seeds, and the twin with the cue beside the path from the one without by less than 0.1 m.

Run: python benchmarks/scenario_criterion.py --seeds 20
"""

from __future__ import annotations

import argparse
import platform
from datetime import date
from importlib.metadata import version

import numpy as np

from eyesup.types import Scene
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.simulate import simulate
from eyesup.world.twins import EFFECT_STEPS, TwinKind, cue_effects, make_twin

EFFECT_M, SAME_M = 1.0, 0.1


def end_points_apart(scene: Scene) -> tuple[float, float]:
    """Metres at 3 s: log to cue removed, and cue removed to cue off the path, at the scenario's cue moment."""
    step = int(scene.keyframes[scene.keyframes >= scene.tags["cue_step"]][0])
    removed, beside = (make_twin(scene, step, kind) for kind in (TwinKind.CUE_REMOVED, TwinKind.CUE_OFF_PATH))
    ends = [log.ego_poses[step + EFFECT_STEPS, :2] for log in (scene, removed, beside)]
    return float(np.linalg.norm(ends[0] - ends[1])), float(np.linalg.norm(ends[1] - ends[2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--split", default="train")
    options = parser.parse_args()
    print(
        f"{date.today()}  {platform.processor() or platform.machine()}  SUMO {version('libsumo')}  split {options.split}"
    )
    print(
        f"{'scenario':14}{'seeds':>6}{'effect > 1 m':>14}{'off path same':>15}{'median effect':>15}{'cue share':>11}  verdict"
    )
    for name in SCENARIOS:
        if name == "free_drive":
            continue
        scenes = [simulate(name, options.first_seed + i, options.split) for i in range(options.seeds)]
        apart = np.array([end_points_apart(scene) for scene in scenes])
        share = np.concatenate([cue_effects(scene, scene.keyframes) > EFFECT_M for scene in scenes]).mean()
        moved, same = (apart[:, 0] > EFFECT_M).mean(), (apart[:, 1] < SAME_M).mean()
        verdict = "good" if moved >= 0.9 and same == 1.0 else "NOT GOOD"
        print(
            f"{name:14}{len(apart):6}{moved:14.0%}{same:15.0%}{np.median(apart[:, 0]):13.2f} m{share:11.2f}  {verdict}"
        )


if __name__ == "__main__":
    main()
