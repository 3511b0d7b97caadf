"""Polygons in the plane: point tests, hulls, areas. Rings are (P, 2) and not closed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def contains(ring: Float[np.ndarray, "P 2"], points: Float[np.ndarray, "*batch 2"]) -> Bool[np.ndarray, "*batch"]:
    """Whether points lie inside the ring (even-odd rule). A point exactly on an edge may count either way."""
    x, y = points[..., 0, None], points[..., 1, None]
    x0, y0 = ring[:, 0], ring[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    straddles = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)  # flat edges never straddle
    crosses = straddles & (x < x0 + (y - y0) * (x1 - x0) / rise)
    return np.asarray(crosses.sum(-1) % 2 == 1)


def signed_area(ring: Float[np.ndarray, "P 2"]) -> float:
    """Area in square metres (or pixels); positive when the ring runs counter-clockwise with y up."""
    following = np.roll(ring, -1, axis=0)
    return float(0.5 * (ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1]).sum())


def convex_hull(points: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "H 2"]:
    """Convex hull, counter-clockwise with y up, collinear points dropped (Andrew's monotone chain)."""
    ordered = np.unique(points, axis=0)
    if len(ordered) < 3:
        return ordered
    lower, upper = _half_hull(ordered), _half_hull(ordered[::-1])
    return np.array(lower[:-1] + upper[:-1])


def _half_hull(ordered: np.ndarray) -> list[np.ndarray]:
    chain: list[np.ndarray] = []
    for point in ordered:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
