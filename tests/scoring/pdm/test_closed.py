"""PDM-Closed against the official planner, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_scenes import SPEED, rectangle, road, with_agent, with_polygon
from golden_scenes import NAMES, VERSIONS, official, prepared, stored

from eyesup.geometry.se2 import from_frame, wrap_angle
from eyesup.scoring.pdm import prepare
from eyesup.scoring.pdm.closed import forecast, proposals
from eyesup.scoring.pdm.score import closed_proposals, reference_poses
from eyesup.scoring.pdm.version import V2


def difference(poses: np.ndarray, expected: np.ndarray) -> float:
    turn = np.abs(wrap_angle(poses[..., 2] - expected[..., 2])).max()
    return max(float(np.abs(poses[..., :2] - expected[..., :2]).max()), float(turn))


@pytest.mark.parametrize("name", NAMES)
def test_proposals_and_their_scores_equal_the_official_ones(name):
    scene, truth = prepared(name), official(name)
    for family, version in VERSIONS.items():
        found, scores = closed_proposals(scene, version)
        assert difference(found, truth[f"{family}_pdmclosed_proposals"][:, :41]) < 1e-9
        np.testing.assert_allclose(scores, truth[f"{family}_pdmclosed_scores"], atol=1e-6)
        # The stored plan went through jittered microsecond stamps.
        chosen = from_frame(reference_poses(scene, version), scene.origin)
        assert difference(chosen, truth[f"{family}_pdm_ref_poses"]) < 1e-4


def driven(inputs) -> np.ndarray:
    """(15, 41) progress of the proposals on the hand-drawn road, along x."""
    return proposals(inputs, forecast(inputs))[..., 0]


def test_the_fastest_centred_proposal_wins_on_an_empty_road():
    free = replace(road(), references={}, speed_limit_mps=10.0)
    x = driven(free)
    assert x.shape == (15, 41)
    # The first step runs before the first look-up of a leader: 3 m/s^2 of braking, whatever lies ahead.
    np.testing.assert_allclose(x[:, 1], 0.8)
    np.testing.assert_allclose(x[:, 2] - x[:, 1], 0.1 * (SPEED - 0.3))
    assert np.all(np.diff(x[:5, 40]) > 0)
    found, scores = closed_proposals(prepare(free), V2)
    assert int(np.argmax(scores)) == 4
    np.testing.assert_allclose(found[:, 0, 1], np.repeat([0.0, -1.0, 1.0], 5))


def test_a_standing_car_and_a_red_light_stop_every_proposal():
    car = with_agent(replace(road(), references={}, speed_limit_mps=10.0), 30.0, 0.0)
    assert driven(car).max() < 28.0 - 4.049  # its rear less the ego's front
    light = with_polygon(
        replace(road(), references={}, speed_limit_mps=10.0), "red", "LANE_CONNECTOR", rectangle(28, -2, 40, 2)
    )
    light = replace(light, route_lane_ids=light.route_lane_ids | {"red"}, red_lane_ids=(("red",),) + ((),) * 10)
    np.testing.assert_allclose(driven(light), driven(car), atol=1e-9)
    off_route = replace(light, route_lane_ids=frozenset({"middle"}))
    assert driven(off_route).max() > 30.0


def test_what_overlaps_the_ego_now_is_ignored():
    inputs = replace(road(), references={}, speed_limit_mps=10.0)
    np.testing.assert_array_equal(driven(with_agent(inputs, 4.0, 0.0)), driven(inputs))
    far = with_agent(inputs, 30.0, 120.0)
    assert len(forecast(far).poses) == 0  # beyond 100 m
    late = with_agent(inputs, 30.0, 0.0, seen=np.arange(11) > 0)
    assert len(forecast(late).poses) == 0  # not seen yet


def test_everybody_keeps_velocity_along_the_box():
    inputs = with_agent(replace(road(), references={}), 20.0, 4.0, velocity=(-6.0, 0.0), heading=0.05)
    inputs = with_agent(inputs, 10.0, -4.0, velocity=(3.0, 0.0), kind="BARRIER")
    seen = forecast(inputs)
    assert seen.road_user.tolist() == [False, True]  # static objects come first
    backwards = np.array([np.cos(0.05), np.sin(0.05)])
    np.testing.assert_allclose(seen.velocities, [[0.0, 0.0], -6.0 * backwards])
    moved = seen.shapes(5)[1].centroid
    np.testing.assert_allclose([moved.x, moved.y], np.array([20.0, 4.0]) - 6.0 * backwards)


@pytest.mark.parametrize("name", NAMES[::13])
def test_a_plan_given_with_the_scene_replaces_it(name):
    item = stored(name)
    poses = np.tile(item.inputs.ego_history[-1, :3], (41, 1))
    given = prepare(replace(item.inputs, references={"v2": poses}))
    np.testing.assert_allclose(reference_poses(given, V2), 0.0, atol=1e-9)
