"""Which map polygons contain a point: a grid over all polygons of a scene, built once, asked millions of times.

Each cell lists the polygons that reach into it. A polygon that covers the whole cell needs no further test. Otherwise
the point is tested by ray casting, along y against the polygon's edges in the same column of cells, or along x against
those in the same row, whichever are fewer: a lane of a hundred vertices takes four to eight edges. Both are the plain
even-odd rule, so the grid never changes an answer. A point on a boundary is outside, as for shapely's `contains`.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

CELL_M = 1.4
MAX_CELLS = 1_000_000  # larger maps get larger cells
_TOUCH_M = 1e-7  # an edge this close to a cell counts as inside it: rounding cannot lose it

LANE, ROUTE, DRIVABLE, INTERSECTION = 1, 2, 4, 8  # what a polygon is, as bits


class Grid(NamedTuple):
    """Polygons and their cells; all arrays, so that compiled code can take it.

    Attributes:
        x, y: (M,) vertices; every ring repeats its first vertex at the end, so edge e runs from vertex e to e + 1.
        ring_start: (P + 1,) first vertex of each ring.
        layers: (P,) bits LANE, ROUTE, DRIVABLE, INTERSECTION.
        frame: (3,) x and y of the grid's lower corner and the cell size [m].
        shape: (2,) columns (along x) and rows (along y).
        cell_start: (columns * rows + 1,) first entry of each cell (column * rows + row).
        entry_polygon: (E,) polygon of each entry; covering polygons first.
        entry_edges: (E,) first of its edges in `strip_edges`.
        entry_count: (E,) number of edges of the polygon in the cell's column, minus the number in its row where those are
            fewer, 0 where the polygon covers the cell.
        strip_edges: (L,) edges by polygon and column, then by polygon and row.
    """

    x: np.ndarray
    y: np.ndarray
    ring_start: np.ndarray
    layers: np.ndarray
    frame: np.ndarray
    shape: np.ndarray
    cell_start: np.ndarray
    entry_polygon: np.ndarray
    entry_edges: np.ndarray
    entry_count: np.ndarray
    strip_edges: np.ndarray


def build_grid(rings: list[np.ndarray], layers: np.ndarray, cell_m: float = CELL_M) -> Grid:
    """Index rings (each (P, 2), not closed, in one frame) with their layer bits."""
    closed = [np.concatenate([ring, ring[:1]]) for ring in rings]
    xy = np.ascontiguousarray(np.concatenate(closed), dtype=np.float64)
    ring_start = np.append(0, np.cumsum([len(ring) for ring in closed])).astype(np.int32)
    low, high = xy.min(axis=0), xy.max(axis=0)
    cell_m = max(cell_m, float(np.sqrt(np.prod(high - low) / MAX_CELLS)))
    shape = (np.floor((high - low) / cell_m) + 1).astype(np.int64)
    frame = np.array([*low, cell_m])
    parts = _index(xy, ring_start, frame, shape)
    x, y = np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1])
    return Grid(x, y, ring_start, layers.astype(np.uint8), frame, shape, *parts)


@njit(cache=True, nogil=True)
@no_type_check
def _index(xy, ring_start, frame, shape):
    polygons = len(ring_start) - 1
    first = np.empty((2, polygons), np.int32)  # strip in which the polygon begins, by axis
    count = np.empty((2, polygons), np.int32)
    for p in range(polygons):
        for axis in range(2):
            low = high = xy[ring_start[p], axis]
            for v in range(ring_start[p], ring_start[p + 1]):
                low, high = min(low, xy[v, axis]), max(high, xy[v, axis])
            first[axis, p] = _strip(low, axis, frame)
            count[axis, p] = _strip(high, axis, frame) - first[axis, p] + 1
    pointers, edges = _strips(xy, ring_start, frame, first, count)
    return _cells(xy, ring_start, frame, shape, first, count, pointers, edges)


@njit(cache=True, nogil=True)
@no_type_check
def _strip(value, axis, frame):
    return int(np.floor((value - frame[axis]) / frame[2]))


@njit(cache=True, nogil=True)
@no_type_check
def _strips(xy, ring_start, frame, first, count):
    """Edges by axis, polygon and strip; those of strip s (counted over all) are edges[pointers[s] : pointers[s + 1]]."""
    polygons = len(ring_start) - 1
    pointers = np.zeros(count.sum() + 2, np.int32)
    edges = np.empty(0, np.int32)
    for phase in range(2):  # count, then fill
        base = 0
        for axis in range(2):
            for p in range(polygons):
                for e in range(ring_start[p], ring_start[p + 1] - 1):
                    a, b = _strip(xy[e, axis], axis, frame), _strip(xy[e + 1, axis], axis, frame)
                    for strip in range(min(a, b), max(a, b) + 1):
                        slot = base + strip - first[axis, p]
                        if phase == 1:
                            edges[pointers[slot + 1]] = e
                        pointers[slot + 1 if phase == 1 else slot + 2] += 1
                base += count[axis, p]
        if phase == 0:
            pointers = np.cumsum(pointers).astype(np.int32)
            edges = np.empty(pointers[-1], np.int32)
    return pointers, edges


@njit(cache=True, nogil=True)
@no_type_check
def _cells(xy, ring_start, frame, shape, first, count, pointers, edges):
    polygons = len(ring_start) - 1
    capacity = 0
    for p in range(polygons):
        capacity += count[0, p] * count[1, p]
    found_cell, found_polygon = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    found_edges, found_count = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    crossed = np.full(shape[0] * shape[1], -1, np.int32)  # last polygon with an edge in the cell
    found, base_x, base_y = 0, 0, count[0].sum()
    for p in range(polygons):
        _mark(xy, ring_start[p], ring_start[p + 1] - 1, frame, shape, crossed, p)
        for i in range(count[0, p]):
            column = first[0, p] + i
            known, covered = False, False  # of the cell below, when no edge crosses it
            for j in range(count[1, p]):
                row = first[1, p] + j
                cell = column * shape[1] + row
                by_x, by_y = pointers[base_x + i], pointers[base_y + j]
                in_x, in_y = pointers[base_x + i + 1] - by_x, pointers[base_y + j + 1] - by_y
                if crossed[cell] == p:
                    known = False
                    found_edges[found], found_count[found] = (by_x, in_x) if in_x <= in_y else (by_y, -in_y)
                else:
                    if not known:
                        x, y = frame[0] + (column + 0.5) * frame[2], frame[1] + (row + 0.5) * frame[2]
                        known, covered = True, _inside(xy, edges, by_x, in_x, x, y)
                    if not covered:
                        continue
                    found_edges[found], found_count[found] = 0, 0
                found_cell[found], found_polygon[found] = cell, p
                found += 1
        base_x += count[0, p]
        base_y += count[1, p]
    return _by_cell(shape, found_cell[:found], found_polygon, found_edges, found_count, edges)


@njit(cache=True, nogil=True)
@no_type_check
def _mark(xy, first_edge, last_edge, frame, shape, crossed, polygon):
    """Stamp every cell that an edge of the polygon touches, column by column."""
    for e in range(first_edge, last_edge):
        x0, y0, x1, y1 = xy[e, 0], xy[e, 1], xy[e + 1, 0], xy[e + 1, 1]
        if x0 > x1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        last_row = shape[1] - 1
        first_column = max(_strip(x0 - _TOUCH_M, 0, frame), 0)
        for column in range(first_column, min(_strip(x1 + _TOUCH_M, 0, frame), shape[0] - 1) + 1):
            low, high = min(y0, y1), max(y0, y1)
            if x1 - x0 > _TOUCH_M:
                slope = (y1 - y0) / (x1 - x0)
                left = y0 + slope * (frame[0] + column * frame[2] - _TOUCH_M - x0)
                right = y0 + slope * (frame[0] + (column + 1) * frame[2] + _TOUCH_M - x0)
                low, high = max(low, min(left, right)), min(high, max(left, right))
            bottom = max(_strip(low - _TOUCH_M, 1, frame), 0)
            for row in range(bottom, min(_strip(high + _TOUCH_M, 1, frame), last_row) + 1):
                crossed[column * shape[1] + row] = polygon


@njit(cache=True, nogil=True)
@no_type_check
def _by_cell(shape, cell, polygon, edges_of, count_of, edges):
    """Entries sorted by cell, covering polygons first, otherwise in the order of the polygons."""
    start = np.zeros(shape[0] * shape[1] + 1, np.int32)
    for c in cell:
        start[c + 1] += 1
    start = np.cumsum(start).astype(np.int32)
    place = start[:-1].copy()
    total = len(cell)
    out_polygon, out_edges, out_count = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total, np.int32)
    for covering in (True, False):
        for i in range(total):
            if (count_of[i] == 0) == covering:
                slot = place[cell[i]]
                place[cell[i]] += 1
                out_polygon[slot], out_edges[slot], out_count[slot] = polygon[i], edges_of[i], count_of[i]
    return start, out_polygon, out_edges, out_count, edges


@njit(cache=True, nogil=True)
@no_type_check
def _inside(xy, edges, first, count, x, y):
    """Even-odd rule with a ray along +y, for points on no edge; `areas` asks with its own, which minds boundaries.

    Compiled modules of this package call nothing compiled elsewhere: the cache would not notice a change there.
    """
    odd = False
    for m in range(first, first + count):
        e = edges[m]
        x0, y0, x1, y1 = xy[e, 0], xy[e, 1], xy[e + 1, 0], xy[e + 1, 1]
        if (x0 <= x) != (x1 <= x):
            side = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
            if (side < 0) == (x1 > x0):
                odd = not odd
    return odd
