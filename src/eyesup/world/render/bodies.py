"""Bodies of agents: low-poly vehicles, people and obstacles that fill the agent's box.

Object frame: origin at the centre of the box's underside, x forward, y left, z up. Lamps are drawn larger than life
(about 0.4 m) so that they cover several pixels at 25 m in a 256 x 144 picture.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from eyesup.types import AgentKind, SemanticClass
from eyesup.world.render.meshes import (
    SHELL,
    Lamp,
    Mesh,
    Rgb,
    blob,
    box,
    disc,
    hexahedron,
    join,
    plate,
    polygons,
    prism,
    rect,
    shade,
)

CAR_PAINTS: tuple[Rgb, ...] = (
    (0.86, 0.87, 0.88), (0.16, 0.17, 0.19), (0.55, 0.57, 0.60), (0.36, 0.38, 0.42), (0.12, 0.22, 0.46), (0.55, 0.10, 0.11),
    (0.20, 0.34, 0.30), (0.72, 0.65, 0.52), (0.85, 0.84, 0.78), (0.25, 0.45, 0.65), (0.42, 0.28, 0.20), (0.80, 0.45, 0.12),
)  # fmt: skip
CARGO_PAINTS: tuple[Rgb, ...] = (
    (0.88, 0.88, 0.86),
    (0.30, 0.42, 0.58),
    (0.62, 0.60, 0.52),
    (0.25, 0.40, 0.30),
    (0.70, 0.35, 0.2),
)
BUS_PAINTS: tuple[Rgb, ...] = ((0.75, 0.72, 0.65), (0.20, 0.40, 0.62), (0.80, 0.55, 0.15), (0.30, 0.50, 0.35))
CLOTHES: tuple[Rgb, ...] = (
    (0.70, 0.20, 0.18), (0.18, 0.28, 0.55), (0.85, 0.82, 0.75), (0.20, 0.45, 0.35), (0.85, 0.65, 0.20), (0.25, 0.25, 0.28),
    (0.50, 0.30, 0.50), (0.75, 0.45, 0.30),
)  # fmt: skip
SKINS: tuple[Rgb, ...] = ((0.87, 0.68, 0.55), (0.65, 0.45, 0.33), (0.42, 0.28, 0.20), (0.78, 0.58, 0.44))
GLASS: Rgb = (0.10, 0.13, 0.17)
RUBBER: Rgb = (0.07, 0.07, 0.08)
TRIM: Rgb = (0.13, 0.13, 0.14)
HEADLIGHT: Rgb = (0.97, 0.97, 0.90)
PLATE: Rgb = (0.92, 0.92, 0.86)

_GAP = 0.025  # [m] by which things painted on a surface stand off it
_V, _C, _O = SemanticClass.VEHICLE, SemanticClass.CYCLIST, SemanticClass.OBSTACLE


def body(kind: AgentKind, size: Float[np.ndarray, "3"], look: int) -> Mesh:
    """Mesh of an agent of that kind and size (length, width, height) [m]; `look` seeds colour and variant."""
    length, width, height = (float(s) for s in size)
    rng = np.random.default_rng([int(look), int(kind)])
    return _BUILDERS[kind](length, width, height, rng)


def _pick(rng: np.random.Generator, colors: tuple[Rgb, ...]) -> Rgb:
    return colors[int(rng.integers(len(colors)))]


def _wheels(stations: tuple[float, ...], width: float, radius: float, cls: SemanticClass = _V) -> list[Mesh]:
    """Pairs of wheels: discs with hubs outside, treads seen from front and back."""
    parts = []
    for x in stations:
        for side, sign in (("left", 1), ("right", -1)):
            y = sign * (width / 2 + _GAP)
            inner = sign * (width / 2 - 0.22)
            parts.append(disc((x, y, radius), radius, side, RUBBER, cls))
            parts.append(disc((x, y + sign * _GAP, radius), radius * 0.55, side, (0.55, 0.56, 0.58), cls, n=5))
            limits = (min(y, inner), max(y, inner))
            parts.append(
                box((x - radius * 0.9, x + radius * 0.9), limits, (0.0, radius), RUBBER, cls, ("front", "back"))
            )
    return parts


def _rear_lamps(x: float, width: float, low: float, w: float = 0.42) -> list[Mesh]:
    """Brake lamps at the corners with the indicators above, all seen from behind."""
    parts = []
    for sign, lamp in ((1, Lamp.LEFT), (-1, Lamp.RIGHT)):
        y = sign * (width / 2 - w / 2 - 0.01)
        parts.append(plate((x - _GAP, y, low + 0.17), (w, 0.34), "back", TRIM, _V, Lamp.BRAKE))
        parts.append(plate((x - _GAP, y, low + 0.34 + 0.14), (w, 0.26), "back", TRIM, _V, lamp))
    return parts


def _front_lamps(x: float, width: float, z: float) -> list[Mesh]:
    """Headlamps with the indicators outside."""
    parts = []
    for sign, lamp in ((1, Lamp.LEFT), (-1, Lamp.RIGHT)):
        parts.append(plate((x + _GAP, sign * (width / 2 - 0.53), z), (0.36, 0.20), "front", HEADLIGHT, _V))
        parts.append(plate((x + _GAP, sign * (width / 2 - 0.18), z), (0.34, 0.26), "front", TRIM, _V, lamp))
    return parts


def _side_lamps(stations: tuple[float, ...], width: float, z: float) -> list[Mesh]:
    """Indicators on the flanks."""
    return [
        plate((x, sign * (width / 2 + _GAP), z), (0.36, 0.24), side, TRIM, _V, lamp)
        for x in stations
        for sign, side, lamp in ((1, "left", Lamp.LEFT), (-1, "right", Lamp.RIGHT))
    ]


def _band(bottom: np.ndarray, top: np.ndarray, face: str, low: float, high: float, inset: float) -> Mesh:
    """Glass on one side of a hexahedron: between shares `low` and `high` of its height, `inset` from its edges."""
    corner = {"right": (0, 1), "front": (1, 2), "left": (2, 3), "back": (3, 0)}[face]
    a0, b0, a1, b1 = bottom[corner[0]], bottom[corner[1]], top[corner[0]], top[corner[1]]

    def at(u: float, v: float) -> np.ndarray:
        return (a0 * (1 - u) + b0 * u) * (1 - v) + (a1 * (1 - u) + b1 * u) * v

    quad = np.stack([at(inset, low), at(1 - inset, low), at(1 - inset, high), at(inset, high)])
    normal = np.cross(quad[1] - quad[0], quad[2] - quad[0])
    return polygons((quad + _GAP * normal / np.linalg.norm(normal))[None], GLASS, _V)


def _cabin(bottom: np.ndarray, top: np.ndarray, paint: Rgb, pillar: bool = True) -> list[Mesh]:
    """A tapered cabin with windows on all sides."""
    parts = [hexahedron(bottom, top, paint, _V)]
    for face in ("right", "left", "front", "back"):
        parts.append(_band(bottom, top, face, 0.10, 0.86, 0.07))
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
            quad[:, 1] += sign * 2 * _GAP
            parts.append(polygons(quad[None], paint, _V))
    return parts


def _car(length: float, width: float, height: float, rng: np.random.Generator, paint: Rgb | None = None) -> Mesh:
    """Saloon, hatchback, estate or off-roader: a wedge-shaped hull, a tapered cabin, wheels, lamps."""
    paint = paint or _pick(rng, CAR_PAINTS)
    style = int(rng.integers(4))
    half, belt = length / 2, 0.60 * height
    floor = 0.20 if style < 3 else 0.28
    hull = prism(
        [(-half, floor + 0.05), (half, floor + 0.05), (half, belt * 0.82), (half - 0.28 * length, belt), (-half + 0.06, belt)],
        width / 2, paint, _V,
    )  # fmt: skip
    back_low, back_high = ((-0.36, -0.22), (-0.47, -0.36), (-0.485, -0.43), (-0.49, -0.45))[style]
    y0, y1 = width / 2 - 0.04, width / 2 - 0.20
    bottom = rect((back_low * length, 0.24 * length), (-y0, y0), belt - 0.01)
    top = rect((back_high * length, 0.06 * length), (-y1, y1), height)
    dark = shade(paint, 0.55)
    parts = [hull, *_cabin(bottom, top, paint)]
    for x, facing in ((-half, "back"), (half, "front")):
        sign = 1 if facing == "front" else -1
        parts.append(plate((x + sign * _GAP, 0, floor + 0.16), (width - 0.04, 0.20), facing, TRIM, _V))
        parts.append(plate((x + sign * 2 * _GAP, 0, floor + 0.30), (0.5, 0.14), facing, PLATE, _V))
    parts.append(plate((half + _GAP, 0, belt * 0.66), (width * 0.38, 0.18), "front", dark, _V))
    parts += [
        plate((0, sign * (width / 2 + _GAP), floor + 0.12), (length * 0.9, 0.12), side, TRIM, _V)
        for sign, side in ((1, "left"), (-1, "right"))
    ]
    parts += _wheels((-0.30 * length, 0.31 * length), width, 0.33 if style < 3 else 0.38)
    parts += _rear_lamps(-half, width, belt - 0.62)
    parts += _front_lamps(half, width, belt * 0.68)
    parts += _side_lamps((0.42 * length, -0.43 * length), width, belt * 0.72)
    parts.append(plate((back_high * length - 0.30, 0, height - 0.20), (0.62, 0.16), "back", TRIM, _V, Lamp.BRAKE))
    return join(parts)


def _van(length: float, width: float, height: float, rng: np.random.Generator, paint: Rgb | None = None) -> Mesh:
    """A box van: tall body, sloping nose, windows in front and back."""
    paint = paint or _pick(rng, CAR_PAINTS)
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
    parts += [_band(low, high, face, 0.08, 0.9, 0.06) for face in ("front", "left", "right")]
    parts += [
        plate(
            (-half - _GAP + 0.03, sign * width * 0.22, height * 0.72), (width * 0.34, height * 0.24), "back", GLASS, _V
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
        plate((s * (half + _GAP), 0, floor + 0.1), (width, 0.2), f, TRIM, _V) for s, f in ((-1, "back"), (1, "front"))
    ]
    parts += _wheels((-0.30 * length, 0.32 * length), width, 0.36)
    parts += _rear_lamps(-half, width, 0.55)
    parts += _front_lamps(half, width, 0.75)
    parts += _side_lamps((0.40 * length, -0.45 * length), width, 0.85)
    parts.append(plate((-half + 0.02, 0, height - 0.14), (0.62, 0.16), "back", TRIM, _V, Lamp.BRAKE))
    return join(parts)


def _truck(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A cab and a cargo box on a chassis."""
    paint, cargo = _pick(rng, CAR_PAINTS), _pick(rng, CARGO_PAINTS)
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
    parts += [_band(low, high, face, 0.52, 0.90, 0.08) for face in ("front", "left", "right")]
    parts.append(plate((-half - _GAP, 0, (0.95 + height) / 2), (0.04, height - 1.05), "back", TRIM, _V))
    parts.append(plate((-half - _GAP, 0, 0.72), (width, 0.5), "back", TRIM, _V))
    stripe = shade(cargo, 0.6)
    for sign, side in ((1, "left"), (-1, "right")):
        x = (-half + split) / 2
        parts.append(
            plate((x, sign * (y + _GAP), 0.55 * height), ((split + half) * 0.7, 0.3 * height), side, stripe, _V)
        )
    stations = (-0.36 * length, -0.24 * length, half - 0.55 * cab) if length > 7 else (-0.30 * length, half - 0.5 * cab)
    parts += _wheels(stations, width, 0.48)
    parts += _rear_lamps(-half - _GAP, width, 0.48, 0.48)
    parts += _front_lamps(half, width, 0.75)
    parts += _side_lamps((half - 0.3, -0.46 * length), width, 1.08)
    parts.append(plate((-half - _GAP, 0, height - 0.14), (0.8, 0.16), "back", TRIM, _V, Lamp.BRAKE))
    return join(parts)


