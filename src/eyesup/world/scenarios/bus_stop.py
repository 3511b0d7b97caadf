"""A bus ahead halts at its stop, lets people in and drives on. Cue: that bus."""

from __future__ import annotations

import numpy as np

from eyesup.types import AgentKind, Cue, CueKind, Lights
from eyesup.world.roads import Town
from eyesup.world.route import Route
from eyesup.world.scenarios.base import LEAD_IN_M, Ability, Scenario, dress, start_before
from eyesup.world.stage import Stage, UnsuitableError, verge_pose
from eyesup.world.traffic import BODIES, PEDESTRIAN_SIZE_M

BUS = BODIES["bus"]
ARRIVAL_S = (8.0, 14.0)
REACTION_S = 4.0  # the cue matters this long before a free ego would arrive
AHEAD_M = (14.0, 28.0)  # from the ego's front to the bus's rear at the start
PACE = (0.8, 0.95)  # of the bus, as a share of the ego's
BRAKES_MPS2 = (1.3, 2.0)
HALT_S = (3.0, 6.0)
NOTICED_MPS2, NOTICED_S = 0.6, 1.4  # braking that the bus asks for, or time behind it, from which the ego answers
LATER_PACE = (0.7, 0.9)
JUNCTION_GAP_M = (30.0, 25.0)  # to the junctions behind and ahead of the stop
WAITING = (1, 6)  # people at the stop
STEPS_BACK_M = (3.4, 5.2)  # they stand this far from the route


class BusStop(Scenario):
    """The bus brakes gently and shows its right indicator. People at the stop, and at another one, stand all the time."""

    ability = Ability.EMERGENCY_BRAKE
    vehicles = (30, 60)
    cruise_mps = (6.5, 12.0)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._road_map = town.road_map
        return super().lane_chain(town, rng, length_m + LEAD_IN_M)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        arrival_s = self.draw_arrival(rng, ARRIVAL_S, REACTION_S)
        for s in rng.uniform(40.0, 180.0, 4):
            start_s = start_before(route, float(s), arrival_s, cruise_mps)
            around = np.arange(s - JUNCTION_GAP_M[0], s + JUNCTION_GAP_M[1], 2.0)
            if not self.suits(route, start_s, cruise_mps) or route.in_junction(around).any():
                continue
            if verge_pose(route, self._road_map, float(s), PEDESTRIAN_SIZE_M, -1, STEPS_BACK_M[0]) is not None:
                self._stop_s = float(s)  # where the bus's front comes to rest
                return start_s
        return None

    def set_stage(self, stage: Stage) -> None:
        rng = stage.rng
        self._decel, self._halt_s = float(rng.uniform(*BRAKES_MPS2)), float(rng.uniform(*HALT_S))
        self._later_mps = stage.cruise_mps * float(rng.uniform(*LATER_PACE))
        self._halted_at: float | None = None
        self._braked = self._left = False
        pace, gap = stage.cruise_mps * float(rng.uniform(*PACE)), float(rng.uniform(*AHEAD_M))
        stage.clear(stage.ego_s, self._stop_s + 60.0)
        if stage.ego_front_s + gap + BUS.size_m[0] + pace**2 / (2 * self._decel) > self._stop_s:
            raise UnsuitableError("no way left for the bus to brake gently")
        stage.put_on_route("bus", "bus", stage.ego_front_s + gap, min(float(stage.ego.vx), pace))
        stage.traffic.cap_speed("bus", pace)
        self._wait(stage, self._stop_s - 1.0, "waiting")
        if rng.random() < 0.5:
            self._wait(stage, self._stop_s + float(rng.choice([-1, 1])) * float(rng.uniform(25.0, 50.0)), "elsewhere")
        dress(stage)

    @staticmethod
    def _wait(stage: Stage, s: float, name: str) -> None:
        """People who stand at the kerb and look for a bus."""
        rng = stage.rng
        for i in range(int(rng.integers(*WAITING))):
            place = s - 0.9 * i - float(rng.uniform(0.0, 0.3))
            pose = verge_pose(
                stage.route, stage.road_map, place, PEDESTRIAN_SIZE_M, -1, float(rng.uniform(*STEPS_BACK_M))
            )
            if pose is not None and not stage.route.in_junction(np.array(place), 4.0):
                heading = pose[2] + np.pi + float(rng.uniform(-0.6, 0.6))
                stage.stand(f"{name}{i}", AgentKind.PEDESTRIAN, PEDESTRIAN_SIZE_M, (pose[0], pose[1], heading))

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(self._stop_s + 200.0)
        bus = stage.find("bus")
        if bus is None or self._left:
            return
        s, _ = stage.place_of(bus)
        front = s + 0.5 * bus.size_m[0]
        if not self._braked:
            self._brake(stage, front, bus.speed_mps)
        elif self._halted_at is None and bus.speed_mps < 0.1:
            self._halted_at = stage.time_s
        elif self._halted_at is not None and stage.time_s > self._halted_at + self._halt_s:
            self._left = True
            stage.lamps.pop("bus")
            stage.traffic.cap_speed("bus", self._later_mps)
            stage.traffic.release("bus")
        if self._braked and not self._left:
            self._notice(stage, front - BUS.size_m[0], bus.speed_mps)
            stage.lamps["bus"] = Lights.RIGHT | Lights.BRAKE

    def _brake(self, stage: Stage, front: float, speed: float) -> None:
        if front + speed**2 / (2 * self._decel) < self._stop_s:
            return
        stage.traffic.hold_speed("bus", 0.0, self._decel)
        self._braked = True

    def _notice(self, stage: Stage, rear: float, bus_mps: float) -> None:
        """The cue counts from when the bus asks something of the ego."""
        gap, speed = rear - stage.ego_front_s, float(stage.ego.vx)
        needed = max(speed - bus_mps, 0.0) ** 2 / (2 * max(gap - 2.0, 0.1))
        if stage.cue_step is None and (needed > NOTICED_MPS2 or gap < 2.0 + NOTICED_S * speed):
            if stage.occupied(stage.ego_front_s, rear - 0.5):
                raise UnsuitableError("somebody drives between the ego and the bus")
            stage.mark_cue()

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["bus"])
