"""Triangle meshes in NumPy, and the few solids that everything in the world is put together from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from jaxtyping import Float

from eyesup.types import SemanticClass

Rgb = tuple[float, float, float]
Point = tuple[float | int, float | int, float | int]
Span = tuple[float | int, float | int]


class Lamp(IntEnum):
    """Which switch lights a vertex; `NONE` is plain surface."""

    NONE = 0
    BRAKE = 1
    LEFT = 2
    RIGHT = 3
    BEACON_LEFT = 4
    BEACON_RIGHT = 5
    RED = 6
    AMBER = 7
    GREEN = 8
    HEAD = 9
    STREET = 10
    WINDOW = 11
    REAR = 12


@dataclass(frozen=True)
class Mesh:
    """Triangles with flat normals; counter-clockwise seen from outside.

    Attributes:
        points: (V, 3) float32 metres.
        normals: (V, 3) float32, unit.
        colors: (V, 3) float32 RGB in [0, 1], before light.
        classes: (V,) uint8 of `SemanticClass`.
        lamps: (V,) uint8 of `Lamp`.
        faces: (F, 3) int32 rows of `points`.
        uv: (V, 2) float32 texture coordinates.
    """

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    classes: np.ndarray
    lamps: np.ndarray
    faces: np.ndarray
    uv: np.ndarray

    def __len__(self) -> int:
        return len(self.points)

    def moved(self, x: float, y: float, heading_rad: float, z: float = 0.0) -> Mesh:
        """Turned about z by the heading, then shifted."""
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]], np.float32)  # for row vectors
        shift = np.array([x, y, z], np.float32)
        return replace(self, points=self.points @ turn + shift, normals=self.normals @ turn)

    def rows(self, rows: np.ndarray, faces: np.ndarray) -> Mesh:
        """Some of the vertices, with faces that point into them."""
        return Mesh(
            self.points[rows], self.normals[rows], self.colors[rows], self.classes[rows], self.lamps[rows],
            faces.astype(np.int32), self.uv[rows],
        )  # fmt: skip

    def scaled(self, x: float, y: float, z: float) -> Mesh:
        """Stretched along the axes; normals are kept, which is close enough for foliage."""
        return replace(self, points=self.points * np.array([x, y, z], np.float32))


def shade(color: Rgb, factor: float) -> Rgb:
    """The colour, that much brighter or darker."""
    r, g, b = (min(1.0, factor * c) for c in color)
    return r, g, b


def join(meshes: Iterable[Mesh]) -> Mesh:
    """One mesh of several."""
    parts = [mesh for mesh in meshes if len(mesh)]
    if not parts:
        return polygons(np.zeros((0, 4, 3), np.float32), (0.0, 0.0, 0.0), SemanticClass.SKY)
    starts = np.cumsum([0] + [len(mesh) for mesh in parts[:-1]])
    fields = {
        name: np.concatenate([getattr(mesh, name) for mesh in parts])
        for name in ("points", "normals", "colors", "classes", "lamps", "uv")
    }
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(parts, starts)]).astype(np.int32)
    return Mesh(**fields, faces=faces)


def polygons(
    corners: Float[np.ndarray, "Q n 3"],
    color: Rgb,
    cls: SemanticClass,
    lamp: Lamp = Lamp.NONE,
    uv: Float[np.ndarray, "Q n 2"] | None = None,
) -> Mesh:
    """Convex n-gons of one colour, each (n, 3) counter-clockwise from outside."""
    corners = np.asarray(corners, np.float32)
    count, n = corners.shape[:2]
    normals = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.sqrt((normals * normals).sum(-1, keepdims=True)), 1e-9)
    fan = np.stack([np.zeros(n - 2, np.int32), np.arange(1, n - 1), np.arange(2, n)], -1)  # (n - 2, 3)
    faces = (fan[None] + n * np.arange(count)[:, None, None]).reshape(-1, 3)
    v = count * n
    return Mesh(
        points=corners.reshape(v, 3),
        normals=np.repeat(normals, n, axis=0).astype(np.float32),
        colors=np.tile(np.asarray(color, np.float32), (v, 1)),
        classes=np.full(v, int(cls), np.uint8),
        lamps=np.full(v, int(lamp), np.uint8),
        faces=faces.astype(np.int32),
        uv=np.zeros((v, 2), np.float32) if uv is None else np.asarray(uv, np.float32).reshape(v, 2),
    )


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row-wise cross product; `np.cross` spends longer on checks than on these few rows."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


# Corners 0-3 are the bottom (counter-clockwise from above), 4-7 the top.
_SIDES = {"right": (0, 1, 5, 4), "front": (1, 2, 6, 5), "left": (2, 3, 7, 6), "back": (3, 0, 4, 7)}
_CAPS = {"top": (4, 5, 6, 7), "bottom": (3, 2, 1, 0)}
_FACES = {**_SIDES, **_CAPS}
SHELL = ("right", "front", "left", "back", "top")  # what can be seen of a thing that stands on the ground


def rect(x: Span, y: Span, z: float | int) -> np.ndarray:
    """(4, 3) level rectangle, counter-clockwise from above, starting at (x0, y0)."""
    return np.array([[x[0], y[0], z], [x[1], y[0], z], [x[1], y[1], z], [x[0], y[1], z]], np.float32)


def hexahedron(
    bottom: np.ndarray,
    top: np.ndarray,
    color: Rgb,
    cls: SemanticClass,
    faces: Sequence[str] = SHELL,
    lamp: Lamp = Lamp.NONE,
) -> Mesh:
    """Solid between two rectangles of `rect`; only the named faces."""
    corners = np.concatenate([bottom, top])
    return polygons(corners[[_FACES[name] for name in faces]], color, cls, lamp)


def box(
    x: Span,
    y: Span,
    z: Span,
    color: Rgb,
    cls: SemanticClass,
    faces: Sequence[str] = SHELL,
    lamp: Lamp = Lamp.NONE,
) -> Mesh:
    """Axis-aligned box between the given limits [m]."""
    return hexahedron(rect(x, y, z[0]), rect(x, y, z[1]), color, cls, faces, lamp)


def prism(profile: Sequence[Span], half_width: float, color: Rgb, cls: SemanticClass) -> Mesh:
    """A convex side view (x, z), counter-clockwise seen from the right, given width across y."""
    line = np.asarray(profile, np.float32)
    right = np.insert(line, 1, -half_width, axis=1)
    left = np.insert(line, 1, half_width, axis=1)
    rim = np.stack([right, left, np.roll(left, -1, 0), np.roll(right, -1, 0)], axis=1)
    return join([polygons(right[None], color, cls), polygons(left[None, ::-1], color, cls), polygons(rim, color, cls)])


def plate(
    center: Point,
    size: Span,
    facing: str,
    color: Rgb,
    cls: SemanticClass,
    lamp: Lamp = Lamp.NONE,
) -> Mesh:
    """An upright rectangle (width, height) seen from one side only; `facing` is front, back, left or right."""
    x, y, z = center
    w, h = size[0] / 2, size[1] / 2
    across = {"front": (0, 1), "back": (0, -1), "left": (-1, 0), "right": (1, 0)}[facing]
    low = np.array([[x - across[0] * w, y - across[1] * w, z - h], [x + across[0] * w, y + across[1] * w, z - h]])
    return polygons(np.stack([low[0], low[1], low[1] + [0, 0, 2 * h], low[0] + [0, 0, 2 * h]])[None], color, cls, lamp)


def disc(
    center: Point,
    radius: float,
    facing: str,
    color: Rgb,
    cls: SemanticClass,
    lamp: Lamp = Lamp.NONE,
    n: int = 8,
) -> Mesh:
    """An upright regular n-gon seen from one side only; `facing` as in `plate`."""
    angle = (np.arange(n) + 0.5) * 2 * np.pi / n
    u, v = radius * np.cos(angle), radius * np.sin(angle)
    across = {"front": (0, 1), "back": (0, -1), "left": (-1, 0), "right": (1, 0)}[facing]
    ring = np.stack([u * across[0], u * across[1], v], axis=-1) + np.asarray(center)
    return polygons(ring[None], color, cls, lamp)


def tube(center: Span, z: Span, radius: float, color: Rgb, cls: SemanticClass) -> Mesh:
    """An upright four-sided post without caps, shaded smoothly."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    ring = np.concatenate([corners, corners]) * radius + np.asarray(center, np.float32)
    faces = [tri for i in range(4) for j in [(i + 1) % 4] for tri in ((i, j, j + 4), (i, j + 4, i + 4))]
    return Mesh(
        points=np.concatenate([ring, np.repeat(z, 4)[:, None]], axis=1).astype(np.float32),
        normals=np.concatenate([np.tile(corners / np.sqrt(2), (2, 1)), np.zeros((8, 1))], axis=1).astype(np.float32),
        colors=np.tile(np.asarray(color, np.float32), (8, 1)),
        classes=np.full(8, int(cls), np.uint8),
        lamps=np.zeros(8, np.uint8),
        faces=np.array(faces, np.int32),
        uv=np.zeros((8, 2), np.float32),
    )


