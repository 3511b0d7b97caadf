"""Rows of pictures for a report: a keyframe with its plans, an edited frame before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eyesup.reports.draw import PLAN_COLORS, Path, bev_svg, jpeg_data_uri, overlay, rig_overlay
from eyesup.reports.page import Picture
from eyesup.types import Agents, Observation, RoadMap, Trajectory

WAYPOINT_DT_S = 0.5
HORIZON_S = 3.0
FRONT = "front"


def paths(plans: Mapping[str, Trajectory]) -> list[Path]:
    """Trajectories at 0.5 s up to 3 s, coloured: expert green, the first other one orange, then blue and grey."""
    others = iter([PLAN_COLORS["plan"], PLAN_COLORS["other"], PLAN_COLORS["before"], (174, 62, 201)])
    steps = round(HORIZON_S / WAYPOINT_DT_S)
    return [
        Path(plan.resampled(WAYPOINT_DT_S, steps), label, PLAN_COLORS["expert"] if label == "expert" else next(others))
        for label, plan in plans.items()
    ]


def legend(plans: Mapping[str, Trajectory]) -> str:
    """Colours in words."""
    names = {
        PLAN_COLORS["expert"]: "green",
        PLAN_COLORS["plan"]: "orange",
        PLAN_COLORS["other"]: "blue",
        PLAN_COLORS["before"]: "grey",
    }
    return ", ".join(f"{path.label} {names.get(path.color, 'violet')}" for path in paths(plans))


def keyframe_row(
    observation: Observation,
    plans: Mapping[str, Trajectory],
    caption: str,
    agents: Agents | None = None,
    road_map: RoadMap | None = None,
    marked: Sequence[int] = (),
) -> list[Picture]:
    """All cameras with the plans projected in, and the same from above."""
    drawn = paths(plans)
    image = rig_overlay(
        observation.images[-1], observation.rig, drawn, scale=1 if observation.images.shape[3] > 320 else 2
    )
    return [
        Picture(f"{caption} ({legend(plans)})", src=jpeg_data_uri(image)),
        Picture("from above", svg=bev_svg(drawn, agents, road_map, observation.vehicle, marked)),
    ]


def front_image(observation: Observation, plans: Mapping[str, Trajectory]) -> np.ndarray:
    """The front camera with the plans projected in."""
    names = observation.rig.names
    index = names.index(FRONT) if FRONT in names else 0
    return overlay(observation.images[-1][index], observation.rig.cameras[index], paths(plans))


def before_after_row(versions: Mapping[str, tuple[Observation, Mapping[str, Trajectory]]]) -> list[Picture]:
    """The front camera of several versions of one frame, each with its own plans."""
    return [
        Picture(f"{title} ({legend(plans)})", src=jpeg_data_uri(front_image(observation, plans)))
        for title, (observation, plans) in versions.items()
    ]
