"""Scores of cases under any protocol of `protocol`: one implementation, the protocol is data.

Distances are in metres, collisions and exits are booleans per step. What counts as a sample, as an agent and as a hit is the
protocol's; `summary` and `scores` then read the six steps at 1, 2 and 3 s in all three ways, whichever one is official.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.scoring.openloop.cases import STEPS, Cases
from eyesup.scoring.openloop.exact import HORIZONS_S, WAYPOINT_DT_S
from eyesup.scoring.openloop.grid import Footprint, Layout, grid_hits, leaves_area, line_hits
from eyesup.scoring.openloop.protocol import (
    AXLE_TO_LIDAR_M,
    CATEGORIES,
    EGO_LENGTH_M,
    EGO_WIDTH_M,
    GRID_HALF_M,
    LIDAR_TO_CENTER_M,
    OMNIDRIVE_LENGTH_M,
    Presence,
    Protocol,
    Raster,
    Reading,
    Unknown,
    protocol_named,
)
from eyesup.types import DataError, Score

TURN_STEP_M = 1.0  # BEV-Planner: a shorter step has no direction
EXACT_TURN_STEP_M = 0.2  # shorter steps of a path keep the heading before; cases store positions only
_ROWS_UP_TO = {f"{s}s": round(s / WAYPOINT_DT_S) for s in HORIZONS_S}


@dataclass(frozen=True)
class CaseScores:
    """N samples under one protocol.

    Attributes:
        protocol: Which.
        ids: (N,).
        l2_m: (N, 6) distance to the driven path.
        collides: (N, 6) collisions that count.
        plan_hits, driven_hits: (N, 6) the same test before the driven path's hits are excused, on the plan and on the driven path.
        exits: (N, 6) whether the plan's footprint has left the drivable area; None where the protocol does not ask.
        kerbs: (N, 6) whether it stands on the edge of the road; None where the protocol does not ask or a case knows no edges.
        counted: (N,) samples in the means.
    """

    protocol: Protocol
    ids: tuple[int | str, ...]
    l2_m: Float[np.ndarray, "N 6"]
    collides: Bool[np.ndarray, "N 6"]
    plan_hits: Bool[np.ndarray, "N 6"]
    driven_hits: Bool[np.ndarray, "N 6"]
    exits: Bool[np.ndarray, "N 6"] | None
    kerbs: Bool[np.ndarray, "N 6"] | None
    counted: Bool[np.ndarray, " N"]

    @property
    def off_road(self) -> dict[str, Bool[np.ndarray, "N 6"]]:
        """What the protocol says about the road, by the name of the metric."""
        asked = {"intersection": self.exits, "kerb": self.kerbs}
        return {metric: steps for metric, steps in asked.items() if steps is not None}


def score(cases: Cases, protocol: Protocol | str) -> CaseScores:
    """All cases under one protocol.

    Raises:
        DataError: The protocol needs something that a case does not have (headings, a drivable area), or is unknown.
    """
    chosen = protocol_named(protocol) if isinstance(protocol, str) else protocol
    driven = cases.driven.copy()
    unknown = np.arange(STEPS) >= cases.known[:, None]
    masked = chosen.unknown in (Unknown.NO_ERROR, Unknown.EMPTY_TRUTH)
    if masked:
        driven[unknown] = 0.0
    offset = cases.plans.astype(np.float32) - driven.astype(np.float32)
    l2_m = np.linalg.norm(offset, axis=-1).astype(np.float64)
    if masked:
        l2_m[unknown] = 0.0
    if chosen.raster is None:
        plan_hits, driven_hits = _exact_hits(cases, chosen)
        collides = plan_hits
    else:
        plan_hits, driven_hits = _raster_hits(cases, driven, chosen, chosen.raster)
        if chosen.unknown is Unknown.NO_ERROR:
            driven_hits |= unknown
        collides = plan_hits & ~driven_hits
    exits = _exits(cases, chosen.raster) if chosen.drivable_area and chosen.raster else None
    kerbs = _kerb_hits(cases, driven, chosen, chosen.raster) if chosen.kerbs and chosen.raster else None
    counted = cases.complete if chosen.unknown is Unknown.LEFT_OUT else np.ones(len(cases), dtype=bool)
    return CaseScores(chosen, cases.ids, l2_m, collides, plan_hits, driven_hits, exits, kerbs, counted)


def published_l2(result: CaseScores) -> Float[np.ndarray, "N 6"]:
    """`l2_m` as the published code would tell it case by case, in this order; other than `l2_m` for ``running_sum`` alone."""
    if not result.protocol.running_sum:
        return result.l2_m
    sums = np.cumsum(np.concatenate([np.zeros((1, 6)), result.l2_m]), axis=0, dtype=np.float32)
    return np.diff(sums.astype(np.float64), axis=0)


def _counting_agents(cases: Cases, protocol: Protocol) -> Bool[np.ndarray, "M 6"]:
    """In which of the six steps each agent counts."""
    kinds = np.array([name in protocol.categories for name in CATEGORIES])[cases.categories]
    later, now = cases.annotated[:, 1:], cases.annotated[:, :1]
    if protocol.presence is Presence.SINCE_NOW:
        later = np.logical_and.accumulate(cases.annotated, axis=1)[:, 1:]
    elif protocol.presence is Presence.SEEN_NOW:
        later = later & now
    if protocol.range_m is not None:
        kinds = kinds & (np.abs(cases.poses[:, 0, :2]) < protocol.range_m).all(axis=-1)
    return later & kinds[:, None]


def _raster_hits(
    cases: Cases, driven: np.ndarray, protocol: Protocol, raster: Raster
) -> tuple[Bool[np.ndarray, "N 6"], Bool[np.ndarray, "N 6"]]:
    plan_hits, driven_hits = np.zeros((2, len(cases), STEPS), dtype=bool)
    grid_hits(
        _footprint(cases.plans, raster, protocol.turns), _footprint(driven, raster, protocol.turns), _layout(raster),
        cases.agent_starts, np.ascontiguousarray(cases.poses[:, 1:]), cases.sizes, _counting_agents(cases, protocol),
        _frames(cases) if raster.warped else np.zeros((len(cases), STEPS, 3)), plan_hits, driven_hits,
    )  # fmt: skip
    return plan_hits, driven_hits


def _layout(raster: Raster) -> Layout:
    forward, right = raster.forward, raster.right
    # What is cut off is counted from the centre of the first cell, in single precision; what is rounded from its edge.
    first_center = float(np.float32(-GRID_HALF_M + raster.cell_m / 2))
    offset, cell = (
        (GRID_HALF_M, raster.cell_m) if raster.rounded_corners else (-first_center, float(np.float32(raster.cell_m)))
    )
    return Layout(
        raster.cells, offset, cell, raster.rounded_corners,
        forward.box_sign, forward.reversed_after, forward.plan_from_end,
        right.box_sign, right.reversed_after, right.plan_from_end,
        raster.rows_forward, raster.agents_ahead_m, raster.warped,
    )  # fmt: skip


def _footprint(path: np.ndarray, raster: Raster, turns: bool) -> Footprint:
    """The ego's cells along a path (N, 6, 2); single precision where the published code has it, cells decide by rounding."""
    cell = np.float32(raster.cell_m)
    origin = np.float64(np.float32(-GRID_HALF_M + raster.cell_m / 2) / cell)
    spans = ((raster.center_ahead_m, EGO_LENGTH_M), (0.0, EGO_WIDTH_M))
    counts = [_cells_between(center - extent / 2, center + extent / 2, raster.cell_m) for center, extent in spans]
    cells = np.stack(np.meshgrid(*counts, indexing="ij"), axis=-1).reshape(-1, 2) + origin
    signs = (raster.forward.plan_sign, raster.right.plan_sign)
    positions = (path[..., ::-1] * signs).astype(np.float32)
    steps = np.diff(positions, axis=1, prepend=np.float32(0.0))
    heading = np.arctan2(steps[..., 1], steps[..., 0])
    heading[np.linalg.norm(steps, axis=-1) < TURN_STEP_M] = 0.0
    directions = np.stack([np.cos(heading), np.sin(heading)], axis=-1) if turns else np.zeros_like(positions) + [1, 0]
    return Footprint(cells, np.array([origin, origin]), (positions / cell).astype(np.float64), directions.astype(float))


