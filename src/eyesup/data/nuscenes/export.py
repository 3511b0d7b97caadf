"""Logs of the world as a nuScenes data set: the thirteen tables, images, points, CAN bus and map expansion.

::

    <out>/v1.0-trainval/*.json           tables (v1.0-mini for mini splits, v1.0-<name> for a name of your own)
    <out>/samples/<CHANNEL>/*            images and points of the keyframes; there are no sweeps
    <out>/can_bus/<scene>_<message>.json pose (50 Hz), steeranglefeedback (100 Hz), vehicle_monitor (2 Hz), route
    <out>/maps/expansion/boston-seaport.json

nuscenes-devkit 1.2.0 opens it (`NuScenes`, `NuScenesMap`, `NuScenesCanBus`), and so does `eyesup data check`. Named after an
official split, a log carries the name of one of that split's scenes, so that other projects' converters find it. The devkit
knows four maps only; all logs lie side by side in the one of them where traffic keeps to the right.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from eyesup.data.nuscenes.maps import EXPANSION, MapWriter
from eyesup.data.nuscenes.schema import (
    CAMERAS,
    CATEGORIES,
    LIDAR,
    LIDARSEG_INDEX,
    LOCATIONS,
    NO_CAN_BUS,
    OWN_VEHICLE,
    SPLITS,
    TABLES,
    split_scenes,
)
from eyesup.types import AgentKind, Camera, CameraRig, Lights, Scene
from eyesup.types.errors import DataError
from eyesup.world.ego_view import AGENT_RADIUS_M
from eyesup.world.render import Renderer, raycast
from eyesup.world.render.bodies import WORKER_LOOK
from eyesup.world.rigs import pinhole, surround6
from eyesup.world.store import SceneStore, encode_jpeg, write_atomic

LOCATION = LOCATIONS[-1]  # boston-seaport: right-hand traffic, and VAD does not flip the steering there
FIRST_US = 1_704_106_800_000_000  # 2024-01-01 11:00 UTC
LOG_US = 3_600_000_000  # from the start of a log to the start of the next
KEYFRAME_S = 0.5
GAP_M = 200.0  # between the maps of two logs
LIDAR_MOUNT_M = (0.943713, 0.0, 1.84023)  # of nuScenes' first vehicle
_QUARTER = float(np.sqrt(0.5))
LIDAR_ROTATION = (_QUARTER, 0.0, 0.0, -_QUARTER)  # x right, y forward
LIDAR_VIEWS, LIDAR_COLUMNS, LIDAR_ROWS, LIDAR_REACH_M = 6, 60, 32, 80.0  # rays every degree around, 32 high
INTO_BOX_M = 0.02  # a hit lies a little inside its box, so that counting points in boxes finds it
STEERING_RATIO = 14.0  # steering wheel per front wheel; nuScenes states none
STANDING_MPS = 0.2
KEYFRAME_SENSORS = {name: model for model, name in CAMERAS.items()}

CATEGORY = {
    AgentKind.CAR: "vehicle.car", AgentKind.VAN: "vehicle.car", AgentKind.TRUCK: "vehicle.truck", AgentKind.BUS: "vehicle.bus.rigid",
    AgentKind.MOTORCYCLE: "vehicle.motorcycle", AgentKind.BICYCLE: "vehicle.bicycle", AgentKind.PEDESTRIAN: "human.pedestrian.adult",
    AgentKind.CONE: "movable_object.trafficcone", AgentKind.BARRIER: "movable_object.barrier",
    AgentKind.EMERGENCY: "vehicle.emergency.police", AgentKind.DEBRIS: "movable_object.debris",
}  # fmt: skip
ATTRIBUTES = (
    "vehicle.moving", "vehicle.stopped", "vehicle.parked", "cycle.with_rider", "cycle.without_rider", "pedestrian.moving",
    "pedestrian.standing", "pedestrian.sitting_lying_down",
)  # fmt: skip
VISIBILITY = {"1": (0.0, "v0-40"), "2": (0.4, "v40-60"), "3": (0.6, "v60-80"), "4": (0.8, "v80-100")}


@dataclass(frozen=True)
class Placed:
    """A log with its name, number and place in the data set."""

    scene: Scene
    key: str
    name: str
    number: int
    offset_m: np.ndarray

    def time_us(self, step: int) -> int:
        return FIRST_US + self.number * LOG_US + round(step * self.scene.dt_s * 1e6)


def export(
    store: SceneStore,
    out: Path,
    name: str = "mini_val",
    images: Literal["rendered", "stored"] = "rendered",
    logs: int | None = None,
    size_px: tuple[int, int] = (480, 270),
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """Write a store as a nuScenes data set; the same store and options give the same bytes.

    Args:
        store: Logs to take; twins are left out.
        out: Root of the data set, new or empty of this version.
        name: An official split (``val``, ``mini_val``, ...), whose scene names the logs get, or a name of your own.
        images: ``rendered``: six cameras at every keyframe of the log; ``stored``: the store's own cameras, where it has images.
        logs: Take only the first ones.
        size_px: Width and height of rendered images.
        progress: Called with 1 for each log done.

    Returns:
        What was written and what to type next, line by line.
    """
    keys = store.keys[:logs]
    version, names = version_of(name), scene_names(name, len(keys))
    folder = out / version
    if folder.exists():
        raise DataError(f"{folder} exists already; delete it, or write to another folder")
    writer = _Writer(out)
    cursor = 0.0
    for number, (key, scene_name) in enumerate(zip(keys, names)):
        scene = store.scene(key)
        low, high = _bounds(scene)
        placed = Placed(scene, key, scene_name, number, np.array([GAP_M + cursor, GAP_M]) - low)
        cursor += float(high[0] - low[0]) + GAP_M
        writer.add(placed, *_pictures(store, placed, images, size_px))
        if progress:
            progress(1)
    rows = writer.finish(folder)
    first = next(iter(names))
    return [
        f"{out}: {version} with {len(keys)} scenes ({first} ...), {rows['sample']} keyframes, {rows['sample_annotation']} boxes",
        f"next: eyesup data check {out} --version {version}",
    ]


def version_of(name: str) -> str:
    """Folder of the tables for a split."""
    if name not in SPLITS:
        return f"v1.0-{name}"
    return {"train": "v1.0-trainval", "val": "v1.0-trainval", "test": "v1.0-test"}.get(name, "v1.0-mini")


def scene_names(name: str, count: int) -> tuple[str, ...]:
    """Names for that many logs: of the official split, without scenes that have no CAN bus; else numbers from 2001."""
    if name not in SPLITS:
        return tuple(f"scene-{2001 + i:04d}" for i in range(count))
    names = tuple(scene for scene in split_scenes(name) if int(scene[-4:]) not in NO_CAN_BUS)
    if count > len(names):
        raise DataError(
            f"split {name} has names for {len(names)} logs, {count} asked for; use --logs {len(names)} or another name"
        )
    return names[:count]


def _bounds(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Corners of everything that will be written."""
    shapes = [scene.ego_poses[:, :2], *(lane.centerline for lane in scene.road_map.lanes), *scene.road_map.drivable]
    points = np.concatenate([*shapes, *scene.road_map.sidewalks])
    return points.min(0) - 10.0, points.max(0) + 10.0


