"""Twins: what the expert would have done had the scene been different.

A twin repeats a log up to a step with one thing edited, and re-runs the expert for 5 s after it against the recorded
other agents. The edit is there from the first step on, so the images before the step show it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from jaxtyping import Float64

from eyesup.dynamics.bicycle import BicycleState, step_bicycle
from eyesup.geometry.se2 import rotate, wrap_angle
from eyesup.types import AgentKind, Agents, CueKind, DataError, Lights, Maneuver, RoadMap, Scene, Signals, SignalState
from eyesup.world.expert import AgentsNow, Expert
from eyesup.world.route import PATH_STEP_M, Route, make_route, straightened
from eyesup.world.scenery import crop_map
from eyesup.world.splits import load_town
from eyesup.world.stage import lane_clearance, verge_pose, without_overlaps
from eyesup.world.traffic import BODIES

TWIN_STEPS = 50  # the expert is re-run for 5 s
EFFECT_STEPS = 30  # the effect of a cue is read 3 s after the step
PROP_CLEARANCE_M = 3.5
BESIDE_SIGNAL_M = (5.0, 12.0)  # where a signal that controls nothing stands, right of its lane
MAP_RADIUS_M = 120.0
SHARED_ROAD_END_M = -3.0  # up to this x a bend and its straight twin are the same road


class TwinKind(Enum):
    """Edits of a scene's cue."""

    IDENTITY = "identity"
    CUE_REMOVED = "cue_removed"
    CUE_OFF_PATH = "cue_off_path"


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
    return Expert(scene_route(scene), _cruise(scene), scene.signals, scene.road_map, scene.vehicle)


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


def make_twin(scene: Scene, step: int, kind: TwinKind) -> Scene:
    """The log up to `step` with its cue edited, and what the expert does in the 5 s after it.

    Args:
        scene: Log with a cue.
        step: A keyframe; 5 s of log must follow it.
        kind: What becomes of the cue. An agent goes, or stands on the verge beside where it was; a signal shows green, and
            its red twin brother hangs beside the road and controls nothing; a bend becomes a straight road, and the bend
            another road beside it.

    Returns:
        A Scene of ``step + 51`` steps whose only keyframe is `step`.

    Raises:
        DataError: no cue, too short a log, or the ego is in the bend already.
    """
    if step + TWIN_STEPS >= len(scene):
        raise DataError(
            f"twin of {scene.key} at step {step}: needs {TWIN_STEPS} more steps, the log ends at {len(scene) - 1}"
        )
    if kind is TwinKind.IDENTITY:
        return _driven(scene, step, kind.value)
    if scene.cue.kind is CueKind.NONE:
        raise DataError(f"twin of {scene.key}: the scene has no cue to edit; use a scenario with a cue")
    edit = {CueKind.AGENT: _edit_agent, CueKind.SIGNAL: _edit_signal, CueKind.ROAD: _edit_road}[scene.cue.kind]
    return _driven(edit(scene, step, kind), step, kind.value)


def cue_effect(scene: Scene, step: int) -> float:
    """Metres between the 3 s end points of the expert with and without the cue; 0 where the scene has none.

    In a bend that the ego has already entered, "without" means a road that goes straight on from here.
    """
    return float(cue_effects(scene, [step])[0])


