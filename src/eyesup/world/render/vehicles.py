"""Bodies of cars, vans, trucks and buses. Frame and scale as in `eyesup.world.render.bodies`."""

from __future__ import annotations

import numpy as np

from eyesup.types import SemanticClass
from eyesup.world.render.meshes import Lamp, Mesh, Rgb, box, disc, hexahedron, join, plate, polygons, prism, rect, shade
from eyesup.world.render.palette import (
    BUS_PAINTS,
    CAR_PAINTS,
    CARGO_PAINTS,
    GAP_M,
    GLASS,
    HEADLIGHT,
    LIVERIES,
    PLATE,
    RUBBER,
    TRIM,
    pick,
)

_V = SemanticClass.VEHICLE


def wheels(stations: tuple[float, ...], width: float, radius: float, cls: SemanticClass = _V) -> list[Mesh]:
    """Pairs of wheels: discs with hubs outside, treads seen from front and back."""
    parts = []
    for x in stations:
        for side, sign in (("left", 1), ("right", -1)):
            y = sign * (width / 2 + GAP_M)
            inner = sign * (width / 2 - 0.22)
            parts.append(disc((x, y, radius), radius, side, RUBBER, cls))
            parts.append(disc((x, y + sign * GAP_M, radius), radius * 0.55, side, (0.55, 0.56, 0.58), cls, n=5))
            limits = (min(y, inner), max(y, inner))
            parts.append(
                box((x - radius * 0.9, x + radius * 0.9), limits, (0.0, radius), RUBBER, cls, ("front", "back"))
            )
    return parts


def rear_lamps(x: float, width: float, low: float, w: float = 0.42) -> list[Mesh]:
    """Tail and brake lamps at the corners with the indicators above, all seen from behind."""
    parts = []
    for sign, lamp in ((1, Lamp.LEFT), (-1, Lamp.RIGHT)):
        y = sign * (width / 2 - w / 2 - 0.01)
        parts.append(plate((x - GAP_M, y, low + 0.17), (w, 0.34), "back", TRIM, _V, Lamp.REAR))
        parts.append(plate((x - GAP_M, y, low + 0.34 + 0.14), (w, 0.26), "back", TRIM, _V, lamp))
    return parts


def front_lamps(x: float, width: float, z: float) -> list[Mesh]:
    """Headlamps with the indicators outside."""
    parts = []
    for sign, lamp in ((1, Lamp.LEFT), (-1, Lamp.RIGHT)):
        parts.append(plate((x + GAP_M, sign * (width / 2 - 0.53), z), (0.36, 0.20), "front", HEADLIGHT, _V, Lamp.HEAD))
        parts.append(plate((x + GAP_M, sign * (width / 2 - 0.18), z), (0.34, 0.26), "front", TRIM, _V, lamp))
    return parts


def side_lamps(stations: tuple[float, ...], width: float, z: float) -> list[Mesh]:
    """Indicators on the flanks."""
    return [
        plate((x, sign * (width / 2 + GAP_M), z), (0.36, 0.24), side, TRIM, _V, lamp)
        for x in stations
        for sign, side, lamp in ((1, "left", Lamp.LEFT), (-1, "right", Lamp.RIGHT))
    ]


def band(bottom: np.ndarray, top: np.ndarray, face: str, low: float, high: float, inset: float) -> Mesh:
    """Glass on one side of a hexahedron: between shares `low` and `high` of its height, `inset` from its edges."""
    corner = {"right": (0, 1), "front": (1, 2), "left": (2, 3), "back": (3, 0)}[face]
    a0, b0, a1, b1 = bottom[corner[0]], bottom[corner[1]], top[corner[0]], top[corner[1]]

    def at(u: float, v: float) -> np.ndarray:
        return (a0 * (1 - u) + b0 * u) * (1 - v) + (a1 * (1 - u) + b1 * u) * v

    quad = np.stack([at(inset, low), at(1 - inset, low), at(1 - inset, high), at(inset, high)])
    normal = np.cross(quad[1] - quad[0], quad[2] - quad[0])
    return polygons((quad + GAP_M * normal / np.linalg.norm(normal))[None], GLASS, _V)


