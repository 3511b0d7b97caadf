"""How a day looks, drawn from a seed: weather, light, colours of sky and ground. The shifted split has days of its own."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from eyesup.types.scene import Appearance, Ground, Weather
from eyesup.world.splits import split_index

SHIFTED = "shifted"  # the split that looks like no other

Colour = tuple[float, float, float]
Span = tuple[float, float]


@dataclass(frozen=True)
class _Day:
    """Spans from which one kind of weather is drawn.

    Attributes:
        chance: Relative frequency.
        elevation_rad: Height of the sun.
        sun: Strength of the direct light.
        brightness, haze_density: As in `Appearance`.
        sky, haze: Colours, varied by `vary` (grey: all channels alike).
        wet: Factor on the asphalt's colour.
    """

    chance: float
    elevation_rad: Span
    sun: Span
    brightness: Span
    haze_density: Span
    sky: Colour
    haze: Colour
    vary: float
    grey: bool = False
    wet: float = 1.0


# Training never sees a weather or a ground of the second table.
_DAYS: dict[Weather, _Day] = {
    Weather.CLEAR: _Day(
        0.55, (0.5, 1.25), (0.9, 1.0), (0.85, 1.1), (0.0005, 0.003), (0.55, 0.70, 0.90), (0.75, 0.80, 0.86), 0.06
    ),
    Weather.OVERCAST: _Day(
        0.25, (0.5, 1.25), (0.1, 0.35), (0.85, 1.0), (0.001, 0.004), (0.72, 0.75, 0.79), (0.78, 0.80, 0.82), 0.05, True
    ),
    Weather.DRIZZLE: _Day(
        0.20, (0.5, 1.1), (0.05, 0.2), (0.78, 0.90), (0.004, 0.007), (0.62, 0.65, 0.69), (0.68, 0.71, 0.74), 0.04, True, 0.80
    ),
}  # fmt: skip
_SHIFTED_DAYS: dict[Weather, _Day] = {
    Weather.DUSK: _Day(
        0.4, (0.06, 0.2), (0.7, 1.0), (0.44, 0.58), (0.002, 0.005), (0.62, 0.42, 0.42), (0.80, 0.54, 0.42), 0.06
    ),
    Weather.FOG: _Day(
        0.3, (0.4, 1.0), (0.0, 0.1), (0.68, 0.80), (0.012, 0.020), (0.70, 0.72, 0.74), (0.72, 0.74, 0.76), 0.04, True
    ),
    Weather.DOWNPOUR: _Day(
        0.3, (0.4, 1.0), (0.0, 0.05), (0.60, 0.72), (0.009, 0.014), (0.52, 0.55, 0.60), (0.58, 0.61, 0.65), 0.04, True, 0.75
    ),
}  # fmt: skip
_GRASS: dict[Ground, Colour] = {
    Ground.PLAIN: (0.36, 0.47, 0.25), Ground.DRY: (0.60, 0.52, 0.30), Ground.PATCHED: (0.40, 0.38, 0.26),
}  # fmt: skip
_ASPHALT: dict[Ground, Colour] = {
    Ground.PLAIN: (0.30, 0.30, 0.32), Ground.DRY: (0.47, 0.44, 0.40), Ground.PATCHED: (0.38, 0.37, 0.37),
}  # fmt: skip


def appearance_of(scenario: str, split: str, seed: int) -> Appearance:
    """The day of one log."""
    draw = np.random.default_rng([seed, split_index(split), zlib.crc32(scenario.encode()), 0xA9]).integers(2**31)
    return draw_appearance(int(draw), shifted=split == SHIFTED)


def draw_appearance(seed: int, shifted: bool = False) -> Appearance:
    """Weather, light and colours of a scene.

    Args:
        seed: The same seed gives the same day.
        shifted: False: clear, overcast or drizzly day over green verges and grey asphalt. True: dusk, fog or downpour over dry
            or patched ground, which the other never draws.
    """
    rng = np.random.default_rng([seed, 0x5C4, int(shifted)])
    days = _SHIFTED_DAYS if shifted else _DAYS
    weathers = list(days)
    chances = np.array([days[weather].chance for weather in weathers])
    weather = weathers[int(rng.choice(len(weathers), p=chances / chances.sum()))]
    ground = Ground.PLAIN if not shifted else (Ground.DRY, Ground.PATCHED)[int(rng.integers(2))]
    day = days[weather]
    red, green, blue = _vary(rng, _ASPHALT[ground], 0.05, grey=True)
    return Appearance(
        sun_azimuth_rad=float(rng.uniform(-np.pi, np.pi)),
        sun_elevation_rad=float(rng.uniform(*day.elevation_rad)),
        sky=_vary(rng, day.sky, day.vary, day.grey),
        haze=_vary(rng, day.haze, day.vary, day.grey),
        grass=_vary(rng, _GRASS[ground], 0.06),
        asphalt=(day.wet * red, day.wet * green, day.wet * blue),
        haze_density=float(rng.uniform(*day.haze_density)),
        brightness=float(rng.uniform(*day.brightness)),
        texture_seed=int(rng.integers(2**31)),
        weather=weather,
        ground=ground,
        sun=float(rng.uniform(*day.sun)),
    )


def _vary(rng: np.random.Generator, colour: Colour, spread: float, grey: bool = False) -> Colour:
    """The colour with a uniform offset per channel (`grey`: one for all), within [0, 1]."""
    red, green, blue = np.clip(np.array(colour) + rng.uniform(-spread, spread, 1 if grey else 3), 0.0, 1.0).tolist()
    return red, green, blue
