"""Routes: a chain of lanes, the smooth path that a car drives along it, and the speeds and turns that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import gaussian_filter1d

from eyesup.geometry.polyline import Polyline, resample
from eyesup.geometry.se2 import wrap_angle
from eyesup.types import DataError, Lane, Maneuver, RoadMap

PATH_STEP_M = 0.5
SMOOTHING_M = 1.5  # standard deviation of the filter that rounds the kinks where lanes meet
MAX_LATERAL_MPS2 = 2.0
ANTICIPATION_MPS2 = 1.5  # comfortable braking towards a curve
MIN_CURVE_MPS = 2.5
TURN_ANGLE_RAD = np.deg2rad(30.0)  # a connection that bends more than this is a turn
COMMAND_AHEAD_M = 35.0  # how long before a turn the navigation speaks


@dataclass(frozen=True)
class Turn:
    """A passage through a junction, in metres along the path; `maneuver` tells whether it turns."""

    start_s: float
    end_s: float
    maneuver: Maneuver


@dataclass(frozen=True)
class Route:
    """What the ego follows. The path is sampled every `PATH_STEP_M`: row i lies at arc length ``i * PATH_STEP_M``.

    Attributes:
        lane_ids: Lanes in order, those inside junctions included.
        centerline: (P, 2) metres: the lanes' centrelines joined.
        xy: (N, 2) metres: the smoothed path of the rear axle.
        headings: (N,) rad, unwrapped.
        curvatures: (N,) 1/m, left positive.
        speed_limits: (N,) m/s: posted limit and curves, with comfortable braking towards them.
        lane_end_s: Arc length of the end of each lane.
        junctions: Passages through junctions in order.
    """

    lane_ids: tuple[str, ...]
    centerline: Float64[np.ndarray, "P 2"]
    xy: Float64[np.ndarray, "N 2"]
    headings: Float64[np.ndarray, "N"]
    curvatures: Float64[np.ndarray, "N"]
    speed_limits: Float64[np.ndarray, "N"]
    lane_end_s: tuple[float, ...]
    junctions: tuple[Turn, ...]

    @property
    def length_m(self) -> float:
        return (len(self.xy) - 1) * PATH_STEP_M

    def at(self, s: float | np.ndarray) -> Float64[np.ndarray, "... 3"]:
        """x, y [m] and heading [rad, unwrapped] at arc length `s`; straight on beyond the ends."""
        place = np.asarray(s, np.float64) / PATH_STEP_M
        clamped = np.clip(place, 0.0, len(self.xy) - 1)
        row = np.minimum(clamped.astype(int), len(self.xy) - 2)
        share = clamped - row
        beyond = (place - clamped) * PATH_STEP_M
        heading = self.headings[row] + share * (self.headings[row + 1] - self.headings[row])
        x = self.xy[row, 0] + share * (self.xy[row + 1, 0] - self.xy[row, 0]) + beyond * np.cos(heading)
        y = self.xy[row, 1] + share * (self.xy[row + 1, 1] - self.xy[row, 1]) + beyond * np.sin(heading)
        return np.stack([x, y, heading], axis=-1)

    def curvature_at(self, s: float) -> float:
        """Curvature of the nearest row [1/m]."""
        row = int(s / PATH_STEP_M + 0.5)
        return float(self.curvatures[min(max(row, 0), len(self.xy) - 1)])

    def speed_limit_at(self, s: float) -> float:
        """Highest speed here that leaves comfortable braking for what follows [m/s]."""
        place = min(max(s / PATH_STEP_M, 0.0), len(self.xy) - 1.0)
        row = min(int(place), len(self.xy) - 2)
        low, high = self.speed_limits[row], self.speed_limits[row + 1]
        return float(low + (place - row) * (high - low))

    def project(self, x: float, y: float, heading: float) -> float:
        """Arc length of the nearest path point that runs within 60 deg of `heading` (all points, if none does)."""
        dx, dy = x - self.xy[:, 0], y - self.xy[:, 1]
        squared = dx * dx + dy * dy
        aligned = np.cos(self.headings - heading) > 0.5
        row = int(np.where(aligned, squared, np.inf).argmin()) if aligned.any() else int(squared.argmin())
        along = dx[row] * np.cos(self.headings[row]) + dy[row] * np.sin(self.headings[row])
        return float(row * PATH_STEP_M + along)

    def maneuver_at(self, s: float) -> Maneuver:
        """What the navigation says at rear-axle arc length `s`: the next turn within `COMMAND_AHEAD_M`, or go on."""
        for turn in self.junctions:
            if turn.maneuver is not Maneuver.KEEP_FORWARD and turn.start_s - COMMAND_AHEAD_M <= s < turn.end_s:
                return turn.maneuver
        return Maneuver.KEEP_FORWARD

    def in_junction(self, s: np.ndarray, margin_m: float = 0.0) -> np.ndarray:
        """Whether arc lengths lie within a junction, or within `margin_m` of one."""
        inside = np.zeros(np.shape(s), bool)
        for turn in self.junctions:
            inside |= (s > turn.start_s - margin_m) & (s < turn.end_s + margin_m)
        return inside

    def lane_at(self, s: float) -> int:
        """Index in `lane_ids` of the lane at arc length `s`."""
        return min(int(np.searchsorted(self.lane_end_s, s, side="right")), len(self.lane_ids) - 1)

    def lane_start_s(self, index: int) -> float:
        return self.lane_end_s[index - 1] if index else 0.0


def make_route(road_map: RoadMap, lane_ids: Sequence[str]) -> Route:
    """The route along a chain of connected lanes, from the start of the first to the end of the last.

    Raises:
        DataError: a lane is missing in the map, or two lanes that follow each other are not connected.
    """
    try:
        lanes = [road_map.lane(lane_id) for lane_id in lane_ids]
    except KeyError as error:
        raise DataError(f"route: lane {error} is not in the map; crop the map with a larger radius") from error
    for before, after in pairwise(lanes):
        if after.id not in before.successors:
            raise DataError(
                f"route: lane {after.id} does not follow {before.id}; its successors are {before.successors}"
            )
    return _route_along(lanes)


def straightened(route: Route, s: float, length_m: float = 120.0) -> Route:
    """The last 30 m up to arc length `s`, then straight on along its tangent: the road without what bends ahead."""
    x, y, heading = (float(value) for value in route.at(s))
    here = int(s / PATH_STEP_M)
    before = route.xy[max(here - 60, 0) : here + 1]
    ahead = np.arange(PATH_STEP_M, length_m, PATH_STEP_M)[:, None] * [np.cos(heading), np.sin(heading)] + [x, y]
    line = np.concatenate([before, ahead])
    limit = float(route.speed_limits.max())
    lane = Lane("straightened", line, 3.5, limit)
    return _route_along([lane], smoothing_m=0.5)


def _route_along(lanes: list[Lane], smoothing_m: float = SMOOTHING_M) -> Route:
    centerline = np.concatenate([lane.centerline for lane in lanes])
    centerline = centerline[np.append(True, np.linalg.norm(np.diff(centerline, axis=0), axis=1) > 1e-3)]
    raw = resample(centerline, PATH_STEP_M)
    smooth = _smoothed(raw, smoothing_m)
    smooth_s = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(smooth, axis=0), axis=1)))
    raw_s = np.linspace(0.0, Polyline(centerline).length, len(raw))
    raw_ends = np.cumsum([np.linalg.norm(np.diff(lane.centerline, axis=0), axis=1).sum() for lane in lanes])
    ends = np.interp(raw_ends, raw_s, smooth_s)

    s = np.arange(int(smooth_s[-1] / PATH_STEP_M) + 1) * PATH_STEP_M
    xy = np.stack([np.interp(s, smooth_s, smooth[:, 0]), np.interp(s, smooth_s, smooth[:, 1])], axis=-1)
    tangents = np.gradient(xy, axis=0)
    headings = np.unwrap(np.arctan2(tangents[:, 1], tangents[:, 0]))
    curvatures = gaussian_filter1d(np.gradient(headings, PATH_STEP_M), 2.0, mode="nearest")
    return Route(
        lane_ids=tuple(lane.id for lane in lanes),
        centerline=centerline,
        xy=xy,
        headings=headings,
        curvatures=curvatures,
        speed_limits=_speed_limits(lanes, ends, s, curvatures),
        lane_end_s=tuple(float(end) for end in ends),
        junctions=_junctions(lanes, ends),
    )


def _smoothed(points: np.ndarray, deviation_m: float) -> np.ndarray:
    """Gaussian filter along the path, ends continued straight."""
    pad = 20
    steps = np.arange(pad, 0, -1)[:, None]
    head = points[0] - steps * (points[1] - points[0])
    tail = points[-1] + steps[::-1] * (points[-1] - points[-2])
    padded = np.concatenate([head, points, tail])
    return gaussian_filter1d(padded, deviation_m / PATH_STEP_M, axis=0)[pad:-pad]


def _speed_limits(lanes: list[Lane], ends: np.ndarray, s: np.ndarray, curvatures: np.ndarray) -> np.ndarray:
    """Posted limits (of roads: SUMO derives those inside junctions from turning radii) and curves, anticipated."""
    lane_of = np.minimum(np.searchsorted(ends, s, side="right"), len(lanes) - 1)
    posted = np.array([lane.speed_limit_mps for lane in lanes])
    roads = np.array([not lane.is_junction for lane in lanes])
    posted[~roads] = posted[roads].max() if roads.any() else posted.max()
    curve = np.sqrt(MAX_LATERAL_MPS2 / np.maximum(np.abs(curvatures), 1e-4))
    squared = np.minimum(posted[lane_of], np.maximum(curve, MIN_CURVE_MPS)) ** 2
    # v(s)^2 <= v(s')^2 + 2 b (s' - s) for every s' ahead: a running minimum from the end.
    rise = 2 * ANTICIPATION_MPS2 * s
    return np.sqrt(np.minimum.accumulate((squared + rise)[::-1])[::-1] - rise)


def _junctions(lanes: list[Lane], ends: np.ndarray) -> tuple[Turn, ...]:
    starts = np.append(0.0, ends[:-1])
    passages: list[Turn] = []
    i = 0
    while i < len(lanes):
        last = i
        while lanes[i].is_junction and last + 1 < len(lanes) and lanes[last + 1].is_junction:
            last += 1
        if lanes[i].is_junction:
            passages.append(Turn(float(starts[i]), float(ends[last]), _maneuver(lanes[i : last + 1])))
        i = last + 1
    return tuple(passages)


def _maneuver(lanes: list[Lane]) -> Maneuver:
    line = np.concatenate([lane.centerline for lane in lanes])
    first, last = line[1] - line[0], line[-1] - line[-2]
    angle = float(wrap_angle(np.arctan2(last[1], last[0]) - np.arctan2(first[1], first[0])))
    if abs(angle) < TURN_ANGLE_RAD:
        return Maneuver.KEEP_FORWARD
    return Maneuver.TURN_LEFT if angle > 0 else Maneuver.TURN_RIGHT


def draw_lane_chain(road_map: RoadMap, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
    """A random chain of lanes at least `length_m` long that visits no road twice and makes no U-turn; None if it got stuck."""
    starts = [lane for lane in road_map.lanes if not lane.is_junction and lane.successors]
    chain = [starts[int(rng.integers(len(starts)))]]
    total, seen = _lane_length(chain[0]), {_edge(chain[0].id)}
    while total < length_m:
        onward = []
        for first in chain[-1].successors:
            passage = _through_junction(road_map, first)
            if passage and _edge(passage[-1].id) not in seen and not _is_u_turn(passage[:-1]):
                onward.append(passage)
        if not onward:
            return None
        passage = onward[int(rng.integers(len(onward)))]
        chain += passage
        total += sum(_lane_length(lane) for lane in passage)
        seen.add(_edge(passage[-1].id))
    return tuple(lane.id for lane in chain)


def _through_junction(road_map: RoadMap, lane_id: str) -> list[Lane]:
    """The lanes inside a junction from `lane_id` on, and the road lane that they end in; empty at a dead end."""
    lanes = [road_map.lane(lane_id)]
    while lanes[-1].is_junction:
        if not lanes[-1].successors:
            return []
        lanes.append(road_map.lane(lanes[-1].successors[0]))
    return lanes


def _is_u_turn(lanes: list[Lane]) -> bool:
    if not lanes:
        return False
    line = np.concatenate([lane.centerline for lane in lanes])
    headings = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
    return bool(abs(headings[-1] - headings[0]) > np.deg2rad(140))


def _edge(lane_id: str) -> str:
    """The road of a lane, the same for both directions of a SUMO edge pair written `name` and `-name`."""
    return lane_id.rsplit("_", 1)[0].lstrip("-")


def road_edges(lane_ids: Sequence[str]) -> list[str]:
    """SUMO edges of the lanes that are not inside junctions."""
    return [lane_id.rsplit("_", 1)[0] for lane_id in lane_ids if not lane_id.startswith(":")]


def _lane_length(lane: Lane) -> float:
    return float(np.linalg.norm(np.diff(lane.centerline, axis=0), axis=1).sum())
