import numpy as np
import pytest
import shapely

from eyesup.geometry.boxes import box_corners
from eyesup.types import DataError, SignalState
from eyesup.world.scenery import build_props
from eyesup.world.simulate import simulate
from eyesup.world.splits import load_town
from eyesup.world.stage import lane_clearance
from eyesup.world.twins import TwinKind, cue_effect, cue_effects, insert_obstacle, make_twin, scene_route


@pytest.fixture(scope="module")
def scenes():
    seeds = {"lead_brakes": 5, "red_light": 4, "curve": 2, "free_drive": 3}
    return {name: simulate(name, seed, duration_s=14.0) for name, seed in seeds.items()}


def _cue_keyframe(scene):
    return int(scene.keyframes[scene.keyframes >= scene.tags["cue_step"]][0])


def _end(scene, step):
    return scene.ego_poses[step + 30, :2]


@pytest.mark.parametrize("name", ["lead_brakes", "red_light", "curve"])
def test_twins_share_the_past_and_end_five_seconds_later(scenes, name):
    scene = scenes[name]
    step = _cue_keyframe(scene)
    for kind in TwinKind:
        if name == "curve" and kind is TwinKind.CUE_IN_SKY:
            with pytest.raises(DataError, match="no twin in the sky"):
                make_twin(scene, step, kind)
            continue
        twin = make_twin(scene, step, kind)
        assert len(twin) == step + 51 and twin.keyframes.tolist() == [step]
        assert twin.tags["twin"] == kind.value and twin.key != scene.key
        for array in ("ego_poses", "ego_velocities", "ego_accelerations", "ego_yaw_rates", "ego_steerings"):
            assert np.array_equal(getattr(twin, array)[: step + 1], getattr(scene, array)[: step + 1])
    identity = make_twin(scene, step, TwinKind.IDENTITY)
    assert np.array_equal(identity.ego_poses, scene.ego_poses[: step + 51])
    assert identity.maneuvers == scene.maneuvers[: step + 51]


@pytest.mark.parametrize(
    ("name", "fact"), [("lead_brakes", "cue_moved_m"), ("red_light", "cue_moved_m"), ("curve", None)]
)
def test_moved_cue_moves_the_plan_and_says_how_far_it_was_moved(scenes, name, fact):
    scene = scenes[name]
    step = _cue_keyframe(scene)
    twin = make_twin(scene, step, TwinKind.CUE_MOVED)
    assert np.linalg.norm(_end(twin, step) - _end(scene, step)) > 0.5
    along = np.array([np.cos(scene.ego_poses[step, 2]), np.sin(scene.ego_poses[step, 2])])
    farther = (_end(twin, step) - _end(scene, step)) @ along
    if fact:
        assert np.sign(farther) == np.sign(twin.tags[fact]) and abs(farther) <= abs(twin.tags[fact]) + 1e-6
    else:
        (left, right) = (log.ego_poses[step + 50, 1] - scene.ego_poses[step, 1] for log in (twin, scene))
        assert left * right < 0  # to the other side


@pytest.mark.parametrize("name", ["lead_brakes", "red_light", "curve"])
def test_cue_off_the_path_is_as_good_as_none_and_the_effect_is_the_distance_to_that(scenes, name):
    scene = scenes[name]
    step = _cue_keyframe(scene)
    removed, beside = (make_twin(scene, step, kind) for kind in (TwinKind.CUE_REMOVED, TwinKind.CUE_OFF_PATH))
    assert np.linalg.norm(_end(removed, step) - _end(beside, step)) < 0.1
    effect = np.linalg.norm(_end(removed, step) - _end(scene, step))
    assert effect > 1.0
    assert cue_effect(scene, step) == pytest.approx(effect, abs=1e-9)


def test_removed_agent_is_gone_and_the_moved_one_stands_on_the_verge(scenes):
    scene = scenes["lead_brakes"]
    step, cue = _cue_keyframe(scene), scene.cue.id
    assert cue not in make_twin(scene, step, TwinKind.CUE_REMOVED).agents.ids
    agents = make_twin(scene, step, TwinKind.CUE_OFF_PATH).agents
    (row,) = np.flatnonzero(agents.ids == cue)
    (before,) = np.flatnonzero(scene.agents.ids == cue)
    pose = agents.poses[row, step]
    assert np.array_equal(agents.sizes[row], scene.agents.sizes[before])
    assert (agents.poses[row] == pose).all() and (agents.velocities[row] == 0).all()
    assert 4.0 < np.hypot(*(pose - scene.agents.poses[before, step])[:2]) < 20.0
    route = scene_route(scene)
    x, y, heading = route.at(route.project(*pose))
    assert np.hypot(pose[0] - x, pose[1] - y) > 4.0
    assert np.cos(pose[2] - heading) > 0.99
    assert lane_clearance(scene.road_map, pose[None, :2])[0] > 0.5
    others = scene.agents.ids != cue
    assert np.array_equal(agents.poses[agents.ids != cue], scene.agents.poses[others][:, : step + 51])


