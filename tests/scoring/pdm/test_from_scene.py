"""Scenes of the embedded world under the PDM score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyesup.scoring.pdm.from_scene import scene_inputs
from eyesup.scoring.pdm.score import prepare, score
from eyesup.scoring.pdm.version import DAC, NC, TLC, version_named
from eyesup.types import AgentKind, Agents, DataError, Lights, SignalState

SEED = 11


def with_car_ahead(scene, step: int, gap_m: float, kind: AgentKind = AgentKind.CAR):
    """The scene with nobody in it but a standing car on the ego's driven path."""
    x, y, heading = scene.ego_poses[step]
    ahead = gap_m + scene.vehicle.rear_axle_to_center_m + scene.vehicle.length_m / 2 + 2.2
    pose = np.array([x + ahead * np.cos(heading), y + ahead * np.sin(heading), heading])
    steps = len(scene)
    car = Agents(
        ids=np.zeros(1, np.int64), kinds=np.array([kind], np.uint8), sizes=np.array([[4.4, 1.8, 1.5]], np.float32),
        poses=np.broadcast_to(pose, (1, steps, 3)).copy(), velocities=np.zeros((1, steps, 2), np.float32),
        valid=np.ones((1, steps), bool), lights=np.full((1, steps), Lights.BRAKE, np.uint8),
    )  # fmt: skip
    return replace(scene, agents=car)


def test_the_expert_scores_above_what_is_done_to_its_plan(log_of) -> None:
    inputs = [
        scene_inputs(log_of(name, SEED), int(step), expert_is_reference=True)
        for name in ("free_drive", "lead_brakes", "red_light")
        for step in log_of(name, SEED).keyframes[::3]
    ]
    driven = np.stack([each.human for each in inputs])
    aside, faster, still = driven + np.array([0, 8.0, 0]), driven * np.array([1.6, 1, 1]), np.zeros_like(driven)
    plans = np.stack([driven, aside, faster, still], axis=1)
    means = score(plans, [prepare(each, "v1") for each in inputs], "v1").score.mean(axis=0)
    assert means[0] > 0.85 and (means[0] > means[1:] + 0.05).all()


def test_a_car_in_the_way_is_hit_and_a_car_in_the_sky_is_not(log_of) -> None:
    scene = log_of("free_drive", SEED)
    step = int(scene.keyframes[np.argmax(scene.ego_velocities[scene.keyframes, 0])])
    version = version_named("v1")
    blocked = with_car_ahead(scene, step, 6.0)
    sky = replace(blocked, agents=replace(blocked.agents, bottom_z=np.full((1, len(scene)), 6.0, np.float32)))
    inputs = [scene_inputs(each, step, True) for each in (blocked, sky)]
    assert inputs[0].agent_types == ("VEHICLE",) and inputs[1].agent_types == ()
    straight = np.stack([np.arange(1, 9) * 0.5 * scene.ego_velocities[step, 0], np.zeros(8), np.zeros(8)], axis=-1)
    plans = np.stack([straight[None], straight[None]])
    hits = score(plans, [prepare(each, version) for each in inputs], version).subscores[NC]
    assert hits[0, 0] == 0.0 and hits[1, 0] == 1.0


def test_leaving_the_road_and_running_a_red_light_cost(log_of) -> None:
    scene = log_of("red_light", SEED)
    route_row = [row for row, lanes in enumerate(scene.signals.stop_lane_ids) if set(lanes) & set(scene.route_lane_ids)]
    red = [step for step in scene.keyframes if (scene.signals.states[route_row, step] == SignalState.RED).any()]
    step = int(red[-1])  # the ego stands at the line
    inputs = scene_inputs(scene, step, True)
    assert any(inputs.red_lane_ids)
    empty = replace(inputs, agent_poses=inputs.agent_poses[:0], agent_velocities=inputs.agent_velocities[:0],
                    agent_sizes=inputs.agent_sizes[:0], agent_seen=inputs.agent_seen[:0], agent_types=())  # fmt: skip
    through = np.stack([np.arange(1, 9) * 5.0, np.zeros(8), np.zeros(8)], axis=-1)
    off = np.stack([np.arange(1, 9) * 2.0, np.arange(1, 9) * 3.0, np.full(8, np.arctan2(3.0, 2.0))], axis=-1)
    result = score(np.stack([[through, off, inputs.human]]), [prepare(empty, "v2")], "v2").subscores
    assert result[TLC][0].tolist()[::2] == [0.0, 1.0]
    assert result[DAC][0, 1:].tolist() == [0.0, 1.0]


def test_a_moment_too_near_the_end_is_refused(log_of) -> None:
    scene = log_of("free_drive", SEED)
    with pytest.raises(DataError, match="5 s after it"):
        scene_inputs(scene, len(scene) - 20)