def _pictures(
    store: SceneStore, placed: Placed, images: str, size_px: tuple[int, int]
) -> tuple[CameraRig, Sequence[int], Iterator[np.ndarray]]:
    """Rig, keyframe steps, and their images one after another."""
    scene = placed.scene
    stride = round(KEYFRAME_S / scene.dt_s)
    if images == "stored":
        steps = _longest_run([s for s in store.steps(placed.key) if s % stride == 0], stride)
        return store.rig_of(placed.key), steps, (store.images(placed.key, step) for step in steps)
    rig = surround6(*size_px)
    return rig, range(0, len(scene), stride), _rendered(scene, rig, range(0, len(scene), stride))


def _rendered(scene: Scene, rig: CameraRig, steps: Sequence[int]) -> Iterator[np.ndarray]:
    with Renderer(rig) as renderer:
        renderer.load(scene)
        for step in steps:
            yield renderer.images(step)


def _longest_run(steps: Sequence[int], stride: int) -> list[int]:
    """Keyframes must follow each other at 2 Hz: the longest stretch without a gap."""
    runs: list[list[int]] = [[]]
    for step in steps:
        if runs[-1] and step - runs[-1][-1] != stride:
            runs.append([])
        runs[-1].append(step)
    best = max(runs, key=len)
    if not best:
        raise DataError("no stored images at 2 Hz; use --images rendered")
    return best


