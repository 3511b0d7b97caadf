from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyesup.types import (
    Agents,
    Camera,
    CameraRig,
    Command,
    CommandSource,
    DataError,
    EgoStatus,
    Maneuver,
    Observation,
    RoadMap,
    Sample,
    Trajectory,
    Truth,
)

RIG = CameraRig(tuple(Camera(n, np.diag([4.0, 4, 1]), np.eye(4), 8, 4) for n in ("front", "left")))
OBSERVATION = Observation(
    key="a@3",
    images=np.zeros((2, 2, 4, 8, 3), np.uint8),
    image_times_s=np.array([-0.5, 0.0]),
    rig=RIG,
    ego=EgoStatus((5.0, 0.0)),
    history=Trajectory(np.zeros((4, 3)), -0.5),
    command=Command(Maneuver.KEEP_FORWARD),
)
TRUTH = Truth(Trajectory(np.zeros((6, 3)), 0.5), Agents.empty(7))
FUTURE_IMAGES = np.zeros((2, 2, 4, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 2, 4, 8, 3))}, "observation a@3: images are float64, expected uint8 RGB"),
        ({"images": np.zeros((2, 1, 4, 8, 3), np.uint8)}, r"shape \(2, 1, 4, 8, 3\), expected \(any, 2, 4, 8, 3\)"),
        ({"images": np.zeros((2, 2, 8, 4, 3), np.uint8)}, r"expected \(any, 2, 4, 8, 3\)"),
        ({"image_times_s": np.array([0.0])}, r"image_times_s: shape \(1,\), expected \(2\)"),
        ({"image_times_s": np.array([0.0, 0.5])}, "must increase and end at 0; later frames belong to Truth"),
        ({"image_times_s": np.array([0.0, 0.0])}, "must increase and end at 0"),
        ({"image_times_s": np.array([-0.5, -0.1])}, "must increase and end at 0"),
        ({"history": Trajectory(np.zeros((4, 3)), 0.5)}, "history has dt_s 0.5 s; a history runs into the past"),
    ],
)
def test_observations_from_the_future_or_of_other_shapes_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        replace(OBSERVATION, **change)


def test_an_observation_without_images_is_refused():
    with pytest.raises(DataError, match="must increase and end at 0"):
        replace(OBSERVATION, images=np.zeros((0, 2, 4, 8, 3), np.uint8), image_times_s=np.zeros(0))


def test_future_command_or_map_makes_an_observation_privileged():
    assert not OBSERVATION.privileged
    assert replace(OBSERVATION, road_map=RoadMap()).privileged
    assert replace(OBSERVATION, command=Command(Maneuver.TURN_LEFT, CommandSource.FUTURE)).privileged


def test_agents_of_the_truth_include_the_start():
    with pytest.raises(DataError, match="agents have 6 steps, expected 7"):
        replace(TRUTH, agents=Agents.empty(6))


def test_future_images_default_to_valid_and_lie_in_the_future():
    truth = replace(TRUTH, future_images=FUTURE_IMAGES, future_image_times_s=np.array([1.0, 2.0]))
    assert truth.future_images_valid.tolist() == [True, True]
    with pytest.raises(DataError, match=r"future image times \[0.0, 1.0\] s must be after t = 0"):
        replace(TRUTH, future_images=FUTURE_IMAGES, future_image_times_s=np.array([0.0, 1.0]))
    with pytest.raises(DataError, match=r"future_image_times_s: shape \(1,\), expected \(2\)"):
        replace(TRUTH, future_images=FUTURE_IMAGES, future_image_times_s=np.array([1.0]))
    with pytest.raises(DataError, match=r"future_images: value 0\.5 does not fit uint8"):
        replace(TRUTH, future_images=FUTURE_IMAGES + 0.5, future_image_times_s=np.array([1.0, 2.0]))


def test_a_sample_goes_by_the_key_of_its_observation():
    assert Sample(OBSERVATION, TRUTH).key == "a@3"
    assert Sample(OBSERVATION).truth is None
