"""Who touches the ego in a log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.scoring.openloop import ego_corners
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
    """One per agent that ever touches the ego, in the order of the agents; both are rectangles seen from above."""
    vehicle, agents, headings = scene.vehicle, scene.agents, scene.ego_poses[:, 2]
    ahead = np.stack([np.cos(headings), np.sin(headings)], axis=-1)
    ego = ego_corners(scene.ego_poses, vehicle)
    rear_m = vehicle.rear_axle_to_center_m - vehicle.length_m / 2  # where the rear bumper is, from the axle
    found = []
    for i in range(len(agents)):
        boxes = box_corners(agents.poses[i], float(agents.sizes[i, 0]), float(agents.sizes[i, 1]))
        steps = np.flatnonzero(boxes_overlap(ego, boxes) & agents.valid[i])
        if len(steps):
            step = int(steps[0])
            along_m = float((agents.poses[i, step, :2] - scene.ego_poses[step, :2]) @ ahead[step])
            at_rest = abs(float(scene.ego_velocities[step, 0])) < AT_REST_MPS
            found.append(Contact(step, i, along_m < rear_m, at_rest))
    return found
