"""NAVSIM's scenes as Samples, Scenes and inputs of the PDM score."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup.data.navsim.inputs import join_tracks, scene_inputs
from eyesup.data.navsim.logs import Tracks, read_log
from eyesup.data.navsim.source import NavsimSource, Roots
from eyesup.data.navsim.splits import SceneFilter, find_split
from eyesup.data.source import SampleSource
from eyesup.scoring.pdm import prepare, score
from eyesup.types import Maneuver
from eyesup.types.errors import DataError

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuplan"
DATA = GOLDEN / "minimal_navsim"
ROOTS = Roots(DATA, GOLDEN / "minimal_maps")
SPLIT = find_split("own_world", [DATA / "config"])
TOKENS = ("ed72d43af2638a03", "3f52cef2fd527b8e", "046f6e5c996f0e37")


@pytest.fixture(scope="module")
def source() -> NavsimSource:
    return NavsimSource(ROOTS, SPLIT, with_map=True)


def with_rules(**rules: object) -> NavsimSource:
    return NavsimSource(ROOTS, replace(SPLIT, scene_filter=replace(SPLIT.scene_filter, **rules)))


def test_scenes_are_the_official_ones(source: NavsimSource):
    assert isinstance(source, SampleSource)
    assert source.keys == TOKENS  # 16 frames less 3 before and 10 after
    assert pickle.loads(pickle.dumps(source)).keys == TOKENS


def test_filters():
    assert with_rules(frame_interval=None).keys == TOKENS[:1]
    assert with_rules(tokens=TOKENS[1:2]).keys == TOKENS[1:2]
    assert with_rules(max_scenes=2).keys == TOKENS[:2]
    assert len(with_rules(num_future_frames=8)) == 5
    with pytest.raises(DataError, match="0 scenes in"):
        with_rules(num_future_frames=13)
    assert NavsimSource(ROOTS, SPLIT, every=2).keys == TOKENS[::2]


def test_what_the_split_names_must_be_there():
    with pytest.raises(DataError, match=r"scene other: the split names it, but no log in .* has it; download the rest"):
        with_rules(tokens=(TOKENS[1], "other"))
    rules = replace(SPLIT.scene_filter, tokens=(TOKENS[1], "other"))
    source = NavsimSource(ROOTS, replace(SPLIT, scene_filter=rules), keep_going=True)
    assert source.keys == TOKENS[1:2] and list(source.failures) == ["other"]
    with pytest.raises(DataError, match=r"2020\.pkl: the split's log is not there"):
        with_rules(log_names=("2020",))


def test_a_sample(source: NavsimSource):
    sample = source[0]
    seen, truth = sample.observation, sample.truth
    assert truth is not None and truth.road_map is not None
    assert seen.rig.names == ("front_left", "front", "front_right") and seen.images.shape == (1, 3, 36, 64, 3)
    assert seen.ego.velocity_mps == (8.0, 0.0) and seen.command.maneuver is Maneuver.KEEP_FORWARD
    assert not seen.privileged
    assert np.allclose(seen.history.poses[:3], [[-4, 0, 0], [-8, 0, 0], [-12, 0, 0]])
    assert seen.history.valid.tolist() == [True, True, True, False]
    assert np.allclose(truth.future.xy, np.column_stack([4.0 * np.arange(1, 11), np.zeros(10)]))
    assert truth.future.dt_s == 0.5
    assert np.allclose(truth.agents.poses[0, 2], [38.0, 0.0, 0.0])  # the car 30 m ahead, as fast as we, a second later
    assert len(truth.agents) == 3  # the fourth stays beyond 80 m


def test_images_are_only_opened_where_asked_for(tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    for path in (data / "sensor_blobs").rglob("*.jpg"):
        path.write_bytes(b"no image")
    blind = NavsimSource(Roots(data, ROOTS.maps), SPLIT, images=False)
    assert not blind[0].observation.images.any()
    with pytest.raises(DataError, match=r"\.jpg: image cannot be decoded"):
        blind.showing(True)[0]


def test_images_can_be_scaled(source: NavsimSource):
    small = NavsimSource(ROOTS, SPLIT, {"CAM_B0": "back"}, size_px=(32, 18))[0].observation
    assert small.rig.names == ("back",) and small.images.shape == (1, 1, 18, 32, 3)
    whole = NavsimSource(ROOTS, SPLIT, {"CAM_B0": "back"})[0].observation
    assert np.allclose(small.rig.cameras[0].intrinsics[:2], whole.rig.cameras[0].intrinsics[:2] / 2)


def test_as_a_scene(source: NavsimSource):
    scene = source.scene(TOKENS[0])
    assert len(scene) == 14 and scene.dt_s == 0.5
    assert np.allclose(scene.ego_poses[3], 0.0) and np.allclose(scene.ego_poses[5], [8.0, 0.0, 0.0])
    assert scene.keyframes.tolist() == [3]
    assert len(scene.road_map.lanes) > 10


def test_inputs_of_the_score(source: NavsimSource):
    inputs = source.inputs(TOKENS[0])
    assert inputs.speed_limit_mps == pytest.approx(13.4)
    assert inputs.agent_poses.shape == (4, 11, 3) and inputs.agent_seen.all()
    assert inputs.agent_types == ("VEHICLE", "VEHICLE", "PEDESTRIAN", "TRAFFIC_CONE")
    assert len(inputs.red_lane_ids) == 11 and not any(inputs.red_lane_ids)
    assert np.allclose(inputs.human[-1], [32.0, 0.0, 0.0])
    assert inputs.ego_times_us.tolist() == [1704106800000000 + 500000 * i for i in range(4)]


def test_bad_plans_lose_what_the_official_code_takes(source: NavsimSource):
    """The same three checks as made with the official scripts on this scene: off the road, at a red light, oncoming."""
    inputs = source.inputs(TOKENS[0])
    t = 0.5 * np.arange(1, 9)
    straight = np.column_stack([8 * t, 0 * t, 0 * t])
    aside = np.column_stack([8 * t, np.clip(-4 * t, -12, 0), 0 * t])
    oncoming = np.column_stack([8 * t, np.clip(3 * t, 0, 8), 0 * t])
    plans = np.stack([straight, aside, oncoming])[None]
    values = score(plans, [prepare(inputs)], "v2").subscores
    assert values["drivable_area_compliance"][0].tolist() == [1.0, 0.0, 1.0]
    assert values["driving_direction_compliance"][0, 0] == 1.0 and values["driving_direction_compliance"][0, 2] < 1.0
    # The connectors of roadblock connector 1391 lead straight on, 60 m ahead: too far for 4 s at 8 m/s, not at 16 m/s.
    window, city = source.window(TOKENS[0]), source.city(source.window(TOKENS[0]))
    red = tuple((lane, True) for lane in city.blocks["1391"].lane_ids)
    frames = tuple(replace(frame, lights=red) for frame in window.frames)
    lit = prepare(scene_inputs(replace(window, frames=frames), city))
    fast = np.stack([straight, straight * [2.2, 1, 1]])[None]
    assert score(fast, [lit], "v2").subscores["traffic_light_compliance"][0].tolist() == [1.0, 0.0]


def test_lights_beyond_the_route_do_not_count(source: NavsimSource):
    window, city = source.window(TOKENS[0]), source.city(source.window(TOKENS[0]))
    on_route = {lane for block in window.now.route for lane in city.blocks[block].lane_ids}
    red = tuple((lane.id, True) for lane in city.lanes.values() if lane.is_connector)
    frames = tuple(replace(frame, lights=red) for frame in window.frames)
    inputs = scene_inputs(replace(window, frames=frames), city)
    assert inputs.red_lane_ids[0] and set(inputs.red_lane_ids[0]) <= on_route


def test_tracks_are_joined_by_their_token():
    def moment(**tracks: tuple[str, float]) -> Tracks:
        rows = list(tracks.values())
        return Tracks(
            tuple(tracks), tuple(kind for kind, _ in rows), np.array([[x, 0.0, 0.0] for _, x in rows]).reshape(-1, 3),
            np.ones((len(rows), 2)), np.tile([4.0, 2.0, 1.5], (len(rows), 1)), np.full(len(rows), 0.75),
        )  # fmt: skip

    joined = join_tracks([moment(a=("vehicle", 1.0)), moment(), moment(b=("traffic_cone", 5.0), a=("vehicle", 3.0))])
    assert joined.tokens == ("a", "b") and joined.types == ("VEHICLE", "TRAFFIC_CONE")
    assert joined.seen.tolist() == [[True, False, True], [False, False, True]]
    assert joined.poses[0, :, 0].tolist() == [1.0, 0.0, 3.0]
    assert joined.velocities[0, 2].tolist() == [1.0, 1.0] and joined.velocities[1, 2].tolist() == [0.0, 0.0]


def test_a_broken_log_stops_or_is_counted(tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    folder = data / "navsim_logs" / "mini"
    (folder / "broken.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match=r"broken\.pkl: refused"):
        NavsimSource(Roots(data, ROOTS.maps), SPLIT)
    source = NavsimSource(Roots(data, ROOTS.maps), SPLIT, keep_going=True)
    assert source.keys == TOKENS
    assert list(source.failures) == [str(folder / "broken.pkl")]


def test_what_is_missing_is_named(source: NavsimSource, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match="has no scene 'x'"):
        source.window("x")
    with pytest.raises(DataError, match=r"navsim_logs/mini: no such folder|mini: no such folder"):
        NavsimSource(Roots(GOLDEN), SPLIT)
    with pytest.raises(DataError, match=r"no folder of maps given; set NUPLAN_MAPS_ROOT"):
        NavsimSource(Roots(DATA), SPLIT).inputs(TOKENS[0])
    with pytest.raises(DataError, match="camera \\['CAM_X'\\] is not NAVSIM's"):
        NavsimSource(ROOTS, SPLIT, {"CAM_X": "x"})
    monkeypatch.delenv("OPENSCENE_DATA_ROOT", raising=False)
    with pytest.raises(DataError, match="OPENSCENE_DATA_ROOT is not set"):
        Roots.from_environment()


def test_nothing_after_now_reaches_the_observation(source: NavsimSource):
    window = source.window(TOKENS[0])
    moved = tuple(
        replace(frame, pose=frame.pose + 5.0, velocity=frame.velocity * 0, command="left", lights=(), tracks=None)
        for frame in window.future
    )
    other = source.observation(replace(window, frames=(*window.past, *moved)))
    ours = source.observation(window)
    assert np.array_equal(other.images, ours.images) and np.array_equal(other.history.poses, ours.history.poses)
    assert (other.ego, other.command) == (ours.ego, ours.command)


def test_no_frame_rule_for_synthetic_scenes_without_folder():
    with pytest.raises(DataError, match=r"synthetic_scene_pickles: no such folder; .*--synthetic"):
        with_rules(include_synthetic_scenes=True)


def test_frames_of_the_log_are_half_a_second_apart():
    times = [frame.time_us for frame in read_log(next((DATA / "navsim_logs" / "mini").glob("*.pkl")))]
    assert set(np.diff(times)) == {500_000}
    assert SceneFilter().num_frames == 14
