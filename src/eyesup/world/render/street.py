"""Static scenery (houses, trees, poles, signs) and traffic signals."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import shapely
from jaxtyping import Float64

from eyesup.types import PropKind, SemanticClass
from eyesup.world.render.meshes import Lamp, Mesh, Rgb, blob, box, disc, join, plate, polygons, rect, shade, tube
from eyesup.world.render.textures import ATLAS_ROWS, BAY_M, FACADE_BAYS, FACADE_FLOORS, FACADE_STYLES, FLOOR_M

WALLS: tuple[Rgb, ...] = (
    (0.86, 0.80, 0.70), (0.72, 0.45, 0.36), (0.66, 0.68, 0.70), (0.90, 0.87, 0.80), (0.60, 0.52, 0.44), (0.82, 0.72, 0.55),
    (0.55, 0.60, 0.66), (0.76, 0.58, 0.48), (0.92, 0.92, 0.90), (0.62, 0.36, 0.30), (0.70, 0.76, 0.70), (0.80, 0.68, 0.68),
    (0.48, 0.50, 0.46), (0.90, 0.82, 0.58),
)  # fmt: skip
ROOFS: tuple[Rgb, ...] = (
    (0.45, 0.28, 0.24), (0.36, 0.36, 0.38), (0.50, 0.42, 0.36), (0.58, 0.33, 0.24), (0.28, 0.31, 0.36), (0.40, 0.42, 0.36),
)  # fmt: skip
LEAVES: tuple[Rgb, ...] = (
    (0.24, 0.40, 0.16), (0.30, 0.46, 0.20), (0.20, 0.34, 0.18), (0.42, 0.48, 0.20), (0.34, 0.42, 0.16), (0.50, 0.42, 0.18),
    (0.26, 0.38, 0.28),
)  # fmt: skip
TRUNK: Rgb = (0.32, 0.24, 0.18)
BIRCH: Rgb = (0.80, 0.80, 0.76)
STEEL: Rgb = (0.42, 0.43, 0.45)
HOUSING: Rgb = (0.06, 0.07, 0.07)

TREE_VARIANTS = 40
LAMP_RADIUS_M = 0.25  # larger than life (0.1-0.15 m), so that the colour reads at 35 m
LAMP_PITCH_M = 0.60
HEAD_HALF_HEIGHT_M = 1.05
MAST_SEARCH_M = 20.0


def walls(size: np.ndarray, look: int) -> Mesh:
    """The four walls of a house, with texture coordinates in the facade atlas."""
    length, width, height = (float(s) for s in size)
    rng = np.random.default_rng([int(look), 101])
    style = int(rng.integers(FACADE_STYLES))
    wall = WALLS[int(rng.integers(len(WALLS)))]
    x, y = length / 2, width / 2
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]], np.float32)
    floors = min(max(round(height / FLOOR_M), 1), FACADE_FLOORS)
    quads, uvs = [], []
    for i in range(4):
        a, b = corners[i], corners[(i + 1) % 4]
        bays = max(1, round(float(np.hypot(*(b - a))) / BAY_M))
        quads.append([[*a, 0], [*b, 0], [*b, height], [*a, height]])
        u, v = bays / FACADE_BAYS, (style + floors / FACADE_FLOORS) / ATLAS_ROWS
        v0 = (style + 0.01) / ATLAS_ROWS  # clear of the row below
        uvs.append([[0, v0], [u, v0], [u, v], [0, v]])
    return polygons(np.array(quads, np.float32), wall, SemanticClass.BUILDING, uv=np.array(uvs, np.float32))


def roof(size: np.ndarray, look: int) -> Mesh:
    """The untextured top of `building`: flat with a parapet, or gabled on low houses."""
    length, width, height = (float(s) for s in size)
    rng = np.random.default_rng([int(look), 102])
    color = ROOFS[int(rng.integers(len(ROOFS)))]
    x, y = length / 2, width / 2
    if height > 11 or rng.random() < 0.4:
        return join(_flat_roof(x, y, height, rng))
    ridge = height + 0.28 * min(length, width)
    eave = height - 0.4 * (ridge - height) / min(x, y) - 0.05  # the slope meets the top of the wall
    lo = rect((-x - 0.4, x + 0.4), (-y - 0.4, y + 0.4), eave)
    hi = np.array([[-x, 0, ridge], [x, 0, ridge]], np.float32)
    if rng.random() < 0.35 and x > y:  # hipped: the ridge is shorter than the house
        hi[:, 0] *= 1 - 0.7 * y / x
        ends = np.stack([[lo[1], lo[2], hi[1]], [lo[3], lo[0], hi[0]]])
        sides = np.stack([[lo[0], lo[1], hi[1], hi[0]], [lo[2], lo[3], hi[0], hi[1]]])
        return join([polygons(part, color, SemanticClass.BUILDING) for part in (sides, ends)])
    slopes = polygons(
        np.stack([[lo[0], lo[1], hi[1], hi[0]], [lo[2], lo[3], hi[0], hi[1]]]), color, SemanticClass.BUILDING
    )
    gables = polygons(
        np.stack([[lo[1], lo[2], hi[1]], [lo[3], lo[0], hi[0]]]), (0.75, 0.70, 0.64), SemanticClass.BUILDING
    )
    return join([slopes, gables])


def _flat_roof(x: float, y: float, height: float, rng: np.random.Generator) -> list[Mesh]:
    """A parapet, on some with a plant room on top."""
    b = SemanticClass.BUILDING
    parapet: Rgb = ((0.62, 0.60, 0.57), (0.50, 0.48, 0.46), (0.74, 0.72, 0.68))[int(rng.integers(3))]
    parts = [box((-x - 0.2, x + 0.2), (-y - 0.2, y + 0.2), (height - 0.5, height + 0.1), parapet, b)]
    if rng.random() < 0.4:
        cx, cy = rng.uniform(-0.4, 0.4) * x, rng.uniform(-0.3, 0.3) * y
        half = min(x, y) * rng.uniform(0.25, 0.45)
        parts.append(
            box((cx - half, cx + half), (cy - half, cy + half), (height, height + 2.2), shade(parapet, 0.85), b)
        )
    return parts


@cache
def _unit_tree(variant: int, detailed: bool) -> Mesh:
    """A tree one metre high with a crown radius of one metre: a trunk under lumps of leaves, or a conifer."""
    rng = np.random.default_rng([variant, 103])
    leaves = LEAVES[int(rng.integers(len(LEAVES)))]
    v = SemanticClass.VEGETATION
    kind = float(rng.random())
    parts = [tube((0, 0), (0, 0.45), 0.07, BIRCH if kind > 0.85 else TRUNK, v)]
    if kind < 0.3:
        for low, high, share in ((0.15, 0.62, 1.0), (0.45, 1.0, 0.7)):
            angle = np.arange(7) / 7 * 2 * np.pi
            ring = np.stack([share * np.cos(angle), share * np.sin(angle), np.full(7, low)], -1)
            tip = np.tile([0.0, 0.0, high], (7, 1))
            parts.append(polygons(np.stack([ring, np.roll(ring, -1, 0), tip], 1), shade(leaves, 0.8), v))
        return join(parts)
    if kind < 0.45:  # a column, as poplars are
        parts.append(blob((0, 0, 0.58), (0.55, 0.55, 0.42), leaves, v, rng, 0.10))
        parts.append(blob((0, 0, 0.40), (0.62, 0.62, 0.26), shade(leaves, 0.9), v, rng, 0.12))
        return join(parts)
    parts.append(blob((0, 0, 0.66), (1.0, 1.0, 0.34), leaves, v, rng, 0.16))
    for _ in range(2 if detailed else 0):
        dx, dy = rng.uniform(-0.5, 0.5, 2)
        dz, bright = rng.uniform(0.5, 0.7), rng.uniform(0.8, 1.1)
        parts.append(blob((dx, dy, dz), (0.65, 0.65, 0.24), shade(leaves, bright), v, rng, 0.2))
    return join(parts)


def tree(size: np.ndarray, look: int, detailed: bool = True) -> Mesh:
    """A tree of one of `TREE_VARIANTS` shapes, stretched to its size; fewer lumps when it is only seen from afar."""
    spread = float(min(size[0], size[1])) / 2
    return _unit_tree(look % TREE_VARIANTS, detailed).scaled(spread, spread, float(size[2]))


@cache
def _unit_bush(variant: int) -> Mesh:
    rng = np.random.default_rng([variant, 104])
    leaves = LEAVES[int(rng.integers(len(LEAVES)))]
    return blob((0, 0, 0.45), (0.5, 0.5, 0.55), leaves, SemanticClass.VEGETATION, rng, 0.18)


def bush(size: np.ndarray, look: int) -> Mesh:
    """A lump of leaves on the ground."""
    return _unit_bush(look % TREE_VARIANTS).scaled(*(float(s) for s in size))


@cache
def _lamp_post(height: float) -> Mesh:
    p = SemanticClass.POLE
    parts = [tube((0, 0), (0, height), 0.08, STEEL, p)]
    if height > 4:
        parts.append(box((0, 1.7), (-0.07, 0.07), (height - 0.14, height), STEEL, p, ("left", "right", "bottom")))
        lamp = (1.15, 1.75), (-0.11, 0.11), (height - 0.20, height - 0.13)
        parts.append(box(*lamp, STEEL, p, ("left", "right", "front", "back", "bottom"), Lamp.STREET))
    return join(parts)


def pole(size: np.ndarray, look: int) -> Mesh:
    """A lamp post with its arm, along x."""
    return _lamp_post(round(float(size[2]), 1))


def sign(size: np.ndarray, look: int) -> Mesh:
    """A traffic sign that asks nothing of the ego, facing +x: warning, parking, limit or guide board by look."""
    height = float(size[2])
    p = SemanticClass.POLE
    z = height - 0.40
    style = int(look) % 4
    parts = [tube((0, 0), (0, height - 0.1), 0.05, STEEL, p)]
    back: Rgb = (0.5, 0.5, 0.52)
    if style == 0:
        for half, color, x in ((0.46, (0.10, 0.10, 0.10), 0.06), (0.41, (0.95, 0.76, 0.10), 0.08)):
            diamond = np.array([[x, -half, z], [x, 0.0, z - half], [x, half, z], [x, 0.0, z + half]])
            parts.append(polygons(diamond[None], color, p))
    elif style == 1:
        parts += [
            plate((0.06, 0, z), (0.66, 0.66), "front", (0.08, 0.22, 0.58), p),
            plate((0.08, -0.09, z), (0.10, 0.48), "front", (0.95, 0.95, 0.95), p),
            plate((0.08, 0.06, z + 0.12), (0.22, 0.24), "front", (0.95, 0.95, 0.95), p),
        ]
    elif style == 2:
        parts += [
            disc((0.06, 0, z), 0.40, "front", (0.80, 0.06, 0.08), p, n=12),
            disc((0.08, 0, z), 0.30, "front", (0.96, 0.96, 0.95), p, n=12),
        ]
        parts.append(plate((0.10, 0, z), (0.26, 0.24), "front", (0.12, 0.12, 0.12), p))
    else:
        parts += [
            plate((0.06, 0, z), (0.9, 0.6), "front", (0.10, 0.25, 0.60), p),
            plate((0.08, 0, z), (0.7, 0.10), "front", (0.95, 0.95, 0.95), p),
        ]
    parts.append(disc((-0.06, 0, z), 0.40, "back", back, p))
    return join(parts)


def building(size: np.ndarray, look: int) -> Mesh:
    """Walls and roof."""
    return join([walls(size, look), blank(roof(size, look))])


_BUILDERS = {PropKind.BUILDING: building, PropKind.BUSH: bush, PropKind.POLE: pole, PropKind.SIGN: sign}


def prop(kind: PropKind, size: np.ndarray, look: int, detailed: bool = True) -> Mesh:
    """Mesh of a prop in its own frame, textured with the facade atlas."""
    if kind == PropKind.BUILDING:
        return building(size, look)
    return blank(tree(size, look, detailed) if kind == PropKind.TREE else _BUILDERS[kind](size, look))


def blank(mesh: Mesh) -> Mesh:
    """The mesh with its texture coordinates on the atlas's blank rows."""
    uv = np.full((len(mesh), 2), (ATLAS_ROWS - 0.5) / ATLAS_ROWS, np.float32)
    return replace(mesh, uv=uv)