_GOLDEN = (1 + 5**0.5) / 2
_ICO = np.array(
    [(0, s, t * _GOLDEN) for s in (-1, 1) for t in (-1, 1)]
    + [(s, t * _GOLDEN, 0) for s in (-1, 1) for t in (-1, 1)]
    + [(t * _GOLDEN, 0, s) for s in (-1, 1) for t in (-1, 1)],
    np.float32,
) / np.sqrt(1 + _GOLDEN**2).astype(np.float32)


def _ico_faces() -> np.ndarray:
    """(20, 3) faces of the icosahedron, turned outwards."""
    edge = np.linalg.norm(_ICO[:, None] - _ICO[None], axis=-1)
    near = (edge > 0) & (edge < edge[edge > 0].min() * 1.01)
    faces = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    outward = [np.linalg.det(_ICO[list(face)]) > 0 for face in faces]
    return np.array([face if ok else face[::-1] for face, ok in zip(faces, outward)], np.int32)


_ICO_FACES = _ico_faces()


def blob(
    center: Point,
    radii: Point,
    color: Rgb,
    cls: SemanticClass,
    rng: np.random.Generator | None = None,
    rough: float = 0.0,
) -> Mesh:
    """A smooth-shaded ellipsoid of 20 triangles; `rough` shakes its corners and their brightness."""
    shake = np.ones(12) if rng is None else 1 + rough * rng.uniform(-1, 1, 12)
    tint = np.ones(12) if rng is None else 1 + 0.8 * rough * rng.uniform(-1, 1, 12)
    return Mesh(
        points=(_ICO * shake[:, None] * np.asarray(radii) + np.asarray(center)).astype(np.float32),
        normals=_ICO.copy(),
        colors=np.clip(np.asarray(color) * tint[:, None], 0, 1).astype(np.float32),
        classes=np.full(12, int(cls), np.uint8),
        lamps=np.zeros(12, np.uint8),
        faces=_ICO_FACES,
        uv=np.zeros((12, 2), np.float32),
    )
