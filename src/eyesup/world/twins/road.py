"""Twins of a bend: the road goes straight on, bends beside ours, or bends to the other side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from eyesup.types import DataError, Scene
from eyesup.world.expert import Expert
from eyesup.world.route import make_route, straightened
from eyesup.world.scenery import crop_map
from eyesup.world.splits import BENDS, load_town
from eyesup.world.twins.drive import EFFECT_STEPS, cruise_mps, rollout, scene_expert, scene_route
from eyesup.world.twins.kinds import TwinKind
from eyesup.world.twins.path import carried

MAP_RADIUS_M = 120.0
SHARED_ROAD_END_M = -3.0  # up to this x a bend and its twins are the same road


def edit_road(scene: Scene, step: int, kind: TwinKind) -> Scene:
    """The log on another road; DataError where the ego is in the bend already, or for a bend in the sky."""
    if kind is TwinKind.CUE_IN_SKY:
        raise DataError(f"twin of {scene.key}: a road has no twin in the sky; take cue_off_path")
    if not _before_bend(scene, step):
        raise DataError(
            f"twin of {scene.key} at step {step}: the ego is in the bend; take an earlier keyframe (x < 0 m)"
        )
    town = load_town(_road_kind(scene, kind), int(scene.tags["town_seed"]))
    before, after = scene_route(scene), make_route(town.road_map, scene.route_lane_ids)
    road_map = crop_map(town.road_map, np.concatenate([before.xy, after.xy])[::16], MAP_RADIUS_M)
    beyond = scene.agents.valid & (scene.agents.poses[..., 0] > SHARED_ROAD_END_M)
    return replace(
        scene, road_map=road_map, route=after.centerline, agents=carried(scene.agents, beyond, before, after)
    )


def moved_road(scene: Scene, step: int) -> Iterator[Scene]:
    """The log on a road that bends to the other side; raises as `edit_road`."""
    yield edit_road(scene, step, TwinKind.CUE_MOVED)


def ends_on_straight_road(scene: Scene, steps: list[int]) -> list[np.ndarray]:
    """Where the expert is 3 s after each step if the road goes straight on: from here, where it is in the bend already."""
    before = [step for step in steps if _before_bend(scene, step)]
    edited = edit_road(scene, before[0], TwinKind.CUE_REMOVED) if before else scene
    expert, route = scene_expert(edited), scene_route(scene)
    ends = []
    for step in steps:
        if step in before:
            ends.append(rollout(edited, step, EFFECT_STEPS, expert=expert).poses[-1])
            continue
        ahead = straightened(route, route.project(*scene.ego_poses[step]))
        driver = Expert(ahead, cruise_mps(scene), scene.signals, scene.road_map, scene.vehicle)
        ends.append(rollout(scene, step, EFFECT_STEPS, expert=driver).poses[-1])
    return ends


def _road_kind(scene: Scene, kind: TwinKind) -> str:
    if kind is TwinKind.CUE_REMOVED:
        return "bend_straight"
    if kind is TwinKind.CUE_OFF_PATH:
        return "bend_decoy"
    (other,) = set(BENDS) - {str(scene.tags["town_kind"])}
    return other


def _before_bend(scene: Scene, step: int) -> bool:
    """Whether every pose up to `step` means the same on the other roads (`bends` puts the bend's start at x = 0)."""
    return bool(scene.ego_poses[step, 0] < 0.0)
