"""Whom the car hits, whom it would soon hit, and red lights it stands on. Compiled.

Boxes touch when they share a point, boundaries included (separating axes). Every agent is judged by itself: the first
overlap decides whether it counts or is excused from then on, so neither result depends on the order of the agents.
"""

from __future__ import annotations

import math
from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from eyesup.scoring.pdm.areas import (
    AXLE_IN_INTERSECTION,
    BOX_COS,
    BOX_SIN,
    BOX_X,
    BOX_Y,
    HALF_LENGTH,
    HALF_WIDTH,
    MULTIPLE_LANES,
    NON_DRIVABLE,
)
from eyesup.scoring.pdm.simulate import VX, VY, X, Y

IS_ROAD_USER, IS_MOVING = 1, 2  # bits of an agent's kind; the speed is that of its first sighting

STOPPED_EGO_MPS = 0.05
STOPPED_TTC_MPS = 0.005  # a slower ego has no time to collision
STATIC_OBJECT_SCORE = 0.5  # NC after hitting a cone, a barrier or another object
AHEAD_COS, BEHIND_COS = math.cos(math.radians(30.0)), math.cos(math.radians(150.0))
TTC_STEPS = (0, 3, 6, 9)  # looked ahead, in samples
TTC_REACH_S = 0.9
SAMPLES_PER_FRAME = 5  # lights are known at 2 Hz
RADIUS = math.hypot(HALF_LENGTH, HALF_WIDTH)
NEVER = -1  # no such sample


class AgentTracks(NamedTuple):
    """Agents at 10 Hz, as arrays for compiled code.

    Attributes:
        boxes: (A, T, 4) centre and direction, as the ego's boxes.
        extent: (A, 3) half length, half width, radius of the circle around [m].
        present: (A, 2) first and last sample at which the agent exists.
        kind: (A,) bits IS_ROAD_USER, IS_MOVING.
        bounds: (A, 4) lowest and highest x and y that its circle ever reaches.
    """

    boxes: np.ndarray
    extent: np.ndarray
    present: np.ndarray
    kind: np.ndarray
    bounds: np.ndarray


@njit(cache=True, nogil=True)
@no_type_check
def contacts(states, boxes, flags, agents, ttc_last, at_fault, fault_sample, ttc, ttc_sample):
    """NC and TTC.

    Args:
        states, boxes, flags: (K, T, ...) from the simulation and `areas.locate`.
        agents: AgentTracks.
        ttc_last: Last sample from which is looked ahead.
        at_fault, fault_sample: (K,) filled with NC and the first sample at fault.
        ttc, ttc_sample: (K,) filled with TTC and the first sample without a margin.
    """
    tracks, extent, present, kind, bounds = agents
    reach = np.empty(4)
    for k in range(states.shape[0]):
        score, sample, ttc_found = 1.0, NEVER, NEVER
        _reach(states[k], boxes[k], reach)
        for a in range(len(kind)):
            if reach[0] > bounds[a, 1] or reach[1] < bounds[a, 0] or reach[2] > bounds[a, 3] or reach[3] < bounds[a, 2]:
                continue
            hit = _collision(states[k], boxes[k], flags[k], tracks[a], extent[a], present[a], kind[a])
            if hit != NEVER:
                score = min(score, 0.0 if kind[a] & IS_ROAD_USER else STATIC_OBJECT_SCORE)
                sample = hit if sample == NEVER else min(sample, hit)
            near = _time_to_collision(states[k], boxes[k], flags[k], tracks[a], extent[a], present[a], ttc_last)
            if near != NEVER:
                ttc_found = near if ttc_found == NEVER else min(ttc_found, near)
        at_fault[k], fault_sample[k] = score, sample
        ttc[k], ttc_sample[k] = 1.0 if ttc_found == NEVER else 0.0, ttc_found


@njit(cache=True, nogil=True)
@no_type_check
def _reach(states, boxes, reach):
    """Lowest and highest x and y of the ego's circle, look-ahead included."""
    reach[0], reach[1], reach[2], reach[3] = np.inf, -np.inf, np.inf, -np.inf
    for i in range(len(boxes)):
        look_ahead = TTC_REACH_S * math.hypot(states[i, VX], states[i, VY])
        for ahead in (0.0, look_ahead):
            x, y = boxes[i, BOX_X] + ahead * boxes[i, BOX_COS], boxes[i, BOX_Y] + ahead * boxes[i, BOX_SIN]
            reach[0], reach[1] = min(reach[0], x - RADIUS), max(reach[1], x + RADIUS)
            reach[2], reach[3] = min(reach[2], y - RADIUS), max(reach[3], y + RADIUS)


