"""Speed of the open-loop protocols on a load of nuScenes' size, beside a naive twin in the same run.

    python benchmarks/score_openloop.py

6,000 samples (nuScenes' validation split has 6,019) with 25 agents each and a drivable area of a crossing with an island. One
thread. Time is CPU time of the process, which equals wall time on an idle core, so that a shared machine does not blur it.
The naive twin is the same rule as plain Python, uncompiled, and draws every agent instead of those near the footprint; its
collisions must be the same.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version as installed

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the thread limits

from eyesup.scoring.openloop import grid  # noqa: E402
from eyesup.scoring.openloop.cases import Cases  # noqa: E402
from eyesup.scoring.openloop.protocol import CATEGORIES, PROTOCOLS  # noqa: E402
from eyesup.scoring.openloop.score import score, summary  # noqa: E402

SAMPLES, AGENTS = 6000, 25
NAIVE_SAMPLES = 8


def road(half_m: float = 7.0) -> tuple[tuple[np.ndarray, ...], ...]:
    """Two crossing roads with rounded corners, and an island on one of them."""
    turn = np.linspace(0.0, np.pi / 2, 16)
    corner = half_m + 5.0 * np.stack([1 - np.sin(turn), 1 - np.cos(turn)], axis=-1)
    ring = np.concatenate([[(49.0, half_m)], corner, [(half_m, 49.0)]])
    quarters = [ring, ring[::-1] * [-1, 1], ring * [-1, -1], ring[::-1] * [1, -1]]
    island = np.array([[-1.0, 20.0], [1.0, 20.0], [1.0, 30.0], [-1.0, 30.0]])
    return ((np.concatenate(quarters) + [0.0, 10.0], island),)


def load(samples: int, seed: int = 0) -> Cases:
    """Random samples: paths of 0 to 12 m/s that bend, parked and moving agents within 50 m."""
    rng = np.random.default_rng(seed)
    times = 0.5 * np.arange(1, 7)
    speed, bend = rng.uniform(0, 12, (samples, 1)), rng.normal(0, 0.08, (samples, 1))
    heading = bend * times
    driven = np.cumsum(0.5 * speed[..., None] * np.stack([-np.sin(heading), np.cos(heading)], axis=-1), axis=1)
    many = samples * AGENTS
    yaw = rng.uniform(-np.pi, np.pi, (many, 1))
    moved = rng.choice([0.0, 1.0], (many, 1)) * rng.uniform(0, 10, (many, 1)) * 0.5 * np.arange(7)
    start = rng.uniform(-50, 50, (many, 1, 2))
    position = start + moved[..., None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    return Cases(
        ids=tuple(range(samples)),
        plans=driven + np.cumsum(rng.normal(0, 0.4, driven.shape), axis=1),
        driven=driven,
        known=np.full(samples, 6),
        complete=np.ones(samples, dtype=bool),
        headings=heading,
        has_heading=np.ones(samples, dtype=bool),
        agent_starts=AGENTS * np.arange(samples + 1),
        categories=rng.integers(0, len(CATEGORIES), many),
        sizes=rng.uniform([1.0, 0.6], [8.0, 2.6], (many, 2)),
        poses=np.concatenate([position, np.broadcast_to(yaw[..., None], (many, 7, 1))], axis=-1),
        annotated=rng.random((many, 7)) < 0.9,
        drivable=(road(),) * samples,
        kerbs=(tuple(np.concatenate([ring, ring[:1]]) for ring in road()[0]),) * samples,
    )


def naive() -> None:
    """CPU seconds and collisions of a few samples under each protocol, in a process without the compiler."""
    grid._near = lambda *_: True
    for name in PROTOCOLS:
        start = time.process_time()
        found = score(load(NAIVE_SAMPLES), name).collides
        print(name, time.process_time() - start, "".join(str(int(hit)) for hit in found.ravel()))


def naive_rows() -> dict[str, tuple[float, str]]:
    """Milliseconds per sample of the naive twin, and its collisions."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--naive"], env=environment, check=True, capture_output=True, text=True
    )
    rows = (line.split() for line in done.stdout.splitlines())
    return {name: (1e3 * float(seconds) / NAIVE_SAMPLES, hits) for name, seconds, hits in rows}


def main() -> None:
    few, many, twins = load(NAIVE_SAMPLES), load(SAMPLES), naive_rows()
    print(f"# Open-loop protocols, {date.today()}\n")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, one used; Python {platform.python_version()}, "
        f"numpy {installed('numpy')}, numba {installed('numba')}; load average {os.getloadavg()[0]:.1f}."
    )
    print(f"{SAMPLES} samples with {AGENTS} agents each.\n")
    print(
        "| protocol | N | collision by 3 s [%] | all samples [s] | per sample [µs] | naive twin per sample [ms] | faster |"
    )
    print("|---|---|---|---|---|---|---|")
    total = 0.0
    for name in PROTOCOLS:
        same = "".join(str(int(hit)) for hit in score(few, name).collides.ravel())  # compiles, too
        if same != twins[name][1]:
            raise SystemExit(f"error: {name}: the naive twin finds other collisions")
        start = time.process_time()
        result = score(many, name)
        spent = time.process_time() - start
        total += spent
        means = summary(result)
        collisions = means["obj_box_col"]["any"]["3s"]  # type: ignore[index]
        each, twin_ms = spent / SAMPLES, twins[name][0]
        compared = f"{twin_ms:.1f} | {twin_ms / (1e3 * each):,.0f} x" if PROTOCOLS[name].raster else "(not compiled) |"
        print(f"| {name} | {means['n']} | {100 * collisions:.2f} | {spent:.2f} | {1e6 * each:.0f} | {compared} |")
    print(f"| all | | | {total:.2f} | {1e6 * total / SAMPLES:.0f} | {sum(ms for ms, _ in twins.values()):.1f} | |")


if __name__ == "__main__":
    naive() if "--naive" in sys.argv else main()
