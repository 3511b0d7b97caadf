"""A stop sign stands at the junction ahead: the ego must come to rest at its line, though nobody comes. Cue: that sign."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind, SignalState
from eyesup.world.roads import Town
from eyesup.world.route import Route, draw_lane_chain
from eyesup.world.scenarios.base import Ability, Scenario, dress
from eyesup.world.scenarios.junctions import empty_junction, must_brake, sign_stops, turn_after
from eyesup.world.splits import crossing_of
from eyesup.world.stage import Stage, UnsuitableError

ARRIVAL_S = (4.0, 11.0)
BRAKING_S = 2.0  # the sign matters this long before a car at constant speed would arrive
FREE_M = 45.0  # behind the stop line


class StopSign(Scenario):
    """The junction is kept empty, so that only the sign stops the ego."""

    ability = Ability.TRAFFIC_SIGNS
    vehicles, pedestrians = (10, 25), (10, 25)
    cruise_mps = (6.5, 12.0)

    @staticmethod
    def town(split: str, seed: int) -> Town:
        return crossing_of(split, seed)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._town = town
        return draw_lane_chain(town.road_map, rng, length_m)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        signs = sign_stops(self._town, route)
        latest = min(ARRIVAL_S[1], self.latest_s + BRAKING_S)
        for stop, head in signs:
            start_s = stop - 6.0 - cruise_mps * float(rng.uniform(ARRIVAL_S[0], latest))
            others = [*stop_s, *(other for other, _ in signs)]
            if head.sign is not SignalState.STOP_SIGN or start_s < 6.0:
                continue
            if not any(start_s + 5.0 < other < stop for other in others):
                self._stop_s, self._id = stop, head.id
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        turn = turn_after(stage.route, self._stop_s)
        if turn is None:
            raise UnsuitableError("no junction behind the stop sign")
        empty_junction(stage, turn)
        stage.clear(stage.ego_s, self._stop_s + FREE_M)
        dress(stage)

    def act(self, stage: Stage) -> None:
        if stage.cue_step is None and must_brake(stage, self._stop_s):
            if stage.occupied(stage.ego_front_s, self._stop_s):
                raise UnsuitableError("somebody is between the ego and the stop line")
            stage.mark_cue()

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.SIGNAL, self._id)
