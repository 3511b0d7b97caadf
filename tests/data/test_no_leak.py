"""An Observation holds nothing of what comes after its time: rewriting the future leaves it bit-identical."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from eyesup.data.world import WorldSource
from eyesup.types import Maneuver
from eyesup.world.store import rig_to_json, scene_files, write_manifest


def rewrite_future(scene, step, seed):
    """Every array of the scene replaced by noise after `step`."""
    rng = np.random.default_rng(seed)

    def scramble(array, axis):
        tail = [slice(None)] * array.ndim
        tail[axis] = slice(step + 1, None)
        changed = array.copy()
        piece = changed[tuple(tail)]
        noise = rng.integers(0, 3, piece.shape) if array.dtype.kind in "iub" else rng.normal(size=piece.shape)
        changed[tuple(tail)] = noise.astype(array.dtype)
        return changed

    per_step = ("ego_poses", "ego_velocities", "ego_accelerations", "ego_yaw_rates", "ego_steerings")
    ego = {f: scramble(getattr(scene, f), 0) for f in per_step}
    moving = ("poses", "velocities", "valid", "lights", "bottom_z")
    agents = replace(scene.agents, **{f: scramble(getattr(scene.agents, f), 1) for f in moving})
    signals = replace(scene.signals, states=scramble(scene.signals.states, 1))
    maneuvers = scene.maneuvers[: step + 1] + (Maneuver.TURN_RIGHT,) * (len(scene) - step - 1)
    return replace(scene, **ego, agents=agents, signals=signals, maneuvers=maneuvers)


def store_of(root, scene, rig, write, images):
    root.mkdir()
    write(root, scene, rig, images)
    write_manifest(root, [scene_files(root, scene.key)], {"rig": json.loads(rig_to_json(rig))})
    return WorldSource(root)


@pytest.mark.parametrize("keyframe", [0, 1, 2])
def test_rewriting_the_future_leaves_the_observation_bit_identical(
    flat, tmp_path, hand_scene, hand_rig, write_hand_scene, keyframe
):
    scene = hand_scene()
    step = int(scene.keyframes[keyframe])
    rng = np.random.default_rng(5)
    steps = sorted({int(k) + later for k in scene.keyframes for later in (0, 10, 20, 30)})
    images = {s: rng.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8) for s in steps}
    other = {s: images[s] if s <= step else 255 - images[s] for s in steps}
    a = store_of(tmp_path / "a", scene, hand_rig, write_hand_scene, images)[keyframe]
    b = store_of(tmp_path / "b", rewrite_future(scene, step, 1), hand_rig, write_hand_scene, other)[keyframe]
    assert flat(a.observation) == flat(b.observation)
    assert flat(a.truth.future) != flat(b.truth.future)  # the rewriting did reach the files
    assert flat(a.truth.future_images) != flat(b.truth.future_images)


def test_the_check_would_notice_a_leak(flat, tmp_path, hand_scene, hand_rig, write_hand_scene):
    """Rewriting from the keyframe itself on changes the observation: the comparison is not blind."""
    scene = hand_scene()
    a = store_of(tmp_path / "a", scene, hand_rig, write_hand_scene, None)[1]
    b = store_of(tmp_path / "b", rewrite_future(scene, 39, 1), hand_rig, write_hand_scene, None)[1]
    assert flat(a.observation) != flat(b.observation)
