"""Samples of the embedded world: frames, times, masks."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from eyesup.data.world import WorldSource, cue_since_s
from eyesup.types import QA, CommandSource, Cue, CueKind, Maneuver
from eyesup.types.errors import DataError
from eyesup.world.ego_view import future_trajectory, history, map_in_frame
from eyesup.world.scene_io import Annotations
from eyesup.world.store import SceneStore, rig_to_json, scene_files, write_manifest


def test_one_sample_per_keyframe_in_order(hand_store):
    source = WorldSource(hand_store)
    assert len(source) == 6
    assert source.keys[:3] == ("train-0001-hand@20", "train-0001-hand@40", "train-0001-hand@60")
    assert [sample.key for sample in source] == list(source.keys)
    assert source[-1].key == source.keys[-1]
    with pytest.raises(IndexError):
        source[6]


def test_the_future_is_driven_ahead_in_the_ego_frame(hand_store):
    future = WorldSource(hand_store)[1].truth.future
    assert len(future) == 50 and future.dt_s == 0.1 and future.valid.all()
    np.testing.assert_allclose(future.poses[:, 0], 0.5 * np.arange(1, 51), atol=1e-9)  # 5 m/s along x
    np.testing.assert_allclose(future.poses[:, 1:], 0.0, atol=1e-9)


def test_the_history_is_newest_first_and_behind(hand_store):
    past = WorldSource(hand_store)[0].observation.history
    assert past.dt_s == -0.5 and past.valid.all()
    np.testing.assert_allclose(past.poses[:, 0], [-2.5, -5.0, -7.5, -10.0], atol=1e-9)


def test_poses_outside_the_log_are_masked(hand_scene):
    scene = hand_scene()
    assert history(scene, 12).valid.tolist() == [True, True, False, False]
    future = future_trajectory(scene, 80)
    assert future.valid.sum() == 39 and future.valid[:39].all() and np.isfinite(future.poses).all()


def test_agents_stand_in_the_ego_frame_and_far_ones_are_left_out(hand_store):
    agents = WorldSource(hand_store)[0].truth.agents  # step 20
    assert agents.ids.tolist() == [7, 9] and agents.steps == 51
    np.testing.assert_allclose(agents.poses[0, :, 0], 20.0 + 0.5 * np.arange(51), atol=1e-9)
    np.testing.assert_allclose(agents.velocities[0], np.tile([5.0, 0.0], (51, 1)), atol=1e-6)
    assert not agents.valid[1, :10].any() and agents.valid[1, 10:].all()  # the pedestrian appears at step 30
    np.testing.assert_allclose(agents.poses[1, 10], [28.0, 0.0, 0.7], atol=1e-9)


def test_status_command_and_tags(hand_store, hand_scene):
    sample = WorldSource(hand_store)[2]  # step 60
    scene = hand_scene("train-0001-hand", seed=0)
    assert sample.observation.command.maneuver is Maneuver.TURN_LEFT
    assert sample.observation.command.source is CommandSource.ROUTE and not sample.observation.privileged
    assert sample.observation.ego.velocity_mps == (5.0, 0.0)
    assert sample.observation.ego.steering_rad == scene.ego_steerings[60]
    tags = sample.truth.tags
    assert (tags["scenario"], tags["town"], tags["split"], tags["seed"], tags["twin"]) == (
        "hand",
        "paper",
        "train",
        1,
        "",
    )
    assert tags["cue_effect_valid"] is False and tags["cue_active"] is False  # no twin was driven at the last keyframe
    assert WorldSource(hand_store)[1].truth.tags["cue_active"] is True  # 2 m


@pytest.mark.parametrize(
    ("effect_m", "known", "times_s", "since_s"),
    [
        ((0, 3, 3, 0, 2), (1, 1, 1, 1, 1), (2.0, 2.5, 3.0, 3.5, 4.0), (None, 0.0, 0.5, None, 0.0)),
        ((3, 3, 0.9), (1, 1, 1), (2.0, 2.5, 3.0), (None, None, None)),  # nobody saw it begin
        ((0, 3, 3), (0, 1, 1), (2.0, 2.5, 3.0), (None, None, None)),  # unknown whether it began there
        ((0, 3, 3), (1, 1, 1), (2.0, 2.5, 4.0), (None, 0.0, None)),  # keyframes were left out
    ],
)
def test_the_time_since_the_cue_began_to_decide(effect_m, known, times_s, since_s):
    k = len(effect_m)
    annotations = replace(
        Annotations.empty(k, 0), cue_effect_m=np.array(effect_m, float), cue_effect_valid=np.array(known, bool)
    )
    assert tuple(cue_since_s(annotations, np.array(times_s), i) for i in range(k)) == since_s


def test_future_images_are_those_of_later_steps(hand_store):
    truth = WorldSource(hand_store)[0].truth
    assert truth.future_image_times_s.tolist() == [1.0, 2.0, 3.0] and truth.future_images_valid.all()
    reds = truth.future_images[:, 0, 0, 0, 0].astype(int)
    assert np.abs(reds - [30, 40, 50]).max() <= 2


def test_twins_are_apart_and_name_their_origin(hand_store):
    (twin,) = WorldSource(hand_store, twins="only")
    assert twin.key == "train-0001-hand~removed@40" and twin.truth.tags["twin"] == "removed"


def test_choosing_scenarios_and_keyframes(hand_store):
    assert len(WorldSource(hand_store, scenario="hand")) == 6
    active = WorldSource(hand_store, keyframes="cue_active")
    assert active.keys == ("train-0001-hand@40", "train-0002-hand@40")
    assert WorldSource(hand_store, keyframes="cue_inactive").keys == ("train-0001-hand@20", "train-0002-hand@20")
    with pytest.raises(DataError, match=r"no scenario \['red_ligth'\].*it holds \['hand'\]"):
        WorldSource(hand_store, scenario="red_ligth")


def test_samples_without_images_keep_everything_else_and_open_no_jpeg(hand_store, monkeypatch):
    whole = [WorldSource(hand_store, with_map=False)[row] for row in range(6)]
    monkeypatch.setattr(SceneStore, "images", lambda *_: pytest.fail("an image was decoded"))
    for row, light in enumerate(WorldSource(hand_store, images="none", with_map=False)):
        full = whole[row]
        assert light.key == full.key and light.truth.qa == full.truth.qa and light.truth.tags == full.truth.tags
        assert light.observation.ego == full.observation.ego and light.observation.command == full.observation.command
        assert light.observation.images.shape == full.observation.images.shape and not light.observation.images.any()
        np.testing.assert_array_equal(light.observation.history.poses, full.observation.history.poses)
        np.testing.assert_array_equal(light.truth.future.poses, full.truth.future.poses)
        np.testing.assert_array_equal(light.truth.agents.poses, full.truth.agents.poses)
        assert light.truth.future_images is None and light.truth.semantics is None


def test_present_images_come_with_labels_and_without_the_future(hand_store):
    whole, present = WorldSource(hand_store)[0], WorldSource(hand_store, images="present")[0]
    np.testing.assert_array_equal(present.observation.images, whole.observation.images)
    np.testing.assert_array_equal(present.truth.semantics, whole.truth.semantics)
    assert present.truth.future_images is None


def test_labelled_keyframes_are_those_with_stored_labels(hand_store, monkeypatch):
    assert len(WorldSource(hand_store, keyframes="labelled")) == 6
    monkeypatch.setattr(SceneStore, "has_labels", lambda _store, _key, step: step == 40)
    source = WorldSource(hand_store, keyframes="labelled")
    assert [source.place(row) for row in range(len(source))] == [("train-0001-hand", 40), ("train-0002-hand", 40)]


def test_the_place_of_a_twin_is_its_own_scene(hand_store):
    assert WorldSource(hand_store, twins="only").place(0) == ("train-0001-hand~removed@40", 40)


def test_without_truth_only_the_observation_is_built(hand_store):
    assert WorldSource(hand_store, with_truth=False)[0].truth is None


def test_the_map_follows_the_ego(hand_store, hand_scene):
    scene = hand_scene("train-0001-hand", seed=0)
    road_map = map_in_frame(scene.road_map, scene.ego_poses[0])
    np.testing.assert_allclose(road_map.lanes[0].centerline[:, 1], 0.0, atol=1e-9)
    np.testing.assert_allclose(road_map.lanes[0].centerline[:, 0], np.linspace(-20, 200, 23), atol=1e-9)
    assert "a_0" in {lane.id for lane in WorldSource(hand_store)[0].truth.road_map.lanes}
    assert WorldSource(hand_store, with_map=False)[0].truth.road_map is None


def test_a_source_can_be_sent_to_another_process(hand_store):
    source = WorldSource(hand_store)
    first = source[0].observation.images
    assert np.array_equal(pickle.loads(pickle.dumps(source))[0].observation.images, first)


def test_cue_effects_need_no_image(hand_store):
    for path in hand_store.glob("*.frames.arrow"):
        path.unlink()
    effects = WorldSource(hand_store).cue_effects()
    # the cue is agent 7 of which the store says 0 visible pixels, so nothing of its effect is to be seen
    assert effects == [("hand", 0.0)] * 6


def test_cue_effects_of_a_visible_cue(tmp_path, hand_scene, hand_rig, write_hand_scene):
    scene = hand_scene()
    scene = replace(scene, cue=Cue(CueKind.AGENT, 9))  # 1 pixel in every keyframe
    write_hand_scene(tmp_path, scene, hand_rig)
    write_manifest(tmp_path, [scene_files(tmp_path, scene.key)], {"rig": json.loads(rig_to_json(hand_rig))})
    assert WorldSource(tmp_path).cue_effects() == [("hand", 0.0), ("hand", 2.0), ("hand", 0.0)]  # the last is unknown


def test_questions_that_one_frame_cannot_answer_are_left_out(hand_store, monkeypatch):
    source = WorldSource(hand_store)
    order = QA("Which came into view first: a or b?", "a", "order", form="choice", needs_history=True)
    stored = source.store.annotations("train-0001-hand")
    asked = replace(stored, qa=tuple((*at_keyframe, order) for at_keyframe in stored.qa))
    monkeypatch.setattr(source.store, "annotations", lambda key: asked)
    assert [qa.question for qa in source[1].truth.qa] == ["Question 1?"]
