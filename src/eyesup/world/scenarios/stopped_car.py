"""A car stands in the ego's lane, after a turn where there is one, and the ego waits behind it. Cue: that car.

It shows brake lights: to the expert it is traffic that will go on, not a breakdown to be driven around.
"""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind, Lights, Maneuver
from eyesup.world.route import Route, road_edges
from eyesup.world.scenarios.base import Ability, Scenario, draw_body, dress
from eyesup.world.stage import Stage, UnsuitableError

AFTER_TURN_M = (9.0, 24.0)  # behind a turn the houses hide it until late
ARRIVAL_S = (4.0, 11.0)
JUNCTION_AHEAD_M = 14.0  # it does not block the next junction
NOTICED_MPS2 = 1.0  # the cue counts from when stopping asks for this much braking
BRAKING_S = 2.5  # the cue matters this long before a car at constant speed would arrive
WAIT_S = (1.5, 5.0)  # it drives on this long after the ego has stopped
STAYS = 0.35  # share that stays to the end of the log


class StoppedCar(Scenario):
    """Signals ahead of it stay green."""

    ability = Ability.EMERGENCY_BRAKE
    cruise_mps = (6.5, 13.0)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        start_s = float(rng.uniform(6.0, 25.0))
        car_s = _place(route, start_s, cruise_mps, self.latest_s, rng)
        if car_s is None:
            return None
        self._car_s = car_s
        return start_s

    def set_stage(self, stage: Stage) -> None:
        rng = stage.rng
        self._car_s = stage.put_on_route("stopped", draw_body(rng), self._car_s, 0.0)
        stage.traffic.hold_speed("stopped", 0.0)
        stage.clear(stage.ego_s, self._car_s + 45.0)
        lane_id = stage.route.lane_ids[stage.route.lane_at(self._car_s + 1.0)]
        stage.traffic.remove_bound_for(road_edges([lane_id])[0], keep="stopped")  # nobody else shall queue behind it
        stage.lamps["stopped"] = Lights.BRAKE
        self._wait_s, self._stays = float(rng.uniform(*WAIT_S)), bool(rng.random() < STAYS)
        self._waiting_since: float | None = None
        dress(stage)

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(self._car_s)
        gap, speed = self._car_s - stage.ego_front_s, float(stage.ego.vx)
        if speed**2 / (2 * max(gap - 2.0, 0.5)) > NOTICED_MPS2:
            stage.mark_cue()
        alone = stage.cue_step is None or self._waiting_since is not None
        if not alone and stage.occupied(stage.ego_front_s, self._car_s):
            raise UnsuitableError("somebody stands between the ego and the stopped car")
        if self._waiting_since is None and speed < 0.3 and gap < 8.0:
            self._waiting_since = stage.time_s
        waited = self._waiting_since is not None and stage.time_s > self._waiting_since + self._wait_s
        if waited and not self._stays and "stopped" in stage.lamps:
            del stage.lamps["stopped"]
            stage.traffic.release("stopped")

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["stopped"])


def _place(route: Route, start_s: float, cruise_mps: float, latest_s: float, rng: np.random.Generator) -> float | None:
    """Rear of the car: behind a turn that the ego reaches in time, else on any road between junctions."""
    low, high = (start_s + 5.0 + cruise_mps * t for t in (ARRIVAL_S[0], min(ARRIVAL_S[1], latest_s + BRAKING_S)))
    behind_turns = [
        turn.end_s + float(rng.uniform(*AFTER_TURN_M))
        for turn in route.junctions
        if turn.maneuver is not Maneuver.KEEP_FORWARD
    ]
    for s in (*behind_turns, *rng.uniform(low, high, 4)):
        if low <= s <= high and not route.in_junction(np.array([s, s + 5.0, s + JUNCTION_AHEAD_M])).any():
            return float(s)
    return None
