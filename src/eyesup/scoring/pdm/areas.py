"""Where the car is at each sample: its box, and what the map says about its corners, centre and rear axle. Compiled."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from eyesup.scoring.pdm.grid import DRIVABLE, INTERSECTION, LANE, ROUTE
from eyesup.scoring.pdm.simulate import HEADING, X, Y
from eyesup.types import PACIFICA

# Bits of an area flag.
MULTIPLE_LANES = 1  # several lanes hold a corner, none holds all four
NON_DRIVABLE = 2  # a corner lies on nothing drivable
ONCOMING = 4  # the centre lies in no lane of the route
CENTER_IN_INTERSECTION = 8
AXLE_IN_INTERSECTION = 16

BOX_X, BOX_Y, BOX_COS, BOX_SIN = range(4)  # columns of a box: centre and direction
HALF_LENGTH = 0.5 * PACIFICA.length_m
HALF_WIDTH = 0.5 * PACIFICA.width_m
AXLE_TO_CENTER = PACIFICA.rear_axle_to_center_m


@njit(cache=True, nogil=True)
@no_type_check
def locate(states, grid, boxes, flags):
    """Boxes (K, T, 4) and area flags (K, T) of states (K, T, 11).

    A point is inside a polygon only strictly: the boundary does not count.
    """
    corners_in = np.zeros(len(grid.layers), np.uint8)  # by lane: bits of the corners inside it
    touched = np.empty(len(grid.layers), np.int32)
    # One local per array: reading them off the tuple again and again costs reference counts.
    x, y, layers, frame, shape, cell_start = grid.x, grid.y, grid.layers, grid.frame, grid.shape, grid.cell_start
    polygon_of, edges_of, count_of, edges = grid.entry_polygon, grid.entry_edges, grid.entry_count, grid.strip_edges
    for k in range(states.shape[0]):
        for i in range(states.shape[1]):
            cos, sin = math.cos(states[k, i, HEADING]), math.sin(states[k, i, HEADING])
            axle_x, axle_y = states[k, i, X], states[k, i, Y]
            center_x, center_y = axle_x + AXLE_TO_CENTER * cos, axle_y + AXLE_TO_CENTER * sin
            boxes[k, i, BOX_X], boxes[k, i, BOX_Y] = center_x, center_y
            boxes[k, i, BOX_COS], boxes[k, i, BOX_SIN] = cos, sin
            flag, lanes = 0, 0
            for corner in range(4):
                along = HALF_LENGTH if corner == 0 or corner == 3 else -HALF_LENGTH
                across = HALF_WIDTH if corner < 2 else -HALF_WIDTH
                px, py = center_x + along * cos - across * sin, center_y + along * sin + across * cos
                drivable = False
                cell = _cell(px, py, frame, shape)
                if cell >= 0:
                    for entry in range(cell_start[cell], cell_start[cell + 1]):
                        polygon = polygon_of[entry]
                        layer = layers[polygon]
                        if not (layer & LANE or (layer & DRIVABLE and not drivable)):
                            continue
                        if not _contains(px, py, edges_of[entry], count_of[entry], edges, x, y):
                            continue
                        if layer & DRIVABLE:
                            drivable = True
                        if layer & LANE:
                            if corners_in[polygon] == 0:
                                touched[lanes] = polygon
                                lanes += 1
                            corners_in[polygon] |= 1 << corner
                if not drivable:
                    flag = NON_DRIVABLE
            whole = False
            for lane in range(lanes):
                whole = whole or corners_in[touched[lane]] == 15
                corners_in[touched[lane]] = 0
            if lanes > 1 and not whole:
                flag |= MULTIPLE_LANES
            for point in range(2):
                px, py = (center_x, center_y) if point == 0 else (axle_x, axle_y)
                wanted, found = ROUTE | INTERSECTION if point == 0 else INTERSECTION, 0
                cell = _cell(px, py, frame, shape)
                if cell >= 0:
                    for entry in range(cell_start[cell], cell_start[cell + 1]):
                        missing = layers[polygon_of[entry]] & wanted & ~found
                        if missing and _contains(px, py, edges_of[entry], count_of[entry], edges, x, y):
                            found |= missing
                if point == 0 and not found & ROUTE:
                    flag |= ONCOMING
                if found & INTERSECTION:
                    flag |= CENTER_IN_INTERSECTION if point == 0 else AXLE_IN_INTERSECTION
            flags[k, i] = flag


@njit(cache=True, nogil=True, inline="always")
@no_type_check
def _cell(x, y, frame, shape):
    """Index of the cell of a point, -1 outside the grid."""
    column, row = math.floor((x - frame[0]) / frame[2]), math.floor((y - frame[1]) / frame[2])
    if column < 0 or row < 0 or column >= shape[0] or row >= shape[1]:
        return -1
    return column * shape[1] + row


@njit(cache=True, nogil=True)
@no_type_check
def _contains(px, py, first, count, edges, x, y):
    """Whether the polygon of a cell's entry strictly contains a point of the cell."""
    if count == 0:
        return True
    if count > 0:
        return _inside(x, y, edges, first, count, px, py)
    return _inside(y, x, edges, first, -count, py, px)


@njit(cache=True, nogil=True)
@no_type_check
def _inside(a, b, edges, first, count, p, q):
    """Even-odd rule: edges that pass `p` along axis a, counted on the upper side of `q` along the other axis b."""
    odd = False
    for m in range(first, first + count):
        e = edges[m]
        a0, a1 = a[e], a[e + 1]
        if (a0 <= p) != (a1 <= p):
            side = (a1 - a0) * (q - b[e]) - (b[e + 1] - b[e]) * (p - a0)
            if side == 0.0:
                return False  # on the edge
            if (side < 0.0) == (a1 > a0):
                odd = not odd
        elif a0 == p and (b[e] == q or (a1 == p and min(b[e], b[e + 1]) <= q <= max(b[e], b[e + 1]))):
            return False  # on a vertex, or on an edge parallel to the ray
    return odd
