"""What a scenario directs: the ego's route, the traffic around it and the signals ahead, at the present step of a log."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from eyesup.dynamics.bicycle import BicycleState
from eyesup.geometry.polyline import Polyline
from eyesup.types import PACIFICA, AgentKind, Lights, Props, RoadMap, Signals, SignalState, VehicleGeometry
from eyesup.world.actors import Actor, path_beside
from eyesup.world.roads import Town
from eyesup.world.route import PATH_STEP_M, Route, road_edges
from eyesup.world.sumo_net import SignalHead
from eyesup.world.traffic import BODIES, STAND_IN, STANDING_MPS, STEP_S, Sighting, Traffic

INSERTION_DECEL_MPS2 = 4.0
ROAD_WIDTH_M = 18.0  # from the route's lane to the other side
FREE_AFTER_M = 12.0  # past the stop line
RED_WAIT_S, NEXT_PHASE_S, AT_LINE_M = 10.0, 4.0, 6.0
PARKING_GAP_M = 0.7  # between two standing cars
VERGE_CLEARANCE_M = 0.6  # between a car on the verge and the nearest lane
VERGE_NEAR_M, VERGE_FAR_M, VERGE_STEP_M = 4.5, 16.0, 0.5  # from the route to the middle of a standing car


class UnsuitableError(Exception):
    """This draw of town, route and traffic does not fit the scenario; the next draw may."""


@dataclass
class Stage:
    """State of a log in the making.

    Attributes:
        town: Where it happens.
        road_map: The town's map around the route.
        route: What the ego follows.
        start_s: Where on it the ego's rear axle starts [m].
        cruise_mps: Speed that the ego likes.
        heads: Signal heads near the route, in the order of `signals`.
        signals: Where they stand and what they control; their colours are `signal_states`.
        rng: Draws of the scenario.
        traffic: Running simulation.
        ego: Present state; `ego_s` its place on the route [m].
        vehicle: Size of the ego vehicle.
        step: Present step.
        signal_states: (S,) present colours.
        sightings: Everything else that is around now.
        standing: Things that never move; SUMO does not know them.
        actors: What follows a script, by name.
        paths: All that any scripted actor was ever told to follow: scenery must not stand on them.
        lamps: Lights that override all others, by name.
        cue_step: Step at which the scenario's cue starts to decide the plan.
    """

    town: Town
    road_map: RoadMap
    route: Route
    start_s: float
    cruise_mps: float
    heads: tuple[SignalHead, ...]
    signals: Signals
    rng: np.random.Generator
    traffic: Traffic
    ego: BicycleState
    ego_s: float
    vehicle: VehicleGeometry = PACIFICA
    step: int = 0
    signal_states: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    sightings: list[Sighting] = field(default_factory=list)
    standing: list[Sighting] = field(default_factory=list)
    actors: dict[str, Actor] = field(default_factory=dict)
    paths: list[Polyline] = field(default_factory=list)
    lamps: dict[str, Lights] = field(default_factory=dict)
    cue_step: int | None = None
    _stand_ins: dict[str, Sighting] = field(default_factory=dict)
    _stood_s: float = 0.0

    @property
    def time_s(self) -> float:
        return self.step * STEP_S

    @property
    def ego_front_s(self) -> float:
        return self.ego_s + self.vehicle.front_m

    def mark_cue(self) -> None:
        """The cue starts to matter now; only the first call counts."""
        if self.cue_step is None:
            self.cue_step = self.step

    def place_of(self, sighting: Sighting) -> tuple[float, float]:
        """Arc length and offset of an agent's centre from the route [m]."""
        return self.place_at(*sighting.pose[:2])

    def place_at(self, x: float, y: float) -> tuple[float, float]:
        """Arc length and offset from the route of a point [m]."""
        dx, dy = x - self.route.xy[:, 0], y - self.route.xy[:, 1]
        row = int((dx * dx + dy * dy).argmin())
        cos, sin = np.cos(self.route.headings[row]), np.sin(self.route.headings[row])
        ahead = dx[row] * cos + dy[row] * sin
        return float(row * PATH_STEP_M + ahead), float(dy[row] * cos - dx[row] * sin)

    def find(self, name: str) -> Sighting | None:
        return next((sighting for sighting in self.sightings if sighting.name == name), None)

    def clear(self, start_s: float, end_s: float, lateral_m: float = 2.0) -> None:
        """Take everything out of the route's lane between two arc lengths."""
        x, y, _ = (float(value) for value in self.route.at((start_s + end_s) / 2))
        for sighting in self.traffic.sightings(np.array([x, y]), (end_s - start_s) / 2 + 30.0):
            s, lateral = self.place_of(sighting)
            half = sighting.size_m[0] / 2
            if start_s - half < s < end_s + half and abs(lateral) < lateral_m + sighting.size_m[1] / 2:
                self.traffic.remove(sighting.name)

    def clear_around(self, centre: Float64[np.ndarray, "2"], radius_m: float) -> None:
        """Take every vehicle and everybody on foot away from a place."""
        for sighting in self.traffic.sightings(centre, radius_m):
            self.traffic.remove(sighting.name)

    def occupied(self, start_s: float, end_s: float, lateral_m: float = 1.4) -> bool:
        """Whether anything's centre lies in the route's lane between two arc lengths."""
        places = (self.place_of(sighting) for sighting in self.sightings)
        return any(start_s < s < end_s and abs(lateral) < lateral_m for s, lateral in places)

    def put_on_route(self, name: str, body: str, rear_s: float, speed_mps: float) -> float:
        """Put a vehicle into the route's lane with its rear at `rear_s`, or past the junction if that lies in one.

        Returns:
            Where its rear is [m].
        """
        length = BODIES[body].size_m[0]
        index = self.route.lane_at(rear_s + length)
        while self.route.lane_ids[index].startswith(":"):
            rear_s = self.route.lane_end_s[index] + 1.0
            index += 1
        if index >= len(self.route.lane_ids):
            raise UnsuitableError(f"no lane for {name} at {rear_s:.0f} m")
        lane_id, start, end = self.route.lane_ids[index], self.route.lane_start_s(index), self.route.lane_end_s[index]
        lane_length = float(np.linalg.norm(np.diff(self.road_map.lane(lane_id).centerline, axis=0), axis=1).sum())
        position = (rear_s + length - start) * lane_length / (end - start)
        position = min(position, lane_length - 0.1)
        able_to_stop = np.sqrt(2 * INSERTION_DECEL_MPS2 * (lane_length - position))  # else SUMO may refuse it
        edges, lane = road_edges(self.route.lane_ids[index:]), int(lane_id.rsplit("_", 1)[1])
        self.traffic.add_vehicle(name, body, edges, lane, position, min(speed_mps, float(able_to_stop)))
        return rear_s

    def next_signal(self, from_s: float) -> tuple[int, float] | None:
        """Row and stop line [m] of the first signal (no sign) on the route at or after `from_s`."""
        ends = dict(zip(self.route.lane_ids, self.route.lane_end_s))
        stops = [
            (min(ends[lane] for lane in lanes if lane in ends), row)
            for row, lanes in enumerate(self.signals.stop_lane_ids)
            if not self.heads[row].sign and any(lane in ends and ends[lane] >= from_s for lane in lanes)
        ]
        return (min(stops)[1], min(stops)[0]) if stops else None

    def hold_green(self, until_s: float) -> None:
        """Green for us at every signal of the route up to an arc length."""
        s = self.ego_s
        while (found := self.next_signal(s)) and found[1] <= until_s:
            self.traffic.show_green(self.heads[found[0]].tls_id, self.heads[found[0]].link_indices)
            s = found[1] + 1.0

    def run_signals(self) -> None:
        """Keep the town's signals from standing still; called once a step.

        Signals that were held green for us run again once we are past them: others wait there, and we may come back. A red
        light before which we have stood for `RED_WAIT_S` ends its phase.
        """
        self._free_signals()
        self._stood_s = self._stood_s + STEP_S if float(self.ego.vx) < STANDING_MPS else 0.0
        if self._stood_s < RED_WAIT_S:
            return
        found = self.next_signal(self.ego_front_s - 1.0)
        if found and found[1] < self.ego_front_s + AT_LINE_M and self.signal_states[found[0]] == SignalState.RED:
            self._stood_s = RED_WAIT_S - NEXT_PHASE_S
            self.traffic.end_phase(self.heads[found[0]].tls_id)

    def _free_signals(self) -> None:
        for tls_id, links in list(self.traffic.held.items()):
            lanes = [head.lane_ids for head in self.heads if head.tls_id == tls_id and head.link_indices == links]
            ends = [
                end
                for name, end in zip(self.route.lane_ids, self.route.lane_end_s)
                if any(name in ids for ids in lanes)
            ]
            if ends and self.ego_s > max(ends) + FREE_AFTER_M:
                self.traffic.end_phase(tls_id)

    # Scripted actors ------------------------------------------------------------------------------------------------

    def stand(
        self, name: str, kind: AgentKind, size_m: tuple[float, float, float], pose: tuple[float, float, float],
        lights: Lights = Lights.NONE, blocks: bool = False, look: int | None = None,
    ) -> None:  # fmt: skip
        """Put something that never moves anywhere; with `blocks` SUMO's traffic sees it."""
        self.standing.append(Sighting(name, kind, size_m, pose, 0.0, lights, look))
        if blocks:
            self.traffic.add_scripted(STAND_IN + name, kind, size_m, self._onward(pose))
            self._stand_ins[name] = self.standing[-1]
            self._hold(self.standing[-1])

    def _hold(self, sighting: Sighting) -> None:
        self.traffic.move(STAND_IN + sighting.name, sighting.pose, 0.0, aligned=_keeps_lanes(sighting.kind))

    def script(
        self, name: str, kind: AgentKind, size_m: tuple[float, float, float], path: Float64[np.ndarray, "P 2"],
        speed_mps: float = 0.0, start_m: float = 0.0, lights: Lights = Lights.NONE, blocks: bool = True,
        look: int | None = None,
    ) -> Actor:  # fmt: skip
        """An actor that follows a path.

        Args:
            name, kind, size_m, lights, look: As in `Sighting`.
            path: World frame, for its box centre [m].
            speed_mps: What it starts with; `Actor.go` changes it.
            start_m: Where on the path it starts.
            blocks: SUMO's traffic sees it, from when it first touches a lane.
        """
        actor = Actor(name, kind, size_m, Polyline(path), start_m, speed_mps, lights, blocks, look)
        self.actors[name] = actor
        self.paths.append(actor.path)
        self._show_to_traffic(actor)
        return actor

    def take_over(self, name: str, path: Float64[np.ndarray, "P 2"]) -> Actor:
        """Let a vehicle of SUMO's follow a path from now on; the path starts at its box centre."""
        sighting = self.find(name)
        if sighting is None:
            raise UnsuitableError(f"{name} is not there any more")
        lights = sighting.lights & ~Lights.BRAKE
        actor = Actor(
            name, sighting.kind, sighting.size_m, Polyline(path), 0.0, sighting.speed_mps, lights, blocks=True
        )
        actor.shown = True
        self.actors[name] = actor
        return actor

    def release(self, name: str) -> None:
        """Let SUMO drive a scripted vehicle that stands or drives on a lane, along the ego's route."""
        actor = self.actors.pop(name)
        if not self.traffic.has(name) or self.traffic.road_of(name).startswith(":"):
            raise UnsuitableError(f"{name} is on no lane on which traffic could take it over")
        self.traffic.let_go(name, self._onward(actor.pose)[-1])

    def take_away(self, name: str) -> None:
        """Remove something that stands, or a scripted actor."""
        self.standing = [sighting for sighting in self.standing if sighting.name != name]
        self.actors.pop(name, None)
        self._stand_ins.pop(name, None)
        for seen in (name, STAND_IN + name):
            if self.traffic.has(seen):
                self.traffic.remove(seen)

    def hide_off_lane(self, name: str) -> None:
        """Take a scripted actor out of SUMO once it has left the lanes; it goes on without its traffic seeing it.

        libsumo 1.28 crashes when something longer than it is wide leaves a lane sideways and is moved on.
        """
        actor = self.actors.get(name)
        if actor is not None and actor.shown and self.traffic.has(name) and not self.traffic.on_lane(name):
            self.traffic.remove(name)
            actor.blocks = actor.shown = False

    def move_actors(self) -> None:
        """Let the scripted actors do their next step; to be called before `Traffic.step`."""
        for sighting in self._stand_ins.values():
            self._hold(sighting)
        for actor in self.actors.values():
            actor.advance(STEP_S)
            if actor.shown or actor.speed_mps > 0:
                self._show_to_traffic(actor)

    def path_across(self, s: float, lateral_m: float, beyond_m: float) -> Float64[np.ndarray, "2 2"]:
        """A straight way over the road at `s`: from an offset beside it to `beyond_m` off the last lane on the other side.

        Raises:
            UnsuitableError: the road does not end within `ROAD_WIDTH_M`.
        """
        x, y, heading = (float(value) for value in self.route.at(s))
        left = np.array([-np.sin(heading), np.cos(heading)])
        offsets = -np.sign(lateral_m) * np.arange(0.0, ROAD_WIDTH_M, 0.25)
        free = lane_clearance(self.road_map, np.array([x, y]) + offsets[:, None] * left) > beyond_m
        if not free.any():
            raise UnsuitableError(f"no other side of the road within {ROAD_WIDTH_M:.0f} m")
        return np.array([x, y]) + np.array([[lateral_m], [offsets[int(free.argmax())]]]) * left

    def path_beside(self, knots: list[tuple[float, float]]) -> Float64[np.ndarray, "P 2"]:
        """A path along the route through (arc length, offset to the left) knots."""
        return path_beside(self.route, knots)

    def _show_to_traffic(self, actor: Actor) -> None:
        """Let SUMO's traffic see an actor where it is, from when it first touches a lane."""
        if not actor.blocks:
            return
        outline = box_outline(actor.size_m[0], actor.size_m[1], actor.pose[2]) + np.array(actor.pose[:2])
        if not actor.shown and lane_clearance(self.road_map, outline).min() < 0:
            self.traffic.add_scripted(actor.name, actor.kind, actor.size_m, self._onward(actor.pose))
            actor.shown = True
        if actor.shown:
            self.traffic.move(actor.name, actor.pose, actor.speed_mps, aligned=_keeps_lanes(actor.kind))

    def _onward(self, pose: tuple[float, float, float]) -> list[str]:
        """Roads of the route from abreast of a pose on."""
        index = self.route.lane_at(self.place_at(*pose[:2])[0])
        return road_edges(self.route.lane_ids[index:]) or road_edges(self.route.lane_ids)[-1:]

    # Beside the road -------------------------------------------------------------------------------------------------

    def verge_pose(self, s: float, size_m: tuple[float, float, float], side: int) -> tuple[float, float, float] | None:
        """A place for a standing vehicle beside the route at `s` (side +1 left, -1 right); None if there is none near."""
        return verge_pose(self.route, self.road_map, s, size_m, side)

    def park(self, s: float, side: int, body: str, lights: Lights = Lights.NONE, near_m: float = VERGE_NEAR_M) -> bool:
        """Stand a car on the verge, at least `near_m` from the route; False where there is no room."""
        model = BODIES[body]
        pose = verge_pose(self.route, self.road_map, s, model.size_m, side, near_m)
        if pose is None or self._taken(pose, model.size_m[0]):
            return False
        self.standing.append(Sighting(f"standing{len(self.standing)}", model.kind, model.size_m, pose, 0.0, lights))
        return True

    def _taken(self, pose: tuple[float, float, float], length_m: float) -> bool:
        """Whether something staged is where a vehicle would stand."""
        standing = [(s.pose, 0.5 * s.size_m[0]) for s in self.standing]
        waiting = [(actor.pose, 0.5 * actor.size_m[0]) for actor in self.actors.values()]
        return any(
            np.hypot(other[0] - pose[0], other[1] - pose[1]) < 0.5 * length_m + half + PARKING_GAP_M
            for other, half in standing + waiting
        )


