"""Our light is green, and an emergency vehicle with flashing lights comes from the side and crosses against its red. Cue: that one."""

from __future__ import annotations

import numpy as np
import shapely

from eyesup.types import AgentKind, Lights, Props
from eyesup.world.scenarios.base import Ability, EdgeCase
from eyesup.world.scenarios.emergency_vehicle import SIZES_M
from eyesup.world.scenarios.junctions import sight_triangle, unpark, without
from eyesup.world.scenarios.red_light_runner import RedLightRunner
from eyesup.world.stage import Stage


class EmergencyCrossing(RedLightRunner):
    """As `RedLightRunner`, but nobody waits to see whether it stops: its lights, in plain view, say that it will not."""

    ability = Ability.GIVE_WAY
    edge_case = EdgeCase.EMERGENCY_VEHICLE
    gives_away_mps2 = 2.0

    def draw_runner(self, rng: np.random.Generator) -> tuple[AgentKind, tuple[float, float, float], Lights]:
        return AgentKind.EMERGENCY, SIZES_M[int(rng.integers(len(SIZES_M)))], Lights.BEACON

    def set_stage(self, stage: Stage) -> None:
        super().set_stage(stage)
        unpark(stage, self._view(stage))

    def props(self, stage: Stage) -> Props:
        return without(super().props(stage), self._view(stage))

    def _view(self, stage: Stage) -> shapely.Geometry:
        return sight_triangle(stage.route, self._way.meeting_s, self._way.path, self._way.meeting_m)
