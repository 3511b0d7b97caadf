"""How safely the world's expert drives: collisions, red lights, stop signs and hard braking over many logs.

Run: python benchmarks/expert_safety.py --logs 40
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from datetime import date
from importlib.metadata import version

import numpy as np

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import Scene, SignalState
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.simulate import simulate
from eyesup.world.twins import scene_route

HARD_BRAKING_MPS2 = -6.0
AT_LINE_M, AT_REST_MPS = 4.0, 0.05  # a stop at a stop sign counts this near its line


def collisions(scene: Scene) -> Counter[str]:
    """Agents whose box ever overlaps the ego's, by who ran into whom."""
    vehicle, poses = scene.vehicle, scene.ego_poses
    ahead = np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=-1)
    centres = np.concatenate([poses[:, :2] + vehicle.rear_axle_to_center_m * ahead, poses[:, 2:]], axis=-1)
    ego = box_corners(centres, vehicle.length_m, vehicle.width_m)
    found: Counter[str] = Counter()
    agents = scene.agents
    for i in range(len(agents)):
        boxes = box_corners(agents.poses[i], float(agents.sizes[i, 0]), float(agents.sizes[i, 1]))
        hits = np.flatnonzero(boxes_overlap(ego, boxes) & agents.valid[i])
        if len(hits):
            offset = agents.poses[i, hits[0], :2] - centres[hits[0], :2]
            behind = float(offset @ ahead[hits[0]]) < -vehicle.length_m / 2
            found["ego hit from behind" if behind else "collisions"] += 1
    return found


def signals_run(scene: Scene) -> Counter[str]:
    """Stop lines that the ego's front crossed on red, or at a stop sign without having come to rest before it."""
    route = scene_route(scene)
    front = np.array([route.project(*pose) for pose in scene.ego_poses]) + (
        scene.vehicle.rear_axle_to_center_m + scene.vehicle.length_m / 2
    )
    ends = dict(zip(route.lane_ids, route.lane_end_s))
    speeds, found = scene.ego_velocities[:, 0], Counter[str]()
    for states, lanes in zip(scene.signals.states, scene.signals.stop_lane_ids):
        for stop in {ends[lane] for lane in lanes if lane in ends}:
            for step in np.flatnonzero((front[:-1] <= stop) & (front[1:] > stop)):
                before = (front > stop - AT_LINE_M) & (np.arange(len(front)) <= step)
                rested = speeds[before].min() < AT_REST_MPS
                found["red lights run"] += int(states[step] == SignalState.RED)
                found["stop signs run"] += int(states[step] == SignalState.STOP_SIGN and not rested)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=40, help="logs of 20 s per scenario")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--split", default="train")
    options = parser.parse_args()
    print(
        f"{date.today()}  {platform.processor() or platform.machine()}  SUMO {version('libsumo')}  split {options.split}"
    )
    titles = ("collisions", "ego hit from behind", "red lights run", "stop signs run", "hard braking")
    print(f"{'scenario':22}{'logs':>6}" + "".join(f"{title:>21}" for title in titles) + f"{'s/log':>8}")
    for name in SCENARIOS:
        counts: Counter[str] = Counter()
        start = time.perf_counter()
        for seed in range(options.first_seed, options.first_seed + options.logs):
            scene = simulate(name, seed, options.split)
            counts += collisions(scene)
            counts += signals_run(scene)
            counts["hard braking"] += bool(scene.ego_accelerations[:, 0].min() < HARD_BRAKING_MPS2)
        seconds = (time.perf_counter() - start) / options.logs
        print(f"{name:22}{options.logs:6}" + "".join(f"{counts[title]:21}" for title in titles) + f"{seconds:8.2f}")


if __name__ == "__main__":
    main()
