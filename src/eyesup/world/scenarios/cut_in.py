"""A slower car in the lane beside changes into ours close ahead. Cue: that car."""

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
    start_before,
)
from eyesup.world.stage import Stage, UnsuitableError
from eyesup.world.traffic import BODIES

ARRIVAL_S = (3.0, 9.0)  # the ego comes up to it this long after the start
PACE = (0.45, 0.72)  # of the other car, as a share of the ego's
SLOWER = (0.8, 1.0)  # and after the change of lanes, as a share of that
CHANGE_S = (2.0, 2.8)
DECEL_MPS2 = (1.0, 2.6)  # of the ego, that the gap leaves it
NOTICE_S, GAP_M = 0.8, 5.0  # until the ego sees what is coming; what shall be left in the end
ROOM_M = 40.0  # of lane that the change and what follows need
SETTLE_S = 1.0  # after the change, before it drives like all others
COMPANY_M = (11.0, 30.0)  # a car ahead of it that stays in its lane
MIN_SPEED_MPS = 3.0


class CutIn(Scenario):
    """In half of the logs a second car in that lane stays there. Signals ahead stay green."""

    ability = Ability.MERGING
    vehicles = (30, 60)
    cruise_mps = (7.5, 13.0)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._road_map = town.road_map
        return super().lane_chain(town, rng, length_m + LEAD_IN_M)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        pace = cruise_mps * float(rng.uniform(*PACE))
        closing = cruise_mps - pace
        gap = GAP_M + NOTICE_S * closing + closing**2 / (2 * float(rng.uniform(*DECEL_MPS2)))
        for index, lane_id in enumerate(route.lane_ids):
            lane = self._road_map.lane(lane_id)
            beside = [(side, name) for side, name in ((1, lane.left), (-1, lane.right)) if name is not None]
            low, high = route.lane_start_s(index) + 4.0, route.lane_end_s[index] - ROOM_M
            arrival_s = self.draw_arrival(rng, ARRIVAL_S)
            if lane.is_junction or not beside or high < low:
                continue
            meeting_s = float(rng.uniform(low, high))  # the ego's front when it comes up
            start_s = start_before(route, meeting_s, arrival_s, cruise_mps)
            car_s = meeting_s + gap - pace * arrival_s
            if car_s > low and self.suits(route, start_s, cruise_mps):
                side, name = beside[int(rng.integers(len(beside)))]
                width = 0.5 * (lane.width_m + self._road_map.lane(name).width_m)
                self._pace, self._gap, self._car_s, self._offset = pace, gap, car_s, side * width
                self._lane_end_s = route.lane_end_s[index]
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        rng = stage.rng
        body = BODIES[draw_body(rng)]
        self._change_s, self._slower = float(rng.uniform(*CHANGE_S)), self._pace * float(rng.uniform(*SLOWER))
        self._aligned = bool(rng.random() < ALIGNED_SHARE)
        self._changes_at: float | None = None
        stage.clear(stage.ego_s, self._lane_end_s + 30.0, 2.0 + abs(self._offset))
        beside = stage.path_beside([(self._car_s, self._offset), (self._lane_end_s + 60.0, self._offset)])
        self._car = stage.script("changer", body.kind, body.size_m, beside, self._pace, 0.5 * body.size_m[0])
        if rng.random() < 0.5:
            other = BODIES[draw_body(rng)]
            ahead = self._car.s + float(rng.uniform(*COMPANY_M))
            stage.script("company", other.kind, other.size_m, beside, self._pace, ahead)
        dress(stage)

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(self._lane_end_s + 150.0)
        self._release_company(stage)
        if "changer" not in stage.actors:
            return
        s, _ = stage.place_at(*self._car.pose[:2])
        gap = s - 0.5 * self._car.size_m[0] - stage.ego_front_s
        if self._changes_at is None:
            if s > self._lane_end_s - ROOM_M + 0.5 * self._car.size_m[0] + self._gap:
                raise UnsuitableError("the ego does not catch up with the car beside")
            if gap < self._gap and stage.step >= 20 and on_time(stage, self._aligned):
                self._change(stage, s, gap)
        elif stage.time_s > self._changes_at + self._change_s + SETTLE_S:
            stage.release("changer")
            stage.traffic.cap_speed("changer", self._slower)
            stage.lamps.pop("changer")

    def _change(self, stage: Stage, s: float, gap: float) -> None:
        closing = float(stage.ego.vx) - self._pace
        if closing < 1.0 or gap < 0.6 * self._gap or stage.occupied(stage.ego_front_s, s + 20.0):
            raise UnsuitableError("the ego is not alone on its lane, or not faster than the car beside")
        length = max(self._pace, MIN_SPEED_MPS) * self._change_s
        knots = [(s, self._offset), (s + length, 0.0), (s + length + 150.0, 0.0)]
        self._car = stage.take_over("changer", stage.path_beside(knots))
        self._car.go(self._slower, 1.0)
        stage.lamps["changer"] = Lights.RIGHT if self._offset > 0 else Lights.LEFT
        self._changes_at = stage.time_s
        stage.mark_cue()

    def _release_company(self, stage: Stage) -> None:
        """Before the junction the other car becomes one of SUMO's."""
        other = stage.actors.get("company")
        if other is not None and stage.place_at(*other.pose[:2])[0] > self._lane_end_s - 12.0:
            stage.release("company")

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["changer"])