def cue_effects(scene: Scene, steps: Sequence[int] | np.ndarray) -> Float64[np.ndarray, "K"]:
    """`cue_effect` at several steps, sharing what they have in common."""
    steps = [int(step) for step in steps]
    if scene.cue.kind is CueKind.NONE or not steps:
        return np.zeros(len(steps))
    if scene.cue.kind is CueKind.ROAD:
        ends = _ends_on_straight_road(scene, steps)
    else:
        edit = _edit_agent if scene.cue.kind is CueKind.AGENT else _edit_signal
        edited = edit(scene, steps[0], TwinKind.CUE_REMOVED)
        expert = scene_expert(edited)
        ends = [rollout(edited, step, EFFECT_STEPS, expert=expert).poses[-1] for step in steps]
    driven = scene.ego_poses[np.array(steps) + EFFECT_STEPS]
    return np.hypot(*(np.array(ends) - driven)[:, :2].T)


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
    front = route.project(*scene.ego_poses[step]) + scene.vehicle.rear_axle_to_center_m + scene.vehicle.length_m / 2
    pose = _obstacle_pose(scene, route, front + distance_m + body.size_m[0] / 2, lateral_m, body.size_m)
    agents = _with_standing(scene.agents, kind, body.size_m, pose)
    edited = replace(
        scene, agents=agents, props=without_overlaps(scene.props, pose[None], PROP_CLEARANCE_M),
        tags={**scene.tags, "obstacle_id": int(agents.ids[-1]), "obstacle_m": distance_m, "obstacle_lateral_m": lateral_m},
    )  # fmt: skip
    return _driven(edited, step, f"obstacle_{distance_m:g}_{lateral_m:g}")


# Driving a twin ------------------------------------------------------------------------------------------------------


def _driven(scene: Scene, step: int, twin: str) -> Scene:
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


def _cruise(scene: Scene) -> float:
    try:
        return float(scene.tags["cruise_mps"])
    except KeyError:
        raise DataError(f"scene {scene.key} has no tag cruise_mps; only the world's own logs can be re-run") from None


# Agents --------------------------------------------------------------------------------------------------------------


def _edit_agent(scene: Scene, step: int, kind: TwinKind) -> Scene:
    row = int(np.flatnonzero(scene.agents.ids == scene.cue.id)[0])
    if kind is TwinKind.CUE_REMOVED:
        return replace(scene, agents=scene.agents.select(np.arange(len(scene.agents)) != row))
    agents, route = scene.agents, scene_route(scene)
    shown = step if agents.valid[row, step] else int(np.flatnonzero(agents.valid[row])[0])
    s = route.project(*agents.poses[row, shown])
    pose = _beside(route, scene.road_map, s, agents.sizes[row])
    poses, velocities = agents.poses.copy(), agents.velocities.copy()
    poses[row], velocities[row] = pose, 0.0
    moved = replace(agents, poses=poses, velocities=velocities)
    return replace(scene, agents=moved, props=without_overlaps(scene.props, pose[None], PROP_CLEARANCE_M))


def _beside(route: Route, road_map: RoadMap, s: float, size_m: np.ndarray) -> np.ndarray:
    """The nearest free place on the verge, right before left, looking a little ahead and back where there is none."""
    size = (float(size_m[0]), float(size_m[1]), float(size_m[2]))
    for shift in (0.0, 3.0, -3.0, 6.0, -6.0, 10.0, 15.0, 20.0, 30.0):
        for side in (-1, 1):
            pose = verge_pose(route, road_map, s + shift, size, side)
            if pose is not None:
                return np.array(pose)
    raise DataError(f"no verge within 16 m of the route at {s:.0f} m; use another keyframe")


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


# Signals -------------------------------------------------------------------------------------------------------------


def _edit_signal(scene: Scene, step: int, kind: TwinKind) -> Scene:
    signals = scene.signals
    row = int(np.flatnonzero(signals.ids == scene.cue.id)[0])
    states = signals.states.copy()
    states[row] = SignalState.GREEN
    if kind is TwinKind.CUE_REMOVED:
        return replace(scene, signals=replace(signals, states=states))
    pose = _beside_signal(scene, row)
    moved = Signals(
        ids=np.append(signals.ids, signals.ids.max() + 1),
        poses=np.concatenate([signals.poses, pose[None]]),
        states=np.concatenate([states, signals.states[row : row + 1]]),
        stop_lane_ids=(*signals.stop_lane_ids, ()),
        stop_points=np.concatenate([signals.stop_points, pose[None, :2]]),
    )
    props = without_overlaps(scene.props, np.array([[pose[0], pose[1], 0.0]]), 1.0)
    return replace(scene, signals=moved, props=props)


