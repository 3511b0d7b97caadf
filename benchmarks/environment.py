"""Steps per second of the closed loop on one core: `DrivingEnv` with cameras, and where a step's time goes.

    python benchmarks/environment.py --out benchmarks/results/environment.txt

Drivers: random acceleration with the expert's steering, and the expert. A step is 0.1 s of the world. Time is the
process's CPU time (wall time on an idle core), so that a shared machine does not blur the number. Resets are counted apart.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the thread limits

from eyesup.world.env import DrivingEnv  # noqa: E402

Driver = Callable[[DrivingEnv, np.random.Generator], np.ndarray]


def random_pedals(env: DrivingEnv, rng: np.random.Generator) -> np.ndarray:
    """Random acceleration; the expert's steering keeps the car on its road."""
    return np.array([rng.normal(0.0, 1.0), env.expert_action()[1]])


def expert(env: DrivingEnv, rng: np.random.Generator) -> np.ndarray:
    return env.expert_action()


def steps_per_s(env: DrivingEnv, driver: Driver, steps: int) -> tuple[float, float]:
    """CPU seconds per step and per reset."""
    rng, spent, done, count = np.random.default_rng(0), 0.0, True, 0
    resets: list[float] = []
    while count < steps:
        if done:
            start = time.process_time()
            env.reset(seed=len(resets))
            resets.append(time.process_time() - start)
        start = time.process_time()
        _, _, terminated, truncated, _ = env.step(driver(env, rng))
        spent, done, count = spent + time.process_time() - start, terminated or truncated, count + 1
    env.close()
    return spent / count, float(np.mean(resets))


def stages(steps: int) -> dict[str, float]:
    """CPU milliseconds per step of the parts: the simulation with events, the pictures, the expert."""
    spent = dict.fromkeys(("simulation and events", "three cameras", "expert"), 0.0)
    env = DrivingEnv("free_drive", images=False)
    env.reset(seed=0)
    env.episode.images()  # the scenery is built once
    for _ in range(steps):
        start = time.process_time()
        action = env.expert_action()
        driven = time.process_time()
        env.step(action)
        stepped = time.process_time()
        env.episode.images()
        drawn = time.process_time()
        for name, seconds in zip(spent, (stepped - driven, drawn - stepped, driven - start)):
            spent[name] += seconds
        if env.episode.time_s > 19.0:
            env.reset(seed=1)
            env.episode.images()
    env.close()
    return {name: 1000 * seconds / steps for name, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = [f"{'driver':<18}{'observation':<26}{'steps/s':>9}{'reset s':>9}"]
    for name, driver in (("random pedals", random_pedals), ("expert", expert)):
        for observation, rig, images in (
            ("front3 256x144", "front3", True), ("surround6 256x144", "surround6", True), ("no cameras", "front3", False),
        ):  # fmt: skip
            env = DrivingEnv("free_drive", rig=rig, images=images)
            per_step, per_reset = steps_per_s(env, driver, options.steps)
            lines.append(f"{name:<18}{observation:<26}{1 / per_step:>9.0f}{per_reset:>9.2f}")
    lines += ["", "CPU ms per step (expert, free_drive, front3 256x144):"]
    lines += [f"  {name:<24}{ms:>6.2f}" for name, ms in stages(150).items()]
    lines += ["", f"{platform.machine()}, {os.cpu_count()} cores, one used; {options.steps} steps per row"]
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
