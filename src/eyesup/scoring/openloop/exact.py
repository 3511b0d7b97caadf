"""Open-loop planning metrics, protocol ``eyesup-openloop-v1``.

A plan is compared with what was driven, at six waypoints: t = 0.5, 1.0, ..., 3.0 s. Everything is in the ego frame at
t = 0 and refers to the rear axle. Denser plans and truths are picked at these times; nothing is interpolated.

**L2** [m], distance d(t) in x and y:

* ``l2_at_{1,2,3}s``: d at 1, 2, 3 s ("at t", UniAD);
* ``l2_cumulative_{1,2,3}s``: mean of d over the waypoints up to 1, 2, 3 s ("average over average", ST-P3 and VAD);
* ``l2_at_avg``, ``l2_cumulative_avg``: mean of the three. The two families differ by almost a factor of two: never
  put them in one column.
* ``ade_3s``: mean of d over the six waypoints (equal to ``l2_cumulative_3s``; kept under its usual name).

**Collision** [%], exact oriented rectangles (no grid), touching counts:

* the ego's rectangle has the plan's own heading and sits `rear_axle_to_center_m` ahead of the planned rear axle;
* it is tested against every agent annotated at the same time, at the six waypoint times only;
* ``collision_{1,2,3}s`` is 100 if any waypoint up to 1, 2, 3 s collides, else 0; ``collision_avg`` is the mean of the three;
* agents that overlap the ego at t = 0 are left out of the sample: no plan could avoid them;
* samples in which the *driven* path collides are kept, unlike in UniAD, VAD and ST-P3, which drop those steps;
  ``collision_truth_*`` is the same test on the driven path, so its level can be read beside the plan's.

**Missing truth** is never counted: a waypoint without a valid truth makes every score that needs it invalid for that
sample (UniAD counts it as a zero error). Print `Score.n` beside the mean; horizons may have different n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import Agents, DataError, Prediction, Score, Trajectory, Truth, VehicleGeometry

PROTOCOL = "eyesup-openloop-v1"
WAYPOINT_DT_S = 0.5
WAYPOINTS = 6
HORIZONS_S = (1, 2, 3)
_ROWS_UP_TO = {seconds: round(seconds / WAYPOINT_DT_S) for seconds in HORIZONS_S}


def evaluate(predictions: Sequence[Prediction], truths: Sequence[Truth]) -> list[Score]:
    """All scores of the protocol."""
    return l2(predictions, truths) + collision(predictions, truths)


def l2(predictions: Sequence[Prediction], truths: Sequence[Truth]) -> list[Score]:
    """Distances to the driven path; see the module's text for names and definitions.

    Args:
        predictions: One plan per sample, 3 s at a step that divides 0.5 s.
        truths: What was driven, in the same order.

    Raises:
        DataError: Lengths differ, or a plan is too short, has invalid rows or a step that does not divide 0.5 s.
    """
    plans, driven, valid = _waypoints(predictions, truths)
    distance = np.where(valid, np.linalg.norm(plans[..., :2] - driven[..., :2], axis=-1), 0.0)
    at = {s: (distance[:, rows - 1], valid[:, rows - 1]) for s, rows in _ROWS_UP_TO.items()}
    up_to = {s: (distance[:, :rows].mean(axis=1), np.all(valid[:, :rows], axis=1)) for s, rows in _ROWS_UP_TO.items()}
    ade = Score("ade_3s", PROTOCOL, "m", *up_to[HORIZONS_S[-1]])
    return [*_family("l2_at", "m", at), *_family("l2_cumulative", "m", up_to), ade]


def collision(predictions: Sequence[Prediction], truths: Sequence[Truth]) -> list[Score]:
    """Share of plans that hit something, and the same for the driven path; see the module's text.

    Args, Raises: as `l2`.
    """
    plans, driven, valid = _waypoints(predictions, truths)
    known = {s: np.all(valid[:, :rows], axis=1) for s, rows in _ROWS_UP_TO.items()}
    scores = []
    for name, poses in (("collision", plans), ("collision_truth", driven)):
        hits = np.array([_hits(path, truth) for path, truth in zip(poses, truths)], dtype=bool).reshape(valid.shape)
        rates = {s: (100.0 * (hits & valid)[:, :rows].any(axis=1), known[s]) for s, rows in _ROWS_UP_TO.items()}
        scores += _family(name, "%", rates)
    return scores


def _family(name: str, unit: str, columns: dict[int, tuple[np.ndarray, np.ndarray]]) -> list[Score]:
    """One score per horizon, and their mean where all are valid."""
    scores = [Score(f"{name}_{s}s", PROTOCOL, unit, values, valid) for s, (values, valid) in columns.items()]
    mean = np.mean([score.values for score in scores], axis=0)
    valid = np.all([score.valid for score in scores], axis=0)
    return [*scores, Score(f"{name}_avg", PROTOCOL, unit, mean, valid)]


def _waypoints(
    predictions: Sequence[Prediction], truths: Sequence[Truth]
) -> tuple[Float[np.ndarray, "B 6 3"], Float[np.ndarray, "B 6 3"], Bool[np.ndarray, "B 6"]]:
    """Planned poses, driven poses (zeros where unknown) and whether they are known, at the six waypoints."""
    if len(predictions) != len(truths):
        raise DataError(
            f"openloop: {len(predictions)} predictions for {len(truths)} truths; give one truth per prediction"
        )
    plans, driven = np.zeros((len(truths), WAYPOINTS, 3)), np.zeros((len(truths), WAYPOINTS, 3))
    valid = np.zeros((len(truths), WAYPOINTS), dtype=bool)
    for i, (prediction, truth) in enumerate(zip(predictions, truths)):
        plans[i] = plan_waypoints(prediction)
        driven[i], valid[i] = truth_waypoints(truth.future)
    return plans, driven, valid


def plan_waypoints(prediction: Prediction) -> Float[np.ndarray, "6 3"]:
    """The plan at the six waypoint times; DataError names the plan when it has none."""
    try:
        plan = prediction.trajectory.resampled(WAYPOINT_DT_S, WAYPOINTS)
    except DataError as error:
        raise DataError(f"prediction {prediction.key}: {error}; plan 3 s at a step that divides 0.5 s") from error
    if not plan.valid.all():
        raise DataError(
            f"prediction {prediction.key}: {int((~plan.valid).sum())} of 6 waypoints invalid; a plan has no gaps"
        )
    return plan.poses


def truth_waypoints(future: Trajectory) -> tuple[Float[np.ndarray, "6 3"], Bool[np.ndarray, "6"]]:
    """The driven poses at the six waypoint times and whether each is known; a log may end before 3 s."""
    stride = waypoint_stride(future)
    poses, valid = np.zeros((WAYPOINTS, 3)), np.zeros(WAYPOINTS, dtype=bool)
    rows = stride * np.arange(1, WAYPOINTS + 1) - 1
    inside = rows < len(future)
    valid[inside] = future.valid[rows[inside]]
    poses[valid] = future.poses[rows[valid]]
    return poses, valid


def waypoint_stride(future: Trajectory) -> int:
    """How many steps of the truth make one waypoint step."""
    stride = round(WAYPOINT_DT_S / future.dt_s)
    if stride < 1 or abs(stride * future.dt_s - WAYPOINT_DT_S) > 1e-6:
        raise DataError(f"truth: dt_s {future.dt_s} s does not divide the waypoint step of {WAYPOINT_DT_S} s")
    return stride


def _hits(path: np.ndarray, truth: Truth) -> np.ndarray:
    """(6,) whether the ego's rectangle on `path` meets an agent at each waypoint time; False where the log has ended."""
    stride = waypoint_stride(truth.future)
    steps = stride * np.arange(1, WAYPOINTS + 1)
    steps = steps[steps < truth.agents.steps]
    agents = truth.agents.select(~_touching_at_start(truth.agents, truth.vehicle)).at(steps)
    ego = ego_corners(path[: len(steps)], truth.vehicle)
    overlap = boxes_overlap(_agent_corners(agents), ego) & agents.valid
    return np.append(overlap.any(axis=0), np.zeros(WAYPOINTS - len(steps), dtype=bool))


