"""Does each scenario's cue decide what the expert does? The criterion of a good scenario, over many seeds.

At the first keyframe at which the cue matters, the expert's 3 s end point must differ from the twin without the cue by more
than 1 m in at least 90 % of the seeds, and the twins with the cue beside the road and in the sky from the one without by less
than 0.1 m in all of them (`eyesup.world.twins.criterion`).

Run: python benchmarks/scenario_criterion.py --seeds 20
"""

from __future__ import annotations

import argparse
import platform
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context

import numpy as np

from eyesup.types import EyesUpError
from eyesup.world.scenarios import SCENARIOS, load_scenario
from eyesup.world.simulate import simulate
from eyesup.world.twins import cue_effects
from eyesup.world.twins.criterion import EFFECT_M, SAME_M, CueTest, is_good, probe_cue


def probe(name: str, seed: int, split: str) -> tuple[CueTest, float] | str:
    """The twins of one log and the share of its keyframes that the cue decides; in words what went wrong."""
    try:
        scene = simulate(name, seed, split)
        return probe_cue(scene), float((cue_effects(scene, scene.keyframes) > EFFECT_M).mean())
    except EyesUpError as error:
        return f"{name} seed {seed}: {error}"


def row(name: str, found: list[tuple[CueTest, float]], failed: int) -> str:
    """One line of the table."""
    if not found:
        return f"{name:24}{0:6}  NOT GOOD: every seed failed"
    tests = [test for test, _ in found]
    shares = [
        f"{np.mean([test.decides for test in tests]):10.0%}",
        _share_same([test.off_path_m for test in tests]),
        _share_same([test.in_sky_m for test in tests]),
        f"{np.median([test.removed_m for test in tests]):8.2f} m",
        _median([test.moved_m for test in tests]),
        f"{np.mean([share for _, share in found]):11.2f}",
    ]
    verdict = "good" if is_good(tests) and not failed else "NOT GOOD"
    return f"{name:24}{len(tests):6}" + "".join(shares) + f"  {verdict}" + (f", {failed} failed" if failed else "")


def _share_same(apart: list[float | None]) -> str:
    known = [value for value in apart if value is not None]
    return f"{np.mean([value < SAME_M for value in known]):6.0%} ({len(known):2})" if known else f"{'-':>11}"


def _median(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.median(known):8.2f} m" if known else f"{'-':>10}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--split", default="train")
    parser.add_argument("--only", nargs="*", default=[], help="scenarios; default all that have a cue")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    names = options.only or [name for name in SCENARIOS if load_scenario(name).has_cue]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    print(
        f"{date.today()}  {platform.processor() or platform.machine()}  SUMO {version('libsumo')}  split {options.split}"
    )
    print(
        f"{'scenario':24}{'seeds':>6}{'> 1 m':>10}{'off path =':>11}{'in sky =':>11}{'effect':>10}{'moved':>10}{'cue share':>11}"
    )
    # spawn: SUMO keeps one world per process and does not survive a fork
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        outcomes = {name: [pool.submit(probe, name, seed, options.split) for seed in seeds] for name in names}
        problems: dict[str, list[str]] = defaultdict(list)
        for name, futures in outcomes.items():
            results = [future.result() for future in futures]
            problems[name] += [result for result in results if isinstance(result, str)]
            for seed, result in zip(seeds, results):
                if not isinstance(result, str) and not (result[0].decides and result[0].only_on_path):
                    problems[name].append(f"{name} seed {seed}: {result[0]}")
            print(row(name, [r for r in results if not isinstance(r, str)], sum(isinstance(r, str) for r in results)))
    print("\n".join(line for lines in problems.values() for line in lines))


if __name__ == "__main__":
    main()