def verge_pose(
    route: Route, road_map: RoadMap, s: float, size_m: tuple[float, float, float], side: int, near_m: float = VERGE_NEAR_M
) -> tuple[float, float, float] | None:  # fmt: skip
    """A pose beside the route at arc length `s`, along it and off every lane.

    Args:
        route, road_map: Where.
        s: Arc length on the route [m].
        size_m: Length, width, height of what shall stand there.
        side: +1 left, -1 right.
        near_m: Smallest distance from the route.

    Returns:
        The nearest such pose (x, y, heading), or None if there is none within 12 m of `near_m`.
    """
    x, y, heading = (float(value) for value in route.at(s))
    normal = side * np.array([-np.sin(heading), np.cos(heading)])
    offsets = np.arange(near_m, near_m + VERGE_FAR_M - VERGE_NEAR_M, VERGE_STEP_M)
    centres = np.array([x, y]) + offsets[:, None] * normal
    outline = box_outline(size_m[0], size_m[1], heading)
    points = centres[:, None] + outline  # (O, C, 2)
    clear = lane_clearance(road_map, points.reshape(-1, 2)).reshape(points.shape[:2]).min(axis=1)
    good = np.flatnonzero(clear > VERGE_CLEARANCE_M)
    if not len(good):
        return None
    return float(centres[good[0], 0]), float(centres[good[0], 1]), heading