def _beside_signal(scene: Scene, row: int) -> np.ndarray:
    """A pole to the right of the signal as its driver sees it, off every lane; the head faces the same way."""
    x, y, z, facing = scene.signals.poses[row]
    right = np.array([-np.sin(facing), np.cos(facing)])  # the driver looks against `facing`
    places = np.array([x, y]) + np.arange(*BESIDE_SIGNAL_M, 0.5)[:, None] * right
    clear = lane_clearance(scene.road_map, places)
    best = int(np.argmax(clear > 1.0)) if (clear > 1.0).any() else int(clear.argmax())
    return np.array([*places[best], z, facing])


# Road ----------------------------------------------------------------------------------------------------------------


def _edit_road(scene: Scene, step: int, kind: TwinKind) -> Scene:
    if not _before_bend(scene, step):
        raise DataError(
            f"twin of {scene.key} at step {step}: the ego is in the bend; take an earlier keyframe (x < 0 m)"
        )
    name = "bend_straight" if kind is TwinKind.CUE_REMOVED else "bend_decoy"
    town = load_town(name, int(scene.tags["town_seed"]))
    before, after = scene_route(scene), make_route(town.road_map, scene.route_lane_ids)
    road_map = crop_map(town.road_map, np.concatenate([before.xy, after.xy])[::16], MAP_RADIUS_M)
    return replace(
        scene, road_map=road_map, route=after.centerline, agents=_along_other_road(scene.agents, before, after)
    )


def _before_bend(scene: Scene, step: int) -> bool:
    """Whether every pose up to `step` means the same on the straight road (`bends` puts the bend's start at x = 0)."""
    return bool(scene.ego_poses[step, 0] < 0.0)


def _along_other_road(agents: Agents, before: Route, after: Route) -> Agents:
    """Agents beyond the start of the bend keep their arc length and offset, and follow the other road."""
    poses, rows = agents.poses.copy(), agents.valid & (agents.poses[..., 0] > SHARED_ROAD_END_M)
    moved = poses[rows]
    if not len(moved):
        return agents
    dx, dy = moved[:, :1] - before.xy[:, 0], moved[:, 1:2] - before.xy[:, 1]
    row = (dx * dx + dy * dy).argmin(axis=1)
    pick, turn = np.arange(len(row)), before.headings[row]
    dx, dy = dx[pick, row], dy[pick, row]
    s = row * PATH_STEP_M + dx * np.cos(turn) + dy * np.sin(turn)
    lateral = dy * np.cos(turn) - dx * np.sin(turn)
    x, y, heading = after.at(s).T
    change = heading - before.at(s)[:, 2]
    poses[rows] = np.stack(
        [x - lateral * np.sin(heading), y + lateral * np.cos(heading), wrap_angle(moved[:, 2] + change)], axis=-1
    )
    velocities = agents.velocities.copy()
    velocities[rows] = rotate(velocities[rows].astype(np.float64), change)
    return replace(agents, poses=poses, velocities=velocities)


def _ends_on_straight_road(scene: Scene, steps: list[int]) -> list[np.ndarray]:
    """Where the expert is 3 s after each step if the road goes straight on."""
    before = [step for step in steps if _before_bend(scene, step)]
    edited = _edit_road(scene, before[0], TwinKind.CUE_REMOVED) if before else scene
    expert, route = scene_expert(edited), scene_route(scene)
    ends = []
    for step in steps:
        if step in before:
            ends.append(rollout(edited, step, EFFECT_STEPS, expert=expert).poses[-1])
            continue
        ahead = straightened(route, route.project(*scene.ego_poses[step]))
        driver = Expert(ahead, _cruise(scene), scene.signals, scene.road_map, scene.vehicle)
        ends.append(rollout(scene, step, EFFECT_STEPS, expert=driver).poses[-1])
    return ends
