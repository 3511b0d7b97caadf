"""A moment of a `Scene` as the scorer's inputs: any source of Scenes can be scored like NAVSIM.

Departures from nuPlan's maps, which the official score reads: a lane's polygon is its centreline widened to the lane's
width, an intersection is the convex hull of one junction's connections, and the road is the map's drivable area.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry import LineString, MultiPoint

from eyesup.geometry.se2 import to_frame
from eyesup.scoring.pdm.scene import FRAME_S, SceneInputs
from eyesup.scoring.pdm.version import DT_S, SAMPLES
from eyesup.types import AgentKind, DataError, Lane, RoadMap, Scene, SignalState

HISTORY_FRAMES = 4  # at 2 Hz, t = 0 included
FUTURE_FRAMES = 11
HUMAN_FRAMES = 8
MAP_RADIUS_M = 100.0
AGENT_RADIUS_M = 100.0
ROUTE_BEHIND_M = 30.0
TYPES = {
    AgentKind.PEDESTRIAN: "PEDESTRIAN",
    AgentKind.BICYCLE: "BICYCLE",
    AgentKind.CONE: "TRAFFIC_CONE",
    AgentKind.BARRIER: "BARRIER",
    AgentKind.DEBRIS: "GENERIC_OBJECT",
}
MIN_RING_M2 = 0.5


def scene_inputs(scene: Scene, step: int, expert_is_reference: bool = False) -> SceneInputs:
    """What the scorer needs to judge plans made at one step of a scene.

    Args:
        scene: World frame; 1.5 s must precede `step` and 5 s follow.
        step: t = 0.
        expert_is_reference: Measure ego progress against what was driven instead of against PDM-Closed. That is no
            official score; it costs nothing and serves as a reward.

    Raises:
        DataError: the log is too short around the step, or the scene has no map or route.
    """
    frame = round(FRAME_S / scene.dt_s)
    past = step - frame * np.arange(HISTORY_FRAMES - 1, -1, -1)
    future = step + frame * np.arange(FUTURE_FRAMES)
    if past[0] < 0 or future[-1] >= len(scene):
        raise DataError(
            f"scene {scene.key}: step {step} has no 1.5 s before or 5 s after it in a log of {len(scene)} steps of {scene.dt_s} s"
        )
    if not scene.road_map.lanes or len(scene.route) < 2:
        raise DataError(
            f"scene {scene.key}: {len(scene.road_map.lanes)} lanes and a route of {len(scene.route)} points; needs both"
        )
    ego = scene.ego_poses[step, :2]
    rings, names, layers = _map_polygons(scene.road_map, ego)
    agents = scene.agents.at(future)
    seen = agents.valid & (agents.bottom_z < scene.vehicle.height_m)
    near = np.hypot(*(agents.poses[..., :2] - ego).transpose(2, 0, 1)) < AGENT_RADIUS_M
    rows = np.flatnonzero((seen & near).any(axis=1))
    driven = scene.ego_poses[step + np.round(np.arange(SAMPLES) * DT_S / scene.dt_s).astype(int)]
    return SceneInputs(
        name=f"{scene.key}@{step}",
        polygons=rings, polygon_ids=names, polygon_layers=layers,
        centerline=_route_ahead(scene.route, ego),
        route_lane_ids=_route_lanes(scene),
        ego_history=np.concatenate(
            [scene.ego_poses[past], scene.ego_velocities[past], scene.ego_accelerations[past]], axis=-1
        ),
        ego_times_us=np.round(past * scene.dt_s * 1e6).astype(np.int64),
        agent_poses=agents.poses[rows], agent_velocities=agents.velocities[rows].astype(np.float64),
        agent_sizes=agents.sizes[rows, :2].astype(np.float64), agent_seen=seen[rows],
        agent_types=tuple(TYPES.get(AgentKind(kind), "VEHICLE") for kind in agents.kinds[rows]),
        red_lane_ids=_red_lanes(scene, future, set(names)),
        references={"v1": driven, "v2": driven} if expert_is_reference else {},
        human=to_frame(scene.ego_poses[future[1 : HUMAN_FRAMES + 1]], scene.ego_poses[step]),
    )  # fmt: skip


def _map_polygons(
    road_map: RoadMap, around: np.ndarray
) -> tuple[tuple[np.ndarray, ...], tuple[str, ...], tuple[str, ...]]:
    """Rings, ids and layers of what lies near."""
    region = shapely.Point(*around).buffer(MAP_RADIUS_M)
    found: list[tuple[np.ndarray, str, str]] = []
    junctions: dict[str, list[np.ndarray]] = defaultdict(list)
    for lane in road_map.lanes:
        if not region.intersects(LineString(lane.centerline)):
            continue
        found += [(ring, lane.id, _lane_layer(lane)) for ring in _lane_rings(lane)]
        if lane.is_junction:
            junctions[lane.id.rsplit("_", 2)[0]] += [np.asarray(ring) for ring in _lane_rings(lane)]
    for name, parts in junctions.items():
        hull = MultiPoint(np.concatenate(parts)).convex_hull
        found.append((np.asarray(hull.exterior.coords)[:-1], f"intersection {name}", "INTERSECTION"))
    for i, ring in enumerate(road_map.drivable):
        if len(ring) >= 3 and region.intersects(shapely.Polygon(ring)):
            found.append((ring, f"road {i}", "DRIVABLE_AREA"))
    rings, names, layers = zip(*found)
    return rings, names, layers


def _lane_layer(lane: Lane) -> str:
    return "LANE_CONNECTOR" if lane.is_junction else "LANE"


def _lane_rings(lane: Lane) -> list[np.ndarray]:
    area = LineString(lane.centerline).buffer(lane.width_m / 2, cap_style="flat", join_style="mitre")
    parts = area.geoms if area.geom_type == "MultiPolygon" else [area]
    big = [part for part in parts if part.area > MIN_RING_M2]
    return [np.asarray(part.exterior.coords)[:-1] for part in sorted(big, key=lambda part: -part.area)[:1]]


def _route_ahead(route: np.ndarray, ego: np.ndarray) -> Float[np.ndarray, "C 2"]:
    """The route from a little behind the ego on."""
    nearest = int(np.hypot(*(route - ego).T).argmin())
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(route, axis=0).T))])
    first = int(np.searchsorted(along, along[nearest] - ROUTE_BEHIND_M))
    return route[max(min(first, len(route) - 2), 0) :]


def _route_lanes(scene: Scene) -> frozenset[str]:
    """The route's lanes and their neighbours of the same direction: nuPlan's route is one of whole roads."""
    known = {lane.id: lane for lane in scene.road_map.lanes}
    lanes = set(scene.route_lane_ids) & set(known)
    todo = list(lanes)
    while todo:
        lane = known[todo.pop()]
        beside = {name for name in (lane.left, lane.right) if name in known} - lanes
        lanes |= beside
        todo += sorted(beside)
    return frozenset(lanes)


def _red_lanes(scene: Scene, steps: np.ndarray, drawn: set[str]) -> tuple[tuple[str, ...], ...]:
    """By frame, the junction lanes behind a red light: nuPlan's lights belong to the connectors."""
    known = {lane.id: lane for lane in scene.road_map.lanes}
    behind = [
        tuple(sorted({after for lane in lanes if lane in known for after in known[lane].successors if after in drawn}))
        for lanes in scene.signals.stop_lane_ids
    ]
    red = scene.signals.states[:, steps] == SignalState.RED
    return tuple(
        tuple(sorted({lane for row in np.flatnonzero(red[:, frame]) for lane in behind[row]}))
        for frame in range(len(steps))
    )
