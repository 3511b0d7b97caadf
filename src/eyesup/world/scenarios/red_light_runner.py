"""Our light is green, and a car from the side runs its red light. Cue: that car."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eyesup.geometry.polyline import Polyline
from eyesup.types import AgentKind, Cue, CueKind, Lane, Lights
from eyesup.world.actors import Actor
from eyesup.world.roads import Town
from eyesup.world.route import PATH_STEP_M, Route, road_edges
from eyesup.world.scenarios.base import LEAD_IN_M, Ability, Scenario, draw_body, dress, start_before, time_to
from eyesup.world.stage import Stage, UnsuitableError
from eyesup.world.traffic import BODIES

ARRIVAL_S = (5.0, 9.0)
REACTION_S = 2.0  # the cue matters this long before a free ego would arrive
STRAIGHT_COS = 0.97  # of the change of heading of a way straight over the junction
MIN_ACROSS = 0.7  # sine of the angle between that way and ours
SPEED_MPS, SLOWEST_MPS = (8.0, 12.5), 5.0  # of the runner
PACING_MPS2 = 2.0  # with which it chooses its speed so that both arrive together
FIXED_S = 3.5  # before the meeting; then it goes on at its speed
LATER_S = (-0.3, 0.5)  # it comes to the meeting point this much later than a free ego
CLEAR_M = 35.0  # around the junction
TOUCH_M = 2.5
STOPPING_MPS2 = 5.0  # harder than this the ego must not have to brake for it: it would stop on the runner's way


@dataclass(frozen=True)
class _Way:
    """A way straight over the junction, from its road on to the road after it."""

    path: Polyline
    stop_m: float  # place of the stop line on it
    meeting_m: float  # where it meets the ego's path
    meeting_s: float  # the same place on the route
    edge: str


class RedLightRunner(Scenario):
    """Cars on the other roads wait at their red lights; only the runner comes up to its one and does not brake.

    Attributes:
        gives_away_mps2: When it would have to brake harder than this for its light, everybody sees that it will not.
    """

    ability = Ability.TRAFFIC_SIGNS
    gives_away_mps2: float = 5.0
    vehicles = (30, 60)
    cruise_mps = (6.5, 11.5)

    def draw_runner(self, rng: np.random.Generator) -> tuple[AgentKind, tuple[float, float, float], Lights]:
        """Kind, size and lights of who runs the light."""
        body = BODIES[draw_body(rng)]
        return body.kind, body.size_m, Lights.NONE

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        self._town = town
        return super().lane_chain(town, rng, length_m + LEAD_IN_M)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        arrival_s = self.draw_arrival(rng, ARRIVAL_S, REACTION_S)
        for stop in stop_s:
            start_s = start_before(route, stop, arrival_s, cruise_mps)
            alone = not any(start_s + 5.0 < other < stop for other in stop_s)
            if alone and self.suits(route, start_s, cruise_mps) and self._is_crossed(route, stop):
                self._stop_s = stop
                return start_s
        return None

    def _is_crossed(self, route: Route, stop_s: float) -> bool:
        """Whether another road that has a light there too leads straight over the route."""
        ends, heads = dict(zip(route.lane_ids, route.lane_end_s)), self._town.signals
        ours = [head for head in heads if any(ends.get(lane) == stop_s for lane in head.lane_ids) and not head.sign]
        ids, lights = {head.id for head in ours}, {head.tls_id for head in ours}
        lanes = _by_id(self._town.road_map.lanes)
        others = [lane for head in heads if head.tls_id in lights and head.id not in ids for lane in head.lane_ids]
        return any(_ways(lanes, lane, route, stop_s) for lane in others)

    def set_stage(self, stage: Stage) -> None:
        rng, (kind, size_m, lights) = stage.rng, self.draw_runner(stage.rng)
        found = stage.next_signal(self._stop_s - 0.5)
        if found is None:
            raise UnsuitableError("no signal on the route")
        head = stage.heads[found[0]]
        if not stage.traffic.show_green(head.tls_id, head.link_indices):
            raise UnsuitableError("the signal never shows green")
        letters = stage.traffic.light_states(head.tls_id).lower()
        red = [h for h in stage.heads if h.tls_id == head.tls_id and all(letters[i] == "r" for i in h.link_indices)]
        lanes = _by_id(stage.road_map.lanes)
        ways = [way for h in red for lane in h.lane_ids for way in _ways(lanes, lane, stage.route, self._stop_s)]
        if not ways:
            raise UnsuitableError("no road crosses ours at the signal")
        self._way = ways[int(rng.integers(len(ways)))]
        stage.clear(stage.ego_s, self._way.meeting_s + 45.0)
        stage.clear_around(self._way.path.at(self._way.meeting_m)[:2], CLEAR_M)
        stage.traffic.remove_bound_for(self._way.edge, keep="")
        self._later_s, fastest = float(rng.uniform(*LATER_S)), float(rng.uniform(*SPEED_MPS))
        self._fastest = fastest
        arrival_s = time_to(stage, self._way.meeting_s) + self._later_s
        start_m = self._way.meeting_m - fastest * arrival_s
        start_m = max(start_m, 0.5 * size_m[0])
        pace = (self._way.meeting_m - start_m) / arrival_s
        if pace < SLOWEST_MPS:
            raise UnsuitableError("the road from the side is too short for the runner")
        self._runner: Actor = stage.script("runner", kind, size_m, self._way.path.points, pace, start_m, lights)
        dress(stage)

    def act(self, stage: Stage) -> None:
        if "runner" not in stage.actors:
            return
        runner, way = self._runner, self._way
        if runner.done:
            stage.take_away("runner")
            return
        if any(_touch(runner, sighting.pose) for sighting in stage.sightings if sighting.name != "runner"):
            raise UnsuitableError("somebody is in the runner's way")
        left_m, eta = way.meeting_m - runner.s, time_to(stage, way.meeting_s) + self._later_s
        if stage.cue_step is None and eta > FIXED_S:
            runner.go(float(np.clip(left_m / eta, SLOWEST_MPS, self._fastest)), PACING_MPS2)
        line_m = way.stop_m - runner.s - 0.5 * runner.size_m[0]
        if stage.cue_step is None and runner.speed_mps**2 / (2 * max(line_m, 0.1)) > self.gives_away_mps2:
            if stage.occupied(stage.ego_front_s, way.meeting_s + 10.0):
                raise UnsuitableError("somebody else is on the ego's way")
            if float(stage.ego.vx) ** 2 / (2 * max(self._room(stage), 0.1)) > STOPPING_MPS2:
                raise UnsuitableError("the ego could not stop for the runner any more")
            stage.mark_cue()

    def _room(self, stage: Stage) -> float:
        """Metres from the ego's front to where the runner sweeps over its way."""
        way = self._way
        angle = float(way.path.at(way.meeting_m)[2] - stage.route.at(way.meeting_s)[2])
        swept = 0.5 * (self._runner.size_m[1] + stage.vehicle.width_m * abs(np.cos(angle))) / abs(np.sin(angle))
        return way.meeting_s - swept - stage.ego_front_s

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["runner"])


