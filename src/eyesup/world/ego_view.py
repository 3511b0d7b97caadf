"""A Scene as the ego sees it at one step: poses, agents and map in the ego frame at that step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eyesup.geometry.se2 import points_to_frame, rotate, to_frame
from eyesup.types import Agents, EgoStatus, RoadMap, Scene, Signals, Trajectory
from eyesup.world.scenery import crop_map

HISTORY_DT_S = 0.5
HISTORY_POSES = 4  # 2 s, as IK-VLA's prompt (arXiv 2605.21061, Appendix D)
FUTURE_S = 5.0
AGENT_RADIUS_M = 80.0


def ego_status(scene: Scene, step: int) -> EgoStatus:
    """Measured ego state at a step."""
    vx, vy = scene.ego_velocities[step]
    ax, ay = scene.ego_accelerations[step]
    return EgoStatus(
        (float(vx), float(vy)),
        (float(ax), float(ay)),
        float(scene.ego_yaw_rates[step]),
        float(scene.ego_steerings[step]),
    )


def history(scene: Scene, step: int) -> Trajectory:
    """Past poses every 0.5 s over 2 s, newest first, in the ego frame at `step`; before the log began they are not valid."""
    rows = step - round(HISTORY_DT_S / scene.dt_s) * np.arange(1, HISTORY_POSES + 1)
    poses = to_frame(scene.ego_poses[np.maximum(rows, 0)], scene.ego_poses[step])
    return Trajectory(poses, -HISTORY_DT_S, rows >= 0)


def future_trajectory(scene: Scene, step: int) -> Trajectory:
    """Driven poses over 5 s at the scene's step, in the ego frame at `step`; after the log's end they are not valid."""
    rows = step + np.arange(1, round(FUTURE_S / scene.dt_s) + 1)
    poses = to_frame(scene.ego_poses[np.minimum(rows, len(scene) - 1)], scene.ego_poses[step])
    return Trajectory(poses, scene.dt_s, rows < len(scene))


def agents_in_ego_frame(scene: Scene, step: int, steps: int) -> Agents:
    """Agents at `step` and `steps` later ones in the ego frame at `step`; those that come within 80 m of the ego in it."""
    rows, inside = _rows(scene, step, steps)
    origin = scene.ego_poses[step]
    window = scene.agents.at(rows)
    window = replace(window, valid=window.valid & inside).select(agents_near(scene, step, steps))
    poses = np.where(window.valid[..., None], to_frame(window.poses, origin), 0.0)
    velocities = np.where(window.valid[..., None], rotate(window.velocities, -origin[2]), 0.0)
    return replace(window, poses=poses, velocities=velocities)


def agents_near(scene: Scene, step: int, steps: int) -> Bool[np.ndarray, "A"]:
    """Which of the scene's agents `agents_in_ego_frame` takes."""
    rows, inside = _rows(scene, step, steps)
    window = scene.agents.at(rows)
    distance = np.linalg.norm(window.poses[..., :2] - scene.ego_poses[rows, :2], axis=-1)
    return (window.valid & inside & (distance < AGENT_RADIUS_M)).any(axis=1)


def signals_in_ego_frame(scene: Scene, step: int, steps: int) -> Signals:
    """Lights and signs within 80 m of the ego at `step`, in its frame; states at `step` and `steps` later ones.

    After the log's end a light keeps its last colour.
    """
    signals, origin = scene.signals, scene.ego_poses[step]
    near = np.flatnonzero(np.linalg.norm(signals.poses[:, :2] - origin[:2], axis=-1) < AGENT_RADIUS_M)
    planar = to_frame(signals.poses[near][:, [0, 1, 3]], origin)
    return Signals(
        signals.ids[near], np.column_stack([planar[:, :2], signals.poses[near, 2], planar[:, 2]]),
        signals.states[near][:, _rows(scene, step, steps)[0]], tuple(signals.stop_lane_ids[row] for row in near.tolist()),
        points_to_frame(signals.stop_points[near], origin),
    )  # fmt: skip


def _rows(scene: Scene, step: int, steps: int) -> tuple[Int64[np.ndarray, "T"], Bool[np.ndarray, "T"]]:
    """Steps of a window, the last one repeated beyond the log's end, and which of them lie within the log."""
    rows = step + np.arange(steps + 1)
    return np.minimum(rows, len(scene) - 1), rows < len(scene)


def map_around(scene: Scene, step: int) -> RoadMap:
    """The vector map within 80 m of the ego, in the ego frame at `step`."""
    origin = scene.ego_poses[step]
    return map_in_frame(crop_map(scene.road_map, origin[None, :2], AGENT_RADIUS_M), origin)


def map_in_frame(road_map: RoadMap, origin: Float64[np.ndarray, "3"]) -> RoadMap:
    """The same map seen from `origin` (a pose in the map's frame)."""
    return RoadMap(
        lanes=tuple(replace(lane, centerline=points_to_frame(lane.centerline, origin)) for lane in road_map.lanes),
        lines=tuple(replace(line, points=points_to_frame(line.points, origin)) for line in road_map.lines),
        crosswalks=tuple(points_to_frame(ring, origin) for ring in road_map.crosswalks),
        stop_lines=tuple(replace(stop, points=points_to_frame(stop.points, origin)) for stop in road_map.stop_lines),
        drivable=tuple(points_to_frame(ring, origin) for ring in road_map.drivable),
        sidewalks=tuple(points_to_frame(ring, origin) for ring in road_map.sidewalks),
    )
