"""The cell tests: does the ego's footprint stand on an agent or on a line, or leave the drivable area? Compiled.

One pass per sample and step: the footprint's cells on the plan and on the driven path, then the agents near them are drawn,
then the cells are looked up. Cells are (forward, right) counts whatever the layout of the grid.
"""

from __future__ import annotations

import math
from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from eyesup.scoring.openloop.protocol import GRID_HALF_M
from eyesup.scoring.openloop.raster import draw_line, fill_polygon

_OUTSIDE = -1  # a cell that no grid holds


class Layout(NamedTuple):
    """A `Raster` as plain numbers for compiled code; signs and switches of an axis in the order of `protocol.Axis`."""

    cells: int
    corner_offset_m: float
    corner_cell_m: float
    rounded: bool
    forward_sign: int
    forward_reversed: bool
    forward_from_end: bool
    right_sign: int
    right_reversed: bool
    right_from_end: bool
    rows_forward: bool
    agents_ahead_m: float
    warped: bool


class Footprint(NamedTuple):
    """Where the ego stands.

    Attributes:
        cells: (F, 2) its cells at the origin, counted from the grid's centre (half cells), forward and side.
        origin: (2,) what turns them into cells of the grid.
        positions: (N, 6, 2) the point of the path in cells from the grid's centre.
        turns: (N, 6, 2) cosine and sine of its heading.
    """

    cells: np.ndarray
    origin: np.ndarray
    positions: np.ndarray
    turns: np.ndarray


@njit(cache=True, nogil=True)
@no_type_check
def grid_hits(plan, driven, layout, starts, poses, sizes, drawn, frames, plan_hits, driven_hits):
    """Whether each footprint stands on an agent.

    Args:
        plan, driven: Footprint of both paths; they share `cells` and `origin`.
        layout: Layout.
        starts: (N + 1,) agents of each sample.
        poses, sizes, drawn: (M, 6, 3), (M, 2), (M, 6) agents at the six steps: x right, y forward, yaw from +x.
        frames: (N, 6, 3) frame in which a step is drawn, in the frame of t = 0: forward, left, heading.
        plan_hits, driven_hits: (N, 6) bool, filled.
    """
    n = layout.cells
    grid = np.zeros((n, n), np.int32)
    size = len(plan.cells)
    own, other = np.empty((size, 2), np.int64), np.empty((size, 2), np.int64)
    own_bounds, other_bounds = np.empty(4, np.int64), np.empty(4, np.int64)
    columns, rows = np.empty(4, np.int64), np.empty(4, np.int64)
    stamp = 0
    for sample in range(len(plan.positions)):
        for step in range(plan.positions.shape[1]):
            stamp += 1
            frame = frames[sample, step]
            _cells(plan, layout, sample, step, frame, own, own_bounds)
            _cells(driven, layout, sample, step, frame, other, other_bounds)
            for agent in range(starts[sample], starts[sample + 1]):
                if not drawn[agent, step]:
                    continue
                if _near(poses[agent, step], sizes[agent], layout, frame, own_bounds, other_bounds):
                    _corners(poses[agent, step], sizes[agent], layout, frame, columns, rows)
                    fill_polygon(grid, columns, rows, stamp, 0, n - 1)
            plan_hits[sample, step] = _stands_on(grid, own, stamp, layout.rows_forward)
            driven_hits[sample, step] = _stands_on(grid, other, stamp, layout.rows_forward)


@njit(cache=True, nogil=True)
@no_type_check
def line_hits(plan, driven, layout, starts, line_starts, points, plan_hits, driven_hits):
    """Whether each footprint stands on a line, one cell wide, that is the same at all steps.

    Args:
        plan, driven, layout: As of `grid_hits`; no frame of a step is of its own.
        starts: (N + 1,) lines of each sample; `line_starts`: (L + 1,) where each line begins in `points`.
        points: (P, 2) cells of the grid, forward and right.
        plan_hits, driven_hits: (N, 6) bool, filled.
    """
    n, size, own_frame = layout.cells, len(plan.cells), np.zeros(3)
    grid = np.zeros((n, n), np.int32)
    cells, bounds = np.empty((size, 2), np.int64), np.empty(4, np.int64)
    column, row = (1, 0) if layout.rows_forward else (0, 1)  # which of (forward, right)
    for sample in range(len(plan.positions)):
        stamp = sample + 1
        for line in range(starts[sample], starts[sample + 1]):
            for p in range(line_starts[line], line_starts[line + 1] - 1):
                a, b = points[p], points[p + 1]
                draw_line(grid, a[column], a[row], b[column], b[row], stamp)
        for step in range(plan.positions.shape[1]):
            _cells(plan, layout, sample, step, own_frame, cells, bounds)
            plan_hits[sample, step] = _stands_on(grid, cells, stamp, layout.rows_forward)
            _cells(driven, layout, sample, step, own_frame, cells, bounds)
            driven_hits[sample, step] = _stands_on(grid, cells, stamp, layout.rows_forward)


