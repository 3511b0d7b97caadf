"""Sky and haze, both centred on the ego: a dome behind everything, and veils at growing distances."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from eyesup.types import Appearance, SemanticClass, Weather
from eyesup.world.render.light import Light
from eyesup.world.render.meshes import Mesh, polygons

DOME_M = 100.0  # drawn without depth, so any distance within the lens's reach will do
# The rasteriser has no fog. Each veil adds what the air since the veil before it does; a thin slice joins the next one.
VEILS_M = (*range(15, 60, 5), *range(60, 130, 10), *range(130, 201, 15))
VEIL_MIN_ALPHA = 0.09
VEIL_TOP_M, VEIL_FULL_M = 30.0, 10.0  # haze fades out between these heights
STREAKS = {Weather.DRIZZLE: 220, Weather.DOWNPOUR: 700}
STREAK_REACH_M, STREAK_LEVEL, STREAK_ALPHA = (3.0, 12.0), 0.85, 0.25
_SEGMENTS, _VEIL_SEGMENTS = 16, 8
_ELEVATIONS_DEG = (-12.0, 0.0, 4.0, 12.0, 28.0, 55.0, 89.0)


def dome(appearance: Appearance) -> tuple[Mesh, UInt8[np.ndarray, "V 4"]]:
    """Sky dome and its colours: haze at the horizon, sky above, brighter towards the sun."""
    light = Light.of(appearance)
    azimuth = np.linspace(0, 2 * np.pi, _SEGMENTS + 1)
    elevation = np.radians(_ELEVATIONS_DEG)
    level = np.outer(np.cos(elevation), np.ones_like(azimuth))
    height = np.outer(np.sin(elevation), np.ones_like(azimuth))
    ring = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), height], axis=-1)  # (E, A, 3) unit
    quads = np.stack([ring[:-1, 1:], ring[:-1, :-1], ring[1:, :-1], ring[1:, 1:]], axis=2).reshape(-1, 4, 3)
    mesh = polygons(quads * DOME_M, (0.0, 0.0, 0.0), SemanticClass.SKY)
    direction = quads.reshape(-1, 3)
    share = np.clip(direction[:, 2] / np.sin(np.radians(28)), 0, 1)[:, None] ** 0.7
    color = (1 - share) * np.asarray(light.level(appearance.haze)) + share * np.asarray(light.level(appearance.sky))
    zenith = np.clip((direction[:, 2:] - 0.47) / 0.53, 0, 1)
    color = color * (1 - 0.25 * zenith)
    glow = np.clip(direction @ light.to_sun, 0, 1)[:, None] ** 12
    color = color + 0.25 * light.brightness * glow * light.sun * np.array([1.0, 0.93, 0.78])
    return mesh, _rgba(color, np.ones(len(color)))


def veils(appearance: Appearance) -> list[tuple[Mesh, UInt8[np.ndarray, "V 4"]]]:
    """Translucent walls of haze, farthest first."""
    haze = np.asarray(Light.of(appearance).level(appearance.haze))
    out, before = [], 0.0
    azimuth = np.linspace(0, 2 * np.pi, _VEIL_SEGMENTS + 1) + 0.3
    circle = np.stack([np.cos(azimuth), np.sin(azimuth)], -1)
    for radius in VEILS_M:
        alpha = 1 - np.exp(-appearance.haze_density * (radius - before))
        if alpha < VEIL_MIN_ALPHA:
            continue
        before = radius
        levels = []
        for low, high in ((0.0, VEIL_FULL_M), (VEIL_FULL_M, VEIL_TOP_M)):
            a = np.concatenate([circle * radius, np.full((len(circle), 1), low)], -1)
            b = np.concatenate([circle * radius, np.full((len(circle), 1), high)], -1)
            levels.append(np.stack([a[1:], a[:-1], b[:-1], b[1:]], axis=1))
        mesh = polygons(np.concatenate(levels), (0.0, 0.0, 0.0), SemanticClass.SKY)
        strength = alpha * np.where(mesh.points[:, 2] >= VEIL_TOP_M - 1e-3, 0.0, 1.0)
        out.append((mesh, _rgba(np.tile(haze, (len(mesh), 1)), strength)))
    return out[::-1]


def rain(weather: Weather) -> tuple[Mesh, UInt8[np.ndarray, "V 4"]] | None:
    """Streaks of rain around the ego; None when it does not rain. Turn them to another heading at every step."""
    count = STREAKS.get(weather, 0)
    if not count:
        return None
    rng = np.random.default_rng(77)
    angle, radius = rng.uniform(0, 2 * np.pi, count), rng.uniform(*STREAK_REACH_M, count)
    low = 1.5 + radius * rng.uniform(-0.45, 0.45, count)
    length, half = 0.07 * radius + 0.1, 0.001 * radius + 0.001
    middle = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    across = np.stack([-np.sin(angle), np.cos(angle)], -1) * half[:, None]
    slant = np.stack([-np.sin(angle), np.cos(angle)], -1) * (0.12 * length)[:, None]
    a = np.concatenate([middle + across, low[:, None]], -1)
    b = np.concatenate([middle - across, low[:, None]], -1)
    c = np.concatenate([middle - across + slant, (low + length)[:, None]], -1)
    d = np.concatenate([middle + across + slant, (low + length)[:, None]], -1)
    mesh = polygons(np.stack([a, b, c, d], axis=1), (0.0, 0.0, 0.0), SemanticClass.SKY)
    return mesh, _rgba(np.full((len(mesh), 3), STREAK_LEVEL), np.full(len(mesh), STREAK_ALPHA))


def _rgba(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return (np.clip(np.concatenate([color, alpha[:, None]], -1), 0, 1) * 255 + 0.5).astype(np.uint8)
