"""What becomes of a cue in each twin, on a hand-made straight road; the driving is tested in test_twins.py."""

from dataclasses import replace

import numpy as np
import pytest

from eyesup.types import Cue, CueKind, DataError, SignalState
from eyesup.world.agents_now import AgentsNow
from eyesup.world.stage import lane_clearance
from eyesup.world.twins import TwinKind, scene_route
from eyesup.world.twins.agents import edit_agents, moved_agents
from eyesup.world.twins.signals import edit_signal, moved_signal

STEP = 40
HEADING = 0.3
ALONG = np.array([np.cos(HEADING), np.sin(HEADING)])


@pytest.fixture
def pair(hand_scene):
    """The car ahead (id 7, 5 m/s) and the walker (id 9, standing) decide together."""
    scene = hand_scene()
    return replace(scene, cue=Cue(CueKind.AGENT, 7, (9, 99)))  # 99 was too far away to be recorded


@pytest.fixture
def oncoming(hand_scene):
    """The car comes towards us at 5 m/s from 60 m ahead."""
    scene = hand_scene()
    agents, t = scene.agents, 0.1 * np.arange(len(scene))[:, None]
    poses, velocities = agents.poses.copy(), agents.velocities.copy()
    poses[0, :, :2] = scene.ego_poses[0, :2] + (60.0 - 5.0 * t) * ALONG + 3.5 * np.array([-ALONG[1], ALONG[0]])
    poses[0, :, 2] = HEADING - np.pi
    velocities[0] = -5.0 * ALONG
    return replace(scene, agents=replace(agents, poses=poses, velocities=velocities), cue=Cue(CueKind.AGENT, 7))


def with_signal(scene, states):
    shown = np.broadcast_to(np.asarray(states, np.uint8), scene.signals.states.shape)
    tags = {**scene.tags, "cue_step": 30}
    return replace(scene, signals=replace(scene.signals, states=shown), cue=Cue(CueKind.SIGNAL, 3), tags=tags)


def test_all_agents_of_the_cue_go(pair):
    assert edit_agents(pair, STEP, TwinKind.CUE_REMOVED).agents.ids.tolist() == [11]


def test_a_cue_that_the_scene_does_not_hold_is_an_error(pair):
    with pytest.raises(DataError, match="agent 99"):
        edit_agents(replace(pair, cue=Cue(CueKind.AGENT, 99)), STEP, TwinKind.CUE_REMOVED)


def test_beside_the_road_they_stand_as_they_stood_to_each_other(pair):
    agents = edit_agents(pair, STEP, TwinKind.CUE_OFF_PATH).agents
    before = pair.agents.poses[:2, STEP, :2]
    after = agents.poses[:2, STEP, :2]
    assert after[1] - after[0] == pytest.approx(before[1] - before[0], abs=0.02)
    assert (agents.poses[:2] == agents.poses[:2, :1]).all() and not agents.velocities[:2].any()
    assert np.array_equal(agents.sizes, pair.agents.sizes) and np.array_equal(agents.valid, pair.agents.valid)
    assert lane_clearance(pair.road_map, after).min() > 0.6 + 0.25  # half a walker
    assert np.array_equal(agents.poses[2], pair.agents.poses[2])
    across = np.array([ALONG[1], -ALONG[0]])  # to the right
    assert (after - before) @ across == pytest.approx(np.full(2, 4.5), abs=0.02)  # room enough at the nearest place
    assert agents.poses[0, STEP, 2] == pytest.approx(HEADING, abs=1e-3)
    assert agents.poses[1, STEP, 2] == pytest.approx(1.0, abs=1e-3)  # who stood keeps looking where he looked


def test_no_two_things_stand_in_one_place_beside_the_road(pair):
    alone = replace(pair, cue=Cue(CueKind.AGENT, 7))
    place = edit_agents(alone, STEP, TwinKind.CUE_OFF_PATH).agents.poses[0, STEP]
    poses = pair.agents.poses.copy()
    poses[2] = place
    taken = replace(alone, agents=replace(pair.agents, poses=poses))
    other = edit_agents(taken, STEP, TwinKind.CUE_OFF_PATH).agents.poses[0, STEP]
    assert np.hypot(*(other - place)[:2]) > 2.0


def test_in_the_sky_they_keep_size_and_place_and_are_no_obstacle(pair):
    agents = edit_agents(pair, STEP, TwinKind.CUE_IN_SKY).agents
    assert np.array_equal(agents.poses, pair.agents.poses) and np.array_equal(agents.sizes, pair.agents.sizes)
    distance = 20.0 - 1.7  # from the camera to the car
    assert agents.bottom_z[0] == pytest.approx(np.full(120, max(3.0, 1.5 + distance * np.tan(np.deg2rad(8.0)))))
    assert (agents.bottom_z[1] >= 3.0).all() and not agents.bottom_z[2].any()
    assert len(AgentsNow.of(pair.agents, STEP)) == 3 and len(AgentsNow.of(agents, STEP)) == 1


def test_what_stands_or_drives_with_us_is_moved_along_the_route(pair):
    twin = next(moved_agents(pair, STEP))
    shift = twin.agents.poses - pair.agents.poses
    assert twin.tags["cue_moved_m"] == 8.0
    assert shift[0, :, :2] == pytest.approx(np.tile(8.0 * ALONG, (120, 1)), abs=1e-6)
    assert shift[1, 30:, :2] == pytest.approx(np.tile(8.0 * ALONG, (90, 1)), abs=1e-6)
    assert not shift[1, :30].any() and not shift[2].any()  # absent then; not part of the cue


