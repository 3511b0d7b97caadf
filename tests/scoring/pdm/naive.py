"""The PDM score written down as plainly as possible: one plan at a time, shapely for geometry, loops over samples and agents.

The readable twin of `eyesup.scoring.pdm`: slow, in the world frame, sharing no code with it but the tracker and bicycle of
`eyesup.dynamics` (themselves tested against official states) and the version's data.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.signal import savgol_filter
from shapely.geometry import LineString, Point, Polygon

from eyesup.dynamics.bicycle import BicycleState
from eyesup.dynamics.lqr import simulate
from eyesup.geometry.boxes import box_corners
from eyesup.geometry.se2 import from_frame, wrap_angle
from eyesup.scoring.pdm.scene import SceneInputs
from eyesup.scoring.pdm.version import DAC, DDC, EC, EP, LK, NC, TLC, TTC, Version

LENGTH, WIDTH, AXLE_TO_CENTER = 5.176, 2.297, 1.461
ROAD_USERS = ("VEHICLE", "PEDESTRIAN", "BICYCLE")


def unwrap(angles: np.ndarray) -> np.ndarray:
    return angles - 2 * np.pi * np.append(0.0, np.cumsum(np.round(np.diff(angles) / (2 * np.pi))))


def smooth(signal: np.ndarray, window: int, order: int = 2, derivative: int = 0) -> np.ndarray:
    return np.round(savgol_filter(signal, window, order, deriv=derivative, delta=0.1), 8)


def reference_poses(waypoints: np.ndarray, dt_s: float, ego: np.ndarray) -> np.ndarray:
    """41 poses at 0.1 s in the world frame."""
    poses = np.concatenate([ego[None, :3], from_frame(waypoints, ego[None, :3])])
    poses[:, 2] = np.unwrap(poses[:, 2])
    times = dt_s * np.arange(len(poses))
    dense = np.column_stack([np.interp(0.1 * np.arange(41), times, poses[:, axis]) for axis in range(3)])
    dense[:, 2] = wrap_angle(dense[:, 2])
    return dense


def drive(poses: np.ndarray, ego: np.ndarray) -> np.ndarray:
    x, y, heading, vx, vy, ax, ay = (float(value) for value in ego)
    return simulate(poses, BicycleState(x, y, heading, vx, vy, ax, ay))


def box(x: float, y: float, heading: float, length: float, width: float) -> Polygon:
    return Polygon(box_corners(np.array([x, y, heading]), length, width))


def agents_at(inputs: SceneInputs, version: Version) -> list[list[tuple[Polygon, str, float] | None]]:
    """By agent and 0.1 s sample: box, type and first-seen speed, None where absent."""
    frames = min(int(version.agent_seconds * 2) + 1, inputs.agent_seen.shape[1])
    tracks = []
    for a, kind in enumerate(inputs.agent_types):
        seen = np.flatnonzero(inputs.agent_seen[a, :frames])
        if not len(seen):
            continue
        poses = inputs.agent_poses[a, seen].copy()
        poses[:, 2] = np.unwrap(poses[:, 2])
        speed = float(np.hypot(*inputs.agent_velocities[a, seen[0]]))
        track: list[tuple[Polygon, str, float] | None] = []
        for i in range(version.agent_samples):
            inside = len(seen) == 1 or 5 * seen[0] <= i <= 5 * seen[-1]
            x, y, heading = (float(np.interp(0.2 * i, seen, poses[:, axis])) for axis in range(3))
            length, width = inputs.agent_sizes[a]
            track.append((box(x, y, heading, length, width), kind, speed) if inside else None)
        tracks.append(track)
    if version.drop_initial_overlaps:
        ego = ego_box(inputs.ego_history[-1, :3])
        tracks = [track for track in tracks if track[0] is None or not track[0][0].intersects(ego)]
    return tracks


def ego_box(pose: np.ndarray) -> Polygon:
    x, y, heading = pose
    return box(x + AXLE_TO_CENTER * np.cos(heading), y + AXLE_TO_CENTER * np.sin(heading), heading, LENGTH, WIDTH)


def angle_to(state: np.ndarray, point: Point) -> float:
    """Between the heading and the way from the rear axle to a point [degrees]."""
    direction = np.arctan2(point.y - state[1], point.x - state[0])
    return float(np.degrees(abs(wrap_angle(direction - state[2]))))


class NaiveScorer:
    """All sub-scores of single plans in one scene under one version."""

    def __init__(self, inputs: SceneInputs, version: Version) -> None:
        self.inputs, self.version = inputs, version
        self.tracks = agents_at(inputs, version)
        self.polygons = [Polygon(ring) for ring in inputs.polygons]
        self.line = LineString(inputs.centerline[:, :2])
        self.reference = self.measure(drive(inputs.references[version.family], inputs.ego_history[-1]), past=False)
        self.human = None
        if version.human_filter and inputs.human is not None:
            self.human = self.measure(self.simulated(inputs.human, 0.5), past=False)

    def simulated(self, waypoints: np.ndarray, dt_s: float) -> np.ndarray:
        ego = self.inputs.ego_history[-1]
        return drive(reference_poses(waypoints, dt_s, ego), ego)

    def score(self, waypoints: np.ndarray, dt_s: float, previous: np.ndarray | None = None) -> dict[str, float]:
        """Sub-scores by official name, those after the filter with prefix ``filtered_``, and ``score``."""
        version, states = self.version, self.simulated(waypoints, dt_s)
        values = self.measure(states, past=True)
        values[EP] = self.ego_progress(values)
        if version.two_frame and previous is not None:
            ego = self.inputs.ego_history[-2]
            values[EC] = self.extended_comfort(states, drive(reference_poses(previous, dt_s, ego), ego))
        filtered = dict(values)
        for name in values:
            if self.human is not None and name not in (EP, EC) and self.human[name] == 0:
                filtered[name] = 1.0
        final = filtered if version.filter_reaches_score else values
        weighted = [(weight, final[name]) for name, weight in version.weights if name in final]
        score = np.prod([final[name] for name in version.factors])
        score *= sum(w * v for w, v in weighted) / sum(w for w, _ in weighted)
        names = [name for name in version.subscores if name in values]
        return {
            **{name: values[name] for name in names},
            **{f"filtered_{name}": filtered[name] for name in names},
            "score": float(score),
        }

    def measure(self, states: np.ndarray, past: bool) -> dict[str, float]:
        boxes = [ego_box(state[:3]) for state in states]
        corners = [[Point(p) for p in list(b.exterior.coords)[:4]] for b in boxes]
        lanes = [p for p, layer in zip(self.polygons, self.inputs.polygon_layers) if layer.startswith("LANE")]
        route = [
            p
            for p, token, layer in zip(self.polygons, self.inputs.polygon_ids, self.inputs.polygon_layers)
            if layer.startswith("LANE") and token in self.inputs.route_lane_ids
        ]
        junctions = [p for p, layer in zip(self.polygons, self.inputs.polygon_layers) if layer == "INTERSECTION"]
        drivable = [p for p, layer in zip(self.polygons, self.inputs.polygon_layers) if not layer.startswith("LANE")]
        centers = [
            Point(*(state[:2] + AXLE_TO_CENTER * np.array([np.cos(state[2]), np.sin(state[2])]))) for state in states
        ]
        off_road, several, oncoming, center_in_junction, axle_in_junction = [], [], [], [], []
        for state, four, center in zip(states, corners, centers):
            held = [sum(lane.contains(corner) for corner in four) for lane in lanes]
            several.append(sum(n > 0 for n in held) > 1 and 4 not in held)
            off_road.append(any(not any(p.contains(corner) for p in drivable) for corner in four))
            oncoming.append(not any(p.contains(center) for p in route))
            center_in_junction.append(any(p.contains(center) for p in junctions))
            axle_in_junction.append(any(p.contains(Point(state[:2])) for p in junctions))
        beside = [a or b for a, b in zip(several, off_road)]
        values = {
            NC: self.collisions(states, boxes, corners, beside),
            DAC: float(not any(off_road)),
            DDC: self.direction(centers, oncoming, center_in_junction),
            TTC: self.time_to_collision(states, [a or b for a, b in zip(beside, axle_in_junction)]),
            LK: self.lane_keeping(centers, center_in_junction),
            self.version.comfort: self.comfort(states, past),
        }
        if TLC in self.version.factors:
            values[TLC] = self.red_lights(boxes)
        progress = self.line.project(centers[-1]) - self.line.project(centers[0])
        return {**values, "progress_m": max(progress, 0.0)}

    def collisions(self, states: np.ndarray, boxes: list, corners: list, beside: list[bool]) -> float:
        score, excused = 1.0, set()
        for i, state in enumerate(states):
            for a, track in enumerate(self.tracks):
                now = track[i]
                if now is None or a in excused or not boxes[i].intersects(now[0]):
                    continue
                polygon, kind, speed = now
                road_user = kind in ROAD_USERS
                if np.hypot(state[3], state[4]) <= 0.05:
                    at_fault = False
                elif not road_user or speed <= 0.05:
                    at_fault = True
                elif angle_to(state, polygon.centroid) > 150:
                    at_fault = False
                else:
                    front_left, front_right = corners[i][0], corners[i][3]
                    at_fault = LineString([front_left, front_right]).intersects(polygon) or beside[i]
                if at_fault:
                    score = min(score, 0.0 if road_user else 0.5)
                else:
                    excused.add(a)
        return score

    def time_to_collision(self, states: np.ndarray, beside: list[bool]) -> float:
        excused = set()
        for i in range(self.version.ttc_last_sample + 1):
            x, y, heading, vx, vy = states[i, :5]
            speed = np.hypot(vx, vy)
            if speed < 0.005:
                continue
            for ahead in (0, 3, 6, 9):
                way = 0.1 * ahead * speed
                moved = ego_box(np.array([x + way * np.cos(heading), y + way * np.sin(heading), heading]))
                for a, track in enumerate(self.tracks):
                    then = track[i + ahead]
                    if then is None or a in excused or not moved.intersects(then[0]):
                        continue
                    angle = angle_to(states[i], then[0].centroid)
                    if angle < 30 or (beside[i] and angle <= 150):
                        return 0.0
                    excused.add(a)
        return 1.0

    def direction(self, centers: list[Point], oncoming: list[bool], in_junction: list[bool]) -> float:
        steps = [0.0] + [a.distance(b) for a, b in pairwise(centers)]
        for i in range(41):
            if not oncoming[i] or (self.version.forgive_in_intersections and in_junction[i]):
                steps[i] = 0.0
        most = max(sum(steps[max(0, i - 10) : i + 1]) for i in range(41))
        return 1.0 if most < 2.0 else 0.5 if most < 6.0 else 0.0

    def red_lights(self, boxes: list[Polygon]) -> float:
        for i, ego in enumerate(boxes):
            for token in self.inputs.red_lane_ids[min(i // 5, len(self.inputs.red_lane_ids) - 1)]:
                lane = self.polygons[self.inputs.polygon_ids.index(token)]
                if token in self.inputs.route_lane_ids and ego.intersects(lane):
                    return 0.0
        return 1.0

    def lane_keeping(self, centers: list[Point], in_junction: list[bool]) -> float:
        off = 0
        for center, forgiven in zip(centers, in_junction):
            if forgiven:
                continue
            off = off + 1 if self.line.distance(center) > 0.5 else 0
            if off >= 20:
                return 0.0
        return 1.0

    def comfort(self, states: np.ndarray, past: bool) -> float:
        version, windows = self.version, self.version.comfort_windows
        if version.comfort_history:
            history = self.driven()
            if not past or not len(history):
                return 1.0
            states = np.concatenate([history, states])
        along, across, heading = states[:, 5], states[:, 6], unwrap(states[:, 2])
        if version.comfort_at_center:
            along = along + AXLE_TO_CENTER * (states[:, 9] ** 2 + states[:, 10])
        total = np.hypot(states[:, 5], states[:, 6])
        jerk = smooth(smooth(total, windows.acceleration_in_jerk), windows.jerk, derivative=1)
        jerk_along = smooth(smooth(along, windows.acceleration_in_jerk), windows.jerk, derivative=1)
        along, across = smooth(along, windows.acceleration), smooth(across, windows.acceleration)
        return float(
            np.all((along > -4.05) & (along < 2.40))
            and np.all(np.abs(across) < 4.89)
            and np.all(np.abs(jerk) < 8.37)
            and np.all(np.abs(jerk_along) < 4.13)
            and np.all(np.abs(smooth(heading, 5, 3, 2)) < 1.93)
            and np.all(np.abs(smooth(heading, 5, 2, 1)) < 0.95)
        )

    def driven(self) -> np.ndarray:
        """States (D, 11) of the logged past at 0.1 s."""
        history, times = self.inputs.ego_history, self.inputs.ego_times_us
        if len(history) < 2:
            return np.zeros((0, 11))
        stamps = np.arange(times[0], times[-1], 100_000)[:-1]
        states = np.zeros((len(stamps), 11))
        logged = history.copy()
        logged[:, 2] = np.unwrap(logged[:, 2])
        for column, source in ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)):
            states[:, column] = np.interp(stamps, times, logged[:, source])
        return states

    def extended_comfort(self, now: np.ndarray, before: np.ndarray) -> float:
        windows = self.version.comfort_windows
        gap = round(float(self.inputs.ego_times_us[-1] - self.inputs.ego_times_us[-2]) * 1e-5)
        limits, differences = (0.7, 0.5, 0.1, 0.1), []
        pair = []
        for states in (now[:-gap], before[gap:]):
            total = smooth(np.hypot(states[:, 5], states[:, 6]), windows.acceleration)
            heading = unwrap(states[:, 2])
            rates = smooth(heading, 5, 2, 1), smooth(heading, 5, 2, 2)
            pair.append((total, smooth(total, windows.jerk, derivative=1), *rates))
        for a, b in zip(*pair):
            differences.append(np.sqrt(np.mean((a - b) ** 2)))
        return float(all(d <= limit for d, limit in zip(differences, limits)))

    def ego_progress(self, values: dict[str, float]) -> float:
        def factor(of: dict[str, float]) -> float:
            return float(np.prod([of[name] for name in self.version.factors]))

        own, other = values["progress_m"], self.reference["progress_m"]
        best = max(own * factor(values), other * factor(self.reference))
        if self.version.progress_of_failures:
            return float(np.clip(own / best, 0, 1)) if best > self.version.min_progress_m else 1.0
        if best > self.version.min_progress_m:
            return own * factor(values) / best
        return float(factor(values) > 0)
