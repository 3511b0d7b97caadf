"""Who touches the ego: by hand, and never in a log that is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eyesup.world.contacts import Contact, contacts
from eyesup.world.simulate import simulate


def moved(scene, agent: int, poses: np.ndarray):
    agents = replace(scene.agents, poses=scene.agents.poses.copy(), valid=np.ones_like(scene.agents.valid))
    agents.poses[agent] = poses
    return replace(scene, agents=agents)


def test_the_first_step_of_each_contact(hand_scene):
    """The walker stands 8 m before the rear axle of step 60. The ego reaches 4.049 m ahead and comes 0.5 m nearer a step; the
    walker's box, 0.5 m wide and turned by 0.7 rad, reaches 0.352 m towards it: contact at step 68."""
    scene = hand_scene()
    assert contacts(scene) == [Contact(68, 1, behind=False, at_rest=False)]
    hidden = scene.agents.valid.copy()
    hidden[1, 68:70] = False
    assert contacts(replace(scene, agents=replace(scene.agents, valid=hidden)))[0].step == 70


def test_from_behind_and_at_rest(hand_scene):
    scene = hand_scene()
    walker = scene.agents.poses[1]
    away = walker + [0.0, 300.0, 0.0]
    along = np.array([np.cos(0.3), np.sin(0.3), 0.0])
    length, centre = scene.vehicle.length_m, scene.vehicle.rear_axle_to_center_m
    close = scene.ego_poses + (centre - length / 2 - 4.5 / 2 + 0.1) * along  # the car's nose 0.1 m in the ego's tail
    rear = moved(moved(scene, 1, away), 0, close)
    assert contacts(rear) == [Contact(0, 0, behind=True, at_rest=False)]
    standing = replace(scene, ego_velocities=np.zeros_like(scene.ego_velocities))
    assert contacts(standing) == [Contact(68, 1, behind=False, at_rest=True)]


def test_a_log_in_which_something_touches_the_ego_is_drawn_again():
    """The first fitting draw of this seed ends with a lorry that cuts the corner into the standing ego."""
    assert contacts(simulate("pedestrian_crossing", 2, "test")) == []
