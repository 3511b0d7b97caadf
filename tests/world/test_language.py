"""Questions about hand-made scenes whose pictures are painted by hand: only what is visible is asked, and the answers are right."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from eyesup.geometry.projection import project
from eyesup.geometry.se2 import from_frame, points_to_frame, rotate
from eyesup.types import QA, AgentKind, Agents, Cue, CueKind, DataError, Lights, SemanticClass, SignalState
from eyesup.world.language import LAMP_PX, SEEN_PX, UNLIT_PX, Observer, look, questions
from eyesup.world.language.balance import MOST_PER_KEYFRAME, OPTIONS, Candidate, balanced
from eyesup.world.language.blind import BlindReader, blind_report, options_of
from eyesup.world.language.captions import caption
from eyesup.world.language.questions import scene_questions
from eyesup.world.language.reasoning import act, edge_cases, reason
from eyesup.world.language.spatial import route_questions, spatial_questions
from eyesup.world.scene_io import Annotations, annotations_from_table, scene_to_table
from eyesup.world.store import SceneStore

STEP = 45  # in the hand scene: the car ahead (id 7) is 20 m away and brakes; the pedestrian (id 9) stands ahead; a red light
CAR, BUS, WALKER = 7, 8, 9
SIZES = {
    AgentKind.CAR: (4.5, 1.8, 1.5), AgentKind.BUS: (12.0, 2.5, 3.0), AgentKind.PEDESTRIAN: (0.5, 0.5, 1.7),
    AgentKind.CONE: (0.4, 0.4, 0.9), AgentKind.BICYCLE: (1.8, 0.6, 1.7), AgentKind.EMERGENCY: (5.6, 2.1, 2.7),
    AgentKind.DEBRIS: (1.2, 0.9, 0.5),
}  # fmt: skip


class Picture:
    """Labels of two cameras, painted row by row."""

    def __init__(self, rig):
        width, height = rig.size_px
        self.semantics = np.full((len(rig), height, width), SemanticClass.ROAD, np.uint8)
        self.instances = np.zeros((len(rig), height, width), np.int32)
        self._next = 0

    def paint(self, agent_id, pixels=UNLIT_PX, label=SemanticClass.VEHICLE):
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

    def seen(self, scene, rig, step=STEP):
        return look(scene, step, rig, self.semantics, self.instances)


def place(scene, *rows):
    """The scene with agents (id, kind, ego-frame pose at STEP, ego-frame velocity, lights) that stay where they are."""
    steps, ego = len(scene), scene.ego_poses[STEP]
    ids, kinds, poses, velocities, lights = zip(*rows)
    world = from_frame(np.array(poses, float), ego)
    speeds = rotate(np.array(velocities, float), ego[2]).astype(np.float32)
    agents = Agents(
        ids=np.array(ids), kinds=np.array(kinds, np.uint8), sizes=np.array([SIZES[kind] for kind in kinds], np.float32),
        poses=np.repeat(world[:, None], steps, axis=1), velocities=np.repeat(speeds[:, None], steps, axis=1),
        valid=np.ones((len(ids), steps), bool), lights=np.repeat(np.array(lights, np.uint8)[:, None], steps, axis=1),
    )  # fmt: skip
    return replace(scene, agents=agents)


def with_speed(scene, speeds_mps):
    """The scene with another ego speed from STEP on, interpolated between values a second apart."""
    velocities = scene.ego_velocities.copy()
    steps = np.arange(STEP, len(scene))
    velocities[steps, 0] = np.interp((steps - STEP) / 10, np.arange(len(speeds_mps)), speeds_mps)
    return replace(scene, ego_velocities=velocities)


@pytest.fixture
def street(hand_scene, hand_rig):
    """A car driving 30 m ahead in our lane, a bus parked to the front left, a person standing to the front right; all seen."""
    scene = place(
        hand_scene(),
        (CAR, AgentKind.CAR, (30.0, 0.0, 0.0), (5.0, 0.0), 0),
        (BUS, AgentKind.BUS, (12.0, 16.0, 0.0), (0.0, 0.0), 0),
        (WALKER, AgentKind.PEDESTRIAN, (9.0, -16.0, 0.0), (0.0, 0.0), 0),
    )
    picture = Picture(hand_rig).paint(CAR).paint(BUS).paint(WALKER, label=SemanticClass.PEDESTRIAN)
    return scene, picture.seen(scene, hand_rig)


def asked(candidates):
    """Question without its options -> answer."""
    return {one.question.replace(OPTIONS, ""): one.answer for one in candidates}


# What is seen ----------------------------------------------------------------------------------------------------------


def test_what_no_pixel_shows_is_not_seen_and_what_few_show_is_faint(hand_scene, hand_rig):
    sight = Picture(hand_rig).paint(7, SEEN_PX).paint(9, SEEN_PX - 1).seen(hand_scene(), hand_rig)
    assert [thing.id for thing in sight.things] == [7] and [thing.id for thing in sight.faint] == [9]


def test_pixels_are_counted_over_all_cameras(hand_scene, hand_rig):
    picture = Picture(hand_rig)
    picture.instances[0, 0, :3], picture.instances[1, 2, :10] = 8, 8
    assert picture.seen(hand_scene(), hand_rig).things[0].pixels == 13


def test_lit_brakes_count_when_lamps_are_seen_and_dark_ones_when_they_could_be(hand_scene, hand_rig):
    scene = hand_scene()
    dark = replace(scene, agents=replace(scene.agents, lights=np.zeros_like(scene.agents.lights)))
    lit = Picture(hand_rig).paint(7, 200).paint(7, LAMP_PX, SemanticClass.BRAKE_LIGHT)
    unlit = Picture(hand_rig).paint(7, 200).paint(7, LAMP_PX - 1, SemanticClass.BRAKE_LIGHT)
    assert lit.seen(scene, hand_rig).lead.brakes is True
    assert unlit.seen(scene, hand_rig).lead.brakes is None
    assert Picture(hand_rig).paint(7, UNLIT_PX).seen(dark, hand_rig).lead.brakes is False
    assert Picture(hand_rig).paint(7, UNLIT_PX - 1).seen(dark, hand_rig).lead.brakes is None


@pytest.mark.parametrize(
    ("state", "label", "word"),
    [
        (SignalState.RED, SemanticClass.SIGNAL_RED, "red"),
        (SignalState.AMBER, SemanticClass.SIGNAL_AMBER, "amber"),
        (SignalState.GREEN, SemanticClass.SIGNAL_GREEN, "green"),
        (SignalState.STOP_SIGN, SemanticClass.STOP_SIGN, "stop sign"),
        (SignalState.YIELD_SIGN, SemanticClass.YIELD_SIGN, "yield sign"),
    ],
)
def test_a_light_or_sign_is_known_only_where_its_face_is_seen(hand_scene, hand_rig, state, label, word):
    scene = hand_scene()
    scene = replace(scene, signals=replace(scene.signals, states=np.full_like(scene.signals.states, state)))

    def found(picture):
        sight = picture.seen(scene, hand_rig)
        return sight.sign if state.is_sign else sight.light

    assert found(Picture(hand_rig).light(scene, hand_rig, label)).word == word
    assert found(Picture(hand_rig)) is None
    elsewhere = Picture(hand_rig)
    elsewhere.semantics[0, -3:, :5] = label  # another one
    assert found(elsewhere) is None
    other_road = replace(scene, signals=replace(scene.signals, stop_lane_ids=(("elsewhere",),)))
    sight = Picture(hand_rig).light(scene, hand_rig, label).seen(other_road, hand_rig)
    assert sight.light is None and sight.sign is None


def test_the_stop_line_is_measured_from_the_front_bumper(hand_scene, hand_rig):
    scene = (
        hand_scene()
    )  # the line is 55 m from the start; after 4.5 s at 5 m/s and with 4.049 m of car before the axle
    light = Picture(hand_rig).light(scene, hand_rig, SemanticClass.SIGNAL_RED).seen(scene, hand_rig).light
    assert light.gap_m == pytest.approx(55.0 - 22.5 - 4.049, abs=1e-6)


def test_sectors_that_no_camera_covers_are_not_asked_about(street):
    _, sight = street
    assert sight.sectors == ("in front", "to the front left")  # a camera ahead and one to the left
    assert "Is there a vehicle to the front right?" not in asked(scene_questions(sight))


# Questions -------------------------------------------------------------------------------------------------------------

SCENE_ANSWERS = {
    "Is there a vehicle or a cyclist ahead in my lane?": "yes",
    "Is there a bus in view?": "yes",
    "Is there a truck in view?": "no",
    "Is there a vehicle to the front left?": "yes",
    "Is there a pedestrian in front?": "no",
    "Is there a parked vehicle in view?": "yes",
    "Is there a stopped vehicle in view?": "no",
    "Is there a pedestrian to the back right of the nearest car?": "yes",
    "Is there a vehicle to the front left of the nearest car?": "no",
    "Is there another vehicle with the same status as the nearest bus?": "no",
    "How many vehicles are visible?": "2",
    "How many pedestrians are visible?": "1",
    "How many moving vehicles are visible?": "1",
    "How many vehicles are in front?": "1",
    "How many vehicles are nearer to me than the nearest car?": "1",
    "How many other vehicles have the same status as the nearest car?": "0",
    "What is the nearest thing in view?": "a bus",
    "What is the nearest thing in front?": "a car",
    "What is nearest to the nearest pedestrian?": "a car",
    "What is the status of the nearest bus?": "parked",
    "What is the status of the vehicle ahead in my lane?": "moving",
    "What is the status of the nearest pedestrian?": "standing",
    "Are the brake lights of the vehicle ahead on?": "no",
    "What is the status of the vehicle to the back left of the nearest car?": "parked",
    "Are there more cars than pedestrians in view?": "no",
    "Are there more buses than cyclists in view?": "yes",
    "Is the nearest bus farther away than the nearest car?": "no",
    "Do the nearest bus and the nearest car have the same status?": "no",
}


def test_scene_questions_have_the_answers_worked_out_by_hand(street):
    found = asked(scene_questions(street[1]))
    assert {question: found.get(question) for question in SCENE_ANSWERS} == SCENE_ANSWERS


SPATIAL_ANSWERS = {
    "How many metres is the nearest car from my front bumper?": "24",  # 30 - 4.05 - 2.25
    "How many metres is the nearest bus from my front bumper?": "15",  # 1.95 ahead, 14.75 to the left
    "How many metres is the nearest pedestrian from my front bumper?": "16",
    "How many metres apart are the nearest bus and the nearest car?": "17",  # 9.75 along, 13.85 across
    "How long is the nearest vehicle in metres?": "12.0",  # the bus
    "How tall is the nearest vehicle in front in metres?": "1.5",  # the car
    "On which side of me is the nearest bus?": "left",
    "On which side of me is the nearest pedestrian?": "right",
    "Facing the nearest bus, on which side is the nearest pedestrian?": "right",
    "Facing the nearest bus, in which quadrant is the nearest pedestrian?": "back right",  # 136 degrees to the right
    "Which is closer to me: the nearest bus or the nearest car?": "the nearest bus",
    "Which is closer to the nearest pedestrian: the nearest bus or the nearest car?": "the nearest car",
    "Which came into view first: the nearest bus or the nearest car?": "the nearest car",
}


def test_spatial_questions_have_the_answers_worked_out_by_hand(street):
    found = asked(spatial_questions(street[1], 4.049, {CAR: 10, BUS: 20, WALKER: 15}))
    assert {question: found.get(question) for question in SPATIAL_ANSWERS} == SPATIAL_ANSWERS
    assert "On which side of me is the nearest car?" not in found  # straight ahead
    assert "Facing the nearest bus, where is the nearest pedestrian?" not in found  # 136 degrees: not clearly behind
    assert "Which came into view first: the nearest car or the nearest pedestrian?" not in found  # half a second apart
    assert not any(
        question.startswith(("How long", "How tall")) and "bus" in question for question in found
    )  # gives it away


def test_directions_are_seen_from_where_one_stands(hand_scene, hand_rig):
    scene = place(
        hand_scene(),
        (CAR, AgentKind.CAR, (30.0, 0.0, 0.0), (5.0, 0.0), 0),
        (BUS, AgentKind.BUS, (12.0, 16.0, 0.0), (0.0, 0.0), 0),
    )
    found = asked(
        spatial_questions(Picture(hand_rig).paint(CAR).paint(BUS).seen(scene, hand_rig), 4.049, {CAR: 0, BUS: 0})
    )
    # At the car, looking back at the ego: the bus lies 42 degrees to the right.
    assert found["Standing at the nearest car and facing me, on which side is the nearest bus?"] == "right"
    assert found["Standing at the nearest car and facing me, where is the nearest bus?"] == "right"
    assert found["Standing at the nearest car and facing me, in which quadrant is the nearest bus?"] == "front right"


def test_the_route_ahead(hand_scene, hand_rig):
    scene = hand_scene()
    sight, question = Picture(hand_rig).seen(scene, hand_rig), "Where does my route lead within 30 metres?"
    assert asked(route_questions(sight, Observer(scene, hand_rig)))[question] == "straight on"
    bend = 0.02 * np.cumsum(np.ones(100))[:, None]  # rad per metre, to the left
    steps = np.concatenate([np.cos(0.3 + bend), np.sin(0.3 + bend)], axis=1)
    bent = replace(scene, route=scene.ego_poses[STEP, :2] + np.cumsum(steps, axis=0))
    assert asked(route_questions(sight, Observer(bent, hand_rig)))[question] == "to the left"


def test_what_hangs_on_something_faint_is_not_asked(street, hand_rig):
    scene, _ = street
    faint_bus = Picture(hand_rig).paint(CAR).paint(BUS, SEEN_PX - 1).seen(scene, hand_rig)
    found = asked(scene_questions(faint_bus))
    for question in ("Is there a bus in view?", "How many vehicles are visible?", "What is the nearest thing in view?"):
        assert question not in found
    assert found["How many cars are visible?"] == "1"


def test_two_that_words_cannot_tell_apart_are_not_referred_to(hand_scene, hand_rig):
    rows = [(i, AgentKind.CAR, (20.0, y, 0.0), (0.0, 0.0), 0) for i, y in ((1, -4.0), (2, 4.0))]
    scene = place(hand_scene(), *rows)
    sight = Picture(hand_rig).paint(1).paint(2).seen(scene, hand_rig)
    assert not sight.by_noun and "How many cars are visible?" in asked(scene_questions(sight))


def test_the_caption_names_the_lead_the_light_and_who_is_there(hand_scene, hand_rig):
    scene = hand_scene()
    picture = (
        Picture(hand_rig).paint(9, SEEN_PX, SemanticClass.PEDESTRIAN).light(scene, hand_rig, SemanticClass.SIGNAL_RED)
    )
    assert caption(picture.seen(scene, hand_rig)) == (
        "No vehicle is seen ahead in the ego lane and the traffic light ahead is red; 1 pedestrian is in view."
    )
    picture = Picture(hand_rig).paint(7, UNLIT_PX).paint(7, LAMP_PX, SemanticClass.BRAKE_LIGHT)
    assert caption(picture.seen(scene, hand_rig)) == (
        "A car is about 20 m ahead in the ego lane with its brake lights on."
    )


# What the ego does and why ---------------------------------------------------------------------------------------------

SLOWING, STOPPING, HELD = (5.0, 4.0, 3.0, 3.0), (5.0, 3.0, 1.0, 0.0), (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("speeds", "pace"),
    [
        (SLOWING, "slow down"), (STOPPING, "stop"), (HELD, "wait"), ((0.0, 1.0, 2.0, 3.0), "set off"),
        ((5.0, 6.0, 7.0, 8.0), "speed up"), ((5.0, 5.2, 5.1, 5.0), "keep its speed"),
    ],
)  # fmt: skip
def test_the_pace_is_read_off_what_is_driven(hand_scene, hand_rig, speeds, pace):
    assert act(Observer(with_speed(hand_scene(), speeds), hand_rig), STEP).pace == pace


IN_LANE, FROM_LEFT = (12.0, 0.0, 0.0), (12.0, 5.0, -np.pi / 2)


@pytest.mark.parametrize(
    ("kind", "pose", "velocity", "lights", "clause"),
    [
        (AgentKind.CAR, IN_LANE, (0.0, 0.0), Lights.NONE, "a car stands in the lane"),
        (AgentKind.CAR, IN_LANE, (0.0, 0.0), Lights.HAZARD, "a car with hazard lights stands in the lane"),
        (AgentKind.BUS, (16.0, 0.0, 0.0), (2.0, 0.0), Lights.NONE, "the bus ahead is close"),
        (AgentKind.BICYCLE, IN_LANE, (3.0, 0.0), Lights.NONE, "the cyclist ahead is close"),
        (AgentKind.PEDESTRIAN, FROM_LEFT, (0.0, -1.4), Lights.NONE, "a pedestrian is crossing"),
        (AgentKind.CAR, FROM_LEFT, (0.0, -6.0), Lights.NONE, "a car crosses from the left"),
        (AgentKind.CAR, (14.0, -3.0, 0.3), (5.0, 1.0), Lights.NONE, "a car moves in from the right"),
        (AgentKind.CONE, IN_LANE, (0.0, 0.0), Lights.NONE, "traffic cones close the lane"),
        (AgentKind.DEBRIS, IN_LANE, (0.0, 0.0), Lights.NONE, "an object lies on the road"),
        (AgentKind.EMERGENCY, FROM_LEFT, (0.0, -6.0), Lights.BEACON, "an emergency vehicle drives with its beacon on"),
    ],
)
def test_the_reason_is_what_is_seen_in_the_way(hand_scene, hand_rig, kind, pose, velocity, lights, clause):
    scene = with_speed(place(hand_scene(), (1, kind, pose, velocity, lights)), SLOWING)
    observer = Observer(scene, hand_rig)
    picture = Picture(hand_rig).paint(1)
    if lights:
        picture.paint(1, LAMP_PX, SemanticClass.BEACON if lights is Lights.BEACON else SemanticClass.INDICATOR)
    seen, hidden = picture.seen(scene, hand_rig), Picture(hand_rig).seen(scene, hand_rig)
    does = act(observer, STEP)
    assert reason(seen, observer, does, 0.0).clause == clause
    assert reason(hidden, observer, does, 9.0).clause == "nothing in view asks for it"


def test_a_seen_cue_that_decides_is_the_reason_before_anything_else(hand_scene, hand_rig):
    rows = [
        (1, AgentKind.CAR, (11.0, 0.0, 0.0), (0.0, 0.0), 0),
        (2, AgentKind.PEDESTRIAN, (25.0, 4.0, 0.0), (0.0, -0.6), 0),
    ]
    scene = with_speed(replace(place(hand_scene(), *rows), cue=Cue(CueKind.AGENT, 2)), SLOWING)
    observer = Observer(scene, hand_rig)
    sight, does = Picture(hand_rig).paint(1).paint(2).seen(scene, hand_rig), act(observer, STEP)
    assert reason(sight, observer, does, 0.2).clause == "a car stands in the lane"  # the twin drives alike
    assert reason(sight, observer, does, 4.0).clause == "a pedestrian is crossing"


def test_stopping_before_a_seen_red_light(hand_scene, hand_rig):
    scene = with_speed(place(hand_scene(), (1, AgentKind.CAR, (40.0, 30.0, 0.0), (0.0, 0.0), 0)), HELD)
    near = scene.signals.stop_points + 0.0
    near[0] = from_frame(np.array([[6.0, 0.0, 0.0]]), scene.ego_poses[STEP])[0, :2]
    scene = replace(scene, signals=replace(scene.signals, stop_points=near))
    observer = Observer(scene, hand_rig)
    sight = Picture(hand_rig).light(scene, hand_rig, SemanticClass.SIGNAL_RED).seen(scene, hand_rig)
    why = reason(sight, observer, act(observer, STEP), 0.0)
    assert (why.clause, why.about, why.names) == ("the traffic light ahead is red", "the traffic light", ("signal-3",))


def test_edge_cases_are_flagged_near_the_path(hand_scene, hand_rig):
    scene = place(
        hand_scene(),
        (1, AgentKind.CONE, (15.0, 2.0, 0.0), (0.0, 0.0), 0),
        (2, AgentKind.PEDESTRIAN, (20.0, 4.0, 0.0), (0.0, -1.0), 0),
        (3, AgentKind.EMERGENCY, (20.0, -9.0, 0.0), (0.0, 0.0), Lights.BEACON),
        (4, AgentKind.CONE, (17.0, 2.0, 0.0), (0.0, 0.0), 0),
    )
    picture = Picture(hand_rig).paint(1).paint(2).paint(3).paint(3, LAMP_PX, SemanticClass.BEACON)
    assert edge_cases(picture.seen(scene, hand_rig)) == [
        "emergency vehicle with its beacon on",
        "pedestrian near my path",
    ]  # one cone is no zone
    picture.paint(4)
    assert edge_cases(picture.seen(scene, hand_rig))[0] == "construction zone"


@pytest.mark.parametrize(("heading", "gap_m", "flags"), [(0.5, 0.5, ["accident"]), (0.0, 0.5, []), (0.5, 6.0, [])])
def test_cars_that_stand_askew_and_touch_have_crashed(hand_scene, hand_rig, heading, gap_m, flags):
    rows = [
        (1, AgentKind.CAR, (15.0, 0.0, 0.0), (0.0, 0.0), 0),
        (2, AgentKind.CAR, (19.5 + gap_m, 0.0, heading), (0.0, 0.0), 0),
    ]
    sight = Picture(hand_rig).paint(1).paint(2).seen(place(hand_scene(), *rows), hand_rig)
    assert edge_cases(sight) == flags


def test_moving_around_something_and_back(hand_scene, hand_rig):
    scene = place(hand_scene(), (1, AgentKind.CAR, (25.0, 0.0, 0.0), (0.0, 0.0), 0))
    poses, left = scene.ego_poses.copy(), np.array([-np.sin(0.3), np.cos(0.3)])
    poses[:, :2] += np.interp(np.arange(len(scene)), [STEP, STEP + 30, STEP + 60], [0.0, 2.0, 0.0])[:, None] * left
    scene = replace(scene, ego_poses=poses)
    observer, sight = Observer(scene, hand_rig), Picture(hand_rig).paint(1).seen(scene, hand_rig)
    around, back = act(observer, STEP), act(observer, STEP + 30)
    assert str(around) == "keeps its speed and moves to the left"
    assert reason(sight, observer, around, 0.0).clause == "a car stands in the lane"
    assert str(back) == "keeps its speed and moves back to the right"
    assert reason(sight, observer, back, 9.0).clause == "its own lane is free again"


# Logs ------------------------------------------------------------------------------------------------------------------


def log_questions(scene, rig, picture, seed=3):
    """The log's questions when every keyframe shows the same picture, or one that alternates with an empty one."""
    observer = Observer(scene, rig)
    pictures = [picture if i % 2 == 0 else Picture(rig) for i in range(len(scene.keyframes))]
    sights = [observer.look(int(k), p.semantics, p.instances) for k, p in zip(scene.keyframes, pictures)]
    return questions(observer, sights, seed)


