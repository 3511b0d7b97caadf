"""At a junction without lights a car with the right of way crosses in front of the ego. Cue: that car."""

from __future__ import annotations

import numpy as np

from eyesup.types import SignalState
from eyesup.world.roads import Town
from eyesup.world.route import Route, draw_lane_chain
from eyesup.world.scenarios.base import Ability, dress
from eyesup.world.scenarios.junctions import (
    RivalScenario,
    draw_rival,
    empty_junction,
    rival_ways,
    sign_stops,
    unpark,
)
from eyesup.world.splits import crossing_of, town_of
from eyesup.world.stage import Stage

ARRIVAL_S = (4.5, 10.0)
BRAKING_S = 2.0
LATE_S = (-0.6, 1.2)  # the car comes this long after the ego would
PACE_MPS = (7.5, 12.5)
FREE_M = 40.0
CROSSING_DEG = (50.0, 130.0)
NOWHERE_THERE = (302, 400, 402)  # seeds of towns that grew without such a junction


class GiveWay(RivalScenario):
    """At a yield sign, or where the road that the ego comes from is the lesser one by its painted line."""

    rival_name = "crossing"
    ability = Ability.GIVE_WAY
    vehicles, pedestrians = (12, 35), (5, 20)
    cruise_mps = (6.5, 11.5)

    @staticmethod
    def town(split: str, seed: int) -> Town:
        if seed % 4 == 3:
            town = town_of(split, seed // 4 % 2 * 2)  # two that grew at random: grids have signals nearly everywhere
            if town.seed not in NOWHERE_THERE:
                return town
        return crossing_of(split, seed - seed // 4)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._town = town
        return draw_lane_chain(town.road_map, rng, length_m)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        latest = min(ARRIVAL_S[1], self.latest_s + BRAKING_S)
        signs = {head.lane_ids: head.sign for _, head in sign_stops(self._town, route)}
        stops = {lane for lanes, sign in signs.items() for lane in lanes if sign is SignalState.STOP_SIGN}
        painted = {line.lane_id for line in self._town.road_map.stop_lines} - stops
        for turn in route.junctions:
            start_s = turn.start_s - 6.0 - cruise_mps * float(rng.uniform(ARRIVAL_S[0], latest))
            approach = route.lane_ids[route.lane_at(turn.start_s - 0.1)]
            lit = any(abs(stop - turn.start_s) < 1.0 for stop in stop_s)
            between = any(start_s < other.start_s < turn.start_s for other in route.junctions)
            if start_s < 6.0 or approach not in painted or lit or between:
                continue
            self._turn = turn
            self._ways = rival_ways(self._town, route, turn, CROSSING_DEG)
            if self._ways:
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        rng, turn = stage.rng, self._turn
        empty_junction(stage, turn)
        stage.clear(stage.ego_s, turn.end_s + FREE_M)
        way = self._ways[int(rng.integers(len(self._ways)))]
        pace, late = float(rng.uniform(*PACE_MPS)), float(rng.uniform(*LATE_S))
        self._rival = draw_rival(stage, self.rival_name, way, turn, pace, late)
        dress(stage)
        unpark(stage, self._rival.sight_triangle(stage))
