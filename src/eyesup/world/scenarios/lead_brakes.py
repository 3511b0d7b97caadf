"""The car ahead brakes hard at a moment that the seed decides, waits, and drives on. Cue: that car."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind
from eyesup.world.route import Route
from eyesup.world.scenarios.base import ALIGNED_SHARE, KEYFRAME_STEPS, Ability, Scenario, dress, put_lead
from eyesup.world.stage import Stage, UnsuitableError

BRAKE_TIME_S = (2.0, 10.0)
DECEL_MPS2 = (3.5, 6.0)
HOLD_S = (1.5, 5.0)
NEAR_M = 38.0  # it brakes only when the ego is this close behind


class LeadBrakes(Scenario):
    """The signals ahead stay green until the lead has driven on, so that only the lead stops the ego."""

    ability = Ability.EMERGENCY_BRAKE
    cruise_mps = (6.5, 13.0)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        return float(rng.uniform(6.0, 25.0)) if route.lane_end_s[0] > 40.0 else None

    def set_stage(self, stage: Stage) -> None:
        rng = stage.rng
        self._brake_s = float(rng.uniform(BRAKE_TIME_S[0], min(BRAKE_TIME_S[1], self.latest_s)))
        self._decel, self._hold_s = float(rng.uniform(*DECEL_MPS2)), float(rng.uniform(*HOLD_S))
        self._target_mps = 0.0 if rng.random() < 0.75 else float(rng.uniform(1.0, 3.0))
        self._braked_at: float | None = None
        self._aligned = bool(rng.random() < ALIGNED_SHARE)
        gap, pace = float(rng.uniform(9.0, 24.0)), float(rng.uniform(0.88, 1.0))
        put_lead(stage, "lead", gap, stage.cruise_mps * pace)
        dress(stage)

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(stage.ego_s + 300.0)
        if self._braked_at is not None:
            if self._braked_at + self._hold_s + 2.0 <= stage.time_s and stage.traffic.has("lead"):
                stage.traffic.release("lead")
            return
        lead = stage.find("lead")
        if lead is None or stage.time_s < self._brake_s or stage.time_s > self.latest_s - 0.5:
            return
        s, lateral = stage.place_of(lead)
        rear = s - lead.size_m[0] / 2
        gap = rear - stage.ego_front_s
        fast = min(lead.speed_mps, float(stage.ego.vx)) > 0.6 * stage.cruise_mps
        if gap < NEAR_M and stage.occupied(stage.ego_front_s, rear - 0.5):
            raise UnsuitableError("somebody drives between the ego and its lead")
        if self._aligned and (stage.step + 1) % KEYFRAME_STEPS:
            return
        if fast and abs(lateral) < 1.0 and 4.0 < gap < NEAR_M and not stage.route.in_junction(np.array(s), 3.0):
            stage.traffic.hold_speed("lead", self._target_mps, self._decel)
            self._braked_at = stage.time_s
            stage.mark_cue()

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["lead"])