def box_outline(length_m: float, width_m: float, heading: float) -> Float64[np.ndarray, "C 2"]:
    """Points on the border of a box at the origin, at most about 2 m apart."""
    along = np.linspace(-length_m / 2, length_m / 2, max(int(length_m / 1.5), 2) + 1)
    local = np.concatenate([np.stack([along, np.full_like(along, side * width_m / 2)], -1) for side in (-1, 1)])
    cos, sin = np.cos(heading), np.sin(heading)
    return np.stack([cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1]], axis=-1)


def lane_clearance(road_map: RoadMap, points: Float64[np.ndarray, "Q 2"]) -> Float64[np.ndarray, "Q"]:
    """Distance of points from the border of the nearest lane [m], negative inside."""
    low, high = points.min(axis=0) - 12.0, points.max(axis=0) + 12.0
    best = np.full(len(points), np.inf)
    for lane in road_map.lanes:
        line = lane.centerline
        if (line.max(axis=0) < low).any() or (line.min(axis=0) > high).any():
            continue
        start, edge = line[:-1], np.diff(line, axis=0)
        offset = points[:, None] - start
        share = np.clip((offset * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-9), 0.0, 1.0)
        distance = np.linalg.norm(offset - share[..., None] * edge, axis=-1).min(axis=1)
        best = np.minimum(best, distance - lane.width_m / 2)
    return best


def without_overlaps(props: Props, poses: Float64[np.ndarray, "N 3"], radius_m: float) -> Props:
    """Props that come no closer than `radius_m` to the given places (buildings: their walls do not)."""
    if not len(props) or not len(poses):
        return props
    offset = poses[:, None, :2] - props.poses[None, :, :2]
    cos, sin = np.cos(props.poses[:, 2]), np.sin(props.poses[:, 2])
    along = np.abs(offset[..., 0] * cos + offset[..., 1] * sin) - props.sizes[:, 0] / 2
    across = np.abs(offset[..., 1] * cos - offset[..., 0] * sin) - props.sizes[:, 1] / 2
    keep = (np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0)) > radius_m).all(axis=0)
    return Props(props.kinds[keep], props.poses[keep], props.sizes[keep], props.looks[keep])


def _keeps_lanes(kind: AgentKind) -> bool:
    """Whether SUMO may take it for something on a lane of its heading. Of crossing cyclists it must not: libsumo 1.28 crashes."""
    return kind.is_vehicle and kind is not AgentKind.BICYCLE
