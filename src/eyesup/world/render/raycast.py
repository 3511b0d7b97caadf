"""Analytic depth: rays against the ground plane and oriented boxes. Independent of the rasteriser, so it also checks it.

Along a pixel grid the inverse depth of any plane is an affine function of the pixel, so a box costs a few additions and
comparisons per pixel that it may cover: a ray enters where the last of the planes before it is crossed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, Int64, UInt8

from eyesup.types import Agents, Camera, PropKind, Props, Scene, SemanticClass, Signals, SignalState
from eyesup.world.render.street import HEAD_HALF_HEIGHT_M

HEAD_SIZE_M = (0.3, 1.05, 2 * HEAD_HALF_HEIGHT_M)
SIGN_SIZE_M = (0.15, 0.84, 0.84)
NEAR_M = 0.05  # a corner nearer to the camera than this makes its box cover the whole picture
TOUCH_M = 1e-9
GROUND = (
    SemanticClass.ROAD, SemanticClass.PAINT, SemanticClass.CROSSWALK, SemanticClass.SIDEWALK, SemanticClass.GRASS
)  # fmt: skip


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

    def rows(self, rows: np.ndarray) -> Boxes:
        """Some of the boxes, by index or mask."""
        return Boxes(self.poses[rows], self.sizes[rows], self.bottom_z[rows], self.slots[rows])


def scene_boxes(
    scene: Scene,
    agents: Agents,
    agent_step: int,
    step: int,
    reach_m: float,
    signals: Signals | None = None,
) -> Boxes:
    """Boxes of agents, props and signal heads within `reach_m` of the ego, in the ego frame at `step`.

    `signals`, where given, stand in place of the scene's.
    """
    rows = np.flatnonzero(agents.valid[:, agent_step])
    moving = Boxes(
        agents.poses[rows, agent_step], agents.sizes[rows].astype(np.float64),
        agents.bottom_z[rows, agent_step].astype(np.float64), (rows + 1).astype(np.int32),
    )  # fmt: skip
    parts = (moving, _prop_boxes(scene.props), _signal_boxes(scene.signals if signals is None else signals))
    x, y, heading = scene.ego_poses[step]
    poses = np.concatenate([part.poses for part in parts])
    cos, sin = np.cos(heading), np.sin(heading)
    delta = poses[:, :2] - [x, y]
    local = np.stack(
        [cos * delta[:, 0] + sin * delta[:, 1], cos * delta[:, 1] - sin * delta[:, 0], poses[:, 2] - heading], -1
    )
    everything = Boxes(
        local, *(np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "bottom_z", "slots"))
    )
    return everything.rows(np.hypot(local[:, 0], local[:, 1]) < reach_m)


def _prop_boxes(props: Props) -> Boxes:
    """Buildings are exact up to their roofs; trees are a trunk and a crown, poles and signs their posts."""
    sizes, none = props.sizes.astype(np.float64), np.zeros(len(props))
    kinds, height = props.kinds, sizes[:, 2]
    tree, post = kinds == PropKind.TREE, np.isin(kinds, (PropKind.POLE, PropKind.SIGN))
    spread = 0.75 * np.minimum(sizes[:, 0], sizes[:, 1])
    solid = sizes * np.where((kinds == PropKind.BUSH)[:, None], (0.8, 0.8, 0.9), 1.0)
    thin = np.where(tree, 0.25, np.where(post, 0.18, np.inf))
    solid[:, :2] = np.minimum(solid[:, :2], thin[:, None])
    solid[tree, 2] = 0.4 * height[tree]
    crowns = np.stack([spread, spread, 0.55 * height], -1)[tree]
    return Boxes(
        np.concatenate([props.poses, props.poses[tree]]), np.concatenate([solid, crowns]),
        np.concatenate([none, 0.38 * height[tree]]), np.zeros(len(props) + int(tree.sum()), np.int32),
    )  # fmt: skip


def _signal_boxes(signals: Signals) -> Boxes:
    """Heads of lights, plates of signs."""
    is_sign = np.array([SignalState(state).is_sign for state in signals.states[:, 0]], bool).reshape(len(signals))
    sizes = np.where(is_sign[:, None], SIGN_SIZE_M, HEAD_SIZE_M)
    bottoms = signals.poses[:, 2] - sizes[:, 2] / 2
    return Boxes(signals.poses[:, [0, 1, 3]], sizes, bottoms, np.zeros(len(signals), np.int32))


def cast(camera: Camera, boxes: Boxes) -> tuple[Float32[np.ndarray, "H W"], Int32[np.ndarray, "H W"]]:
    """Depth along the optical axis (inf: nothing hit) and slot of the nearest box (0: ground, scenery or sky)."""
    origin = camera.ego_from_cam[:3, 3]
    rays = camera.ego_from_cam[:3, :3] @ np.linalg.inv(camera.intrinsics)  # @ (u, v, 1): unit depth
    u, v = np.arange(camera.width_px) + 0.5, np.arange(camera.height_px) + 0.5
    inverse = np.maximum(_affine(-rays[2] / origin[2], u, v), 0.0).astype(np.float32)
    slots = np.zeros(inverse.shape, np.int32)
    places, nearest = windows(camera, boxes)
    planes = _Planes.of(origin, rays, boxes)
    u, v = u.astype(np.float32), v.astype(np.float32)
    seen = np.flatnonzero(planes.outside.any(1) & (places[:, :2] < places[:, 2:]).all(1))
    for index in seen[np.argsort(-nearest[seen], kind="stable")].tolist():
        top, left, bottom, right = places[index].tolist()
        window = (slice(top, bottom), slice(left, right))
        before = inverse[window]
        if before.min() >= nearest[index]:  # hidden altogether
            continue
        hit, leaving = planes.inverse_depths(index, u[left:right], v[top:bottom])
        nearer = (hit > before) & (hit >= leaving)
        np.copyto(before, hit, where=nearer)
        np.copyto(slots[window], boxes.slots[index], where=nearer)
    with np.errstate(divide="ignore"):
        return 1.0 / inverse, slots


def refined(
    depth_m: Float32[np.ndarray, "H W"], semantics: UInt8[np.ndarray, "H W"], camera: Camera
) -> Float32[np.ndarray, "H W"]:
    """Depth corrected where the class of a pixel says that its ray went past the box: sky is nowhere, ground is level."""
    rays = camera.ego_from_cam[:3, :3] @ np.linalg.inv(camera.intrinsics)
    u, v = np.arange(camera.width_px) + 0.5, np.arange(camera.height_px) + 0.5
    with np.errstate(divide="ignore"):
        level = 1.0 / np.maximum(_affine(-rays[2] / camera.ego_from_cam[2, 3], u, v), 0.0)
    ground = np.isin(semantics, GROUND)
    return np.where(semantics == SemanticClass.SKY, np.inf, np.where(ground, level, depth_m)).astype(np.float32)


def _affine(
    plane: Float[np.ndarray, "3"], u: Float[np.ndarray, "w"], v: Float[np.ndarray, "h"]
) -> Float[np.ndarray, "h w"]:
    """Value of an affine function on a pixel grid."""
    return (plane[0] * u)[None, :] + (plane[1] * v + plane[2])[:, None]


@dataclass(frozen=True)
class _Planes:
    """Inverse depth of the planes of N boxes as affine functions of the pixel.

    Attributes:
        outside: (N, 3) bool: the camera lies beyond the slab of that axis, so rays must enter it.
        enter: (N, 3, 3) the plane that is crossed first, per axis; meaningless where not `outside`.
        leave: (N, 3, 2, 3) the planes that end the slab; an axis that is `outside` has the same one twice.
    """

    outside: np.ndarray
    enter: np.ndarray
    leave: np.ndarray

    @staticmethod
    def of(origin: Float64[np.ndarray, "3"], rays: Float64[np.ndarray, "3 3"], boxes: Boxes) -> _Planes:
        """`rays` @ (u, v, 1) are the rays from `origin`, one metre along the optical axis long."""
        cos, sin, zero = np.cos(boxes.poses[:, 2]), np.sin(boxes.poses[:, 2]), np.zeros(len(boxes))
        turn = np.stack(
            [np.stack([cos, sin, zero], -1), np.stack([-sin, cos, zero], -1), np.stack([zero, zero, zero + 1], -1)], 1
        )
        half = boxes.sizes / 2
        middle = np.column_stack([boxes.poses[:, :2], boxes.bottom_z + half[:, 2]])
        start = np.einsum("nij,nj->ni", turn, origin - middle)
        direction = turn @ rays  # (N, 3, 3)
        outside = np.abs(start) > half
        front = np.where(start > 0, half, -half)
        # A camera in the plane of a face leaves through it at once, or never.
        high = np.where(outside, -front - start, np.maximum(half - start, TOUCH_M))
        low = np.where(outside, -front - start, np.minimum(-half - start, -TOUCH_M))
        with np.errstate(divide="ignore", invalid="ignore"):
            enter, leave = (
                direction / (front - start)[..., None],
                np.stack([direction / high[..., None], direction / low[..., None]], 2),
            )
        return _Planes(outside, enter.astype(np.float32), leave.astype(np.float32))

    def inverse_depths(
        self, index: int, u: Float32[np.ndarray, "w"], v: Float32[np.ndarray, "h"]
    ) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        """Of where rays have entered every slab, and of where they first leave one; a box is hit where the first is greater."""
        entering = [_affine(plane, u, v) for plane in self.enter[index, self.outside[index]]]
        leaving = [
            _affine(plane, u, v)
            for k in range(3)
            for plane in self.leave[index, k, : 1 if self.outside[index, k] else 2]
        ]
        return reduce(np.minimum, entering), reduce(np.maximum, leaving)


def windows(camera: Camera, boxes: Boxes) -> tuple[Int64[np.ndarray, "N 4"], Float64[np.ndarray, "N"]]:
    """Pixels that each box can cover (top, left, bottom, right; empty outside the picture), and its greatest inverse depth."""
    unit = np.array([[i, j] for i in (-0.5, 0.5) for j in (-0.5, 0.5)])
    flat = unit * boxes.sizes[:, None, :2]
    cos, sin = np.cos(boxes.poses[:, 2])[:, None], np.sin(boxes.poses[:, 2])[:, None]
    x = flat[..., 0] * cos - flat[..., 1] * sin + boxes.poses[:, :1]
    y = flat[..., 0] * sin + flat[..., 1] * cos + boxes.poses[:, 1:2]
    z = boxes.bottom_z[:, None] + boxes.sizes[:, 2:] * np.array([0.0, 1.0])  # (N, 2)
    corners = np.stack([np.tile(x, 2), np.tile(y, 2), np.repeat(z, 4, axis=1)], -1)  # (N, 8, 3)
    in_cam = (corners - camera.ego_from_cam[:3, 3]) @ camera.ego_from_cam[:3, :3]
    depth = in_cam[..., 2]
    behind = depth < NEAR_M
    with np.errstate(divide="ignore", invalid="ignore"):
        uv = (in_cam @ camera.intrinsics.T)[..., :2] / depth[..., None]
    size = np.array([camera.width_px, camera.height_px])
    uv[behind] = 0.0  # such boxes get the whole picture, or nothing
    low, high = np.floor(uv.min(1)), np.ceil(uv.max(1)) + 1
    around = behind.any(1)
    low, high = np.where(around[:, None], 0, low), np.where(around[:, None], size, high)
    high[behind.all(1)] = 0
    low, high = np.clip(low, 0, size).astype(np.int64), np.clip(high, 0, size).astype(np.int64)
    nearest = np.where(around, np.inf, 1.0 / np.maximum(depth.min(1), NEAR_M))
    return np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1), nearest


def apart(places: Int64[np.ndarray, "N C 4"], margin_px: int = 3) -> list[list[int]]:
    """Groups of boxes whose windows, a little enlarged, do not touch in any camera."""
    low, high = places[..., :2], places[..., 2:] + margin_px
    shown: np.ndarray = np.all(places[..., :2] < places[..., 2:], axis=-1)  # (N, C)
    reach: np.ndarray = np.all(low[:, None] <= high[None], axis=-1)  # (N, N, C)
    touch = reach & reach.swapaxes(0, 1)
    conflict: np.ndarray = np.any(touch & shown[:, None] & shown[None], axis=-1)
    groups: list[list[int]] = []
    for index in range(len(places)):
        free = (group for group in groups if not conflict[index, group].any())
        group = next(free, None)
        if group is None:
            groups.append([index])
        else:
            group.append(index)
    return groups
