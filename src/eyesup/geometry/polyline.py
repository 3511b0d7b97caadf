"""Polylines parametrised by arc length: the paths that cars follow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from eyesup.geometry.se2 import wrap_angle

CORNER_BLEND_M = 1.0  # half length over which the heading turns at a vertex between long segments
_MIN_SEGMENT_M = 1e-6


class Polyline:
    """A path through points, looked up by arc length.

    Position is linear between points. Heading equals the segment's direction, except near a vertex, where it turns
    linearly over `CORNER_BLEND_M` before and after (or half of a shorter segment): on a finely sampled curve this
    is the second-order tangent, and a long straight segment keeps its direction.

    Attributes:
        points: (P, 2) float64 metres, consecutive duplicates removed.
        s: (P,) float64 arc length of each point, starting at 0.
        length: Total length in metres.
    """

    def __init__(self, points: Float[np.ndarray, "P 2"]) -> None:
        points = np.asarray(points, dtype=np.float64)
        points = points[np.append(True, np.linalg.norm(np.diff(points, axis=0), axis=-1) > _MIN_SEGMENT_M)]
        if len(points) < 2:
            raise ValueError(f"polyline: {len(points)} distinct point(s), needs at least 2")
        edges = np.diff(points, axis=0)
        lengths = np.linalg.norm(edges, axis=-1)
        self.points = points
        self.s = np.append(0.0, np.cumsum(lengths))
        self.length = float(self.s[-1])
        self._lengths = lengths
        self._tangents = np.asfortranarray(edges / lengths[:, None])  # columns contiguous for `project`
        self._heading_s, self._headings = _heading_table(self.s, self._tangents)

    def at(
        self, s: float | np.ndarray, lateral: float | np.ndarray = 0.0, extend: bool = False
    ) -> Float[np.ndarray, "... 3"]:
        """Pose at arc length `s`, moved `lateral` metres to the left.

        Beyond the ends the path's first or last pose is held, or continued straight with `extend`.
        """
        s = np.asarray(s, dtype=np.float64)
        clamped = np.clip(s, 0.0, self.length)
        heading = np.interp(clamped, self._heading_s, self._headings)
        cos, sin = np.cos(heading), np.sin(heading)
        ahead = s - clamped if extend else 0.0
        x = np.interp(clamped, self.s, self.points[:, 0]) + ahead * cos - lateral * sin
        y = np.interp(clamped, self.s, self.points[:, 1]) + ahead * sin + lateral * cos
        return np.stack(np.broadcast_arrays(x, y, wrap_angle(heading)), axis=-1)

    def curvature(self, s: float | np.ndarray) -> Float[np.ndarray, "..."]:
        """Change of heading per metre [1/m], left positive; piecewise constant, 0 beyond the ends."""
        s = np.asarray(s, dtype=np.float64)
        cell = np.clip(np.searchsorted(self._heading_s, s, side="right") - 1, 0, len(self._heading_s) - 2)
        slope = np.diff(self._headings) / np.diff(self._heading_s)
        return np.asarray(np.where((s < 0) | (s > self.length), 0.0, slope[cell]))

    def project(
        self, xy: Float[np.ndarray, "*batch 2"]
    ) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
        """Arc length of the nearest point, and the signed distance to it (left positive).

        The nearest point is clamped to the ends; beyond an end the distance is the offset across the end segment's
        direction. Of several equally near points the first is taken.
        """
        query = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        tangent_x, tangent_y = self._tangents.T
        offset_x = query[:, :1] - self.points[None, :-1, 0]  # (Q, P - 1)
        offset_y = query[:, 1:] - self.points[None, :-1, 1]
        along = np.minimum(np.maximum(offset_x * tangent_x + offset_y * tangent_y, 0.0), self._lengths)
        offset_x -= along * tangent_x
        offset_y -= along * tangent_y
        squared = offset_x * offset_x + offset_y * offset_y
        row = np.arange(len(query))
        best = squared.argmin(axis=1)
        along = along[row, best]
        lateral = self._signed_distance(best, along, offset_x[row, best], offset_y[row, best], squared[row, best])
        shape = np.shape(xy)[:-1]
        return (self.s[best] + along).reshape(shape), lateral.reshape(shape)

    def _signed_distance(
        self, best: np.ndarray, along: np.ndarray, dx: np.ndarray, dy: np.ndarray, squared: np.ndarray
    ) -> np.ndarray:
        """Side of the path from the tangent at the nearest point; at an inner vertex that is the bisector."""
        last = len(self._lengths) - 1
        at_start, at_end = along <= 0.0, along >= self._lengths[best]
        other = np.clip(best + at_end.astype(int) - at_start.astype(int), 0, last)
        tangent = self._tangents[best] + self._tangents[other]
        side = tangent[:, 0] * dy - tangent[:, 1] * dx
        beyond = (at_start & (best == 0)) | (at_end & (best == last))
        across = self._tangents[best, 0] * dy - self._tangents[best, 1] * dx
        return np.where(beyond, across, np.copysign(np.sqrt(squared), side))

    def cut(self, start: float, end: float) -> Float[np.ndarray, "Q 2"]:
        """Points of the piece between two arc lengths (0 <= start < end <= length), ends included."""
        inner = (self.s > start + _MIN_SEGMENT_M) & (self.s < end - _MIN_SEGMENT_M)
        return np.concatenate([self.at(start)[None, :2], self.points[inner], self.at(end)[None, :2]])


def _heading_table(s: np.ndarray, tangents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots (arc length, unwrapped heading): constant inside segments, linear across the blends at inner vertices."""
    directions = np.arctan2(tangents[:, 1], tangents[:, 0])
    turns = np.asarray(wrap_angle(np.diff(directions)))
    directions = directions[0] + np.append(0.0, np.cumsum(turns))
    if len(directions) == 1:
        return s, np.repeat(directions, 2)
    half = np.minimum(CORNER_BLEND_M, 0.5 * np.diff(s))
    before, after = s[1:-1] - half[:-1], s[1:-1] + half[1:]
    knots = np.concatenate([[s[0]], np.stack([before, after], axis=-1).ravel(), [s[-1]]])
    headings = np.concatenate(
        [directions[:1], np.stack([directions[:-1], directions[1:]], axis=-1).ravel(), directions[-1:]]
    )
    keep = np.append(True, np.diff(knots) > 1e-9)
    return knots[keep], headings[keep]


def resample(points: Float[np.ndarray, "P 2"], step: float) -> Float[np.ndarray, "Q 2"]:
    """Points evenly spaced along the path, ends included; the spacing is the largest that divides the length and is <= `step`."""
    line = Polyline(points)
    count = max(int(np.ceil(line.length / step - 1e-9)), 1)
    return line.at(np.linspace(0.0, line.length, count + 1))[:, :2]