def test_nothing_depends_on_an_agent_that_no_camera_shows(street, hand_rig):
    scene, _ = street
    scene = replace(scene, keyframes=np.arange(30, 70, 5))
    picture = Picture(hand_rig).paint(CAR).paint(BUS)  # the pedestrian is hidden
    without = replace(scene, agents=scene.agents.select(scene.agents.ids != WALKER))
    moved = scene.agents.poses.copy()
    moved[scene.agents.ids == WALKER] = scene.ego_poses[STEP]  # in the middle of the lane
    elsewhere = replace(scene, agents=replace(scene.agents, poses=moved))
    expected = log_questions(scene, hand_rig, picture)
    assert log_questions(without, hand_rig, picture) == expected == log_questions(elsewhere, hand_rig, picture)
    assert sum(len(at_keyframe) for at_keyframe in expected) > 40


def test_the_same_seed_asks_the_same_and_another_asks_differently(street, hand_rig):
    scene = replace(street[0], keyframes=np.arange(30, 70, 5))
    picture = Picture(hand_rig).paint(CAR).paint(BUS)
    assert log_questions(scene, hand_rig, picture) == log_questions(scene, hand_rig, picture)
    assert log_questions(scene, hand_rig, picture) != log_questions(scene, hand_rig, picture, seed=4)


