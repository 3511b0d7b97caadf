"""The ego waits at a red light, which then turns green. Cue: that signal."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind, SignalState
from eyesup.world.route import Route
from eyesup.world.scenarios.base import ALIGNED_SHARE, KEYFRAME_STEPS, Ability, Scenario, dress
from eyesup.world.scenarios.junctions import empty_junction, turn_after
from eyesup.world.stage import Stage, UnsuitableError

ARRIVAL_S = (1.5, 4.0)  # the light is red from the start
GREEN_S = (3.0, 11.0)
STANDING_MPS = 0.5
NEAR_M = 25.0  # where the light turns green before the ego has stopped, it must at least be this near


class GreenLight(Scenario):
    """The lanes that lead to the junction are empty, so that only the signal holds the ego and lets it go."""

    ability = Ability.TRAFFIC_SIGNS
    cruise_mps = (6.5, 12.0)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        for stop in stop_s:
            start_s = stop - 6.0 - cruise_mps * float(rng.uniform(*ARRIVAL_S))
            if start_s > 6.0 and not any(start_s + 5.0 < other < stop for other in stop_s):
                self._stop_s = stop
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        found, rng = stage.next_signal(self._stop_s - 0.5), stage.rng
        turn = turn_after(stage.route, self._stop_s)
        if found is None or turn is None:
            raise UnsuitableError("no signal on the route")
        self._row, self._stop_s = found
        head = stage.heads[self._row]
        empty_junction(stage, turn)
        stage.clear(stage.ego_s, self._stop_s + 45.0)
        if not stage.traffic.show_red(head.tls_id, head.link_indices):
            raise UnsuitableError("the signal never shows red")
        self._green_s = float(rng.uniform(GREEN_S[0], min(GREEN_S[1], self.latest_s)))
        self._waits = bool(rng.random() < 0.75)  # else the light may change while the ego still rolls
        self._aligned = bool(rng.random() < ALIGNED_SHARE)
        self._ordered = False
        dress(stage)

    def act(self, stage: Stage) -> None:
        head, state = stage.heads[self._row], stage.signal_states[self._row]
        distance = self._stop_s - stage.ego_front_s
        if self._ordered:
            if state == SignalState.GREEN:
                stage.mark_cue()
            return
        if state != SignalState.RED or distance < 0:
            raise UnsuitableError("the light is not red")
        ready = distance < NEAR_M and (float(stage.ego.vx) < STANDING_MPS or not self._waits)
        if stage.time_s >= self._green_s and ready and (not self._aligned or (stage.step + 1) % KEYFRAME_STEPS == 0):
            if stage.occupied(stage.ego_front_s, self._stop_s + 12.0):
                raise UnsuitableError("somebody is in front of the ego")
            self._ordered = True
            if not stage.traffic.show_green(head.tls_id, head.link_indices):
                raise UnsuitableError("the signal never shows green")

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.SIGNAL, stage.heads[self._row].id)
