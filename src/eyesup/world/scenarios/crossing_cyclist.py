"""A cyclist who stood at a crosswalk rides across in front of the car. Cue: that cyclist."""

from __future__ import annotations

from eyesup.types import AgentKind
from eyesup.world.scenarios.pedestrian_crossing import PedestrianCrossing
from eyesup.world.stage import Stage
from eyesup.world.traffic import BODIES


class CrossingCyclist(PedestrianCrossing):
    """As `PedestrianCrossing`, but faster and from farther; people on foot stand there and do not cross."""

    kind = AgentKind.BICYCLE
    size_m = BODIES["bicycle"].size_m
    speed_mps = (2.6, 4.2)
    accel_mps2 = 1.3
    phase = (0.3, 0.8)
    behind_kerb_m, beyond_m = (0.9, 2.2), 3.0

    def act(self, stage: Stage) -> None:
        super().act(stage)
        stage.hide_off_lane(self.person.name)