def test_every_wording_is_asked_equally_often_with_each_answer():
    rng = np.random.default_rng(0)
    words = [
        [
            Candidate("Is it?", str(rng.choice(["yes", "no"], p=[0.9, 0.1])), "exist"),
            Candidate(f"Which{OPTIONS}?", str(rng.choice(["a", "b", "c"], p=[0.7, 0.2, 0.1])), "object"),
            Candidate("Always?", "yes", "status"),
        ]
        for _ in range(60)
    ]
    chosen = balanced(words, np.random.default_rng(1))
    tally = defaultdict(Counter)
    for qa in (qa for at_keyframe in chosen for qa in at_keyframe):
        tally[qa.question][qa.answer] += 1
        assert qa.question == "Is it?" or qa.answer in options_of(qa)
    assert tally["Is it?"]["yes"] == tally["Is it?"]["no"] > 0
    assert "Always?" not in tally and all(len(set(counts.values())) == 1 for counts in tally.values())
    assert {len(options_of(qa)) for at_keyframe in chosen for qa in at_keyframe} >= {2, 3}


def test_no_keyframe_is_asked_too_much():
    many = [[Candidate(f"Is it {i}?", ("yes", "no")[(i + k) % 2], "exist") for i in range(50)] for k in range(4)]
    assert [len(asked) for asked in balanced(many, np.random.default_rng(0))] == [MOST_PER_KEYFRAME] * 4


