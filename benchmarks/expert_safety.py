"""How safely the world's expert drives: collisions, red lights, stop signs and hard braking over many random routes.

Every log has a town, a route and traffic of its own; the scenarios take turns. Below the table each failure is named with its log
and step, so that it can be looked at (`eyesup world render NAME --seed SEED --step STEP`).

Run: python benchmarks/expert_safety.py --logs 240
In parts: python benchmarks/expert_safety.py --scenarios merge give_way --keep runs/safety.jsonl
Of logs that exist: python benchmarks/expert_safety.py --store runs/world/test
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from kept import KeptResults

from eyesup.data.world import WorldSource
from eyesup.types import EyesUpError, Scene, SignalState
from eyesup.world.contacts import AT_REST_MPS, contacts
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.simulate import simulate
from eyesup.world.twins import scene_route

HARD_BRAKING_MPS2 = -6.0
AT_LINE_M = 4.0  # a stop at a stop sign counts this near its line
COLLISION, FROM_BEHIND, STANDING, RED, STOP, HARD = (
    "collisions",
    "hit from behind",
    "hit at rest",
    "red lights run",
    "stop signs run",
    "hard braking",
)
TITLES = (COLLISION, FROM_BEHIND, STANDING, RED, STOP, HARD)

Found = list[tuple[str, int]]
"""What went wrong, and at which step."""


def collisions(scene: Scene) -> Found:
    """Agents whose box ever overlaps the ego's, by who ran into whom."""
    kinds = [(FROM_BEHIND if c.behind else STANDING if c.at_rest else COLLISION, c.step) for c in contacts(scene)]
    return sorted(kinds, key=lambda found: found[1])


def signals_run(scene: Scene) -> Found:
    """Stop lines that the ego's front crossed on red, or at a stop sign without having come to rest before it."""
    route = scene_route(scene)
    front = np.array([route.project(*pose) for pose in scene.ego_poses]) + scene.vehicle.front_m
    ends = dict(zip(route.lane_ids, route.lane_end_s))
    speeds, found = scene.ego_velocities[:, 0], set()
    for states, lanes in zip(scene.signals.states, scene.signals.stop_lane_ids):
        for stop in {ends[lane] for lane in lanes if lane in ends}:
            for step in np.flatnonzero((front[:-1] <= stop) & (front[1:] > stop)):
                before = (front > stop - AT_LINE_M) & (np.arange(len(front)) <= step)
                if states[step] == SignalState.RED:
                    found.add((RED, int(step)))
                elif states[step] == SignalState.STOP_SIGN and speeds[before].min() >= AT_REST_MPS:
                    found.add((STOP, int(step)))
    return sorted(found)


def drive(name: str, seed: int, split: str) -> dict[str, Any]:
    """What went wrong in one log, the metres driven and the seconds it took; or why there is none."""
    start = time.process_time()
    try:
        scene = simulate(name, seed, split)
    except EyesUpError as error:
        return {"problem": str(error)}
    return examine(scene) | {"cpu_s": time.process_time() - start}


def examine(scene: Scene) -> dict[str, Any]:
    """What went wrong in a log, and the metres driven."""
    step = int(scene.ego_accelerations[:, 0].argmin())
    hard = [(HARD, step)] if scene.ego_accelerations[step, 0] < HARD_BRAKING_MPS2 else []
    driven = float(np.linalg.norm(np.diff(scene.ego_poses[:, :2], axis=0), axis=1).sum())
    found = collisions(scene) + signals_run(scene) + hard
    return {"found": found, "driven_m": driven}


def examine_store(folder: Path) -> None:
    """The table of a generated store's logs."""
    store = WorldSource(folder, images="none", with_map=False).store
    print(f"{date.today()}  {folder}\n{heading()}")
    everything, failures, by_name = Counter[str](), [], dict[str, Counter[str]]()
    for key in store.keys:
        scene = store.scene(key)
        one = examine(scene) | {"cpu_s": 0.0}
        add(by_name.setdefault(str(scene.tags["scenario"]), Counter()), one)
        add(everything, one)
        failures += [f"{key} step {step}: {what}" for what, step in one["found"] if what != HARD]
    for name in sorted(by_name):
        print(row(name, by_name[name]))
    print("\n".join([row("all", everything), *failures]))


def add(counts: Counter[str], one: dict[str, Any]) -> None:
    """Count one log's result."""
    counts.update(what for what, _ in one["found"])
    counts.update({"logs": 1, "m": round(one["driven_m"]), "ms": round(1e3 * one["cpu_s"])})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=240, help="logs of 20 s, all scenarios together")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--split", default="train")
    parser.add_argument("--scenarios", nargs="*", default=[], help="default: all")
    parser.add_argument("--keep", type=Path, help="file of results: what stands there is not driven again")
    parser.add_argument("--store", type=Path, help="look at the logs of a generated store instead of driving any")
    options = parser.parse_args()
    if options.store is not None:
        examine_store(options.store)
        return
    names, kept = options.scenarios or list(SCENARIOS), KeptResults(options.keep)
    print(
        f"{date.today()}  {platform.processor() or platform.machine()}  SUMO {version('libsumo')}  split {options.split}"
    )
    print(heading())
    logs: dict[str, list[int]] = {name: [] for name in names}
    for index in range(
        options.logs
    ):  # every log a seed of its own, so that towns and scenarios do not go round in step
        logs[names[index % len(names)]].append(options.first_seed + index)
    failures, everything = [], Counter[str]()
    for name, seeds in logs.items():
        counts: Counter[str] = Counter()
        for seed in seeds:
            one = kept.get(name, seed, options.split)
            if one is None:
                one = drive(name, seed, options.split)
                kept.add(one, name, seed, options.split)
                print(f"{name} seed {seed}: {one}", file=sys.stderr, flush=True)
            if "problem" in one:
                failures.append(f"{name} seed {seed}: {one['problem']}")
                continue
            add(counts, one)
            failures += [f"{name} seed {seed} step {step}: {what}" for what, step in one["found"]]
        print(row(name, counts), flush=True)
        everything += counts
    print(row("all", everything))
    print("\n".join(failures))


def heading() -> str:
    return f"{'scenario':22}{'logs':>6}{'km':>7}" + "".join(f"{title:>17}" for title in TITLES) + f"{'s/log':>8}"


def row(name: str, counts: Counter[str]) -> str:
    """One line of the table."""
    numbers = "".join(f"{counts[title]:17}" for title in TITLES)
    return f"{name:22}{counts['logs']:6}{counts['m'] / 1e3:7.1f}{numbers}{counts['ms'] / 1e3 / max(counts['logs'], 1):8.2f}"


if __name__ == "__main__":
    main()