def test_a_place_that_is_taken_is_not_moved_to(pair):
    poses = pair.agents.poses.copy()
    poses[2] = poses[0] + np.array([*(11.0 * ALONG), 0.0])  # a truck of 8 m right ahead of the car
    crowded = replace(pair, agents=replace(pair.agents, poses=poses), cue=Cue(CueKind.AGENT, 7))
    assert next(moved_agents(crowded, STEP)).tags["cue_moved_m"] == 4.0


def test_what_comes_towards_us_comes_later(oncoming):
    twin = next(moved_agents(oncoming, STEP))
    assert twin.tags["cue_moved_s"] == 1.5
    assert np.array_equal(twin.agents.poses[0, 15:], oncoming.agents.poses[0, :-15])
    assert (
        not twin.agents.velocities[0, :15].any() and (twin.agents.velocities[0, 15:] == -5 * ALONG.astype("f4")).all()
    )
    assert np.array_equal(twin.agents.poses[1:], oncoming.agents.poses[1:])


def test_a_light_without_its_change_stays_as_it_was(hand_scene):
    turns_red, turns_green = np.full(120, SignalState.GREEN), np.full(120, SignalState.RED)
    turns_red[30:], turns_green[30:] = SignalState.RED, SignalState.GREEN
    to_red, to_green = with_signal(hand_scene(), turns_red), with_signal(hand_scene(), turns_green)
    assert (edit_signal(to_red, STEP, TwinKind.CUE_REMOVED).signals.states == SignalState.GREEN).all()
    assert (edit_signal(to_green, STEP, TwinKind.CUE_REMOVED).signals.states == SignalState.RED).all()
    beside = edit_signal(to_green, STEP, TwinKind.CUE_OFF_PATH).signals
    assert (beside.states[0] == SignalState.RED).all() and beside.states[1].tolist() == turns_green.tolist()
    assert beside.stop_lane_ids == (("a_0",), ())


def test_a_light_at_which_we_wait_changes_later(hand_scene):
    states = np.full(120, SignalState.RED)
    states[30:] = SignalState.GREEN
    scene = with_signal(hand_scene(), states)
    waiting = replace(scene, ego_poses=scene.ego_poses + np.array([*(195.0 * ALONG), 0.0]))  # the lane ends at 220 m
    twin = next(moved_signal(waiting, STEP))
    assert twin.tags["cue_moved_s"] == 1.5
    assert twin.signals.states[0, :45].tolist() == [SignalState.RED] * 45 and (twin.signals.states[0, 45:] == 1).all()


@pytest.mark.parametrize("sign", [SignalState.STOP_SIGN, SignalState.YIELD_SIGN])
def test_a_sign_goes_stands_apart_or_hangs_in_the_sky(hand_scene, sign):
    scene = with_signal(hand_scene(), sign)
    assert len(edit_signal(scene, STEP, TwinKind.CUE_REMOVED).signals) == 0
    for kind in (TwinKind.CUE_OFF_PATH, TwinKind.CUE_IN_SKY):
        signals = edit_signal(scene, STEP, kind).signals
        assert len(signals) == 1 and signals.stop_lane_ids == ((),) and (signals.states == sign).all()
        assert signals.ids[0] != 3 and signals.poses[0, 3] == scene.signals.poses[0, 3]
        moved = signals.poses[0] - scene.signals.poses[0]
        if kind is TwinKind.CUE_OFF_PATH:
            assert lane_clearance(scene.road_map, signals.poses[:, :2])[0] > 1.0 and moved[2] == 0
        else:
            # 60 m from where the ego began, 20 m of which it has driven, less the camera's place; and half a head
            height = 1.5 + (60.0 - 20.0 - 1.7) * np.tan(np.deg2rad(8.0)) + 1.2
            assert not moved[:2].any() and signals.poses[0, 2] == pytest.approx(height)


def test_a_moved_sign_takes_its_stop_line_along(hand_scene):
    scene = with_signal(hand_scene(), SignalState.STOP_SIGN)
    twin = next(moved_signal(scene, STEP))
    assert twin.tags["cue_moved_m"] == -6.0 and twin.route_lane_ids == ("a_0", "a_0#rest", "b_0")
    first, rest = twin.road_map.lane("a_0"), twin.road_map.lane("a_0#rest")
    assert first.successors == ("a_0#rest",) and rest.successors == ("b_0",)
    assert np.linalg.norm(np.diff(rest.centerline, axis=0), axis=1).sum() == pytest.approx(6.0)
    assert np.array_equal(first.centerline[-1], rest.centerline[0])
    moved, right = twin.signals.poses[0, :2] - scene.signals.poses[0, :2], np.array([ALONG[1], -ALONG[0]])
    assert moved @ ALONG == pytest.approx(-6.0) and moved @ right == pytest.approx(
        3.0
    )  # off the lane of 3.5 m by over 1 m
    assert twin.signals.stop_points[0] - scene.signals.stop_points[0] == pytest.approx(-6.0 * ALONG)
    shifted = twin.road_map.stop_lines[0].points - scene.road_map.stop_lines[0].points
    assert shifted == pytest.approx(np.tile(-6.0 * ALONG, (2, 1)))
    before, after = scene_route(scene), scene_route(twin)
    assert after.lane_end_s[0] == pytest.approx(before.lane_end_s[0] - 6.0, abs=0.01)
    assert after.xy == pytest.approx(before.xy, abs=1e-6)


def test_a_sign_at_which_we_stand_cannot_be_moved(hand_scene):
    scene = with_signal(hand_scene(), SignalState.STOP_SIGN)
    there = replace(scene, ego_poses=scene.ego_poses + np.array([*(190.0 * ALONG), 0.0]))
    with pytest.raises(DataError, match="at the sign;"):
        next(moved_signal(there, STEP))
