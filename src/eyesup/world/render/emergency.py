"""Bodies of emergency vehicles: police car, ambulance, fire engine, by size. Frame and scale as in `bodies`.

Blue lamps come in two groups that flash in turn; each shows to all sides, so that one is always seen.
"""

from __future__ import annotations

import numpy as np

from eyesup.types import SemanticClass
from eyesup.world.render.meshes import SHELL, Lamp, Mesh, box, hexahedron, join, plate, rect
from eyesup.world.render.palette import GAP_M, SIGNAL_RED, SIGNAL_YELLOW, TRIM, WHITE
from eyesup.world.render.vehicles import band, car, front_lamps, rear_lamps, side_lamps, van, wheels

CAR_HEIGHT_M, VAN_LENGTH_M = 2.0, 7.0  # lower is a police car; longer is a fire engine
BAR_M = 0.30  # height of the light bar
_V = SemanticClass.VEHICLE
_BLUE, _SILVER = (0.08, 0.22, 0.58), (0.72, 0.74, 0.76)


def emergency(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A police car, an ambulance or a fire engine with a light bar on its roof."""
    if height <= CAR_HEIGHT_M:
        return _police(length, width, height, rng)
    build = _ambulance if length <= VAN_LENGTH_M else _fire_engine
    return build(length, width, height, rng)


def _light_bar(x: float, width: float, low: float, high: float) -> list[Mesh]:
    """A bar across the roof: two blue blocks at either end, in turn along and across, so that every side sees both groups."""
    parts = [box((x - 0.2, x + 0.2), (-0.12 * width, 0.12 * width), (low, high - 0.05), TRIM, _V)]
    for sign in (1, -1):
        limits = sorted((sign * 0.12 * width, sign * 0.46 * width))
        for turn in (1, -1):
            lamp = Lamp.BEACON_LEFT if sign == turn else Lamp.BEACON_RIGHT
            span = sorted((x, x + turn * 0.36))
            parts.append(box((span[0], span[1]), (limits[0], limits[1]), (low, high), TRIM, _V, SHELL, lamp))
    return parts


def _flashers(x: float, facing: str, width: float, z: float) -> list[Mesh]:
    """A pair of blue lamps on the front or the back."""
    return [
        plate((x, sign * (width / 2 - 0.24), z), (0.34, 0.24), facing, TRIM, _V, lamp)
        for sign, lamp in ((1, Lamp.BEACON_LEFT), (-1, Lamp.BEACON_RIGHT))
    ]


def _stripes(length: float, width: float, z: float, high: float, chequered: bool) -> list[Mesh]:
    """A band along both flanks: blue, or chequered in red and yellow."""
    parts = []
    count = 9 if chequered else 1
    step = 0.84 * length / count
    for sign, side in ((1, "left"), (-1, "right")):
        y = sign * (width / 2 + 2 * GAP_M)
        for i in range(count):
            x = -0.42 * length + (i + 0.5) * step
            color = (SIGNAL_RED if i % 2 == 0 else SIGNAL_YELLOW) if chequered else _BLUE
            parts.append(plate((x, y, z), (step, high), side, color, _V))
    return parts


def _police(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A white car with blue flanks and bonnet."""
    body = height - BAR_M
    half, belt = length / 2, 0.60 * body
    parts = [car(length, width, body, rng, WHITE), *_light_bar(-0.12 * length, width * 0.86, body - 0.02, height)]
    parts += _stripes(length, width, 0.70 * belt, 0.24, chequered=False)
    bonnet = rect((0.26 * length, 0.46 * length), (-0.36 * width, 0.36 * width), 0.0)
    slope = -0.18 * belt / (0.28 * length)
    top = bonnet + np.stack([np.zeros(4), np.zeros(4), belt + slope * (bonnet[:, 0] - 0.22 * length) + GAP_M], -1)
    parts.append(hexahedron(top - [0, 0, 0.01], top, _BLUE, _V, ("top",)))
    parts += _flashers(half + 2 * GAP_M, "front", width * 0.62, 0.52 * belt)
    return join(parts)


def _ambulance(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A white or yellow van with a chequered band, red crosses and blue lamps on all corners."""
    paint = WHITE if rng.random() < 0.6 else (0.95, 0.82, 0.15)
    body = height - BAR_M
    half = length / 2
    parts = [van(length, width, body, rng, paint), *_light_bar(0.18 * length, width * 0.94, body - 0.02, height)]
    parts += _light_bar(-0.45 * length, width * 0.94, body - 0.02, body + 0.20)
    parts += _stripes(length, width, 0.46 * body, 0.34, chequered=True)
    for sign, side in ((1, "left"), (-1, "right")):
        parts += _cross((-0.20 * length, sign * (width / 2 + 3 * GAP_M), 0.74 * body), 0.62, side)
    back = -half - 3 * GAP_M
    parts += _cross((back, 0.0, 0.50 * body), 0.62, "back")
    for i in range(6):  # a chequered sill, seen by those who follow
        color = SIGNAL_RED if i % 2 == 0 else SIGNAL_YELLOW
        parts.append(plate((back, (i - 2.5) * 0.155 * width, 0.24 * body), (0.155 * width, 0.22), "back", color, _V))
    parts += _flashers(back + 2 * GAP_M, "back", width, body - 0.26)
    parts += _flashers(half + 2 * GAP_M, "front", width * 0.7, 0.38 * body)
    return join(parts)


def _cross(center: tuple[float, float, float], size: float, facing: str) -> list[Mesh]:
    return [
        plate(center, (size, 0.32 * size), facing, SIGNAL_RED, _V),
        plate(center, (0.32 * size, size), facing, SIGNAL_RED, _V),
    ]


def _fire_engine(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A red cab and body with silver shutters, a white band and a ladder on top."""
    red = (0.78, 0.07, 0.06)
    half, y = length / 2, width / 2
    roof = height - BAR_M
    split = half - 0.30 * length
    body = (rect((-half, split), (-y, y), 0.42), rect((-half, split), (-y, y), roof - 0.15))
    cab = (rect((split, half), (-y, y), 0.42), rect((split, half - 0.12), (-y + 0.04, y - 0.04), roof))
    parts = [hexahedron(*body, red, _V), hexahedron(*cab, red, _V)]
    parts += [band(*cab, face, 0.50, 0.88, 0.07) for face in ("front", "left", "right")]
    middle, span = (-half + split) / 2, split + half
    for sign, side in ((1, "left"), (-1, "right")):
        for i in (-1, 0, 1):
            place = (middle + 0.30 * i * span, sign * (y + GAP_M), 0.60 * roof)
            parts.append(plate(place, (0.26 * span, 0.42 * roof), side, _SILVER, _V))
        parts.append(plate((0.0, sign * (y + 2 * GAP_M), 0.30 * roof), (length * 0.96, 0.22), side, WHITE, _V))
        rail = sorted((sign * 0.12 * width, sign * 0.16 * width))
        parts.append(box((-half + 0.2, split), (rail[0], rail[1]), (roof, roof + 0.10), _SILVER, _V))
    for x in np.linspace(-half + 0.5, split - 0.4, 6):
        parts.append(
            box((float(x) - 0.04, float(x) + 0.04), (-0.12 * width, 0.12 * width), (roof, roof + 0.08), _SILVER, _V)
        )
    back = -half - GAP_M
    parts.append(plate((back, 0.0, 0.62 * roof), (width * 0.56, 0.50 * roof), "back", _SILVER, _V))
    for i in range(8):
        color = SIGNAL_RED if i % 2 == 0 else SIGNAL_YELLOW
        parts.append(
            plate((back - GAP_M, (i - 3.5) * 0.12 * width, 0.30 * roof), (0.12 * width, 0.30), "back", color, _V)
        )
    parts.append(plate((half + GAP_M, 0.0, 0.16 * roof + 0.1), (width, 0.26), "front", WHITE, _V))
    parts.append(plate((back, 0.0, 0.50), (width, 0.2), "back", TRIM, _V))
    parts += wheels((-0.30 * length, half - 0.20 * length), width, 0.50)
    parts += rear_lamps(-half - GAP_M, width, 0.72, 0.44)
    parts += front_lamps(half, width, 0.85)
    parts += side_lamps((half - 0.3, -0.46 * length), width, 1.05)
    parts += _light_bar(half - 0.45, width * 0.94, roof - 0.02, height)
    parts += _flashers(back - 2 * GAP_M, "back", width, roof - 0.42)
    parts += _flashers(half + 2 * GAP_M, "front", width * 0.7, 0.52 * roof)
    return join(parts)
