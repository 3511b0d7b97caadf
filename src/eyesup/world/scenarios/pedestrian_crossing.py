"""Somebody who stood at a crosswalk starts to cross in front of the car. Cue: that person."""

from __future__ import annotations

import numpy as np
import shapely

from eyesup.geometry.polyline import Polyline
from eyesup.types import AgentKind, Maneuver
from eyesup.world.crosswalks import Crosswalk, crosswalks_on
from eyesup.world.roads import Town
from eyesup.world.route import Route
from eyesup.world.scenarios.base import LEAD_IN_M, Ability, dress, start_before
from eyesup.world.scenarios.crosses import Crosses
from eyesup.world.stage import Stage
from eyesup.world.traffic import PEDESTRIAN_SIZE_M

ARRIVAL_S = (5.0, 11.0)
REACTION_S = 3.0  # the cue matters this long before a free ego would arrive
SIGNAL_GAP_M = 6.0  # a signal whose stop line is this close to a crosswalk or a junction rules it
SHIFT_M = 1.2
MAX_BYSTANDERS = 4
ELBOW_ROOM_M = 0.75  # between the middles of who crosses and who stands


class PedestrianCrossing(Crosses):
    """Others stand at the crosswalk and do not cross. The signals up to it stay green."""

    ability = Ability.GIVE_WAY
    vehicles = (30, 60)
    cruise_mps = (6.5, 12.5)
    behind_kerb_m: tuple[float, float] = (0.5, 1.4)  # where it starts
    beyond_m: float = 1.8  # the other kerb

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._road_map = town.road_map
        return super().lane_chain(town, rng, length_m + LEAD_IN_M)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        arrival_s = self.draw_arrival(rng, ARRIVAL_S, REACTION_S)
        for crosswalk in crosswalks_on(route, self._road_map):
            start_s = start_before(route, crosswalk.start_s, arrival_s, cruise_mps)
            if self.suits(route, start_s, cruise_mps) and _is_open(crosswalk, route, stop_s):
                self._crosswalk = crosswalk
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        rng = stage.rng
        crosswalk, side = self._crosswalk, int(rng.choice([-1, 1]))
        shift = float(rng.uniform(-SHIFT_M, SHIFT_M))
        way = crosswalk.way(side, float(rng.uniform(*self.behind_kerb_m)), self.beyond_m, shift)
        self.let_cross(stage, way, crosswalk.start_s, crosswalk.end_s)
        stand_by(stage, crosswalk, self.person.path)
        dress(stage)


def _is_open(crosswalk: Crosswalk, route: Route, stop_s: list[float]) -> bool:
    """Whether people may cross there while we have green: no signal rules it, or it lies behind a turn."""
    at_line = any(abs(crosswalk.start_s - stop) < SIGNAL_GAP_M for stop in stop_s)
    turn = next((turn for turn in route.junctions if turn.start_s <= crosswalk.middle_s <= turn.end_s), None)
    in_signals = turn is not None and any(abs(stop - turn.start_s) < SIGNAL_GAP_M for stop in stop_s)
    return not at_line and (not in_signals or crosswalk.after not in (None, Maneuver.KEEP_FORWARD))


def stand_by(stage: Stage, crosswalk: Crosswalk, way: Polyline) -> None:
    """People who stand at both ends of a crosswalk, not in the way of who takes `way`, and look along the road or away from it."""
    rng = stage.rng
    for i in range(int(rng.integers(MAX_BYSTANDERS + 1))):
        side, sideways, behind = int(rng.choice([-1, 1])), float(rng.uniform(-1.8, 1.8)), float(rng.uniform(0.6, 1.8))
        away = crosswalk.point(side, 1.0) - crosswalk.point(side, 0.0)
        heading = float(np.arctan2(away[1], away[0]) + rng.uniform(-1.7, 1.7))
        x, y = (float(value) for value in crosswalk.point(side, behind, sideways))
        taken = [*(actor.pose for actor in stage.actors.values()), *(sighting.pose for sighting in stage.standing)]
        aside = shapely.LineString(way.points).distance(shapely.Point(x, y))
        if aside > ELBOW_ROOM_M and all(np.hypot(x - other[0], y - other[1]) > 0.9 for other in taken):
            stage.stand(f"bystander{i}", AgentKind.PEDESTRIAN, PEDESTRIAN_SIZE_M, (x, y, heading))