class _Writer:
    """Collects rows of the tables and writes files as they come."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self.map = MapWriter(_token)
        self._static_tables()

    def _static_tables(self) -> None:
        for name in sorted(CATEGORIES):
            self._row("category", f"category/{name}", name=name, description="", index=LIDARSEG_INDEX[name])
        for name in ATTRIBUTES:
            self._row("attribute", f"attribute/{name}", name=name, description="")
        for token, (_, level) in VISIBILITY.items():
            self.rows["visibility"].append({"token": token, "level": level, "description": ""})
        for channel in (*CAMERAS, LIDAR):
            self._row(
                "sensor", f"sensor/{channel}", channel=channel, modality="lidar" if channel == LIDAR else "camera"
            )

    def _row(self, table: str, key: str, **values: Any) -> str:
        token = _token(key)
        self.rows[table].append({"token": token, **values})
        return token

    def add(self, log: Placed, rig: CameraRig, steps: Sequence[int], pictures: Iterator[np.ndarray]) -> None:
        """One log as one scene."""
        scene, name = log.scene, log.name
        logfile = f"{OWN_VEHICLE}-{log.key}"
        log_token = self._row(
            "log", f"{name}/log", logfile=logfile, vehicle=OWN_VEHICLE, date_captured="2024-01-01", location=LOCATION
        )
        samples = [_token(f"{name}/sample/{step}") for step in steps]
        scene_token = self._row(
            "scene", f"{name}/scene", log_token=log_token, nbr_samples=len(samples), first_sample_token=samples[0],
            last_sample_token=samples[-1], name=name, description=f"{scene.tags.get('scenario', '')}, {log.key}",
        )  # fmt: skip
        for i, (step, token) in enumerate(zip(steps, samples)):
            around = {"prev": samples[i - 1] if i else "", "next": samples[i + 1] if i + 1 < len(samples) else ""}
            self.rows["sample"].append(
                {"token": token, "timestamp": log.time_us(step), **around, "scene_token": scene_token}
            )
        sensors = self._sensors(name, rig)
        points: dict[int, np.ndarray] = {}
        for step, images in zip(steps, pictures):
            for camera, image in zip(rig, images):
                channel = KEYFRAME_SENSORS[camera.name]
                file = f"samples/{channel}/{logfile}__{channel}__{log.time_us(step)}.jpg"
                _write(self.out / file, encode_jpeg(image))
                self._data(log, step, channel, sensors[channel], file, camera.width_px, camera.height_px)
            cloud, points[step] = lidar_sweep(scene, step)
            file = f"samples/{LIDAR}/{logfile}__{LIDAR}__{log.time_us(step)}.pcd.bin"
            _write(self.out / file, cloud.astype("<f4").tobytes())
            self._data(log, step, LIDAR, sensors[LIDAR], file, 0, 0)
        self._chain_data(name, steps, [KEYFRAME_SENSORS[camera.name] for camera in rig] + [LIDAR])
        self._annotations(log, steps, points)
        self.map.add(name, scene.road_map, log.offset_m)
        for message, rows in can_messages(log).items():
            _write(self.out / "can_bus" / f"{name}_{message}.json", json.dumps(rows).encode())

    def _sensors(self, name: str, rig: CameraRig) -> dict[str, str]:
        tokens = {}
        for camera in rig:
            if camera.name not in KEYFRAME_SENSORS:
                raise DataError(
                    f"camera {camera.name} has no counterpart in nuScenes; known: {', '.join(KEYFRAME_SENSORS)}"
                )
            channel = KEYFRAME_SENSORS[camera.name]
            tokens[channel] = self._row(
                "calibrated_sensor", f"{name}/{channel}", sensor_token=_token(f"sensor/{channel}"),
                translation=camera.ego_from_cam[:3, 3].tolist(), rotation=quaternion(camera.ego_from_cam[:3, :3]),
                camera_intrinsic=camera.intrinsics.tolist(),
            )  # fmt: skip
        tokens[LIDAR] = self._row(
            "calibrated_sensor", f"{name}/{LIDAR}", sensor_token=_token(f"sensor/{LIDAR}"), translation=list(LIDAR_MOUNT_M),
            rotation=list(LIDAR_ROTATION), camera_intrinsic=[],
        )  # fmt: skip
        return tokens

    def _data(self, log: Placed, step: int, channel: str, sensor: str, file: str, width: int, height: int) -> None:
        key, (x, y, heading) = f"{log.name}/data/{channel}/{step}", log.scene.ego_poses[step]
        time = log.time_us(step)
        pose = self._row(
            "ego_pose", key, timestamp=time, rotation=planar_quaternion(heading),
            translation=[*(np.array([x, y]) + log.offset_m).tolist(), 0.0],
        )  # fmt: skip
        self._row(
            "sample_data", key, sample_token=_token(f"{log.name}/sample/{step}"), ego_pose_token=pose, calibrated_sensor_token=sensor,
            timestamp=time, fileformat="pcd" if channel == LIDAR else "jpg", is_key_frame=True, height=height, width=width,
            filename=file, prev="", next="",
        )  # fmt: skip

    def _chain_data(self, name: str, steps: Sequence[int], channels: Sequence[str]) -> None:
        rows = {row["token"]: row for row in self.rows["sample_data"][-len(steps) * len(channels) :]}
        for channel in channels:
            for earlier, later in pairwise(_token(f"{name}/data/{channel}/{step}") for step in steps):
                rows[earlier]["next"], rows[later]["prev"] = later, earlier

    def _annotations(self, log: Placed, steps: Sequence[int], points: dict[int, np.ndarray]) -> None:
        scene, agents = log.scene, log.scene.agents
        distance = np.linalg.norm(agents.poses[..., :2] - scene.ego_poses[:, :2], axis=-1)
        shown = agents.valid & (distance < AGENT_RADIUS_M)
        for row in range(len(agents)):
            at = [step for step in steps if shown[row, step]]
            if not at:
                continue
            key = f"{log.name}/agent/{int(agents.ids[row])}"
            tokens = [_token(f"{key}/{step}") for step in at]
            category = category_of(scene, row)
            instance = self._row(
                "instance", key, category_token=_token(f"category/{category}"), nbr_annotations=len(at),
                first_annotation_token=tokens[0], last_annotation_token=tokens[-1],
            )  # fmt: skip
            length, width, height = agents.sizes[row].astype(float).tolist()
            for i, step in enumerate(at):
                x, y, heading = agents.poses[row, step]
                place = [*(np.array([x, y]) + log.offset_m).tolist(), float(agents.bottom_z[row, step]) + height / 2]
                inside, hits, whole = points[step][row].tolist()
                attribute = attribute_of(category, agents.velocities[row, step], int(agents.lights[row, step]))
                self.rows["sample_annotation"].append({
                    "token": tokens[i], "sample_token": _token(f"{log.name}/sample/{step}"), "instance_token": instance,
                    "visibility_token": visibility_of(hits / max(whole, 1)), "attribute_tokens": attribute, "translation": place,
                    "size": [width, length, height], "rotation": planar_quaternion(heading), "prev": tokens[i - 1] if i else "",
                    "next": tokens[i + 1] if i + 1 < len(at) else "", "num_lidar_pts": inside, "num_radar_pts": 0,
                })  # fmt: skip

    def finish(self, folder: Path) -> dict[str, int]:
        """Map, then the tables, the last of all: a folder with tables is whole."""
        mask = io.BytesIO()
        Image.new("L", (16, 16), 255).save(mask, "PNG")  # the devkit wants one; nothing is read from it
        _write(self.out / "maps" / f"{LOCATION}.png", mask.getvalue())
        tokens = [row["token"] for row in self.rows["log"]]
        self._row("map", "map", log_tokens=tokens, category="semantic_prior", filename=f"maps/{LOCATION}.png")
        _write(self.out / EXPANSION / f"{LOCATION}.json", self.map.text().encode())
        for name, rows in self.rows.items():
            _write(folder / f"{name}.json", json.dumps(rows, indent=0).encode())  # one field a line, as nuScenes' own
        return {name: len(rows) for name, rows in self.rows.items()}


def lidar_sweep(scene: Scene, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 5) float32 in the lidar frame (x, y, z [m], intensity 0, ring).

    And per agent (A, 3): points inside its box, rays that meet it, and rays that would if it stood alone.
    """
    boxes = raycast.scene_boxes(scene, scene.agents, step, step, LIDAR_REACH_M)
    found = np.zeros((len(scene.agents) + 1, 3), np.int64)
    clouds = []
    for camera in _lidar_views():
        depth, slots = raycast.cast(camera, boxes)
        found[:, 1] += np.bincount(slots.ravel(), minlength=len(found))
        for index in np.flatnonzero(boxes.slots > 0).tolist():
            if _in_view(camera, boxes, index):
                found[int(boxes.slots[index]), 2] += int(
                    (raycast.cast(camera, boxes.rows(np.array([index])))[1] > 0).sum()
                )
        clouds.append(_points(camera, np.where(slots > 0, depth + INTO_BOX_M, depth)))
    cloud = np.concatenate(clouds).astype(np.float32)
    x, y, z = cloud[:, :3].T.astype(np.float64)
    ego = np.column_stack([y, -x, z]) + LIDAR_MOUNT_M
    for index in np.flatnonzero(boxes.slots > 0).tolist():
        found[int(boxes.slots[index]), 0] = _inside(ego, boxes, index)
    return cloud, found[1:]


