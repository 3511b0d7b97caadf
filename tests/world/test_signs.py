"""Stop and yield signs in the pictures: shape, colour, labels, and that they are read from the front only."""

from dataclasses import replace

import numpy as np
import pytest

from eyesup.types import SemanticClass, Signals, SignalState
from eyesup.world.render import Renderer
from eyesup.world.render.signs import RADIUS_M, sign_plate, sign_post
from eyesup.world.rigs import front3

CLASSES = {SignalState.STOP_SIGN: SemanticClass.STOP_SIGN, SignalState.YIELD_SIGN: SemanticClass.YIELD_SIGN}


def _signed(scene, state, facing=np.pi, z=2.3):
    """The scene with one sign 15 m ahead of the ego and 3 m to its right."""
    x, y, heading = scene.ego_poses[0]
    ahead, right = np.array([np.cos(heading), np.sin(heading)]), np.array([np.sin(heading), -np.cos(heading)])
    place = np.array([x, y]) + 15.0 * ahead + 3.0 * right
    signals = Signals(
        np.array([3]), np.array([[*place, z, heading + facing]]), np.full((1, len(scene)), state, np.uint8), ((),), place[None]
    )  # fmt: skip
    empty = scene.agents.select(np.zeros(0, np.int64))
    return replace(scene, signals=signals, agents=empty)


@pytest.fixture(scope="module")
def renderer():
    with Renderer(front3(320, 180)) as made:
        yield made


@pytest.mark.parametrize("state", CLASSES)
def test_a_sign_has_its_class_and_is_red_and_white(renderer, hand_scene, state):
    renderer.load(_signed(hand_scene(), state))
    semantics, images = renderer.labels(0, depth=False).semantics, renderer.images(0)
    shown = semantics == CLASSES[state]
    others = [cls for cls in CLASSES.values() if cls is not CLASSES[state]]
    assert shown.sum() > 40 and not np.isin(semantics, others).any()
    colors = images[shown].astype(int)
    red = (colors[:, 0] > 2 * colors[:, 1]) & (colors[:, 0] > 60)
    white = colors.min(axis=1) > 90
    assert red.mean() > 0.25 and white.mean() > 0.05, (red.mean(), white.mean())
    assert (white.mean() > 0.4) == (state is SignalState.YIELD_SIGN)


@pytest.mark.parametrize("state", CLASSES)
def test_a_sign_seen_from_behind_says_nothing(renderer, hand_scene, state):
    renderer.load(_signed(hand_scene(), state, facing=0.0))
    semantics = renderer.labels(0, depth=False).semantics
    assert not (semantics == CLASSES[state]).any()
    assert (semantics == SemanticClass.SIGNAL_BODY).sum() > 40


def test_a_sign_in_the_sky_has_no_post(renderer, hand_scene):
    posts = []
    for z in (2.3, 8.0):
        renderer.load(_signed(hand_scene(), SignalState.STOP_SIGN, z=z))
        posts.append(int((renderer.labels(0, depth=False).semantics == SemanticClass.POLE).sum()))
    assert posts[0] > 5 and posts[1] == 0


def test_plates_have_the_shape_of_their_sign():
    stop, give_way = sign_plate(SignalState.STOP_SIGN), sign_plate(SignalState.YIELD_SIGN)
    reach = np.hypot(stop.points[:, 1], stop.points[:, 2])
    assert reach.max() == pytest.approx(RADIUS_M, abs=1e-6)
    assert len(np.unique(np.round(stop.points[reach > 0.999 * RADIUS_M, 1:], 4), axis=0)) == 8  # an octagon
    outer = give_way.points[give_way.points[:, 0] == np.float32(0.06)]
    assert len(outer) == 3 and outer[outer[:, 2].argmin(), 1] == pytest.approx(0.0)  # on its tip
    for plate in (stop, give_way):
        front = np.isin(plate.classes, list(CLASSES.values()))
        assert (plate.normals[front, 0] > 0.99).all() and (plate.normals[~front, 0] < -0.99).all()
    assert sign_post(2.3).points[:, 2].min() == 0.0
