"""Seconds to open nuScenes tables and answer look-ups: our reader from JSON and from its cache, and the official devkit.

    python benchmarks/nuscenes_tables.py --scenes 40 --out benchmarks/results/nuscenes_tables.txt
    python benchmarks/nuscenes_tables.py --scenes 40 --devkit-python ENV/bin/python

The tables are generated in the layout of the published ones (one field a line), with about as many rows per scene as nuScenes
has: 40 keyframes, 3,095 records of 12 sensors, 1,372 annotations. The look-ups, for 1,000 keyframes each: the sample, its
records by channel, the ego pose and calibration of LIDAR_TOP, every annotation with its category, and the keyframe that
follows; both sides return a checksum of what they found, and these must agree. Times are CPU seconds of a process of its own
with one thread; the devkit (which pins numpy<2) may live in another environment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

KEYFRAMES, INSTANCES, SENSORS, SWEEPS = 40, 34, 12, 6
LOOKED_UP = 1000

DEVKIT = """
import hashlib, json, sys, time
from nuscenes import NuScenes
start = time.process_time()
nusc = NuScenes("v1.0-trainval", sys.argv[1], verbose=False)
opened = time.process_time()
found = []
for sample in nusc.sample[: int(sys.argv[2])]:
    record = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
    pose = nusc.get("ego_pose", record["ego_pose_token"])
    sensor = nusc.get("calibrated_sensor", record["calibrated_sensor_token"])
    annotations = [nusc.get("sample_annotation", token) for token in sample["anns"]]
    found.append([
        sample["token"], sample["data"], pose["translation"], sensor["rotation"], sample["next"], sample["anns"],
        [annotation["category_name"] for annotation in annotations], [annotation["translation"] for annotation in annotations],
    ])
done = time.process_time()
checksum = hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=12).hexdigest()
print(json.dumps({"open_s": opened - start, "all_s": done - start, "found": checksum}))
"""

OURS = """
import hashlib, json, sys, time
import pyarrow
pyarrow.set_cpu_count(1)
from eyesup.data.nuscenes import dataset
dataset.CACHE_FROM_BYTES = 0
start = time.process_time()
data = dataset.NuScenes(sys.argv[1], cache=sys.argv[3] == "cache")
data.tokens, data.ego_poses, data.ego_from_lidar, data.boxes(0)
opened = time.process_time()
records, poses, sensors = (data.tables[name] for name in ("sample_data", "ego_pose", "calibrated_sensor"))
annotations, samples = data.tables["sample_annotation"], data.tables["sample"]
places, mounted = poses.vectors("translation", 3), sensors.vectors("rotation", 4)
found = []
for token in samples.tokens[: int(sys.argv[2])].tolist():
    number = data.index(token.decode())
    by_channel = {channel: records.tokens[data.data_row(number, channel)].decode() for channel in data.channels}
    lidar, boxes = data.data_row(number, "LIDAR_TOP"), data.boxes(number)
    found.append([
        token.decode(), by_channel, places[records.links("ego_pose_token")[lidar]].tolist(),
        mounted[records.links("calibrated_sensor_token")[lidar]].tolist(), data.tokens[number + 1] if data.after[number] else "",
        [name.decode() for name in annotations.tokens[boxes.rows].tolist()], boxes.categories, boxes.centres.tolist(),
    ])
