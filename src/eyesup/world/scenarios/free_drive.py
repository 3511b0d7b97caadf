"""Town traffic with nothing staged: leads that do not brake, green lights, cars beside the road."""

from __future__ import annotations

from eyesup.world.scenarios.base import Scenario, dress, put_lead
from eyesup.world.stage import Stage


class FreeDrive(Scenario):
    """Half of the logs have a lead from the start; in half of them the signals ahead stay green."""

    has_cue = False

    def set_stage(self, stage: Stage) -> None:
        if stage.rng.random() < 0.5:
            gap, pace = stage.rng.uniform(10.0, 30.0), stage.rng.uniform(0.9, 1.15)
            put_lead(stage, "lead", float(gap), stage.cruise_mps * float(pace))
        self._green = bool(stage.rng.random() < 0.5)
        dress(stage)

    def act(self, stage: Stage) -> None:
        if stage.step == 0 and self._green:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(stage.ego_s + 250.0)
