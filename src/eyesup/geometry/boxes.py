"""Oriented rectangles in the plane: corners, exact overlap, distance. Batched over any leading axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from eyesup.geometry.se2 import rotate

FRONT_LEFT, REAR_LEFT, REAR_RIGHT, FRONT_RIGHT = range(4)
_Vector = tuple[Any, Any]  # x, y: arrays, or floats for a single box
_SIGNS = 0.5 * np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])


def box_corners(
    poses: Float[np.ndarray, "*batch 3"], lengths: float | np.ndarray, widths: float | np.ndarray
) -> Float[np.ndarray, "*batch 4 2"]:
    """Corners of boxes centred on `poses`: front left, rear left, rear right, front right (counter-clockwise).

    Args:
        poses: Box centres and headings [m, m, rad].
        lengths, widths: Extent along and across the heading [m]; broadcast against the leading axes of `poses`.
    """
    batch = poses.shape[:-1]
    extent = np.stack([np.broadcast_to(lengths, batch), np.broadcast_to(widths, batch)], axis=-1)
    local = extent[..., None, :] * _SIGNS
    return rotate(local, poses[..., 2, None]) + poses[..., None, :2]


def boxes_overlap(
    corners_a: Float[np.ndarray, "*#batch 4 2"], corners_b: Float[np.ndarray, "*#batch 4 2"]
) -> Bool[np.ndarray, "..."]:
    """Whether rectangles share a point; touching counts. Exact: the separating-axis theorem on the four edge directions."""
    center_a, long_a, wide_a = _half_axes(corners_a)
    center_b, long_b, wide_b = _half_axes(corners_b)
    offset = (center_b[0] - center_a[0], center_b[1] - center_a[1])
    separated = np.zeros((), bool)
    for axis in (long_a, wide_a, long_b, wide_b):
        reach = sum(np.abs(_dot(half, axis)) for half in (long_a, wide_a, long_b, wide_b))
        separated = separated | (np.abs(_dot(offset, axis)) > reach)
    return np.asarray(~separated)


def _half_axes(corners: np.ndarray) -> tuple[_Vector, _Vector, _Vector]:
    """Centre, half length vector and half width vector of rectangles. Separate x and y keep the arrays long and fast."""
    x, y = corners[..., 0], corners[..., 1]
    front_left, rear_left, rear_right, front_right = ((x[..., i], y[..., i]) for i in range(4))
    return _mean(front_left, rear_right), _half(front_left, rear_left), _half(front_left, front_right)


def _mean(a: _Vector, b: _Vector) -> _Vector:
    return 0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1])


def _half(a: _Vector, b: _Vector) -> _Vector:
    return 0.5 * (a[0] - b[0]), 0.5 * (a[1] - b[1])


def _dot(a: _Vector, b: _Vector) -> Any:
    return a[0] * b[0] + a[1] * b[1]


def box_distance(
    corners_a: Float[np.ndarray, "*#batch 4 2"], corners_b: Float[np.ndarray, "*#batch 4 2"]
) -> Float[np.ndarray, "..."]:
    """Smallest distance between two rectangles [m]; 0 where they overlap."""
    apart = np.minimum(_corner_edge_distance(corners_a, corners_b), _corner_edge_distance(corners_b, corners_a))
    return np.asarray(np.where(boxes_overlap(corners_a, corners_b), 0.0, apart))


def _corner_edge_distance(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Smallest distance from any corner in `points` to any edge of `corners`."""
    start = corners[..., None, :, :]  # (..., 1, 4 edges, 2)
    edge = np.roll(corners, -1, axis=-2)[..., None, :, :] - start
    offset = points[..., :, None, :] - start  # (..., 4 points, 4 edges, 2)
    share = np.clip((offset * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-12), 0.0, 1.0)
    return np.asarray(np.linalg.norm(offset - share[..., None] * edge, axis=-1).min((-1, -2)))
