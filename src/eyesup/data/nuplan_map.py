"""nuPlan's vector maps (GeoPackages), read without the devkit: lanes, roadblocks, areas, and the graph between them.

A *roadblock* is all parallel lanes of one direction between two intersections; a *lane connector* leads through an
intersection, and those between the same two roadblocks form a *roadblock connector*. Coordinates are metres of the map's UTM
zone. Connectors and lanes are both `MapLane`, roadblocks and roadblock connectors both `Block`: the graph alternates.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry.base import BaseGeometry

from eyesup.data.geopackage import LON_LAT, Layer, read_layers
from eyesup.geometry.utm import to_utm
from eyesup.types import Lane, Paint, RoadLine, RoadMap, StopLine
from eyesup.types.errors import DataError

MAP_VERSION = "nuplan-maps-v1.0"
# The devkit knows these four and no others.
LOCATIONS = ("sg-one-north", "us-ma-boston", "us-nv-las-vegas-strip", "us-pa-pittsburgh-hazelwood")
ALIASES = {"las_vegas": "us-nv-las-vegas-strip"}  # as some logs write it
RADIUS_M = 100.0  # of the square of map that the score knows
FIRST_UTM_NORTH = 32600  # EPSG code of zone n is this plus n
DASHED, SOLID = 0, 2  # boundary_type_fid
MIN_LANE_WIDTH_M = 1.0
_REQUIRED = (
    "lanes_polygons", "lane_groups_polygons", "lane_connectors", "gen_lane_connectors_scaled_width_polygons",
    "lane_group_connectors", "baseline_paths", "intersections", "carpark_areas", "meta",
)  # fmt: skip
_OPTIONAL = ("boundaries", "crosswalks", "walkways")


@dataclass(frozen=True)
class MapLane:
    """A lane, or a lane connector.

    Attributes:
        id: Unique among lanes and connectors.
        block_id: The roadblock (or roadblock connector) that it belongs to.
        polygon: Its area.
        baseline: (P, 3) x, y [m] and heading [rad] along its middle, as stored; the last heading repeats.
        speed_limit_mps: None where unknown.
        incoming, outgoing: Ids before and after it.
        is_connector: Whether it leads through an intersection.
        index: Place among the lanes of its roadblock, 0 = leftmost; -1 for connectors.
        has_light: Whether a traffic light governs it (connectors).
    """

    id: str
    block_id: str
    polygon: BaseGeometry
    baseline: Float64[np.ndarray, "P 3"]
    speed_limit_mps: float | None
    incoming: tuple[str, ...]
    outgoing: tuple[str, ...]
    is_connector: bool
    index: int = -1
    has_light: bool = False

    @cached_property
    def length_m(self) -> float:
        return float(np.hypot(*np.diff(self.baseline[:, :2], axis=0).T).sum())


@dataclass(frozen=True)
class Block:
    """A roadblock, or a roadblock connector: its area, its lanes, and the ids before and after it."""

    id: str
    polygon: BaseGeometry
    lane_ids: tuple[str, ...]
    incoming: tuple[str, ...]
    outgoing: tuple[str, ...]
    is_connector: bool


@dataclass(frozen=True)
class Areas:
    """Polygons of one layer, searchable."""

    ids: tuple[str, ...]
    polygons: np.ndarray

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.polygons)

    def meeting(self, shape: BaseGeometry) -> list[int]:
        """Rows whose polygon meets a shape, in the order of the file."""
        return sorted(int(row) for row in self._tree.query(shape, predicate="intersects"))

    def nearest(self, shape: BaseGeometry) -> int | None:
        return int(self._tree.nearest(shape)) if len(self.ids) else None


class NuPlanMap:
    """One location's map.

    Args:
        path: The ``map.gpkg``.

    Raises:
        DataError: The file is missing, no nuPlan map, or contradicts itself; the message names table and id.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        layers = read_layers(self.path, (*_REQUIRED, *_OPTIONAL), _OPTIONAL)
        self.zone = _utm_zone(self.path, layers["meta"])
        self._shapes = {
            name: _projected(self.path, name, layer, self.zone) for name, layer in layers.items() if name != "meta"
        }
        self._tables = {name: layer.columns for name, layer in layers.items()}
        self.lanes = self._read_lanes()
        self.blocks = self._read_blocks()
        self.areas = {
            "ROADBLOCK": self._block_areas(False),
            "ROADBLOCK_CONNECTOR": self._block_areas(True),
            "INTERSECTION": self._areas("intersections"),
            "CARPARK_AREA": self._areas("carpark_areas"),
        }
        self._boundaries = self._tables.get("boundaries", {})
        del self._tables

    def block_of(self, block_id: str, what: str = "route") -> Block:
        """DataError where the map has no such roadblock."""
        if block_id not in self.blocks:
            raise DataError(
                f"{what}: roadblock {block_id!r} is neither roadblock nor connector of {self.path} ({len(self.blocks)} of them)"
            )
        return self.blocks[block_id]

    def polygons_around(
        self, center: Sequence[float] | np.ndarray, radius_m: float = RADIUS_M
    ) -> tuple[tuple[np.ndarray, ...], tuple[str, ...], tuple[str, ...]]:
        """Rings, ids and layer names that the PDM score looks at: a square of map, in the official order.

        Roadblocks, the lanes of those, the connectors of roadblock connectors, intersections, car parks. A part of several
        pieces gives several rings of one id.
        """
        found = [(i, "ROADBLOCK", p) for i, p in self._within("ROADBLOCK", center, radius_m)]
        for layer, name in (("ROADBLOCK", "LANE"), ("ROADBLOCK_CONNECTOR", "LANE_CONNECTOR")):
            for block_id, _ in self._within(layer, center, radius_m):
                found += [(lane, name, self.lanes[lane].polygon) for lane in self.blocks[block_id].lane_ids]
        for layer in ("INTERSECTION", "CARPARK_AREA"):
            found += [(i, layer, p) for i, p in self._within(layer, center, radius_m)]
        parts = [(ring, token, name) for token, name, polygon in found for ring in rings(polygon)]
        if not parts:
            x, y = center
            raise DataError(f"{self.path}: no road within {radius_m:g} m of ({x:.1f}, {y:.1f})")
        tokens = tuple(token for _, token, _ in parts)
        return tuple(ring for ring, _, _ in parts), tokens, tuple(name for _, _, name in parts)

    def blocks_at(self, point: Sequence[float] | np.ndarray, radius_m: float) -> list[Block]:
        """Roadblocks, then roadblock connectors, that meet a square; where there is none, the nearest one of each kind."""
        layers = ("ROADBLOCK", "ROADBLOCK_CONNECTOR")
        found = [block_id for layer in layers for block_id, _ in self._within(layer, point, radius_m)]
        if not found:
            spot = shapely.Point(*point[:2])
            nearest = [(self.areas[layer], self.areas[layer].nearest(spot)) for layer in layers]
            found = [areas.ids[row] for areas, row in nearest if row is not None]
        return [self.blocks[block_id] for block_id in found]

    def lanes_at(self, spot: BaseGeometry) -> list[str]:
        """Ids of the lanes and connectors that meet a shape, lanes first."""
        return [self._lane_areas.ids[row] for row in self._lane_areas.meeting(spot)]

    def road_map(self, center: Sequence[float] | np.ndarray, radius_m: float = RADIUS_M) -> RoadMap:
        """The house's map of a square, same coordinates: a lane's width is its area over its length."""
        square = _square(center, radius_m)
        ids = self.lanes_at(square)
        near = set(ids)
        lanes = tuple(self._house_lane(self.lanes[lane_id], near) for lane_id in ids)
        stops = {
            before: _stop_line(self.lanes[before])
            for lane_id in ids
            if self.lanes[lane_id].has_light
            for before in self.lanes[lane_id].incoming
            if before in near
        }
        drivable = [
            ring
            for layer in ("ROADBLOCK", "INTERSECTION", "CARPARK_AREA")
            for _, polygon in self._within(layer, center, radius_m)
            for ring in rings(polygon)
        ]
        return RoadMap(
            lanes=lanes,
            lines=tuple(self._lines(square)),
            crosswalks=self._rings_of("crosswalks", square),
            stop_lines=tuple(stops.values()),
            drivable=tuple(drivable),
            sidewalks=self._rings_of("walkways", square),
        )

    @cached_property
    def _lane_areas(self) -> Areas:
        return Areas(tuple(self.lanes), np.array([lane.polygon for lane in self.lanes.values()], object))

    def _within(self, layer: str, center: Sequence[float] | np.ndarray, radius_m: float) -> list[tuple[str, Any]]:
        areas = self.areas[layer]
        return [(areas.ids[row], areas.polygons[row]) for row in areas.meeting(_square(center, radius_m))]

    def _house_lane(self, lane: MapLane, near: set[str]) -> Lane:
        beside: dict[int, str] = {}
        if not lane.is_connector and lane.block_id in self.blocks:
            beside = {self.lanes[other].index: other for other in self.blocks[lane.block_id].lane_ids if other in near}
        return Lane(
            id=lane.id,
            centerline=lane.baseline[:, :2],
            width_m=_width_m(lane),
            speed_limit_mps=lane.speed_limit_mps or 0.0,
            successors=tuple(after for after in lane.outgoing if after in near),
            left=beside.get(lane.index - 1),
            right=beside.get(lane.index + 1),
            is_junction=lane.is_connector,
        )

    def _lines(self, square: BaseGeometry) -> Iterator[RoadLine]:
        kinds = self._boundaries.get("boundary_type_fid", [])
        paint = {DASHED: Paint.DASHED_WHITE, SOLID: Paint.SOLID_WHITE}
        for shape, kind in zip(self._shapes.get("boundaries", ()), kinds):
            if kind in paint and shape is not None and shape.intersects(square):
                for line in getattr(shape, "geoms", (shape,)):
                    yield RoadLine(shapely.get_coordinates(line), paint[kind])

    def _rings_of(self, name: str, square: BaseGeometry) -> tuple[np.ndarray, ...]:
        shapes = [shape for shape in self._shapes.get(name, ()) if shape is not None and shape.intersects(square)]
        return tuple(ring for shape in shapes for ring in rings(shape))

    def _read_lanes(self) -> dict[str, MapLane]:
        table, connectors = self._tables["lanes_polygons"], self._tables["lane_connectors"]
        ids = self._ids("lanes_polygons", "fid")
        between = self._ids("lane_connectors", "fid")
        self._check_disjoint("lanes_polygons", ids, "lane_connectors", between)
        before, after = self._ids("lane_connectors", "exit_lane_fid"), self._ids("lane_connectors", "entry_lane_fid")
        outgoing, incoming = _grouped(before, between), _grouped(after, between)
        paths = self._baselines()
        blocks, shapes = self._ids("lanes_polygons", "lane_group_fid"), self._shapes["lanes_polygons"]
        lanes = {
            lane: MapLane(
                lane, blocks[i], shapes[i], self._baseline(paths, lane), _limit(table, i),
                tuple(incoming[lane]), tuple(outgoing[lane]), False, int(_column(table, "lane_index", i) or 0),
            )
            for i, lane in enumerate(ids)
        }  # fmt: skip
        name = "gen_lane_connectors_scaled_width_polygons"
        polygons = dict(zip(self._ids(name, "lane_connector_fid"), self._shapes[name]))
        groups = self._ids("lane_connectors", "lane_group_connector_fid")
        for i, lane in enumerate(between):
            if lane not in polygons:
                raise DataError(f"{self.path}: lane connector {lane} has no row in {name}")
            ends = [tuple(end for end in one if end in lanes) for one in ((before[i],), (after[i],))]
            lanes[lane] = MapLane(
                lane, groups[i], polygons[lane], self._baseline(paths, lane), _limit(connectors, i), ends[0], ends[1], True,
                has_light=bool(_column(connectors, "traffic_light_stop_line_fids", i)),
            )  # fmt: skip
        return lanes

    def _read_blocks(self) -> dict[str, Block]:
        ids, links = self._ids("lane_groups_polygons", "fid"), self._ids("lane_group_connectors", "fid")
        self._check_disjoint("lane_groups_polygons", ids, "lane_group_connectors", links)
        before = self._ids("lane_group_connectors", "from_lane_group_fid")
        after = self._ids("lane_group_connectors", "to_lane_group_fid")
        inside: dict[str, list[str]] = defaultdict(list)
        for lane in self.lanes.values():
            inside[lane.block_id].append(lane.id)
        incoming, outgoing = _grouped(after, links), _grouped(before, links)
        areas = self._shapes["lane_groups_polygons"]
        blocks = {
            block: Block(
                block, areas[i], tuple(inside[block]), tuple(incoming[block]), tuple(outgoing[block]), False
            )
            for i, block in enumerate(ids)
        }  # fmt: skip
        areas = self._shapes["lane_group_connectors"]
        for i, block in enumerate(links):
            ends = [tuple(end for end in one if end in blocks) for one in ((before[i],), (after[i],))]
            blocks[block] = Block(block, areas[i], tuple(inside[block]), ends[0], ends[1], True)
        return blocks

    def _baselines(self) -> dict[str, BaseGeometry]:
        table = self._tables["baseline_paths"]
        paths: dict[str, BaseGeometry] = {}
        for i, shape in enumerate(self._shapes["baseline_paths"]):
            owner = as_id(_column(table, "lane_fid", i)) or as_id(_column(table, "lane_connector_fid", i))
            if owner in paths:
                raise DataError(f"{self.path}: baseline_paths has two rows for lane {owner}; exactly one is needed")
            if owner is not None and shape is not None:
                paths[owner] = shape
        return paths

    def _baseline(self, paths: Mapping[str, BaseGeometry], lane: str) -> np.ndarray:
        if lane not in paths:
            raise DataError(f"{self.path}: lane {lane} has no row in baseline_paths")
        points = shapely.get_coordinates(paths[lane])
        if len(points) < 2:
            raise DataError(f"{self.path}: baseline path of lane {lane} has {len(points)} point(s); needs two")
        return with_headings(points)

    def _block_areas(self, connectors: bool) -> Areas:
        blocks = [block for block in self.blocks.values() if block.is_connector == connectors]
        return Areas(tuple(block.id for block in blocks), np.array([block.polygon for block in blocks], object))

    def _areas(self, name: str) -> Areas:
        kept = [(i, s) for i, s in zip(self._ids(name, "fid"), self._shapes[name]) if s is not None]
        return Areas(tuple(i for i, _ in kept), np.array([shape for _, shape in kept], object))

    def _ids(self, table: str, column: str) -> list[str]:
        """A column of references as text; DataError for a NULL, which makes the devkit lose the whole column."""
        values = self._tables[table].get(column)
        if values is None:
            raise DataError(f"{self.path}: table {table} has no column {column!r}")
        found = [as_id(value) for value in values]
        if None in found:
            raise DataError(
                f"{self.path}: {table}.{column} is {values[found.index(None)]!r} in row {found.index(None)}"
            )
        return [token for token in found if token is not None]

    def _check_disjoint(self, first: str, ids: list[str], second: str, others: list[str]) -> None:
        for name, tokens in ((first, ids), (second, others)):
            if len(set(tokens)) != len(tokens):
                raise DataError(f"{self.path}: {name} has {len(tokens) - len(set(tokens))} repeated id(s)")
        shared = sorted(set(ids) & set(others))
        if shared:
            raise DataError(f"{self.path}: id {shared[0]} is in {first} and in {second}; a route would be ambiguous")


