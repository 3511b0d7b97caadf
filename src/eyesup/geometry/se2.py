"""Planar poses (x, y, heading) and their composition: the group SE(2). Metres and radians, counter-clockwise positive."""

from __future__ import annotations

from typing import overload

import numpy as np
from jaxtyping import Float


@overload
def wrap_angle(angle: float | np.floating) -> float: ...
@overload
def wrap_angle(angle: np.ndarray) -> np.ndarray: ...
def wrap_angle(angle: float | np.floating | np.ndarray) -> float | np.ndarray:
    """The same angle in [-pi, pi), element by element; a scalar becomes a NumPy float.

    Angles already in the interval are returned unchanged, bit by bit.
    """
    angle = np.asarray(angle, dtype=np.float64)
    wrapped = np.mod(angle + np.pi, 2.0 * np.pi) - np.pi
    inside = (angle >= -np.pi) & (angle < np.pi)
    return np.where(inside, angle, np.where(wrapped >= np.pi, -np.pi, wrapped))[()]


def rotate(xy: Float[np.ndarray, "... 2"], heading: float | np.floating | np.ndarray) -> Float[np.ndarray, "... 2"]:
    """Turn vectors counter-clockwise by `heading`, which broadcasts against the leading axes of `xy`."""
    cos, sin = np.cos(heading), np.sin(heading)
    x, y = xy[..., 0], xy[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def from_frame(
    poses: Float[np.ndarray, "*#batch 3"], origin: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "... 3"]:
    """Poses given in the frame `origin`, expressed in the frame that `origin` itself is given in."""
    return se2_compose(origin, poses)


def to_frame(
    poses: Float[np.ndarray, "*#batch 3"], origin: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "... 3"]:
    """Poses expressed in the frame `origin`; both given in one common frame. Inverse of `from_frame`."""
    xy = rotate(poses[..., :2] - origin[..., :2], -origin[..., 2])
    heading = wrap_angle(poses[..., 2] - origin[..., 2])
    return np.concatenate([xy, np.asarray(heading)[..., None]], axis=-1)


def points_from_frame(
    points: Float[np.ndarray, "*#batch 2"], origin: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "... 2"]:
    """As `from_frame`, for points without a heading."""
    return rotate(points, origin[..., 2]) + origin[..., :2]


def points_to_frame(
    points: Float[np.ndarray, "*#batch 2"], origin: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "... 2"]:
    """As `to_frame`, for points without a heading."""
    return rotate(points - origin[..., :2], -origin[..., 2])


def se2_compose(a: Float[np.ndarray, "*#batch 3"], b: Float[np.ndarray, "*#batch 3"]) -> Float[np.ndarray, "... 3"]:
    """The pose reached by first moving to `a`, then by `b` as seen from `a`. Headings come back in [-pi, pi)."""
    xy = rotate(b[..., :2], a[..., 2]) + a[..., :2]
    heading = wrap_angle(a[..., 2] + b[..., 2])
    return np.concatenate([xy, np.asarray(heading)[..., None]], axis=-1)


def se2_inverse(pose: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """The pose that undoes `pose`: composing the two gives (0, 0, 0)."""
    xy = -rotate(pose[..., :2], -pose[..., 2])
    return np.concatenate([xy, np.asarray(wrap_angle(-pose[..., 2]))[..., None]], axis=-1)