@njit(cache=True, nogil=True)
@no_type_check
def _cells(footprint, layout, sample, step, frame, cells, bounds):
    """Fill `cells` with the footprint's cells in the drawn grid, and `bounds` with their lowest and highest."""
    n = layout.cells
    ahead, side = footprint.positions[sample, step]
    cosine, sine = footprint.turns[sample, step]
    bounds[0], bounds[1], bounds[2], bounds[3] = n, -1, n, -1
    for k in range(len(cells)):
        u, v = footprint.cells[k]
        f = ahead + np.rint(cosine * u - sine * v - footprint.origin[0])
        s = side + np.rint(sine * u + cosine * v - footprint.origin[1])
        i = int(n - f if layout.forward_from_end else f)
        j = int(n - s if layout.right_from_end else s)
        i, j = min(max(i, 0), n - 1), min(max(j, 0), n - 1)
        if layout.forward_reversed:
            i = n - 1 - i
        if layout.right_reversed:
            j = n - 1 - j
        if layout.warped:
            i, j = _source_cell(i, j, n, frame)
        cells[k, 0], cells[k, 1] = i, j
        if i != _OUTSIDE:
            bounds[0], bounds[1] = min(bounds[0], i), max(bounds[1], i)
            bounds[2], bounds[3] = min(bounds[2], j), max(bounds[3], j)


@njit(cache=True, nogil=True)
@no_type_check
def _source_cell(i, j, n, frame):
    """From which cell of the later frame ST-P3's warp takes cell (i, j) of the frame of t = 0: nearest cell centre.

    The move is not undone by the inverse of the pose, but by its angle and its shift with the forward part negated: the same
    thing on a circular arc only.
    """
    ahead, left, heading = frame
    cosine, sine = math.cos(heading), math.sin(heading)
    x, y = (2 * j + 1) / n - 1.0, (2 * i + 1) / n - 1.0
    source_x = cosine * x - sine * y + left / GRID_HALF_M
    source_y = sine * x + cosine * y - ahead / GRID_HALF_M
    column, row = np.rint(((source_x + 1.0) * n - 1.0) / 2.0), np.rint(((source_y + 1.0) * n - 1.0) / 2.0)
    if 0 <= row < n and 0 <= column < n:
        return int(row), int(column)
    return _OUTSIDE, _OUTSIDE


@njit(cache=True, nogil=True)
@no_type_check
def _in_frame(right, forward, layout, frame):
    """A point of the lidar frame at t = 0 in the frame of a step; returns forward and right."""
    ahead, left = forward + layout.agents_ahead_m - frame[0], -right - frame[1]
    if not layout.warped:
        return ahead, -left
    cosine, sine = math.cos(frame[2]), math.sin(frame[2])
    return cosine * ahead + sine * left, sine * ahead - cosine * left


@njit(cache=True, nogil=True)
@no_type_check
def _near(pose, size, layout, frame, own, other):
    """Whether an agent's circle reaches the cells of either footprint."""
    forward, right = _in_frame(pose[0], pose[1], layout, frame)
    i = (layout.forward_sign * forward + layout.corner_offset_m) / layout.corner_cell_m
    j = (layout.right_sign * right + layout.corner_offset_m) / layout.corner_cell_m
    reach = 0.5 * math.hypot(size[0], size[1]) / layout.corner_cell_m + 2.0
    return (own[0] - reach <= i <= own[1] + reach and own[2] - reach <= j <= own[3] + reach) or (
        other[0] - reach <= i <= other[1] + reach and other[2] - reach <= j <= other[3] + reach
    )


@njit(cache=True, nogil=True)
@no_type_check
def _corners(pose, size, layout, frame, columns, rows):
    """Corners of an agent's box in cells."""
    cosine, sine = math.cos(pose[2]), math.sin(pose[2])
    for k in range(4):
        along = 0.5 * size[0] * (1 if k in (0, 3) else -1)
        across = 0.5 * size[1] * (1 if k < 2 else -1)
        right, forward = pose[0] + cosine * along - sine * across, pose[1] + sine * along + cosine * across
        forward, right = _in_frame(right, forward, layout, frame)
        i = (layout.forward_sign * forward + layout.corner_offset_m) / layout.corner_cell_m
        j = (layout.right_sign * right + layout.corner_offset_m) / layout.corner_cell_m
        if layout.rounded:
            i, j = np.rint(i), np.rint(j)
        rows[k], columns[k] = (int(i), int(j)) if layout.rows_forward else (int(j), int(i))


@njit(cache=True, nogil=True)
@no_type_check
def _stands_on(grid, cells, stamp, rows_forward):
    for k in range(len(cells)):
        i, j = cells[k]
        if i != _OUTSIDE and (grid[i, j] if rows_forward else grid[j, i]) == stamp:
            return True
    return False


@njit(cache=True, nogil=True)
@no_type_check
def leaves_area(corners, ring_starts, points, exterior, cells, leaves):
    """Whether each footprint covers a cell outside the drivable area.

    Args:
        corners: (T, 4, 2) of the footprints, columns and rows of the grid.
        ring_starts: (G + 1,) where each ring begins in `points`; `exterior`: (G,) False for a hole. In drawing order.
        points: (P, 2) columns and rows.
        cells: Edge of the grid in cells.
        leaves: (T,) bool, filled.
    """
    area, ego = np.zeros((cells, cells), np.int32), np.zeros((cells, cells), np.int32)
    first, last = max(corners[..., 1].min(), 0), min(corners[..., 1].max(), cells - 1)
    left, right = max(corners[..., 0].min(), 0), min(corners[..., 0].max(), cells - 1)
    for g in range(len(exterior)):
        ring = points[ring_starts[g] : ring_starts[g + 1]]
        fill_polygon(area, ring[:, 0], ring[:, 1], 1 if exterior[g] else 0, first, last)
    for t in range(len(corners)):
        fill_polygon(ego, corners[t, :, 0], corners[t, :, 1], t + 1, first, last)
        leaves[t] = False
        for row in range(first, last + 1):
            for column in range(left, right + 1):
                leaves[t] = leaves[t] or (ego[row, column] == t + 1 and area[row, column] == 0)
