"""What happens in the scenarios at junctions; that their cues decide is tested in test_criterion.py."""

import numpy as np
import pytest

from eyesup.types import CueKind, SignalState
from eyesup.world.splits import BEND_SEEDS, CROSSING_SEEDS, MERGE_SEEDS, TOWNS
from eyesup.world.twins import scene_route

SEED = 11
RIVALS = ("oncoming_left_turn", "give_way", "merge")


def _fronts(scene):
    route = scene_route(scene)
    front_m = scene.vehicle.rear_axle_to_center_m + scene.vehicle.length_m / 2
    return np.array([route.project(*pose) for pose in scene.ego_poses]) + front_m


def _stop_of(scene, signal_id):
    """Row of a signal and where its stop line lies on the route."""
    row = list(scene.signals.ids).index(signal_id)
    route = scene_route(scene)
    ends = dict(zip(route.lane_ids, route.lane_end_s))
    return row, min(ends[lane] for lane in scene.signals.stop_lane_ids[row] if lane in ends)


def test_the_ego_comes_to_rest_at_the_stop_sign(log_of):
    scene = log_of("stop_sign", SEED)
    row, stop = _stop_of(scene, scene.cue.id)
    assert (scene.signals.states[row] == SignalState.STOP_SIGN).all()
    fronts, speeds = _fronts(scene), scene.ego_velocities[:, 0]
    crossing = np.flatnonzero((fronts[:-1] <= stop) & (fronts[1:] > stop))
    at_line = (fronts > stop - 3.0) & (fronts <= stop)
    assert at_line.any() or not len(crossing)
    if len(crossing):
        assert speeds[at_line].min() < 0.01
    else:
        assert speeds[-1] < speeds[int(scene.tags["cue_step"])]  # still on its way there


def test_the_light_is_red_until_it_lets_the_ego_go(log_of):
    scene = log_of("green_light", SEED)
    row, stop = _stop_of(scene, scene.cue.id)
    states, step = scene.signals.states[row], int(scene.tags["cue_step"])
    assert (states[:step] == SignalState.RED).all() and (states[step : step + 20] == SignalState.GREEN).all()
    fronts = _fronts(scene)
    assert fronts[step] < stop < fronts[-1]


@pytest.mark.parametrize("name", RIVALS)
def test_the_other_car_goes_first(name, log_of):
    """Where the ways of the two meet it was there before the ego, and they never touched."""
    scene = log_of(name, SEED)
    assert scene.cue.kind is CueKind.AGENT
    row = list(scene.agents.ids).index(scene.cue.id)
    there, valid = scene.agents.poses[row], scene.agents.valid[row]
    centres = scene.ego_poses[:, :2] + scene.vehicle.rear_axle_to_center_m * np.stack(
        [np.cos(scene.ego_poses[:, 2]), np.sin(scene.ego_poses[:, 2])], axis=-1
    )
    apart = np.hypot(*(centres[valid] - there[valid, :2]).T)
    assert apart.min() > 2.0
    ours, theirs = np.flatnonzero(valid)[:, None], np.flatnonzero(valid)[None]
    close = np.hypot(*(centres[valid][:, None] - there[valid][None, :, :2]).transpose(2, 0, 1)) < 2.0  # of their tracks
    first = np.flatnonzero(close.any(axis=1))
    if len(first):  # else the log ends before the ego is there
        i = first[0]
        assert theirs[0, close[i].argmax()] < ours[i, 0]


@pytest.mark.parametrize("name", RIVALS)
def test_the_other_car_keeps_its_lane_and_moves_smoothly(name, log_of):
    scene = log_of(name, SEED)
    row = list(scene.agents.ids).index(scene.cue.id)
    valid = np.flatnonzero(scene.agents.valid[row])
    poses = scene.agents.poses[row, valid]
    moved = np.hypot(*np.diff(poses[:, :2], axis=0).T) / scene.dt_s
    speeds = np.hypot(*scene.agents.velocities[row, valid].T)
    assert np.abs(moved - speeds[:-1]).max() < 0.6
    segments = [(lane.centerline[:-1], lane.centerline[1:]) for lane in scene.road_map.lanes]
    starts, ends = (np.concatenate(part) for part in zip(*segments))
    for x, y in poses[::5, :2]:
        along = ends - starts
        share = np.clip((([x, y] - starts) * along).sum(1) / np.maximum((along**2).sum(1), 1e-9), 0, 1)
        assert np.hypot(*(starts + share[:, None] * along - [x, y]).T).min() < 0.3


def test_splits_share_no_town():
    for table in (CROSSING_SEEDS, MERGE_SEEDS, BEND_SEEDS):
        assert table.keys() == TOWNS.keys()
        seeds = [seed for part in table.values() for seed in part]
        assert len(set(seeds)) == len(seeds)
