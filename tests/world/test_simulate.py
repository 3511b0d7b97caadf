from dataclasses import fields, replace

import numpy as np
import pytest

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import AgentKind, DataError, Lights, Maneuver, SignalState
from eyesup.world.route import make_route
from eyesup.world.simulate import simulate
from eyesup.world.splits import BEND_SEEDS, TOWNS
from eyesup.world.twins import rollout, scene_route


@pytest.fixture(scope="module")
def scenes():
    return [
        simulate("free_drive", 3),
        simulate("red_light", 4, duration_s=12.0),
        simulate("lead_brakes", 5, "val", 12.0),
    ]


def _same(a, b):
    for name in ("ego_poses", "ego_velocities", "ego_accelerations", "ego_steerings", "route", "keyframes"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    for part in ("agents", "signals", "props"):
        for field in fields(getattr(a, part)):
            left, right = getattr(getattr(a, part), field.name), getattr(getattr(b, part), field.name)
            assert np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right, (part, field.name)
    assert a.tags == b.tags and a.cue == b.cue and a.maneuvers == b.maneuvers and a.appearance == b.appearance


def test_same_arguments_same_arrays_whatever_ran_before(scenes):
    _same(scenes[0], simulate("free_drive", 3))
    other = simulate("free_drive", 4, duration_s=8.0)
    assert not np.array_equal(other.ego_poses, scenes[0].ego_poses[: len(other)])


def test_towns_of_the_splits_are_disjoint():
    seeds = [{seed for _, seed in towns} for towns in TOWNS.values()]
    assert sum(map(len, seeds)) == len(set().union(*seeds))
    assert len(TOWNS["train"]) >= 6 and len(TOWNS["val"]) >= 2 and len(TOWNS["test"]) >= 4
    bends = [set(seeds) for seeds in BEND_SEEDS.values()]
    assert sum(map(len, bends)) == len(set().union(*bends))


def test_unedited_rollout_reproduces_the_log_bit_by_bit(scenes):
    for scene in scenes:
        for step in (0, 37):
            again, rows = rollout(scene, step, len(scene) - 1 - step), slice(step, None)
            assert np.array_equal(again.poses, scene.ego_poses[rows])
            assert np.array_equal(again.velocities, scene.ego_velocities[rows])
            assert np.array_equal(again.accelerations, scene.ego_accelerations[rows])
            assert np.array_equal(again.yaw_rates, scene.ego_yaw_rates[rows])
            assert np.array_equal(again.steerings, scene.ego_steerings[rows])


def test_keyframes_have_two_seconds_before_and_five_after(scenes):
    for scene in scenes:
        assert scene.keyframes[0] == 20
        assert len(scene) - 51 - scene.keyframes[-1] in range(5)
        assert (np.diff(scene.keyframes) == 5).all()


def test_ego_touches_nobody_and_crosses_no_red_light(scenes):
    for scene in scenes:
        vehicle, poses = scene.vehicle, scene.ego_poses
        ahead = np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], -1)
        centres = np.concatenate([poses[:, :2] + vehicle.rear_axle_to_center_m * ahead, poses[:, 2:]], -1)
        ego, agents = box_corners(centres, vehicle.length_m, vehicle.width_m), scene.agents
        boxes = box_corners(agents.poses, agents.sizes[:, None, 0], agents.sizes[:, None, 1])
        assert not (boxes_overlap(ego[None], boxes) & agents.valid).any()
        route = scene_route(scene)
        front = (
            np.array([route.project(*pose) for pose in poses]) + vehicle.rear_axle_to_center_m + vehicle.length_m / 2
        )
        ends = dict(zip(route.lane_ids, route.lane_end_s))
        for states, lanes in zip(scene.signals.states, scene.signals.stop_lane_ids):
            for stop in (ends[lane] for lane in lanes if lane in ends):
                crossing = np.flatnonzero((front[:-1] <= stop) & (front[1:] > stop))
                assert (states[crossing] != SignalState.RED).all()


def test_agents_are_near_lit_and_move_as_their_velocity_says(scenes):
    agents, ego = scenes[0].agents, scenes[0].ego_poses
    distance = np.where(agents.valid, np.hypot(*np.moveaxis(agents.poses[..., :2] - ego[:, :2], -1, 0)), np.inf)
    assert len(agents) > 5 and (distance.min(axis=1) < 100.0).all()
    vehicles = np.isin(agents.kinds, [kind for kind in AgentKind if kind.is_vehicle])
    standing = (
        agents.valid & (np.hypot(agents.velocities[..., 0], agents.velocities[..., 1]) < 0.05) & vehicles[:, None]
    )
    parked = agents.ids[standing.all(axis=1)]
    moving_once = standing & ~np.isin(agents.ids, parked)[:, None]
    assert ((agents.lights[moving_once] & Lights.BRAKE) > 0).all()
    both = agents.valid[:, :-1] & agents.valid[:, 1:] & vehicles[:, None]
    moved = np.diff(agents.poses[..., :2], axis=1)[both] / 0.1
    assert np.median(np.abs(moved - agents.velocities[:, 1:][both])) < 0.05


def test_commands_depend_on_the_route_alone(scenes):
    scene = scenes[0]
    route = make_route(scene.road_map, scene.route_lane_ids)
    assert scene.maneuvers == tuple(route.maneuver_at(route.project(*pose)) for pose in scene.ego_poses)
    assert all(isinstance(maneuver, Maneuver) for maneuver in scene.maneuvers)


def test_route_and_map_hold_the_whole_drive(scenes):
    for scene in scenes:
        route = scene_route(scene)
        lateral = [np.hypot(*(route.at(route.project(*pose))[:2] - pose[:2])) for pose in scene.ego_poses]
        assert max(lateral) < 0.6
        assert route.project(*scene.ego_poses[-1]) < route.length_m - 20.0


def test_errors_name_the_value_and_the_remedy(scenes):
    with pytest.raises(DataError, match="scenario 'lead' is unknown; choose one of free_drive"):
        simulate("lead", 0)
    with pytest.raises(DataError, match="split 'dev' is unknown; choose one of train"):
        simulate("free_drive", 0, "dev")
    with pytest.raises(DataError, match=r"duration 4.0 s is below 8.0 s"):
        simulate("free_drive", 0, duration_s=4.0)
    with pytest.raises(DataError, match="leave the log"):
        rollout(scenes[0], 190, 50)
    with pytest.raises(DataError, match="cruise_mps"):
        rollout(replace(scenes[0], tags={}), 20, 10)
