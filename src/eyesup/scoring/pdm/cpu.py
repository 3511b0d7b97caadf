"""The scorer's compiled backend: every stage over a chunk of trajectories, chunks spread over threads.

The stages release the interpreter lock, so plain threads use all cores. Each trajectory is judged by itself, in the same
order of operations whatever the batch, so results do not depend on the chunks or the number of workers.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from eyesup.scoring.pdm.areas import NON_DRIVABLE, locate
from eyesup.scoring.pdm.comfort import (
    COMFORT_BOUNDS,
    TWO_FRAME_LIMITS,
    comfort,
    comfort_filters,
    motion,
    two_frame_differences,
    two_frame_filters,
)
from eyesup.scoring.pdm.contacts import NEVER, AgentTracks, contacts, red_lights
from eyesup.scoring.pdm.progress import WRONG_WAY_HALF_M, WRONG_WAY_ZERO_M, follow
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.simulate import resample, resampling, track, velocity_operator
from eyesup.scoring.pdm.version import DAC, DDC, EC, LK, NC, SAMPLES, TLC, TTC, Version

_MIN_CHUNK = 16  # trajectories per task: below, handing out work costs more than it saves


@dataclass(frozen=True)
class Judged:
    """What the stages find for (K,) plans of one scene, or (S, K) of several; leading axes `batch`.

    Attributes:
        values: By official name, (*batch,) sub-scores without ego progress.
        progress_m: (*batch,) along the centreline.
        wrong_way_m: (*batch,) most driven against the route within a second.
        samples: First sample of each failure by short name (``collision``, ``ttc``, ``red_light``, ``off_road``), NEVER if none.
        comfort: (*batch, 6) whether each comfort signal is in bounds, in the order of `COMFORT_SIGNALS`.
        differences: (*batch, 4) root mean square between two frames, zeros where not compared.
    """

    values: dict[str, np.ndarray]
    progress_m: np.ndarray
    wrong_way_m: np.ndarray
    samples: dict[str, np.ndarray]
    comfort: np.ndarray
    differences: np.ndarray

    @staticmethod
    def empty(batch: tuple[int, ...], version: Version) -> Judged:
        return Judged(
            {name: np.ones(batch) for name in (NC, DAC, DDC, TLC, TTC, LK, version.comfort, EC)},
            np.zeros(batch),
            np.zeros(batch),
            {name: np.full(batch, NEVER, np.int64) for name in ("collision", "ttc", "red_light", "off_road")},
            np.ones((*batch, 6), dtype=bool),
            np.zeros((*batch, 4)),
        )

    def part(self, scene: int, rows: slice) -> Judged:
        """A view of some plans of one scene."""
        return Judged(
            {name: values[scene, rows] for name, values in self.values.items()},
            self.progress_m[scene, rows],
            self.wrong_way_m[scene, rows],
            {name: values[scene, rows] for name, values in self.samples.items()},
            self.comfort[scene, rows],
            self.differences[scene, rows],
        )


def judge_plans(
    plans: np.ndarray,
    dt_s: float,
    scenes: list[PreparedScene],
    agents: list[AgentTracks],
    version: Version,
    previous: np.ndarray | None,
    workers: int | None,
) -> Judged:
    """Judge plans (S, K, T, 3) at `dt_s` with earlier plans (S, K or 1, T, 3), over all cores or `workers` of them."""
    judged = Judged.empty(plans.shape[:2], version)
    workers = workers or len(os.sched_getaffinity(0))
    chunk = max(_MIN_CHUNK, -(-plans.shape[0] * plans.shape[1] // (4 * workers)))
    tasks = [(s, slice(k, k + chunk)) for s in range(len(scenes)) for k in range(0, plans.shape[1], chunk)]

    def work(task: tuple[int, slice]) -> None:
        s, rows = task
        scene = scenes[s]
        into = judged.part(s, rows)
        states = simulate(plans[s, rows], dt_s, scene.ego.initial)
        judge(states, scene, agents[s], version, scene.ego.driven, into)
        if previous is not None and version.two_frame and scene.ego.frame_gap:
            before = previous[s] if previous.shape[1] == 1 else previous[s, rows]
            compare(states, simulate(before, dt_s, scene.ego.previous), scene.ego.frame_gap, version, into)

    if workers == 1 or len(tasks) == 1:
        for task in tasks:
            work(task)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, tasks))
    return judged


def simulate(plans: np.ndarray, dt_s: float, initial: np.ndarray) -> np.ndarray:
    """States (K, 41, 11) that the car drives through when it follows plans (K, T, 3) from the origin."""
    poses = np.empty((len(plans), SAMPLES, 3))
    resample(plans, *resampling(plans.shape[1], dt_s), poses)
    return drive(poses, initial)


def drive(poses: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """As `simulate`, for reference poses (K, 41, 3) at 0.1 s."""
    states = np.empty((len(poses), SAMPLES, 11))
    track(poses, initial, velocity_operator(), states)
    return states


def judge(
    states: np.ndarray, scene: PreparedScene, agents: AgentTracks, version: Version, past: np.ndarray, into: Judged
) -> tuple[np.ndarray, np.ndarray]:
    """All sub-scores of states (K, 41, 11) but ego progress and EC; returns boxes (K, 41, 4) and area flags (K, 41)."""
    boxes, flags = np.empty((*states.shape[:2], 4)), np.empty(states.shape[:2], np.uint8)
    locate(states, scene.grid, boxes, flags)
    off_road = flags & NON_DRIVABLE != 0
    leaves = off_road.any(axis=1)
    into.values[DAC][:] = ~leaves
    into.samples["off_road"][:] = np.where(leaves, off_road.argmax(axis=1), NEVER)
    contacts(
        states, boxes, flags, agents, version.ttc_last_sample,
        into.values[NC], into.samples["collision"], into.values[TTC], into.samples["ttc"],
    )  # fmt: skip
    follow(
        boxes,
        flags,
        scene.centerline,
        version.forgive_in_intersections,
        into.progress_m,
        into.wrong_way_m,
        into.values[LK],
    )
    wrong_way = into.wrong_way_m
    into.values[DDC][:] = np.where(wrong_way < WRONG_WAY_HALF_M, 1.0, np.where(wrong_way < WRONG_WAY_ZERO_M, 0.5, 0.0))
    if TLC in version.factors:
        grid = scene.grid
        red_lights(
            boxes, grid.x, grid.y, grid.ring_start, scene.red_polygons, scene.red_frames,
            into.values[TLC], into.samples["red_light"],
        )  # fmt: skip
    if not version.comfort_history:
        past = past[:0]
    elif not len(past):
        return boxes, flags  # nothing driven before: history comfort is 1
    filters = comfort_filters(len(past) + states.shape[1], version.comfort_windows)
    comfort(states, past, version.comfort_at_center, filters, COMFORT_BOUNDS, into.comfort)
    into.values[version.comfort][:] = into.comfort.all(axis=1)
    return boxes, flags


def compare(states: np.ndarray, before: np.ndarray, gap: int, version: Version, into: Judged) -> None:
    """EC of states (K, 41, 11) against those of the frame `gap` samples earlier, (K, 41, 11) or one for all (1, 41, 11)."""
    now, then = overlap(states, before, gap, version)
    two_frame_differences(now, then, into.differences)
    into.values[EC][:] = (into.differences <= TWO_FRAME_LIMITS).all(axis=1)


def overlap(states: np.ndarray, before: np.ndarray, gap: int, version: Version) -> tuple[np.ndarray, np.ndarray]:
    """The signals that EC compares, (K, 4, 41 - gap) each, where two frames overlap in time."""
    samples = states.shape[1] - gap
    filters = two_frame_filters(samples, version.comfort_windows)
    now, then = np.empty((len(states), 4, samples)), np.empty((len(before), 4, samples))
    motion(states, 0, filters, now)
    motion(before, gap, filters, then)
    return now, then