def signal_lamps() -> Mesh:
    """The three lamps of a head: red above, green below; origin at the head's centre, facing +x."""
    body = SemanticClass.SIGNAL_BODY
    return join(
        disc((0.17, 0, z), LAMP_RADIUS_M, "front", HOUSING, body, lamp)
        for lamp, z in ((Lamp.RED, LAMP_PITCH_M), (Lamp.AMBER, 0.0), (Lamp.GREEN, -LAMP_PITCH_M))
    )


def signal_post(height: float, arm: float, standing: bool = True) -> Mesh:
    """Housing, backplate and post of a head at `height`; the post stands `arm` metres to the head's +y side.

    Not `standing`: the housing alone.
    """
    body, p = SemanticClass.SIGNAL_BODY, SemanticClass.POLE
    h = HEAD_HALF_HEIGHT_M
    parts = [
        box(
            (-0.15, 0.15),
            (-0.33, 0.33),
            (height - h + 0.1, height + h - 0.1),
            HOUSING,
            body,
            ("front", "back", "left", "right", "top", "bottom"),
        ),
        plate((0.0, 0, height), (1.05, 2 * h + 0.2), "front", (0.10, 0.11, 0.11), body),
        plate((-0.01, 0, height), (1.05, 2 * h + 0.2), "back", (0.22, 0.22, 0.23), body),
    ]
    if not standing:
        return join(parts)
    parts.append(tube((-0.25, arm), (0.0, height + 0.4), 0.11, STEEL, p))
    if abs(arm) > 0.1:
        limits = (min(0.0, arm), max(0.0, arm))
        parts.append(
            box(
                (-0.32, -0.18),
                limits,
                (height + 0.25, height + 0.4),
                STEEL,
                p,
                ("front", "back", "top", "bottom", "left", "right"),
            )
        )
    return join(parts)


def mast_arm(pose: Float64[np.ndarray, "4"], roads: shapely.Geometry | None) -> float:
    """How far to the head's +y side (the approaching driver's right) its post must stand to be off the road [m]."""
    if roads is None:
        return 0.0
    reach = np.arange(0.0, MAST_SEARCH_M, 0.5)
    side = np.array([-np.sin(pose[3]), np.cos(pose[3])])
    spots = pose[:2] + reach[:, None] * side
    free = ~shapely.contains_xy(roads, spots[:, 0], spots[:, 1])
    if not free.any() or free[0]:
        return 0.0
    return float(reach[int(np.argmax(free))]) + 0.5