def _cells_between(low_m: float, high_m: float, cell_m: float) -> np.ndarray:
    """Cells whose centres lie between two distances from the grid's centre."""
    first_center = -GRID_HALF_M + cell_m / 2
    return np.arange(np.ceil((low_m - first_center) / cell_m), np.floor((high_m - first_center) / cell_m) + 1)


def _frames(cases: Cases) -> Float[np.ndarray, "N 6 3"]:
    """Pose of the ego's axle at each step in its frame at t = 0: forward, left, heading."""
    if not cases.has_heading.all():
        missing = cases.ids[int(np.argmin(cases.has_heading))]
        raise DataError(
            f"case {missing}: no gt_heading_left_positive; this protocol draws agents around the driven pose of each frame"
        )
    heading = cases.headings
    ahead = cases.driven[..., 1] + AXLE_TO_LIDAR_M * (1.0 - np.cos(heading))
    left = -cases.driven[..., 0] - AXLE_TO_LIDAR_M * np.sin(heading)
    return np.stack([ahead, left, heading], axis=-1)


def _exits(cases: Cases, raster: Raster) -> Bool[np.ndarray, "N 6"]:
    """OmniDrive's drivable-area test: has the footprint left the area by a step, though not at t = 0?

    The footprint turns with the tangent of the path, but the distance from axle to centre is always added along t = 0.
    """
    positions = np.concatenate([np.zeros((len(cases), 1, 2)), cases.plans[..., ::-1] * [1.0, -1.0]], axis=1)
    steps = np.diff(positions, axis=1)
    heading = np.concatenate([np.zeros((len(cases), 1)), np.arctan2(steps[..., 1], steps[..., 0])], axis=1)
    poses = np.concatenate([positions + [raster.center_ahead_m, 0.0], heading[..., None]], axis=-1)
    corners = _area_cells(box_corners(poses, OMNIDRIVE_LENGTH_M, EGO_WIDTH_M), raster)
    leaves = np.zeros((len(cases), STEPS + 1), dtype=bool)
    for i, polygons in enumerate(cases.drivable):
        if polygons is None:
            raise DataError(f"case {cases.ids[i]}: no drivable_area; this protocol tells which plans leave it")
        rings = [ring for polygon in polygons for ring in polygon]
        starts = np.cumsum([0, *map(len, rings)])
        exterior = np.array([ring is polygon[0] for polygon in polygons for ring in polygon], dtype=bool)
        points = np.concatenate([np.zeros((0, 2)), *rings])[:, ::-1] * [1.0, -1.0] + [raster.agents_ahead_m, 0.0]
        leaves_area(corners[i], starts, _area_cells(points, raster), exterior, raster.cells, leaves[i])
    outside = np.logical_or.accumulate(leaves[:, 1:], axis=1)
    return outside & ~leaves[:, :1]


