"""What scenarios share in which something on the ego's lane has to be driven around."""

from __future__ import annotations

import numpy as np

from eyesup.types import AgentKind, Cue, CueKind, Lights
from eyesup.world.road_room import RoadRoom, road_room
from eyesup.world.roads import Town
from eyesup.world.route import Route, road_edges
from eyesup.world.scenarios.base import Ability, Scenario, draw_body, dress, start_before, starts_at_stop
from eyesup.world.stage import Stage, UnsuitableError, verge_pose
from eyesup.world.traffic import BODIES

ARRIVAL_S = (5.5, 10.0)
REACTION_S = 3.0  # the cue matters this long before a car at constant speed would arrive
BEFORE_M, BEHIND_M = 34.0, 30.0  # of road without a junction on either side: to pull out and to come back
BEYOND_M = 60.0  # the route goes on
ONCOMING_MPS = (5.5, 9.0)
OUT_M, LETS_PASS_M, LETS_PASS_MPS = 0.8, 70.0, 2.0  # an ego this far out is let past
ONCOMING_GAP_S = (1.2, 3.5)  # between two oncoming vehicles
PLACES = 12  # tried per route
SLOWED = 0.75  # of its cruising speed: an ego that waits for oncoming traffic comes to the blockage slowly


class BlockedLane(Scenario):
    """The road at the blockage is otherwise empty but for what the scenario puts there; signals up to it stay green.

    Attributes:
        length_m: Longest blockage.
        oncoming_share: Share of the logs with oncoming vehicles that arrive together with the ego.
        react_s: The cue is marked when the blockage is this many seconds ahead.
        one_lane_share: Share of the logs in which only roads with a single lane per direction are taken.
    """

    ability = Ability.OVERTAKING
    cruise_mps = (6.5, 12.0)
    length_m: float = 6.0
    oncoming_share: float = 0.0
    react_s: float = REACTION_S
    one_lane_share: float = 0.5

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._road_map = town.road_map
        return super().lane_chain(town, rng, length_m)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        room = road_room(route, self._road_map)
        one_lane = bool(rng.random() < self.one_lane_share)
        arrival_s = float(rng.uniform(ARRIVAL_S[0], min(ARRIVAL_S[1], self.latest_s + self.react_s - 0.5)))
        for s in rng.uniform(40.0, 170.0, PLACES):
            start_s = start_before(route, float(s), arrival_s, cruise_mps)
            if start_s < 6.0 or starts_at_stop(start_s, stop_s) or not self._fits(route, room, float(s), one_lane):
                continue
            self.site_s, self.room, self._arrival_s = float(s), room, arrival_s
            return start_s
        return None

    def _fits(self, route: Route, room: RoadRoom, s: float, one_lane: bool) -> bool:
        row = room.row(s)
        stretch = np.arange(s - BEFORE_M, s + self.length_m + BEHIND_M, 2.0)
        wide = room.beyond[row] > room.lane[row] + 2.5
        single = room.left[row] == room.lane[row] == room.right[row]
        at_kerb = room.right[row] == room.lane[row]
        return bool(
            wide and at_kerb and (single or not one_lane) and not route.in_junction(stretch).any()
            and s + self.length_m + BEYOND_M < route.length_m
        )  # fmt: skip

    def set_stage(self, stage: Stage) -> None:
        self.names: list[str] = []
        self._oncoming: list[str] = []
        self._empty_road(stage)
        self.block(stage)
        if stage.rng.random() < self.oncoming_share:
            self._send_oncoming(stage)
        dress(stage)
        self.decorate(stage)

    def block(self, stage: Stage) -> None:
        """Put what blocks the lane from `site_s` on; its agents' names go into `names`, the first one first."""
        raise NotImplementedError

    def decorate(self, stage: Stage) -> None:
        """Stand look-alikes beside the road."""

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(self.site_s + BEYOND_M)
        gap, closing = self.gap(stage)
        if stage.cue_step is None and gap < self.react_s * max(closing, SLOWED * stage.cruise_mps):
            if stage.occupied(stage.ego_front_s, stage.ego_front_s + gap - 0.5):
                raise UnsuitableError("somebody is between the ego and what blocks the lane")
            stage.mark_cue()
        self._direct_oncoming(stage)

    def gap(self, stage: Stage) -> tuple[float, float]:
        """Metres from the ego's front to the blockage, and how fast they shrink."""
        return self.site_s - stage.ego_front_s, float(stage.ego.vx)

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        seen = [ids[name] for name in self.names if name in ids]
        return Cue(CueKind.AGENT, seen[0], tuple(seen[1:]))

    # Setting -----------------------------------------------------------------------------------------------------------

    def stand(
        self, stage: Stage, kind: AgentKind, size_m: tuple[float, float, float], s: float, lateral_m: float,
        turn: float = 0.0, lights: Lights = Lights.NONE, look: int | None = None,
    ) -> None:  # fmt: skip
        """Stand a part of the blockage at `s`, `lateral_m` left of the route, turned against it by `turn`."""
        x, y, heading = (float(value) for value in stage.route.at(s))
        pose = (x - lateral_m * float(np.sin(heading)), y + lateral_m * float(np.cos(heading)), heading + turn)
        self.names.append(f"block{len(self.names)}")
        stage.stand(self.names[-1], kind, size_m, pose, lights, look=look)

    def beside(
        self, stage: Stage, kind: AgentKind, size_m: tuple[float, float, float], s: float, side: int, turn: float = 0.0,
        lights: Lights = Lights.NONE,
    ) -> None:  # fmt: skip
        """Stand something beside the road, where it blocks nothing."""
        pose = verge_pose(stage.route, stage.road_map, s, (max(size_m[:2]), max(size_m[:2]), size_m[2]), side)
        if pose is not None:
            x, y, heading = pose
            stage.stand(f"aside{len(stage.standing)}", kind, size_m, (x, y, heading + turn), lights)

    def _empty_road(self, stage: Stage) -> None:
        """Nobody else comes along here: SUMO would drive through what stands on the lane."""
        site = stage.route.lane_at(self.site_s)
        for index in range(stage.route.lane_at(stage.ego_s), min(site + 3, len(stage.route.lane_ids))):
            lane_id, other = stage.route.lane_ids[index], self.room.oncoming[index]
            for name in (lane_id, other):
                if name is not None and not name.startswith(":"):
                    stage.traffic.remove_bound_for(road_edges([name])[0], keep="")

    def _send_oncoming(self, stage: Stage) -> None:
        """One to three vehicles that meet the ego about where it would pull out."""
        rng, count = stage.rng, int(stage.rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
        speed = float(rng.uniform(*ONCOMING_MPS))
        row = self.room.row(self.site_s)
        lateral = float(self.room.beyond[row] + self.room.left[row]) / 2
        meet_s = self.site_s + self.length_m + float(rng.uniform(-10.0, 25.0))
        far_s = meet_s + speed * self._arrival_s
        end_s = max(stage.ego_s - 40.0, 1.0)
        self._pace_mps = speed
        for i in range(count):
            body = BODIES[draw_body(rng)]
            first = far_s + i * speed * float(rng.uniform(*ONCOMING_GAP_S)) + i * 8.0
            if first > stage.route.length_m - 5.0:
                break
            way = stage.path_beside([(end_s, lateral), (first, lateral)])[::-1]
            self._oncoming.append(f"oncoming{i}")
            stage.script(self._oncoming[-1], body.kind, body.size_m, np.ascontiguousarray(way), speed)

    def _direct_oncoming(self, stage: Stage) -> None:
        """Oncoming drivers slow down for an ego that is out on their lane, and leave at the end of their way."""
        offset = stage.place_at(stage.ego.x, stage.ego.y)[1]
        for name in list(self._oncoming):
            actor = stage.actors[name]
            ahead = stage.place_at(*actor.pose[:2])[0] - stage.ego_front_s
            lets_pass = offset > OUT_M and 0.0 < ahead < LETS_PASS_M
            actor.go(LETS_PASS_MPS if lets_pass else self._pace_mps)
            if actor.done:
                stage.take_away(name)
                self._oncoming.remove(name)