def _cabin(bottom: np.ndarray, top: np.ndarray, paint: Rgb, pillar: bool = True) -> list[Mesh]:
    """A tapered cabin with windows on all sides."""
    parts = [hexahedron(bottom, top, paint, _V)]
    for face in ("right", "left", "front", "back"):
        parts.append(band(bottom, top, face, 0.10, 0.86, 0.07))
    if pillar:
        for face, sign in (("right", -1), ("left", 1)):
            x = float((bottom[0, 0] + bottom[1, 0] + top[0, 0] + top[1, 0]) / 4)
            y = sign * (abs(float(bottom[0, 1])) + abs(float(top[0, 1]))) / 2
            lean = abs(float(bottom[0, 1])) - abs(float(top[0, 1]))
            z0, z1 = float(bottom[0, 2]), float(top[0, 2])
            u = 1 if face == "right" else -1
            quad = np.array(
                [[x - 0.05 * u, y + sign * lean / 2, z0], [x + 0.05 * u, y + sign * lean / 2, z0],
                 [x + 0.05 * u, y - sign * lean / 2, z1], [x - 0.05 * u, y - sign * lean / 2, z1]]
            )  # fmt: skip
            quad[:, 1] += sign * 2 * GAP_M
            parts.append(polygons(quad[None], paint, _V))
    return parts


def car(length: float, width: float, height: float, rng: np.random.Generator, paint: Rgb | None = None) -> Mesh:
    """Saloon, hatchback, estate, off-roader or pick-up: a wedge-shaped hull, a tapered cabin, wheels, lamps."""
    styles = 5 if paint is None else 4  # nobody paints a pick-up as a police car
    paint = paint or pick(rng, CAR_PAINTS)
    style = int(rng.integers(styles))
    half, belt = length / 2, 0.60 * height
    floor = 0.20 if style < 3 else 0.28
    hull = prism(
        [(-half, floor + 0.05), (half, floor + 0.05), (half, belt * 0.82), (half - 0.28 * length, belt), (-half + 0.06, belt)],
        width / 2, paint, _V,
    )  # fmt: skip
    back_low, back_high = ((-0.36, -0.22), (-0.47, -0.36), (-0.485, -0.43), (-0.49, -0.45), (-0.14, -0.11))[style]
    y0, y1 = width / 2 - 0.04, width / 2 - 0.20
    bottom = rect((back_low * length, 0.24 * length), (-y0, y0), belt - 0.01)
    top = rect((back_high * length, 0.06 * length), (-y1, y1), height)
    dark = shade(paint, 0.55)
    parts = [hull, *_cabin(bottom, top, paint)]
    for x, facing in ((-half, "back"), (half, "front")):
        sign = 1 if facing == "front" else -1
        parts.append(plate((x + sign * GAP_M, 0, floor + 0.16), (width - 0.04, 0.20), facing, TRIM, _V))
        parts.append(plate((x + sign * 2 * GAP_M, 0, floor + 0.30), (0.5, 0.14), facing, PLATE, _V))
    parts.append(plate((half + GAP_M, 0, belt * 0.66), (width * 0.38, 0.18), "front", dark, _V))
    parts += [
        plate((0, sign * (width / 2 + GAP_M), floor + 0.12), (length * 0.9, 0.12), side, TRIM, _V)
        for sign, side in ((1, "left"), (-1, "right"))
    ]
    if style == 4:  # the bed
        bed = rect((-half + 0.12, -0.16 * length), (-y0 + 0.08, y0 - 0.08), belt + GAP_M)
        parts.append(polygons(bed[None], TRIM, _V))
    elif style in (2, 3) and rng.random() < 0.3:  # a box or rails on the roof
        rack = (back_high * length + 0.3, 0.0), (-y1 + 0.12, y1 - 0.12), (height - 0.02, height + 0.05)
        parts.append(box(*rack, TRIM, _V))
    parts += wheels((-0.30 * length, 0.31 * length), width, 0.33 if style < 3 else 0.38)
    parts += rear_lamps(-half, width, belt - 0.62)
    parts += front_lamps(half, width, belt * 0.68)
    parts += side_lamps((0.42 * length, -0.43 * length), width, belt * 0.72)
    parts.append(
        plate((back_high * length - 0.30 * (style < 4), 0, height - 0.20), (0.62, 0.16), "back", TRIM, _V, Lamp.BRAKE)
    )
    return join(parts)


