"""Logs of the world in NAVSIM's formats: log pickles, sensor blobs, a nuPlan map and the YAML of a split.

::

    <out>/navsim_logs/<split>/<log>.pkl         OPENSCENE_DATA_ROOT=<out>
    <out>/sensor_blobs/<split>/<log>/<CAM>/     images; MergedPointCloud/: see `_point_cloud`
    <out>/maps/                                 NUPLAN_MAPS_ROOT=<out>/maps
    <out>/config/train_test_split/<name>.yaml   hydra.searchpath=[pkg://navsim.planning.script.config.common,file://<out>/config]

The official devkits open the result like their own data (`eyesup eval --benchmark navsim` reads it too).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from eyesup.data.navsim.logs import CAMERAS, COMMANDS, FRAME_US, FRONT3, NOMINAL_LIDAR_M
from eyesup.data.navsim.official_pickle import dumps
from eyesup.data.navsim.write_map import MapWriter, Tile
from eyesup.geometry.boxes import box_corners
from eyesup.geometry.se2 import rotate, to_frame
from eyesup.types import AgentKind, Camera, CameraRig, Maneuver, Scene, SignalState
from eyesup.types.errors import DataError
from eyesup.world.render import Renderer
from eyesup.world.rigs import pinhole
from eyesup.world.store import SceneStore, encode_jpeg, write_atomic

Images = Literal["rendered", "stored"]
FRAME_S = FRAME_US * 1e-6
HISTORY_FRAMES, FUTURE_FRAMES = 4, 10
FIRST_US = 1_704_106_800_000_000  # 2024-01-01 11:00 UTC
LOG_US = 3_600_000_000  # from the start of a log to the start of the next
AGENT_RADIUS_M = 120.0
# nuPlan's eight cameras: yaw [deg, left positive]; 1.6 m around the lidar, 64 degrees wide.
YAWS_DEG = dict(zip(CAMERAS, (0.0, 55.0, 110.0, 145.0, -55.0, -110.0, -145.0, 180.0)))
CAMERA_CIRCLE_M, HFOV_DEG = 1.6, 63.7
NAMES = {AgentKind.PEDESTRIAN: "pedestrian", AgentKind.BICYCLE: "bicycle", AgentKind.CONE: "traffic_cone",
         AgentKind.BARRIER: "barrier", AgentKind.DEBRIS: "generic_object"}  # fmt: skip
ONE_HOT = {Maneuver.TURN_LEFT: "left", Maneuver.KEEP_FORWARD: "forward", Maneuver.TURN_RIGHT: "right"}
GROUND_RINGS_M, GROUND_POINTS = (6.0, 12.0, 24.0), 48
_PCD = np.dtype([("xyz", "<f4", 3), ("bytes", "u1", 3)])


@dataclass(frozen=True)
class Exported:
    """What was written: folder of the whole, name of the split, numbers of logs, frames and scenes."""

    out: Path
    split: str
    logs: int
    frames: int
    scenes: int


def navsim8(width_px: int = 480, height_px: int = 270) -> CameraRig:
    """Eight cameras all around, as on nuPlan's car."""
    x, y, z = NOMINAL_LIDAR_M
    cameras = []
    for name, yaw in YAWS_DEG.items():
        shift = CAMERA_CIRCLE_M * np.array([np.cos(np.radians(yaw)), np.sin(np.radians(yaw))])
        cameras.append(pinhole(name, yaw, (x + shift[0], y + shift[1], z), HFOV_DEG, width_px, height_px))
    return CameraRig(tuple(cameras))


def export(
    store: SceneStore,
    out: Path,
    name: str,
    images: Images,
    logs: int | None,
    size_px: tuple[int, int],
    progress: Callable[[int], None],
) -> list[str]:
    """For `eyesup world export --format navsim`: write, and say what was written and how to use it."""
    done = export_store(store, out, name, images=images, rig=navsim8(*size_px), logs=logs, progress=progress)
    return [
        f"{out}: {done.logs} logs, {done.frames} frames, {done.scenes} scenes",
        f"OPENSCENE_DATA_ROOT={out}  NUPLAN_MAPS_ROOT={out / 'maps'}",
        f"next: eyesup eval {out} --benchmark navsim --split {name}",
    ]


