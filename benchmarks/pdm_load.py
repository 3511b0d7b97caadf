"""A scene of NAVSIM's size for benchmarks: a grid of streets with 201 map polygons, about 12 thousand vertices, 60 agents."""

from __future__ import annotations

import numpy as np

from eyesup.geometry.se2 import from_frame, rotate
from eyesup.scoring.pdm import SceneInputs

SPACING_M, LANE_M, JUNCTION_M = 66.0, 3.5, 20.0
AGENTS, VERTEX_EVERY_M = 60, 1.35
ORIGIN = np.array([365_000.0, 4_144_000.0, 0.6])  # nuPlan's coordinates are this large


def street_scene(seed: int = 0) -> SceneInputs:
    """Streets of four lanes around the ego, agents parked and moving on them, the ego at 8 m/s on its centreline."""
    rng = np.random.default_rng(seed)
    rings, ids, layers = _map()
    line = np.column_stack([np.arange(-60.0, 200.0), np.full(260, -0.5 * LANE_M), np.zeros(260)])
    start = np.array([-30.0, -0.5 * LANE_M, 0.0])
    times = np.array([-1.5, -1.0, -0.5, 0.0])
    history = np.column_stack(
        [start[0] + 8.0 * times, np.full(4, start[1]), np.zeros(4), np.tile([8.0, 0.0, 0.1, 0.0], (4, 1))]
    )
    history[:, :3], line = from_frame(history[:, :3], ORIGIN), from_frame(line, ORIGIN)
    frames = 0.5 * np.arange(11)
    lane = rng.choice([-1.5, 0.5, 1.5], AGENTS)  # the ego's own lane stays free
    x = rng.uniform(-100, 100, AGENTS)
    x[np.abs(x - start[0]) < 12] += 30.0
    speed = np.where(rng.random(AGENTS) < 0.5, 0.0, rng.uniform(1, 12, AGENTS))
    heading = np.where(lane < 0, 0.0, np.pi) + rng.normal(0, 0.03, AGENTS)
    along = x[:, None] + speed[:, None] * frames * np.cos(heading)[:, None]
    across = (lane * LANE_M + rng.normal(0, 0.2, AGENTS))[:, None] + np.zeros(11)
    turned = rng.random(AGENTS) < 0.5  # half of them drive on the next crossing street
    poses = np.stack([
        np.where(turned[:, None], SPACING_M - across, along), np.where(turned[:, None], along, across),
        np.repeat((heading + np.where(turned, 0.5 * np.pi, 0.0))[:, None], 11, axis=1),
    ], axis=-1)  # fmt: skip
    poses = from_frame(poses, ORIGIN)
    velocity = speed[:, None, None] * np.stack([np.cos(poses[..., 2]), np.sin(poses[..., 2])], axis=-1)
    waypoints = np.column_stack([4.0 * np.arange(1, 9), np.zeros(8), np.zeros(8)])
    red = tuple(token for token in ids if token.startswith("through y 1 1"))
    return SceneInputs(
        name=f"streets {seed}",
        polygons=tuple(rotate(ring, ORIGIN[2]) + ORIGIN[:2] for ring in rings),
        polygon_ids=ids,
        polygon_layers=layers,
        centerline=line,
        route_lane_ids=frozenset(t for t in ids if t.startswith(("lane x 0", "through x 0", "through y 1"))),
        ego_history=history,
        ego_times_us=(1_600_000_000_000_000 + 1e6 * times).astype(np.int64),
        agent_poses=poses,
        agent_velocities=velocity,
        agent_sizes=np.tile([4.6, 1.9], (AGENTS, 1)),
        agent_seen=np.ones((AGENTS, 11), dtype=bool),
        agent_types=("VEHICLE",) * (AGENTS - 10) + ("PEDESTRIAN",) * 6 + ("TRAFFIC_CONE",) * 4,
        red_lane_ids=(red,) * 11,
        human=waypoints,
        speed_limit_mps=13.0,
    )


def plans(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Plans (count, 8, 3) around driving on at 8 m/s, and those of the frame before."""
    rng = np.random.default_rng(seed)
    times = 0.5 * np.arange(1, 9)
    speed, accel, turn = rng.uniform(4, 11, count), rng.normal(0, 0.7, count), rng.normal(0, 0.02, count)
    heading = turn[:, None] * times * speed[:, None] * 0.3
    along = speed[:, None] * times + 0.5 * accel[:, None] * times**2
    now = np.stack([along * np.cos(heading), along * np.sin(heading), 2 * heading], axis=-1)
    return now, now + rng.normal(0, 0.02, now.shape)


def _map() -> tuple[list[np.ndarray], tuple[str, ...], tuple[str, ...]]:
    rings, ids, layers = [], [], []

    def add(name: str, layer: str, corners: list[tuple[float, float]], turned: bool = False) -> None:
        ring = _densify(np.array(corners))
        rings.append(ring[:, ::-1] if turned else ring)
        ids.append(name)
        layers.append(layer)

    half, reach = 2 * LANE_M, 0.5 * JUNCTION_M
    for i in range(-1, 2):
        middle = i * SPACING_M
        for axis, turned in (("x", False), ("y", True)):
            for j in range(-2, 2):
                a, b = j * SPACING_M + reach, (j + 1) * SPACING_M - reach
                add(f"block {axis} {i} {j}", "ROADBLOCK", _box(a, middle - half, b, middle + half), turned)
                for lane in range(4):
                    low = middle - half + lane * LANE_M
                    add(f"lane {axis} {i} {j} {lane}", "LANE", _box(a, low, b, low + LANE_M), turned)
            for j in range(-1, 2):
                a, b = j * SPACING_M - reach, j * SPACING_M + reach
                for lane in range(4):
                    low = middle - half + lane * LANE_M
                    add(f"through {axis} {i} {j} {lane}", "LANE_CONNECTOR", _box(a, low, b, low + LANE_M), turned)
                if not turned:
                    add(f"junction {i} {j}", "INTERSECTION", _box(a, middle - reach, b, middle + reach))
    return rings, tuple(ids), tuple(layers)


def _box(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _densify(corners: np.ndarray) -> np.ndarray:
    """Vertices every metre or so, as on nuPlan's maps: about 60 per polygon."""
    parts = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0)):
        count = max(int(np.hypot(*(b - a)) / VERTEX_EVERY_M), 1)
        parts.append(a + np.linspace(0, 1, count, endpoint=False)[:, None] * (b - a))
    return np.concatenate(parts)
