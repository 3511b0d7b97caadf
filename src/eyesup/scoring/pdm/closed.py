"""PDM-Closed: the rule-based planner that ego progress is measured against (Dauner et al. 2023, CoRL).

Fifteen proposals, five speeds on each of three paths beside the centreline, follow the nearest object ahead by the
intelligent driver model while everybody else keeps velocity; the best one by the score itself is the plan. Works in the
world frame of the inputs, and copies the original where that matters for the result:

* the leader is looked up every second step, and the first step runs before the first look-up, with a leader of zeros: every
  proposal begins with (usually) the hardest braking;
* one record of the leader (progress, speed, rear length) serves the five proposals of a path in turn and keeps what it is
  not given: a red light keeps the last speed, an object the last rear length;
* of objects at equal distance the first in the order of shapely's search tree leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float
from shapely.ops import substring

from eyesup.geometry.boxes import box_corners
from eyesup.geometry.se2 import wrap_angle
from eyesup.scoring.pdm.areas import AXLE_TO_CENTER
from eyesup.scoring.pdm.contacts import IS_MOVING, IS_ROAD_USER, STOPPED_EGO_MPS, AgentTracks
from eyesup.scoring.pdm.scene import ROAD_USERS, STATIC_OBJECTS, SceneInputs, agent_tracks
from eyesup.scoring.pdm.version import DT_S, SAMPLES
from eyesup.types import PACIFICA

LATERAL_OFFSETS_M = (0.0, -1.0, 1.0)
SPEED_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
DEFAULT_SPEED_LIMIT_MPS = 15.0
MIN_GAP_M, HEADWAY_S, MAX_ACCEL_MPS2, MAX_DECEL_MPS2, EXPONENT = 1.0, 1.5, 1.5, 3.0, 10
LEADER_EVERY = 2  # steps between look-ups, and samples between forecasts
HORIZON_S = 5.0
FORECASTS = round(HORIZON_S / (LEADER_EVERY * DT_S)) + 1
RADIUS_M = 100.0
MOST = {"VEHICLE": 50, "PEDESTRIAN": 25, "BICYCLE": 10}  # nearest ones considered
MOST_STATIC = 50
_MIN_ARC_M = 1e-5


@dataclass(frozen=True)
class Forecast:
    """Everybody at t = 0, going on with constant velocity.

    Attributes:
        poses: (N, 3) box centres, world frame; static objects first, then vehicles, pedestrians, bicycles.
        velocities: (N, 2) along the box, world frame [m/s].
        measured: (N, 2) velocities as measured, across the box too; zeros for static objects.
        sizes: (N, 2) length and width [m].
        road_user: (N,) whether it is one.
        lights: Polygons of route lanes whose light is red now.
        ignored: (N + lights,) objects that overlap the ego now, lights that it stands wholly inside of.
    """

    poses: Float[np.ndarray, "N 3"]
    velocities: Float[np.ndarray, "N 2"]
    measured: Float[np.ndarray, "N 2"]
    sizes: Float[np.ndarray, "N 2"]
    road_user: Bool[np.ndarray, "N"]
    lights: list[shapely.Polygon]
    ignored: Bool[np.ndarray, "M"]

    def shapes(self, sample: int) -> np.ndarray:
        """Polygons of objects and lights at a forecast (every 0.2 s)."""
        poses = self.poses.copy()
        poses[:, :2] += LEADER_EVERY * DT_S * sample * self.velocities
        boxes = shapely.polygons(box_corners(poses, self.sizes[:, 0], self.sizes[:, 1]))
        return np.concatenate([np.atleast_1d(boxes), np.array(self.lights, dtype=object)])


def forecast(inputs: SceneInputs) -> Forecast:
    """Objects within 100 m, the nearest of each kind, in the order in which the original lists them."""
    ego = ego_box(inputs.ego_history[-1, :3])
    center = np.array(ego.centroid.coords[0])
    distance = np.linalg.norm(inputs.agent_poses[:, 0, :2] - center, axis=1)
    near = inputs.agent_seen[:, 0] & (distance <= RADIUS_M)
    groups = [(STATIC_OBJECTS, MOST_STATIC), *((frozenset({kind}), most) for kind, most in MOST.items())]
    rows: list[int] = []
    for kinds, most in groups:
        members = [int(i) for i in np.flatnonzero(near) if inputs.agent_types[i] in kinds]
        rows += sorted(members, key=lambda i: distance[i])[:most]
    poses, velocities = inputs.agent_poses[rows, 0].astype(np.float64), inputs.agent_velocities[rows, 0]
    road_user = np.array([inputs.agent_types[i] in ROAD_USERS for i in rows], dtype=bool)
    heading, speed = poses[:, 2], np.hypot(velocities[:, 0], velocities[:, 1]) * road_user
    course = np.arctan2(velocities[:, 1], velocities[:, 0])
    heading = np.where(np.abs(wrap_angle(heading - course)) < np.pi / 2, heading, heading + np.pi)
    along = speed[:, None] * np.column_stack([np.cos(heading), np.sin(heading)])
    place = {token: i for i, token in enumerate(inputs.polygon_ids)}
    red = inputs.red_lane_ids[0] if inputs.red_lane_ids else ()
    lights = [shapely.Polygon(inputs.polygons[place[token]]) for token in red if token in inputs.route_lane_ids]
    sizes = inputs.agent_sizes[rows, :2]
    boxes = np.atleast_1d(shapely.polygons(box_corners(poses, sizes[:, 0], sizes[:, 1])))
    ignored = [bool(box.intersects(ego)) for box in boxes] + [bool(ego.within(light)) for light in lights]
    return Forecast(
        poses, along, velocities * road_user[:, None], sizes, road_user, lights, np.array(ignored, dtype=bool)
    )


def ego_box(axle: Float[np.ndarray, "3"]) -> shapely.Polygon:
    """The ego's box from its rear-axle pose."""
    x, y, heading = axle
    center = np.array([x + AXLE_TO_CENTER * np.cos(heading), y + AXLE_TO_CENTER * np.sin(heading), heading])
    return shapely.Polygon(box_corners(center, PACIFICA.length_m, PACIFICA.width_m))