def van(length: float, width: float, height: float, rng: np.random.Generator, paint: Rgb | None = None) -> Mesh:
    """A box van: tall body, sloping nose, windows in front and back; some carry a firm's band."""
    band_color = None if paint is not None or rng.random() < 0.5 else pick(rng, LIVERIES)
    paint = paint or pick(rng, CAR_PAINTS)
    half, floor = length / 2, 0.30
    nose = 0.22 * length
    body_bottom = rect((-half, half - nose), (-width / 2, width / 2), floor)
    body_top = rect((-half + 0.05, half - nose), (-width / 2 + 0.08, width / 2 - 0.08), height)
    parts = [hexahedron(body_bottom, body_top, paint, _V)]
    hood = 0.52 * height
    parts.append(
        prism(
            [(half - nose, floor), (half, floor), (half, hood * 0.85), (half - 0.45 * nose, hood), (half - nose, hood)],
            width / 2,
            paint,
            _V,
        )
    )
    y0, y1 = width / 2 - 0.03, width / 2 - 0.12
    low = rect((half - nose - 0.01, half - 0.35 * nose), (-y0, y0), hood - 0.01)
    high = rect((half - nose - 0.01, half - nose + 0.05), (-y1, y1), height - 0.03)
    parts.append(hexahedron(low, high, paint, _V))
    parts += [band(low, high, face, 0.08, 0.9, 0.06) for face in ("front", "left", "right")]
    parts += [
        plate(
            (-half - GAP_M + 0.03, sign * width * 0.22, height * 0.72), (width * 0.34, height * 0.24), "back", GLASS, _V
        )
        for sign in (1, -1)
    ]
    if rng.random() < 0.6:
        parts += [
            plate((x, sign * (width / 2 - 0.03), height * 0.70), (0.2 * length, height * 0.22), side, GLASS, _V)
            for x in (0.10 * length, -0.16 * length)
            for sign, side in ((1, "left"), (-1, "right"))
        ]
    parts += [
        plate((s * (half + GAP_M), 0, floor + 0.1), (width, 0.2), f, TRIM, _V) for s, f in ((-1, "back"), (1, "front"))
    ]
    if band_color is not None:
        parts += [
            plate(
                (-0.12 * length, sign * (width / 2 + GAP_M), 0.40 * height),
                (0.66 * length, 0.16 * height),
                side,
                band_color,
                _V,
            )
            for sign, side in ((1, "left"), (-1, "right"))
        ]
    parts += wheels((-0.30 * length, 0.32 * length), width, 0.36)
    parts += rear_lamps(-half, width, 0.55)
    parts += front_lamps(half, width, 0.75)
    parts += side_lamps((0.40 * length, -0.45 * length), width, 0.85)
    parts.append(plate((-half + 0.02, 0, height - 0.14), (0.62, 0.16), "back", TRIM, _V, Lamp.BRAKE))
    return join(parts)


