"""NAVSIM's scenes as Samples. Logs are read once to find the scenes; images are opened when a sample is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from eyesup.data.navsim.inputs import Window, join_tracks, scene_inputs
from eyesup.data.navsim.logs import (
    CAMERAS,
    FRAME_US,
    FRONT3,
    MANEUVERS,
    Tracks,
    ego_yaw_rate,
    poses_seen_from,
    read_log,
    read_synthetic,
)
from eyesup.data.navsim.splits import SceneFilter, Split
from eyesup.data.nuplan_map import NuPlanMap, open_map
from eyesup.data.recorded import read_image
from eyesup.geometry.se2 import rotate, to_frame
from eyesup.scoring.pdm.scene import SceneInputs
from eyesup.types import (
    PACIFICA,
    AgentKind,
    Agents,
    Appearance,
    Camera,
    CameraRig,
    Command,
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
from eyesup.world.ego_view import map_in_frame

DT_S = FRAME_US * 1e-6
HISTORY_POSES = 4  # 2 s, as the house's prompts have; NAVSIM shows 1.5 s, the last one stays unknown
AGENT_RADIUS_M = 80.0
OPEN_LOGS = 2
KINDS = {
    "vehicle": AgentKind.CAR, "pedestrian": AgentKind.PEDESTRIAN, "bicycle": AgentKind.BICYCLE, "traffic_cone": AgentKind.CONE,
    "barrier": AgentKind.BARRIER, "czone_sign": AgentKind.BARRIER, "generic_object": AgentKind.DEBRIS,
}  # fmt: skip


@dataclass(frozen=True)
class Roots:
    """Where the data lie.

    Attributes:
        data: Holds ``navsim_logs/<split>`` and ``sensor_blobs/<split>`` (`$OPENSCENE_DATA_ROOT`).
        maps: Holds ``nuplan-maps-v1.0.json`` (`$NUPLAN_MAPS_ROOT`).
        synthetic: Holds ``synthetic_scene_pickles`` and ``sensor_blobs`` of a split in two stages.
    """

    data: Path
    maps: Path | None = None
    synthetic: Path | None = None

    @staticmethod
    def from_environment() -> Roots:
        """As the official devkit is told; DataError where `$OPENSCENE_DATA_ROOT` is not set."""
        data, maps = os.environ.get("OPENSCENE_DATA_ROOT"), os.environ.get("NUPLAN_MAPS_ROOT")
        if not data:
            raise DataError("OPENSCENE_DATA_ROOT is not set; it names the folder with navsim_logs and sensor_blobs")
        return Roots(Path(data), Path(maps) if maps else None)

    def logs(self, data_split: str) -> Path:
        return self.data / "navsim_logs" / data_split

    def blobs(self, data_split: str) -> Path:
        return self.data / "sensor_blobs" / data_split


@dataclass(frozen=True)
class Place:
    """Where a scene lies: its file, the first of its frames there (None: the file is one synthetic scene), log, time, map."""

    path: Path
    start: int | None
    log: str
    time_us: int
    location: str


class NavsimSource:
    """Samples of a NAVSIM split, in the order of logs (by name) and time; synthetic scenes follow. A sample's key is its token.

    Observation: images of the current frame, the past poses that NAVSIM shows (1.5 s), velocity and acceleration, the command
    from the route; the yaw rate is that of the last half second. Truth: poses and boxes at 2 Hz, the map around the ego.

    Args:
        roots: Where the data lie.
        split: Which scenes.
        cameras: NAVSIM's camera -> name in the rig, in this order.
        size_px: (width, height) that images are scaled to; None leaves them as they are.
        images: False leaves the Observation's black (for planners that do not look).
        with_truth: Build the Truth.
        with_map: Put the map around the ego into the Truth.
        every: Take every k-th scene.
        keep_going: Leave out logs and scenes that are missing or cannot be read, and list them in `failures`, instead of
            stopping at the first.

    Attributes:
        failures: File or scene -> what is wrong with it.
    """

    def __init__(
        self,
        roots: Roots,
        split: Split,
        cameras: Mapping[str, str] = FRONT3,
        size_px: tuple[int, int] | None = None,
        images: bool = True,
        with_truth: bool = True,
        with_map: bool = False,
        every: int = 1,
        keep_going: bool = False,
    ) -> None:
        unknown = sorted(set(cameras) - set(CAMERAS))
        if unknown or not cameras:
            raise DataError(f"camera {unknown or '(none)'} is not NAVSIM's; it has {', '.join(CAMERAS)}")
        self.roots, self.split, self.name = roots, split, f"navsim:{split.name}"
        self.cameras, self.size_px = dict(cameras), size_px
        self.images, self.with_truth, self.with_map = images, with_truth, with_map
        self.failures: dict[str, str] = {}
        self._open_caches()
        found = self._find(split.scene_filter, keep_going)
        self._places = {token: found[token] for token in list(found)[::every]}
        if not self._places:
            raise DataError(
                f"{self.name}: 0 scenes in {roots.logs(split.data_split)}; check log_names, tokens and frame counts"
            )

    def _open_caches(self) -> None:
        self._log = lru_cache(OPEN_LOGS)(read_log)

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_log"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open_caches()

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        window = self.window(self.keys[index])
        return Sample(self.observation(window), self.truth(window) if self.with_truth else None)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def showing(self, images: bool) -> NavsimSource:
        """The same scenes with images, or with black ones."""
        other = copy(self)
        other.images = images
        return other

    def place(self, token: str) -> Place:
        """Where a scene lies; DataError for a token that is not of this split."""
        if token not in self._places:
            raise DataError(f"{self.name} has no scene {token!r} among its {len(self._places)}")
        return self._places[token]

    def window(self, token: str) -> Window:
        """The frames of a scene."""
        place, rules = self.place(token), self.split.scene_filter
        if place.start is None:
            scene = read_synthetic(place.path)
            return Window(scene.frames, scene.history, scene.later, scene.original_token)
        frames = self._log(place.path)[place.start : place.start + rules.num_frames]
        return Window(tuple(frames), rules.num_history_frames)

    def city(self, window: Window) -> NuPlanMap:
        """The map of a scene."""
        if self.roots.maps is None:
            raise DataError(f"scene {window.now.token}: no folder of maps given; set NUPLAN_MAPS_ROOT or --maps")
        return open_map(str(self.roots.maps), window.now.location)

    def inputs(self, token: str) -> SceneInputs:
        """What the PDM score needs of a scene."""
        window = self.window(token)
        return scene_inputs(window, self.city(window))

    def observation(self, window: Window) -> Observation:
        now, before = window.now, window.past[-2] if window.history > 1 else window.now
        images, rig = self._look(window)
        past = window.past[-2::-1][:HISTORY_POSES]
        poses, valid = np.zeros((HISTORY_POSES, 3)), np.arange(HISTORY_POSES) < len(past)
        poses[: len(past)] = poses_seen_from(past, now)
        return Observation(
            key=now.token,
            images=images[None],
            image_times_s=np.zeros(1),
            rig=rig,
            ego=EgoStatus(_pair(now.velocity), _pair(now.acceleration), ego_yaw_rate(before, now)),
            history=Trajectory(poses, -DT_S, valid),
            command=Command(MANEUVERS[now.command]),
            vehicle=PACIFICA,
        )

    def truth(self, window: Window) -> Truth:
        now = window.now
        return Truth(
            future=Trajectory(poses_seen_from(window.future, now), DT_S),
            agents=_agents_seen_from(window),
            vehicle=PACIFICA,
            road_map=map_in_frame(self.city(window).road_map(now.pose), now.pose) if self.with_map else None,
            tags={
                "scenario": "", "town": now.location, "split": self.split.name, "log": now.log, "command": now.command,
                "synthetic": window.is_synthetic,
            },
        )  # fmt: skip

    def scene(self, token: str) -> Scene:
        """The frames of a scene as the house's Scene at 2 Hz, in metres from the current rear axle's place (not turned)."""
        window = self.window(token)
        return to_scene(window, self.city(window).road_map(window.now.pose))

    def _look(self, window: Window) -> tuple[np.ndarray, CameraRig]:
        now = window.now
        missing = [name for name in self.cameras if name not in now.cameras]
        if missing:
            raise DataError(
                f"scene {now.token}: no image of {missing[0]}; the frame has {', '.join(now.cameras) or 'none'}"
            )
        pictures, cameras = [], []
        for name, ours in self.cameras.items():
            record = now.cameras[name]
            path = self._blobs(window) / record.path
            picture = read_image(path) if self.images else _blank(path, record.intrinsics)
            height, width = picture.shape[:2]
            camera = Camera(ours, record.intrinsics, record.ego_from_cam, width, height)
            if self.size_px is not None and self.size_px != (width, height):
                picture = np.asarray(Image.fromarray(picture).resize(self.size_px, Image.Resampling.LANCZOS))
                camera = camera.resized(*self.size_px)
            pictures.append(picture)
            cameras.append(camera)
        return np.stack(pictures), CameraRig(tuple(cameras))

    def _blobs(self, window: Window) -> Path:
        if window.is_synthetic and self.roots.synthetic is not None:
            return self.roots.synthetic / "sensor_blobs"
        return self.roots.blobs(self.split.data_split)

    def _find(self, rules: SceneFilter, keep_going: bool) -> dict[str, Place]:
        """Every scene that the filter keeps, by token."""
        folder = self.roots.logs(self.split.data_split)
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; logs lie in <data>/navsim_logs/{self.split.data_split}")
        wanted = None if rules.tokens is None else set(rules.tokens)
        found: dict[str, Place] = {}
        for path in _log_files(folder, rules.log_names):
            if not path.is_file():
                self._miss(str(path), f"{path}: the split's log is not there", keep_going)
                continue
            try:
                frames = self._log(path)
            except DataError as error:
                if not keep_going:
                    raise
                self.failures[str(path)] = str(error)
                continue
            for start in range(0, len(frames) - rules.num_frames + 1, rules.step):
                now = frames[start + rules.num_history_frames - 1]
                if (rules.has_route and not now.route) or (wanted is not None and now.token not in wanted):
                    continue
                found[now.token] = Place(path, start, now.log, now.time_us, now.location)
                if rules.max_scenes is not None and len(found) >= rules.max_scenes:
                    return found
        for token in sorted((wanted or set()) - set(found)):
            self._miss(token, f"scene {token}: the split names it, but no log in {folder} has it", keep_going)
        if rules.include_synthetic_scenes:
            found |= self._find_synthetic(rules, keep_going)
        return found

    def _miss(self, what: str, reason: str, keep_going: bool) -> None:
        """Something of the split is not there."""
        if not keep_going:
            raise DataError(f"{reason}; download the rest, or go on without it (--keep-going)")
        self.failures[what] = reason

    def _find_synthetic(self, rules: SceneFilter, keep_going: bool) -> dict[str, Place]:
        folder = (self.roots.synthetic or self.roots.data) / "synthetic_scene_pickles"
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; the split takes synthetic scenes, name it with --synthetic")
        asked = None if rules.synthetic_tokens is None else set(rules.synthetic_tokens)
        found: dict[str, Place] = {}
        for path in sorted(folder.glob("*.pkl")):
            try:
                scene = read_synthetic(path)
            except DataError as error:
                if not keep_going:
                    raise
                self.failures[str(path)] = str(error)
                continue
            now = scene.frames[scene.history - 1]
            if (asked is None or now.token in asked) and (rules.log_names is None or now.log in rules.log_names):
                found[now.token] = Place(path, None, now.log, now.time_us, now.location)
        return found


def to_scene(window: Window, road_map: RoadMap) -> Scene:
    """The house's Scene of a window: 2 Hz, origin at the current rear axle, axes of the map."""
    now = window.now
    origin = np.array([*now.pose[:2], 0.0])
    frames = window.frames
    agents = _agents([frame.tracks or _no_tracks() for frame in frames], origin)
    poses = to_frame(np.array([frame.pose for frame in frames]), origin)
    rates = [0.0, *(ego_yaw_rate(before, after) for before, after in pairwise(frames))]
    return Scene(
        key=now.token, dt_s=DT_S, ego_poses=poses,
        ego_velocities=np.array([frame.velocity for frame in frames]),
        ego_accelerations=np.array([frame.acceleration for frame in frames]),
        ego_yaw_rates=np.array(rates), ego_steerings=np.zeros(len(frames)),
        maneuvers=tuple(MANEUVERS[frame.command] for frame in frames),
        agents=agents, signals=Signals.empty(len(frames)), road_map=map_in_frame(road_map, origin), props=Props.empty(),
        appearance=Appearance(), route=poses[:, :2], route_lane_ids=(), cue=Cue(),
        keyframes=np.array([window.history - 1]), tags={"log": now.log, "town": now.location},
    )  # fmt: skip


