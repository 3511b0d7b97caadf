"""Small towns whose junctions are ruled by signs: main roads in rows, side roads in columns that stop or give way to them.

Written as plain XML for SUMO's `netconvert`. A few junctions carry signals instead, without phases for left turns, so that
a left turn across oncoming traffic waits for a gap. ``merge`` is one main road that ramps join at a narrow angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from eyesup.world.bends import LANE_WIDTHS_M

KINDS = ("crossing", "merge")

COLUMNS, ROWS = 3, 3
SPACING_M = (105.0, 145.0)
STUB_M = (95.0, 130.0)  # roads that leave the town
JITTER_M = 6.0
CONTROLS = ("priority_stop", "priority", "traffic_light")
CONTROL_SHARES = (0.45, 0.35, 0.20)
MISSING_SHARE = 0.15  # of the side roads between two rows: T junctions
WIDE_SHARE = 0.3  # of the main roads have two lanes each way
MAIN_SPEEDS_MPS = (11.11, 13.89)
SIDE_SPEED_MPS = 11.11
MAIN_PRIORITY, SIDE_PRIORITY = 9, 3

MERGES = 3
MERGE_SPACING_M = (230.0, 270.0)
RAMP_LENGTH_M = (165.0, 195.0)
RAMP_ANGLE_DEG = (16.0, 26.0)
MERGE_SPEED_MPS = 13.89

NETCONVERT = {
    "offset.disable-normalization": "true",
    "default.junctions.radius": "6",
    "tls.left-green.time": "0",
}
CROSSING = {**NETCONVERT, "sidewalks.guess": "true", "crossings.guess": "true", "default.sidewalk-width": "2.5"}


@dataclass(frozen=True)
class Node:
    """A junction or the end of a road: place [m] and SUMO's node type."""

    id: str
    xy: tuple[float, float]
    control: str


@dataclass(frozen=True)
class Road:
    """A road from node to node; `both_ways` adds the carriageway of the other direction.

    Attributes:
        id: Of the edge from `start` to `end`; the other direction is ``-id``.
        start, end: Ids of nodes.
        lanes: Each way.
        priority: SUMO's: the greater has the right of way.
        speed_mps: Limit.
        both_ways: False for ramps and what they join.
    """

    id: str
    start: str
    end: str
    lanes: int
    priority: int
    speed_mps: float
    both_ways: bool = True


@dataclass(frozen=True)
class Layout:
    """Nodes and roads of a town, and the width of its lanes [m]."""

    nodes: tuple[Node, ...]
    roads: tuple[Road, ...]
    lane_width_m: float


def settings(kind: str) -> dict[str, str]:
    """Options of netconvert for a kind."""
    return CROSSING if kind == "crossing" else NETCONVERT


def layout(kind: str, seed: int) -> Layout:
    """Draw the town of a seed."""
    rng = np.random.default_rng([seed, 0xC055 + KINDS.index(kind)])
    return _crossing(rng) if kind == "crossing" else _merge(rng)


def write_layout(kind: str, seed: int, folder: Path) -> list[str]:
    """Write node and edge XML into `folder`; returns the netconvert arguments that read them."""
    town = layout(kind, seed)
    places = {node.id: node.xy for node in town.nodes}
    nodes = [
        f'<node id="{node.id}" x="{node.xy[0]:.3f}" y="{node.xy[1]:.3f}" type="{node.control}"/>' for node in town.nodes
    ]
    edges = []
    for road in town.roads:
        line = [places[road.start], places[road.end]]
        edges.append(_edge_xml(road.id, road.start, road.end, road, line, town.lane_width_m))
        if road.both_ways:
            edges.append(_edge_xml(f"-{road.id}", road.end, road.start, road, line[::-1], town.lane_width_m))
    (folder / "town.nod.xml").write_text("<nodes>\n" + "\n".join(nodes) + "\n</nodes>\n")
    (folder / "town.edg.xml").write_text("<edges>\n" + "\n".join(edges) + "\n</edges>\n")
    return ["--node-files", str(folder / "town.nod.xml"), "--edge-files", str(folder / "town.edg.xml")]


def _edge_xml(name: str, start: str, end: str, road: Road, line: list[tuple[float, float]], lane_width_m: float) -> str:
    shape = " ".join(f"{x:.3f},{y:.3f}" for x, y in line)
    spread = "" if road.both_ways else ' spreadType="center"'
    return (
        f'<edge id="{name}" from="{start}" to="{end}" numLanes="{road.lanes}" width="{lane_width_m}"'
        f' priority="{road.priority}" speed="{road.speed_mps}" shape="{shape}"{spread}/>'
    )


