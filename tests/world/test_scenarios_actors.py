"""Scenarios with scripted actors: that the staged thing happens as told. That it decides the plan: test_criterion."""

import numpy as np
import pytest

from eyesup.types import AgentKind, CueKind, Lights, SignalState
from eyesup.world.language import SEEN_PX
from eyesup.world.render import Renderer
from eyesup.world.render.labels import count_pixels
from eyesup.world.rigs import front3
from eyesup.world.twins import scene_route
from eyesup.world.twins.criterion import cue_keyframe

SEED = 11  # as other tests, which share the logs
STAGED = ("pedestrian_crossing", "crossing_cyclist", "pedestrian_dart_out", "cut_in", "pull_out", "red_light_runner",
          "emergency_crossing", "following", "bus_stop")  # fmt: skip
HARDEST_MPS2 = 7.1


@pytest.fixture(scope="session")
def cue_of(log_of):
    """A log, and its cue on the route: (T,) arc length, offset, speed and lights of the agent, and the step of the cue."""

    def measure(name, seed):
        scene = log_of(name, seed)
        route, row = scene_route(scene), list(scene.agents.ids).index(scene.cue.id)
        poses, agents = scene.agents.poses[row], scene.agents
        offset = poses[:, None, :2] - route.xy
        near = (offset**2).sum(-1).argmin(axis=1)
        cos, sin = np.cos(route.headings[near]), np.sin(route.headings[near])
        dx, dy = offset[np.arange(len(near)), near].T
        places = 0.5 * near + dx * cos + dy * sin
        speeds = np.hypot(*agents.velocities[row].T)
        return scene, places, dy * cos - dx * sin, speeds, agents.lights[row], int(scene.tags["cue_step"])

    return measure


def _ego_front(scene):
    route = scene_route(scene)
    reach = scene.vehicle.rear_axle_to_center_m + scene.vehicle.length_m / 2
    return np.array([route.project(*pose) for pose in scene.ego_poses]) + reach


@pytest.mark.parametrize("name", STAGED)
def test_cue_is_an_agent_and_nobody_brakes_harder_than_a_car_can(log_of, name):
    scene = log_of(name, SEED)
    assert scene.cue.kind is CueKind.AGENT
    assert scene.cue.id in scene.agents.ids
    assert scene.ego_accelerations[:, 0].min() > -HARDEST_MPS2


@pytest.mark.parametrize("name", ["pedestrian_crossing", "crossing_cyclist", "pedestrian_dart_out"])
def test_somebody_stands_then_crosses_and_the_ego_lets_them(cue_of, name):
    scene, places, lateral, speeds, _, step = cue_of(name, SEED)
    started = int(np.flatnonzero(speeds > 0)[0])
    assert abs(lateral[started - 1]) > 2.0 and started <= step + 1  # off the ego's way, and standing until then
    crossing = np.abs(lateral) < 1.0
    assert crossing.any() and np.sign(lateral[0]) == -np.sign(lateral[-1])
    front = _ego_front(scene)
    rear = front - scene.vehicle.length_m
    assert ((front < places) | (rear > places))[crossing].all()


def test_whoever_crosses_walks_through_nobody(log_of):
    for seed in (0, 3):  # somebody stood in the way there once
        scene = log_of("pedestrian_crossing", seed)
        agents, row = scene.agents, list(scene.agents.ids).index(scene.cue.id)
        people = [other for other in np.flatnonzero(agents.kinds == AgentKind.PEDESTRIAN) if other != row]
        apart = np.hypot(*np.moveaxis(agents.poses[people, :, :2] - agents.poses[row, :, :2], -1, 0))
        assert len(people) and apart[agents.valid[people] & agents.valid[row]].min() > 0.6


def test_bystanders_of_a_crossing_never_move(log_of):
    for name in ("pedestrian_crossing", "pedestrian_dart_out"):
        agents = log_of(name, SEED).agents
        people = np.flatnonzero(agents.kinds == AgentKind.PEDESTRIAN)
        still = [row for row in people if np.ptp(agents.poses[row][agents.valid[row]], axis=0).max() == 0.0]
        for row in still:
            assert np.abs(agents.velocities[row]).max() == 0.0


def test_cyclist_that_leaves_the_lanes_sideways_rides_on(cue_of):
    _, _, lateral, speeds, _, _ = cue_of(
        "crossing_cyclist", 13
    )  # SUMO crashed here while it was still told where it goes
    assert np.sign(lateral[0]) == -np.sign(lateral[-1]) and speeds[-1] == 0.0


