"""A data set and plans as the flat cases that the open-loop protocols score: everything in the lidar frame at t = 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from eyesup.data.nuscenes.dataset import FUTURE_STEPS, NuScenes, inverse
from eyesup.data.nuscenes.definitions import lidar_future, usable
from eyesup.data.nuscenes.schema import CATEGORIES
from eyesup.geometry.se2 import wrap_angle
from eyesup.scoring.openloop.cases import Case, Cases, gathered
from eyesup.scoring.openloop.protocol import CATEGORIES as DETECTION_CLASSES
from eyesup.types import Trajectory
from eyesup.types.errors import DataError

STEADY_M = 0.1  # a shorter step has no direction; the heading before it holds


def cases_of(
    dataset: NuScenes,
    plans: Mapping[str, Float64[np.ndarray, "6 2"]],
    keyframes: Sequence[int],
    min_points: int = 0,
) -> Cases:
    """One case per keyframe.

    Args:
        dataset: Open.
        plans: Token -> six positions of the lidar, its frame at t = 0.
        keyframes: Which, all with a plan.
        min_points: Leave out agents with fewer lidar points at t = 0 (VAD's ground truth: 1). Agents first annotated later have none.
    """
    complete = usable(dataset, "vad")
    cases = []
    for keyframe in map(int, keyframes):
        driven, known = lidar_future(dataset, keyframe)
        classes, sizes, poses, annotated = agents_in_lidar_frame(dataset, keyframe, min_points)
        cases.append(
            Case(
                id=dataset.tokens[keyframe], plan=plans[dataset.tokens[keyframe]], driven=np.where(known[:, None], driven, 0.0),
                known=int(known.sum()), complete=bool(complete[keyframe]), heading=_headings(dataset, keyframe), categories=classes,
                sizes=sizes, poses=poses, annotated=annotated, drivable=None,
            )
        )  # fmt: skip
    return gathered(cases)


def agents_in_lidar_frame(
    dataset: NuScenes, keyframe: int, min_points: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Class (A,), length and width (A, 2), centre and yaw from +x (A, 7, 3), annotated (A, 7) at 0 ... 3 s."""
    rows, inside = dataset.window(keyframe, 0, FUTURE_STEPS)
    frame = inverse(dataset.ego_poses[keyframe] @ dataset.ego_from_lidar[keyframe])
    found: dict[int, tuple[int, np.ndarray, np.ndarray, np.ndarray]] = {}
    for step, row in enumerate(rows[inside].tolist()):
        boxes = dataset.boxes(row)
        centres = boxes.centres @ frame[:3, :3].T + frame[:3, 3]
        ahead = (frame[:3, :3] @ boxes.rotations)[:, :2, 0]
        yaws = np.arctan2(ahead[:, 1], ahead[:, 0])
        for i, instance in enumerate(boxes.instances.tolist()):
            name = CATEGORIES[boxes.categories[i]][0]
            if not name:
                continue
            if instance not in found:
                if min_points and (step > 0 or boxes.lidar_points[i] < min_points):
                    continue
                label = DETECTION_CLASSES.index(name)
                found[instance] = (
                    label,
                    boxes.sizes[i, :2],
                    np.zeros((FUTURE_STEPS + 1, 3)),
                    np.zeros(FUTURE_STEPS + 1, bool),
                )
            _, _, poses, annotated = found[instance]
            poses[step], annotated[step] = (*centres[i, :2], yaws[i]), True
    agents = list(found.values())
    return (
        np.array([label for label, *_ in agents], np.int64),
        np.array([size for _, size, *_ in agents]).reshape(-1, 2),
        np.array([poses for *_, poses, _ in agents]).reshape(-1, FUTURE_STEPS + 1, 3),
        np.array([annotated for *_, annotated in agents], bool).reshape(-1, FUTURE_STEPS + 1),
    )


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
