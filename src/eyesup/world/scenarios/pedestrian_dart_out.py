"""Somebody runs out onto the road from behind a parked car. Cue: that person."""

from __future__ import annotations

import numpy as np

from eyesup.types import AgentKind
from eyesup.world.roads import Town
from eyesup.world.route import Route
from eyesup.world.scenarios.base import LEAD_IN_M, Ability, EdgeCase, dress, park_row, start_before
from eyesup.world.scenarios.crosses import Crosses
from eyesup.world.stage import Stage, UnsuitableError, verge_pose
from eyesup.world.traffic import BODIES, PEDESTRIAN_SIZE_M

ARRIVAL_S = (4.0, 10.0)
REACTION_S = 2.0  # the cue matters this long before a free ego would arrive
JUNCTION_GAP_M = 14.0
KERB_M, FAR_M = 3.2, 5.2  # from the route to the middle of a car parked at the kerb
BODIES_AT_KERB = ("van", "suv", "sedan")
AHEAD_M = (0.5, 1.0)  # of the parked car's front


class PedestrianDartOut(Crosses):
    """Cars stand in a row at the kerb, and others stand between them and stay."""

    ability = Ability.EMERGENCY_BRAKE
    edge_case = EdgeCase.PEDESTRIAN_DART_OUT
    cruise_mps = (6.5, 11.5)
    speed_mps = (2.0, 3.2)
    accel_mps2 = 3.0
    phase = (0.3, 0.8)
    hardest_mps2 = 4.5

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._road_map = town.road_map
        return super().lane_chain(town, rng, length_m + LEAD_IN_M)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        self._body = BODIES_AT_KERB[int(rng.integers(len(BODIES_AT_KERB)))]
        arrival_s = self.draw_arrival(rng, ARRIVAL_S, REACTION_S)
        for s in rng.uniform(30.0, 160.0, 4):
            start_s = start_before(route, float(s), arrival_s, cruise_mps)
            near_junction = route.in_junction(np.array([s - 4.0, s, s + 6.0]), JUNCTION_GAP_M).any()
            if not self.suits(route, start_s, cruise_mps) or near_junction:
                continue
            pose = verge_pose(route, self._road_map, float(s), BODIES[self._body].size_m, -1, KERB_M)
            if pose is not None and np.hypot(*(route.at(float(s))[:2] - pose[:2])) < FAR_M:
                self._car_s = float(s)
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        rng = stage.rng
        if not stage.park(self._car_s, -1, self._body, near_m=KERB_M):
            raise UnsuitableError("no room for the parked car")
        car = stage.standing[-1]
        lateral = stage.place_of(car)[1] + float(rng.uniform(-0.3, 0.3))
        s = self._car_s + 0.5 * car.size_m[0] + float(rng.uniform(*AHEAD_M))
        self.let_cross(stage, stage.path_across(s, lateral, 1.2), s, s)
        park_row(stage, self._car_s, KERB_M)
        for i, other in enumerate(stage.standing[1:]):  # somebody stands behind some of the cars of the row
            if rng.random() < 0.4:
                along = np.array([np.cos(other.pose[2]), np.sin(other.pose[2])])
                x, y = np.array(other.pose[:2]) + (0.5 * other.size_m[0] + 0.7) * along
                heading = other.pose[2] + float(rng.uniform(-2.6, 0.4))
                stage.stand(f"bystander{i}", AgentKind.PEDESTRIAN, PEDESTRIAN_SIZE_M, (float(x), float(y), heading))
        dress(stage)