def test_moved_signal_shows_our_red_but_controls_nothing(scenes):
    scene = scenes["red_light"]
    step = _cue_keyframe(scene)
    (row,) = np.flatnonzero(scene.signals.ids == scene.cue.id)
    removed = make_twin(scene, step, TwinKind.CUE_REMOVED).signals
    beside = make_twin(scene, step, TwinKind.CUE_OFF_PATH).signals
    assert (removed.states[row] == SignalState.GREEN).all() and (beside.states[row] == SignalState.GREEN).all()
    assert np.array_equal(beside.states[-1], scene.signals.states[row, : step + 51])
    assert beside.stop_lane_ids[-1] == () and len(set(beside.ids.tolist())) == len(beside.ids)
    assert beside.poses[-1, 3] == scene.signals.poses[row, 3]
    assert lane_clearance(scene.road_map, beside.poses[-1:, :2])[0] > 0


def test_straight_twin_replaces_the_road_ahead_only(scenes):
    scene = scenes["curve"]
    step = _cue_keyframe(scene)
    twin = make_twin(scene, step, TwinKind.CUE_REMOVED)
    straight, bend = twin.road_map.lane("main_0").centerline, scene.road_map.lane("main_0").centerline
    assert np.ptp(straight[:, 1]) < 0.01 < np.ptp(bend[:, 1])
    assert abs(twin.ego_poses[-1, 1] - straight[0, 1]) < 0.5
    decoy = make_twin(scene, step, TwinKind.CUE_OFF_PATH)
    assert any(lane.id.startswith("decoy") for lane in decoy.road_map.lanes)
    in_bend = int(scene.keyframes[scene.ego_poses[scene.keyframes, 0] > 5.0][0])
    with pytest.raises(DataError, match="in the bend"):
        make_twin(scene, in_bend, TwinKind.CUE_REMOVED)
    assert cue_effect(scene, in_bend) > 1.0


def test_nothing_stands_on_the_roads_that_replace_a_bend(scenes):
    scene = scenes["curve"]
    step, town = _cue_keyframe(scene), load_town(str(scene.tags["town_kind"]), int(scene.tags["town_seed"]))
    on_straight = []
    for kind in (TwinKind.CUE_REMOVED, TwinKind.CUE_OFF_PATH, TwinKind.CUE_MOVED):
        twin = make_twin(scene, step, kind)
        roads = shapely.union_all([shapely.Polygon(ring) for ring in twin.road_map.drivable])
        assert not shapely.intersects(roads, _footprints(twin.props)).any()
        on_straight.append(shapely.intersects(roads, _footprints(build_props(town.road_map, town.seed, scene.route))))
    assert np.any(on_straight)  # the bend's own scenery would be in the way


def _footprints(props):
    return shapely.polygons(box_corners(props.poses, props.sizes[:, 0], props.sizes[:, 1]))


def test_scene_without_cue_has_no_effect_and_no_twin(scenes):
    scene = scenes["free_drive"]
    assert not cue_effects(scene, scene.keyframes).any()
    with pytest.raises(DataError, match="no cue"):
        make_twin(scene, 20, TwinKind.CUE_REMOVED)
    with pytest.raises(DataError, match="the log ends"):
        make_twin(scene, len(scene) - 50, TwinKind.IDENTITY)


def test_obstacle_in_the_lane_shortens_the_plan_and_one_beside_it_does_not(scenes):
    scene = scenes["curve"]
    step = 20
    identity = make_twin(scene, step, TwinKind.IDENTITY)
    near, far = (insert_obstacle(scene, step, distance, 0.0) for distance in (8.0, 60.0))
    beside = insert_obstacle(scene, step, 8.0, -6.0)
    origin = scene.ego_poses[step, :2]
    driven = [np.linalg.norm(_end(log, step) - origin) for log in (near, far, identity)]
    assert driven[0] < driven[2] - 3.0
    assert driven[0] < driven[1] <= driven[2] + 1e-9
    assert np.array_equal(beside.ego_poses, identity.ego_poses)
    row = list(near.agents.ids).index(near.tags["obstacle_id"])
    gap = np.linalg.norm(near.agents.poses[row, step, :2] - origin) - 4.049 - near.agents.sizes[row, 0] / 2
    assert gap == pytest.approx(8.0, abs=0.1)
    with pytest.raises(DataError, match="must be a vehicle"):
        insert_obstacle(scene, step, -1.0)