done = time.process_time()
checksum = hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=12).hexdigest()
print(json.dumps({"open_s": opened - start, "all_s": done - start, "found": checksum}))
"""


def write_tables(root: Path, scenes: int) -> dict[str, int]:
    """Tables of that many scenes; returns the number of rows of each."""
    from eyesup.data.nuscenes.schema import CAMERAS, CATEGORIES, LIDAR

    channels = [*CAMERAS, LIDAR, *(f"RADAR_{i}" for i in range(SENSORS - len(CAMERAS) - 1))]
    names = list(CATEGORIES)
    tables: dict[str, list[dict[str, Any]]] = {
        "category": [{"token": token("category", n), "name": n, "description": "x"} for n in names],
        "attribute": [{"token": token("attribute", 0), "name": "vehicle.moving", "description": ""}],
        "visibility": [{"token": "4", "level": "v80-100", "description": ""}],
        "instance": [], "ego_pose": [], "scene": [], "sample": [], "sample_data": [], "sample_annotation": [],
        "sensor": [{"token": token("sensor", c), "channel": c, "modality": "x"} for c in channels],
        "calibrated_sensor": [
            {"token": token("mount", c), "sensor_token": token("sensor", c), "translation": [1.0, 0.5, 1.5],
             "rotation": [0.5, -0.5, 0.5, -0.5],
             "camera_intrinsic": [[1266.4, 0.0, 816.2], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]] if "CAM" in c else []} for c in channels
        ],
        "log": [{"token": token("log", 0), "logfile": "l", "vehicle": "n015", "date_captured": "d", "location": "boston-seaport"}],
        "map": [{"category": "semantic_prior", "token": token("map", 0), "filename": "maps/x.png", "log_tokens": [token("log", 0)]}],
    }  # fmt: skip
    for s in range(scenes):
        times = [10**15 + 10**9 * s + 500_000 * i for i in range(KEYFRAMES)]
        samples = [token("sample", s, i) for i in range(KEYFRAMES)]
        tables["scene"].append({
            "token": token("scene", s), "log_token": token("log", 0), "nbr_samples": KEYFRAMES, "first_sample_token": samples[0],
            "last_sample_token": samples[-1], "name": f"scene-{s + 1:04d}", "description": "Parked cars, a bus, rain",
        })  # fmt: skip
        for i, name in enumerate(samples):
            links = {"prev": samples[i - 1] if i else "", "next": samples[i + 1] if i + 1 < KEYFRAMES else ""}
            tables["sample"].append({"token": name, "timestamp": times[i], **links, "scene_token": token("scene", s)})
        for c in channels:
            chain = [token("data", s, c, k) for k in range((KEYFRAMES - 1) * SWEEPS + 1)]
            for k, name in enumerate(chain):
                time, key = times[0] + 500_000 * k // SWEEPS, k % SWEEPS == 0
                tables["ego_pose"].append(
                    {
                        "token": name,
                        "timestamp": time,
                        "rotation": [0.9, 0.01, -0.02, 0.4],
                        "translation": [411.3 + k, 1180.9, 0.0],
                    }
                )
                tables["sample_data"].append({
                    "token": name, "sample_token": samples[min(-(-k // SWEEPS), KEYFRAMES - 1)], "ego_pose_token": name,
                    "calibrated_sensor_token": token("mount", c), "timestamp": time, "fileformat": "jpg", "is_key_frame": key,
                    "height": 900, "width": 1600,
                    "filename": f"{'samples' if key else 'sweeps'}/{c}/n015-2018-07-24-11-22-45+0800__{c}__{time}.jpg",
                    "prev": chain[k - 1] if k else "", "next": chain[k + 1] if k + 1 < len(chain) else "",
                })  # fmt: skip
        for a in range(INSTANCES):
            chain = [token("annotation", s, a, i) for i in range(KEYFRAMES)]
            tables["instance"].append({
                "token": token("instance", s, a), "category_token": token("category", names[a % len(names)]), "nbr_annotations": KEYFRAMES,
                "first_annotation_token": chain[0], "last_annotation_token": chain[-1],
            })  # fmt: skip
            for i, name in enumerate(chain):
                tables["sample_annotation"].append({
                    "token": name, "sample_token": samples[i], "instance_token": token("instance", s, a), "visibility_token": "4",
                    "attribute_tokens": [token("attribute", 0)], "translation": [373.256 + a, 1130.419 + i, 0.8],
                    "size": [0.621, 0.669, 1.642],
                    "rotation": [0.9831098797903927, 0.0, 0.0, -0.18301629506281616], "prev": chain[i - 1] if i else "",
                    "next": chain[i + 1] if i + 1 < KEYFRAMES else "", "num_lidar_pts": 1, "num_radar_pts": 0,
                })  # fmt: skip
    (root / "v1.0-trainval").mkdir(parents=True)
    (root / "maps").mkdir()
    from PIL import Image

    Image.new("L", (8, 8)).save(root / "maps" / "x.png")
    for name, rows in tables.items():
        (root / "v1.0-trainval" / f"{name}.json").write_text(json.dumps(rows, indent=0))
    return {name: len(rows) for name, rows in tables.items()}


def token(*parts: object) -> str:
    return hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()


def measured(python: str, code: str, *arguments: str, cache: Path, repeats: int = 3) -> dict[str, Any]:
    """The fastest of several runs, each in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "EYESUP_CACHE": str(cache)}
    runs = []
    for _ in range(repeats):
        done = subprocess.run(
            [python, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["all_s"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--devkit-python", help="python of an environment with nuscenes-devkit")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "root", Path(folder) / "cache"
        rows = write_tables(root, options.scenes)
        size = sum(path.stat().st_size for path in (root / "v1.0-trainval").glob("*.json"))
        looked_up = str(min(LOOKED_UP, rows["sample"]))

        def ours(mode: str) -> dict[str, Any]:
            return measured(sys.executable, OURS, str(root), looked_up, mode, cache=cache, repeats=options.repeats)

        results = {"EyesUp, from JSON": ours("none")}
        measured(sys.executable, OURS, str(root), looked_up, "cache", cache=cache, repeats=1)  # writes the cache
        results["EyesUp, from its cache"] = ours("cache")
        if options.devkit_python:
            results["nuscenes-devkit"] = measured(
                options.devkit_python, DEVKIT, str(root), looked_up, cache=cache, repeats=options.repeats
            )
    assert len({result["found"] for result in results.values()}) == 1, "the two sides found different things"
    slowest = results.get("nuscenes-devkit")
    lines = [f"{'reader':<24}{'open [s]':>10}{'with look-ups [s]':>20}{'times faster':>14}"]
    for name, result in results.items():
        factor = f"{slowest['all_s'] / result['all_s']:.1f}" if slowest else "-"
        lines.append(f"{name:<24}{result['open_s']:>10.2f}{result['all_s']:>20.2f}{factor:>14}")
    lines += [
        "", f"{options.scenes} scenes, {rows['sample_data']:,} records, {rows['sample_annotation']:,} annotations, "
        f"{size / 1e6:.0f} MB of JSON; "
        f"look-ups for {looked_up} keyframes, the same answers on both sides",
        f"fastest of {options.repeats}, CPU seconds of one thread; Python {platform.python_version()}, {platform.machine()}",
    ]  # fmt: skip
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
