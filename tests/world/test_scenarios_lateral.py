"""What the lateral scenarios stage and how the expert answers; their cues are tested in `test_criterion.py`."""

import numpy as np
import pytest

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import AgentKind, CueKind, Lights
from eyesup.world.scenarios import load_scenario
from eyesup.world.scenarios.base import Ability, EdgeCase
from eyesup.world.stage import lane_clearance
from eyesup.world.twins import scene_route

SEED = 11
NAMES = ("parked_car", "construction", "accident", "cyclist", "emergency_vehicle")


def _cue_rows(scene):
    return [int(np.flatnonzero(scene.agents.ids == name)[0]) for name in scene.cue.ids]


def _offsets(scene):
    """Of the ego from its route, left positive [m]."""
    route, found = scene_route(scene), []
    for pose in scene.ego_poses:
        x, y, heading = route.at(route.project(*pose))
        found.append((pose[1] - y) * np.cos(heading) - (pose[0] - x) * np.sin(heading))
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_touched_and_the_cue_is_there(log_of, name):
    scene = log_of(name, SEED)
    vehicle, poses, agents = scene.vehicle, scene.ego_poses, scene.agents
    ahead = np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], -1)
    centres = np.concatenate([poses[:, :2] + vehicle.rear_axle_to_center_m * ahead, poses[:, 2:]], -1)
    ego = box_corners(centres, vehicle.length_m, vehicle.width_m)
    boxes = box_corners(agents.poses, agents.sizes[:, None, 0], agents.sizes[:, None, 1])
    assert not (boxes_overlap(ego[None], boxes) & agents.valid).any()
    assert scene.cue.kind is CueKind.AGENT and scene.tags["cue_step"] >= 0
    assert agents.valid[_cue_rows(scene), int(scene.tags["cue_step"])].all()


@pytest.mark.parametrize(
    ("name", "kinds", "edge_case"),
    [
        ("parked_car", {AgentKind.CAR, AgentKind.VAN}, None),
        ("construction", {AgentKind.CONE, AgentKind.BARRIER, AgentKind.PEDESTRIAN}, EdgeCase.CONSTRUCTION_ZONE),
        ("accident", {AgentKind.CAR, AgentKind.VAN, AgentKind.DEBRIS, AgentKind.CONE}, EdgeCase.ACCIDENT_AHEAD),
    ],
)
def test_what_stands_on_the_lane_is_the_cue_and_is_driven_around(log_of, name, kinds, edge_case):
    scene = log_of(name, SEED)
    rows, offsets = _cue_rows(scene), _offsets(scene)
    assert {AgentKind(kind) for kind in scene.agents.kinds[rows]} <= kinds
    assert (scene.agents.velocities[rows] == 0).all()
    on_lane = lane_clearance(scene.road_map, scene.agents.poses[rows, 0, :2]) < 0
    assert on_lane.any() and (len(rows) == 1) == (name == "parked_car")
    aside = np.setdiff1d(np.flatnonzero(np.isin(scene.agents.kinds, [AgentKind.CONE, AgentKind.BARRIER])), rows)
    places = [scene.agents.poses[row, scene.agents.valid[row]][0, :2] for row in aside]
    assert not places or (lane_clearance(scene.road_map, np.array(places)) > 0).all()
    waited = scene.ego_velocities[:, 0].min() < 0.3
    assert offsets.max() > 0.8 or waited
    assert load_scenario(name).ability is Ability.OVERTAKING and load_scenario(name).edge_case is edge_case


def test_cyclist_rides_slowly_at_the_kerb(log_of):
    scene = log_of("cyclist", SEED)
    row = _cue_rows(scene)[0]
    assert scene.agents.kinds[row] == AgentKind.BICYCLE
    speed = np.hypot(*scene.agents.velocities[row, scene.agents.valid[row]].T)
    assert (speed > 2.0).all() and (speed < 3.7).all()


def test_siren_is_behind_at_the_cue_and_the_ego_stops_at_the_edge(log_of):
    scene = log_of("emergency_vehicle", SEED)
    row, step = _cue_rows(scene)[0], int(scene.tags["cue_step"])
    assert scene.agents.kinds[row] == AgentKind.EMERGENCY
    assert (scene.agents.lights[row, scene.agents.valid[row]] & Lights.BEACON).all()
    x, y, heading = scene.ego_poses[step]
    offset = scene.agents.poses[row, step, :2] - [x, y]
    assert -51.0 < offset @ [np.cos(heading), np.sin(heading)] < -20.0
    slowest = int(scene.ego_velocities[step : step + 50, 0].argmin()) + step
    assert scene.ego_velocities[slowest, 0] < 1.5 and _offsets(scene)[slowest] < -0.15
