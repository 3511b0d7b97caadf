"""Does each scenario's cue decide what the expert does? The criterion of a good scenario, over many seeds.

At the first keyframe at which the cue matters, the expert's 3 s end point must differ from the twin without the cue by more
than 1 m in at least 90 % of the seeds, and the twins with the cue beside the road and in the sky from the one without by less
than 0.1 m in all of them (`eyesup.world.twins.criterion`). The simulator draws again where the cue would not matter; how many
draws a log needs stands in the last column.

Run: python benchmarks/scenario_criterion.py --seeds 20
In parts: python benchmarks/scenario_criterion.py --scenarios curve merge --keep runs/criterion.jsonl
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from kept import KeptResults

from eyesup.types import EyesUpError
from eyesup.world.scenarios import SCENARIOS, load_scenario
from eyesup.world.simulate import rehearse
from eyesup.world.twins import cue_effects
from eyesup.world.twins.criterion import EFFECT_M, SAME_M, CueTest, is_good, probe_cue

DURATION_S = 20.0


def probe(name: str, seed: int, split: str) -> dict[str, Any]:
    """The twins of one log, the share of its keyframes that the cue decides, the draws it took; or what went wrong."""
    try:
        attempt, scene = rehearse(name, seed, split, DURATION_S)
        share = float((cue_effects(scene, scene.keyframes) > EFFECT_M).mean())
        return {"test": asdict(probe_cue(scene)), "cue_share": share, "draws": attempt + 1}
    except EyesUpError as error:
        return {"problem": str(error)}


def row(name: str, found: list[dict[str, Any]], failed: int) -> str:
    """One line of the table."""
    if not found:
        return f"{name:24}{0:6}  NOT GOOD: every seed failed"
    tests = [CueTest(**one["test"]) for one in found]
    shares = [
        f"{np.mean([test.decides for test in tests]):10.0%}",
        _share_same([test.off_path_m for test in tests]),
        _share_same([test.in_sky_m for test in tests]),
        f"{np.median([test.removed_m for test in tests]):8.2f} m",
        _median([test.moved_m for test in tests]),
        f"{np.mean([one['cue_share'] for one in found]):11.2f}",
        f"{np.mean([one['draws'] for one in found]):7.1f}",
    ]
    verdict = "good" if is_good(tests) and not failed else "NOT GOOD"
    return f"{name:24}{len(tests):6}" + "".join(shares) + f"  {verdict}" + (f", {failed} failed" if failed else "")


def _share_same(apart: list[float | None]) -> str:
    known = [value for value in apart if value is not None]
    return f"{np.mean([value < SAME_M for value in known]):6.0%} ({len(known):2})" if known else f"{'-':>11}"


def _median(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.median(known):8.2f} m" if known else f"{'-':>10}"


def outcomes(
    names: list[str], seeds: range, split: str, workers: int, kept: KeptResults
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What was found for each scenario, by seed; only what is not kept yet is driven."""
    # spawn: SUMO keeps one world per process and does not survive a fork
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        missing = {
            (name, seed): pool.submit(probe, name, seed, split)
            for name in names
            for seed in seeds
            if kept.get(name, seed, split) is None
        }
        for name in names:
            found = []
            for seed in seeds:
                if (name, seed) in missing:
                    kept.add(missing[name, seed].result(), name, seed, split)
                    print(f"{name} seed {seed}", file=sys.stderr, flush=True)
                found.append(kept.get(name, seed, split) or {})
            yield name, found


def complaint(name: str, seed: int, one: dict[str, Any]) -> str | None:
    """What is wrong with one log, in words."""
    if "problem" in one:
        return f"{name} seed {seed}: {one['problem']}"
    test = CueTest(**one["test"])
    return None if test.decides and test.only_on_path else f"{name} seed {seed}: {test}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--split", default="train")
    parser.add_argument("--scenarios", nargs="*", default=[], help="default: all that have a cue")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="file of results: what stands there is not driven again")
    options = parser.parse_args()
    names = options.scenarios or [name for name in SCENARIOS if load_scenario(name).has_cue]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    print(
        f"{date.today()}  {platform.processor() or platform.machine()}  SUMO {version('libsumo')}  split {options.split}"
    )
    titles = {"> 1 m": 10, "off path =": 11, "in sky =": 11, "effect": 10, "moved": 10, "cue share": 11, "draws": 7}
    print(f"{'scenario':24}{'seeds':>6}" + "".join(f"{title:>{width}}" for title, width in titles.items()))
    complaints = []
    for name, found in outcomes(names, seeds, options.split, options.workers, KeptResults(options.keep)):
        driven = [one for one in found if "problem" not in one]
        print(row(name, driven, len(found) - len(driven)), flush=True)
        complaints += [words for seed, one in zip(seeds, found) if (words := complaint(name, seed, one))]
    print("\n".join(complaints))


if __name__ == "__main__":
    main()