def _crossing(rng: np.random.Generator) -> Layout:
    width = float(rng.choice(LANE_WIDTHS_M))
    turn = float(rng.uniform(0.0, 2 * np.pi))
    across = np.cumsum(rng.uniform(*SPACING_M, COLUMNS))
    along = np.cumsum(rng.uniform(*SPACING_M, ROWS))
    across, along = across - across.mean(), along - along.mean()
    cos, sin = np.cos(turn), np.sin(turn)

    def placed(x: float, y: float) -> tuple[float, float]:
        return float(cos * x - sin * y), float(sin * x + cos * y)

    shift = rng.uniform(-JITTER_M, JITTER_M, (COLUMNS, ROWS, 2))
    controls = rng.choice(len(CONTROLS), (COLUMNS, ROWS), p=CONTROL_SHARES)
    nodes = {
        (i, j): Node(
            f"j{i}{j}", placed(across[i] + shift[i, j, 0], along[j] + shift[i, j, 1]), CONTROLS[controls[i, j]]
        )
        for i in range(COLUMNS)
        for j in range(ROWS)
    }
    ends: list[Node] = []
    roads: list[Road] = []
    for j in range(ROWS):  # main roads
        lanes, speed = 2 if rng.random() < WIDE_SHARE else 1, float(rng.choice(MAIN_SPEEDS_MPS))
        west, east = (
            Node(f"{side}{j}", placed(x, along[j]), "priority")
            for side, x in (
                ("w", across[0] - float(rng.uniform(*STUB_M))),
                ("e", across[-1] + float(rng.uniform(*STUB_M))),
            )
        )
        ends += [west, east]
        chain = [west, *(nodes[i, j] for i in range(COLUMNS)), east]
        roads += [Road(f"m{j}{k}", a.id, b.id, lanes, MAIN_PRIORITY, speed) for k, (a, b) in enumerate(pairwise(chain))]
    for i in range(COLUMNS):  # side roads
        south, north = (
            Node(f"{side}{i}", placed(across[i], y), "priority")
            for side, y in (
                ("s", along[0] - float(rng.uniform(*STUB_M))),
                ("n", along[-1] + float(rng.uniform(*STUB_M))),
            )
        )
        ends += [south, north]
        chain = [south, *(nodes[i, j] for j in range(ROWS)), north]
        for k, (a, b) in enumerate(pairwise(chain)):
            if 0 < k < ROWS and rng.random() < MISSING_SHARE:
                continue
            roads.append(Road(f"c{i}{k}", a.id, b.id, 1, SIDE_PRIORITY, SIDE_SPEED_MPS))
    return Layout((*nodes.values(), *ends), tuple(roads), width)


def _merge(rng: np.random.Generator) -> Layout:
    """A one-way main road along +x (before it is turned), joined from the right by ramps of its own speed."""
    width = float(rng.choice(LANE_WIDTHS_M))
    turn = float(rng.uniform(0.0, 2 * np.pi))
    cos, sin = np.cos(turn), np.sin(turn)

    def placed(x: float, y: float) -> tuple[float, float]:
        return float(cos * x - sin * y), float(sin * x + cos * y)

    x = 200.0
    nodes, roads = [Node("start", placed(0.0, 0.0), "priority")], []
    before = "start"
    for k in range(MERGES):
        angle = np.deg2rad(float(rng.uniform(*RAMP_ANGLE_DEG)))
        length = float(rng.uniform(*RAMP_LENGTH_M))
        foot = (x - length * np.cos(angle), -length * np.sin(angle))
        nodes += [Node(f"j{k}", placed(x, 0.0), "priority"), Node(f"r{k}", placed(*foot), "priority")]
        roads.append(Road(f"m{k}", before, f"j{k}", 1, MAIN_PRIORITY, MERGE_SPEED_MPS, both_ways=False))
        roads.append(Road(f"r{k}", f"r{k}", f"j{k}", 1, SIDE_PRIORITY, MERGE_SPEED_MPS, both_ways=False))
        before = f"j{k}"
        x += float(rng.uniform(*MERGE_SPACING_M))
    nodes.append(Node("end", placed(x + 180.0, 0.0), "priority"))
    roads.append(Road(f"m{MERGES}", before, "end", 1, MAIN_PRIORITY, MERGE_SPEED_MPS, both_ways=False))
    return Layout(tuple(nodes), tuple(roads), width)