def find_map(root: str | Path, location: str) -> Path:
    """Path of a location's map: the version named in ``nuplan-maps-v1.0.json``, else the only one in its folder."""
    root, location = Path(root), ALIASES.get(location, location)
    if location not in LOCATIONS:
        raise DataError(f"map location {location!r} is unknown; nuPlan has {', '.join(LOCATIONS)}")
    index = root / f"{MAP_VERSION}.json"
    if index.exists():
        try:
            version = json.loads(index.read_text())[location]["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{index}: no version of {location} ({error!r})") from error
        return root / location / str(version) / "map.gpkg"
    found = sorted((root / location).glob("*/map.gpkg"))
    if len(found) != 1:
        raise DataError(
            f"{root}: no {MAP_VERSION}.json, and {len(found)} maps of {location}; set NUPLAN_MAPS_ROOT to the maps' folder"
        )
    return found[0]


@lru_cache(maxsize=len(LOCATIONS))
def open_map(root: str | Path, location: str) -> NuPlanMap:
    """A location's map, read once per process."""
    return NuPlanMap(find_map(root, location))


def with_headings(points: Float64[np.ndarray, "P 2"]) -> Float64[np.ndarray, "P 3"]:
    """Points with the heading of the segment that follows; the last heading repeats."""
    steps = np.diff(points, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    return np.column_stack([points, np.append(heading, heading[-1])])


def rings(area: BaseGeometry) -> list[Float64[np.ndarray, "_ 2"]]:
    """One ring per polygon, not closed; a hole is reached by a cut of no width, which the even-odd rule does not see."""
    found = []
    for part in getattr(area, "geoms", (area,)):
        outer = shapely.get_coordinates(part.exterior)
        holes = [np.concatenate([shapely.get_coordinates(hole), outer[:1]]) for hole in part.interiors]
        found.append(np.concatenate([outer, *holes])[:-1])
    return found


def as_id(value: object) -> str | None:
    """An id as the devkit spells it, from a number or text; None where there is none."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    text = str(value)
    return text[:-2] if text.endswith(".0") else text


def _grouped(keys: Iterable[str], values: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, value in zip(keys, values):
        groups[key].append(value)
    return groups


def _utm_zone(path: Path, meta: Layer) -> int:
    facts = dict(zip(meta.columns.get("key", []), meta.columns.get("value", [])))
    code = str(facts.get("projectedCoordSystem", "")).lower().removeprefix("epsg:")
    zone = int(code) - FIRST_UTM_NORTH if code.isdigit() else 0
    if not 1 <= zone <= 60:
        raise DataError(
            f"{path}: projectedCoordSystem {code!r} in table meta; expected a northern UTM zone, epsg:326.."
        )
    return zone


def _projected(path: Path, name: str, layer: Layer, zone: int) -> np.ndarray:
    if layer.srs_id == FIRST_UTM_NORTH + zone:
        return layer.geometries
    if layer.srs_id != LON_LAT:
        raise DataError(f"{path}: {name} is stored in EPSG:{layer.srs_id}; known: {LON_LAT}, {FIRST_UTM_NORTH + zone}")
    return np.asarray(shapely.transform(layer.geometries, lambda degrees: to_utm(degrees, zone)), object)


def _square(center: Sequence[float] | np.ndarray, radius_m: float) -> BaseGeometry:
    x, y = float(center[0]), float(center[1])
    return shapely.box(x - radius_m, y - radius_m, x + radius_m, y + radius_m)


def _column(table: Mapping[str, list[Any]], name: str, row: int) -> Any:
    return table[name][row] if name in table else None


def _limit(table: Mapping[str, list[Any]], row: int) -> float | None:
    value = _column(table, "speed_limit_mps", row)
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _width_m(lane: MapLane) -> float:
    return max(float(lane.polygon.area) / max(lane.length_m, MIN_LANE_WIDTH_M), MIN_LANE_WIDTH_M)


def _stop_line(lane: MapLane) -> StopLine:
    x, y, heading = lane.baseline[-1]
    left = _width_m(lane) / 2 * np.array([-np.sin(heading), np.cos(heading)])
    return StopLine(np.array([[x, y] + left, [x, y] - left]), lane.id)