def test_person_who_darts_out_comes_from_behind_a_standing_car(cue_of):
    scene, places, lateral, _, _, _ = cue_of("pedestrian_dart_out", SEED)
    agents, route = scene.agents, scene_route(scene)
    standing = [
        row for row in np.flatnonzero(np.isin(agents.kinds, [AgentKind.CAR, AgentKind.VAN]))
        if not np.abs(agents.velocities[row]).any()
    ]  # fmt: skip
    x, y, heading = route.at(places[0])
    here = np.array([x - lateral[0] * np.sin(heading), y + lateral[0] * np.cos(heading)])
    assert min(np.hypot(*(agents.poses[row, 0, :2] - here)) - agents.sizes[row, 0] / 2 for row in standing) < 1.5


def test_car_that_cuts_in_leaves_the_lane_beside_at_the_cue_with_its_indicator_lit(cue_of):
    _, _, lateral, speeds, lights, step = cue_of("cut_in", SEED)
    assert np.abs(np.abs(lateral[: step + 1]) - np.abs(lateral[0])).max() < 0.3
    assert abs(lateral[0]) > 2.5 and np.abs(lateral[step + 35]) < 0.5
    indicator = Lights.RIGHT if lateral[0] > 0 else Lights.LEFT
    assert (lights[step + 1 : step + 15] & indicator).all() and not (lights[:step] & indicator).any()
    assert speeds[step] > 2.0


def test_parked_car_pulls_out_at_the_cue(cue_of):
    _, places, lateral, speeds, lights, step = cue_of("pull_out", SEED)
    assert not speeds[: step + 1].any() and lateral[step] < -2.8
    assert (lights[step + 1 : step + 20] & Lights.LEFT).all() and not lights[:step].any()
    assert abs(lateral[step + 45]) < 0.5 and places[step + 45] > places[step] + 8.0


@pytest.mark.parametrize("name", ["red_light_runner", "emergency_crossing"])
def test_runner_crosses_on_red_while_the_ego_has_green(cue_of, name):
    scene, _, _, speeds, lights, step = cue_of(name, SEED)
    row = list(scene.agents.ids).index(scene.cue.id)
    pose, signals = scene.agents.poses[row, step], scene.signals
    ends = [scene.road_map.lane(lanes[0]).centerline[-1] for lanes in signals.stop_lane_ids]
    ahead = np.array([np.cos(pose[2]), np.sin(pose[2])])
    facing = -np.stack([np.cos(signals.poses[:, 3]), np.sin(signals.poses[:, 3])], -1) @ ahead
    distance = np.hypot(*(np.array(ends) - pose[:2]).T) + 1e3 * (facing < 0.8)
    assert signals.states[distance.argmin(), step] == SignalState.RED
    assert speeds[step : step + 20].min() > 4.0
    assert (scene.agents.kinds[row] == AgentKind.EMERGENCY) == (name == "emergency_crossing")
    assert ((lights[step : step + 20] & Lights.BEACON) > 0).all() == (name == "emergency_crossing")


def test_emergency_vehicle_that_crosses_is_in_plain_view_at_the_cue(log_of):
    scene = log_of("emergency_crossing", SEED)
    step = cue_keyframe(scene)
    with Renderer(front3()) as renderer:
        renderer.load(scene)
        shown = renderer.labels(step, depth=False).instances
    row = list(scene.agents.ids).index(scene.cue.id)
    assert count_pixels(scene.agents.ids, shown)[row].sum() >= SEEN_PX


def test_lead_that_is_followed_never_stops_and_the_ego_neither(cue_of):
    scene, places, _, speeds, _, step = cue_of("following", SEED)
    assert speeds[step : step + 30].min() > 1.0 and scene.ego_velocities[step : step + 30, 0].min() > 1.0
    assert (places - _ego_front(scene))[step] > 0


def test_bus_halts_with_its_indicator_lit_and_drives_on(cue_of):
    scene, _, _, speeds, lights, step = cue_of("bus_stop", SEED)
    row = list(scene.agents.ids).index(scene.cue.id)
    assert scene.agents.kinds[row] == AgentKind.BUS
    halted = np.flatnonzero(speeds[step:] < 0.05) + step
    assert len(halted) and (lights[halted[:10]] == Lights.RIGHT | Lights.BRAKE).all()
