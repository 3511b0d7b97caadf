"""NAVSIM's logs and synthetic scenes as frames: checked records of one moment each, 0.5 s apart. No image is opened.

A log (``navsim_logs/<split>/<log>.pkl``) is a list of dictionaries, a synthetic scene (``synthetic_scene_pickles/<token>.pkl``)
one dictionary. Both are pickles; they are opened without running anything of what they name (`restricted_pickle`). Synthetic
scenes hold objects of the official devkits for what happens after their last frame; those are read as plain records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from eyesup.data.recorded import planar, rigid
from eyesup.data.restricted_pickle import Inert, load_pickle
from eyesup.geometry.se2 import from_frame, rotate, to_frame, wrap_angle
from eyesup.types import Maneuver
from eyesup.types.errors import DataError

CAMERAS = ("CAM_F0", "CAM_L0", "CAM_L1", "CAM_L2", "CAM_R0", "CAM_R1", "CAM_R2", "CAM_B0")
COMMANDS = ("left", "forward", "right", "unknown")
# The front cameras by the names of the house's rigs.
FRONT3 = {"CAM_L0": "front_left", "CAM_F0": "front", "CAM_R0": "front_right"}
MANEUVERS = {
    "left": Maneuver.TURN_LEFT, "forward": Maneuver.KEEP_FORWARD, "right": Maneuver.TURN_RIGHT, "unknown": Maneuver.KEEP_FORWARD,
}  # fmt: skip
FRAME_US = 500_000
NAMES = ("vehicle", "pedestrian", "bicycle", "traffic_cone", "barrier", "czone_sign", "generic_object")
SYNTHETIC_TOKEN = 17  # characters; an original token has 16
# Synthetic scenes do not store where the lidar sits; cameras are placed relative to it.
NOMINAL_LIDAR_M = (1.5, 0.0, 1.8)
DEVKIT_MODULES = ("nuplan.", "navsim.")
_RED = 2  # nuPlan's TrafficLightStatusType


@dataclass(frozen=True)
class CameraRecord:
    """Where an image lies (below the sensor blobs) and how the camera looks; `ego_from_cam` is 4 x 4."""

    path: str
    intrinsics: Float64[np.ndarray, "3 3"]
    ego_from_cam: Float64[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Tracks:
    """Annotated objects of one moment, global frame.

    Attributes:
        tokens: Track tokens, stable over frames.
        names: Of `NAMES`.
        poses: (A, 3) box centres x, y [m], heading [rad].
        velocities: (A, 2) m/s.
        sizes: (A, 3) length, width, height [m].
        centre_z: (A,) height of the box's centre over the ego's origin [m].
    """

    tokens: tuple[str, ...]
    names: tuple[str, ...]
    poses: Float64[np.ndarray, "A 3"]
    velocities: Float64[np.ndarray, "A 2"]
    sizes: Float64[np.ndarray, "A 3"]
    centre_z: Float64[np.ndarray, "A"]


@dataclass(frozen=True)
class LogFrame:
    """One moment.

    Attributes:
        token: 16 hexadecimal characters, 17 in synthetic scenes.
        time_us: Unix time [microseconds].
        log, scene_token, location: Where it belongs; `location` names the map.
        route: Roadblock ids, may be empty.
        pose: (3,) rear axle x, y [m], heading [rad], global frame.
        velocity, acceleration: (2,) ego frame [m/s], [m/s^2].
        command: One of `COMMANDS`.
        lights: (lane connector id, is red).
        tracks: None where the file has no annotations (private test).
        cameras: By name; those without an image are left out.
        lidar_path: Below the sensor blobs, or None.
    """

    token: str
    time_us: int
    log: str
    scene_token: str
    location: str
    route: tuple[str, ...]
    pose: Float64[np.ndarray, "3"]
    velocity: Float64[np.ndarray, "2"]
    acceleration: Float64[np.ndarray, "2"]
    command: str
    lights: tuple[tuple[str, bool], ...]
    tracks: Tracks | None
    cameras: Mapping[str, CameraRecord]
    lidar_path: str | None


@dataclass(frozen=True)
class Later:
    """What happens 0.5 s, 1 s, ... after the last frame of a synthetic scene: objects and lights, no ego."""

    tracks: tuple[Tracks, ...] = ()
    lights: tuple[tuple[tuple[str, bool], ...], ...] = ()


@dataclass(frozen=True)
class SyntheticScene:
    """A scene that was rendered anew from another ego pose (navhard, second stage)."""

    token: str
    frames: tuple[LogFrame, ...]
    history: int
    original_token: str | None
    later: Later = field(default_factory=Later)


def read_log(path: str | Path) -> list[LogFrame]:
    """All frames of a log, in the order of the file.

    Raises:
        DataError: Unreadable or refused pickle, a missing key, a wrong shape, a value that is not finite; the message names
            file, frame and key.
    """
    path = Path(path)
    rows = load_pickle(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: no NAVSIM log (a list of dictionaries is expected, found {type(rows).__name__})")
    return [
        _checked(f"{path}: frame {i} ({row.get('token')})", lambda row=row: _log_frame(row))
        for i, row in enumerate(rows)
    ]


def read_synthetic(path: str | Path) -> SyntheticScene:
    """A synthetic scene; DataError as for `read_log`."""
    path = Path(path)
    stored = load_pickle(path, inert=DEVKIT_MODULES)
    return _checked(str(path), lambda: _synthetic(stored))


def _checked(what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except KeyError as error:
        raise DataError(f"{what}: key {error} is missing") from error
    except DataError as error:
        raise DataError(f"{what}: {error}") from error
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"{what}: not as NAVSIM writes it ({error})") from error


def _log_frame(row: Mapping[str, Any]) -> LogFrame:
    ego = rigid(numbers(row, "ego2global_rotation", (4,)).tolist(), _three(row, "ego2global_translation").tolist())
    state = numbers(row, "ego_dynamic_state", (4,))
    pose = planar(ego)
    lidar = np.eye(4)
    lidar[:3, 3] = NOMINAL_LIDAR_M
    if "lidar2ego_rotation" in row:
        mount = numbers(row, "lidar2ego_translation", (3,)).tolist()
        lidar = rigid(numbers(row, "lidar2ego_rotation", (4,)).tolist(), mount)
    return LogFrame(
        token=str(row["token"]), time_us=int(row["timestamp"]), log=str(row["log_name"]),
        scene_token=str(row["scene_token"]), location=str(row["map_location"]), route=_route(row), pose=pose,
        velocity=state[:2], acceleration=state[2:], command=command_of(row["driving_command"]), lights=_lights(row),
        tracks=_annotations(row["anns"], "gt_", pose) if row.get("anns") is not None else None,
        cameras=_cameras(row["cams"], lidar), lidar_path=None if row["lidar_path"] is None else str(row["lidar_path"]),
    )  # fmt: skip


def _synthetic(stored: Mapping[str, Any]) -> SyntheticScene:
    facts = stored["scene_metadata"]
    frames = tuple(_synthetic_frame(row, facts) for row in stored["frames"])
    history = int(facts["num_history_frames"])
    if not 1 <= history <= len(frames):
        raise DataError(f"{len(frames)} frames, {history} of history; needs at least the current one")
    original = facts.get("corresponding_original_initial_token")
    later = Later(
        tuple(_devkit_tracks(item) for item in stored.get("extended_detections_tracks") or ()),
        tuple(_devkit_lights(item) for item in stored.get("extended_traffic_light_data") or ()),
    )
    return SyntheticScene(str(facts["initial_token"]), frames, history, original and str(original), later)


def _synthetic_frame(row: Mapping[str, Any], facts: Mapping[str, Any]) -> LogFrame:
    status = row["ego_status"]
    if not status.get("in_global_frame", True):
        raise DataError(f"frame {row['token']}: ego_status is not in the global frame; the map cannot be found")
    pose = numbers(status, "ego_pose", (3,))
    lidar = np.eye(4)
    lidar[:3, 3] = NOMINAL_LIDAR_M
    return LogFrame(
        token=str(row["token"]), time_us=int(row["timestamp"]), log=str(facts["log_name"]),
        scene_token=str(facts["scene_token"]), location=str(facts["map_name"]), route=_route(row), pose=pose,
        velocity=numbers(status, "ego_velocity", (2,)), acceleration=numbers(status, "ego_acceleration", (2,)),
        command=command_of(status["driving_command"]), lights=_lights(row),
        tracks=_annotations(row["annotations"], "", pose) if row.get("annotations") is not None else None,
        cameras=_cameras(row["camera_dict"], lidar), lidar_path=row["lidar_path"] and str(row["lidar_path"]),
    )  # fmt: skip


def _route(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(token) for token in row["roadblock_ids"])


def _lights(row: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    return tuple((str(connector), bool(red)) for connector, red in row["traffic_lights"])


def command_of(one_hot: Any) -> str:
    """One of `COMMANDS`; DataError where it is no one-hot."""
    values = np.asarray(one_hot).ravel()
    if len(values) != len(COMMANDS) or values.sum() != 1 or not np.isin(values, (0, 1)).all():
        raise DataError(f"driving_command {values.tolist()} is no one-hot of {', '.join(COMMANDS)}")
    return COMMANDS[int(values.argmax())]


def _annotations(table: Mapping[str, Any], prefix: str, ego: np.ndarray) -> Tracks:
    names = tuple(str(name) for name in table[f"{prefix}names"])
    count = len(names)
    boxes = numbers(table, f"{prefix}boxes", (count, 7))
    velocities = numbers(table, f"{prefix}velocity_3d", (count, 3))
    tokens = tuple(str(token) for token in table["track_tokens"])
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise DataError(f"annotation of class {unknown[0]!r}; known: {', '.join(NAMES)}")
    if len(tokens) != count or len(set(tokens)) != count:
        raise DataError(f"{len(tokens)} track tokens ({len(set(tokens))} different) for {count} boxes")
    if count and boxes[:, 3:6].min() <= 0:
        raise DataError(f"{prefix}boxes: smallest size {boxes[:, 3:6].min():g} m must be positive")
    # Seen from above: roll and pitch of the ego are left out, as in the original.
    poses = from_frame(boxes[:, [0, 1, 6]], ego) if count else np.zeros((0, 3))
    moving = np.asarray(rotate(velocities[:, :2], ego[2])).reshape(-1, 2)
    return Tracks(tokens, names, poses, moving, boxes[:, 3:6], boxes[:, 2])


def _cameras(table: Mapping[str, Any], ego_from_lidar: np.ndarray) -> dict[str, CameraRecord]:
    cameras = {}
    for name, row in table.items():
        if not row or not row.get("data_path"):
            continue  # a camera that was not kept
        pose = np.eye(4)
        pose[:3, :3] = numbers(row, "sensor2lidar_rotation", (3, 3))
        pose[:3, 3] = numbers(row, "sensor2lidar_translation", (3,))
        intrinsics = numbers(row, "cam_intrinsic", (3, 3))
        cameras[str(name).upper()] = CameraRecord(str(row["data_path"]), intrinsics, ego_from_lidar @ pose)
    return cameras


def _devkit_tracks(item: Any) -> Tracks:
    """nuPlan's DetectionsTracks as read by the restricted unpickler."""
    objects = _part(_part(item, "tracked_objects"), "tracked_objects")
    rows = [_devkit_object(one) for one in objects]
    column = [np.array([row[i] for row in rows], dtype=np.float64) for i in (2, 3, 4)]
    return Tracks(
        tuple(row[0] for row in rows), tuple(row[1] for row in rows), column[0].reshape(-1, 3), column[1].reshape(-1, 2),
        column[2].reshape(-1, 3), column[2].reshape(-1, 3)[:, 2] / 2,
    )  # fmt: skip