def _inside(ego: np.ndarray, boxes: raycast.Boxes, index: int) -> int:
    """How many points lie in a box, and not merely on its faces."""
    (x, y, heading), size, bottom = boxes.poses[index], boxes.sizes[index], boxes.bottom_z[index]
    cos, sin = np.cos(heading), np.sin(heading)
    dx, dy = ego[:, 0] - x, ego[:, 1] - y
    local = np.column_stack([cos * dx + sin * dy, cos * dy - sin * dx, ego[:, 2] - bottom - size[2] / 2])
    return int((np.abs(local) < size / 2 - 1e-3).all(axis=1).sum())


def _in_view(camera: Camera, boxes: raycast.Boxes, index: int) -> bool:
    places, _ = raycast.windows(camera, boxes.rows(np.array([index])))
    return bool((places[0, :2] < places[0, 2:]).all())


def _lidar_views() -> tuple[Camera, ...]:
    width = 360.0 / LIDAR_VIEWS
    return tuple(
        pinhole(f"lidar{i}", i * width, LIDAR_MOUNT_M, width, LIDAR_COLUMNS, LIDAR_ROWS) for i in range(LIDAR_VIEWS)
    )


def _points(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """Hits within reach, from camera to ego to lidar."""
    v, u = np.nonzero(depth < LIDAR_REACH_M)
    rays = np.linalg.inv(camera.intrinsics) @ np.stack([u + 0.5, v + 0.5, np.ones(len(u))])
    ego = camera.ego_from_cam[:3, :3] @ (rays * depth[v, u]) + camera.ego_from_cam[:3, 3:]
    x, y, z = ego - np.array(LIDAR_MOUNT_M)[:, None]
    return np.column_stack([-y, x, z, np.zeros(len(u)), v])


def can_messages(log: Placed) -> dict[str, list[Any]]:
    """CAN bus messages of a log, interpolated from its steps."""
    scene, offset = log.scene, log.offset_m
    end = (len(scene) - 1) * scene.dt_s
    known = scene.dt_s * np.arange(len(scene))

    def at(times: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.interp(times, known, values)

    def utimes(times: np.ndarray) -> list[int]:
        return [FIRST_US + log.number * LOG_US + round(1e6 * t) for t in times.tolist()]

    fast, faster, slow = (np.arange(0.0, end + 1e-9, step) for step in (0.02, 0.01, 0.5))
    x, y, heading = (at(fast, np.unwrap(c) if i == 2 else c) for i, c in enumerate(scene.ego_poses.T))
    vx, vy = (at(fast, column) for column in scene.ego_velocities.T)
    ax, ay = (at(fast, column) for column in scene.ego_accelerations.T)
    rate = at(fast, scene.ego_yaw_rates)
    pose = [
        {"accel": [a, b, 9.81], "orientation": planar_quaternion(h), "pos": [px, py, 0.0], "rotation_rate": [0.0, 0.0, r],
         "utime": t, "vel": [v, w, 0.0]}
        for t, px, py, h, v, w, a, b, r in zip(
            utimes(fast), *(c.tolist() for c in (x + offset[0], y + offset[1], heading, vx, vy, ax, ay, rate))
        )
    ]  # fmt: skip
    wheel = STEERING_RATIO * at(faster, scene.ego_steerings)
    speed = 3.6 * at(slow, scene.ego_velocities[:, 0])
    turn = np.degrees(STEERING_RATIO * at(slow, scene.ego_steerings))
    braking = at(slow, scene.ego_accelerations[:, 0]) < -0.5
    monitor = [
        {"available_distance": 0, "battery_level": 100, "brake": int(b), "brake_switch": 2 if b else 1, "gear_position": 7,
         "left_signal": 0, "rear_left_rpm": 0.0, "rear_right_rpm": 0.0, "right_signal": 0, "steering": s, "steering_speed": 0.0,
         "throttle": 0 if b else 100, "utime": t, "vehicle_speed": v, "yaw_rate": r}
        for t, b, s, v, r in zip(
            utimes(slow), braking.tolist(), turn.tolist(), speed.tolist(), np.degrees(at(slow, scene.ego_yaw_rates)).tolist()
        )
    ]  # fmt: skip
    return {
        "pose": pose,
        "steeranglefeedback": [{"utime": t, "value": v} for t, v in zip(utimes(faster), wheel.tolist())],
        "vehicle_monitor": monitor,
        "route": (scene.route + offset).tolist(),
    }


def category_of(scene: Scene, row: int) -> str:
    """nuScenes' category of an agent."""
    kind = AgentKind(int(scene.agents.kinds[row]))
    if kind is AgentKind.PEDESTRIAN and int(scene.agents.looks[row]) >= WORKER_LOOK:
        return "human.pedestrian.construction_worker"
    if kind is AgentKind.EMERGENCY and scene.agents.sizes[row, 0] > 5.0:
        return "vehicle.emergency.ambulance"
    return CATEGORY[kind]


def attribute_of(category: str, velocity: np.ndarray, lights: int) -> list[str]:
    """Token of what an agent is doing; none for objects."""
    moving = float(np.hypot(*velocity)) > STANDING_MPS
    if category.startswith("human"):
        name = "pedestrian.moving" if moving else "pedestrian.standing"
    elif category in ("vehicle.bicycle", "vehicle.motorcycle"):
        name = "cycle.with_rider"
    elif category.startswith("vehicle"):
        standing = "vehicle.stopped" if lights & Lights.BRAKE else "vehicle.parked"
        name = "vehicle.moving" if moving else standing
    else:
        return []
    return [_token(f"attribute/{name}")]


def visibility_of(share: float) -> str:
    """Token of the share that is not hidden (here: of lidar rays; nuScenes: of all camera pixels)."""
    return max((token for token, (least, _) in VISIBILITY.items() if share >= least), default="1")


def planar_quaternion(heading: float) -> list[float]:
    """Rotation about z, scalar first."""
    return [float(np.cos(heading / 2)), 0.0, 0.0, float(np.sin(heading / 2))]


def quaternion(rotation: np.ndarray) -> list[float]:
    """Unit quaternion of a rotation matrix, scalar first: the eigenvector of its largest eigenvalue (Bar-Itzhack)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array([
        [xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, xx - yy - zz, xy + yx, xz + zx],
        [xz - zx, xy + yx, yy - xx - zz, yz + zy],
        [yx - xy, xz + zx, yz + zy, zz - xx - yy],
    ])  # fmt: skip
    vector = np.linalg.eigh(symmetric)[1][:, -1]
    return (vector if vector[0] >= 0 else -vector).tolist()


def _token(key: str) -> str:
    """32 hexadecimal digits, the same for the same key."""
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
