"""Speed and memory of the PDM score, beside a naive twin and NAVSIM's own figures.

    python benchmarks/score_pdm.py

The load is a scene of NAVSIM's size (pdm_load.py): 201 map polygons, about 12 thousand vertices, 60 agents. v2 is complete:
with the earlier plan for EC and the human filter; PDM-Closed is planned, and it and the human are scored, once per scene,
when it is prepared.
One core unless said otherwise. Time is CPU time of the thread, best of several runs, so that a shared machine does not blur
it; where two threads work, wall time is given, too.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.metadata import version as installed
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the thread limits
from pdm_load import plans, street_scene  # noqa: E402

from eyesup.geometry.se2 import from_frame  # noqa: E402
from eyesup.scoring.pdm import PreparedScene, prepare, score  # noqa: E402
from eyesup.scoring.pdm.score import reference_poses  # noqa: E402
from eyesup.scoring.pdm.version import V1, V2, Version  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "scoring" / "pdm"))

# NAVSIM's own scorer on the same kind of load, calls per second of CPU time on one core of an AMD EPYC machine: all plans of
# a scene in one batch of 64 (v2 without EC and human filter), and one plan per call (v2 with the filter).
OFFICIAL = {"navsim-v1.1": {64: 173, 1: 35}, "navsim-v2": {64: 88, 1: 13}}


def best(
    function: Callable[[], object], clock: Callable[[], float] = time.thread_time, at_least_s: float = 0.6
) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    function()
    times: list[float] = []
    while sum(times) < at_least_s or len(times) < 5:
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def naive_row(version: Version) -> float:
    from naive import NaiveScorer

    inputs = street_scene()
    scene = prepare(inputs)
    plan = from_frame(reference_poses(scene, version), scene.origin)
    scorer = NaiveScorer(replace(inputs, references={version.family: plan}), version)
    now, before = plans(3)
    return best(lambda: [scorer.score(a, 0.5, b) for a, b in zip(now, before)], at_least_s=0.1) / len(now)


def compiled_row(scene: PreparedScene, version: Version, count: int, **options) -> float:
    now, before = plans(count)
    return best(lambda: score(now[None], [scene], version, before[None], workers=1, **options)) / count


def many_scenes(count: int, each: int) -> tuple[float, float]:
    """Milliseconds for `each` plans in `count` prepared scenes: wall time with two threads, CPU time of the process."""
    scenes = [prepare(street_scene(seed), V2) for seed in range(count)]
    pairs = [plans(each, seed) for seed in range(count)]
    now, before = (np.stack(part) for part in zip(*pairs))

    def run() -> object:
        return score(now, scenes, V2, before, workers=2)

    return 1e3 * best(run, time.perf_counter, 3.0), 1e3 * best(run, time.process_time)


def memory() -> None:
    """Prepare 256 scenes, score 64 plans in each, print peak resident memory [MB]; run in a process of its own."""
    scenes = [prepare(street_scene(seed), V2) for seed in range(256)]
    now, before = (np.repeat(part[None], 256, axis=0) for part in plans(64))
    score(now, scenes, V2, before)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def cold_start(cache: str) -> float:
    """Seconds of CPU time from a fresh interpreter to the first score, with a given cache of compiled code."""
    code = "from pdm_load import *; from eyesup.scoring.pdm import *; n, b = plans(1)\n"
    code += "score(n[None], [prepare(street_scene(), 'v2')], 'v2', b[None])"
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    inputs = street_scene()
    scene = prepare(inputs, V1, V2)
    load = os.getloadavg()[0]
    print(f"# PDM score, {date.today()}\n")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"numpy {installed('numpy')}, numba {installed('numba')}, torch {installed('torch')}; load average {load:.1f}."
    )
    vertices = sum(map(len, inputs.polygons))
    print(f"Load: {len(inputs.polygons)} polygons, {vertices} vertices, {len(inputs.agent_types)} agents.\n")
    print("| | plans per call | µs per plan | plans/s | against NAVSIM's own |")
    print("|---|---|---|---|---|")
    for version in (V2, V1):
        for count in (1, 8, 64, 256):
            each = compiled_row(scene, version, count)
            official = OFFICIAL[version.name].get(count)
            share = f"{1 / each / official:.0f} x ({official}/s)" if official else ""
            print(f"| {version.name}, compiled | {count} | {1e6 * each:.1f} | {1 / each:,.0f} | {share} |")
        each = naive_row(version)
        print(f"| {version.name}, naive twin | 1 | {1e6 * each:,.0f} | {1 / each:,.0f} | |")
    for count in (64, 256):
        each = compiled_row(scene, V2, count, backend="torch")
        print(f"| {V2.name}, torch on one core, float32 | {count} | {1e6 * each:.1f} | {1 / each:,.0f} | |")
    print("\n| | |\n|---|---|")
    print(f"| prepare a scene, v2, PDM-Closed included | {1e3 * best(lambda: prepare(inputs, V2)):.1f} ms |")
    wall, cpu = many_scenes(64, 8)
    print(f"| 64 scenes x 8 plans, prepared, 2 threads | {wall:.1f} ms wall, {cpu:.1f} ms CPU |")
    done = subprocess.run(
        [sys.executable, __file__, "--memory"], check=True, capture_output=True, text=True, cwd=Path(__file__).parent
    )
    print(f"| peak memory, 256 scenes x 64 plans | {float(done.stdout):.0f} MB |")
    with tempfile.TemporaryDirectory() as cache:
        first, again = cold_start(cache), cold_start(cache)
    print(f"| first score in a fresh process, nothing compiled yet | {first:.1f} s CPU |")
    print(f"| the same with the compiled code cached | {again:.1f} s CPU |")


if __name__ == "__main__":
    memory() if "--memory" in sys.argv else main()
