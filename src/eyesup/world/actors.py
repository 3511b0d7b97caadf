"""Scripted actors: boxes that follow a path at ordered speeds, whatever SUMO's rules say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eyesup.geometry.polyline import Polyline
from eyesup.types import AgentKind, Lights
from eyesup.world.route import Route
from eyesup.world.traffic import BRAKE_LAMP_DECEL_MPS2, STANDING_MPS, Sighting

PATH_SPACING_M = 0.5
COMFORT_MPS2 = 2.0


@dataclass
class Actor:
    """One scripted agent. Its box centre follows the path and it faces along it.

    Attributes:
        name, kind, size_m, lights: As in `Sighting`; `lights` without the brake lamps.
        path: Where it goes, world frame.
        s: Where on the path its centre is [m].
        speed_mps: Present speed.
        blocks: Whether SUMO's traffic sees it, from when it first touches a lane.
        look: As in `Sighting`.
        shown: Whether SUMO knows it already.
    """

    name: str
    kind: AgentKind
    size_m: tuple[float, float, float]
    path: Polyline
    s: float
    speed_mps: float
    lights: Lights
    blocks: bool
    look: int | None = None
    shown: bool = False

    def __post_init__(self) -> None:
        self._target_mps, self._accel_mps2 = self.speed_mps, COMFORT_MPS2
        self._brakes = False

    def go(self, speed_mps: float, accel_mps2: float = COMFORT_MPS2) -> None:
        """Bring it to a speed, changing by at most `accel_mps2`; 0 stops it."""
        self._target_mps, self._accel_mps2 = speed_mps, accel_mps2

    def advance(self, dt_s: float) -> None:
        """Move on; it stands still at the end of the path. A vehicle that slows down or was stopped shows its brake lamps."""
        before, change = self.speed_mps, self._accel_mps2 * dt_s
        self.speed_mps = min(max(self._target_mps, before - change), before + change)
        slows, moves = self.speed_mps < before - BRAKE_LAMP_DECEL_MPS2 * dt_s, self.speed_mps > STANDING_MPS
        self._brakes = slows or (self._brakes and not moves)
        self.s = min(self.s + 0.5 * (before + self.speed_mps) * dt_s, self.path.length)
        if self.done:
            self.speed_mps = 0.0

    @property
    def done(self) -> bool:
        return self.s >= self.path.length

    @property
    def pose(self) -> tuple[float, float, float]:
        x, y, heading = (float(value) for value in self.path.at(self.s))
        return x, y, heading

    def sighting(self) -> Sighting:
        lamps = self.lights
        if self._brakes and self.kind.is_vehicle and self.kind is not AgentKind.BICYCLE:
            lamps |= Lights.BRAKE
        return Sighting(self.name, self.kind, self.size_m, self.pose, self.speed_mps, lamps, self.look)


def path_beside(route: Route, knots: list[tuple[float, float]]) -> Float64[np.ndarray, "P 2"]:
    """A path along a route whose offset goes smoothly from knot to knot.

    Args:
        route: What to run along.
        knots: (arc length, offset to the left) [m], arc lengths rising; between two knots the offset follows
            ``10 u^3 - 15 u^4 + 6 u^5``, so that heading and curvature are those of the route at the knots.

    Returns:
        Points about `PATH_SPACING_M` apart, from the first knot to the last.
    """
    places, offsets = (np.array(column, np.float64) for column in zip(*knots))
    s = np.linspace(places[0], places[-1], max(int((places[-1] - places[0]) / PATH_SPACING_M), 1) + 1)
    before = np.clip(np.searchsorted(places, s, side="right") - 1, 0, len(places) - 2)
    u = (s - places[before]) / (places[before + 1] - places[before])
    share = u**3 * (10 - 15 * u + 6 * u**2)
    lateral = offsets[before] + share * (offsets[before + 1] - offsets[before])
    x, y, heading = route.at(s).T
    return np.stack([x - lateral * np.sin(heading), y + lateral * np.cos(heading)], axis=-1)
