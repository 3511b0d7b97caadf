"""Hand-drawn scenes: a straight road along +x, and what can stand on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from eyesup.geometry.se2 import from_frame, points_from_frame
from eyesup.scoring.pdm import SceneInputs
from eyesup.scoring.pdm.version import DAC, DDC, EC, EP, HC, LK, NC, TLC, TTC, V1, V2, C, Version

ROAD_Y = (-6.0, 6.0)  # the road; lanes of 4 m, the ego's between -2 and 2
SPEED = 8.0


def rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def road(**changes) -> SceneInputs:
    """Three lanes of 4 m along +x, the middle and the right one on the route; the ego at the origin at 8 m/s, nobody else."""
    parts = {
        "block": ("ROADBLOCK", rectangle(-50, -6, 200, 6)),
        "right": ("LANE", rectangle(-50, -6, 200, -2)),
        "middle": ("LANE", rectangle(-50, -2, 200, 2)),
        "left": ("LANE", rectangle(-50, 2, 200, 6)),
    }
    times = np.array([-1.5, -1.0, -0.5, 0.0])
    reference = np.column_stack([0.1 * SPEED * np.arange(41), np.zeros((41, 2))])
    inputs = SceneInputs(
        name="road",
        polygons=tuple(ring for _, ring in parts.values()),
        polygon_ids=tuple(parts),
        polygon_layers=tuple(layer for layer, _ in parts.values()),
        centerline=np.column_stack([np.arange(-50.0, 201.0), np.zeros((251, 2))]),
        route_lane_ids=frozenset({"middle", "right"}),
        ego_history=np.column_stack([SPEED * times, np.zeros((4, 2)), np.full(4, SPEED), np.zeros((4, 3))]),
        ego_times_us=(1e6 * (times + 100.0)).astype(np.int64),
        agent_poses=np.zeros((0, 11, 3)),
        agent_velocities=np.zeros((0, 11, 2)),
        agent_sizes=np.zeros((0, 2)),
        agent_seen=np.zeros((0, 11), dtype=bool),
        agent_types=(),
        red_lane_ids=((),) * 11,
        references={"v1": reference, "v2": reference},
    )
    return replace(inputs, **changes)


def with_agent(
    inputs: SceneInputs,
    x: float,
    y: float,
    velocity: tuple[float, float] = (0.0, 0.0),
    kind: str = "VEHICLE",
    size: tuple[float, float] = (4.0, 2.0),
    heading: float = 0.0,
    seen: np.ndarray | None = None,
) -> SceneInputs:
    """One more agent: at (x, y) at t = 0, with constant velocity."""
    times = 0.5 * np.arange(11)
    poses = np.column_stack([x + velocity[0] * times, y + velocity[1] * times, np.full(11, heading)])
    seen = np.ones(11, dtype=bool) if seen is None else seen
    return replace(
        inputs,
        agent_poses=np.concatenate([inputs.agent_poses, poses[None]]),
        agent_velocities=np.concatenate([inputs.agent_velocities, np.tile(velocity, (1, 11, 1))]),
        agent_sizes=np.concatenate([inputs.agent_sizes, [size]]),
        agent_seen=np.concatenate([inputs.agent_seen, seen[None]]),
        agent_types=(*inputs.agent_types, kind),
    )


def with_polygon(inputs: SceneInputs, token: str, layer: str, ring: np.ndarray) -> SceneInputs:
    return replace(
        inputs,
        polygons=(*inputs.polygons, ring),
        polygon_ids=(*inputs.polygon_ids, token),
        polygon_layers=(*inputs.polygon_layers, layer),
    )


def moved(inputs: SceneInputs, origin: np.ndarray) -> SceneInputs:
    """The whole scene seen from another world frame: everything is moved to where `origin` puts it."""
    history = inputs.ego_history.copy()
    history[:, :3] = from_frame(history[:, :3], origin)
    velocities = inputs.agent_velocities @ np.array(
        [[np.cos(origin[2]), np.sin(origin[2])], [-np.sin(origin[2]), np.cos(origin[2])]]
    )
    return replace(
        inputs,
        polygons=tuple(points_from_frame(ring, origin) for ring in inputs.polygons),
        centerline=from_frame(inputs.centerline, origin),
        ego_history=history,
        agent_poses=from_frame(inputs.agent_poses, origin),
        agent_velocities=velocities,
        references={family: from_frame(poses, origin) for family, poses in inputs.references.items()},
    )


def straight(speed: float = SPEED, lateral: float = 0.0) -> np.ndarray:
    """(8, 3) waypoints at 0.5 s: constant speed, reaching `lateral` after a second and keeping it."""
    times = 0.5 * np.arange(1, 9)
    return np.column_stack([speed * times, lateral * np.minimum(times, 1.0), np.zeros(8)])


@dataclass(frozen=True)
class Example:
    """One plan that loses one sub-score.

    Attributes:
        loses: The sub-score, and what is left of it.
        inputs: The scene.
        plan: (8, 3).
        previous: (8, 3) plan of the frame before, where EC is looked at.
        version: Of the score.
        with_it: Other sub-scores that go with it, and what is left of them.
    """

    loses: tuple[str, float]
    inputs: SceneInputs
    plan: np.ndarray
    previous: np.ndarray | None = None
    version: Version = V2
    with_it: dict[str, float] = field(default_factory=dict)


def along(metres: np.ndarray) -> np.ndarray:
    """(8, 3) waypoints straight ahead."""
    return np.column_stack([metres, np.zeros((8, 2))])


def examples() -> dict[str, Example]:
    """One example of every sub-score by its short name: what the pictures of docs/metrics.md show."""
    times = 0.5 * np.arange(1, 9)
    connector = with_polygon(road(), "connector", "LANE_CONNECTOR", rectangle(22, -2, 42, 2))
    red = replace(
        connector, route_lane_ids=connector.route_lane_ids | {"connector"}, red_lane_ids=(("connector",),) * 11
    )
    stops = along(np.minimum(SPEED * times, 28.0))
    brakes = along(SPEED * np.minimum(times, 0.5))
    gentle = along(SPEED * times - 0.6 * times**2)
    drawn = {
        "NC": Example((NC, 0.0), with_agent(road(), 25.0, 0.0), straight(), with_it={TTC: 0.0}),
        "DAC": Example((DAC, 0.0), road(), straight(lateral=-5.2), with_it={EP: 0.972, LK: 0.0}),
        "DDC": Example((DDC, 0.0), road(), straight(lateral=3.6), with_it={EP: 0.987, LK: 0.0}),
        "TLC": Example((TLC, 0.0), red, straight()),
        "EP": Example((EP, 0.727), road(), gentle),
        "TTC": Example((TTC, 0.0), with_agent(road(), 34.5, 0.0), stops, with_it={HC: 0.0}),
        "LK": Example((LK, 0.0), road(), straight(lateral=1.2), with_it={EP: 0.999}),
        "HC": Example((HC, 0.0), road(), brakes, with_it={EP: 0.274}),
        "C": Example((C, 0.0), road(), brakes, version=V1, with_it={EP: 0.274}),
        "EC": Example((EC, 0.0), road(), gentle, previous=straight(10.0), with_it={EP: 0.727}),
    }
    return {name: replace(one, inputs=replace(one.inputs, name=name)) for name, one in drawn.items()}
