"""The map expansion (``maps/expansion/<location>.json``, version 1.3) as a `RoadMap`, and back.

The format stores geometry once: nodes, then polygons and lines that name their nodes, then layers that name polygons and lines.
Centrelines are chains of arcs and straights (``arcline_path_3``: turn, turn or straight, turn; each with its length).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from eyesup.types import Lane, Paint, RoadLine, RoadMap, StopLine
from eyesup.types.errors import DataError

EXPANSION = Path("maps") / "expansion"
VERSION = "1.3"  # the devkit refuses anything older
LISTS = (
    "polygon", "line", "node", "drivable_area", "road_segment", "road_block", "lane", "ped_crossing", "walkway", "stop_line",
    "carpark_area", "road_divider", "lane_divider", "traffic_light", "lane_connector",
)  # fmt: skip
_SPACING_M = 1.0  # of points along a centreline
_STRAIGHT_M = 1e6  # a "radius" of this size turns nowhere
_NO_LIMIT_MPS = 13.9  # the format has no speed limits: 50 km/h, that of the cities it covers
_DEFAULT_WIDTH_M = 3.5
_TURNS = {"L": 1.0, "R": -1.0, "S": 0.0}
_DIVIDERS = {"road_divider": Paint.SOLID_YELLOW, "lane_divider": Paint.DASHED_WHITE}


def expansion(path: Path) -> dict[str, Any]:
    """A file of the expansion. DataError when it is missing, damaged or older than 1.3."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); unpack the map expansion 1.3 into maps/"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: truncated or damaged ({error}); unpack the map expansion again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: no object; this is no map expansion of version {VERSION}")
    missing = [name for name in (*LISTS, "version", "arcline_path_3", "connectivity") if name not in content]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} missing; this is no map expansion of version {VERSION}")
    return content


def read_map(path: str | Path) -> RoadMap:
    """A whole map, map frame. DataError as of `expansion`."""
    content = expansion(Path(path))
    try:
        return _Reader(content).road_map()
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path}: a layer names something that is not there ({error!r})") from error


