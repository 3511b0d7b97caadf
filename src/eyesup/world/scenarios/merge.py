"""The ego comes down a ramp and joins a road on which a car is about to pass the ramp's end. Cue: that car."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind, Props
from eyesup.world.junctions import downstream
from eyesup.world.roads import Town
from eyesup.world.route import Route, Turn
from eyesup.world.scenarios.base import Ability, Scenario, dress
from eyesup.world.scenarios.junctions import Rival, draw_rival, empty_junction, must_brake, rival_ways, unpark, without
from eyesup.world.splits import merge_of
from eyesup.world.stage import Stage, UnsuitableError

ARRIVAL_S = (4.5, 10.0)
BRAKING_S = 2.0
LATE_S = (-1.2, -0.1)  # the car comes a little before the ego would, so that the ego sees it beside the ramp
PACE_SHARE = (0.85, 1.1)  # of the ego's speed
BESIDE_DEG = (5.0, 50.0)
FREE_M = 60.0


class Merge(Scenario):
    """Little traffic besides; the road has one lane, and whoever is on it goes first."""

    ability = Ability.MERGING
    vehicles, pedestrians = (3, 9), (0, 1)  # no sidewalks here
    cruise_mps = (7.5, 12.5)

    @staticmethod
    def town(split: str, seed: int) -> Town:
        return merge_of(split, seed)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        """A ramp and the road that it joins."""
        lanes = {lane.id: lane for lane in town.road_map.lanes}
        ramps = [lane for lane in town.road_map.lanes if lane.id.startswith("r")]
        return tuple(lane.id for lane in downstream(lanes, ramps[int(rng.integers(len(ramps)))], length_m))

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        self._turn: Turn = route.junctions[0]
        latest = min(ARRIVAL_S[1], self.latest_s + BRAKING_S)
        start_s = self._turn.start_s - 6.0 - cruise_mps * float(rng.uniform(ARRIVAL_S[0], latest))
        return start_s if start_s > 6.0 else None

    def set_stage(self, stage: Stage) -> None:
        rng, turn = stage.rng, self._turn
        ways = rival_ways(stage.town, stage.route, turn, BESIDE_DEG)
        if not ways:
            raise UnsuitableError("no road to join here")
        empty_junction(stage, turn)
        stage.clear(stage.ego_s, turn.end_s + FREE_M)
        pace, late = stage.cruise_mps * float(rng.uniform(*PACE_SHARE)), float(rng.uniform(*LATE_S))
        self._rival: Rival = draw_rival(stage, "passing", ways[0], turn, pace, late)
        dress(stage)
        unpark(stage, self._rival.sight_triangle(stage))

    def act(self, stage: Stage) -> None:
        if stage.cue_step is None and must_brake(stage, self._turn.start_s) and self._rival.in_sight(stage):
            if stage.occupied(stage.ego_front_s, self._turn.end_s + 10.0):
                raise UnsuitableError("somebody is between the ego and the end of the ramp")
            stage.mark_cue()
            self._rival.set_free = True
        self._rival.keep_time(stage)

    def props(self, stage: Stage) -> Props:
        """Nothing hides the car from the ego."""
        return without(super().props(stage), self._rival.sight_triangle(stage))

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["passing"])
