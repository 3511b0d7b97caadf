"""Progress along the route, wrong-way driving and lane keeping. Compiled."""

from __future__ import annotations

import math
from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from eyesup.scoring.pdm.areas import BOX_X, BOX_Y, CENTER_IN_INTERSECTION, ONCOMING

BLOCK = 8  # segments of the centreline that share a bounding box
WRONG_WAY_SAMPLES = 10  # the window reaches one second back
WRONG_WAY_HALF_M, WRONG_WAY_ZERO_M = 2.0, 6.0
OFF_LANE_M = 0.5
OFF_LANE_SAMPLES = 20  # in a row


class Centerline(NamedTuple):
    """The route's centreline as segments.

    Attributes:
        segments: (N, 6) start x and y, direction x and y, length, arc length at the start [m].
        blocks: (N / BLOCK, 4) lowest and highest x and y of successive blocks of segments, widened by `OFF_LANE_M`.
    """

    segments: np.ndarray
    blocks: np.ndarray


def build_centerline(points: np.ndarray) -> Centerline:
    """From (C, 2) points; repeated points are dropped."""
    points = points[np.append(True, np.any(np.diff(points, axis=0) != 0.0, axis=1))]
    edges = np.diff(points, axis=0)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    arc = np.append(0.0, np.cumsum(lengths))[:-1]
    segments = np.column_stack([points[:-1], edges / lengths[:, None], lengths, arc])
    blocks = []
    for first in range(0, len(segments), BLOCK):
        part = points[first : first + BLOCK + 1]
        low, high = part.min(axis=0) - OFF_LANE_M, part.max(axis=0) + OFF_LANE_M
        blocks.append([low[0], high[0], low[1], high[1]])
    return Centerline(np.ascontiguousarray(segments), np.array(blocks))


@njit(cache=True, nogil=True)
@no_type_check
def follow(boxes, flags, line, forgive_in_intersections, advance, wrong_way, kept):
    """Progress, wrong-way distance and lane keeping.

    Args:
        boxes, flags: (K, T, ...) from `areas.locate`.
        line: Centerline.
        forgive_in_intersections: Whether wrong-way driving counts inside intersections.
        advance: (K,) filled with the progress along the centreline, at least 0 [m].
        wrong_way: (K,) filled with the longest wrong-way distance within a second [m].
        kept: (K,) filled with LK.
    """
    samples = boxes.shape[1]
    wrong = np.empty(samples)
    for k in range(boxes.shape[0]):
        box = boxes[k]
        start = _project(box[0, BOX_X], box[0, BOX_Y], line.segments)
        advance[k] = max(_project(box[samples - 1, BOX_X], box[samples - 1, BOX_Y], line.segments) - start, 0.0)
        wrong_way[k] = _wrong_way(box, flags[k], forgive_in_intersections, wrong)
        kept[k] = _keeps_lane(box, flags[k], line)


@njit(cache=True, nogil=True)
@no_type_check
def _project(x, y, segments):
    """Arc length of the nearest point, the first of several."""
    best, arc = np.inf, 0.0
    for s in range(len(segments)):
        dx, dy = x - segments[s, 0], y - segments[s, 1]
        along = min(max(dx * segments[s, 2] + dy * segments[s, 3], 0.0), segments[s, 4])
        dx, dy = dx - along * segments[s, 2], dy - along * segments[s, 3]
        squared = dx * dx + dy * dy
        if squared < best:
            best, arc = squared, segments[s, 5] + along
    return arc


@njit(cache=True, nogil=True)
@no_type_check
def _wrong_way(box, flags, forgive_in_intersections, wrong):
    wrong[0] = 0.0
    most = 0.0
    for i in range(1, len(box)):
        counts = flags[i] & ONCOMING and not (forgive_in_intersections and flags[i] & CENTER_IN_INTERSECTION)
        step = math.hypot(box[i, BOX_X] - box[i - 1, BOX_X], box[i, BOX_Y] - box[i - 1, BOX_Y])
        wrong[i] = step if counts else 0.0
        total = 0.0
        for j in range(max(i - WRONG_WAY_SAMPLES, 0), i + 1):
            total += wrong[j]
        most = max(most, total)
    return most


@njit(cache=True, nogil=True)
@no_type_check
def _keeps_lane(box, flags, line):
    """0 once the centre is off the centreline for two seconds; samples inside intersections neither count nor reset."""
    off = 0
    for i in range(len(box)):
        if flags[i] & CENTER_IN_INTERSECTION:
            continue
        off = 0 if _on_line(box[i, BOX_X], box[i, BOX_Y], line) else off + 1
        if off >= OFF_LANE_SAMPLES:
            return 0.0
    return 1.0


@njit(cache=True, nogil=True)
@no_type_check
def _on_line(x, y, line):
    """Whether some segment is within `OFF_LANE_M`."""
    segments, limit = line.segments, OFF_LANE_M * OFF_LANE_M
    for b in range(len(line.blocks)):
        low_x, high_x, low_y, high_y = line.blocks[b]
        if x < low_x or x > high_x or y < low_y or y > high_y:
            continue
        for s in range(b * BLOCK, min((b + 1) * BLOCK, len(segments))):
            dx, dy = x - segments[s, 0], y - segments[s, 1]
            along = min(max(dx * segments[s, 2] + dy * segments[s, 3], 0.0), segments[s, 4])
            dx, dy = dx - along * segments[s, 2], dy - along * segments[s, 3]
            if dx * dx + dy * dy <= limit:
                return True
    return False
