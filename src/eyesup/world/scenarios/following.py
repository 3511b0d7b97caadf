"""A slower car drives ahead all the time and ours has to stay behind it. Cue: that car."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind
from eyesup.world.route import Route
from eyesup.world.scenarios.base import Scenario, dress, put_lead
from eyesup.world.stage import Stage

GAP_M = (12.0, 45.0)
PACE = (0.55, 0.85)  # of the lead, as a share of the ego's
PACES_S = (4.0, 9.0)  # until the lead chooses another pace
FOLLOWS_S = 2.2  # closer than this, in time, the lead decides the ego's speed
FREE_GAIN_MPS = 1.2  # without the lead the ego would be this much faster
LANE_GAP_M = 40.0
HISTORY_STEPS = 20  # before the first keyframe


class Following(Scenario):
    """The lead changes its pace now and then, gently. The signals ahead stay green."""

    vehicles = (30, 60)
    cruise_mps = (7.5, 13.0)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        return float(rng.uniform(6.0, 25.0)) if route.lane_end_s[0] > LANE_GAP_M else None

    def set_stage(self, stage: Stage) -> None:
        put_lead(stage, "lead", float(stage.rng.uniform(*GAP_M)), self._pace(stage))
        self._until_s = float(stage.rng.uniform(*PACES_S))
        dress(stage)

    @staticmethod
    def _pace(stage: Stage) -> float:
        return stage.cruise_mps * float(stage.rng.uniform(*PACE))

    def act(self, stage: Stage) -> None:
        if stage.step % 50 == 0:  # not before step 0: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(stage.ego_s + 250.0)
        lead = stage.find("lead")
        if lead is None:
            return
        if stage.time_s > self._until_s:
            self._until_s = stage.time_s + float(stage.rng.uniform(*PACES_S))
            stage.traffic.cap_speed("lead", self._pace(stage))
        s, lateral = stage.place_of(lead)
        speed = float(stage.ego.vx)
        gap = s - 0.5 * lead.size_m[0] - stage.ego_front_s
        free = min(stage.cruise_mps, stage.route.speed_limit_at(stage.ego_s + speed))
        alone = not stage.occupied(stage.ego_front_s, s - 0.5 * lead.size_m[0] - 0.5)
        close = 0 < gap < 2.0 + FOLLOWS_S * speed and abs(lateral) < 1.0
        if stage.step >= HISTORY_STEPS and close and alone and free > speed + FREE_GAIN_MPS:
            stage.mark_cue()

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["lead"])
