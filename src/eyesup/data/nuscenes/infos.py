"""Info pickles that people have: VAD's and UniAD's (``*_infos_temporal_*.pkl``), GPT-Driver's and OpenDriveVLA's cache.

Opened without running anything. All hold positions in the lidar frame at t = 0 (x right, y forward). What differs:

=============  =======================================  ================================  ==================================
layout         ego future                               boxes (gt_boxes)                  ego features
=============  =======================================  ================================  ==================================
VAD            offsets (6, 2) with masks (6,)           w, l, h, yaw' = -yaw - pi/2       `gt_ego_lcf_feat` with VAD's slips
UniAD          from the poses of the infos that follow  as VAD (v1), or l, w, h, yaw      none; `can_bus` (18,)
               in the file                              (v2); told by cars being long
GPT-Driver     absolute (7, 2), row 0 is now            as VAD                            `gt_ego_lcf_feat` with VAD's slips
=============  =======================================  ================================  ==================================

Every command in them is read off the future and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eyesup.data.nuscenes.dataset import FUTURE_STEPS, inverse
from eyesup.data.nuscenes.definitions import TURN_M
from eyesup.data.nuscenes.schema import CAMERAS, CATEGORIES, KEYFRAME_DT_S
from eyesup.data.recorded import read_image, rotations, unknown_history
from eyesup.data.restricted_pickle import load_pickle
from eyesup.geometry.se2 import wrap_angle
from eyesup.types import (
    ZOE,
    AgentKind,
    Agents,
    Camera,
    CameraRig,
    Command,
    CommandSource,
    EgoStatus,
    Maneuver,
    Observation,
    Sample,
    Trajectory,
    Truth,
)
from eyesup.types.errors import DataError

Layout = Literal["vad", "uniad", "gpt_driver"]
ORDER = (Maneuver.TURN_RIGHT, Maneuver.TURN_LEFT, Maneuver.KEEP_FORWARD)  # of every one-hot command
# Detection classes and, where a class is none of the ten, the category's own name.
_KINDS = {short or name: kind for name, (short, kind) in CATEGORIES.items()} | {
    n: k for n, (_, k) in CATEGORIES.items()
}
_CAN_ACCEL, _CAN_RATE, _CAN_VELOCITY = slice(7, 10), slice(10, 13), slice(13, 16)


@dataclass(frozen=True)
class CachedSample:
    """One keyframe of a cache, lidar frame at t = 0.

    Attributes:
        token: The keyframe's.
        future, future_valid: (6, 2) absolute positions of the lidar [m] and which are known; zeros elsewhere.
        command: From the future.
        ego_features: (9,) `gt_ego_lcf_feat` as stored, None where there is none.
        names: Class of each box.
        boxes: (A, 7) centre x, y, z, length, width, height [m], yaw counter-clockwise from +x [rad].
    """

    token: str
    future: np.ndarray
    future_valid: np.ndarray
    command: Command
    ego_features: np.ndarray | None
    names: tuple[str, ...]
    boxes: np.ndarray


class InfoFile:
    """A cache; indexing by token reads a sample. `samples` gives Samples where the layout names images (VAD, UniAD).

    Args:
        path: The pickle.
        root: Folder of the images; only `samples` needs it.

    Raises:
        DataError: The pickle asks for more than NumPy data, or has none of the layouts.
    """

    def __init__(self, path: str | Path, root: str | Path | None = None) -> None:
        self.path = Path(path)
        self.root = Path(root) if root is not None else self.path.parent
        content = load_pickle(self.path)
        self.layout, self._infos = self._recognised(content)

    def _recognised(self, content: Any) -> tuple[Layout, dict[str, Mapping[str, Any]]]:
        if isinstance(content, Mapping) and isinstance(content.get("infos"), list) and content["infos"]:
            infos = content["infos"]
            required = {
                "token",
                "prev",
                "next",
                "cams",
                "gt_boxes",
                "gt_names",
                "ego2global_rotation",
                "lidar2ego_rotation",
            }
            missing = sorted(required - set(infos[0]))
            if missing:
                raise DataError(f"{self.path}: infos lack {', '.join(missing)}; this is neither VAD's nor UniAD's file")
            tokens = [str(info["token"]) for info in infos]
            if len(set(tokens)) != len(tokens):
                raise DataError(f"{self.path}: {len(tokens) - len(set(tokens))} samples are there twice")
            return ("vad" if "gt_ego_fut_trajs" in infos[0] else "uniad"), dict(zip(tokens, infos))
        if isinstance(content, Mapping) and content and all(isinstance(value, Mapping) for value in content.values()):
            first = next(iter(content.values()))
            if {"gt_ego_fut_trajs", "gt_ego_his_trajs", "gt_ego_lcf_feat"} <= set(first):
                return "gpt_driver", {str(token): value for token, value in content.items()}
        raise DataError(
            f"{self.path}: no known layout; VAD and UniAD files hold {{'infos': [...]}}, GPT-Driver's and OpenDriveVLA's "
            "{token: {'gt_ego_fut_trajs': ...}}"
        )

    def __len__(self) -> int:
        return len(self._infos)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        return tuple(self._infos)

    def __getitem__(self, token: str) -> CachedSample:
        if token not in self._infos:
            raise DataError(f"{self.path}: no sample {token!r}; it holds {len(self)}")
        info = self._infos[token]
        try:
            future, valid = self._future(token, info)
            names = tuple(str(name) for name in info.get("gt_names", ()))
            features = info.get("gt_ego_lcf_feat")
            return CachedSample(
                token, np.where(valid[:, None], future, 0.0), valid, self._command(info, future, valid),
                None if features is None else np.asarray(features, np.float64).reshape(9), names, self._boxes(info),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(
                f"{self.path}: sample {token} is not as its layout ({self.layout}) says ({error!r})"
            ) from error

    def __iter__(self) -> Iterator[CachedSample]:
        return (self[token] for token in self.tokens)

    def _future(self, token: str, info: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        if self.layout == "uniad":
            poses = [_lidar_pose(one) for one in self._chain(token, FUTURE_STEPS, "next")]
            origin = inverse(_lidar_pose(info))
            future, valid = np.zeros((FUTURE_STEPS, 2)), np.arange(FUTURE_STEPS) < len(poses)
            for row, pose in enumerate(poses):
                future[row] = (origin @ pose)[:2, 3]
            return future, valid
        stored = np.asarray(info["gt_ego_fut_trajs"], np.float64).reshape(-1, 2)
        future = stored.cumsum(axis=0) if self.layout == "vad" else stored[-FUTURE_STEPS:]
        masks = info.get("gt_ego_fut_masks")
        valid = np.ones(FUTURE_STEPS, bool) if masks is None else np.asarray(masks).reshape(-1)[-FUTURE_STEPS:] > 0
        return future.reshape(FUTURE_STEPS, 2), valid

    def _command(self, info: Mapping[str, Any], future: np.ndarray, valid: np.ndarray) -> Command:
        if "gt_ego_fut_cmd" in info:
            maneuver = ORDER[int(np.asarray(info["gt_ego_fut_cmd"]).reshape(-1).argmax())]
        else:
            right_m = float(future[np.flatnonzero(valid)[-1], 0]) if valid.any() else 0.0
            maneuver = ORDER[0] if right_m >= TURN_M else ORDER[1] if right_m <= -TURN_M else ORDER[2]
        return Command(maneuver, CommandSource.FUTURE)

    def _boxes(self, info: Mapping[str, Any]) -> np.ndarray:
        boxes = (
            np.asarray(info["gt_boxes"], np.float64)
            .reshape(-1, np.asarray(info["gt_boxes"]).shape[-1] or 7)[:, :7]
            .copy()
        )
        if self._width_first:
            boxes[:, 3:5] = boxes[:, [4, 3]]
            boxes[:, 6] = -boxes[:, 6] - np.pi / 2
        boxes[:, 6] = wrap_angle(boxes[:, 6])
        return boxes

    @cached_property
    def _width_first(self) -> bool:
        """Whether boxes are (w, l, h): cars are longer than wide, so the file tells by itself."""
        sizes = [
            np.asarray(info["gt_boxes"]).reshape(-1, np.asarray(info["gt_boxes"]).shape[-1])[:, 3:5][
                np.array([str(name) in ("car", "vehicle.car") for name in info["gt_names"]], bool)
            ]
            for info in self._infos.values()
            if len(info["gt_names"])
        ]
        cars = np.concatenate(sizes) if sizes else np.zeros((0, 2))
        return bool((cars[:, 1] > cars[:, 0]).mean() > 0.5) if len(cars) else True

    def _chain(self, token: str, steps: int, direction: str) -> list[Mapping[str, Any]]:
        """Infos of the following (or earlier) keyframes, as far as the file has them."""
        found: list[Mapping[str, Any]] = []
        while len(found) < steps and (token := str(self._infos[token][direction])) in self._infos:
            found.append(self._infos[token])
        return found

    # -- samples -----------------------------------------------------------------------------------------------------

    def sample(self, token: str, with_images: bool = True) -> Sample:
        """Observation and Truth (agents at t = 0 only) in the ego frame; VAD and UniAD layouts.

        Ego status is that of `can_bus`, which the converters read from the message after the sample (a peek of 20 ms at most).
        """
        if self.layout == "gpt_driver":
            raise DataError(
                f"{self.path}: GPT-Driver's cache has no cameras; open the data set with NuScenesSource instead"
            )
        cached, info = self[token], self._infos[token]
        ego_from_lidar = _rigid(info, "lidar2ego")
        pictures, cameras = [], []
        for channel, name in CAMERAS.items():
            if channel in info["cams"]:
                record = info["cams"][channel]
                picture = read_image(self._image(channel, str(record["data_path"]))) if with_images else None
                cameras.append(_camera(name, record, ego_from_lidar, picture))
                pictures.append(picture)
        rig = CameraRig(tuple(cameras))
        width, height = rig.size_px
        images = np.stack(pictures) if with_images else np.zeros((len(rig), height, width, 3), np.uint8)  # type: ignore[arg-type]
        observation = Observation(
            key=token, images=images[None], image_times_s=np.zeros(1), rig=rig, ego=_can_status(info),
            history=self._history(token), command=cached.command, vehicle=ZOE,
        )  # fmt: skip
        return Sample(observation, self._truth(token, cached, ego_from_lidar))

    def _image(self, channel: str, data_path: str) -> Path:
        for path in (Path(data_path), self.root / data_path, self.root / "samples" / channel / Path(data_path).name):
            if path.exists():
                return path
        return self.root / "samples" / channel / Path(data_path).name  # reading it names the missing file

    def _history(self, token: str) -> Trajectory:
        unknown = unknown_history()
        poses, valid = unknown.poses.copy(), unknown.valid.copy()
        now = inverse(_rigid(self._infos[token], "ego2global"))
        for row, info in enumerate(self._chain(token, len(poses), "prev")):
            seen = now @ _rigid(info, "ego2global")
            poses[row], valid[row] = (seen[0, 3], seen[1, 3], np.arctan2(seen[1, 0], seen[0, 0])), True
        return Trajectory(poses, unknown.dt_s, valid)

    def _truth(self, token: str, cached: CachedSample, ego_from_lidar: np.ndarray) -> Truth:
        """Ego poses from the infos that follow; where the file ends before the scene, they are not known."""
        now = inverse(_rigid(self._infos[token], "ego2global"))
        poses, valid = np.zeros((FUTURE_STEPS, 3)), np.zeros(FUTURE_STEPS, bool)
        for row, info in enumerate(self._chain(token, FUTURE_STEPS, "next")):
            seen = now @ _rigid(info, "ego2global")
            poses[row], valid[row] = (seen[0, 3], seen[1, 3], np.arctan2(seen[1, 0], seen[0, 0])), True
        return Truth(
            Trajectory(poses, KEYFRAME_DT_S, valid), _agents(cached, ego_from_lidar), ZOE, tags={"layout": self.layout}
        )


def _agents(cached: CachedSample, ego_from_lidar: np.ndarray) -> Agents:
    known = np.array([_KINDS.get(name) is not None for name in cached.names], bool)
    kinds = [_KINDS[name] for name in cached.names if _KINDS.get(name) is not None]
    boxes = cached.boxes[known]
    centres = boxes[:, :3] @ ego_from_lidar[:3, :3].T + ego_from_lidar[:3, 3]
    turned = float(np.arctan2(ego_from_lidar[1, 0], ego_from_lidar[0, 0]))
    poses, valid = np.zeros((len(boxes), FUTURE_STEPS + 1, 3)), np.zeros((len(boxes), FUTURE_STEPS + 1), bool)
    poses[:, 0] = np.column_stack([centres[:, :2], np.asarray(wrap_angle(boxes[:, 6] + turned))])
    valid[:, 0] = True
    bottoms = np.zeros(valid.shape, np.float32)
    bottoms[:, 0] = centres[:, 2] - boxes[:, 5] / 2
    return Agents(
        ids=np.arange(len(boxes)), kinds=np.array([AgentKind(kind) for kind in kinds if kind is not None], np.uint8), sizes=boxes[:, 3:6],
        poses=poses, velocities=np.zeros((*valid.shape, 2), np.float32), valid=valid, bottom_z=bottoms,
    )  # fmt: skip


def _camera(name: str, record: Mapping[str, Any], ego_from_lidar: np.ndarray, picture: np.ndarray | None) -> Camera:
    """`sensor2lidar` joins the camera's time to the lidar's."""
    lidar_from_cam = np.eye(4)
    lidar_from_cam[:3, :3] = np.asarray(record["sensor2lidar_rotation"], np.float64)
    lidar_from_cam[:3, 3] = np.asarray(record["sensor2lidar_translation"], np.float64)
    intrinsics = np.asarray(record.get("cam_intrinsic", record.get("camera_intrinsics")), np.float64)
    height, width = picture.shape[:2] if picture is not None else (900, 1600)
    return Camera(name, intrinsics, ego_from_lidar @ lidar_from_cam, width_px=width, height_px=height)


def _can_status(info: Mapping[str, Any]) -> EgoStatus:
    can = np.asarray(info.get("can_bus", np.zeros(18)), np.float64)
    velocity, accel, rate = can[_CAN_VELOCITY], can[_CAN_ACCEL], can[_CAN_RATE]
    return EgoStatus((float(velocity[0]), float(velocity[1])), (float(accel[0]), float(accel[1])), float(rate[2]))


def _rigid(info: Mapping[str, Any], name: str) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotations(np.asarray(info[f"{name}_rotation"], np.float64)[None])[0]
    pose[:3, 3] = np.asarray(info[f"{name}_translation"], np.float64)
    return pose


def _lidar_pose(info: Mapping[str, Any]) -> np.ndarray:
    return _rigid(info, "ego2global") @ _rigid(info, "lidar2ego")
