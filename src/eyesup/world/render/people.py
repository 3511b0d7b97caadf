"""Bodies of people on foot and on two wheels, standing or in one of the phases of their step. Frame as in `bodies`."""

from __future__ import annotations

import numpy as np

from eyesup.types import SemanticClass
from eyesup.world.render.meshes import Lamp, Mesh, Rgb, blob, box, disc, hexahedron, join, plate, prism, rect
from eyesup.world.render.palette import (
    CAR_PAINTS,
    CLOTHES,
    GAP_M,
    HAIRS,
    HEADLIGHT,
    RUBBER,
    SIGNAL_YELLOW,
    SKINS,
    TRIM,
    WHITE,
    pick,
)

WORKER_LOOK = 0xFF000000  # looks from here on wear an orange vest and a helmet
STANDING, GAITS = 0, 5  # gait 0 stands or coasts; 1 to 4 are the phases of a step
_P, _C = SemanticClass.PEDESTRIAN, SemanticClass.CYCLIST
_VEST: Rgb = (1.0, 0.42, 0.05)
# How far forward the left foot is, as a share of the stride, and how high it is lifted; the right foot is half a step off.
_FEET = ((0.0, 0.0), (1.0, 0.0), (0.1, 0.0), (-1.0, 0.0), (-0.1, 1.0))


def pedestrian(
    length: float, width: float, height: float, rng: np.random.Generator, gait: int, worker: bool = False
) -> Mesh:
    """A person whose arms swing against the legs; a worker wears a vest with bright bands, and a helmet."""
    shirt, trousers, skin, hair = pick(rng, CLOTHES), pick(rng, CLOTHES), pick(rng, SKINS), pick(rng, HAIRS)
    skirt, long_hair = (rng.random(2) < (0.2, 0.4)).tolist()
    stride = float(rng.uniform(0.18, 0.25)) * height / 1.75
    if worker:
        shirt, trousers, skirt = _VEST, (0.16, 0.18, 0.26), False
    hip, neck, head = 0.50 * height, 0.83 * height, 0.085 * height
    half_w = min(width / 2, 0.26) * 0.92
    torso = (
        rect((-0.11, 0.11), (-half_w * 0.70, half_w * 0.70), hip - 0.05),
        rect((-0.12, 0.12), (-half_w, half_w), neck),
    )
    parts = [hexahedron(*torso, shirt, _P)]
    if skirt:
        hem = rect((-0.16, 0.16), (-half_w * 0.85, half_w * 0.85), 0.62 * hip)
        parts.append(hexahedron(hem, torso[0] + [0, 0, 0.06], trousers, _P))
        trousers = skin
    for sign, phase in ((1, gait), (-1, gait if gait == STANDING else 1 + (gait + 1) % 4)):
        parts += _limbs(sign, phase, stride, hip, neck, half_w, shirt, trousers)
    parts.append(blob((0.01, 0, height - 1.05 * head), (head, head * 0.85, head * 1.1), skin, _P))
    if worker:
        parts.append(blob((0.0, 0, height - 0.62 * head), (head * 1.25, head * 1.15, head * 0.66), SIGNAL_YELLOW, _P))
        for z in (hip + 0.10, hip + 0.32):
            share = (z - hip + 0.05) / (neck - hip + 0.05)
            belt = half_w * (0.70 + 0.30 * share) + 0.01
            parts.append(box((-0.135, 0.135), (-belt, belt), (z, z + 0.09), WHITE, _P))
    else:
        parts.append(blob((-0.03, 0, height - 0.75 * head), (head * 0.98, head * 0.98, head * 0.78), hair, _P))
        if long_hair:
            parts.append(blob((-0.07, 0, height - 1.7 * head), (head * 0.6, head * 0.9, head * 1.2), hair, _P))
    return join(parts)


def _limbs(
    sign: int, phase: int, stride: float, hip: float, neck: float, half_w: float, sleeve: Rgb, trousers: Rgb
) -> list[Mesh]:
    """The leg of one side with its shoe, and the arm, which swings the other way."""
    ahead, lift = _FEET[phase]
    foot, low = ahead * stride, 0.14 * lift
    y = sign * half_w * 0.42
    knee_x = 0.5 * foot + (0.14 if lift else 0.05 * (ahead < 0))
    knee = rect((knee_x - 0.085, knee_x + 0.085), (y - 0.08, y + 0.08), 0.52 * hip + 0.05 * lift)
    ankle = rect((foot - 0.07, foot + 0.07), (y - 0.065, y + 0.065), low + 0.06)
    parts = [
        hexahedron(knee, rect((-0.1, 0.1), (y - 0.09, y + 0.09), hip), trousers, _P),
        hexahedron(ankle, knee, trousers, _P),
        box((foot - 0.09, foot + 0.17), (y - 0.07, y + 0.07), (low, low + 0.08), RUBBER, _P),
    ]
    hand, arm_y = -0.75 * foot, sign * (half_w + 0.02)
    arm = (
        rect((hand - 0.05, hand + 0.05), (arm_y - 0.05, arm_y + 0.05), hip - 0.06 + 0.1 * abs(ahead)),
        rect((-0.06, 0.06), (arm_y - 0.06, arm_y + 0.05), neck - 0.04),
    )
    return [*parts, hexahedron(*arm, sleeve, _P)]


