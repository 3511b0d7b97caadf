"""What a scenario directs: the ego's route, the traffic around it and the signals ahead, at the present step of a log."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from eyesup.dynamics.bicycle import BicycleState
from eyesup.types import PACIFICA, Lights, Props, RoadMap, Signals, VehicleGeometry
from eyesup.world.roads import Town
from eyesup.world.route import PATH_STEP_M, Route, road_edges
from eyesup.world.sumo_net import SignalHead
from eyesup.world.traffic import BODIES, STEP_S, Sighting, Traffic

INSERTION_DECEL_MPS2 = 4.0
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
        standing: Cars that stand beside the road; SUMO does not know them.
        lamps: Lights that override SUMO's, by name.
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
    lamps: dict[str, Lights] = field(default_factory=dict)
    cue_step: int | None = None

    @property
    def time_s(self) -> float:
        return self.step * STEP_S

    @property
    def ego_front_s(self) -> float:
        return self.ego_s + self.vehicle.rear_axle_to_center_m + self.vehicle.length_m / 2

    def mark_cue(self) -> None:
        """The cue starts to matter now; only the first call counts."""
        if self.cue_step is None:
            self.cue_step = self.step

    def place_of(self, sighting: Sighting) -> tuple[float, float]:
        """Arc length and offset of an agent's centre from the route [m]."""
        x, y, _ = sighting.pose
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
        """Row and stop line [m] of the first signal on the route at or after `from_s`."""
        ends = dict(zip(self.route.lane_ids, self.route.lane_end_s))
        stops = [
            (min(ends[lane] for lane in lanes if lane in ends), row)
            for row, lanes in enumerate(self.signals.stop_lane_ids)
            if any(lane in ends and ends[lane] >= from_s for lane in lanes)
        ]
        return (min(stops)[1], min(stops)[0]) if stops else None

    def hold_green(self, until_s: float) -> None:
        """Green for us at every signal of the route up to an arc length."""
        s = self.ego_s
        while (found := self.next_signal(s)) and found[1] <= until_s:
            self.traffic.show_green(self.heads[found[0]].tls_id, self.heads[found[0]].link_indices)
            s = found[1] + 1.0

    def verge_pose(self, s: float, size_m: tuple[float, float, float], side: int) -> tuple[float, float, float] | None:
        """A place for a standing vehicle beside the route at `s` (side +1 left, -1 right); None if there is none near."""
        return verge_pose(self.route, self.road_map, s, size_m, side)

    def park(self, s: float, side: int, body: str, lights: Lights = Lights.NONE) -> bool:
        """Stand a car on the verge; False where there is no room."""
        model = BODIES[body]
        pose = self.verge_pose(s, model.size_m, side)
        if pose is None:
            return False
        self.standing.append(Sighting(f"standing{len(self.standing)}", model.kind, model.size_m, pose, 0.0, lights))
        return True


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