def _devkit_object(one: Any) -> tuple[str, str, list[float], list[float], list[float]]:
    box = _part(one, "box")
    center = _part(box, "center")
    kind = _part(one, "tracked_object_type")
    name = _TYPES[int(kind.arguments[0] if isinstance(kind, Inert) else kind)]
    token = str(_part(_part(one, "metadata"), "track_token"))
    pose = [float(_part(center, axis)) for axis in ("x", "y", "heading")]
    size = [float(_part(box, side)) for side in ("length", "width", "height")]
    velocity = _find(one, "velocity")
    moving = [0.0, 0.0] if velocity is None else [float(_part(velocity, axis)) for axis in ("x", "y")]
    return token, name, pose, moving, size


# Constructors of the devkit's classes, for those that are stored as a call.
_ARGUMENTS = {
    "DetectionsTracks": ("tracked_objects",), "TrackedObjects": ("tracked_objects",), "StateSE2": ("x", "y", "heading"),
    "StateVector2D": ("x", "y"), "OrientedBox": ("center", "length", "width", "height"),
    "TrafficLightStatuses": ("traffic_lights",), "TrafficLightStatusData": ("status", "lane_connector_id", "timestamp"),
    "SceneObjectMetadata": ("timestamp_us", "token", "track_id", "track_token", "category_name"),
}  # fmt: skip
# nuPlan's TrackedObjectType, by value.
_TYPES = {
    0: "vehicle", 1: "pedestrian", 2: "bicycle", 3: "traffic_cone", 4: "barrier", 5: "czone_sign", 6: "generic_object",
}  # fmt: skip


