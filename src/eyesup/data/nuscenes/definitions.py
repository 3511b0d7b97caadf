"""Which keyframes a published protocol takes, what its command is, and its ego features: as published and as they should be.

Everything published is written in the lidar frame at t = 0 (x right, y forward, origin at LIDAR_TOP) and says so in its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64

from eyesup.data.nuscenes.dataset import FUTURE_STEPS, NuScenes, inverse
from eyesup.data.nuscenes.schema import KEYFRAME_DT_S
from eyesup.geometry.polyline import Polyline
from eyesup.geometry.se2 import wrap_angle
from eyesup.types import ZOE, Command, CommandSource, Maneuver
from eyesup.types.errors import DataError

Definition = Literal["uniad", "vad", "stp3"]
CommandRule = Literal["uniad", "vad", "route", "forward"]
TURN_M = 2.0  # lateral end point at 3 s from which a path is a turn: UniAD, VAD, ST-P3; inclusive
ROUTE_AHEAD_M, ROUTE_TURN_RAD = 30.0, np.radians(20.0)  # ours: the route bends by that much over the next 30 m
ROUTE_REACH_M = 10.0  # a route farther away is not the one being followed


def usable(dataset: NuScenes, definition: Definition) -> Bool[np.ndarray, "S"]:
    """Keyframes that count. Of the 6,019 of val: ``uniad`` all, ``vad`` 5,119, ``stp3`` 4,819.

    * ``uniad``: every keyframe; steps after the scene's end are masked (and yet divide the sum: the protocol's deflation).
    * ``vad``: six further keyframes in the scene (`fut_valid_flag`).
    * ``stp3``: those, and two keyframes before.
    """
    if definition not in get_args(Definition):
        raise DataError(f"nuScenes: unknown sample definition {definition!r}; choose one of {get_args(Definition)}")
    if definition == "uniad":
        return np.ones(len(dataset), bool)
    whole = dataset.after >= FUTURE_STEPS
    return whole if definition == "vad" else whole & (dataset.before >= 2)


def lidar_future(dataset: NuScenes, keyframe: int) -> tuple[Float64[np.ndarray, "6 2"], Bool[np.ndarray, "6"]]:
    """Positions of the **lidar** over 3 s in its own frame at t = 0, and which of them the scene has.

    Beyond the scene's end the last pose is repeated (VAD's padding; UniAD puts zeros there and masks them).
    """
    return lidar_path(dataset, keyframe, 1, FUTURE_STEPS)


def lidar_path(
    dataset: NuScenes, keyframe: int, first: int, last: int
) -> tuple[Float64[np.ndarray, "T 2"], Bool[np.ndarray, "T"]]:
    """As `lidar_future` for any window of keyframes; beyond either end of the scene the pose there is repeated."""
    rows, inside = dataset.window(keyframe, first, last)
    origin = dataset.ego_poses[keyframe] @ dataset.ego_from_lidar[keyframe]
    poses = dataset.ego_poses[rows] @ dataset.ego_from_lidar[rows]
    return (inverse(origin) @ poses)[:, :2, 3], inside


def command(dataset: NuScenes, keyframe: int, rule: CommandRule = "uniad") -> Command:
    """What the vehicle was told.

    * ``uniad``, ``vad``: read off the driven future: the last valid (VAD: last, padded) point 2 m or more to one side. They
      agree everywhere; the command carries `CommandSource.FUTURE`, so that every record made with it is privileged.
    * ``route``: from the navigation route of the CAN bus expansion, where the scene has one near; else forward. Not privileged.
    * ``forward``: always forward. Not privileged.
    """
    if rule not in get_args(CommandRule):
        raise DataError(f"nuScenes: unknown command rule {rule!r}; choose one of {get_args(CommandRule)}")
    if rule == "forward":
        return Command(Maneuver.KEEP_FORWARD)
    if rule == "route":
        return Command(_route_maneuver(dataset, keyframe))
    right_m = float(lidar_future(dataset, keyframe)[0][-1, 0])
    maneuver = (
        Maneuver.TURN_RIGHT
        if right_m >= TURN_M
        else Maneuver.TURN_LEFT
        if right_m <= -TURN_M
        else Maneuver.KEEP_FORWARD
    )
    return Command(maneuver, CommandSource.FUTURE)


def _route_maneuver(dataset: NuScenes, keyframe: int) -> Maneuver:
    points = dataset.can_bus.route(dataset.scene_names[dataset.scene_of[keyframe]])
    points = points[np.append(True, np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-3)] if len(points) else points
    if len(points) < 2:
        return Maneuver.KEEP_FORWARD
    line, ego = Polyline(points), dataset.ego_poses[keyframe, :2, 3]
    start, beside = (float(np.ravel(value)[0]) for value in line.project(ego[None]))
    if abs(beside) > ROUTE_REACH_M:
        return Maneuver.KEEP_FORWARD
    here, ahead = line.at(np.array([start, min(start + ROUTE_AHEAD_M, line.length)]))
    turned = float(wrap_angle(ahead[2] - here[2]))
    if abs(turned) < ROUTE_TURN_RAD:
        return Maneuver.KEEP_FORWARD
    return Maneuver.TURN_LEFT if turned > 0 else Maneuver.TURN_RIGHT


@dataclass(frozen=True)
class EgoFeatureBugs:
    """What VAD's converter, and every cache made from it, gets wrong in `gt_ego_lcf_feat`. True: as published.

    Attributes:
        quaternion_order: (w, x, y, z) goes to a function that takes (x, y, z, w): the "yaw" is about 0 always, so that the
            velocity is (0, speed) and the "yaw rate" a rate of tilt.
        next_as_past: At the first keyframe of a scene speed and yaw rate come from the step after it.
        next_message: Acceleration is read from the CAN message after the sample instead of the last one before it.
        ego_acceleration: Acceleration is left in the ego frame (x forward) amid features of the lidar frame (x right).
        leaking_speed: Without CAN messages the speed is the norm of the last past plus the first *future* displacement.
        nearest_message: Speed and steering are those of the message nearest in time, before or after.
    """

    quaternion_order: bool = True
    next_as_past: bool = True
    next_message: bool = True
    ego_acceleration: bool = True
    leaking_speed: bool = True
    nearest_message: bool = True


PUBLISHED = EgoFeatureBugs()
CORRECTED = EgoFeatureBugs(False, False, False, False, False, False)
EGO_FEATURES = ("vx", "vy", "ax", "ay", "yaw_rate", "length", "width", "speed", "curvature")


def ego_features(dataset: NuScenes, keyframe: int, bugs: EgoFeatureBugs = CORRECTED) -> Float64[np.ndarray, "9"]:
    """`gt_ego_lcf_feat`, lidar frame at t = 0: vx, vy [m/s], ax, ay [m/s2], yaw rate [rad/s], length, width [m], speed, curvature.

    The last two are CAN's longitudinal speed and 2 x steering / wheel base (its sign flipped in Singapore), as in VAD.
    With `CORRECTED` nothing later than t = 0 is read: what has no past is 0.
    """
    scene = dataset.scene_names[dataset.scene_of[keyframe]]
    yaw_rate, speed, (vx, vy) = _motion(dataset, keyframe, bugs)
    ax, ay = _acceleration(dataset, scene, keyframe, bugs)
    if not bugs.ego_acceleration:
        ax, ay = -ay, ax
    v0, curvature = _speed_and_curvature(dataset, scene, keyframe, speed, bugs)
    return np.array([vx, vy, ax, ay, yaw_rate, ZOE.length_m, ZOE.width_m, v0, curvature])


def _motion(dataset: NuScenes, keyframe: int, bugs: EgoFeatureBugs) -> tuple[float, float, tuple[float, float]]:
    """Yaw rate, speed and velocity from the keyframe before."""
    if dataset.before[keyframe] > 0:
        earlier, later = keyframe - 1, keyframe
    elif bugs.next_as_past and dataset.after[keyframe] > 0:
        earlier, later = keyframe, keyframe + 1
    else:
        return 0.0, 0.0, (0.0, 0.0)
    poses = dataset.ego_poses[[earlier, later]]
    moved = (poses[1, :2, 3] - poses[0, :2, 3]) / KEYFRAME_DT_S
    speed = float(np.linalg.norm(moved))
    if bugs.quaternion_order:
        yaws = np.array([_misread_yaw(dataset, row) for row in (earlier, later)])
        now = yaws[1] if later == keyframe else yaws[0]
        direction = now + np.pi / 2
        rate = float(yaws[1] - yaws[0]) / KEYFRAME_DT_S
        return rate, speed, (speed * float(np.cos(direction)), speed * float(np.sin(direction)))
    headings = np.arctan2(poses[:, 1, 0], poses[:, 0, 0])
    rate = float(wrap_angle(headings[1] - headings[0])) / KEYFRAME_DT_S
    lidar = (dataset.ego_poses[keyframe] @ dataset.ego_from_lidar[keyframe])[:3, :3]
    right, forward, _ = lidar.T @ np.array([moved[0], moved[1], 0.0])
    return rate, speed, (float(right), float(forward))


def _misread_yaw(dataset: NuScenes, keyframe: int) -> float:
    """Yaw of a quaternion whose (w, x, y, z) is taken for (x, y, z, w)."""
    row = dataset.tables["sample_data"].links("ego_pose_token")[dataset._lidar_rows[keyframe]]
    x, y, z, w = dataset.tables["ego_pose"].vectors("rotation", 4)[row]
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (z * z + y * y)))


def _acceleration(dataset: NuScenes, scene: str, keyframe: int, bugs: EgoFeatureBugs) -> tuple[float, float]:
    """CAN acceleration, ego frame; zeros without CAN messages."""
    rows, time = dataset.can_bus.messages(scene, "pose"), int(dataset.times_us[keyframe])
    if not rows:
        return 0.0, 0.0
    place = int(np.searchsorted(dataset.can_bus.times_us(scene, "pose"), time, side="right"))
    chosen = min(place, len(rows) - 1) if bugs.next_message else place - 1
    return (float(rows[chosen]["accel"][0]), float(rows[chosen]["accel"][1])) if chosen >= 0 else (0.0, 0.0)


def _speed_and_curvature(
    dataset: NuScenes, scene: str, keyframe: int, speed: float, bugs: EgoFeatureBugs
) -> tuple[float, float]:
    poses, wheel = (_message(dataset, scene, name, keyframe, bugs) for name in ("pose", "steeranglefeedback"))
    if poses is None or wheel is None:
        return (_leaked_speed(dataset, keyframe) if bugs.leaking_speed else speed), 0.0
    sign = -1.0 if dataset.locations[dataset.scene_of[keyframe]].startswith("singapore") else 1.0
    return float(poses["vel"][0]), 2.0 * sign * float(wheel["value"]) / ZOE.wheel_base_m


def _message(dataset: NuScenes, scene: str, name: str, keyframe: int, bugs: EgoFeatureBugs) -> dict | None:
    time, times = int(dataset.times_us[keyframe]), dataset.can_bus.times_us(scene, name)
    if not len(times):
        return None
    if bugs.nearest_message:
        return dataset.can_bus.messages(scene, name)[int(np.abs(times - time).argmin())]
    return dataset.can_bus.last(scene, name, time)


def _leaked_speed(dataset: NuScenes, keyframe: int) -> float:
    """Norm of the last past plus the first future displacement [m per step], as VAD has it without CAN messages."""
    past = lidar_offsets_past(dataset, keyframe)[-1]
    future = lidar_future(dataset, keyframe)[0][0]
    return float(np.hypot(*(past + future)))


def lidar_offsets_past(dataset: NuScenes, keyframe: int, steps: int = 2) -> Float64[np.ndarray, "steps 2"]:
    """Displacements of the lidar over the last steps, its frame at t = 0, oldest first.

    Before the scene's begin the first displacement is repeated: VAD's padding, which at the first keyframe is the future's.
    """
    path, inside = lidar_path(dataset, keyframe, -steps, 1)
    offsets = np.diff(path, axis=0)  # the last is the step after t = 0
    for row in range(steps - 1, -1, -1):
        if not inside[row]:
            offsets[row] = offsets[row + 1]
    return offsets[:steps]


def ego_frame_future(dataset: NuScenes, keyframe: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(steps, 3) x, y, heading of the rear axle in the ego frame at t = 0, and which of them the scene has."""
    return _ego_window(dataset, keyframe, 1, steps)


def ego_frame_history(dataset: NuScenes, keyframe: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The same for the past, newest first."""
    poses, inside = _ego_window(dataset, keyframe, -steps, -1)
    return poses[::-1].copy(), inside[::-1].copy()


def _ego_window(dataset: NuScenes, keyframe: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    rows, inside = dataset.window(keyframe, first, last)
    seen = inverse(dataset.ego_poses[keyframe]) @ dataset.ego_poses[rows]
    poses = np.column_stack([seen[:, :2, 3], np.arctan2(seen[:, 1, 0], seen[:, 0, 0])])
    return np.where(inside[:, None], poses, 0.0), inside
