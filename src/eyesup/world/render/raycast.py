"""Analytic depth: rays against the ground plane and oriented boxes. Independent of the rasteriser, so it also checks it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32

from eyesup.types import Agents, Camera, Scene
from eyesup.world.render.street import HEAD_HALF_HEIGHT_M, boxes_of_props


@dataclass(frozen=True)
class Boxes:
    """Upright boxes in the ego frame: footprint centre and heading, size, height of the underside.

    Attributes:
        poses: (N, 3) float64 x, y [m], heading [rad].
        sizes: (N, 3) float64 length, width, height [m].
        bottom_z: (N,) float64 metres.
        slots: (N,) int32 agent row + 1; 0 for scenery.
    """

    poses: np.ndarray
    sizes: np.ndarray
    bottom_z: np.ndarray
    slots: np.ndarray

    def __len__(self) -> int:
        return len(self.poses)


def scene_boxes(scene: Scene, agents: Agents, agent_step: int, step: int, reach_m: float) -> Boxes:
    """Boxes of agents, props and signal heads within `reach_m` of the ego, in the ego frame at `step`."""
    rows = np.flatnonzero(agents.valid[:, agent_step])
    prop_poses, prop_sizes, prop_bottoms = boxes_of_props(scene.props)
    heads = scene.signals.poses
    head_size = np.array([0.3, 1.05, 2 * HEAD_HALF_HEIGHT_M])
    poses = np.concatenate([agents.poses[rows, agent_step], prop_poses, heads[:, [0, 1, 3]]])
    sizes = np.concatenate([agents.sizes[rows], prop_sizes, np.tile(head_size, (len(heads), 1))]).astype(np.float64)
    bottoms = np.concatenate([agents.bottom_z[rows, agent_step], prop_bottoms, heads[:, 2] - HEAD_HALF_HEIGHT_M])
    slots = np.concatenate([rows + 1, np.zeros(len(prop_poses) + len(heads), np.int64)]).astype(np.int32)
    x, y, heading = scene.ego_poses[step]
    cos, sin = np.cos(heading), np.sin(heading)
    delta = poses[:, :2] - [x, y]
    local = np.stack(
        [cos * delta[:, 0] + sin * delta[:, 1], cos * delta[:, 1] - sin * delta[:, 0], poses[:, 2] - heading], -1
    )
    near = np.hypot(local[:, 0], local[:, 1]) < reach_m
    return Boxes(local[near], sizes[near], bottoms[near].astype(np.float64), slots[near])


def cast(camera: Camera, boxes: Boxes) -> tuple[Float32[np.ndarray, "H W"], Int32[np.ndarray, "H W"]]:
    """Depth along the optical axis (inf: nothing hit) and slot of the nearest box (0: ground, scenery or sky)."""
    origin = camera.ego_from_cam[:3, 3]
    rays = _rays(camera)  # (H, W, 3); unit depth, so ray parameter = depth
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
    slots = np.zeros(depth.shape, np.int32)
    for index in range(len(boxes)):
        window = _window(camera, boxes, index)
        if window is None:
            continue
        hit = _slab(origin, rays[window], boxes, index)
        nearer = hit < depth[window]
        depth[window] = np.where(nearer, hit, depth[window])
        slots[window] = np.where(nearer, boxes.slots[index], slots[window])
    return depth.astype(np.float32), slots


def _rays(camera: Camera) -> Float64[np.ndarray, "H W 3"]:
    """Ray of each pixel centre in the ego frame, with 1 metre along the optical axis."""
    u, v = np.meshgrid(np.arange(camera.width_px) + 0.5, np.arange(camera.height_px) + 0.5)
    pixels = np.stack([u, v, np.ones_like(u)], axis=-1)
    return pixels @ (camera.ego_from_cam[:3, :3] @ np.linalg.inv(camera.intrinsics)).T


def _window(camera: Camera, boxes: Boxes, index: int) -> tuple[slice, slice] | None:
    """Pixels that a box can cover; None when it lies behind the camera or outside the picture."""
    corners = _corners(boxes, index)
    in_cam = (corners - camera.ego_from_cam[:3, 3]) @ camera.ego_from_cam[:3, :3]
    if (in_cam[:, 2] < 0.05).all():
        return None
    if (in_cam[:, 2] < 0.05).any():
        return slice(0, camera.height_px), slice(0, camera.width_px)
    uv = in_cam @ camera.intrinsics.T
    uv = uv[:, :2] / uv[:, 2:]
    low = np.maximum(np.floor(uv.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(uv.max(0)).astype(int) + 1, [camera.width_px, camera.height_px])
    if (low >= high).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def _corners(boxes: Boxes, index: int) -> Float64[np.ndarray, "8 3"]:
    x, y, heading = boxes.poses[index]
    length, width, height = boxes.sizes[index]
    unit = np.array([[i, j] for i in (-0.5, 0.5) for j in (-0.5, 0.5)]) * [length, width]
    turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
    flat = unit @ turn + [x, y]
    bottom = boxes.bottom_z[index]
    return np.concatenate([np.insert(flat, 2, z, axis=1) for z in (bottom, bottom + height)])


def _slab(
    origin: Float64[np.ndarray, "3"], rays: Float[np.ndarray, "h w 3"], boxes: Boxes, index: int
) -> Float[np.ndarray, "h w"]:
    """Depth at which rays enter a box; inf where they miss it."""
    x, y, heading = boxes.poses[index]
    cos, sin = np.cos(heading), np.sin(heading)
    to_box = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    half = boxes.sizes[index] / 2
    start = to_box @ (origin - [x, y, boxes.bottom_z[index] + half[2]])
    direction = rays @ to_box.T
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (-half - start) / direction, (half - start) / direction
    enter = np.fmin(a, b).max(-1)
    leave = np.fmax(a, b).min(-1)
    return np.where((leave >= enter) & (enter > 0), enter, np.inf)