class Path:
    """A path beside the centreline, looked up by arc length: linear in x, y and unwrapped heading."""

    def __init__(self, centerline: Float[np.ndarray, "C 3"], offset_m: float) -> None:
        side = centerline[:, 2] + np.pi / 2
        self.xy = centerline[:, :2] + offset_m * np.column_stack([np.cos(side), np.sin(side)])
        self._headings = np.unwrap(centerline[:, 2])
        self._arc = np.append(0.0, np.cumsum(np.hypot(*np.diff(self.xy, axis=0).T)))
        self.line = shapely.LineString(self.xy)
        self.length = float(self._arc[-1])

    def at(self, arc: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch 3"]:
        arc = np.clip(arc, _MIN_ARC_M, self.length)
        x, y, heading = (np.interp(arc, self._arc, part) for part in (*self.xy.T, self._headings))
        return np.stack([x, y, np.asarray(wrap_angle(heading))], axis=-1)

    def piece(self, start: float, end: float) -> shapely.LineString:
        """The points between two arc lengths, without the cut ends, as in the original; the exact piece when they are too few."""
        between = (self._arc >= start) & (self._arc <= end)
        if between.sum() > 1:
            return shapely.LineString(self.xy[between])
        return substring(self.line, start, end)


def proposals(inputs: SceneInputs, seen: Forecast) -> Float[np.ndarray, "15 41 3"]:
    """Rear-axle poses at 0.1 s in the world frame: path by path, slow to fast."""
    limit = inputs.speed_limit_mps or DEFAULT_SPEED_LIMIT_MPS
    centerline = _with_headings(np.asarray(inputs.centerline, dtype=np.float64))
    shapes = [seen.shapes(sample) for sample in range(SAMPLES // LEADER_EVERY + 1)]
    trees = [shapely.STRtree(part, node_capacity=10) for part in shapes]
    found = []
    for offset in LATERAL_OFFSETS_M:
        path = Path(centerline, offset)
        found.append(_unroll(inputs, seen, path, shapes, trees, limit))
    return np.concatenate(found)


def _with_headings(line: np.ndarray) -> np.ndarray:
    """(C, 3); where headings are not given, those of the segments that follow."""
    if line.shape[1] > 2:
        return line
    steps = np.diff(line, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    return np.column_stack([line, np.append(heading, heading[-1])])


def _unroll(
    inputs: SceneInputs,
    seen: Forecast,
    path: Path,
    shapes: list[np.ndarray],
    trees: list[shapely.STRtree],
    limit: float,
) -> Float[np.ndarray, "5 41 3"]:
    """The five speeds of one path."""
    start = path.line.project(shapely.Point(inputs.ego_history[-1, :2]))
    corridor = path.piece(start, start + HORIZON_S * limit).buffer(PACIFICA.width_m / 2, cap_style="square")
    wanted = limit * np.array(SPEED_SHARES)
    progress = np.zeros((len(wanted), SAMPLES))
    progress[:, 0] = start
    speed = np.full(len(wanted), inputs.ego_history[-1, 3])
    leader = np.zeros((len(wanted), 3))  # progress, speed, rear length
    for step in range(1, SAMPLES):
        if step % LEADER_EVERY == 0:
            sample = step // LEADER_EVERY
            leader = _leaders(seen, path, shapes[sample], trees[sample], corridor, progress[:, step - 1])
        gap = np.maximum(leader[:, 0] - progress[:, step - 1] - leader[:, 2], MIN_GAP_M)
        approach = speed * (speed - leader[:, 1]) / (2 * np.sqrt(MAX_ACCEL_MPS2 * MAX_DECEL_MPS2))
        wanted_gap = MIN_GAP_M + speed * HEADWAY_S + approach
        accel = MAX_ACCEL_MPS2 * (1 - (speed / wanted) ** EXPONENT - (wanted_gap / gap) ** 2)
        progress[:, step] = progress[:, step - 1] + DT_S * speed
        speed = speed + DT_S * np.clip(accel, -MAX_DECEL_MPS2, MAX_ACCEL_MPS2)
    return path.at(progress)


def _leaders(
    seen: Forecast,
    path: Path,
    shapes: np.ndarray,
    tree: shapely.STRtree,
    corridor: shapely.Polygon,
    progress: Float[np.ndarray, "5"],
) -> Float[np.ndarray, "5 3"]:
    """Progress, speed and rear length of each proposal's leader."""
    inside = [i for i in tree.query(corridor, predicate="intersects") if not seen.ignored[i]]
    arcs = np.array([path.line.project(shapes[i].centroid) for i in inside])
    record, leaders = np.zeros(3), np.zeros((len(progress), 3))
    poses = path.at(progress)
    for p, own in enumerate(progress):
        ahead = [i for i, arc in zip(inside, arcs) if arc > own]
        if ahead:
            distances = shapely.distance(ego_box(poses[p]), shapes[ahead])
            nearest = ahead[int(np.argmin(distances))]
            record[0] = own + distances.min()
            if nearest < len(seen.poses):
                heading = poses[p, 2]
                record[1] = seen.measured[nearest] @ np.array([np.cos(heading), np.sin(heading)])
        else:
            record[0], record[2] = path.length, PACIFICA.length_m / 2
        leaders[p] = record
    return leaders


def forecast_tracks(inputs: SceneInputs, seen: Forecast, samples: int) -> AgentTracks:
    """The forecast as the scorer sees it, without what is ignored; every forecast holds for two samples."""
    keep = np.flatnonzero(~seen.ignored[: len(seen.poses)])
    late = LEADER_EVERY * DT_S * (np.arange(samples) // LEADER_EVERY)
    poses = np.repeat(seen.poses[keep, None], samples, axis=1)
    poses[..., :2] += late[:, None] * seen.velocities[keep, None]
    moving = np.hypot(*seen.velocities[keep].T) > STOPPED_EGO_MPS
    kind = seen.road_user[keep] * IS_ROAD_USER + moving * IS_MOVING
    present = np.tile([0, samples - 1], (len(keep), 1))
    return agent_tracks(inputs, poses, seen.sizes[keep], present, kind)
