"""Questions about a hand-made scene whose picture is painted by hand: only what is visible is asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from eyesup.geometry.projection import project
from eyesup.geometry.se2 import points_to_frame
from eyesup.types import Lights, SemanticClass, SignalState
from eyesup.world.language import LAMP_PX, SEEN_PX, UNLIT_PX, look, questions, visible_pixels

STEP = 45  # the car ahead (id 7) is 20 m away and brakes; the pedestrian (id 9) stands ahead; a red light is in reach


class Picture:
    """Labels of two cameras, painted row by row."""

    def __init__(self, rig):
        width, height = rig.size_px
        self.semantics = np.full((len(rig), height, width), SemanticClass.ROAD, np.uint8)
        self.instances = np.zeros((len(rig), height, width), np.int32)
        self._next = 0

    def paint(self, agent_id, pixels, label=SemanticClass.VEHICLE):
        flat = slice(self._next, self._next + pixels)
        self.semantics[0].reshape(-1)[flat] = label
        self.instances[0].reshape(-1)[flat] = agent_id + 1
        self._next += pixels
        return self

    def light(self, scene, rig, label, pixels=4):
        xy = points_to_frame(scene.signals.poses[0, :2], scene.ego_poses[STEP])
        (u, v), _ = project(np.array([*xy, scene.signals.poses[0, 2]]), rig.cameras[0])
        self.semantics[0, int(v), int(u) : int(u) + pixels] = label
        return self


def ask(scene, rig, picture, seed=0):
    return questions(scene, STEP, rig, picture.semantics, picture.instances, seed)


def answers(scene, rig, picture, kind, seeds=range(60)):
    """Question -> set of answers over many seeds."""
    found: dict[str, set[str]] = {}
    for seed in seeds:
        for qa in ask(scene, rig, picture, seed):
            if qa.kind == kind:
                found.setdefault(qa.question, set()).add(qa.answer)
    return found


def test_pixels_are_counted_over_all_cameras():
    instances = np.zeros((2, 3, 4), np.int32)
    instances[0, 0, :3], instances[1, 2, 1] = 8, 8
    assert visible_pixels(np.array([7, 9]), instances).tolist() == [4, 0]


def test_a_seen_lead_vehicle_is_reported_with_its_lamps(hand_scene, hand_rig):
    picture = Picture(hand_rig).paint(7, UNLIT_PX).paint(7, LAMP_PX, SemanticClass.BRAKE_LIGHT)
    qa = {item.question: item.answer for item in ask(hand_scene(), hand_rig, picture)}
    assert qa["Are the brake lights of the vehicle ahead on?"] == "yes"
    assert qa["Describe the scene."].startswith("A car is about 20 m ahead in the ego lane with its brake lights on")


def test_dark_lamps_are_reported_only_where_they_could_be_seen(hand_scene, hand_rig):
    scene = hand_scene()
    dark = replace(scene, agents=replace(scene.agents, lights=np.zeros_like(scene.agents.lights)))
    question = "Are the brake lights of the vehicle ahead on?"
    near = answers(dark, hand_rig, Picture(hand_rig).paint(7, UNLIT_PX), "status")
    far = answers(dark, hand_rig, Picture(hand_rig).paint(7, UNLIT_PX - 1), "status")
    assert near[question] == {"no"} and question not in far


def test_a_lit_lamp_that_no_pixel_shows_is_not_asked_about(hand_scene, hand_rig):
    assert hand_scene().agents.lights[0, STEP] & Lights.BRAKE
    picture = Picture(hand_rig).paint(7, 200).paint(7, LAMP_PX - 1, SemanticClass.BRAKE_LIGHT)
    assert "Are the brake lights of the vehicle ahead on?" not in answers(hand_scene(), hand_rig, picture, "status")


def test_what_is_hidden_is_answered_with_no(hand_scene, hand_rig):
    found = answers(hand_scene(), hand_rig, Picture(hand_rig), "exist")
    assert found["Is there a vehicle or a cyclist ahead in my lane?"] == {"no"}
    assert found["Is there a pedestrian in view?"] == {"no"}


def test_what_is_half_seen_is_not_asked_about(hand_scene, hand_rig):
    picture = Picture(hand_rig).paint(7, SEEN_PX - 1).paint(9, SEEN_PX - 1, SemanticClass.PEDESTRIAN)
    exist = answers(hand_scene(), hand_rig, picture, "exist")
    count = answers(hand_scene(), hand_rig, picture, "count")
    assert set(exist) == {"Is there a cyclist in view?", "Is there an obstacle in view?"}
    assert set(count) == {"How many cyclists are visible?", "How many obstacles are visible?"}


def test_counts_are_of_seen_members(hand_scene, hand_rig):
    picture = Picture(hand_rig).paint(7, SEEN_PX).paint(11, SEEN_PX).paint(9, SEEN_PX, SemanticClass.PEDESTRIAN)
    found = answers(hand_scene(), hand_rig, picture, "count")
    assert found["How many vehicles are visible?"] == {"2"} and found["How many pedestrians are visible?"] == {"1"}


@pytest.mark.parametrize(
    ("state", "label", "word"),
    [
        (SignalState.RED, SemanticClass.SIGNAL_RED, "red"),
        (SignalState.AMBER, SemanticClass.SIGNAL_AMBER, "amber"),
        (SignalState.GREEN, SemanticClass.SIGNAL_GREEN, "green"),
    ],
)
def test_the_light_ahead_is_named_when_its_lamp_is_seen(hand_scene, hand_rig, state, label, word):
    scene = hand_scene()
    signals = replace(scene.signals, states=np.full_like(scene.signals.states, state))
    scene = replace(scene, signals=signals)
    question = "What colour is the traffic light ahead?"
    assert answers(scene, hand_rig, Picture(hand_rig).light(scene, hand_rig, label), "status")[question] == {word}
    assert question not in answers(scene, hand_rig, Picture(hand_rig), "status")
    elsewhere = Picture(hand_rig)
    elsewhere.semantics[0, -3:, :5] = label  # the lamp of another signal
    assert question not in answers(scene, hand_rig, elsewhere, "status")


def test_a_light_of_another_road_is_not_asked_about(hand_scene, hand_rig):
    scene = hand_scene()
    scene = replace(scene, signals=replace(scene.signals, stop_lane_ids=(("elsewhere",),)))
    picture = Picture(hand_rig).light(scene, hand_rig, SemanticClass.SIGNAL_RED)
    assert look(scene, STEP, hand_rig, picture.semantics, picture.instances).light is None


def test_yes_and_no_are_balanced_where_both_can_be_asked(hand_scene, hand_rig):
    picture = Picture(hand_rig).paint(7, 200)
    tally = Counter(
        qa.answer for seed in range(400) for qa in ask(hand_scene(), hand_rig, picture, seed) if qa.kind == "exist"
    )
    assert abs(tally["yes"] - tally["no"]) < 80  # 4 standard deviations of a fair coin


def test_the_same_seed_asks_the_same(hand_scene, hand_rig):
    picture = Picture(hand_rig).paint(7, 200)
    assert ask(hand_scene(), hand_rig, picture, 3) == ask(hand_scene(), hand_rig, picture, 3)


def test_the_caption_lists_who_is_there(hand_scene, hand_rig):
    picture = Picture(hand_rig).paint(9, SEEN_PX, SemanticClass.PEDESTRIAN)
    scene = hand_scene()
    picture.light(scene, hand_rig, SemanticClass.SIGNAL_RED)
    caption = ask(scene, hand_rig, picture)[-1].answer
    assert (
        caption
        == "No vehicle is seen ahead in the ego lane and the traffic light ahead is red; 1 pedestrian is in view."
    )
