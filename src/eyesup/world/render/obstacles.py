"""Bodies of things that stand or lie on the road. Frame and scale as in `eyesup.world.render.bodies`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from eyesup.types import SemanticClass
from eyesup.world.render.meshes import Mesh, blob, box, hexahedron, join, polygons, rect
from eyesup.world.render.palette import GAP_M, RUBBER, SIGNAL_RED, WHITE

_O = SemanticClass.OBSTACLE


def cone(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """Orange with two white bands on a square foot."""
    half = max(min(length, width) / 2, 0.12)
    parts = [box((-half, half), (-half, half), (0.0, 0.06), (0.75, 0.28, 0.05), _O)]
    edges = np.array([0.0, 0.30, 0.52, 0.68, 0.86, 1.0])
    for i, (a, b) in enumerate(pairwise(edges)):
        color = WHITE if i % 2 else (1.0, 0.40, 0.05)
        radius = [half * 0.9 * (1 - 0.85 * s) for s in (a, b)]
        z = [0.06 + (height - 0.06) * s for s in (a, b)]
        low, high = (rect((-r, r), (-r, r), zz) for r, zz in zip(radius, z))
        parts.append(hexahedron(low, high, color, _O))
    return join(parts)


def barrier(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A board of red and white slanted stripes on feet; its long side is the longer of length and width."""
    along = max(length, width)
    foot = min(length, width) / 2
    thick = min(foot, 0.05)
    count = max(3, round(along / 0.4))
    board = (0.45 * height, height)
    parts = []
    step, lean = along / count, 0.4 * along / count
    for sign in (1, -1):
        for i in range(count):
            color = SIGNAL_RED if i % 2 == 0 else WHITE
            y0, y1 = -along / 2 + i * step, -along / 2 + (i + 1) * step
            top0 = min(y0 + lean, along / 2) if i else y0
            top1 = min(y1 + lean, along / 2) if i < count - 1 else y1
            quad = np.array(
                [[thick, y0, board[0]], [thick, y1, board[0]], [thick, top1, board[1]], [thick, top0, board[1]]]
            )
            if sign < 0:
                quad = quad[::-1] * [-1, 1, 1]
            parts.append(polygons(quad[None], color, _O))
    parts.append(box((-thick, thick), (-along / 2, along / 2), board, (0.8, 0.8, 0.8), _O, ("left", "right", "top")))
    for y in (-0.35 * along, 0.35 * along):
        parts.append(box((-thick, thick), (y - 0.06, y + 0.06), (0.0, board[0]), (0.35, 0.35, 0.37), _O))
        parts.append(box((-foot, foot), (y - 0.1, y + 0.1), (0.0, 0.08), (0.25, 0.25, 0.27), _O))
    mesh = join(parts)
    return mesh.moved(0.0, 0.0, -np.pi / 2) if length > width else mesh


def debris(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """What fell off a lorry: a carton with boards, a pile of tyres, or a broken branch."""
    x, y = length / 2, width / 2
    style = int(rng.integers(3))
    if style == 0:
        return join(
            [
                box((-x, 0.1 * length), (-y, 0.2 * width), (0.0, height), (0.55, 0.42, 0.28), _O),
                box((-x, 0.1 * length), (-0.25 * width, -0.15 * width), (0.0, height + GAP_M), (0.72, 0.62, 0.45), _O),
                box((0.0, x), (-0.2 * width, y), (0.0, 0.55 * height), (0.40, 0.30, 0.22), _O),
                blob((0.2 * x, -0.4 * y, 0.45 * height), (0.7 * x, 0.6 * y, 0.35 * height), (0.3, 0.3, 0.32), _O, rng, 0.2),
            ]
        )  # fmt: skip
    if style == 1:
        tyres = [
            (-0.35 * x, -0.3 * y, 0.0, 0.5), (0.45 * x, 0.2 * y, 0.0, 0.45), (-0.3 * x, -0.25 * y, 0.5 * height, 1.0)
        ]  # fmt: skip
        parts = []
        for cx, cy, low, share in tyres:
            half = 0.55 * x, 0.6 * y
            parts.append(
                box((cx - half[0], cx + half[0]), (cy - half[1], cy + half[1]), (low, share * height), RUBBER, _O)
            )
            top = rect((cx - 0.5 * half[0], cx + 0.5 * half[0]), (cy - 0.5 * half[1], cy + 0.5 * half[1]), 0.0)
            parts.append(polygons((top + [0, 0, share * height + GAP_M])[None], (0.30, 0.30, 0.31), _O))
        return join(parts)
    wood, leaves = (0.36, 0.25, 0.16), (0.28, 0.36, 0.16)
    return join(
        [
            box((-x, 0.7 * x), (-0.12 * width, 0.06 * width), (0.0, 0.3 * height), wood, _O),
            box((-0.3 * x, -0.15 * x), (-y, 0.5 * y), (0.05 * height, 0.25 * height), wood, _O),
            blob((0.45 * x, 0.2 * y, 0.54 * height), (0.55 * x, 0.7 * y, 0.5 * height), leaves, _O, rng, 0.15),
            blob((-0.2 * x, -0.5 * y, 0.35 * height), (0.35 * x, 0.45 * y, 0.35 * height), leaves, _O, rng, 0.15),
        ]
    )