def _rider(
    x: float, seat: float, height: float, colors: tuple[Rgb, Rgb, Rgb, Rgb], gait: int, motor: bool
) -> list[Mesh]:
    """A person on a saddle at `seat` height, head at the top of the box; the feet follow the pedals."""
    shirt, trousers, skin, helmet = colors
    head = 0.13
    neck = height - 2 * head
    low, high = rect((x - 0.14, x + 0.10), (-0.17, 0.17), seat), rect((x + 0.05, x + 0.28), (-0.22, 0.22), neck)
    parts = [hexahedron(low, high, shirt, _C)]
    parts.append(blob((x + 0.2, 0, neck + head * 0.9), (head, head * 0.9, head * 1.1), skin, _C))
    parts.append(blob((x + 0.18, 0, neck + head * 1.25), (head * 1.1, head * 1.05, head * 0.75), helmet, _C))
    for sign in (1, -1):
        y = sign * 0.13
        angle = np.pi / 2 * (gait if sign > 0 else gait + 2)
        pedal = (0.10, 0.30) if motor else (x + 0.20 + 0.15 * np.cos(angle), 0.30 + 0.15 * np.sin(angle))
        knee_x, knee_z = (pedal[0] + x + 0.05) / 2 + 0.18, (pedal[1] + seat) / 2 + 0.12
        knee = rect((knee_x - 0.09, knee_x + 0.07), (y - 0.08, y + 0.08), knee_z)
        ankle = rect((pedal[0] - 0.08, pedal[0] + 0.10), (y - 0.06, y + 0.06), pedal[1] - 0.04)
        thigh = rect((x - 0.12, x + 0.08), (y - 0.08, y + 0.08), seat + 0.06)
        parts += [hexahedron(ankle, knee, trousers, _C), hexahedron(knee, thigh, trousers, _C)]
        sole = (pedal[0] - 0.08, pedal[0] + 0.16), (y - 0.05, y + 0.05), (pedal[1] - 0.10, pedal[1] - 0.03)
        parts.append(box(*sole, RUBBER, _C))
        arm = (
            rect((x + 0.50, x + 0.60), (y * 1.6 - 0.05, y * 1.6 + 0.05), seat + 0.12),
            rect((x + 0.12, x + 0.24), (y * 1.5 - 0.05, y * 1.5 + 0.05), neck - 0.03),
        )
        parts.append(hexahedron(*arm, shirt, _C))
    return parts


def two_wheeler(length: float, width: float, height: float, rng: np.random.Generator, gait: int, motor: bool) -> Mesh:
    """A motorcycle or a bicycle with its rider."""
    radius = 0.30 if motor else 0.33
    paint = pick(rng, CAR_PAINTS)
    thick = 0.16 if motor else 0.06
    reach = length / 2 - radius
    parts = []
    for x in (-reach, reach):
        tread = (x - radius * 0.8, x + radius * 0.8), (-thick / 2, thick / 2), (0.0, 2 * radius)
        parts.append(box(*tread, RUBBER, _C, ("front", "back")))
        for side, sign in (("left", 1), ("right", -1)):
            parts.append(disc((x, sign * thick / 2, radius), radius, side, RUBBER, _C))
            hub = (0.5, 0.5, 0.52) if motor else (0.42, 0.44, 0.45)
            parts.append(disc((x, sign * (thick / 2 + GAP_M), radius), radius * (0.5 if motor else 0.8), side, hub, _C))
    seat = 0.80 if motor else 0.95
    frame = prism(
        [(-reach * 0.9, radius), (reach * 0.5, radius * 0.9), (reach, 2 * radius + 0.25), (-0.1, seat), (-reach * 0.5, seat)],
        0.14 if motor else 0.035, paint, _C,
    )  # fmt: skip
    bar = box((reach * 0.72, reach * 0.82), (-width / 2, width / 2), (seat + 0.08, seat + 0.18), TRIM, _C)
    parts += [frame, bar]
    clothes = pick(rng, CLOTHES), pick(rng, CLOTHES), pick(rng, SKINS), pick(rng, CAR_PAINTS)
    parts += _rider(-0.12 * length, seat, height, clothes, gait, motor)
    tail = -length / 2 + 0.05
    parts.append(plate((tail, 0, 0.68), (0.26, 0.22), "back", TRIM, _C, Lamp.REAR))
    if motor:
        for sign, lamp in ((1, Lamp.LEFT), (-1, Lamp.RIGHT)):
            parts.append(plate((tail, sign * 0.26, 0.70), (0.22, 0.22), "back", TRIM, _C, lamp))
            parts.append(plate((reach * 0.9, sign * 0.3, 0.85), (0.2, 0.2), "front", TRIM, _C, lamp))
    head = (reach + 0.1, 0, 0.88) if motor else (reach * 0.85, 0, seat + 0.02)
    parts.append(disc(head, 0.13 if motor else 0.08, "front", HEADLIGHT, _C, Lamp.HEAD))
    return join(parts)
