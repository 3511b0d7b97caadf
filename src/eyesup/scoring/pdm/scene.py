"""What a scene brings to the scorer, and its preparation: everything that does not depend on the plan, done once.

Inputs live in one world frame (metres, any origin; national grids with coordinates in the millions are fine). The
prepared scene lives in the ego's frame at t = 0, in which plans are given too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from eyesup.geometry.se2 import points_to_frame, to_frame, wrap_angle
from eyesup.scoring.pdm.areas import AXLE_TO_CENTER, BOX_COS, BOX_SIN, BOX_X, BOX_Y, HALF_LENGTH, HALF_WIDTH
from eyesup.scoring.pdm.contacts import IS_MOVING, IS_ROAD_USER, SAMPLES_PER_FRAME, STOPPED_EGO_MPS, AgentTracks
from eyesup.scoring.pdm.grid import DRIVABLE, INTERSECTION, LANE, ROUTE, Grid, build_grid
from eyesup.scoring.pdm.progress import Centerline, build_centerline
from eyesup.scoring.pdm.version import DT_S, SAMPLES, Version
from eyesup.types import DataError

# nuPlan's map layers, as far as the score knows them.
LAYERS = {
    "ROADBLOCK": DRIVABLE,
    "INTERSECTION": DRIVABLE | INTERSECTION,
    "DRIVABLE_AREA": DRIVABLE,
    "CARPARK_AREA": DRIVABLE,
    "LANE": LANE,
    "LANE_CONNECTOR": LANE,
}
ROAD_USERS = frozenset({"VEHICLE", "PEDESTRIAN", "BICYCLE"})
STATIC_OBJECTS = frozenset({"TRAFFIC_CONE", "BARRIER", "CZONE_SIGN", "GENERIC_OBJECT"})
FRAME_S = SAMPLES_PER_FRAME * DT_S  # annotations come at 2 Hz
MAX_FRAME_GAP_S = 0.55  # frames further apart are not compared


@dataclass(frozen=True)
class SceneInputs:
    """One scene as NAVSIM gives it.

    Attributes:
        name: For messages and results.
        polygons: Map polygons around the ego, each (P, 2); closed or not.
        polygon_ids: One per polygon.
        polygon_layers: One per polygon, of `LAYERS`.
        centerline: (C, 2) or (C, 3), the route's centreline.
        route_lane_ids: Lanes and connectors on the route.
        ego_history: (H, 7) rear axle x, y, heading, then vx, vy [m/s], ax, ay [m/s^2] in the body frame; oldest first, the
            last row is t = 0.
        ego_times_us: (H,) their times [microseconds].
        agent_poses: (A, F, 3) box centres at 2 Hz from t = 0 on.
        agent_velocities: (A, F, 2) m/s.
        agent_sizes: (A, 2) length and width [m].
        agent_seen: (A, F) where the two above are known.
        agent_types: (A,) names of `ROAD_USERS` or `STATIC_OBJECTS`.
        red_lane_ids: By 2 Hz frame, lanes whose light is red.
        human: (8, 3) driven waypoints at 0.5 s in the ego frame, where known: for the human filter.
        speed_limit_mps: Of the lane the ego is in, where known: for PDM-Closed.
        references: By family (``v1``, ``v2``), (41, 3) poses at 0.1 s in the world frame of a plan that ego progress is
            measured against, instead of PDM-Closed's.
    """

    name: str
    polygons: tuple[np.ndarray, ...]
    polygon_ids: tuple[str, ...]
    polygon_layers: tuple[str, ...]
    centerline: Float[np.ndarray, "C d"]
    route_lane_ids: frozenset[str]
    ego_history: Float[np.ndarray, "H 7"]
    ego_times_us: np.ndarray
    agent_poses: Float[np.ndarray, "A F 3"]
    agent_velocities: Float[np.ndarray, "A F 2"]
    agent_sizes: Float[np.ndarray, "A 2"]
    agent_seen: Bool[np.ndarray, "A F"]
    agent_types: tuple[str, ...]
    red_lane_ids: tuple[tuple[str, ...], ...]
    human: Float[np.ndarray, "T 3"] | None = None
    speed_limit_mps: float | None = None
    references: Mapping[str, Float[np.ndarray, "P 3"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.polygons:
            raise DataError(f"scene {self.name}: 0 map polygons; without a map no plan can be scored")
        counts = {"polygon_ids": len(self.polygon_ids), "polygon_layers": len(self.polygon_layers)}
        for part, count in counts.items():
            if count != len(self.polygons):
                raise DataError(f"scene {self.name}: {count} {part} for {len(self.polygons)} polygons")
        unknown = sorted(set(self.polygon_layers) - set(LAYERS))
        if unknown:
            raise DataError(f"scene {self.name}: unknown map layer {unknown[0]!r}; known: {', '.join(LAYERS)}")
        if len(self.centerline) < 2 or np.ptp(self.centerline[:, :2], axis=0).max() == 0:
            raise DataError(
                f"scene {self.name}: centreline of {len(self.centerline)} point(s); needs two distinct points"
            )
        if len(self.ego_history) == 0 or len(self.ego_history) != len(self.ego_times_us):
            raise DataError(
                f"scene {self.name}: {len(self.ego_history)} ego states with {len(self.ego_times_us)} times; the last is t = 0"
            )
        if np.any(np.diff(self.ego_times_us) <= 0):
            raise DataError(f"scene {self.name}: ego times {list(self.ego_times_us)} us do not increase")
        self._check_agents()
        for part in ("centerline", "ego_history"):
            _check_finite(self.name, part, getattr(self, part))
        for token, ring in zip(self.polygon_ids, self.polygons):
            _check_finite(self.name, f"polygon {token}", ring)
        for family, poses in self.references.items():
            _check_finite(self.name, f"reference plan ({family})", poses)
            if poses.shape != (SAMPLES, 3):
                raise DataError(
                    f"scene {self.name}: reference plan ({family}) of shape {poses.shape}, expected (41, 3)"
                )
        if self.human is not None:
            _check_finite(self.name, "human waypoints", self.human)

    def _check_agents(self) -> None:
        count, frames = self.agent_seen.shape
        shapes = (self.agent_poses.shape[:2], self.agent_velocities.shape[:2], (len(self.agent_sizes), frames))
        if any(shape != (count, frames) for shape in shapes) or len(self.agent_types) != count:
            raise DataError(f"scene {self.name}: poses, velocities, sizes, types of agents differ in number: {shapes}")
        for kind in self.agent_types:
            if kind not in ROAD_USERS | STATIC_OBJECTS:
                known = ", ".join(sorted(ROAD_USERS | STATIC_OBJECTS))
                raise DataError(f"scene {self.name}: unknown agent type {kind!r}; known: {known}")
        _check_finite(self.name, "agent poses", self.agent_poses[self.agent_seen])
        _check_finite(self.name, "agent velocities", self.agent_velocities[self.agent_seen])
        _check_finite(self.name, "agent sizes", self.agent_sizes)


def _check_finite(scene: str, part: str, values: np.ndarray) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(f"scene {scene}: {part} holds {values[where]} at {where}; every coordinate must be finite")


@dataclass(frozen=True)
class EgoPast:
    """The ego before and at t = 0.

    Attributes:
        initial: (4,) vx, vy, ax, ay at t = 0.
        previous: (4,) the same in the frame before.
        frame_gap: Samples between the two frames; 0 when they cannot be compared.
        driven: (D, 5) states at 0.1 s before t = 0: longitudinal and lateral acceleration, absolute acceleration, heading
            relative to t = 0; empty when no past is known.
    """

    initial: Float[np.ndarray, "4"]
    previous: Float[np.ndarray, "4"]
    frame_gap: int
    driven: Float[np.ndarray, "D 4"]


@dataclass(frozen=True)
class PreparedScene:
    """A scene ready for any number of plans; arrays in the ego's frame at t = 0.

    Attributes:
        inputs: What it was made of.
        grid: Map polygons, indexed.
        centerline: The route's centreline.
        ego: The ego before and at t = 0.
        red_polygons: (R,) polygons whose light is red at some time.
        red_frames: (R, F) at which 2 Hz frames.
        derived: By version, what `eyesup.scoring.pdm.score` works out once.
    """

    inputs: SceneInputs
    grid: Grid
    centerline: Centerline
    ego: EgoPast
    red_polygons: np.ndarray
    red_frames: Bool[np.ndarray, "R F"]
    derived: dict[Version, object] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.inputs.name

    @property
    def origin(self) -> Float[np.ndarray, "3"]:
        """Pose of the ego at t = 0 in the world frame."""
        return np.asarray(self.inputs.ego_history[-1, :3])


def prepare_map(inputs: SceneInputs) -> PreparedScene:
    """Index the map, the route and the past of a scene; agents depend on the version and follow in `sample_agents`."""
    origin = inputs.ego_history[-1, :3]
    rings, layers = [], np.zeros(len(inputs.polygons), np.uint8)
    for i, (token, layer, polygon) in enumerate(zip(inputs.polygon_ids, inputs.polygon_layers, inputs.polygons)):
        rings.append(_ring(inputs.name, token, points_to_frame(polygon, origin)))
        on_route = LAYERS[layer] & LANE and token in inputs.route_lane_ids
        layers[i] = LAYERS[layer] | (ROUTE if on_route else 0)
    red_polygons, red_frames = _red_lights(inputs)
    centerline = build_centerline(points_to_frame(inputs.centerline[:, :2], origin))
    return PreparedScene(inputs, build_grid(rings, layers), centerline, _ego_past(inputs), red_polygons, red_frames)


def _ring(scene: str, token: str, points: np.ndarray) -> np.ndarray:
    """The ring without a repeated last point; DataError when it bounds no area."""
    if len(points) > 1 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    if len(np.unique(points, axis=0)) < 3:
        raise DataError(
            f"scene {scene}: polygon {token} has {len(points)} vertices and is not closed; needs at least 3"
        )
    return points


def _red_lights(inputs: SceneInputs) -> tuple[np.ndarray, np.ndarray]:
    """Polygons of route lanes that are red at some time, and when."""
    place = {token: i for i, token in enumerate(inputs.polygon_ids)}
    tokens = sorted({t for frame in inputs.red_lane_ids for t in frame if t in inputs.route_lane_ids})
    for token in tokens:
        if token not in place:
            raise DataError(f"scene {inputs.name}: the light of lane {token} is red, but the map has no such polygon")
    frames = np.array([[token in frame for frame in inputs.red_lane_ids] for token in tokens], dtype=bool)
    return np.array([place[t] for t in tokens], np.int64), frames.reshape(len(tokens), len(inputs.red_lane_ids))


def _ego_past(inputs: SceneInputs) -> EgoPast:
    history, times = inputs.ego_history, inputs.ego_times_us
    initial = np.ascontiguousarray(history[-1, 3:])
    if len(history) < 2:
        return EgoPast(initial, initial, 0, np.zeros((0, 4)))
    gap_s = float(times[-1] - times[-2]) * 1e-6
    frame_gap = round(gap_s / DT_S) if gap_s < MAX_FRAME_GAP_S else 0
    return EgoPast(initial, np.ascontiguousarray(history[-2, 3:]), frame_gap, _driven(history, times))


def _driven(history: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The logged past at 0.1 s as comfort signals.

    Stamps run from the first state on in steps of 0.1 s and stop before t = 0; the last one is dropped, as in the
    original, which leaves a hole of 0.2 s before the plan when the past spans a multiple of 0.1 s.
    """
    step_us = round(DT_S * 1e6)
    stamps = np.arange(times[0], times[-1], step_us)[:-1]
    heading = history[-1, 2] + np.unwrap(np.asarray(wrap_angle(history[:, 2] - history[-1, 2])))
    columns = [np.interp(stamps, times, column) for column in (history[:, 5], history[:, 6], heading)]
    along, across, heading = columns
    return np.column_stack([along, across, np.hypot(along, across), heading - history[-1, 2]])


