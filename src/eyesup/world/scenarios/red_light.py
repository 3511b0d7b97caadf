"""The signal ahead turns amber and red as the ego comes near, and green later. Cue: that signal."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, CueKind, SignalState
from eyesup.world.route import Route
from eyesup.world.scenarios.base import ALIGNED_SHARE, KEYFRAME_STEPS, Ability, Scenario, dress
from eyesup.world.stage import Stage, UnsuitableError

ARRIVAL_S = (4.0, 11.0)
AMBER_AT_MPS2 = (0.9, 2.5)  # braking that the amber asks for when it comes
BRAKING_S = 2.0  # the amber comes this long before a car at constant speed would arrive
RED_S = (4.0, 9.0)


class RedLight(Scenario):
    """The lane up to the stop line is empty, so that only the signal stops the ego."""

    ability = Ability.TRAFFIC_SIGNS
    cruise_mps = (6.5, 13.0)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        latest = min(ARRIVAL_S[1], self.latest_s + BRAKING_S)
        for stop in stop_s:
            start_s = stop - 6.0 - cruise_mps * float(rng.uniform(ARRIVAL_S[0], latest))
            if start_s > 6.0 and not any(start_s + 5.0 < other < stop for other in stop_s):
                self._stop_s = stop
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        found = stage.next_signal(self._stop_s - 0.5)
        if found is None:
            raise UnsuitableError("no signal on the route")
        self._row, self._stop_s = found
        head = stage.heads[self._row]
        stage.clear(stage.ego_s, self._stop_s + 45.0)
        if not stage.traffic.show_green(head.tls_id, head.link_indices):
            raise UnsuitableError("the signal never shows green")
        self._amber_decel = float(stage.rng.uniform(*AMBER_AT_MPS2))
        self._red_s = float(stage.rng.uniform(*RED_S))
        self._red_since: float | None = None
        self._ending = self._green_again = False
        self._aligned = bool(stage.rng.random() < ALIGNED_SHARE)
        dress(stage)

    def act(self, stage: Stage) -> None:
        head, state = stage.heads[self._row], stage.signal_states[self._row]
        distance = self._stop_s - stage.ego_front_s
        if state == SignalState.GREEN:
            needed = stage.ego.vx**2 / (2 * max(distance - 1.0, 0.5))
            if (
                not self._green_again
                and distance > 0
                and (self._ending or needed > self._amber_decel)
                and self._on_time(stage)
            ):
                self._ending = True
                stage.traffic.end_phase(head.tls_id)  # again, where the next phase is green for us too
            return
        if distance < 0 and not self._green_again:
            raise UnsuitableError("the amber came too late to stop")
        if self._ending and stage.cue_step is None:
            if stage.occupied(stage.ego_front_s, self._stop_s):
                raise UnsuitableError("somebody is between the ego and the stop line")
            stage.mark_cue()
        if state == SignalState.RED and self._red_since is None:
            self._red_since = stage.time_s
        waited = self._red_since is not None and stage.time_s > self._red_since + self._red_s
        if waited and not self._green_again:
            self._green_again = True
            stage.traffic.show_green(head.tls_id, head.link_indices)

    def _on_time(self, stage: Stage) -> bool:
        return self._ending or not self._aligned or (stage.step + 1) % KEYFRAME_STEPS == 0

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.SIGNAL, stage.heads[self._row].id)
