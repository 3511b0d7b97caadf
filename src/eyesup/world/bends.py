"""Road geometry of the curve scenario: four roads that are one and the same until the bend begins.

Our carriageway runs along +x and the bend begins at the origin. All lines carry a vertex at x = -1 m: up to there lanes
and paint are equal to the last bit in all four, so that twins share the poses driven before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

APPROACH_M = 250.0
EXIT_M = 150.0
STRAIGHT_ON_M = 230.0
LAST_SHARED_X = -1.0  # m
RADIUS_M = (18.0, 45.0)
ANGLE_DEG = (50.0, 90.0)
ARC_STEP_M = 1.0
DECOY_APPROACH_M = 90.0
DECOY_GAP_M = 13.0  # between the edges of the two carriageways; at least 12 m keeps the decoy off any plan
LANE_WIDTHS_M = (3.2, 3.4, 3.6)

KINDS = ("bend_left", "bend_right", "bend_straight", "bend_decoy")


@dataclass(frozen=True)
class BendShape:
    """What the seed decides, the same for all kinds.

    Attributes:
        radius_m: Radius of the road's middle line.
        angle_rad: Change of heading along the arc, > 0.
        decoy_side: +1 where the decoy lies left and bends left, -1 right.
        lane_width_m: Width of each of the two lanes.
    """

    radius_m: float
    angle_rad: float
    decoy_side: int
    lane_width_m: float


def draw_bend(seed: int) -> BendShape:
    """Draw the bend of a seed."""
    rng = np.random.default_rng([seed, 0xBE4D])
    return BendShape(
        radius_m=round(float(rng.uniform(*RADIUS_M)), 2),
        angle_rad=float(np.deg2rad(rng.uniform(*ANGLE_DEG))),
        decoy_side=int(rng.choice([-1, 1])),
        lane_width_m=float(rng.choice(LANE_WIDTHS_M)),
    )


def bend_line(shape: BendShape, side: int, start_x: float) -> Float64[np.ndarray, "P 2"]:
    """Middle line: straight along +x from `start_x` to the origin, arc to `side` (+1 left, -1 right), straight exit."""
    steps = max(int(np.ceil(shape.radius_m * shape.angle_rad / ARC_STEP_M)), 2)
    angles = np.linspace(0, shape.angle_rad, steps + 1)
    arc = shape.radius_m * np.stack([np.sin(angles), side * (1 - np.cos(angles))], -1)
    away = np.array([np.cos(shape.angle_rad), side * np.sin(shape.angle_rad)])
    return np.concatenate([[[start_x, 0.0], [LAST_SHARED_X, 0.0]], arc, arc[-1:] + EXIT_M * away])


def bend_roads(kind: str, seed: int) -> dict[str, Float64[np.ndarray, "_ 2"]]:
    """Middle lines by road name: always `main`, and `decoy` for ``bend_decoy``."""
    shape = draw_bend(seed)
    straight = np.array([[-APPROACH_M, 0.0], [LAST_SHARED_X, 0.0], [0.0, 0.0], [STRAIGHT_ON_M, 0.0]])
    if kind == "bend_left":
        return {"main": bend_line(shape, 1, -APPROACH_M)}
    if kind == "bend_right":
        return {"main": bend_line(shape, -1, -APPROACH_M)}
    if kind == "bend_straight":
        return {"main": straight}
    decoy = bend_line(shape, shape.decoy_side, -DECOY_APPROACH_M)
    decoy = decoy + [0.0, shape.decoy_side * (2 * shape.lane_width_m + DECOY_GAP_M)]
    return {"main": straight, "decoy": decoy}


def write_bend(kind: str, seed: int, speed_mps: float, folder: Path) -> list[str]:
    """Write node and edge XML into `folder`; returns the netconvert arguments that read them."""
    width = draw_bend(seed).lane_width_m
    nodes, edges = [], []
    for name, line in bend_roads(kind, seed).items():
        for end, (x, y) in (("start", line[0]), ("end", line[-1])):
            nodes.append(f'<node id="{name}_{end}" x="{x:.3f}" y="{y:.3f}" type="priority"/>')
        for edge, (start, end), points in (
            (name, ("start", "end"), line),
            (f"-{name}", ("end", "start"), line[::-1]),
        ):
            text = " ".join(f"{x:.3f},{y:.3f}" for x, y in points)
            edges.append(
                f'<edge id="{edge}" from="{name}_{start}" to="{name}_{end}" numLanes="1" width="{width}"'
                f' speed="{speed_mps}" shape="{text}"/>'
            )
    (folder / "bend.nod.xml").write_text("<nodes>\n" + "\n".join(nodes) + "\n</nodes>\n")
    (folder / "bend.edg.xml").write_text("<edges>\n" + "\n".join(edges) + "\n</edges>\n")
    return ["--node-files", str(folder / "bend.nod.xml"), "--edge-files", str(folder / "bend.edg.xml")]
