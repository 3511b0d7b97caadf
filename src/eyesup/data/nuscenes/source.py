"""Samples and Scenes of a nuScenes data set, in the ego frame at t = 0, under the camera names that models know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eyesup.data.nuscenes.dataset import FUTURE_STEPS, HISTORY_STEPS, NuScenes, inverse
from eyesup.data.nuscenes.definitions import (
    CommandRule,
    Definition,
    command,
    ego_frame_future,
    ego_frame_history,
    usable,
)
from eyesup.data.nuscenes.maps import EXPANSION, read_map
from eyesup.data.nuscenes.schema import CAMERAS, CATEGORIES, KEYFRAME_DT_S
from eyesup.data.recorded import read_image, steering_of
from eyesup.types import (
    ZOE,
    Agents,
    Appearance,
    Camera,
    CameraRig,
    Cue,
    EgoStatus,
    Observation,
    Props,
    RoadMap,
    Sample,
    Scene,
    Signals,
    Trajectory,
    Truth,
)
from eyesup.types.errors import DataError
from eyesup.world.ego_view import AGENT_RADIUS_M, map_in_frame
from eyesup.world.scenery import crop_map

STATUS_BASE_S = 0.1  # without CAN messages: motion since the last pose at least that old
MAX_DT_ERROR_S = 0.25  # keyframes farther apart than 0.5 s by more are no neighbours in time


class NuScenesSource:
    """Keyframes of a split as Samples; a sample's key is ``<scene>@<token>``.

    Observation: the six cameras (their calibration carries the ego's motion between the camera's time and the keyframe's),
    ego status from the CAN bus (else from past poses), four past poses 0.5 s apart, the command. Truth: 3 s at 0.5 s of ego and
    annotated agents, the map around the ego where the expansion is there, and the tags ``scene``, ``location``, ``split``,
    ``status`` (``can_bus``, ``poses`` or ``none``), ``vad`` and ``stp3`` (whether these protocols count the sample).

    Args:
        dataset: An open data set, or its root.
        split: ``val``, ``train``, ``mini_val``, ...; ``all`` takes every keyframe.
        definition: Take only the keyframes that a protocol counts: ``uniad`` all, ``vad`` 6 after, ``stp3`` also 2 before.
        command_rule: ``uniad`` and ``vad`` derive it from the future and stamp the sample privileged; ``route`` and ``forward``
            do not.
        images: ``present`` decodes the cameras; ``none`` leaves them black, which is fast.
        with_map: Put the map around the ego into the Truth.
        cameras: Names as in the `surround6` rig; None takes all that the keyframe has.
        future_steps: Of 0.5 s.
    """

    def __init__(
        self,
        dataset: NuScenes | str | Path,
        split: str = "all",
        definition: Definition = "uniad",
        command_rule: CommandRule = "uniad",
        images: Literal["present", "none"] = "present",
        with_map: bool = False,
        cameras: Sequence[str] | None = None,
        future_steps: int = FUTURE_STEPS,
    ) -> None:
        self.dataset = dataset if isinstance(dataset, NuScenes) else NuScenes(dataset)
        self.name = f"nuscenes:{self.dataset.version}:{split}:{definition}"
        self.split, self.command_rule, self.images, self.with_map = split, command_rule, images, with_map
        self.future_steps = future_steps
        self.cameras = tuple(cameras) if cameras is not None else None
        rows = self.dataset.keyframes(split)
        self.rows = rows[usable(self.dataset, definition)[rows]]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._key(int(row)) for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        row = int(self.rows[index])
        observation, status = self.observation(row)
        return Sample(observation, self.truth(row, status))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def _key(self, keyframe: int) -> str:
        return f"{self.dataset.scene_names[self.dataset.scene_of[keyframe]]}@{self.dataset.tokens[keyframe]}"

    def observation(self, keyframe: int) -> tuple[Observation, str]:
        """What a planner may see at a keyframe, and where its ego status comes from."""
        data = self.dataset
        rig = camera_rig(data, keyframe, self.cameras)
        files = {CAMERAS[name]: data.file(keyframe, name) for name in data.cameras(keyframe)}
        if self.images == "none":
            images = _black(len(rig), *rig.size_px)
        else:
            pictures = [read_image(files[camera.name]) for camera in rig]
            for camera, picture in zip(rig, pictures):
                if picture.shape[:2] != (camera.height_px, camera.width_px):
                    raise DataError(
                        f"{files[camera.name]}: {picture.shape[1]}x{picture.shape[0]} px, the table says "
                        f"{camera.width_px}x{camera.height_px}; scaled copies of the images need scaled intrinsics"
                    )
            images = np.stack(pictures)
        status, origin = ego_status(data, keyframe)
        history, known = ego_frame_history(data, keyframe, HISTORY_STEPS)
        observation = Observation(
            key=self._key(keyframe), images=images[None], image_times_s=np.zeros(1), rig=rig, ego=status,
            history=Trajectory(history, -KEYFRAME_DT_S, known), command=command(data, keyframe, self.command_rule), vehicle=ZOE,
        )  # fmt: skip
        return observation, origin

    def truth(self, keyframe: int, status: str = "") -> Truth:
        """What happened after a keyframe."""
        data = self.dataset
        poses, known = ego_frame_future(data, keyframe, self.future_steps)
        scene = int(data.scene_of[keyframe])
        tags: dict[str, Any] = {
            "scene": data.scene_names[scene], "location": data.locations[scene], "split": self.split, "status": status,
            "vad": bool(usable(data, "vad")[keyframe]), "stp3": bool(usable(data, "stp3")[keyframe]),
        }  # fmt: skip
        return Truth(
            future=Trajectory(poses, KEYFRAME_DT_S, known),
            agents=agents_after(data, keyframe, self.future_steps),
            vehicle=ZOE,
            road_map=self.map_around(keyframe) if self.with_map else None,
            tags=tags,
        )

    def map_around(self, keyframe: int) -> RoadMap:
        """The map within 80 m, ego frame; DataError where the expansion is missing."""
        origin = planar(self.dataset.ego_poses[keyframe])
        location = self.dataset.locations[self.dataset.scene_of[keyframe]]
        whole = _map(self.dataset.root / EXPANSION / f"{location}.json")
        return map_in_frame(crop_map(whole, origin[None, :2], AGENT_RADIUS_M), origin)

    def scene(self, name: str) -> Scene:
        """One scene as a log at 2 Hz in a local world frame (the map's, moved to the first ego position)."""
        return scene_of(self.dataset, name, self.command_rule, self.with_map)


def camera_rig(dataset: NuScenes, keyframe: int, names: Sequence[str] | None = None) -> CameraRig:
    """The cameras of a keyframe as seen from its ego frame: camera -> ego then -> global -> ego at the keyframe's time."""
    channels = dataset.cameras(keyframe)
    if not channels:
        raise DataError(f"{dataset.tables.folder}: keyframe {dataset.tokens[keyframe]} has no camera")
    rows = np.array([dataset.data_row(keyframe, channel) for channel in channels])
    then = dataset.global_from_ego(rows) @ dataset.ego_from_sensor(rows)
    mounted = inverse(dataset.ego_poses[keyframe]) @ then
    widths, heights = (dataset.tables["sample_data"].ints(name)[rows] for name in ("width", "height"))
    rig = CameraRig(
        tuple(
            Camera(CAMERAS[channel], dataset.intrinsics(int(row)), pose, int(width), int(height))
            for channel, row, pose, width, height in zip(channels, rows, mounted, widths, heights)
        )
    )
    return rig if names is None else rig.select(tuple(names))


def ego_status(dataset: NuScenes, keyframe: int) -> tuple[EgoStatus, str]:
    """Measured state at a keyframe from nothing later than it, and its origin: ``can_bus``, ``poses`` or ``none``."""
    scene, time = dataset.scene_names[dataset.scene_of[keyframe]], int(dataset.times_us[keyframe])
    message = dataset.can_bus.last(scene, "pose", time)
    if message is not None:
        vx, vy = (float(value) for value in message["vel"][:2])
        ax, ay = (float(value) for value in message["accel"][:2])
        yaw_rate = float(message["rotation_rate"][2])
        return EgoStatus((vx, vy), (ax, ay), yaw_rate, _steering(vx, yaw_rate)), "can_bus"
    earlier = _earlier_pose(dataset, keyframe)
    if earlier is None:
        return EgoStatus((0.0, 0.0)), "none"
    pose, elapsed_s = earlier
    moved = inverse(dataset.ego_poses[keyframe]) @ pose
    forward, left = -moved[:2, 3] / elapsed_s
    turned = -float(np.arctan2(moved[1, 0], moved[0, 0])) / elapsed_s
    velocity = (float(forward), float(left))
    return EgoStatus(velocity, yaw_rate_rps=turned, steering_rad=_steering(velocity[0], turned)), "poses"


def _steering(speed_mps: float, yaw_rate_rps: float) -> float:
    """Front-wheel angle of the Zoe [rad].

    The CAN bus has the angle of the steering wheel, but its ratio to the front wheels is nowhere stated, and its sign is
    documented one way and used the other.
    """
    return steering_of(speed_mps, yaw_rate_rps, ZOE.wheel_base_m)


def _earlier_pose(dataset: NuScenes, keyframe: int) -> tuple[np.ndarray, float] | None:
    """Ego pose of an earlier lidar sweep, else of the keyframe before, and the seconds since."""
    data = dataset.tables["sample_data"]
    row = start = int(dataset._lidar_rows[keyframe])
    times, before = data.ints("timestamp"), data.links("prev")
    while before[row] >= 0:
        row = int(before[row])
        elapsed_s = 1e-6 * float(times[start] - times[row])
        if elapsed_s >= STATUS_BASE_S:
            return dataset.global_from_ego(np.array([row]))[0], elapsed_s
    if dataset.before[keyframe] == 0:
        return None
    return dataset.ego_poses[keyframe - 1], 1e-6 * float(dataset.times_us[keyframe] - dataset.times_us[keyframe - 1])


def agents_after(dataset: NuScenes, keyframe: int, steps: int) -> Agents:
    """Everything annotated at a keyframe or in the `steps` after it, in its ego frame; ids are rows of `instance`."""
    rows, inside = dataset.window(keyframe, 0, steps)
    return _agents(dataset, rows[inside], steps + 1, inverse(dataset.ego_poses[keyframe]))


def _agents(dataset: NuScenes, keyframes: np.ndarray, steps: int, frame_from_global: np.ndarray) -> Agents:
    """Boxes of consecutive keyframes in one frame; steps beyond the last keyframe are not valid."""
    boxes = [dataset.boxes(int(row)) for row in keyframes]
    kinds = {i: CATEGORIES[name][1] for part in boxes for i, name in zip(part.instances.tolist(), part.categories)}
    ids = np.array(sorted(i for i, kind in kinds.items() if kind is not None), dtype=np.int64)
    poses, valid = np.zeros((len(ids), steps, 3)), np.zeros((len(ids), steps), bool)
    sizes, bottoms = np.ones((len(ids), 3), np.float32), np.zeros((len(ids), steps), np.float32)
    for step, part in enumerate(boxes):
        taken = np.isin(part.instances, ids)
        slots = np.searchsorted(ids, part.instances[taken])
        centres = part.centres[taken] @ frame_from_global[:3, :3].T + frame_from_global[:3, 3]
        ahead = (frame_from_global[:3, :3] @ part.rotations[taken])[:, :2, 0]
        poses[slots, step] = np.column_stack([centres[:, :2], np.arctan2(ahead[:, 1], ahead[:, 0])])
        bottoms[slots, step] = centres[:, 2] - part.sizes[taken][:, 2] / 2
        sizes[slots], valid[slots, step] = part.sizes[taken], True
    return Agents(
        ids=ids, kinds=np.array([kinds[i] for i in ids.tolist()], np.uint8), sizes=sizes, poses=poses,
        velocities=_velocities(poses, valid, dataset.times_us[keyframes]), valid=valid, bottom_z=bottoms,
    )  # fmt: skip


def _velocities(poses: np.ndarray, valid: np.ndarray, times_us: np.ndarray) -> np.ndarray:
    """(A, T, 2) from the neighbouring keyframes; 0 where an agent has no neighbour in time."""
    velocities = np.zeros((*valid.shape, 2), np.float32)
    times = 1e-6 * (times_us - times_us[0]) if len(times_us) else np.zeros(0)
    for step in range(len(times)):
        before, after = max(step - 1, 0), min(step + 1, len(times) - 1)
        for first, last in ((before, after), (before, step), (step, after)):
            if first < last:
                both = valid[:, first] & valid[:, last] & valid[:, step] & (velocities[:, step] == 0).all(-1)
                moved = poses[:, last, :2] - poses[:, first, :2]
                velocities[both, step] = moved[both] / (times[last] - times[first])
    return velocities


def scene_of(dataset: NuScenes, name: str, command_rule: CommandRule = "uniad", with_map: bool = True) -> Scene:
    """A scene as a log at 0.5 s: ego, agents, map (where the expansion is there), keyframes with 3 s of future."""
    rows = np.array(dataset.keyframes_of(name))
    gaps = 1e-6 * np.diff(dataset.times_us[rows])
    if len(gaps) and np.abs(gaps - KEYFRAME_DT_S).max() > MAX_DT_ERROR_S:
        raise DataError(
            f"{dataset.tables.folder}: keyframes of {name} are {gaps.max():.2f} s apart, expected about 0.5 s"
        )
    origin = dataset.ego_poses[rows[0], :2, 3]
    local = np.eye(4)
    local[:2, 3] = -origin
    states = [ego_status(dataset, int(row))[0] for row in rows]
    path = dataset.can_bus.route(name)
    location = dataset.locations[dataset.scene_of[rows[0]]]
    file = dataset.root / EXPANSION / f"{location}.json"
    road_map = RoadMap()
    if with_map and file.exists():
        poses = dataset.ego_poses[rows, :2, 3]
        road_map = map_in_frame(crop_map(_map(file), poses, AGENT_RADIUS_M), np.array([*origin, 0.0]))
    return Scene(
        key=f"nuscenes-{name}",
        dt_s=KEYFRAME_DT_S,
        ego_poses=np.array([planar(local @ pose) for pose in dataset.ego_poses[rows]]),
        ego_velocities=np.array([state.velocity_mps for state in states]),
        ego_accelerations=np.array([state.acceleration_mps2 for state in states]),
        ego_yaw_rates=np.array([state.yaw_rate_rps for state in states]),
        ego_steerings=np.array([state.steering_rad for state in states]),
        maneuvers=tuple(command(dataset, int(row), command_rule).maneuver for row in rows),
        agents=_agents(dataset, rows, len(rows), local),
        signals=Signals.empty(len(rows)),
        road_map=road_map,
        props=Props.empty(),
        appearance=Appearance(),
        route=path - origin if len(path) else np.zeros((0, 2)),
        route_lane_ids=(),
        cue=Cue(),
        keyframes=np.flatnonzero(dataset.after[rows] >= FUTURE_STEPS),
        vehicle=ZOE,
        tags={"scenario": "", "town": location, "split": "", "scene": name, "dataset": dataset.version},
    )


def planar(pose: np.ndarray) -> np.ndarray:
    """x, y and heading of a pose, seen from above."""
    return np.array([pose[0, 3], pose[1, 3], np.arctan2(pose[1, 0], pose[0, 0])])


@lru_cache(maxsize=4)
def _map(path: Path) -> RoadMap:
    return read_map(path)


@lru_cache(maxsize=8)
def _black(cameras: int, width: int, height: int) -> np.ndarray:
    zeros = np.zeros((cameras, height, width, 3), np.uint8)
    zeros.setflags(write=False)
    return zeros
