"""Filled polygons on a grid of cells, drawn as OpenCV 4 draws them. Compiled.

The protocols of the literature test cells, not rectangles, and one cell more or less decides a collision; OpenCV itself changed
its rule between versions. So the rule stands here, in the form of OpenCV 4.5 to 4.12 (`fillPoly`, 8-connected, no sub-cell
bits), compared cell by cell with stored grids in the tests:

* the outline is drawn as 8-connected lines, so every cell an edge passes belongs to the polygon;
* in each row, cells between the edges are filled by the even-odd rule; an edge's crossing is rounded to the next cell;
* edges that leave the grid are cut at its border first, with whole-number coordinates, which bends them a little.

A grid is (R, C) int32; drawing writes `stamp` into cells, so a grid need not be cleared between drawings with different stamps.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

FRACTION_BITS = 16  # edges cross rows at fixed-point columns, as in OpenCV
_HALF = 1 << (FRACTION_BITS - 1)


@njit(cache=True, nogil=True)
@no_type_check
def fill_polygon(grid, columns, rows, stamp, first_row, last_row):
    """Write `stamp` into the cells of one polygon, in the rows [first_row, last_row] only.

    Args:
        grid: (R, C) int32.
        columns, rows: (P,) int64 corners in cells; they may lie outside.
        stamp: What is written.
    """
    count = len(columns)
    height, width = grid.shape
    tops, bottoms = np.empty(count, np.int64), np.empty(count, np.int64)
    starts, slopes = np.empty(count, np.int64), np.empty(count, np.int64)
    crossings = np.empty(count, np.int64)
    edges, lowest, highest = 0, height, -1
    for i in range(count):
        c0, r0, c1, r1 = columns[i - 1], rows[i - 1], columns[i], rows[i]
        inside, ca, ra, cb, rb = clip_line(width, height, c0, r0, c1, r1)
        if inside and max(ra, rb) >= first_row and min(ra, rb) <= last_row:
            draw_line(grid, ca, ra, cb, rb, stamp)
        if r0 == r1:
            continue
        cut = not (0 <= c0 < width and 0 <= c1 < width and 0 <= r0 < height and 0 <= r1 < height)
        if not cut:
            xa, ya, xb, yb = (c0 << FRACTION_BITS) + _HALF, r0, (c1 << FRACTION_BITS) + _HALF, r1
        elif ra != rb:
            xa, ya, xb, yb = ca << FRACTION_BITS, ra, cb << FRACTION_BITS, rb
        else:
            xa, ya, xb, yb = c0 << FRACTION_BITS, r0, c1 << FRACTION_BITS, r1
        slope = _toward_zero(xb - xa, yb - ya)
        top, x, y = (r0, xa, ya) if r0 < r1 else (r1, xb, yb)
        tops[edges], bottoms[edges], slopes[edges] = top, max(r0, r1), slope
        starts[edges] = x + (top - y) * slope
        lowest, highest, edges = min(lowest, top), max(highest, bottoms[edges]), edges + 1
    for row in range(max(lowest, first_row, 0), min(highest, last_row + 1, height)):
        active = 0
        for e in range(edges):
            if tops[e] <= row < bottoms[e]:
                crossings[active] = starts[e] + (row - tops[e]) * slopes[e]
                active += 1
        crossings[:active].sort()
        for k in range(0, active - 1, 2):
            left, right = crossings[k] >> FRACTION_BITS, crossings[k + 1] >> FRACTION_BITS
            for column in range(max(left, 0), min(right, width - 1) + 1):
                grid[row, column] = stamp


@njit(cache=True, nogil=True)
@no_type_check
def _toward_zero(a, b):
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


@njit(cache=True, nogil=True)
@no_type_check
def clip_line(width, height, c0, r0, c1, r1):
    """Cut a line at the border of the grid, in whole cells; returns whether any of it is left, and its ends."""
    right, bottom = width - 1, height - 1
    side0, side1 = _side(c0, r0, right, bottom), _side(c1, r1, right, bottom)
    if side0 & side1 == 0 and side0 | side1:
        if side0 & 12:
            border = 0 if side0 < 8 else bottom
            c0, r0 = c0 + int((border - r0) * (c1 - c0) / (r1 - r0)), border
            side0 = _side(c0, r0, right, bottom)
        if side1 & 12:
            border = 0 if side1 < 8 else bottom
            c1, r1 = c1 + int((border - r1) * (c1 - c0) / (r1 - r0)), border
            side1 = _side(c1, r1, right, bottom)
        if side0 & side1 == 0 and side0 | side1:
            if side0:
                border = 0 if side0 == 1 else right
                r0, c0, side0 = r0 + int((border - c0) * (r1 - r0) / (c1 - c0)), border, 0
            if side1:
                border = 0 if side1 == 1 else right
                r1, c1, side1 = r1 + int((border - c1) * (r1 - r0) / (c1 - c0)), border, 0
    return side0 | side1 == 0, c0, r0, c1, r1


@njit(cache=True, nogil=True)
@no_type_check
def _side(c, r, right, bottom):
    """Where a point lies around the grid: 1 left, 2 right, 4 above, 8 below."""
    return (c < 0) + (c > right) * 2 + (r < 0) * 4 + (r > bottom) * 8


@njit(cache=True, nogil=True)
@no_type_check
def draw_line(grid, c0, r0, c1, r1, stamp):
    """8-connected line from left to right, by Bresenham's rule; both ends are inside the grid."""
    if c1 < c0:
        c0, r0, c1, r1 = c1, r1, c0, r0
    along, across, step = c1 - c0, abs(r1 - r0), 1 if r1 >= r0 else -1
    steep = across > along
    if steep:
        along, across = across, along
    error = along - 2 * across
    for _ in range(along + 1):
        grid[r0, c0] = stamp
        turn = error < 0
        error += 2 * along * turn - 2 * across
        if steep:
            r0, c0 = r0 + step, c0 + turn
        else:
            r0, c0 = r0 + step * turn, c0 + 1