def _touching_at_start(agents: Agents, vehicle: VehicleGeometry) -> np.ndarray:
    """(A,) whether an agent overlaps the ego at t = 0."""
    now = agents.at(slice(0, 1))
    return (boxes_overlap(_agent_corners(now), ego_corners(np.zeros((1, 3)), vehicle)) & now.valid)[:, 0]


def _agent_corners(agents: Agents) -> np.ndarray:
    poses = np.where(agents.valid[..., None], agents.poses, 0.0)  # invalid rows may hold anything
    return box_corners(poses, agents.sizes[:, None, 0], agents.sizes[:, None, 1])


def ego_corners(poses: Float[np.ndarray, "*batch 3"], vehicle: VehicleGeometry) -> Float[np.ndarray, "*batch 4 2"]:
    """Rectangles of the ego vehicle whose rear axle is at `poses`."""
    heading = poses[..., 2]
    shift = vehicle.rear_axle_to_center_m * np.stack([np.cos(heading), np.sin(heading), 0.0 * heading], axis=-1)
    return box_corners(poses + shift, vehicle.length_m, vehicle.width_m)


@dataclass(frozen=True)
class Row:
    """One line of a result table: the mean over the `n` valid of `total` samples."""

    name: str
    protocol: str
    unit: str
    mean: float
    n: int
    total: int


def table(scores: Sequence[Score]) -> list[Row]:
    """Dataset-level means, in the order given."""
    return [Row(s.name, s.protocol, s.unit, s.mean, s.n, len(s.values)) for s in scores]
