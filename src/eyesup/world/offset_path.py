"""A lateral offset over a route: where the expert leaves its lane's middle and comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eyesup.world.path_frame import Strip


@dataclass(frozen=True)
class OffsetPath:
    """Cubic pieces between knots; straight on before the first and flat after the last.

    Attributes:
        s: (K,) arc length on the route [m], rising.
        offset: (K,) to the left of the route [m].
        slope: (K,) change of the offset per metre.
    """

    s: Float64[np.ndarray, "K"]
    offset: Float64[np.ndarray, "K"]
    slope: Float64[np.ndarray, "K"]

    @staticmethod
    def through(knots: list[tuple[float, float, float]]) -> OffsetPath:
        """From (arc length, offset, slope); knots that do not advance are left out."""
        kept = [knots[0]]
        for knot in knots[1:]:
            if knot[0] > kept[-1][0] + 0.01:
                kept.append(knot)
        table = np.array(kept, np.float64)
        return OffsetPath(table[:, 0], table[:, 1], table[:, 2])

    def at(self, s: float | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offset [m], slope, and bend (second derivative, 1/m) at arc lengths."""
        s = np.asarray(s, np.float64)
        piece = np.clip(np.searchsorted(self.s, s, side="right") - 1, 0, max(len(self.s) - 2, 0))
        after = np.minimum(piece + 1, len(self.s) - 1)
        length = np.maximum(self.s[after] - self.s[piece], 0.01)
        u = np.clip((s - self.s[piece]) / length, 0.0, 1.0)
        d0, d1 = self.offset[piece], self.offset[after]
        m0, m1 = self.slope[piece] * length, self.slope[after] * length
        a, b = 2 * d0 - 2 * d1 + m0 + m1, 3 * d1 - 3 * d0 - 2 * m0 - m1
        offset = ((a * u + b) * u + m0) * u + d0
        slope = ((3 * a * u + 2 * b) * u + m0) / length
        bend = (6 * a * u + 2 * b) / length**2
        before, behind = s < self.s[0], s > self.s[-1]
        offset = np.where(before, self.offset[0] + self.slope[0] * (s - self.s[0]), offset)
        slope = np.where(before, self.slope[0], np.where(behind, 0.0, slope))
        return offset, slope, np.where(before | behind, 0.0, bend)

    def displace(self, strip: Strip, front_m: float) -> Strip:
        """The strip of a route moved onto this path, its corridor widened by the swing of the car's front.

        Args:
            strip: Piece of the route.
            front_m: From the rear axle, which follows the path, to the front bumper.
        """
        offset, slope, _ = self.at(strip.s)
        earlier, earlier_slope, _ = self.at(strip.s - front_m)
        swing = offset - earlier - front_m * earlier_slope  # > 0: the front is right of the path
        stretch = np.hypot(1.0, slope)
        return Strip(
            s=strip.s, x=strip.x - offset * strip.sin, y=strip.y + offset * strip.cos,
            cos=(strip.cos - slope * strip.sin) / stretch, sin=(strip.sin + slope * strip.cos) / stretch,
            left=strip.left + np.maximum(-swing, 0.0), right=strip.right + np.maximum(swing, 0.0),
        )  # fmt: skip
