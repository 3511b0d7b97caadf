"""The ego comes down a ramp and joins a road on which a car is about to pass the ramp's end. Cue: that car."""

from __future__ import annotations

import numpy as np

from eyesup.world.junctions import downstream
from eyesup.world.roads import Town
from eyesup.world.route import Route
from eyesup.world.scenarios.base import Ability, dress
from eyesup.world.scenarios.junctions import RivalScenario, draw_rival, empty_junction, rival_ways, unpark
from eyesup.world.splits import merge_of
from eyesup.world.stage import Stage, UnsuitableError

ARRIVAL_S = (4.5, 10.0)
BRAKING_S = 2.0
LATE_S = (-1.2, -0.1)  # the car comes a little before the ego would, so that the ego sees it beside the ramp
PACE_SHARE = (0.85, 1.1)  # of the ego's speed
BESIDE_DEG = (5.0, 50.0)
FREE_M = 60.0


class Merge(RivalScenario):
    """Little traffic besides; the road has one lane, and whoever is on it goes first."""

    rival_name = "passing"
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
        self._turn = route.junctions[0]
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
        self._rival = draw_rival(stage, self.rival_name, ways[0], turn, pace, late)
        dress(stage)
        unpark(stage, self._rival.sight_triangle(stage))