def _touch(runner: Actor, pose: tuple[float, float, float]) -> bool:
    """Whether somebody's centre is within `TOUCH_M` of the runner's outline, or nearly."""
    x, y, heading = runner.pose
    dx, dy = pose[0] - x, pose[1] - y
    ahead, aside = dx * np.cos(heading) + dy * np.sin(heading), dy * np.cos(heading) - dx * np.sin(heading)
    return bool(abs(ahead) < 0.5 * runner.size_m[0] + TOUCH_M and abs(aside) < 0.5 * runner.size_m[1] + 0.9)


def _by_id(lanes: tuple[Lane, ...]) -> dict[str, Lane]:
    return {lane.id: lane for lane in lanes}


def _ways(lanes: Mapping[str, Lane], lane_id: str, route: Route, stop_s: float) -> list[_Way]:
    """Ways from a lane straight over the junction behind `stop_s` and across the route."""
    found = []
    if lane_id not in lanes:
        return []
    before = lanes[lane_id].centerline
    for first in lanes[lane_id].successors:
        lines, name = [before], first
        while name in lanes and lanes[name].is_junction and lanes[name].successors:
            lines.append(lanes[name].centerline)
            name = lanes[name].successors[0]
        if name not in lanes or len(lines) == 1:
            continue
        lines.append(lanes[name].centerline)
        path = Polyline(np.concatenate(lines))
        stop_m = Polyline(before).length
        start, end = path.at(stop_m)[2], path.at(stop_m + sum(Polyline(line).length for line in lines[1:-1]))[2]
        crossing = _crossing(path, stop_m, route, stop_s)
        if np.cos(end - start) > STRAIGHT_COS and crossing is not None:
            found.append(_Way(path, stop_m, *crossing, road_edges([lane_id])[0]))
    return found


def _crossing(path: Polyline, stop_m: float, route: Route, stop_s: float) -> tuple[float, float] | None:
    """Where a way and the route meet at a large angle, in metres along both; None where they do not."""
    turn = next((turn for turn in route.junctions if turn.end_s > stop_s + 1.0), None)
    if turn is None:
        return None
    rows = np.arange(int(stop_s / PATH_STEP_M), int(turn.end_s / PATH_STEP_M) + 1)
    ways: Float64[np.ndarray, "R 2"] = route.xy[rows]
    along, aside = path.project(ways)
    flips = np.flatnonzero(
        (np.sign(aside[1:]) != np.sign(aside[:-1])) & (along[1:] > stop_m) & (along[1:] < path.length)
    )
    if not len(flips):
        return None
    row = int(flips[0])
    across = abs(np.sin(path.at(along[row])[2] - route.headings[rows[row]]))
    return (float(along[row]), float(rows[row] * PATH_STEP_M)) if across > MIN_ACROSS else None