def _devkit_lights(item: Any) -> tuple[tuple[str, bool], ...]:
    """nuPlan's TrafficLightStatuses as read by the restricted unpickler."""
    found = []
    for light in _part(item, "traffic_lights"):
        status = _part(light, "status")
        value = int(status.arguments[0] if isinstance(status, Inert) else status)
        found.append((str(_part(light, "lane_connector_id")), value == _RED))
    return tuple(found)


def _part(record: Any, *names: str) -> Any:
    found = _find(record, *names)
    if found is None:
        raise DataError(f"{getattr(record, 'name', type(record).__name__)} without {names[0]!r}")
    return found


def _find(record: Any, *names: str) -> Any:
    """A field of a record, with or without the underscore of a private attribute, or the constructor argument of that name."""
    fields = record
    if isinstance(record, Inert):
        titles = _ARGUMENTS.get(record.name.rsplit(".", 1)[-1], ())
        fields = {**dict(zip(titles, record.arguments)), **record.fields}
    for name in names:
        for spelled in (name, f"_{name}"):
            if isinstance(fields, Mapping) and spelled in fields:
                return fields[spelled]
    return None


def numbers(row: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    """A key as finite float64 of a shape; DataError tells what it is instead."""
    array = np.asarray(row[key], dtype=np.float64)
    if array.size == 0 and 0 in shape:
        array = array.reshape(shape)
    if array.shape != shape:
        raise DataError(f"{key} has shape {array.shape}, expected ({', '.join(map(str, shape))})")
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(f"{key} holds {array[where]} at {where}; every value must be finite")
    return array


def _three(row: Mapping[str, Any], key: str) -> np.ndarray:
    """A translation; its third number may be missing."""
    values = np.asarray(row[key], dtype=np.float64).ravel()
    return numbers({key: np.append(values, 0.0)[:3] if len(values) == 2 else values}, key, (3,))


def ego_yaw_rate(before: LogFrame, now: LogFrame) -> float:
    """Turn between two frames [rad/s]; the format has none of its own."""
    elapsed_s = (now.time_us - before.time_us) * 1e-6
    return float(wrap_angle(now.pose[2] - before.pose[2])) / elapsed_s if elapsed_s > 0 else 0.0


def poses_seen_from(frames: Sequence[LogFrame], now: LogFrame) -> Float64[np.ndarray, "T 3"]:
    """Rear-axle poses of frames in the ego frame of another."""
    return to_frame(np.array([frame.pose for frame in frames]).reshape(-1, 3), now.pose)