def truck(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A cab and a cargo box on a chassis."""
    paint, cargo = pick(rng, CAR_PAINTS), pick(rng, CARGO_PAINTS)
    half, cab = length / 2, min(2.2, 0.32 * length)
    split = half - cab
    y = width / 2
    parts = [
        box((-half, split - 0.25), (-y, y), (0.95, height), cargo, _V),
        box((-half + 0.1, split), (-y * 0.8, y * 0.8), (0.5, 0.95), TRIM, _V),
    ]
    low, high = (
        rect((split, half), (-y, y), 0.45),
        rect((split, half - 0.15), (-y + 0.04, y - 0.04), min(height * 0.9, 3.0)),
    )
    parts.append(hexahedron(low, high, paint, _V))
    parts += [band(low, high, face, 0.52, 0.90, 0.08) for face in ("front", "left", "right")]
    parts.append(plate((-half - GAP_M, 0, (0.95 + height) / 2), (0.04, height - 1.05), "back", TRIM, _V))
    parts.append(plate((-half - GAP_M, 0, 0.72), (width, 0.5), "back", TRIM, _V))
    stripe = shade(cargo, 0.6)
    for sign, side in ((1, "left"), (-1, "right")):
        x = (-half + split) / 2
        parts.append(
            plate((x, sign * (y + GAP_M), 0.55 * height), ((split + half) * 0.7, 0.3 * height), side, stripe, _V)
        )
    stations = (-0.36 * length, -0.24 * length, half - 0.55 * cab) if length > 7 else (-0.30 * length, half - 0.5 * cab)
    parts += wheels(stations, width, 0.48)
    parts += rear_lamps(-half - GAP_M, width, 0.48, 0.48)
    parts += front_lamps(half, width, 0.75)
    parts += side_lamps((half - 0.3, -0.46 * length), width, 1.08)
    parts.append(plate((-half - GAP_M, 0, height - 0.14), (0.8, 0.16), "back", TRIM, _V, Lamp.BRAKE))
    return join(parts)


def bus(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A city bus: long box, window bands, doors on the right."""
    paint = pick(rng, BUS_PAINTS)
    half, y = length / 2, width / 2
    low, high = rect((-half, half), (-y, y), 0.35), rect((-half + 0.04, half - 0.08), (-y, y), height)
    parts = [hexahedron(low, high, paint, _V)]
    parts += [band(low, high, face, 0.42, 0.82, 0.03) for face in ("right", "left")]
    parts += [band(low, high, "front", 0.28, 0.85, 0.05), band(low, high, "back", 0.50, 0.80, 0.12)]
    count = max(3, int(length / 1.8))
    for x in np.linspace(-half + 0.6, half - 0.6, count):
        for sign, side in ((1, "left"), (-1, "right")):
            parts.append(plate((float(x), sign * (y + GAP_M), 0.63 * height), (0.10, 0.40 * height), side, paint, _V))
    for x in (half - 1.1, -0.05 * length):
        parts.append(plate((x, -(y + 2 * GAP_M), 0.35 + 1.05), (1.1, 2.0), "right", TRIM, _V))
    parts.append(plate((half + GAP_M, 0, 0.93 * height), (width * 0.6, 0.25), "front", (0.95, 0.65, 0.1), _V))
    parts.append(plate((-half - GAP_M, 0, 0.55), (width, 0.3), "back", TRIM, _V))
    livery = pick(rng, LIVERIES)
    for sign, side in ((1, "left"), (-1, "right")):
        parts.append(plate((0.0, sign * (y + GAP_M), 0.30 * height), (0.96 * length, 0.10 * height), side, livery, _V))
    parts += wheels((-0.28 * length, 0.30 * length), width, 0.48)
    parts += rear_lamps(-half - GAP_M, width, 0.72, 0.46)
    parts += front_lamps(half, width, 0.75)
    parts += side_lamps((half - 0.25, -0.2 * length, -0.47 * length), width, 1.0)
    parts.append(plate((-half - GAP_M, 0, height - 0.22), (0.8, 0.18), "back", TRIM, _V, Lamp.BRAKE))
    return join(parts)