@njit(cache=True, nogil=True)
@no_type_check
def _collision(states, boxes, flags, tracks, extent, present, kind):
    """First sample of a collision at fault with one agent; NEVER when the first contact is not the ego's fault."""
    half_length, half_width, radius = extent
    for i in range(present[0], min(present[1], len(boxes) - 1) + 1):
        box, other = boxes[i], tracks[i]
        dx, dy = other[BOX_X] - box[BOX_X], other[BOX_Y] - box[BOX_Y]
        if dx * dx + dy * dy > (RADIUS + radius) ** 2:
            continue
        if not _overlap(dx, dy, box[BOX_COS], box[BOX_SIN], HALF_LENGTH, HALF_WIDTH, other, half_length, half_width):
            continue
        if math.hypot(states[i, VX], states[i, VY]) <= STOPPED_EGO_MPS:
            return NEVER
        if kind & (IS_ROAD_USER | IS_MOVING) != IS_ROAD_USER | IS_MOVING:
            return i
        if _behind(states[i], box, other):
            return NEVER
        dx, dy = dx - HALF_LENGTH * box[BOX_COS], dy - HALF_LENGTH * box[BOX_SIN]  # from the front edge
        front = _overlap(dx, dy, box[BOX_COS], box[BOX_SIN], 0.0, HALF_WIDTH, other, half_length, half_width)
        return i if front or flags[i] & (MULTIPLE_LANES | NON_DRIVABLE) else NEVER
    return NEVER


@njit(cache=True, nogil=True)
@no_type_check
def _time_to_collision(states, boxes, flags, tracks, extent, present, last_sample):
    """First sample at which the ego, keeping its velocity, would hit one agent ahead; NEVER when that contact is excused."""
    half_length, half_width, radius = extent
    for i in range(last_sample + 1):
        speed = math.hypot(states[i, VX], states[i, VY])
        if speed < STOPPED_TTC_MPS:
            continue
        box = boxes[i]
        for ahead in TTC_STEPS:
            j = i + ahead
            if j < present[0] or j > present[1]:
                continue
            other = tracks[j]
            moved = speed * ahead * 0.1
            dx = other[BOX_X] - box[BOX_X] - moved * box[BOX_COS]
            dy = other[BOX_Y] - box[BOX_Y] - moved * box[BOX_SIN]
            if dx * dx + dy * dy > (RADIUS + radius) ** 2:
                continue
            if not _overlap(
                dx, dy, box[BOX_COS], box[BOX_SIN], HALF_LENGTH, HALF_WIDTH, other, half_length, half_width
            ):
                continue
            beside = flags[i] & (MULTIPLE_LANES | NON_DRIVABLE | AXLE_IN_INTERSECTION)
            if _ahead(states[i], box, other) or (beside and not _behind(states[i], box, other)):
                return i
            return NEVER
    return NEVER


@njit(cache=True, nogil=True)
@no_type_check
def _ahead(state, box, other):
    """Whether the agent's centre lies within 30 degrees of the heading, seen from the rear axle."""
    dx, dy = other[BOX_X] - state[X], other[BOX_Y] - state[Y]
    return dx * box[BOX_COS] + dy * box[BOX_SIN] > AHEAD_COS * math.hypot(dx, dy)


@njit(cache=True, nogil=True)
@no_type_check
def _behind(state, box, other):
    """Whether the agent's centre lies more than 150 degrees from the heading, seen from the rear axle."""
    dx, dy = other[BOX_X] - state[X], other[BOX_Y] - state[Y]
    return dx * box[BOX_COS] + dy * box[BOX_SIN] < BEHIND_COS * math.hypot(dx, dy)


