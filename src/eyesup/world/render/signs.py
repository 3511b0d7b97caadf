"""Stop and yield signs that a driver must obey; facing +x, with the origin at the middle of the plate."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eyesup.types import SemanticClass, SignalState
from eyesup.world.render.meshes import Mesh, Rgb, disc, join, plate, polygons, tube

RADIUS_M = 0.46  # from the middle of the octagon to its corners: larger than life, like the lamps of signals
RED: Rgb = (0.80, 0.05, 0.07)
WHITE: Rgb = (0.95, 0.95, 0.94)
BACK: Rgb = (0.50, 0.50, 0.52)
STEEL: Rgb = (0.42, 0.43, 0.45)
LETTER_PITCH_M = (0.040, 0.042)  # of the squares that letters are made of, across and up
LETTERS = {
    "S": ("111", "100", "111", "001", "111"), "T": ("111", "010", "010", "010", "010"),
    "O": ("111", "101", "101", "101", "111"), "P": ("111", "101", "111", "100", "100"),
}  # fmt: skip
SQUARE = 0.8  # of the pitch: from afar white must not drown the red
POST_ABOVE_M = 0.3  # the post reaches this far above the middle of the plate


def sign_plate(state: SignalState) -> Mesh:
    """A red octagon that says STOP, or a white triangle on its tip with a red border."""
    return _stop() if state is SignalState.STOP_SIGN else _yield()


def sign_post(height: float) -> Mesh:
    """The post of a sign whose middle is at `height`; origin on the ground."""
    return tube((-0.02, 0), (0, height + POST_ABOVE_M), 0.05, STEEL, SemanticClass.POLE)


def _stop() -> Mesh:
    cls = SemanticClass.STOP_SIGN
    return join(
        [
            disc((0.06, 0, 0), RADIUS_M, "front", WHITE, cls),
            disc((0.08, 0, 0), 0.93 * RADIUS_M, "front", RED, cls),
            *_lettering("STOP", cls),
            disc((-0.10, 0, 0), RADIUS_M, "back", BACK, SemanticClass.SIGNAL_BODY),
        ]
    )


def _yield() -> Mesh:
    cls = SemanticClass.YIELD_SIGN
    outer, inner = _triangle(1.2 * RADIUS_M), _triangle(0.88 * RADIUS_M)
    return join(
        [
            polygons((outer + [0.06, 0, 0])[None], RED, cls),
            polygons((inner + [0.08, 0, 0])[None], WHITE, cls),
            polygons((outer[::-1] + [-0.10, 0, 0])[None], BACK, SemanticClass.SIGNAL_BODY),
        ]
    )


def _triangle(radius: float) -> Float64[np.ndarray, "3 3"]:
    """Corners of a triangle on its tip, counter-clockwise seen from +x."""
    side = np.sqrt(0.75) * radius
    return np.array([[0.0, -side, radius / 2], [0.0, 0.0, -radius], [0.0, side, radius / 2]])


def _lettering(word: str, cls: SemanticClass) -> list[Mesh]:
    """White letters of small squares in front of a plate."""
    wide, high = LETTER_PITCH_M
    columns = 4 * len(word) - 1  # a gap of one square between letters
    return [
        plate(
            (0.10, (4 * i + column - (columns - 1) / 2) * wide, (2 - row) * high),
            (wide, SQUARE * high),
            "front",
            WHITE,
            cls,
        )
        for i, letter in enumerate(word)
        for row, cells in enumerate(LETTERS[letter])
        for column, cell in enumerate(cells)
        if cell == "1"
    ]
