"""A nuScenes data set as arrays: scenes, their keyframes in order, poses, annotations. No devkit, no dictionaries per row.

Frames: ``global`` is the map's; ``ego`` is x forward, y left, z up, origin at the rear axle on the ground, which is this
project's ego frame; the lidar frame (x right, y forward) appears only where a published protocol is written in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eyesup.data.nuscenes.can_bus import CanBus
from eyesup.data.nuscenes.schema import CAMERAS, CATEGORIES, LIDAR, SPLITS, TABLES, split_scenes
from eyesup.data.nuscenes.tables import Tables
from eyesup.data.recorded import rotations
from eyesup.types.errors import DataError
from eyesup.world.roads import cache_root

FUTURE_STEPS = 6  # 3 s at 2 Hz
HISTORY_STEPS = 4
CACHE_FROM_BYTES = 16_000_000  # of JSON; less is read in a tenth of a second
_REMEDY = "the tables are of different versions, unpack the metadata again"


@dataclass(frozen=True)
class Boxes:
    """Annotations, mostly those of one keyframe.

    Attributes:
        rows: (A,) int64 rows of `sample_annotation`.
        instances: (A,) int64 rows of `instance`: who it is.
        categories: names, e.g. ``vehicle.car``.
        centres: (A, 3) float64 global metres.
        quaternions: (A, 4) float64, global from box, scalar first.
        sizes: (A, 3) float64 length, width, height [m].
        lidar_points, radar_points: (A,) int64.
    """

    rows: np.ndarray
    instances: np.ndarray
    categories: tuple[str, ...]
    centres: np.ndarray
    quaternions: np.ndarray
    sizes: np.ndarray
    lidar_points: np.ndarray
    radar_points: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rotations(self) -> Float64[np.ndarray, "A 3 3"]:
        """Global from box."""
        return rotations(self.quaternions)


class NuScenes:
    """One version of a data set.

    Keyframes are addressed by number 0 .. S-1: scenes in the order of their table, keyframes in the order of time.

    Args:
        root: Folder that holds ``v1.0-*``, ``samples/``, ``maps/``, ``can_bus/``.
        version: E.g. ``v1.0-trainval``; may be left out where the root holds only one.
        cache: Keep the tables in our own form under `$EYESUP_CACHE` (else ``~/.cache/eyesup``): the next opening is instant.

    Raises:
        DataError: The root is no data set, a table is missing or damaged, or tokens do not fit each other.
    """

    def __init__(self, root: str | Path, version: str | None = None, cache: bool = True) -> None:
        self.root = Path(root)
        self.version = version or _only_version(self.root)
        self.tables = Tables(self.root / self.version, cache_root(None) / "nuscenes" if cache else None)
        if cache and self.tables.bytes >= CACHE_FROM_BYTES:
            self.tables.write_cache()
        self.can_bus = CanBus(self.root)
        self._cache = cache

    def __reduce__(self) -> tuple[type[NuScenes], tuple[Path, str, bool]]:
        """To another process goes the place, not the tables."""
        return NuScenes, (self.root, self.version, self._cache)

    def __len__(self) -> int:
        return len(self._samples)

    # -- keyframes ---------------------------------------------------------------------------------------------------

    @cached_property
    def _samples(self) -> np.ndarray:
        """(S,) row of `sample` of each keyframe: by scene, then time. DataError where `next` says otherwise."""
        table = self.tables["sample"]
        scene = table.links("scene_token")
        if (scene < 0).any():
            token = table.tokens[int(np.flatnonzero(scene < 0)[0])].decode()
            raise DataError(f"{self.tables.folder}: sample {token} belongs to an unknown scene; {_REMEDY}")
        order = np.lexsort((table.ints("timestamp"), scene))
        inside = scene[order[:-1]] == scene[order[1:]] if len(order) else np.zeros(0, bool)
        wrong = inside & (table.links("next")[order[:-1]] != order[1:])
        if wrong.any():
            token = table.tokens[order[int(np.flatnonzero(wrong)[0])]].decode()
            raise DataError(f"{self.tables.folder}: sample {token}: `next` is not the keyframe that follows in time")
        return order

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Token of each keyframe."""
        return tuple(token.decode() for token in self.tables["sample"].tokens[self._samples])

    @cached_property
    def _rank(self) -> np.ndarray:
        """Row of `sample` -> number of the keyframe."""
        rank = np.empty(len(self), np.int64)
        rank[self._samples] = np.arange(len(self))
        return rank

    def index(self, token: str) -> int:
        """Number of the keyframe with that token; DataError where there is none."""
        return int(self._rank[self.tables["sample"].find(token)])

    @cached_property
    def times_us(self) -> Int64[np.ndarray, "S"]:
        """Time of each keyframe [microseconds]."""
        return self.tables["sample"].ints("timestamp")[self._samples]

    @cached_property
    def scene_of(self) -> Int64[np.ndarray, "S"]:
        """Row of `scene` of each keyframe."""
        return self.tables["sample"].links("scene_token")[self._samples].astype(np.int64)

    @cached_property
    def scene_names(self) -> tuple[str, ...]:
        return tuple(self.tables["scene"].texts("name"))

    @cached_property
    def locations(self) -> tuple[str, ...]:
        """Map of each scene."""
        logs = self.tables["scene"].links("log_token")
        return tuple(self.tables["log"].texts("location")[logs])

    @cached_property
    def before(self) -> Int64[np.ndarray, "S"]:
        """How many keyframes of its scene come before each."""
        return np.arange(len(self)) - self._starts[self.scene_of]

    @cached_property
    def after(self) -> Int64[np.ndarray, "S"]:
        """How many keyframes of its scene follow each."""
        return self._starts[self.scene_of] + self._sizes[self.scene_of] - 1 - np.arange(len(self))

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.bincount(self.scene_of, minlength=len(self.tables["scene"]))

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum(self._sizes) - self._sizes

    def keyframes_of(self, scene: str) -> range:
        """Numbers of a scene's keyframes."""
        if scene not in self.scene_names:
            raise DataError(f"{self.tables.folder} has no scene {scene!r}; it holds {len(self.scene_names)} scenes")
        row = self.scene_names.index(scene)
        return range(int(self._starts[row]), int(self._starts[row] + self._sizes[row]))

    def keyframes(self, split: str = "all") -> Int64[np.ndarray, "N"]:
        """Numbers of a split's keyframes; DataError where none of its scenes is here."""
        if split == "all":
            return np.arange(len(self))
        wanted = set(split_scenes(split))
        rows = np.array([name in wanted for name in self.scene_names], bool)
        if not rows.any():
            here = [name for name in SPLITS if set(split_scenes(name)) & set(self.scene_names)]
            raise DataError(
                f"{self.tables.folder} holds no scene of split {split!r}; it holds scenes of {', '.join(here) or 'no split'}"
            )
        return np.flatnonzero(rows[self.scene_of])

    # -- sensors -----------------------------------------------------------------------------------------------------

    @cached_property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.tables["sensor"].texts("channel"))

    @cached_property
    def _keys(self) -> np.ndarray:
        """(S, channels) row of `sample_data` of each keyframe's own record; -1 where a sensor has none."""
        data = self.tables["sample_data"]
        rows = np.flatnonzero(data.flags("is_key_frame"))
        samples, calibrated = data.links("sample_token")[rows], data.links("calibrated_sensor_token")[rows]
        for column, links in (("sample_token", samples), ("calibrated_sensor_token", calibrated)):
            if (links < 0).any():
                token = data.tokens[rows[int(np.flatnonzero(links < 0)[0])]].decode()
                raise DataError(
                    f"{self.tables.folder}: sample_data {token} names an unknown {column.removesuffix('_token')}; {_REMEDY}"
                )
        sensors = self.tables["calibrated_sensor"].links("sensor_token")[calibrated]
        keys = np.full((len(self), len(self.channels)), -1, np.int64)
        keys[self._rank[samples], sensors] = rows
        return keys

    def data_row(self, keyframe: int, channel: str) -> int:
        """Row of `sample_data` of a sensor at a keyframe; DataError where it has none."""
        row = int(self._keys[keyframe, self.channels.index(channel)]) if channel in self.channels else -1
        if row < 0:
            raise DataError(f"{self.tables.folder}: keyframe {self.tokens[keyframe]} has no {channel}")
        return row

    def cameras(self, keyframe: int) -> tuple[str, ...]:
        """Channels of the cameras that a keyframe has, front left first."""
        return tuple(
            name for name in CAMERAS if name in self.channels and self._keys[keyframe, self.channels.index(name)] >= 0
        )

    def file(self, keyframe: int, channel: str) -> Path:
        """Image or point cloud of a sensor at a keyframe."""
        return self.root / self.tables["sample_data"].column("filename")[self.data_row(keyframe, channel)].as_py()

    def global_from_ego(self, data_rows: np.ndarray) -> Float64[np.ndarray, "N 4 4"]:
        """Ego poses at the times of some records of `sample_data`."""
        poses = self.tables["ego_pose"]
        rows = self.tables["sample_data"].links("ego_pose_token")[data_rows]
        if (rows < 0).any():
            token = self.tables["sample_data"].tokens[data_rows[int(np.flatnonzero(rows < 0)[0])]].decode()
            raise DataError(f"{self.tables.folder}: sample_data {token} names an unknown ego_pose; {_REMEDY}")
        return rigids(poses.vectors("rotation", 4)[rows], poses.vectors("translation", 3)[rows])

    def ego_from_sensor(self, data_rows: np.ndarray) -> Float64[np.ndarray, "N 4 4"]:
        """Mounting of the sensors of some records of `sample_data`."""
        sensors = self.tables["calibrated_sensor"]
        rows = self.tables["sample_data"].links("calibrated_sensor_token")[data_rows]
        return rigids(sensors.vectors("rotation", 4)[rows], sensors.vectors("translation", 3)[rows])

    def intrinsics(self, data_row: int) -> Float64[np.ndarray, "3 3"]:
        """Camera matrix of a record."""
        sensors = self.tables["calibrated_sensor"]
        matrix = sensors.column("camera_intrinsic")[
            int(self.tables["sample_data"].links("calibrated_sensor_token")[data_row])
        ]
        return np.array(matrix.as_py(), dtype=np.float64).reshape(3, 3)

    @cached_property
    def _lidar_rows(self) -> np.ndarray:
        column = self._keys[:, self.channels.index(LIDAR)] if LIDAR in self.channels else np.full(len(self), -1)
        if (column < 0).any():
            token = self.tokens[int(np.flatnonzero(column < 0)[0])]
            raise DataError(f"{self.tables.folder}: keyframe {token} has no {LIDAR}, whose ego pose is the keyframe's")
        return column

    @cached_property
    def ego_poses(self) -> Float64[np.ndarray, "S 4 4"]:
        """Global from ego at each keyframe: the pose of its LIDAR_TOP record, as everybody takes it."""
        return self.global_from_ego(self._lidar_rows)

    @cached_property
    def ego_from_lidar(self) -> Float64[np.ndarray, "S 4 4"]:
        return self.ego_from_sensor(self._lidar_rows)

    # -- annotations -------------------------------------------------------------------------------------------------

    @cached_property
    def _annotations(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of `sample_annotation` sorted by keyframe, and where each keyframe's begin."""
        table = self.tables["sample_annotation"]
        samples = table.links("sample_token")
        for column, links in (("sample", samples), ("instance", table.links("instance_token"))):
            if (links < 0).any():
                token = table.tokens[int(np.flatnonzero(links < 0)[0])].decode()
                raise DataError(f"{self.tables.folder}: annotation {token} names an unknown {column}; {_REMEDY}")
        ranks = self._rank[samples]
        order = np.argsort(ranks, kind="stable")
        return order, np.searchsorted(ranks[order], np.arange(len(self) + 1))

    @cached_property
    def _category_of_instance(self) -> np.ndarray:
        """Name of each instance's category."""
        names = self.tables["category"].texts("name")
        unknown = sorted(set(names) - set(CATEGORIES))
        if unknown:
            raise DataError(f"{self.tables.folder}: unknown category {unknown[0]!r}; is this nuScenes v1.0?")
        return names[self.tables["instance"].links("category_token")] if len(names) else np.zeros(0, object)

    def annotation_rows(self, keyframe: int) -> Int64[np.ndarray, "A"]:
        """Rows of `sample_annotation` of a keyframe, in the table's order."""
        order, starts = self._annotations
        return order[starts[keyframe] : starts[keyframe + 1]]

    def boxes(self, keyframe: int) -> Boxes:
        """All annotations of a keyframe."""
        return self.boxes_at(self.annotation_rows(keyframe))

    def boxes_at(self, rows: Int64[np.ndarray, "A"]) -> Boxes:
        """Some annotations, by their rows."""
        table = self.tables["sample_annotation"]
        instances = table.links("instance_token")[rows].astype(np.int64)
        sizes = table.vectors("size", 3)[rows][:, [1, 0, 2]]  # the tables hold width, length, height
        centres = table.vectors("translation", 3)[rows]
        return Boxes(
            rows, instances, tuple(self._category_of_instance[instances]), centres, table.vectors("rotation", 4)[rows],
            sizes, table.ints("num_lidar_pts")[rows], table.ints("num_radar_pts")[rows],
        )  # fmt: skip

    def window(self, keyframe: int, first: int, last: int) -> tuple[Int64[np.ndarray, "T"], Bool[np.ndarray, "T"]]:
        """Keyframes `first` .. `last` steps from one (either may be negative) and which of them its scene has."""
        offsets = np.arange(first, last + 1)
        inside = (offsets >= -self.before[keyframe]) & (offsets <= self.after[keyframe])
        return keyframe + np.clip(offsets, -self.before[keyframe], self.after[keyframe]), inside


def rigids(
    quaternions: Float64[np.ndarray, "N 4"], translations: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, "N 4 4"]:
    """Homogeneous matrices of many poses."""
    poses = np.tile(np.eye(4), (len(quaternions), 1, 1))
    poses[:, :3, :3] = rotations(quaternions)
    poses[:, :3, 3] = translations
    return poses


def inverse(pose: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
    """The rigid inverse."""
    back = np.eye(4)
    back[:3, :3] = pose[:3, :3].T
    back[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return back


def versions(root: str | Path) -> tuple[str, ...]:
    """Versions that a root holds, by their folders."""
    folders = sorted(Path(root).glob("v1.0-*"))
    return tuple(folder.name for folder in folders if any((folder / f"{name}.json").exists() for name in TABLES))


def _only_version(root: Path) -> str:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the folder that holds v1.0-trainval or v1.0-mini")
    found = versions(root)
    if len(found) != 1:
        what = f"several versions ({', '.join(found)})" if found else "no folder v1.0-* with tables"
        raise DataError(f"{root}: {what}; " + ("name one of them" if found else "unpack the metadata archive there"))
    return found[0]