def sample_agents(inputs: SceneInputs, version: Version) -> AgentTracks:
    """Agents at 10 Hz, between their first and last sighting within the version's horizon.

    An agent seen once stands there all the time; speed and type are those of the first sighting, for good.
    """
    frames = min(round(version.agent_seconds / FRAME_S) + 1, inputs.agent_seen.shape[1])
    seen = inputs.agent_seen[:, :frames]
    rows = np.flatnonzero(seen.any(axis=1))
    seen = seen[rows]
    poses = to_frame(inputs.agent_poses[rows, :frames], inputs.ego_history[-1, :3])
    first, last = seen.argmax(axis=1), frames - 1 - seen[:, ::-1].argmax(axis=1)
    filled = np.stack([_bridge(poses[i], seen[i]) for i in range(len(rows))]) if len(rows) else poses
    once = first == last
    present = np.stack([
        np.where(once, 0, first * SAMPLES_PER_FRAME), np.where(once, version.agent_samples - 1, last * SAMPLES_PER_FRAME)
    ], axis=1)  # fmt: skip
    speed = np.hypot(*inputs.agent_velocities[rows, first].T) if len(rows) else np.zeros(0)
    users = np.array([inputs.agent_types[i] in ROAD_USERS for i in rows], dtype=bool)
    kind = users * IS_ROAD_USER + (speed > STOPPED_EGO_MPS) * IS_MOVING
    tracks = _tracks(_upsample(filled, version.agent_samples), inputs.agent_sizes[rows, :2], present, kind)
    if version.drop_initial_overlaps:
        keep = ~_overlaps_ego(tracks)
        tracks = AgentTracks(*(np.ascontiguousarray(part[keep]) for part in tracks))
    return tracks