def export_store(
    store: SceneStore,
    out: Path,
    name: str = "own_world",
    data_split: str = "mini",
    images: Images = "rendered",
    rig: CameraRig | None = None,
    logs: int | None = None,
    location: str = "us-ma-boston",
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write the logs of a store (twins apart) as one NAVSIM split.

    Args:
        store: A finished store.
        out: Folder to write; what is there already is replaced.
        name: Of the split's YAML.
        data_split: Folder of logs and blobs: a name that the official configuration knows (mini, trainval, test).
        images: ``rendered`` draws all eight cameras at every frame; ``stored`` copies the store's front cameras, which has
            them at keyframes only, so that only keyframes become scenes.
        rig: What is rendered; `navsim8` by default.
        logs: Take only the first ones.
        location: Of nuPlan's four, the one that the map is given out for.
        progress: Called with 1 after each log.

    Raises:
        DataError: A log is too short for a scene (1.5 s before, 5 s after), or its step does not divide 0.5 s.
    """
    maps, scenes, frames = MapWriter(location), [], 0
    keys = store.keys[:logs] if logs is not None else store.keys
    if not keys:
        raise DataError(f"{store.root}: 0 logs to export")
    rig = rig or navsim8()
    for index, key in enumerate(keys):
        scene = store.scene(key)
        look = _Rendered(scene, rig) if images == "rendered" else _Stored(store, key)
        try:
            log = _Log(scene, maps.add(scene), index, location, look)
            rows = log.write(out, data_split)
        finally:
            look.close()
        frames += len(rows)
        scenes += log.scene_tokens(rows)
        if progress:
            progress(1)
    maps.write(out / "maps")
    write_split(out / "config", name, data_split, scenes if images == "stored" else None)
    return Exported(out, name, len(keys), frames, len(scenes))


def write_split(config: Path, name: str, data_split: str, tokens: Sequence[str] | None) -> None:
    """The two YAML files of a split that takes all scenes, or those named."""
    rules = [
        "_target_: navsim.common.dataclasses.SceneFilter", "_convert_: 'all'", f"num_history_frames: {HISTORY_FRAMES}",
        f"num_future_frames: {FUTURE_FRAMES}", "frame_interval: 1", "has_route: true", "max_scenes: null", "log_names: null",
    ]  # fmt: skip
    rules += ["tokens: null"] if tokens is None else ["tokens:", *(f"  - '{token}'" for token in tokens)]
    files = {
        config / "train_test_split" / f"{name}.yaml": [
            "defaults:",
            f"  - scene_filter: {name}",
            f"data_split: {data_split}",
        ],
        config / "train_test_split" / "scene_filter" / f"{name}.yaml": rules,
    }
    for path, lines in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, ("\n".join(lines) + "\n").encode())


class _Rendered:
    """Pictures drawn anew, of every step."""

    def __init__(self, scene: Scene, rig: CameraRig) -> None:
        self.cameras = {camera.name: camera for camera in rig}
        self._renderer = Renderer(rig)
        self._renderer.load(scene)

    def images(self, step: int) -> dict[str, np.ndarray]:
        return dict(zip(self.cameras, self._renderer.images(step)))

    def close(self) -> None:
        self._renderer.close()


class _Stored:
    """The store's own pictures, of its front cameras, where it has them."""

    def __init__(self, store: SceneStore, key: str) -> None:
        self._store, self._key = store, key
        rig = store.rig_of(key)
        named = {camera.name: camera for camera in rig}
        missing = sorted(set(FRONT3.values()) - set(named))
        if missing:
            raise DataError(f"scene {key}: the store has no camera {missing[0]}; export with rendered images instead")
        self.cameras = {official: named[ours] for official, ours in FRONT3.items()}
        self._rows = {official: rig.names.index(ours) for official, ours in FRONT3.items()}
        self._steps = frozenset(store.keyframes(key))

    def images(self, step: int) -> dict[str, np.ndarray]:
        if step not in self._steps:
            return {}
        pictures = self._store.images(self._key, step)
        return {official: pictures[row] for official, row in self._rows.items()}

    def close(self) -> None:
        """Nothing is held open."""


class _Log:
    """One scene on its way into a log."""

    def __init__(self, scene: Scene, tile: Tile, index: int, location: str, look: _Rendered | _Stored) -> None:
        stride = round(FRAME_S / scene.dt_s)
        if abs(stride * scene.dt_s - FRAME_S) > 1e-9:
            raise DataError(f"scene {scene.key}: its step of {scene.dt_s} s does not divide {FRAME_S} s")
        self.scene, self.tile, self.location, self.look = scene, tile, location, look
        self.steps = range(0, len(scene), stride)
        if len(self.steps) < HISTORY_FRAMES + FUTURE_FRAMES:
            raise DataError(
                f"scene {scene.key}: {len(self.steps)} frames of {FRAME_S} s; a NAVSIM scene takes {HISTORY_FRAMES + FUTURE_FRAMES}"
            )
        self.name = scene.key.replace("~", "-").replace("@", "-")
        self.start_us = FIRST_US + index * LOG_US
        self.route = tile.roadblocks(scene.route_lane_ids)

    def write(self, out: Path, data_split: str) -> list[dict[str, Any]]:
        """Write blobs and pickle; the frames come back."""
        blobs = out / "sensor_blobs" / data_split
        rows = [self._frame(number, step, blobs) for number, step in enumerate(self.steps)]
        path = out / "navsim_logs" / data_split / f"{self.name}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, dumps(rows))
        return rows

    def scene_tokens(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Tokens of the frames that can be a scene's current one."""
        inner = rows[HISTORY_FRAMES - 1 : len(rows) - FUTURE_FRAMES]
        return [row["token"] for row in inner if any(row["cams"].values())]

    def token(self, *parts: object) -> str:
        return hashlib.blake2b("/".join(map(str, (self.name, *parts))).encode(), digest_size=8).hexdigest()

    def _frame(self, number: int, step: int, blobs: Path) -> dict[str, Any]:
        scene = self.scene
        x, y = (scene.ego_poses[step, :2] + self.tile.offset).tolist()
        heading = float(scene.ego_poses[step, 2])
        quaternion = [float(np.cos(heading / 2)), 0.0, 0.0, float(np.sin(heading / 2))]
        (vx, vy), (ax, ay) = scene.ego_velocities[step].tolist(), scene.ego_accelerations[step].tolist()
        rate = float(scene.ego_yaw_rates[step])
        ego, lidar = _upright(heading, (x, y, 0.0)), _upright(0.0, NOMINAL_LIDAR_M)
        last = len(self.steps) - 1
        return {
            "token": self.token("frame", number),
            "frame_idx": number,
            "timestamp": self.start_us + number * FRAME_US,
            "log_name": self.name,
            "log_token": self.token("log"),
            "scene_name": self.name,
            "scene_token": self.token("scene"),
            "map_location": self.location,
            "roadblock_ids": list(self.route),
            "vehicle_name": "eyesup",
            "can_bus": np.array([x, y, 0.0, *quaternion, ax, ay, 0.0, vx, vy, 0.0, 0.0, 0.0, rate, 0.0, 0.0]),
            "lidar_path": self._write_point_cloud(step, number, blobs),
            "lidar2ego_translation": np.array(NOMINAL_LIDAR_M),
            "lidar2ego_rotation": [1.0, 0.0, 0.0, 0.0],
            "ego2global_translation": np.array([x, y, 0.0]),
            "ego2global_rotation": quaternion,
            "ego_dynamic_state": [vx, vy, ax, ay],
            "traffic_lights": self._lights(step),
            "driving_command": np.array([name == ONE_HOT[scene.maneuvers[step]] for name in COMMANDS], dtype=np.int64),
            "cams": self._write_images(step, number, blobs),
            "sample_prev": self.token("frame", number - 1) if number else None,
            "sample_next": self.token("frame", number + 1) if number < last else None,
            "ego2global": ego,
            "lidar2ego": lidar,
            "lidar2global": ego @ lidar,
            "anns": self._annotations(step),
        }

    def _lights(self, step: int) -> list[tuple[int, bool]]:
        """Every connector behind a traffic light, and whether that is red."""
        signals = self.scene.signals
        found: dict[int, bool] = {}
        for row in range(len(signals)):
            state = SignalState(int(signals.states[row, step]))
            if not state.is_sign:
                for lane in signals.stop_lane_ids[row]:
                    found |= dict.fromkeys(self.tile.connectors_after.get(lane, ()), state is SignalState.RED)
        return sorted(found.items())

    def _annotations(self, step: int) -> dict[str, Any]:
        agents, ego = self.scene.agents, self.scene.ego_poses[step]
        near = np.hypot(*(agents.poses[:, step, :2] - ego[:2]).T) < AGENT_RADIUS_M
        rows = np.flatnonzero(agents.valid[:, step] & near & (agents.bottom_z[:, step] < self.scene.vehicle.height_m))
        seen = to_frame(agents.poses[rows, step], ego)
        length, width, height = agents.sizes[rows].T
        moving = rotate(agents.velocities[rows, step].astype(np.float64), -ego[2])
        boxes = np.column_stack(
            [seen[:, :2], agents.bottom_z[rows, step] + height / 2, length, width, height, seen[:, 2]]
        )
        ids = agents.ids[rows].tolist()
        return {
            "gt_boxes": boxes.astype(np.float32),
            "gt_names": np.array([NAMES.get(AgentKind(kind), "vehicle") for kind in agents.kinds[rows]], dtype="<U14"),
            "gt_velocity_3d": np.column_stack([moving, np.zeros(len(rows))]).astype(np.float32),
            "instance_tokens": [self.token("instance", agent, step) for agent in ids],
            "track_tokens": [self.token("track", agent) for agent in ids],
        }

    def _write_images(self, step: int, number: int, blobs: Path) -> dict[str, dict[str, Any]]:
        pictures = self.look.images(step)
        cameras: dict[str, dict[str, Any]] = {name: {} for name in CAMERAS}
        for name, picture in pictures.items():
            path = f"{self.name}/{name}/{self.token(name, number)}.jpg"
            (blobs / path).parent.mkdir(parents=True, exist_ok=True)
            (blobs / path).write_bytes(encode_jpeg(picture))
            cameras[name] = _camera(path, self.look.cameras[name])
        return cameras

    def _write_point_cloud(self, step: int, number: int, blobs: Path) -> str:
        path = f"{self.name}/MergedPointCloud/{self.token('lidar', number)}.pcd"
        (blobs / path).parent.mkdir(parents=True, exist_ok=True)
        (blobs / path).write_bytes(_point_cloud(self.scene, step))
        return path


def _camera(path: str, camera: Camera) -> dict[str, Any]:
    lidar_from_ego = np.linalg.inv(_upright(0.0, NOMINAL_LIDAR_M))
    pose = lidar_from_ego @ camera.ego_from_cam
    return {
        "data_path": path,
        "sensor2lidar_rotation": pose[:3, :3].copy(),
        "sensor2lidar_translation": pose[:3, 3].copy(),
        "cam_intrinsic": camera.intrinsics.copy(),
        "distortion": np.zeros(5),
    }


def _upright(heading: float, xyz: Sequence[float]) -> Float64[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]]
    pose[:3, 3] = xyz
    return pose


def _point_cloud(scene: Scene, step: int) -> bytes:
    """A stand-in for a lidar sweep, which the world has none of: circles on the ground and the corners of the boxes near by."""
    angles = np.linspace(0.0, 2 * np.pi, GROUND_POINTS, endpoint=False)
    x, y, z = NOMINAL_LIDAR_M
    ground = [
        np.column_stack([r * np.cos(angles), r * np.sin(angles), np.full(GROUND_POINTS, -z)]) for r in GROUND_RINGS_M
    ]
    agents, ego = scene.agents, scene.ego_poses[step]
    near = np.hypot(*(agents.poses[:, step, :2] - ego[:2]).T) < AGENT_RADIUS_M
    rows = np.flatnonzero(agents.valid[:, step] & near)
    corners = box_corners(to_frame(agents.poses[rows, step], ego), agents.sizes[rows, 0], agents.sizes[rows, 1])
    low = agents.bottom_z[rows, step].astype(np.float64)
    heights = np.stack([low, low + agents.sizes[rows, 2]], axis=1)
    boxes = [
        np.column_stack([corners[i] - [x, y], np.full(len(corners[i]), height - z)])
        for i in range(len(rows))
        for height in heights[i]
    ]
    points = np.concatenate([*ground, *boxes]).astype(np.float32)
    data = np.zeros(len(points), _PCD)
    data["xyz"] = points
    head = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z intensity ring lidar_info\n"
        "SIZE 4 4 4 1 1 1\nTYPE F F F U U U\nCOUNT 1 1 1 1 1 1\n"
        f"WIDTH {len(points)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\nDATA binary\n"
    )
    return head.encode() + data.tobytes()
