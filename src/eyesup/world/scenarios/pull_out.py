"""A car parked at the kerb pulls out in front of ours. Cue: that car."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind, Lights
from eyesup.world.roads import Town
from eyesup.world.route import Route
from eyesup.world.scenarios.base import (
    ALIGNED_SHARE,
    LEAD_IN_M,
    Ability,
    Scenario,
    draw_body,
    dress,
    on_time,
    park_row,
    start_before,
    time_to,
)
from eyesup.world.stage import Stage, UnsuitableError, verge_pose
from eyesup.world.traffic import BODIES

ARRIVAL_S = (6.0, 11.0)
REACTION_S = 2.5  # the cue matters this long before a free ego would arrive
LEAVES_S = (2.4, 3.6)  # it leaves this long before a free ego would be abreast of it
KERB_M, FAR_M = 3.2, 5.2  # from the route to the middle of a car parked at the kerb
JUNCTION_GAP_M, ROOM_M = 14.0, 45.0  # to the junctions behind and ahead
LENGTH_M = (11.0, 14.0)  # of its way into the lane
ACCEL_MPS2, PACE = (1.6, 2.2), (0.65, 0.95)
SETTLE_M = 6.0  # on the lane, before it drives like all others


class PullOut(Scenario):
    """Other cars in the row stay parked, some of them with a lamp lit. Signals ahead stay green."""

    ability = Ability.GIVE_WAY
    vehicles = (30, 60)
    cruise_mps = (6.5, 12.0)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._road_map = town.road_map
        return super().lane_chain(town, rng, length_m + LEAD_IN_M)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        arrival_s = self.draw_arrival(rng, ARRIVAL_S, REACTION_S)
        self._body = draw_body(rng)
        for s in rng.uniform(30.0, 160.0, 4):
            start_s = start_before(route, float(s), arrival_s, cruise_mps)
            around = np.arange(s - JUNCTION_GAP_M, s + ROOM_M, 2.0)
            if not self.suits(route, start_s, cruise_mps) or route.in_junction(around).any():
                continue
            pose = verge_pose(route, self._road_map, float(s), BODIES[self._body].size_m, -1, KERB_M)
            if pose is not None and np.hypot(*(route.at(float(s))[:2] - pose[:2])) < FAR_M:
                self._car_s, self._lateral = float(s), -float(np.hypot(*(route.at(float(s))[:2] - pose[:2])))
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        rng, body = stage.rng, BODIES[self._body]
        lane_s = self._car_s + float(rng.uniform(*LENGTH_M))
        knots = [(self._car_s, self._lateral), (self._car_s + 1.0, self._lateral), (lane_s, 0.0), (lane_s + 120.0, 0.0)]
        self._car = stage.script("leaver", body.kind, body.size_m, stage.path_beside(knots))
        self._lane_s, self._leaves_s = lane_s, float(rng.uniform(*LEAVES_S))
        self._accel, self._pace = float(rng.uniform(*ACCEL_MPS2)), stage.cruise_mps * float(rng.uniform(*PACE))
        self._aligned, self._gone = bool(rng.random() < ALIGNED_SHARE), False
        stage.clear(stage.ego_s, self._car_s + 60.0)
        park_row(stage, self._car_s, KERB_M)
        dress(stage)

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(self._car_s + 200.0)
        if "leaver" not in stage.actors:
            return
        rear_s = self._car_s - 0.5 * self._car.size_m[0]
        if not self._gone:
            if rear_s - stage.ego_front_s < 6.0:
                raise UnsuitableError("the ego is too close for anybody to pull out")
            if time_to(stage, rear_s) < self._leaves_s and on_time(stage, self._aligned):
                self._leave(stage, rear_s)
        elif stage.place_at(*self._car.pose[:2])[0] > self._lane_s + SETTLE_M:
            stage.release("leaver")
            stage.traffic.cap_speed("leaver", self._pace)
            stage.lamps.pop("leaver")

    def _leave(self, stage: Stage, rear_s: float) -> None:
        if stage.occupied(stage.ego_front_s, rear_s + 40.0):
            raise UnsuitableError("somebody else is on the ego's way")
        self._gone = True
        self._car.go(self._pace, self._accel)
        stage.lamps["leaver"] = Lights.LEFT
        stage.mark_cue()

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["leaver"])