def _kerb_hits(cases: Cases, driven: np.ndarray, protocol: Protocol, raster: Raster) -> Bool[np.ndarray, "N 6"] | None:
    """BEV-Planner's test of the edges of the road: lines one cell wide, and steps where the driven path hits one are excused."""
    lines = [line for of_case in cases.kerbs if of_case is not None for line in of_case]
    if any(of_case is None for of_case in cases.kerbs):
        return None
    layout = _layout(raster)
    points = np.concatenate([np.zeros((0, 2)), *lines])
    signs = [layout.forward_sign, layout.right_sign]
    metres = np.stack([points[:, 1] + raster.agents_ahead_m, points[:, 0]], axis=-1) * signs
    cells = np.clip((metres + layout.corner_offset_m) / layout.corner_cell_m, 0, raster.cells - 1).astype(np.int64)
    plan_hits, driven_hits = np.zeros((2, len(cases), STEPS), dtype=bool)
    line_hits(
        _footprint(cases.plans, raster, protocol.turns), _footprint(driven, raster, protocol.turns), layout,
        np.cumsum([0, *(len(of_case or ()) for of_case in cases.kerbs)]), np.cumsum([0, *map(len, lines)]), cells,
        plan_hits, driven_hits,
    )  # fmt: skip
    return plan_hits & ~driven_hits


def _area_cells(points: np.ndarray, raster: Raster) -> np.ndarray:
    return np.rint((points + GRID_HALF_M) / raster.cell_m).astype(np.int64)


