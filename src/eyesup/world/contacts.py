"""Who touches the ego in a log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import Scene

AT_REST_MPS = 0.05


@dataclass(frozen=True)
class Contact:
    """The first moment at which an agent's box overlaps the ego's.

    Attributes:
        step: Of the scene.
        agent: Row among the scene's agents.
        behind: The agent's centre is behind the ego's rear bumper.
        at_rest: The ego stands.
    """

    step: int
    agent: int
    behind: bool
    at_rest: bool


def contacts(scene: Scene) -> list[Contact]:
    """One per agent that ever touches the ego, in the order of the agents."""
    vehicle, poses = scene.vehicle, scene.ego_poses
    ahead = np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=-1)
    centres = np.concatenate([poses[:, :2] + vehicle.rear_axle_to_center_m * ahead, poses[:, 2:]], axis=-1)
    ego, agents = box_corners(centres, vehicle.length_m, vehicle.width_m), scene.agents
    found = []
    for i in range(len(agents)):
        boxes = box_corners(agents.poses[i], float(agents.sizes[i, 0]), float(agents.sizes[i, 1]))
        steps = np.flatnonzero(boxes_overlap(ego, boxes) & agents.valid[i])
        if len(steps):
            step = int(steps[0])
            offset = float((agents.poses[i, step, :2] - centres[step, :2]) @ ahead[step])
            at_rest = abs(float(scene.ego_velocities[step, 0])) < AT_REST_MPS
            found.append(Contact(step, i, offset < -vehicle.length_m / 2, at_rest))
    return found
