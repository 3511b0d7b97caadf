"""An emergency vehicle with flashing lights comes from behind; the ego makes way at the edge of its lane and stops.

Before it passes, no front camera shows it: only a rig that looks back (`surround6`) does.
"""

from __future__ import annotations

import numpy as np

from eyesup.types import AgentKind, Cue, CueKind, Lights
from eyesup.world.passing import SIREN_BEHIND_M
from eyesup.world.road_room import RoadRoom, road_room
from eyesup.world.roads import Town
from eyesup.world.route import Route, road_edges
from eyesup.world.scenarios.base import (
    ALIGNED_SHARE,
    Ability,
    EdgeCase,
    Scenario,
    dress,
    on_time,
    start_before,
    starts_at_stop,
)
from eyesup.world.stage import Stage, UnsuitableError, verge_pose

SIZES_M = ((4.8, 1.9, 1.75), (5.6, 2.1, 2.7), (8.2, 2.5, 3.4))  # police car, ambulance, fire engine
NOTICED_AT_S = (3.5, 8.0)
FOLLOWS_M = (62.0, 75.0)  # behind the ego at first
FASTER_MPS = (4.5, 7.0)
CLEARANCE_M = 0.5  # to the ego at the edge of its lane
EDGE_M = 1.05  # the ego's left side, from the middle of its lane, once it has made way
SWING_M = (-24.0, 6.0)  # where it pulls out, from where the ego notices it
BESIDE_M, BACK_M = 55.0, 30.0
ROAD_AHEAD_M = 48.0  # without a junction from where the ego notices it: room to stop
PLACES = 12


class EmergencyVehicle(Scenario):
    """Cue: that vehicle. Its look-alikes stand beside the road, some with flashing lights. Signals stay green."""

    ability = Ability.GIVE_WAY
    edge_case = EdgeCase.EMERGENCY_VEHICLE
    from_behind = True
    cruise_mps = (6.5, 10.5)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._road_map = town.road_map
        return super().lane_chain(town, rng, length_m + FOLLOWS_M[1])

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        room = road_room(route, self._road_map)
        noticed_s = float(rng.uniform(NOTICED_AT_S[0], min(NOTICED_AT_S[1], self.latest_s)))
        self._size_m = SIZES_M[int(rng.integers(len(SIZES_M)))]
        for s in rng.uniform(90.0, 230.0, PLACES):
            start_s = start_before(route, float(s), noticed_s, cruise_mps)
            late = start_s < FOLLOWS_M[1] + 4.0 or starts_at_stop(start_s, stop_s)
            if late or not self._fits(route, room, float(s)):
                continue
            self._noticed_s, self._room = float(s), room
            return start_s
        return None

    def _fits(self, route: Route, room: RoadRoom, s: float) -> bool:
        row = room.row(s)
        stretch = np.arange(s - 4.0, s + ROAD_AHEAD_M, 2.0)
        wide = room.beyond[row] > self._lateral_m() + self._size_m[1] / 2 + 0.3
        at_kerb = room.right[row] == room.lane[row]
        return bool(wide and at_kerb and not route.in_junction(stretch).any() and s + 120.0 < route.length_m)

    def _lateral_m(self) -> float:
        """How far left of the route it passes."""
        return EDGE_M + CLEARANCE_M + self._size_m[1] / 2

    def set_stage(self, stage: Stage) -> None:
        rng, site = stage.rng, stage.route.lane_at(self._noticed_s)
        for index in range(len(stage.route.lane_ids)):
            lane_id, other = stage.route.lane_ids[index], self._room.oncoming[index]
            for name in (lane_id, other if index <= site + 2 else None):
                if name is not None and not name.startswith(":"):
                    stage.traffic.remove_bound_for(road_edges([name])[0], keep="")
        first = stage.ego_s - float(rng.uniform(*FOLLOWS_M))
        lateral, notice = self._lateral_m(), self._noticed_s
        out, back = notice + SWING_M[1] + BESIDE_M, notice + SWING_M[1] + BESIDE_M + BACK_M
        knots = [(first, 0.0), (notice + SWING_M[0], 0.0), (notice + SWING_M[1], lateral), (out, lateral), (back, 0.0)]
        way = stage.path_beside([*knots, (stage.route.length_m - 1.0, 0.0)])
        self._fast_mps = stage.cruise_mps + float(rng.uniform(*FASTER_MPS))
        self._aligned, self._hurries = bool(rng.random() < ALIGNED_SHARE), False
        stage.script("siren", AgentKind.EMERGENCY, self._size_m, way, float(stage.ego.vx), lights=Lights.BEACON)
        dress(stage)
        self._decorate(stage)

    def _decorate(self, stage: Stage) -> None:
        rng = stage.rng
        for i in range(int(rng.integers(0, 3))):
            size, side = SIZES_M[int(rng.integers(len(SIZES_M)))], int(rng.choice([-1, 1]))
            pose = verge_pose(stage.route, stage.road_map, stage.ego_s + float(rng.uniform(20.0, 120.0)), size, side)
            if pose is not None:
                lights = Lights.BEACON if rng.random() < 0.5 else Lights.NONE
                stage.stand(f"aside{i}", AgentKind.EMERGENCY, size, pose, lights)

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(stage.route.length_m)
        actor = stage.actors.get("siren")
        if actor is None:
            return
        if actor.done:
            stage.take_away("siren")
            return
        behind = stage.ego_s - stage.place_at(*actor.pose[:2])[0]
        to_notice = self._noticed_s - stage.ego_s
        speed = float(stage.ego.vx)
        gains = (behind - SIREN_BEHIND_M) * speed / (self._fast_mps - speed) if speed < self._fast_mps else 0.0
        self._hurries = self._hurries or (to_notice < gains and on_time(stage, self._aligned))
        if self._hurries:
            actor.go(self._fast_mps, 3.0)
        elif behind < SIREN_BEHIND_M + 8.0:
            actor.go(speed - 0.5)
        else:
            actor.go(speed)
        if behind < SIREN_BEHIND_M:
            if stage.cue_step is None and to_notice < -ROAD_AHEAD_M / 3:
                raise UnsuitableError("the emergency vehicle came too late for the room to stop")
            stage.mark_cue()

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["siren"])