def test_in_a_real_store_the_blind_reader_is_right_exactly_at_chance(tiny_store):
    store = SceneStore(tiny_store)
    logs = [[qa for at_keyframe in store.annotations(key).qa for qa in at_keyframe] for key in store.keys]
    assert sum(qa.form == "choice" for log in logs for qa in log) > 10
    for log in logs:
        tally = defaultdict(Counter)
        for qa in log:
            if qa.form == "choice":
                tally[qa.question][qa.answer] += 1
        assert all(len(counts) > 1 and len(set(counts.values())) == 1 for counts in tally.values())
    everything = logs[0] + logs[1]
    for row in blind_report(everything, everything):  # even one who has learnt these answers by heart
        assert row.chance is None or row.blind == pytest.approx(row.chance, abs=1e-9)


def test_every_keyframe_of_a_real_store_is_described(tiny_store):
    store = SceneStore(tiny_store)
    for key in store.keys:
        ids = {f"agent-{i}" for i in store.scene(key).agents.ids} | {
            f"signal-{i}" for i in store.scene(key).signals.ids
        }
        for at_keyframe in store.annotations(key).qa:
            assert [qa.kind for qa in at_keyframe[-3:]] == ["narration", "note", "caption"]
            assert {name for qa in at_keyframe for name in qa.about} <= ids
            note = at_keyframe[-2].answer
            assert all(field in note for field in ("Scene: ", "Intent: ", "Edge cases: ", "Decision: "))