def _log_files(folder: Path, names: Sequence[str] | None) -> list[Path]:
    """The log pickles by name, or those that a split names."""
    return sorted(folder.glob("*.pkl")) if names is None else [folder / f"{name}.pkl" for name in sorted(names)]


def _agents_seen_from(window: Window) -> Agents:
    now = window.now
    moments = [frame.tracks or _no_tracks() for frame in (now, *window.future)]
    agents = _agents(moments, now.pose)
    near = np.hypot(agents.poses[..., 0], agents.poses[..., 1]) < AGENT_RADIUS_M
    return agents.select(np.flatnonzero((near & agents.valid).any(axis=1)))


def _agents(moments: Sequence[Tracks], origin: np.ndarray) -> Agents:
    tracks = join_tracks(moments)
    count, frames = tracks.seen.shape
    known = tracks.seen[..., None]
    return Agents(
        ids=np.arange(count),
        kinds=np.array([KINDS[name.lower()] for name in tracks.types], np.uint8),
        sizes=np.column_stack([tracks.sizes, tracks.heights[:, 0]]).astype(np.float32),
        poses=np.where(known, to_frame(tracks.poses, origin), 0.0),
        velocities=np.where(known, rotate(tracks.velocities, -origin[2]), 0.0).astype(np.float32),
        valid=tracks.seen,
        bottom_z=np.repeat(tracks.heights[:, 1:], frames, axis=1).astype(np.float32),
    )


def _no_tracks() -> Tracks:
    return Tracks((), (), np.zeros((0, 3)), np.zeros((0, 2)), np.zeros((0, 3)), np.zeros(0))


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _blank(path: Path, intrinsics: np.ndarray) -> np.ndarray:
    """Black, of the file's size where it is there (only its head is read), else of twice the principal point."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except OSError:
        width, height = round(2 * intrinsics[0, 2]), round(2 * intrinsics[1, 2])
    return np.zeros((height, width, 3), np.uint8)
