"""Twins of a traffic light, and of a stop or yield sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from eyesup.geometry.polyline import Polyline
from eyesup.types import DataError, Lane, Scene, Signals, SignalState, StopLine
from eyesup.world.route import Route
from eyesup.world.stage import lane_clearance, without_overlaps
from eyesup.world.twins.drive import scene_route
from eyesup.world.twins.kinds import TwinKind
from eyesup.world.twins.sky import height_in_sky

BESIDE_SIGNAL_M = (5.0, 12.0)  # where a signal that controls nothing stands, right of its lane
MOVED_M = (6.0, 4.0, 2.0)  # a stop line and its signal, towards us, as far as we can stop there with comfort
COMFORT_MPS2 = 2.7  # the expert goes on at an amber that asks for more than 3
MOVED_S = 1.5  # a light for which we wait already changes this much later
MIN_APPROACH_M = 2.0  # what is left of the lane
MIN_LANE_M = 1.0
HEAD_HALF_M = 1.2  # half the height of a head; its pose is its centre


def edit_signal(scene: Scene, step: int, kind: TwinKind) -> Scene:
    """The log with the signal of its cue without effect: gone, beside the road, or in the sky.

    A light is there in every twin, since a junction has its lights; without its change it stays green (red, if the change
    was to green). A sign can go.
    """
    row = int(np.flatnonzero(scene.signals.ids == scene.cue.id)[0])
    without = _without(scene, row)
    if kind is TwinKind.CUE_REMOVED:
        return replace(scene, signals=without)
    pose = _beside(scene, row) if kind is TwinKind.CUE_OFF_PATH else _in_sky(scene, step, row)
    signals = scene.signals
    extra = Signals(
        ids=np.append(without.ids, signals.ids.max() + 1),
        poses=np.concatenate([without.poses, pose[None]]),
        states=np.concatenate([without.states, signals.states[row : row + 1]]),
        stop_lane_ids=(*without.stop_lane_ids, ()),
        stop_points=np.concatenate([without.stop_points, pose[None, :2]]),
    )
    props = without_overlaps(scene.props, np.array([[pose[0], pose[1], 0.0]]), 1.0)
    return replace(scene, signals=extra, props=props)


def _without(scene: Scene, row: int) -> Signals:
    """The signals when nothing is asked of us here."""
    signals = scene.signals
    first = int(scene.tags.get("cue_step", 0))
    shown = SignalState(int(signals.states[row, first]))
    if shown.is_sign:
        keep = np.arange(len(signals)) != row
        lanes = tuple(ids for ids, kept in zip(signals.stop_lane_ids, keep) if kept)
        return Signals(
            signals.ids[keep], signals.poses[keep], signals.states[keep], lanes, signals.stop_points[keep]
        )  # fmt: skip
    states = signals.states.copy()
    if shown is SignalState.GREEN:
        states[row, first:] = SignalState.RED
    else:
        states[row] = SignalState.GREEN
    return replace(signals, states=states)


# Where it controls nothing -------------------------------------------------------------------------------------------


def _beside(scene: Scene, row: int) -> Float64[np.ndarray, "4"]:
    """A pole beside the signal; the head faces the same way."""
    pose = scene.signals.poses[row].copy()
    pose[:2] = _off_lanes(scene, pose, np.arange(*BESIDE_SIGNAL_M, 0.5))
    return pose


def _off_lanes(scene: Scene, pose: np.ndarray, metres: np.ndarray) -> Float64[np.ndarray, "2"]:
    """The first place off every lane that many metres to the right of a signal, as its driver sees it; or the best there is."""
    right = np.array([-np.sin(pose[3]), np.cos(pose[3])])  # the driver looks against the way that the head faces
    places = pose[:2] + metres[:, None] * right
    clear = lane_clearance(scene.road_map, places)
    return places[int(np.argmax(clear > 1.0)) if (clear > 1.0).any() else int(clear.argmax())]


def _in_sky(scene: Scene, step: int, row: int) -> Float64[np.ndarray, "4"]:
    x, y, z, facing = scene.signals.poses[row]
    return np.array([x, y, max(float(z), height_in_sky(scene, step, np.array([x, y])) + HEAD_HALF_M), facing])


# Where it matters too ------------------------------------------------------------------------------------------------


def moved_signal(scene: Scene, step: int) -> Iterator[Scene]:
    """The log with the signal and its stop line nearer to us; where there is no room for that, a light changes later.

    Raises:
        DataError: The ego is so near to a sign that it has no other place.
    """
    row = int(np.flatnonzero(scene.signals.ids == scene.cue.id)[0])
    route, speed = scene_route(scene), float(scene.ego_velocities[step, 0])
    front = route.project(*scene.ego_poses[step]) + scene.vehicle.front_m
    room = _stop_s(scene, route, row) - front - np.array(MOVED_M)
    possible = (room > MIN_APPROACH_M) & (speed**2 / (2 * np.maximum(room - 1.0, 0.1)) < COMFORT_MPS2)
    for metres in np.array(MOVED_M)[possible]:
        yield _nearer(scene, row, float(metres))
    if possible.any():
        return
    if SignalState(int(scene.signals.states[row, step])).is_sign:
        raise DataError(f"twin of {scene.key} at step {step}: the ego is at the sign; use an earlier keyframe")
    states = scene.signals.states.copy()
    states[row] = states[row, np.maximum(np.arange(len(scene)) - round(MOVED_S / scene.dt_s), 0)]
    yield replace(scene, signals=replace(scene.signals, states=states), tags={**scene.tags, "cue_moved_s": MOVED_S})


def _stop_s(scene: Scene, route: Route, row: int) -> float:
    ends = dict(zip(route.lane_ids, route.lane_end_s))
    return min((ends[lane] for lane in scene.signals.stop_lane_ids[row] if lane in ends), default=np.inf)


def _nearer(scene: Scene, row: int, metres: float) -> Scene:
    """Every lane that the signal controls ends earlier by some metres; what is left of it follows as a lane of its own."""
    signals, controlled = scene.signals, scene.signals.stop_lane_ids[row]
    lanes: list[Lane] = []
    for lane in scene.road_map.lanes:
        lanes += _cut(lane, metres) if lane.id in controlled else [lane]
    known = {lane.id: lane for lane in lanes}
    cut = [lane for lane in controlled if rest_of(lane) in known]
    back = {lane: _step_back(known[rest_of(lane)]) for lane in cut}
    if not cut:
        raise DataError(f"twin of {scene.key}: the lanes of signal {scene.cue.id} are shorter than {metres} m")
    first = back[cut[0]]
    poses, points = signals.poses.copy(), signals.stop_points.copy()
    poses[row, :2] = _off_lanes(
        scene, poses[row] + np.array([*first, 0.0, 0.0]), np.arange(0.0, BESIDE_SIGNAL_M[1], 0.5)
    )
    points[row] += first
    stop_lines = tuple(
        StopLine(line.points + back[line.lane_id], line.lane_id) if line.lane_id in back else line
        for line in scene.road_map.stop_lines
    )
    route_ids = [part for lane in scene.route_lane_ids for part in ((lane, rest_of(lane)) if lane in cut else (lane,))]
    road_map = replace(scene.road_map, lanes=tuple(lanes), stop_lines=stop_lines)
    return replace(
        scene, road_map=road_map, route_lane_ids=tuple(route_ids),
        signals=replace(signals, poses=poses, stop_points=points),
        props=without_overlaps(scene.props, np.array([[*poses[row, :2], 0.0]]), 1.0),
        tags={**scene.tags, "cue_moved_m": -metres},
    )  # fmt: skip


def rest_of(lane_id: str) -> str:
    """Name of what is left of a lane behind a stop line that was moved."""
    return f"{lane_id}#rest"


def _cut(lane: Lane, metres: float) -> list[Lane]:
    """The lane up to some metres before its end, and the rest; a lane that is too short stays whole."""
    line = Polyline(lane.centerline)
    where = line.length - metres
    if where < MIN_LANE_M:
        return [lane]
    reached = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(lane.centerline, axis=0), axis=1)))
    point = np.array([np.interp(where, reached, lane.centerline[:, axis]) for axis in range(2)])[None]
    rest = rest_of(lane.id)
    before, after = lane.centerline[reached < where - 1e-6], lane.centerline[reached > where + 1e-6]
    return [
        replace(lane, centerline=np.concatenate([before, point]), successors=(rest,)),
        replace(lane, id=rest, centerline=np.concatenate([point, after]), left=None, right=None),
    ]


def _step_back(rest: Lane) -> Float64[np.ndarray, "2"]:
    """From the old stop line to the new one."""
    return rest.centerline[0] - rest.centerline[-1]
