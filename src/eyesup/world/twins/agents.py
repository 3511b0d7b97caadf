"""Twins of agents that decide the plan: one car, or everything that closes a lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import AgentKind, Agents, DataError, Scene
from eyesup.world.route import Route
from eyesup.world.stage import VERGE_CLEARANCE_M, box_outline, lane_clearance, without_overlaps
from eyesup.world.twins.drive import scene_route
from eyesup.world.twins.kinds import TwinKind
from eyesup.world.twins.path import beside, carried, place
from eyesup.world.twins.sky import height_in_sky

PROP_CLEARANCE_M = 3.5  # from the middle of what stands beside the road in a twin
SMALL_CLEARANCE_M = 1.0  # the same for cones and people
BESIDE_M = np.arange(4.5, 16.0, 0.5)  # from the path to whatever of it is nearest to the path
ALONG_M = (0.0, 3.0, -3.0, 6.0, -6.0, 10.0, 15.0, 20.0, 30.0)  # where there is no room: a little ahead or back
MOVED_M = (8.0, 6.0, 4.0, -4.0, -6.0, -8.0)  # along the route
MOVED_S = (1.5, 3.0, -1.5)  # what crosses our way comes this much later
STANDING_MPS = 0.3
ALIGNED = np.cos(np.deg2rad(50.0))
CHECKED_S = (0.0, 1.5, 3.0)  # after the step: nothing may overlap what was moved


def edit_agents(scene: Scene, step: int, kind: TwinKind) -> Scene:
    """The log with the agents of its cue removed, beside the road or in the sky; DataError where there is no room for them."""
    rows = cue_rows(scene)
    if kind is TwinKind.CUE_REMOVED:
        return replace(scene, agents=scene.agents.select(~np.isin(np.arange(len(scene.agents)), rows)))
    if kind is TwinKind.CUE_OFF_PATH:
        return _beside_road(scene, step, rows)
    return _in_sky(scene, step, rows)


def moved_agents(scene: Scene, step: int) -> Iterator[Scene]:
    """The log with the agents of its cue elsewhere along the route, or, if they cross it, at other times.

    Raises:
        DataError: Every other place is taken.
    """
    rows = cue_rows(scene)
    if _crosses(scene, step, rows[0]):
        yield from (_later(scene, rows, seconds) for seconds in MOVED_S)
    else:
        yield from _farther(scene, step, rows)


def cue_rows(scene: Scene) -> list[int]:
    """Rows of the cue's agents that the scene holds, the most important first.

    Raises:
        DataError: The first of them is not among the scene's agents.
    """
    row_of = {int(agent): row for row, agent in enumerate(scene.agents.ids)}
    if scene.cue.id not in row_of:
        raise DataError(f"scene {scene.key}: its cue is agent {scene.cue.id}, which it does not hold")
    return [row_of[agent] for agent in scene.cue.ids if agent in row_of]  # those far away were not recorded


def _shown(agents: Agents, row: int, step: int) -> int:
    """The step itself, or the nearest one at which the agent is present."""
    present = np.flatnonzero(agents.valid[row])
    return int(present[np.abs(present - step).argmin()])


def _poses_shown(agents: Agents, rows: list[int], step: int) -> Float64[np.ndarray, "N 3"]:
    return np.array([agents.poses[row, _shown(agents, row, step)] for row in rows])


# Beside the road -----------------------------------------------------------------------------------------------------


def _beside_road(scene: Scene, step: int, rows: list[int]) -> Scene:
    """They stand off every lane, arranged as they were at the step; what moved is turned along the road."""
    agents, route = scene.agents, scene_route(scene)
    poses, sizes = _poses_shown(agents, rows, step), agents.sizes[rows].astype(np.float64)
    s, lateral = place(route, poses)
    turn = poses[:, 2] - route.at(s)[:, 2]
    moving = np.array([_speed(agents, row, step) > STANDING_MPS for row in rows])
    turn = np.where(moving, np.where(np.cos(turn) < 0, np.pi, 0.0), turn)
    free = _free_places(scene, route, step, rows, (s, lateral, turn), sizes)
    all_poses, velocities = agents.poses.copy(), agents.velocities.copy()
    all_poses[rows], velocities[rows] = free[:, None], 0.0
    small = sizes[:, 0] < 1.5
    props = without_overlaps(scene.props, free[~small], PROP_CLEARANCE_M)
    return replace(
        scene,
        agents=replace(agents, poses=all_poses, velocities=velocities),
        props=without_overlaps(props, free[small], SMALL_CLEARANCE_M),
    )


def _free_places(
    scene: Scene, route: Route, step: int, rows: list[int], where: tuple[np.ndarray, ...], sizes: np.ndarray
) -> Float64[np.ndarray, "N 3"]:
    """The nearest room for all of them together, right before left, looking a little ahead and back where there is none."""
    s, lateral, turn = where
    others = _boxes(scene.agents, [row for row in range(len(scene.agents)) if row not in rows], step)
    for shift in ALONG_M:
        for side in (-1, 1):
            inner = (side * lateral).min()  # of the one that comes nearest to the path
            for offset in BESIDE_M:
                poses = beside(route, s + shift, lateral + side * (offset - inner), turn)
                if _off_lanes(scene, poses, sizes) and not _overlap(_corners(poses, sizes), others):
                    return poses
    raise DataError(f"twin of {scene.key} at step {step}: no room for the cue beside the road; use another keyframe")


def _off_lanes(scene: Scene, poses: np.ndarray, sizes: np.ndarray) -> bool:
    outlines = [box_outline(length, width, pose[2]) + pose[:2] for pose, (length, width, _) in zip(poses, sizes)]
    return bool(lane_clearance(scene.road_map, np.concatenate(outlines)).min() > VERGE_CLEARANCE_M)


# In the sky ----------------------------------------------------------------------------------------------------------


def _in_sky(scene: Scene, step: int, rows: list[int]) -> Scene:
    """They hang above where they were, high enough to stand above the horizon at the step."""
    bottom = scene.agents.bottom_z.copy()
    for row, pose in zip(rows, _poses_shown(scene.agents, rows, step)):
        bottom[row] = height_in_sky(scene, step, pose[:2])
    return replace(scene, agents=replace(scene.agents, bottom_z=bottom))


# Elsewhere on the road -----------------------------------------------------------------------------------------------


def _crosses(scene: Scene, step: int, row: int) -> bool:
    """Whether it is a vehicle on its own way, across or against ours."""
    agents = scene.agents
    if agents.kinds[row] == AgentKind.PEDESTRIAN or _speed(agents, row, step) < STANDING_MPS:
        return False
    shown = _shown(agents, row, step)
    route, pose = scene_route(scene), agents.poses[row, shown]
    s, _ = place(route, pose[None])
    return bool(np.cos(pose[2] - route.at(float(s[0]))[2]) < ALIGNED)


def _later(scene: Scene, rows: list[int], seconds: float) -> Scene:
    """All of them do the same at another time; before the log begins and after it ends they stand."""
    delay, steps = round(seconds / scene.dt_s), np.arange(len(scene))
    source = np.clip(steps - delay, 0, len(scene) - 1)
    agents = scene.agents
    columns = {name: getattr(agents, name).copy() for name in ("poses", "velocities", "valid", "lights", "bottom_z")}
    for row in rows:
        for name, column in columns.items():
            column[row] = getattr(agents, name)[row, source]
        columns["velocities"][row, source != steps - delay] = 0.0
    return replace(scene, agents=replace(agents, **columns), tags={**scene.tags, "cue_moved_s": seconds})


def _farther(scene: Scene, step: int, rows: list[int]) -> Iterator[Scene]:
    """All of them some metres farther along the route, or nearer, wherever that place is free."""
    agents, route = scene.agents, scene_route(scene)
    which = np.zeros((len(agents), agents.steps), bool)
    which[rows] = agents.valid[rows]
    others = [row for row in range(len(agents)) if row not in rows]
    steps = [min(step + round(later / scene.dt_s), len(scene) - 1) for later in CHECKED_S]
    found = False
    for shift in MOVED_M:
        moved = carried(agents, which, route, route, shift)
        taken = any(_overlap(_boxes(moved, rows, at), _boxes(moved, others, at)) for at in steps)
        if not taken and not _overlap(_boxes(moved, rows, step), _ego_box(scene, step)):
            found = True
            yield replace(scene, agents=moved, tags={**scene.tags, "cue_moved_m": shift})
    if not found:
        raise DataError(
            f"twin of {scene.key} at step {step}: every other place of its cue is taken; use another keyframe"
        )


# Boxes ---------------------------------------------------------------------------------------------------------------


def _speed(agents: Agents, row: int, step: int) -> float:
    return float(np.hypot(*agents.velocities[row, _shown(agents, row, step)].astype(np.float64)))


def _boxes(agents: Agents, rows: list[int], step: int) -> Float64[np.ndarray, "N 4 2"]:
    """Corners of those of the agents that are present at a step."""
    present = [row for row in rows if agents.valid[row, step]]
    return _corners(agents.poses[present, step], agents.sizes[present].astype(np.float64))


def _corners(poses: np.ndarray, sizes: np.ndarray) -> Float64[np.ndarray, "N 4 2"]:
    return box_corners(poses, sizes[:, 0], sizes[:, 1])


def _ego_box(scene: Scene, step: int) -> Float64[np.ndarray, "1 4 2"]:
    x, y, heading = scene.ego_poses[step]
    reach = scene.vehicle.rear_axle_to_center_m
    centre = np.array([[x + reach * np.cos(heading), y + reach * np.sin(heading), heading]])
    return box_corners(centre, scene.vehicle.length_m, scene.vehicle.width_m)


def _overlap(one: Float64[np.ndarray, "N 4 2"], other: Float64[np.ndarray, "M 4 2"]) -> bool:
    """Whether any box of one group overlaps any of the other."""
    return bool(boxes_overlap(one[:, None], other[None]).any())
