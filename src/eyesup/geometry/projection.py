"""From the ego frame to pixels: pinhole projection, clipping at the near plane, boxes in three dimensions."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from eyesup.geometry.boxes import box_corners

NEAR_M = 0.1
# Corners 0-3 are the underside in the order of `box_corners`, 4-7 the top.
BOX_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))


@runtime_checkable
class PinholeCamera(Protocol):
    """What projection needs of a camera; `eyesup.types.Camera` is one.

    `intrinsics` (3, 3) in pixels, `ego_from_cam` (4, 4) in metres with camera axes x right, y down, z forward.
    """

    @property
    def intrinsics(self) -> np.ndarray: ...
    @property
    def ego_from_cam(self) -> np.ndarray: ...
    @property
    def width_px(self) -> int: ...
    @property
    def height_px(self) -> int: ...


def to_camera(points_ego: Float[np.ndarray, "*batch 3"], camera: PinholeCamera) -> Float[np.ndarray, "*batch 3"]:
    """Points in camera axes (x right, y down, z forward) [m]."""
    rotation, translation = camera.ego_from_cam[:3, :3], camera.ego_from_cam[:3, 3]
    return (points_ego - translation) @ rotation


def project(
    points_ego: Float[np.ndarray, "*batch 3"], camera: PinholeCamera
) -> tuple[Float[np.ndarray, "*batch 2"], Float[np.ndarray, "*batch"]]:
    """Pixel coordinates (u right, v down) and depth along the optical axis [m].

    `uv` is meaningful only where depth > 0; nearer than `NEAR_M` it is computed as if at the near plane, so it stays finite.
    """
    in_camera = to_camera(points_ego, camera)
    return _pixels(in_camera, camera), np.asarray(in_camera[..., 2])


def _pixels(in_camera: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    depth = np.maximum(in_camera[..., 2:], NEAR_M)
    rays = np.concatenate([in_camera[..., :2] / depth, np.ones_like(depth)], axis=-1)
    return rays @ camera.intrinsics[:2].T


def in_image(
    uv: Float[np.ndarray, "*batch 2"], depth: Float[np.ndarray, "*batch"], camera: PinholeCamera
) -> Bool[np.ndarray, "*batch"]:
    """Whether projected points lie in front of the camera and inside the image."""
    u, v = uv[..., 0], uv[..., 1]
    return np.asarray((depth > NEAR_M) & (u >= 0) & (u < camera.width_px) & (v >= 0) & (v < camera.height_px))


def clip_segments(
    segments_ego: Float[np.ndarray, "*batch 2 3"], camera: PinholeCamera, near_m: float = NEAR_M
) -> tuple[Float[np.ndarray, "*batch 2 2"], Bool[np.ndarray, "*batch"]]:
    """Pixels of segments cut at the near plane, and whether anything of the segment lies in front of it.

    Pixels may lie outside the image; those of segments that are not visible carry no meaning.
    """
    ends = to_camera(segments_ego, camera)
    a, b = ends[..., 0, :], ends[..., 1, :]
    in_front_a, in_front_b = a[..., 2] >= near_m, b[..., 2] >= near_m
    run = b[..., 2] - a[..., 2]
    share = ((near_m - a[..., 2]) / np.where(run == 0, 1.0, run))[..., None]
    crossing = a + share * (b - a)
    crossing[..., 2] = near_m
    cut_a = np.where(in_front_a[..., None], a, crossing)
    cut_b = np.where(in_front_b[..., None], b, crossing)
    return _pixels(np.stack([cut_a, cut_b], axis=-2), camera), np.asarray(in_front_a | in_front_b)


def clip_polyline_to_camera(
    points_ego: Float[np.ndarray, "P 3"], camera: PinholeCamera, near_m: float = NEAR_M
) -> list[Float[np.ndarray, "_ 2"]]:
    """Pixel polylines of the pieces in front of the near plane; empty when there is none. Not clipped to the image."""
    if len(points_ego) < 2:
        return []
    uv, visible = clip_segments(np.stack([points_ego[:-1], points_ego[1:]], axis=1), camera, near_m)
    in_front = to_camera(points_ego, camera)[:, 2] >= near_m
    pieces: list[np.ndarray] = []
    for i in np.flatnonzero(visible):
        if i > 0 and in_front[i]:  # goes on from the segment before
            pieces[-1] = np.concatenate([pieces[-1], uv[i, 1:]])
        else:
            pieces.append(uv[i])
    return pieces


def box_corners_3d(
    poses: Float[np.ndarray, "*batch 3"],
    sizes: Float[np.ndarray, "*batch 3"],
    bottom_z: float | Float[np.ndarray, "*batch"] = 0.0,
) -> Float[np.ndarray, "*batch 8 3"]:
    """Corners of upright boxes: the underside in the order of `box_corners`, then the top.

    Args:
        poses: Centre x, y and heading.
        sizes: Length, width, height [m].
        bottom_z: Height of the underside [m].
    """
    flat = box_corners(poses, sizes[..., 0], sizes[..., 1])
    low = np.broadcast_to(np.asarray(bottom_z, dtype=np.float64), poses.shape[:-1])
    high = low + sizes[..., 2]
    z = np.stack([low, high], axis=-1).repeat(4, axis=-1)
    return np.concatenate([np.concatenate([flat, flat], axis=-2), z[..., None]], axis=-1)


def box_edges_3d(
    poses: Float[np.ndarray, "*batch 3"],
    sizes: Float[np.ndarray, "*batch 3"],
    bottom_z: float | Float[np.ndarray, "*batch"] = 0.0,
) -> Float[np.ndarray, "*batch 12 2 3"]:
    """The twelve edges of upright boxes as segments, ready for `clip_segments`."""
    return box_corners_3d(poses, sizes, bottom_z)[..., np.array(BOX_EDGES), :]