def _exact_hits(cases: Cases, protocol: Protocol) -> tuple[Bool[np.ndarray, "N 6"], Bool[np.ndarray, "N 6"]]:
    """Oriented rectangles that share a point; see `exact`. Agents that overlap the ego at t = 0 do not count."""
    agents = cases.poses[..., [1, 0, 2]] * [1.0, -1.0, 1.0] - [0.0, 0.0, np.pi / 2]  # x forward, y left
    boxes = box_corners(agents, cases.sizes[:, None, 0], cases.sizes[:, None, 1])
    now = _ego_boxes(np.zeros((len(cases), 1, 3)))[cases.agent_sample]
    touching = boxes_overlap(boxes[:, :1], now) & cases.annotated[:, :1]
    counting = _counting_agents(cases, protocol) & ~touching
    plan = path_poses(cases.plans)
    driven = path_poses(cases.driven)
    driven[cases.has_heading, :, 2] = cases.headings[cases.has_heading]
    hits = []
    for path in (plan, driven):
        overlap = boxes_overlap(boxes[:, 1:], _ego_boxes(path)[cases.agent_sample]) & counting
        hits.append(np.array([overlap[a:b].any(axis=0) for a, b in pairwise(cases.agent_starts)]).reshape(-1, STEPS))
    return hits[0], hits[1]


def path_poses(path: Float[np.ndarray, "N 6 2"]) -> Float[np.ndarray, "N 6 3"]:
    """Positions x right, y forward as poses x forward, y left, with the heading of each step, or of the one before if it is short."""
    points = path[..., ::-1] * [1.0, -1.0]
    steps = np.diff(points, axis=1, prepend=0.0)
    own = np.arctan2(steps[..., 1], steps[..., 0])
    heading, last = np.zeros(path.shape[:2]), np.zeros(len(path))
    for k in range(STEPS):
        last = np.where(np.linalg.norm(steps[:, k], axis=-1) >= EXACT_TURN_STEP_M, own[:, k], last)
        heading[:, k] = last
    return np.concatenate([points, heading[..., None]], axis=-1)


def _ego_boxes(poses: np.ndarray) -> np.ndarray:
    """Corners of the ego whose lidar is at `poses` (..., 3)."""
    heading = poses[..., 2]
    ahead = LIDAR_TO_CENTER_M * np.stack([np.cos(heading), np.sin(heading), 0.0 * heading], axis=-1)
    return box_corners(poses + ahead, EGO_LENGTH_M, EGO_WIDTH_M)


def horizons(steps: np.ndarray, reading: Reading) -> dict[str, np.ndarray]:
    """(N, 6) values as (N,) values at 1s, 2s, 3s and their mean avg."""
    values = {name: steps.astype(np.float64)[:, :rows] for name, rows in _ROWS_UP_TO.items()}
    if reading is Reading.AT:
        read = {name: part[:, -1] for name, part in values.items()}
    elif reading is Reading.CUMULATIVE:
        read = {name: part.mean(axis=1) for name, part in values.items()}
    else:
        read = {name: part.max(axis=1) for name, part in values.items()}
    return {**read, "avg": np.mean(list(read.values()), axis=0)}


def columns(result: CaseScores) -> dict[tuple[str, Reading], np.ndarray]:
    """What is read, and how: distances at and cumulative, collisions also as any step so far, the rest as that."""
    read: dict[tuple[str, Reading], np.ndarray] = {
        ("L2", Reading.AT): result.l2_m,
        ("L2", Reading.CUMULATIVE): result.l2_m,
        **{("obj_box_col", reading): result.collides for reading in Reading},
    }
    return read | {(metric, Reading.ANY): steps for metric, steps in result.off_road.items()}


def summary(result: CaseScores) -> dict[str, object]:
    """Means over the counted samples: {"n", metric: {reading: {"1s", "2s", "3s", "avg"}}}; metres and shares, None without samples."""
    means: dict[str, dict[str, dict[str, float | None]]] = {}
    n = int(result.counted.sum())
    for (metric, reading), steps in columns(result).items():
        values = horizons(steps, reading)
        means.setdefault(metric, {})[reading.value] = {
            name: float(column[result.counted].mean()) if n else None for name, column in values.items()
        }
    return {"n": n, **means}


def scores(result: CaseScores) -> list[Score]:
    """The same as Scores, shares in percent, for tables and bootstrap intervals."""
    made = []
    for (metric, reading), steps in columns(result).items():
        name, unit, factor = {"L2": ("l2", "m", 1.0), "obj_box_col": ("collision", "%", 100.0)}.get(
            metric, (metric, "%", 100.0)
        )
        for horizon, column in horizons(steps, reading).items():
            made.append(
                Score(f"{name}_{reading.value}_{horizon}", result.protocol.name, unit, factor * column, result.counted)
            )
    return made
