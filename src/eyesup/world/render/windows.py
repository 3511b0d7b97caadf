"""Lit windows of houses at dusk: glowing panes over the windows of the facade texture."""

from __future__ import annotations

import numpy as np

from eyesup.types import SemanticClass
from eyesup.world.render.meshes import Lamp, Mesh, join, polygons
from eyesup.world.render.textures import BAY_M, CELL_PX, FACADE_FLOORS, FACADE_STYLES, FLOOR_M, window_margins

LIT_SHARE = 0.3  # of a house's windows
_STAND_OFF_M = 0.03


def lit_windows(size: np.ndarray, look: int) -> Mesh:
    """Panes of a house whose facade `street.walls` draws with the same size and look, in the house's frame."""
    length, width, height = (float(s) for s in size)
    style = int(np.random.default_rng([int(look), 101]).integers(FACADE_STYLES))  # as `street.walls` draws it
    rng = np.random.default_rng([int(look), 105])
    side, top, bottom = (px / CELL_PX for px in window_margins(style))
    floors = min(max(round(height / FLOOR_M), 1), FACADE_FLOORS)
    x, y = length / 2, width / 2
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    quads = []
    for i in range(4):
        start, end = corners[i], corners[(i + 1) % 4]
        along = end - start
        bays = max(1, round(float(np.hypot(*along)) / BAY_M))
        outward = np.array([along[1], -along[0]]) / np.hypot(*along) * _STAND_OFF_M
        lit = np.argwhere(rng.random((bays, floors)) < LIT_SHARE)
        for bay, floor in lit[lit[:, 1] > 0].tolist():  # shops below are closed
            a, b = (start + outward + along * (bay + share) / bays for share in (side, 1 - side))
            low, high = ((floor + share) * height / floors for share in (bottom, 1 - top))
            quads.append([[*a, low], [*b, low], [*b, high], [*a, high]])
    if not quads:
        return join([])
    return polygons(np.array(quads), (0.0, 0.0, 0.0), SemanticClass.BUILDING, Lamp.WINDOW)
