"""A data set and plans as the flat cases that the open-loop protocols score: everything in the lidar frame at t = 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eyesup.data.nuscenes.areas import road_around
from eyesup.data.nuscenes.dataset import FUTURE_STEPS, NuScenes, inverse
from eyesup.data.nuscenes.definitions import lidar_future, usable
from eyesup.data.nuscenes.schema import CATEGORIES
from eyesup.geometry.se2 import wrap_angle
from eyesup.scoring.openloop.cases import Case, Cases, gathered
from eyesup.scoring.openloop.protocol import CATEGORIES as DETECTION_CLASSES
from eyesup.types import Trajectory
from eyesup.types.errors import DataError

_LABELS = {name: DETECTION_CLASSES.index(label) if label else -1 for name, (label, _) in CATEGORIES.items()}
STEADY_M = 0.1  # a shorter step has no direction; the heading before it holds


@dataclass(frozen=True)
class Agents:
    """Who is annotated at 0 ... 3 s around a keyframe, in the lidar frame at t = 0 (x right, y forward), in order of appearance.

    Attributes:
        labels: (A,) index into the detection classes.
        sizes: (A, 2) length, width [m].
        poses: (A, 7, 3) centre and yaw from +x; zeros where not annotated.
        annotated: (A, 7).
        points_now: (A,) lidar points at t = 0; none for agents first annotated later.
    """

    labels: Int64[np.ndarray, "A"]
    sizes: Float64[np.ndarray, "A 2"]
    poses: Float64[np.ndarray, "A 7 3"]
    annotated: Bool[np.ndarray, "A 7"]
    points_now: Int64[np.ndarray, "A"]


def cases_of(
    dataset: NuScenes,
    plans: Mapping[str, Float64[np.ndarray, "6 2"]],
    keyframes: Sequence[int],
    with_road: bool = False,
) -> tuple[Cases, Int64[np.ndarray, "M"]]:
    """One case per keyframe, with every annotated agent; and the lidar points of each agent at t = 0.

    Args:
        dataset: Open.
        plans: Token -> six positions of the lidar, its frame at t = 0.
        keyframes: Which, all with a plan.
        with_road: Also the drivable area and the kerbs around each keyframe; DataError without the map expansion.
    """
    complete = usable(dataset, "vad")
    cases, points = [], [np.zeros(0, np.int64)]
    for keyframe in map(int, keyframes):
        driven, known = lidar_future(dataset, keyframe)
        drivable, kerbs = road_around(dataset, keyframe) if with_road else (None, None)
        agents = agents_in_lidar_frame(dataset, keyframe)
        points.append(agents.points_now)
        cases.append(
            Case(
                id=dataset.tokens[keyframe], plan=plans[dataset.tokens[keyframe]], driven=np.where(known[:, None], driven, 0.0),
                known=int(known.sum()), complete=bool(complete[keyframe]), heading=_headings(dataset, keyframe),
                categories=agents.labels, sizes=agents.sizes, poses=agents.poses, annotated=agents.annotated, drivable=drivable,
                kerbs=kerbs,
            )
        )  # fmt: skip
    return gathered(cases), np.concatenate(points)


def agents_in_lidar_frame(dataset: NuScenes, keyframe: int) -> Agents:
    """The agents of the ten detection classes in the frames from a keyframe on."""
    rows, inside = dataset.window(keyframe, 0, FUTURE_STEPS)
    by_step = [dataset.annotation_rows(row) for row in rows[inside].tolist()]
    boxes = dataset.boxes_at(np.concatenate(by_step))
    steps = np.repeat(np.arange(len(by_step)), [len(part) for part in by_step])
    labels = np.array([_LABELS[name] for name in boxes.categories], np.int64)
    frame = inverse(dataset.ego_poses[keyframe] @ dataset.ego_from_lidar[keyframe])
    centres = boxes.centres @ frame[:3, :3].T + frame[:3, 3]
    ahead = boxes.rotations[:, :, 0] @ frame[:3, :3].T
    known = np.flatnonzero(labels >= 0)
    _, first, place = np.unique(boxes.instances[known], return_index=True, return_inverse=True)
    order = np.argsort(first)
    agent, count = np.argsort(order)[place], len(order)  # agents are numbered as they appear
    poses, annotated = np.zeros((count, FUTURE_STEPS + 1, 3)), np.zeros((count, FUTURE_STEPS + 1), bool)
    poses[agent, steps[known], :2] = centres[known, :2]
    poses[agent, steps[known], 2] = np.arctan2(ahead[known, 1], ahead[known, 0])
    annotated[agent, steps[known]] = True
    begin = known[first[order]]
    points = np.where(steps[begin] == 0, boxes.lidar_points[begin], 0)
    return Agents(labels[begin], boxes.sizes[begin, :2], poses, annotated, points)


def _headings(dataset: NuScenes, keyframe: int) -> Float64[np.ndarray, "6"]:
    rows, _ = dataset.window(keyframe, 0, FUTURE_STEPS)
    matrices = dataset.ego_poses[rows]
    headings = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    return np.asarray(wrap_angle(headings[1:] - headings[0]))


def lidar_from_ego(dataset: NuScenes, keyframe: int, poses: Float64[np.ndarray, "T 3"]) -> Float64[np.ndarray, "T 2"]:
    """Where the lidar goes when the rear axle follows `poses` (x forward, y left, heading; ego frame at t = 0)."""
    mounting = dataset.ego_from_lidar[keyframe]
    cos, sin = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    x, y, _ = mounting[:3, 3]
    ego = np.column_stack(
        [poses[:, 0] + cos * x - sin * y, poses[:, 1] + sin * x + cos * y, np.full(len(poses), mounting[2, 3])]
    )
    return ((ego - mounting[:3, 3]) @ mounting[:3, :3])[:, :2]


def lidar_plan(dataset: NuScenes, keyframe: int, plan: Trajectory) -> Float64[np.ndarray, "6 2"]:
    """A Trajectory (ego frame) as the protocols want it; DataError where it holds no 3 s."""
    chosen = plan.resampled(0.5, FUTURE_STEPS)
    if not chosen.valid.all():
        raise DataError(f"plan for {dataset.tokens[keyframe]}: {int((~chosen.valid).sum())} of 6 poses are not valid")
    return lidar_from_ego(dataset, keyframe, chosen.poses)


def with_headings(xy: Float64[np.ndarray, "T 2"]) -> Float64[np.ndarray, "T 3"]:
    """Positions with the direction of each step, or of the step before where it is short; they start at (0, 0) straight ahead."""
    steps = np.diff(xy, axis=0, prepend=np.zeros((1, 2)))
    heading, headings = 0.0, []
    for dx, dy in steps.tolist():
        heading = float(np.arctan2(dy, dx)) if np.hypot(dx, dy) >= STEADY_M else heading
        headings.append(heading)
    return np.column_stack([xy, headings])
