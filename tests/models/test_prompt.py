"""The prompt says what Appendix D lists, in its frame, from the past alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyesup.models.ik_vla.prompt import (
    SPECIAL_TOKENS,
    PromptConfig,
    answer_text,
    from_prompt_frame,
    parse_trajectory,
    previous_action,
    prompt_head,
    system_message,
    to_prompt_frame,
    trajectory_text,
    user_lines,
)
from eyesup.types import Camera, CameraRig, Command, DataError, EgoStatus, Maneuver, Observation, Trajectory


def observation(**changes) -> Observation:
    """5 m/s, slowing by 1 m/s2 at 10 cm/s of leftward slip; the last two seconds straight behind."""
    times = -0.5 * np.arange(1, 5)
    history = np.column_stack([5 * times - 0.5 * times**2, 0.1 * times, np.zeros(4)])
    camera = Camera("front", np.eye(3), np.eye(4), 1, 1)
    base = Observation(
        key="k",
        images=np.zeros((1, 1, 1, 1, 3), np.uint8),
        image_times_s=np.zeros(1),
        rig=CameraRig((camera,)),
        ego=EgoStatus((5.0, 0.1), (-1.0, 0.25), 0.125, -0.0625),
        history=Trajectory(history, -0.5),
        command=Command(Maneuver.TURN_LEFT),
    )
    return replace(base, **changes)


def test_user_message_by_hand():
    assert user_lines(observation(), PromptConfig(), "How many cars?") == [
        "Ego status: - Velocity (vx,vy): (-0.10,5.00) - Heading Angular Velocity (v_yaw): (0.12) - Acceleration (ax,ay): "
        "(0.00,-1.00) - Can Bus: (-0.25,-1.00) - Heading Speed: (5.00) - Steering: (-0.06)",
        "Historical trajectory (last 2 seconds): [(0.20,-12.00),(0.15,-8.62),(0.10,-5.50),(0.05,-2.62)]",
        "Mission goal: turn left",
        "Previous action: slow down, go straight",
        "Planning trajectory: <trajectory>",
        "<question_start>How many cars?<question_end>",
    ]


def test_conversation_is_chatml_and_ends_where_the_model_speaks():
    head = prompt_head(observation(), PromptConfig())
    assert head.startswith("<|im_start|>system\n")
    assert head.count("<|im_start|>user\n") == 1
    assert head.endswith("<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize("system", ["full", "short"])
def test_scene_and_ego_stand_once_in_the_system_message(system):
    head = prompt_head(observation(), PromptConfig(system=system))
    assert head.count("<SCENE>") == head.count("<EGO>") == head.count("<trajectory>") == 1
    assert "<scene_start><SCENE><scene_end>" in head
    assert "x right, y front" in head or "x is to the right, y is to the front" in head


def test_the_papers_other_spelling_is_an_alias():
    message = system_message(PromptConfig(block="bev"))
    assert "<bev_start> <BEV_STATE> ... <BEV_STATE> <bev_end>" in message
    assert message.replace("bev_", "next_").replace("BEV_", "NEXT_") == system_message(PromptConfig())


def test_ego_ablation_leaves_the_goal_and_no_number():
    lines = user_lines(observation(), PromptConfig(ego="none"), None)
    assert lines == ["Mission goal: turn left", "Planning trajectory: <trajectory>"]


def test_opendrivevla_units_halve_speeds_only():
    lines = user_lines(observation(), PromptConfig(units="opendrivevla"), None)
    assert "(vx,vy): (-0.05,2.50)" in lines[0]
    assert "Heading Speed: (2.50)" in lines[0]
    assert "(ax,ay): (0.00,-0.25)" in lines[0]  # difference of two half-second displacements
    assert "Can Bus: (-0.25,-1.00)" in lines[0]


def test_the_words_do_not_depend_on_the_images():
    other = observation(images=np.full((1, 1, 1, 1, 3), 255, np.uint8))
    assert prompt_head(other, PromptConfig()) == prompt_head(observation(), PromptConfig())


@pytest.mark.parametrize(
    ("speeds", "turned", "action"),
    [
        ((5.0, 5.0), 0.0, "keep speed, go straight"),
        ((5.0, 4.0), 0.2, "speed up, turn left"),
        ((4.0, 5.0), -0.2, "slow down, turn right"),
        ((0.0, 1.0), 0.0, "stop, go straight"),
    ],
)
def test_previous_action_in_words(speeds, turned, action):
    """`speeds`: mean over the last half second and the one before; `turned`: heading gained in the last second."""
    newer, older = (0.5 * speed for speed in speeds)
    poses = np.array([[-newer, 0, -turned / 2], [-newer - older, 0, -turned]])
    assert previous_action(Trajectory(poses, -0.5)) == action


def test_missing_history_is_left_out():
    full = observation().history
    partial = Trajectory(full.poses, -0.5, np.array([True, False, True, True]))
    lines = user_lines(observation(history=partial), PromptConfig(), None)
    assert lines[1].endswith("[(0.20,-12.00),(0.15,-8.62),(0.05,-2.62)]")
    assert lines[3] == "Previous action: unknown"
    assert "(ax,ay): (-0.25,-1.00)" in lines[0]  # the measured one stands in


def test_a_denser_history_gives_the_same_words():
    coarse = Trajectory(np.column_stack([-0.5 * np.arange(1, 5), np.zeros(4), np.zeros(4)]), -0.5)
    dense = Trajectory(np.column_stack([-0.1 * np.arange(1, 21), np.zeros(20), np.zeros(20)]), -0.1)
    words = [user_lines(observation(history=history), PromptConfig(), None) for history in (coarse, dense)]
    assert words[0] == words[1]


def test_zero_has_one_spelling():
    tiny = observation(ego=EgoStatus((5.0, 0.001), (-0.001, 0.001), -0.001, -0.001))
    assert "-0.00" not in prompt_head(tiny, PromptConfig())


@pytest.mark.parametrize("token", SPECIAL_TOKENS[:3])
def test_reserved_tokens_in_free_text_are_refused(token):
    with pytest.raises(DataError, match="reserved token"):
        prompt_head(observation(question=f"What is {token}?"), PromptConfig())
    with pytest.raises(DataError, match="reserved token"):
        answer_text(f"yes {token}")


def test_frames_are_inverse():
    xy = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_array_equal(from_prompt_frame(to_prompt_frame(xy)), xy)
    np.testing.assert_array_equal(to_prompt_frame(np.array([2.0, 1.0])), [-1.0, 2.0])  # left is -x, front is y


def test_trajectory_text_is_read_back_to_a_centimetre():
    xy = np.random.default_rng(0).normal(scale=20, size=(6, 2))
    read, valid = parse_trajectory(trajectory_text(xy), 6)
    assert valid.all()
    np.testing.assert_allclose(read, xy, atol=0.00501)


@pytest.mark.parametrize(
    ("text", "known"), [("", 0), ("nonsense (1,", 0), ("[(0.00,1.00),(0.1,2.0)", 2), ("(0,1)" * 9, 3)]
)
def test_broken_trajectory_text_is_masked(text, known):
    xy, valid = parse_trajectory(text, 3)
    assert valid.tolist() == [index < known for index in range(3)]
    assert np.isfinite(xy).all()
