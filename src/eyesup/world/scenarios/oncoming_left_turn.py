"""The ego wants to turn left while a car comes towards it and goes first. Cue: that car."""

from __future__ import annotations

import numpy as np

from eyesup.types import Maneuver, SignalState
from eyesup.world.roads import Town
from eyesup.world.route import Route, draw_lane_chain
from eyesup.world.scenarios.base import Ability, dress
from eyesup.world.scenarios.junctions import RivalScenario, draw_rival, empty_junction, rival_ways, sign_stops
from eyesup.world.splits import crossing_of, town_of
from eyesup.world.stage import Stage, UnsuitableError

ARRIVAL_S = (4.5, 10.0)
BRAKING_S = 2.0  # the car matters this long before the ego would be in the junction
LATE_S = (-0.3, 1.8)  # the car comes this long after the ego would
PACE_MPS = (6.0, 9.5)
FREE_M = 40.0
ONCOMING_DEG = (130.0, 180.0)


class OncomingLeftTurn(RivalScenario):
    """At a green light, or from a road that has priority over the side roads but not over who comes towards the ego."""

    rival_name, open_view = "oncoming", False
    ability = Ability.GIVE_WAY
    vehicles, pedestrians = (12, 35), (5, 20)
    cruise_mps = (6.5, 11.5)

    @staticmethod
    def town(split: str, seed: int) -> Town:
        return (crossing_of, town_of)[seed % 2](split, seed // 2)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._town = town
        return draw_lane_chain(town.road_map, rng, length_m)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        latest = min(ARRIVAL_S[1], self.latest_s + BRAKING_S)
        signs = [stop for stop, _ in sign_stops(self._town, route)]
        painted = {line.lane_id for line in self._town.road_map.stop_lines}
        for turn in route.junctions:
            start_s = turn.start_s - 6.0 - cruise_mps * float(rng.uniform(ARRIVAL_S[0], latest))
            if turn.maneuver is not Maneuver.TURN_LEFT or start_s < 6.0:
                continue
            lit = any(abs(stop - turn.start_s) < 1.0 for stop in stop_s)
            approach = route.lane_ids[route.lane_at(turn.start_s - 0.1)]
            gives_way = approach in painted and not lit
            between = any(start_s < other.start_s < turn.start_s for other in route.junctions)
            if gives_way or between or any(start_s < stop < turn.end_s for stop in signs):
                continue
            self._turn = turn
            self._ways = rival_ways(self._town, route, turn, ONCOMING_DEG)
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

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(self._turn.end_s)
        super().act(stage)
        begins = stage.cue_step == stage.step
        if begins and any(stage.signal_states[row] == SignalState.RED for row in self._rows(stage)):
            raise UnsuitableError("the signal is not green")

    def _rows(self, stage: Stage) -> list[int]:
        """Signals of the route's approach to the junction."""
        approach = stage.route.lane_ids[stage.route.lane_at(self._turn.start_s - 0.1)]
        return [row for row, lanes in enumerate(stage.signals.stop_lane_ids) if approach in lanes]