def agent_tracks(
    inputs: SceneInputs,
    poses: Float[np.ndarray, "A T 3"],
    sizes: Float[np.ndarray, "A 2"],
    present: np.ndarray,
    kind: np.ndarray,
) -> AgentTracks:
    """Tracks from poses at 0.1 s in the world frame."""
    return _tracks(_boxes(to_frame(poses, inputs.ego_history[-1, :3])), sizes, present, kind)


def _tracks(boxes: np.ndarray, sizes: np.ndarray, present: np.ndarray, kind: np.ndarray) -> AgentTracks:
    half = 0.5 * sizes
    extent = np.column_stack([half, np.hypot(half[:, 0], half[:, 1])])
    bounds = _bounds(boxes, extent)
    return AgentTracks(boxes, extent, present.astype(np.int64), kind.astype(np.int64), bounds)


def _boxes(poses: np.ndarray) -> np.ndarray:
    """Boxes (..., 4) of poses (..., 3): centre and direction."""
    return np.concatenate([poses[..., :2], np.cos(poses[..., 2:]), np.sin(poses[..., 2:])], axis=-1)


def _bridge(poses: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Poses at every frame: unseen ones interpolated, or held before the first and after the last; headings unwrapped."""
    frames = np.flatnonzero(seen)
    known = poses[frames]
    known[:, 2] = np.unwrap(known[:, 2])
    if len(frames) == len(poses):
        return known
    every = np.arange(len(poses))
    return np.stack([np.interp(every, frames, known[:, axis]) for axis in range(3)], axis=-1)


def _upsample(poses: np.ndarray, samples: int) -> np.ndarray:
    """Boxes (A, samples, 4) from poses (A, F, 3) at 2 Hz."""
    position = np.minimum(np.arange(samples) / SAMPLES_PER_FRAME, poses.shape[1] - 1)
    before = np.minimum(position.astype(int), max(poses.shape[1] - 2, 0))
    after = np.minimum(before + 1, poses.shape[1] - 1)
    share = (position - before)[:, None]
    return _boxes(poses[:, before] + share * (poses[:, after] - poses[:, before]))


def _bounds(boxes: np.ndarray, extent: np.ndarray) -> np.ndarray:
    if not len(boxes):
        return np.zeros((0, 4))
    low, high = boxes[..., :2].min(axis=1) - extent[:, 2:], boxes[..., :2].max(axis=1) + extent[:, 2:]
    return np.column_stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]])


def _overlaps_ego(tracks: AgentTracks) -> np.ndarray:
    """Which agents share a point with the ego's box at t = 0 (separating axes)."""
    x, y = tracks.boxes[:, 0, BOX_X] - AXLE_TO_CENTER, tracks.boxes[:, 0, BOX_Y]
    cos, sin = tracks.boxes[:, 0, BOX_COS], tracks.boxes[:, 0, BOX_SIN]
    length, width = tracks.extent[:, 0], tracks.extent[:, 1]
    turn_cos, turn_sin = np.abs(cos), np.abs(sin)
    apart = np.abs(x) > HALF_LENGTH + length * turn_cos + width * turn_sin
    apart |= np.abs(y) > HALF_WIDTH + length * turn_sin + width * turn_cos
    apart |= np.abs(x * cos + y * sin) > length + HALF_LENGTH * turn_cos + HALF_WIDTH * turn_sin
    apart |= np.abs(y * cos - x * sin) > width + HALF_LENGTH * turn_sin + HALF_WIDTH * turn_cos
    return ~apart & (tracks.present[:, 0] == 0)
