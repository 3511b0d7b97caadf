"""Procedural textures: asphalt and grass grain, house fronts. All sizes are powers of two."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8

from eyesup.types import Ground

GRAIN_PX = 256
FACADE_STYLES = 7
ATLAS_ROWS = 8  # a power of two; the rows above the styles are blank, for things without a texture
FACADE_FLOORS, FACADE_BAYS = 8, 4  # one facade texture: ground floor and seven floors, four windows wide
FLOOR_M, BAY_M = 3.2, 3.0
CELL_PX = 32


def window_margins(style: int) -> tuple[int, int, int]:
    """Wall left and right of, above and below the window in a cell of `CELL_PX` [px]."""
    return ((10, 7, 9), (7, 5, 7), (4, 8, 8), (12, 6, 4), (6, 10, 8), (2, 9, 7), (8, 4, 12))[style]


def grain(seed: int, contrast: float, ground: Ground = Ground.PLAIN) -> UInt8[np.ndarray, "S S 3"]:
    """Tiling grey noise around white, coarse and fine, to be multiplied with a surface colour."""
    rng = np.random.default_rng([seed, 17])
    noise = np.zeros((GRAIN_PX, GRAIN_PX))
    for cells, weight in ((8, 0.30), (32, 0.35), (128, 0.6), (256, 0.6)):
        coarse = rng.standard_normal((cells, cells))
        noise += weight * np.repeat(np.repeat(coarse, GRAIN_PX // cells, 0), GRAIN_PX // cells, 1)
    noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
    noise /= noise.std()
    if ground is Ground.DRY:
        noise = 1.6 * noise - 5.0 * _cracks(rng)
    if ground is Ground.PATCHED:
        noise = noise + _patches(rng)
    level = np.clip(0.88 * (1 + contrast * noise), 0, 1)
    return np.repeat((level * 255).astype(np.uint8)[..., None], 3, axis=2)


def _cracks(rng: np.random.Generator) -> Float64[np.ndarray, "S S"]:
    """1 on a few jagged lines across the tile, 0 elsewhere."""
    lines = np.zeros((GRAIN_PX, GRAIN_PX))
    for _ in range(7):
        across = int(rng.integers(GRAIN_PX)) + np.cumsum(rng.integers(-1, 2, GRAIN_PX))
        along = np.arange(GRAIN_PX)
        rows, columns = (across % GRAIN_PX, along) if rng.random() < 0.5 else (along, across % GRAIN_PX)
        lines[rows, columns] = 1.0
    return lines


def _patches(rng: np.random.Generator) -> Float64[np.ndarray, "S S"]:
    """Rectangles of fresh and of worn surface."""
    level = np.zeros((GRAIN_PX, GRAIN_PX))
    for _ in range(9):
        x, y = rng.integers(0, GRAIN_PX - 96, 2)
        w, h = rng.integers(24, 96, 2)
        level[y : y + h, x : x + w] = rng.uniform(-5.0, 2.5)
    return level


def facade(seed: int, style: int) -> UInt8[np.ndarray, "h w 3"]:
    """A house front, bottom row last: shop windows below, rows of windows above; white walls, to be tinted."""
    rng = np.random.default_rng([seed, 31, style])
    picture = np.full((FACADE_FLOORS * CELL_PX, FACADE_BAYS * CELL_PX, 3), 235.0)
    picture *= 1 + 0.03 * rng.standard_normal(picture.shape[:2])[..., None]
    picture = np.minimum(picture, 255)
    wide, top, bottom = window_margins(style)
    for row in range(FACADE_FLOORS):
        y = row * CELL_PX
        if style % 3 == 1:
            picture[y : y + 2] *= 0.78  # cornice
        for bay in range(FACADE_BAYS):
            x = bay * CELL_PX
            glass = np.array([70, 84, 100]) * rng.uniform(0.55, 1.25)
            if row == FACADE_FLOORS - 1:
                shop = np.array([60, 66, 72]) * rng.uniform(0.7, 1.4)
                picture[y + 8 : y + 30, x + 3 : x + 29] = shop
                picture[y + 2 : y + 7, x + 1 : x + 31] = rng.uniform(90, 210, 3)
                continue
            picture[y + top - 1 : y + CELL_PX - bottom + 1, x + wide - 1 : x + CELL_PX - wide + 1] *= 0.72  # frame
            picture[y + top : y + CELL_PX - bottom, x + wide : x + CELL_PX - wide] = glass
            picture[y + top : y + top + 4, x + wide : x + CELL_PX - wide] *= 0.7  # shadow under the lintel
            if style % 2 == 0:
                picture[y + top : y + CELL_PX - bottom, x + 15 : x + 17] = 190
    return np.clip(picture, 0, 255).astype(np.uint8)


def facade_atlas(seed: int) -> UInt8[np.ndarray, "h w 3"]:
    """All house fronts above one another, style 0 at the bottom: they repeat across, and never up."""
    blank = np.full((FACADE_FLOORS * CELL_PX, FACADE_BAYS * CELL_PX, 3), 255, np.uint8)
    rows = [facade(seed, style) if style < FACADE_STYLES else blank for style in range(ATLAS_ROWS)]
    return np.concatenate(rows[::-1])
