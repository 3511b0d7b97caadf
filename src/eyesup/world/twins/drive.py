"""The expert driving again from a step of a log, against what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from eyesup.dynamics.bicycle import BicycleState, step_bicycle
from eyesup.types import Agents, DataError, Maneuver, Scene, Signals
from eyesup.world.expert import AgentsNow, Expert
from eyesup.world.route import Route, make_route

TWIN_STEPS = 50  # the expert is re-run for 5 s
EFFECT_STEPS = 30  # the effect of a cue is read 3 s after the step


@dataclass(frozen=True)
class EgoLog:
    """Ego over time, as in `Scene`; row 0 is the state that the rollout started from."""

    poses: Float64[np.ndarray, "T 3"]
    velocities: Float64[np.ndarray, "T 2"]
    accelerations: Float64[np.ndarray, "T 2"]
    yaw_rates: Float64[np.ndarray, "T"]
    steerings: Float64[np.ndarray, "T"]


def scene_route(scene: Scene) -> Route:
    """The route of a scene, from its map and lanes."""
    return make_route(scene.road_map, scene.route_lane_ids)


def scene_expert(scene: Scene) -> Expert:
    """The driver of a scene."""
    return Expert(scene_route(scene), cruise_mps(scene), scene.signals, scene.road_map, scene.vehicle)


def rollout(
    scene: Scene, step: int, steps: int, agents: Agents | None = None, signals: Signals | None = None, expert: Expert | None = None
) -> EgoLog:  # fmt: skip
    """Re-run the expert from a step of a log against what was recorded.

    Args:
        scene: Log.
        step: Where to start; the ego's state there is taken from the log.
        steps: How many steps of `scene.dt_s` to drive; the log must hold them.
        agents, signals: Edited copies to drive against, over the log's steps; default the log's own.
        expert: Driver made before (`scene_expert`), to save time over many rollouts of one scene.

    Returns:
        ``steps + 1`` rows. Without edits they equal the log bit by bit.

    Raises:
        DataError: The log is too short.
    """
    if step < 0 or steps < 0 or step + steps >= len(scene):
        raise DataError(f"rollout of {scene.key}: steps {step} to {step + steps} leave the log (0 to {len(scene) - 1})")
    agents = scene.agents if agents is None else agents
    signals = scene.signals if signals is None else signals
    expert = scene_expert(scene) if expert is None else expert
    state = ego_state(scene, step)
    rows = [state.as_array()]
    for now in range(step, step + steps):
        command = expert.command(state, AgentsNow.of(agents, now), signals.states[:, now])
        state = step_bicycle(state, *command, scene.dt_s, scene.vehicle.wheel_base_m)
        rows.append(state.as_array())
    return ego_log(np.array(rows))


def ego_state(scene: Scene, step: int) -> BicycleState:
    """The ego's motion state at a step of a log."""
    return BicycleState(
        *(float(value) for value in scene.ego_poses[step]),
        vx=float(scene.ego_velocities[step, 0]),
        ax=float(scene.ego_accelerations[step, 0]),
        steering=float(scene.ego_steerings[step]),
        yaw_rate=float(scene.ego_yaw_rates[step]),
    )


def ego_log(states: Float64[np.ndarray, "T 11"]) -> EgoLog:
    """From bicycle states; the lateral acceleration is that of the turn, speed x yaw rate."""
    speeds, yaw_rates = states[:, 3], states[:, 9]
    return EgoLog(
        poses=states[:, :3],
        velocities=np.stack([speeds, np.zeros_like(speeds)], axis=-1),
        accelerations=np.stack([states[:, 5], speeds * yaw_rates], axis=-1),
        yaw_rates=yaw_rates,
        steerings=states[:, 7],
    )


def driven(scene: Scene, step: int, twin: str) -> Scene:
    """The scene up to `step`, the expert's 5 s after it, and nothing more."""
    expert = scene_expert(scene)
    ego = rollout(scene, step, TWIN_STEPS, expert=expert)
    kept, end = slice(0, step), slice(0, step + TWIN_STEPS + 1)
    places = [expert.route.project(*pose) for pose in ego.poses[1:]]
    maneuvers: list[Maneuver] = [*scene.maneuvers[: step + 1], *(expert.route.maneuver_at(s) for s in places)]
    signals = scene.signals
    return replace(
        scene,
        key=f"{scene.key}-{step:04d}-{twin}",
        ego_poses=np.concatenate([scene.ego_poses[kept], ego.poses]),
        ego_velocities=np.concatenate([scene.ego_velocities[kept], ego.velocities]),
        ego_accelerations=np.concatenate([scene.ego_accelerations[kept], ego.accelerations]),
        ego_yaw_rates=np.concatenate([scene.ego_yaw_rates[kept], ego.yaw_rates]),
        ego_steerings=np.concatenate([scene.ego_steerings[kept], ego.steerings]),
        maneuvers=tuple(maneuvers),
        agents=scene.agents.at(end),
        signals=Signals(signals.ids, signals.poses, signals.states[:, end], signals.stop_lane_ids, signals.stop_points),
        keyframes=np.array([step], np.int64),
        tags={**scene.tags, "twin": twin},
    )


def cruise_mps(scene: Scene) -> float:
    """Speed that the driver of a log likes on a free road; DataError where the log does not say."""
    try:
        return float(scene.tags["cruise_mps"])
    except KeyError:
        raise DataError(f"scene {scene.key} has no tag cruise_mps; only the world's own logs can be re-run") from None