@njit(cache=True, nogil=True)
@no_type_check
def _overlap(dx, dy, cos, sin, half_length, half_width, other, other_length, other_width):
    """Whether two rectangles share a point; (dx, dy) leads from the first centre to the second. Half extents [m]."""
    turn_cos = abs(cos * other[BOX_COS] + sin * other[BOX_SIN])
    turn_sin = abs(cos * other[BOX_SIN] - sin * other[BOX_COS])
    if abs(dx * cos + dy * sin) > half_length + other_length * turn_cos + other_width * turn_sin:
        return False
    if abs(dy * cos - dx * sin) > half_width + other_length * turn_sin + other_width * turn_cos:
        return False
    along = abs(dx * other[BOX_COS] + dy * other[BOX_SIN])
    if along > other_length + half_length * turn_cos + half_width * turn_sin:
        return False
    across = abs(dy * other[BOX_COS] - dx * other[BOX_SIN])
    return across <= other_width + half_length * turn_sin + half_width * turn_cos


@njit(cache=True, nogil=True)
@no_type_check
def red_lights(boxes, ring_x, ring_y, ring_start, red_polygons, red_frames, free, red_sample):
    """TLC: 0 where the box ever shares a point with the polygon of a lane while its light is red.

    Args:
        boxes: (K, T, 4).
        ring_x, ring_y, ring_start: Closed rings, as in `Grid`.
        red_polygons: (R,) rings of lanes that are red at some time.
        red_frames: (R, F) whether they are, at 2 Hz.
        free, red_sample: (K,) filled with TLC and the first sample on red.
    """
    for k in range(boxes.shape[0]):
        free[k], red_sample[k] = 1.0, NEVER
    for r in range(len(red_polygons)):
        first, end = ring_start[red_polygons[r]], ring_start[red_polygons[r] + 1]
        low_x = low_y = np.inf
        high_x = high_y = -np.inf
        for v in range(first, end):
            low_x, high_x = min(low_x, ring_x[v]), max(high_x, ring_x[v])
            low_y, high_y = min(low_y, ring_y[v]), max(high_y, ring_y[v])
        for k in range(boxes.shape[0]):
            last = boxes.shape[1] if red_sample[k] == NEVER else red_sample[k]
            for i in range(last):
                if not red_frames[r, min(i // SAMPLES_PER_FRAME, red_frames.shape[1] - 1)]:
                    continue
                x, y = boxes[k, i, BOX_X], boxes[k, i, BOX_Y]
                if x < low_x - RADIUS or x > high_x + RADIUS or y < low_y - RADIUS or y > high_y + RADIUS:
                    continue
                if _box_meets_ring(boxes[k, i], ring_x, ring_y, first, end):
                    free[k], red_sample[k] = 0.0, i
                    break


@njit(cache=True, nogil=True)
@no_type_check
def _box_meets_ring(box, ring_x, ring_y, first, end):
    """Whether the ego's box shares a point with a polygon: an edge meets the box, or the box lies wholly inside."""
    inside = False
    x0, y0 = _in_box_frame(box, ring_x[first], ring_y[first])
    for v in range(first + 1, end):
        x1, y1 = _in_box_frame(box, ring_x[v], ring_y[v])
        if _segment_meets_box(x0, y0, x1, y1):
            return True
        if (x0 <= 0.0) != (x1 <= 0.0) and y0 - x0 * (y1 - y0) / (x1 - x0) > 0.0:
            inside = not inside
        x0, y0 = x1, y1
    return inside


@njit(cache=True, nogil=True)
@no_type_check
def _in_box_frame(box, x, y):
    dx, dy = x - box[BOX_X], y - box[BOX_Y]
    return dx * box[BOX_COS] + dy * box[BOX_SIN], dy * box[BOX_COS] - dx * box[BOX_SIN]


@njit(cache=True, nogil=True)
@no_type_check
def _segment_meets_box(x0, y0, x1, y1):
    """Separating axes of a segment and the ego's box, in the frame of the box."""
    if min(x0, x1) > HALF_LENGTH or max(x0, x1) < -HALF_LENGTH:
        return False
    if min(y0, y1) > HALF_WIDTH or max(y0, y1) < -HALF_WIDTH:
        return False
    dx, dy = x1 - x0, y1 - y0
    return abs(x0 * dy - y0 * dx) <= HALF_LENGTH * abs(dy) + HALF_WIDTH * abs(dx)