def _bus(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A city bus: long box, window bands, doors on the right."""
    paint = _pick(rng, BUS_PAINTS)
    half, y = length / 2, width / 2
    low, high = rect((-half, half), (-y, y), 0.35), rect((-half + 0.04, half - 0.08), (-y, y), height)
    parts = [hexahedron(low, high, paint, _V)]
    parts += [_band(low, high, face, 0.42, 0.82, 0.03) for face in ("right", "left")]
    parts += [_band(low, high, "front", 0.28, 0.85, 0.05), _band(low, high, "back", 0.50, 0.80, 0.12)]
    count = max(3, int(length / 1.8))
    for x in np.linspace(-half + 0.6, half - 0.6, count):
        for sign, side in ((1, "left"), (-1, "right")):
            parts.append(plate((float(x), sign * (y + _GAP), 0.63 * height), (0.10, 0.40 * height), side, paint, _V))
    for x in (half - 1.1, -0.05 * length):
        parts.append(plate((x, -(y + 2 * _GAP), 0.35 + 1.05), (1.1, 2.0), "right", TRIM, _V))
    parts.append(plate((half + _GAP, 0, 0.93 * height), (width * 0.6, 0.25), "front", (0.95, 0.65, 0.1), _V))
    parts.append(plate((-half - _GAP, 0, 0.55), (width, 0.3), "back", TRIM, _V))
    parts += _wheels((-0.28 * length, 0.30 * length), width, 0.48)
    parts += _rear_lamps(-half - _GAP, width, 0.72, 0.46)
    parts += _front_lamps(half, width, 0.75)
    parts += _side_lamps((half - 0.25, -0.2 * length, -0.47 * length), width, 1.0)
    parts.append(plate((-half - _GAP, 0, height - 0.22), (0.8, 0.18), "back", TRIM, _V, Lamp.BRAKE))
    return join(parts)


def _emergency(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A white van (or car, when low) with a red and yellow band and a light bar on the roof."""
    bar = 0.32
    tall = height > 2.0
    build = _van if tall else _car
    parts = [build(length, width, height - bar, rng, (0.93, 0.93, 0.92))]
    roof = height - bar - 0.02
    x = 0.12 * length if tall else -0.1 * length
    parts.append(box((x - 0.2, x + 0.2), (-0.40 * width, 0.40 * width), (roof, height), TRIM, _V, SHELL, Lamp.BEACON))
    band_z = 0.48 * height if tall else 0.36 * height
    for sign, side in ((1, "left"), (-1, "right")):
        y = sign * (width / 2 + 2 * _GAP)
        parts.append(plate((0, y, band_z), (0.86 * length, 0.22), side, (0.85, 0.12, 0.10), _V))
        parts.append(plate((0, y, band_z + 0.16), (0.86 * length, 0.10), side, (0.95, 0.80, 0.10), _V))
    if tall:
        back = -length / 2 - 2 * _GAP
        parts.append(plate((back, 0, 1.28), (width * 0.9, 0.2), "back", (0.85, 0.12, 0.10), _V))
    return join(parts)


def _rider(x: float, seat: float, height: float, shirt: Rgb, trousers: Rgb, skin: Rgb, helmet: Rgb) -> list[Mesh]:
    """A person on a saddle at `seat` height, head at the top of the box."""
    head = 0.13
    neck = height - 2 * head
    low, high = rect((x - 0.14, x + 0.10), (-0.17, 0.17), seat), rect((x + 0.05, x + 0.28), (-0.22, 0.22), neck)
    parts = [hexahedron(low, high, shirt, _C)]
    parts.append(blob((x + 0.2, 0, neck + head * 0.9), (head, head * 0.9, head * 1.1), skin, _C))
    parts.append(blob((x + 0.18, 0, neck + head * 1.25), (head * 1.1, head * 1.05, head * 0.75), helmet, _C))
    for sign in (1, -1):
        y = sign * 0.13
        thigh = (
            rect((x + 0.02, x + 0.2), (y - 0.07, y + 0.07), 0.30),
            rect((x - 0.1, x + 0.1), (y - 0.08, y + 0.08), seat + 0.05),
        )
        parts.append(hexahedron(*thigh, trousers, _C))
        arm = (
            rect((x + 0.40, x + 0.5), (y * 1.6 - 0.05, y * 1.6 + 0.05), seat + 0.12),
            rect((x + 0.12, x + 0.24), (y * 1.5 - 0.05, y * 1.5 + 0.05), neck - 0.03),
        )
        parts.append(hexahedron(*arm, shirt, _C))
    return parts


def _two_wheeler(length: float, width: float, height: float, rng: np.random.Generator, motor: bool) -> Mesh:
    radius = 0.30 if motor else 0.33
    paint = _pick(rng, CAR_PAINTS)
    thick = 0.16 if motor else 0.06
    reach = length / 2 - radius
    parts = []
    for x in (-reach, reach):
        parts.append(
            box(
                (x - radius * 0.8, x + radius * 0.8),
                (-thick / 2, thick / 2),
                (0.0, 2 * radius),
                RUBBER,
                _C,
                ("front", "back"),
            )
        )
        for side, sign in (("left", 1), ("right", -1)):
            parts.append(disc((x, sign * thick / 2, radius), radius, side, RUBBER, _C))
            hub = (0.5, 0.5, 0.52) if motor else (0.42, 0.44, 0.45)
            parts.append(disc((x, sign * (thick / 2 + _GAP), radius), radius * (0.5 if motor else 0.8), side, hub, _C))
    seat = 0.80 if motor else 0.95
    frame = prism(
        [(-reach * 0.9, radius), (reach * 0.5, radius * 0.9), (reach, 2 * radius + 0.25), (-0.1, seat), (-reach * 0.5, seat)],
        0.14 if motor else 0.035, paint, _C,
    )  # fmt: skip
    bar = box((reach * 0.72, reach * 0.82), (-width / 2, width / 2), (seat + 0.08, seat + 0.18), TRIM, _C)
    parts += [frame, bar]
    parts += _rider(
        -0.12 * length,
        seat,
        height,
        _pick(rng, CLOTHES),
        _pick(rng, CLOTHES),
        _pick(rng, SKINS),
        _pick(rng, CAR_PAINTS),
    )
    tail = -length / 2 + 0.05
    parts.append(plate((tail, 0, 0.68), (0.26, 0.22), "back", TRIM, _C, Lamp.BRAKE))
    if motor:
        for sign, lamp in ((1, Lamp.LEFT), (-1, Lamp.RIGHT)):
            parts.append(plate((tail, sign * 0.26, 0.70), (0.22, 0.22), "back", TRIM, _C, lamp))
            parts.append(plate((reach * 0.9, sign * 0.3, 0.85), (0.2, 0.2), "front", TRIM, _C, lamp))
        parts.append(disc((reach + 0.1, 0, 0.88), 0.13, "front", HEADLIGHT, _C))
    return join(parts)


def _motorcycle(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    return _two_wheeler(length, width, height, rng, motor=True)


def _bicycle(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    return _two_wheeler(length, width, height, rng, motor=False)


def _pedestrian(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A walking person; the stride varies with the look."""
    p = SemanticClass.PEDESTRIAN
    shirt, trousers, skin = _pick(rng, CLOTHES), _pick(rng, CLOTHES), _pick(rng, SKINS)
    hair = ((0.10, 0.08, 0.06), (0.35, 0.22, 0.12), (0.62, 0.50, 0.30), (0.55, 0.55, 0.55))[int(rng.integers(4))]
    hip, neck, head = 0.50 * height, 0.83 * height, 0.085 * height
    half_w = min(width / 2, 0.26)
    stride = float(rng.uniform(0.12, 0.28)) * (1 if rng.random() < 0.5 else -1)
    parts = [
        hexahedron(
            rect((-0.11, 0.11), (-half_w * 0.65, half_w * 0.65), hip - 0.05),
            rect((-0.12, 0.12), (-half_w, half_w), neck),
            shirt,
            p,
        )
    ]
    for sign in (1, -1):
        y = sign * half_w * 0.40
        foot = sign * stride
        leg = rect((foot - 0.09, foot + 0.11), (y - 0.08, y + 0.08), 0.0), rect((-0.1, 0.1), (y - 0.09, y + 0.09), hip)
        parts.append(hexahedron(*leg, trousers, p))
        arm_y = sign * (half_w + 0.02)
        arm = (
            rect((-0.6 * foot - 0.05, -0.6 * foot + 0.05), (arm_y - 0.05, arm_y + 0.05), hip - 0.06),
            rect((-0.06, 0.06), (arm_y - 0.06, arm_y + 0.05), neck - 0.04),
        )
        parts.append(hexahedron(*arm, shirt, p))
    parts.append(blob((0.01, 0, height - 1.05 * head), (head, head * 0.85, head * 1.1), skin, p))
    parts.append(blob((-0.03, 0, height - 0.75 * head), (head * 0.98, head * 0.98, head * 0.78), hair, p))
    return join(parts)


def _cone(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """Orange with two white bands on a square foot."""
    half = max(min(length, width) / 2, 0.12)
    parts = [box((-half, half), (-half, half), (0.0, 0.06), (0.75, 0.28, 0.05), _O)]
    edges = np.array([0.0, 0.30, 0.52, 0.68, 0.86, 1.0])
    for i, (a, b) in enumerate(pairwise(edges)):
        color = (0.95, 0.95, 0.93) if i % 2 else (1.0, 0.40, 0.05)
        radius = [half * 0.9 * (1 - 0.85 * s) for s in (a, b)]
        z = [0.06 + (height - 0.06) * s for s in (a, b)]
        low, high = (rect((-r, r), (-r, r), zz) for r, zz in zip(radius, z))
        parts.append(hexahedron(low, high, color, _O))
    return join(parts)


def _barrier(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
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
            color = (0.85, 0.10, 0.08) if i % 2 == 0 else (0.95, 0.95, 0.93)
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


def _debris(length: float, width: float, height: float, rng: np.random.Generator) -> Mesh:
    """A heap of broken boards and a carton."""
    parts = [box((-length / 2, 0.1 * length), (-width / 2, width * 0.2), (0, height), (0.55, 0.42, 0.28), _O)]
    parts.append(box((0.0, length / 2), (-0.2 * width, width / 2), (0, 0.55 * height), (0.40, 0.30, 0.22), _O))
    parts.append(
        blob(
            (0.1 * length, -0.2 * width, 0.45 * height),
            (0.35 * length, 0.3 * width, 0.35 * height),
            (0.3, 0.3, 0.32),
            _O,
            rng,
            0.2,
        )
    )
    return join(parts)


_BUILDERS: dict[AgentKind, Callable[[float, float, float, np.random.Generator], Mesh]] = {
    AgentKind.CAR: _car,
    AgentKind.VAN: _van,
    AgentKind.TRUCK: _truck,
    AgentKind.BUS: _bus,
    AgentKind.MOTORCYCLE: _motorcycle,
    AgentKind.BICYCLE: _bicycle,
    AgentKind.PEDESTRIAN: _pedestrian,
    AgentKind.CONE: _cone,
    AgentKind.BARRIER: _barrier,
    AgentKind.EMERGENCY: _emergency,
    AgentKind.DEBRIS: _debris,
}