class _Reader:
    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.nodes = {row["token"]: (row["x"], row["y"]) for row in content["node"]}
        self.rings = {row["token"]: self._points(row["exterior_node_tokens"]) for row in content["polygon"]}
        self.lines = {row["token"]: self._points(row["node_tokens"]) for row in content["line"]}

    def _points(self, tokens: Sequence[str]) -> np.ndarray:
        return np.array([self.nodes[token] for token in tokens], dtype=np.float64).reshape(-1, 2)

    def road_map(self) -> RoadMap:
        lanes = self._lanes()
        return RoadMap(
            lanes=lanes,
            lines=tuple(
                RoadLine(self.lines[row["line_token"]], paint)
                for layer, paint in _DIVIDERS.items()
                for row in self.content[layer]
                if len(self.lines[row["line_token"]]) >= 2
            ),
            crosswalks=self._polygons("ped_crossing"),
            stop_lines=self._stop_lines(lanes),
            drivable=tuple(
                self.rings[token] for row in self.content["drivable_area"] for token in row["polygon_tokens"]
            ),
            sidewalks=self._polygons("walkway"),
        )

    def _polygons(self, layer: str) -> tuple[np.ndarray, ...]:
        return tuple(self.rings[row["polygon_token"]] for row in self.content[layer])

    def _lanes(self) -> tuple[Lane, ...]:
        rows = [(row, layer == "lane_connector") for layer in ("lane", "lane_connector") for row in self.content[layer]]
        paths = {row["token"]: self.content["arcline_path_3"].get(row["token"]) for row, _ in rows}
        known = {token for token, path in paths.items() if path}
        lanes = []
        for row, junction in rows:
            token = row["token"]
            if token not in known:
                continue
            line = np.concatenate([arcline_points(arc, _SPACING_M) for arc in paths[token]])
            line = line[np.append(True, np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-3)]
            if len(line) < 2:
                continue
            outgoing = self.content["connectivity"].get(token, {}).get("outgoing", ())
            width = self._width(row, line)
            lanes.append(
                Lane(token, line, width, _NO_LIMIT_MPS, tuple(t for t in outgoing if t in known), None, None, junction)
            )
        return tuple(lanes)

    def _width(self, row: Mapping[str, Any], line: np.ndarray) -> float:
        """Area over length, where the lane has a polygon of its own."""
        ring = self.rings.get(row.get("polygon_token") or "")
        length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
        if ring is None or len(ring) < 3 or length < 1.0:
            return _DEFAULT_WIDTH_M
        following = np.roll(ring, -1, axis=0)
        area = 0.5 * abs(float((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum()))
        return area / length

    def _stop_lines(self, lanes: Sequence[Lane]) -> tuple[StopLine, ...]:
        """A stop line is an area across one lane or several: one segment per lane that ends in or just before it."""
        if not lanes:
            return ()
        ends = np.array([lane.centerline[-1] for lane in lanes])
        found = []
        for ring in self._polygons("stop_line"):
            if len(ring) < 3:
                continue
            centre, reach = ring.mean(axis=0), np.linalg.norm(ring - ring.mean(axis=0), axis=1).max() + 1.0
            for index in np.flatnonzero(np.linalg.norm(ends - centre, axis=1) < reach).tolist():
                lane = lanes[index]
                if not lane.is_junction:
                    tangent = lane.centerline[-1] - lane.centerline[-2]
                    across = np.array([-tangent[1], tangent[0]]) / np.linalg.norm(tangent) * lane.width_m / 2
                    found.append(StopLine(np.array([ends[index] - across, ends[index] + across]), lane.id))
        return tuple(found)


def arcline_points(arc: Mapping[str, Any], spacing_m: float) -> Float64[np.ndarray, "P 2"]:
    """Points of one ``arcline_path_3``: three pieces, each turning left, right or not at all, with the given radius."""
    x, y, heading = (float(value) for value in arc["start_pose"])
    points = [(x, y)]
    for turn, length in zip(arc["shape"], arc["segment_length"]):
        steps = max(int(np.ceil(length / spacing_m)), 1)
        bend = _TURNS[turn] / float(arc["radius"])
        for _ in range(steps if length > 0 else 0):
            half = 0.5 * bend * length / steps
            chord = length / steps * (np.sin(half) / half if half else 1.0)
            x, y = x + chord * np.cos(heading + half), y + chord * np.sin(heading + half)
            heading += 2 * half
            points.append((x, y))
    return np.array(points)


def straight_arcs(line: Float64[np.ndarray, "P 2"]) -> list[dict[str, Any]]:
    """A polyline as ``arcline_path_3``: one straight piece per segment."""
    arcs = []
    for start, end in pairwise(line):
        dx, dy = (end - start).tolist()
        heading = float(np.arctan2(dy, dx))
        arcs.append({
            "start_pose": [*start.tolist(), heading], "end_pose": [*end.tolist(), heading], "shape": "LSR",
            "radius": _STRAIGHT_M, "segment_length": [0.0, float(np.hypot(dx, dy)), 0.0],
        })  # fmt: skip
    return arcs


class MapWriter:
    """Collects road maps into one expansion file; each is moved by its own offset.

    Args:
        token: Makes a token from a name; the same name gives the same token.
    """

    def __init__(self, token: Callable[[str], str]) -> None:
        self._token = token
        self.content: dict[str, Any] = {name: [] for name in LISTS}
        self.content |= {"version": VERSION, "canvas_edge": [0.0, 0.0], "arcline_path_3": {}, "connectivity": {}}

    def add(self, name: str, road_map: RoadMap, offset_m: Float64[np.ndarray, "2"]) -> None:
        """Add one map under a name of its own."""
        tokens = {lane.id: self._token(f"{name}/lane/{lane.id}") for lane in road_map.lanes}
        incoming: dict[str, list[str]] = {token: [] for token in tokens.values()}
        for lane in road_map.lanes:
            for following in lane.successors:
                if following in tokens:
                    incoming[tokens[following]].append(tokens[lane.id])
        for lane in road_map.lanes:
            self._lane(tokens[lane.id], lane, offset_m)
            outgoing = [tokens[t] for t in lane.successors if t in tokens]
            self.content["connectivity"][tokens[lane.id]] = {
                "incoming": incoming[tokens[lane.id]],
                "outgoing": outgoing,
            }
        rings = [self._polygon(f"{name}/drivable/{i}", ring + offset_m) for i, ring in enumerate(road_map.drivable)]
        if rings:
            area = self._token(f"{name}/drivable")
            self.content["drivable_area"].append({"token": area, "polygon_tokens": rings})
            self.content["road_segment"] += [
                {
                    "token": self._token(f"{name}/road/{i}"),
                    "polygon_token": ring,
                    "is_intersection": False,
                    "drivable_area_token": area,
                }
                for i, ring in enumerate(rings)
            ]
        for layer, parts in (("ped_crossing", road_map.crosswalks), ("walkway", road_map.sidewalks)):
            for i, ring in enumerate(parts):
                row = {
                    "token": self._token(f"{name}/{layer}/{i}"),
                    "polygon_token": self._polygon(f"{name}/{layer}-ring/{i}", ring + offset_m),
                }
                self.content[layer].append(row | ({"road_segment_token": ""} if layer == "ped_crossing" else {}))
        for i, stop in enumerate(road_map.stop_lines):
            self._stop_line(f"{name}/stop/{i}", stop, offset_m)
        for i, line in enumerate(road_map.lines):
            if line.paint is not Paint.KERB:
                yellow = line.paint in (Paint.SOLID_YELLOW, Paint.DASHED_YELLOW)
                layer, key = (
                    ("road_divider", "road_segment_token") if yellow else ("lane_divider", "lane_divider_segments")
                )
                token = self._line(f"{name}/divider/{i}", line.points + offset_m)
                row = {"token": self._token(f"{name}/divider-row/{i}"), "line_token": token}
                if yellow:
                    row[key] = ""
                self.content[layer].append(row if yellow else row | {key: self._segments(token, line.paint)})

    def text(self) -> str:
        """The finished file."""
        xs = [row["x"] for row in self.content["node"]] or [0.0]
        ys = [row["y"] for row in self.content["node"]] or [0.0]
        self.content["canvas_edge"] = [float(np.ceil(max(xs) + 50.0)), float(np.ceil(max(ys) + 50.0))]
        return json.dumps(self.content)

    def _nodes(self, name: str, points: np.ndarray) -> list[str]:
        tokens = [self._token(f"{name}#{i}") for i in range(len(points))]
        self.content["node"] += [{"token": t, "x": float(x), "y": float(y)} for t, (x, y) in zip(tokens, points)]
        return tokens

    def _polygon(self, name: str, ring: np.ndarray) -> str:
        token = self._token(name)
        self.content["polygon"].append({"token": token, "exterior_node_tokens": self._nodes(name, ring), "holes": []})
        return token

    def _line(self, name: str, points: np.ndarray) -> str:
        token = self._token(name)
        self.content["line"].append({"token": token, "node_tokens": self._nodes(name, points)})
        return token

    def _segments(self, line_token: str, paint: Paint) -> list[dict[str, str]]:
        kind = "SINGLE_SOLID_WHITE" if paint is Paint.SOLID_WHITE else "DOUBLE_DASHED_WHITE"
        nodes = self.content["line"][-1]["node_tokens"]
        assert self.content["line"][-1]["token"] == line_token
        return [{"node_token": token, "segment_type": kind} for token in nodes]

    def _lane(self, token: str, lane: Lane, offset_m: np.ndarray) -> None:
        line = lane.centerline + offset_m
        tangent = np.gradient(line, axis=0)
        across = (
            np.stack([-tangent[:, 1], tangent[:, 0]], -1) / np.maximum(np.linalg.norm(tangent, axis=1), 1e-9)[:, None]
        )
        ring = np.concatenate([line - across * lane.width_m / 2, (line + across * lane.width_m / 2)[::-1]])
        polygon = self._polygon(f"{token}/ring", ring)
        if lane.is_junction:
            self.content["lane_connector"].append({"token": token, "polygon_token": polygon})
        else:
            ends = {
                f"{side}_edge_line_token": self._line(f"{token}/{side}", ring[[row, -1 - row]])
                for side, row in (("from", 0), ("to", len(line) - 1))
            }
            self.content["lane"].append({
                "token": token, "polygon_token": polygon, "lane_type": "CAR", **ends,
                "left_lane_divider_segments": [], "right_lane_divider_segments": [],
            })  # fmt: skip
        self.content["arcline_path_3"][token] = straight_arcs(line)

    def _stop_line(self, name: str, stop: StopLine, offset_m: np.ndarray) -> None:
        """A strip 0.4 m deep around the painted segment."""
        a, b = stop.points + offset_m
        across = b - a
        ahead = 0.2 * np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-9)
        polygon = self._polygon(f"{name}/ring", np.array([a - ahead, b - ahead, b + ahead, a + ahead]))
        self.content["stop_line"].append({
            "token": self._token(name), "polygon_token": polygon, "stop_line_type": "TURN_STOP", "ped_crossing_tokens": [],
            "traffic_light_tokens": [], "road_block_token": "",
        })  # fmt: skip
