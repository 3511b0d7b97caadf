"""Procedural textures: asphalt and grass grain, house fronts. All sizes are powers of two."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

GRAIN_PX = 256
FACADE_STYLES = 6
ATLAS_ROWS = 8  # a power of two; the rows above the styles are blank, for things without a texture
FACADE_FLOORS, FACADE_BAYS = 8, 4  # one facade texture: ground floor and seven floors, four windows wide
FLOOR_M, BAY_M = 3.2, 3.0
_CELL_PX = 32


def grain(seed: int, contrast: float) -> UInt8[np.ndarray, "S S 3"]:
    """Tiling grey noise around white, coarse and fine, to be multiplied with a surface colour."""
    rng = np.random.default_rng([seed, 17])
    noise = np.zeros((GRAIN_PX, GRAIN_PX))
    for cells, weight in ((8, 0.30), (32, 0.35), (128, 0.6), (256, 0.6)):
        coarse = rng.standard_normal((cells, cells))
        noise += weight * np.repeat(np.repeat(coarse, GRAIN_PX // cells, 0), GRAIN_PX // cells, 1)
    noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
    level = np.clip(0.88 * (1 + contrast * noise / noise.std()), 0, 1)
    return np.repeat((level * 255).astype(np.uint8)[..., None], 3, axis=2)


def facade(seed: int, style: int) -> UInt8[np.ndarray, "h w 3"]:
    """A house front, bottom row last: shop windows below, rows of windows above; white walls, to be tinted."""
    rng = np.random.default_rng([seed, 31, style])
    picture = np.full((FACADE_FLOORS * _CELL_PX, FACADE_BAYS * _CELL_PX, 3), 235.0)
    picture *= 1 + 0.03 * rng.standard_normal(picture.shape[:2])[..., None]
    picture = np.minimum(picture, 255)
    wide = (10, 7, 4, 12, 6, 2)[style % 6]  # half margins left and right of a window
    top, bottom = ((7, 9), (5, 7), (8, 8), (6, 4), (10, 8), (9, 7))[style % 6]
    for row in range(FACADE_FLOORS):
        y = row * _CELL_PX
        if style % 3 == 1:
            picture[y : y + 2] *= 0.78  # cornice
        for bay in range(FACADE_BAYS):
            x = bay * _CELL_PX
            glass = np.array([70, 84, 100]) * rng.uniform(0.55, 1.25)
            if row == FACADE_FLOORS - 1:
                shop = np.array([60, 66, 72]) * rng.uniform(0.7, 1.4)
                picture[y + 8 : y + 30, x + 3 : x + 29] = shop
                picture[y + 2 : y + 7, x + 1 : x + 31] = rng.uniform(90, 210, 3)
                continue
            picture[y + top - 1 : y + _CELL_PX - bottom + 1, x + wide - 1 : x + _CELL_PX - wide + 1] *= 0.72  # frame
            picture[y + top : y + _CELL_PX - bottom, x + wide : x + _CELL_PX - wide] = glass
            picture[y + top : y + top + 4, x + wide : x + _CELL_PX - wide] *= 0.7  # shadow under the lintel
            if style % 2 == 0:
                picture[y + top : y + _CELL_PX - bottom, x + 15 : x + 17] = 190
    return np.clip(picture, 0, 255).astype(np.uint8)


def facade_atlas(seed: int) -> UInt8[np.ndarray, "h w 3"]:
    """All house fronts above one another, style 0 at the bottom: they repeat across, and never up."""
    blank = np.full((FACADE_FLOORS * _CELL_PX, FACADE_BAYS * _CELL_PX, 3), 255, np.uint8)
    rows = [facade(seed, style) if style < FACADE_STYLES else blank for style in range(ATLAS_ROWS)]
    return np.concatenate(rows[::-1])