# The blind reader ------------------------------------------------------------------------------------------------------


def test_the_blind_reader_finds_answers_that_words_give_away():
    told = [
        QA(f"Is there a {noun} in view?", answer, "exist", form="choice")
        for noun, answer in (("car", "yes"), ("bus", "no"))
    ]
    (row,) = blind_report(told * 10, told * 5)
    assert (row.chance, row.blind, row.questions) == (0.5, 1.0, 10)
    assert row.answers == (("yes", 0.5), ("no", 0.5))


def test_the_blind_reader_judges_new_wordings_by_their_words_and_stays_within_the_options():
    lessons = [
        QA("Is the red car near?", "yes", "exist", form="choice"),
        QA("Is the blue van near?", "no", "exist", form="choice"),
    ]
    assert BlindReader(lessons).answer(QA("Is a red car far?", "no", "exist", form="choice")) == "yes"
    assert BlindReader(lessons).answer(QA("Which: a bus or a car?", "a car", "object", form="choice")) in (
        "a bus",
        "a car",
    )


def test_the_blind_readers_figures_forgive_what_is_nearly_right():
    def far(answer: str, what: str = "car") -> QA:
        return QA(f"How many metres is the {what} from my front bumper?", answer, "distance", form="number")

    lessons = [far(answer) for answer in ("10", "18", "20", "22", "50", "50")]
    reader = BlindReader(lessons)
    assert reader.answer(lessons[0]) == "50"  # most frequent
    # 20 against 10 (100 % off), 18 (11.1 %), 20, 22 (9.1 %), 50 twice (60 %): 0 + 0.8 + 1 + 0.9 + 0 = 2.7
    # 18 against the same: 0 + 1 + 0.9 + 0.7 + 0 = 2.6; 22: 0 + 0.6 + 0.9 + 1 + 0 = 2.5, 50: 2
    assert reader.figure(lessons[0]) == reader.figure(far("8", "bus")) == "20"
    (row,) = blind_report(lessons, [far("20"), far("25"), far("41")])  # 20 % off is worth 0.6
    assert (row.blind, row.blind_accuracy) == (0.0, pytest.approx((1.0 + 0.6 + 0.0) / 3))
    assert BlindReader([]).figure(far("8")) == ""


def test_options_are_read_from_the_question():
    assert options_of(QA("What colour: red, green or amber?", "red", form="choice")) == ("red", "green", "amber")
    assert options_of(QA("Is it?", "yes", form="choice")) == ("yes", "no")
    assert options_of(QA("How many?", "3", form="number")) == ()


# Storage ---------------------------------------------------------------------------------------------------------------


def test_questions_survive_storage_with_all_their_facts(hand_scene):
    scene = hand_scene()
    qa = QA("Which came first: a or b?", "a", "order", 1, "choice", ("agent-7", "signal-3"), needs_history=True)
    stored = replace(Annotations.empty(3, len(scene.agents)), qa=((qa,), (), (QA("Q?", "yes"), qa)))
    assert annotations_from_table(scene_to_table(scene, stored, {})).qa == stored.qa


def test_a_question_of_three_hops_is_refused():
    with pytest.raises(DataError, match="hop 3 must be 0 or 1"):
        QA("Q?", "yes", hop=3)
