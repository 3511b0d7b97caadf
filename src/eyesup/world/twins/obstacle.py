"""An obstacle put into a scene that has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eyesup.types import AgentKind, Agents, DataError, Lights, Scene
from eyesup.world.route import Route
from eyesup.world.stage import verge_pose, without_overlaps
from eyesup.world.traffic import BODIES
from eyesup.world.twins.agents import PROP_CLEARANCE_M
from eyesup.world.twins.drive import TWIN_STEPS, driven, scene_route


def insert_obstacle(
    scene: Scene, step: int, distance_m: float, lateral_m: float = 0.0, kind: AgentKind = AgentKind.CAR
) -> Scene:
    """The log up to `step` with a standing vehicle added, and what the expert does in the 5 s after it.

    Args:
        scene: Any log.
        step: A keyframe; 5 s of log must follow it.
        distance_m: From the ego's front bumper at `step` to the vehicle's rear, along the route.
        lateral_m: 0 puts it on the ego's path; otherwise beside it, left positive, at least this far and as much farther as
            it takes to stand off every lane.
        kind: A vehicle.

    Returns:
        A Scene of ``step + 51`` steps whose only keyframe is `step`; tag ``obstacle_id`` names the new agent.

    Raises:
        DataError: not a vehicle, negative distance, too short a log, or no room beside the road.
    """
    if step + TWIN_STEPS >= len(scene):
        raise DataError(f"obstacle in {scene.key} at step {step}: needs {TWIN_STEPS} more steps after it")
    bodies = [body for body in BODIES.values() if body.kind is kind]
    if not bodies or distance_m < 0:
        raise DataError(f"obstacle: kind {kind!r} at {distance_m} m must be a vehicle at 0 m or more")
    body, route = bodies[0], scene_route(scene)
    front = route.project(*scene.ego_poses[step]) + scene.vehicle.front_m
    pose = _obstacle_pose(scene, route, front + distance_m + body.size_m[0] / 2, lateral_m, body.size_m)
    agents = _with_standing(scene.agents, kind, body.size_m, pose)
    edited = replace(
        scene, agents=agents, props=without_overlaps(scene.props, pose[None], PROP_CLEARANCE_M),
        tags={**scene.tags, "obstacle_id": int(agents.ids[-1]), "obstacle_m": distance_m, "obstacle_lateral_m": lateral_m},
    )  # fmt: skip
    return driven(edited, step, f"obstacle_{distance_m:g}_{lateral_m:g}")


def _obstacle_pose(
    scene: Scene, route: Route, s: float, lateral_m: float, size_m: tuple[float, float, float]
) -> np.ndarray:
    if lateral_m == 0:
        return route.at(s)
    pose = verge_pose(route, scene.road_map, s, size_m, 1 if lateral_m > 0 else -1, abs(lateral_m))
    if pose is None:
        raise DataError(
            f"obstacle in {scene.key}: no room beside the road {lateral_m} m from the path; try the other side"
        )
    return np.array(pose)


def _with_standing(agents: Agents, kind: AgentKind, size_m: tuple[float, float, float], pose: np.ndarray) -> Agents:
    """The agents and one more that stands all the time, its brake lights on."""
    steps = agents.steps
    return Agents(
        ids=np.append(agents.ids, agents.ids.max(initial=-1) + 1),
        kinds=np.append(agents.kinds, np.uint8(kind)),
        sizes=np.concatenate([agents.sizes, np.array([size_m], np.float32)]),
        poses=np.concatenate([agents.poses, np.broadcast_to(pose, (1, steps, 3))]),
        velocities=np.concatenate([agents.velocities, np.zeros((1, steps, 2), np.float32)]),
        valid=np.concatenate([agents.valid, np.ones((1, steps), bool)]),
        lights=np.concatenate([agents.lights, np.full((1, steps), Lights.BRAKE, np.uint8)]),
        bottom_z=np.concatenate([agents.bottom_z, np.zeros((1, steps), np.float32)]),
        looks=np.append(agents.looks, np.uint32(agents.looks.sum() % 2**32)),
    )
