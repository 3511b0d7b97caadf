"""The world's road maps as a nuPlan map that the official devkits open.

Many logs lie side by side in the UTM plane of one location, each on a tile of its own: a map root holds four locations at most.
Lanes become ``lanes_polygons``, chains of junction lanes become lane connectors, lanes beside each other a roadblock. What is
drivable beyond roadblocks and intersections becomes ``carpark_areas``, the only other area that NAVSIM lets a car be on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from eyesup.data.geopackage import LON_LAT, Layer, Schema, write_layers
from eyesup.data.nuplan_map import DASHED, FIRST_UTM_NORTH, LOCATIONS, MAP_VERSION, SOLID
from eyesup.geometry.utm import from_utm
from eyesup.types import Lane, Scene, SignalState
from eyesup.types.errors import DataError
from eyesup.world.rings import polygons, simple_rings

VERSIONS = dict(zip(LOCATIONS, ("9.17.1964", "9.12.1817", "9.15.1915", "9.17.1937")))
ZONES = dict(zip(LOCATIONS, (48, 19, 11, 17)))
# South-west corner of the first tile, in the location's UTM zone.
CORNERS_M = dict(
    zip(
        LOCATIONS,
        ((300_000.0, 100_000.0), (300_000.0, 4_600_000.0), (300_000.0, 3_900_000.0), (300_000.0, 4_400_000.0)),
    )
)
TILE_GAP_M = 400.0  # nobody looks further than 100 m
TILES_PER_ROW = 40
VERTEX_EVERY_M = 1.0
MAX_GAP_M = 0.05  # between parts that belong together
OVERLAP_M = 0.3  # of an intersection with what it joins: a corner on a common edge would be in neither
LEFTOVER_M = 0.3  # drivable strips narrower than twice this are rounding
MIN_RING_M2 = 0.5
STOP_BEFORE_M, STOP_BEYOND_M = 0.6, 1.0  # a stop polygon straddles the lane's end
VIRTUAL = 3
LIGHT, STOP_SIGN, YIELD_SIGN = 2, 1, 4  # stop_polygon_type_fid
FIRST_FID = 1000
CREATOR = "eyesup"

_INT, _TEXT, _REAL, _BOOL, _MEDIUM = "INTEGER", "TEXT", "REAL", "BOOLEAN", "MEDIUMINT"
SCHEMAS: dict[str, Schema] = {
    "meta": Schema(None, {"key": _TEXT, "value": _TEXT}),
    "lanes_polygons": Schema("POLYGON", {
        "lane_group_fid": _INT, "lane_fid": _INT, "lane_index": _MEDIUM, "creator_id": _TEXT, "name": _TEXT, "road_type_fid": _INT,
        "lane_type_fid": _INT, "width": _MEDIUM, "left_offset": _REAL, "right_offset": _REAL, "min_speed": _REAL,
        "max_speed": _REAL, "stops": _MEDIUM, "left_boundary_fid": _INT, "right_boundary_fid": _INT, "speed_limit_mps": _REAL,
        "left_has_reflectors": _BOOL, "right_has_reflectors": _BOOL, "from_edge_fid": _INT, "to_edge_fid": _INT,
    }),
    "lane_groups_polygons": Schema("POLYGON", {
        "creator_id": _TEXT, "left_boundary_fid": _INT, "right_boundary_fid": _INT, "from_edge_fid": _INT, "to_edge_fid": _INT,
    }),
    "lane_connectors": Schema("LINESTRING", {
        "exit_lane_group_fid": _INT, "exit_lane_fid": _INT, "entry_lane_group_fid": _INT, "lane_group_connector_fid": _INT,
        "entry_lane_fid": _INT, "intersection_fid": _INT, "turn_type_fid": _INT, "bulb_fids": _TEXT,
        "traffic_light_stop_line_fids": _TEXT, "overlap": _MEDIUM, "creator_id": _TEXT, "reflector_side_fid": _INT,
        "left_has_reflectors": _BOOL, "right_has_reflectors": _BOOL, "speed_limit_mps": _REAL,
    }),
    "gen_lane_connectors_scaled_width_polygons": Schema("POLYGON", {
        "baseline_path_fid": _INT, "lane_connector_fid": _INT, "from_edge_fid": _INT, "to_edge_fid": _INT,
        "left_boundary_fid": _INT, "right_boundary_fid": _INT,
    }),
    "lane_group_connectors": Schema("POLYGON", {
        "intersection_fid": _INT, "from_lane_group_fid": _INT, "to_lane_group_fid": _INT, "creator_id": _TEXT,
        "from_edge_fid": _INT, "to_edge_fid": _INT, "left_boundary_fid": _INT, "right_boundary_fid": _INT,
    }),
    "baseline_paths": Schema("LINESTRING", {
        "path_type_fid": _INT, "creator_id": _TEXT, "lane_fid": _INT, "lane_connector_fid": _INT, "dubins_node_fids": _TEXT,
    }),
    "boundaries": Schema("LINESTRING", {
        "boundary_segment_fids": _TEXT, "has_reflectors": _BOOL, "boundary_type_fid": _INT, "creator_id": _TEXT,
    }),
    "intersections": Schema("POLYGON", {"creator_id": _TEXT, "intersection_type_fid": _INT, "is_mini": _BOOL}),
    "stop_polygons": Schema("POLYGON", {
        "stop_polygon_type_fid": _INT, "lane_group_fid": _INT, "lane_fids": _TEXT, "lane_connector_fids": _TEXT,
        "traffic_light_fids": _TEXT, "crosswalk_fids": _TEXT, "precedence_area_fids": _TEXT, "creator_id": _TEXT,
    }),
    "crosswalks": Schema("POLYGON", {
        "intersection_fids": _TEXT, "lane_fids": _TEXT, "creator_id": _TEXT, "is_marked": _BOOL,
    }),
    "walkways": Schema("POLYGON", {"creator_id": _TEXT}),
    "carpark_areas": Schema("POLYGON", {"heading": _REAL, "creator_id": _TEXT}),
    "generic_drivable_areas": Schema("POLYGON", {"creator_id": _TEXT}),
    "road_segments": Schema("POLYGON", {"lane_group_fids": _TEXT}),
    "dubins_nodes": Schema("POINT", {"radius": _REAL, "heading": _REAL, "creator_id": _TEXT}),
    "traffic_lights": Schema("POINT", {"light_face_type_fid": _INT, "ori_mean_yaw": _REAL, "creator_id": _TEXT}),
}  # fmt: skip


@dataclass(frozen=True)
class Tile:
    """Where a log's map went, and how the log's names are spelled there.

    Attributes:
        offset: (2,) what to add to the log's coordinates [m].
        block_of: Lane or junction lane -> roadblock id.
        connectors_after: Lane -> ids of the connectors that begin at its end.
    """

    offset: np.ndarray
    block_of: Mapping[str, str]
    connectors_after: Mapping[str, tuple[int, ...]]

    def roadblocks(self, lane_ids: Sequence[str]) -> list[str]:
        """A route of lanes as a route of roadblocks."""
        blocks = [self.block_of[lane] for lane in lane_ids if lane in self.block_of]
        return [block for i, block in enumerate(blocks) if i == 0 or block != blocks[i - 1]]


@dataclass
class _Rows:
    """Rows of all tables while they grow; one counter numbers them all."""

    fids: count = field(default_factory=lambda: count(FIRST_FID))
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    shapes: dict[str, list[BaseGeometry]] = field(default_factory=lambda: defaultdict(list))

    def fid(self) -> int:
        return next(self.fids)

    def add(self, table: str, shape: BaseGeometry, fid: int | None = None, **values: Any) -> int:
        fid = self.fid() if fid is None else fid
        owned = {"creator_id": CREATOR} if "creator_id" in SCHEMAS[table].columns else {}
        self.tables[table].append({"fid": fid, **owned, **values})
        self.shapes[table].append(shape)
        return fid


@dataclass(frozen=True)
class _Connection:
    """A way from a lane to a lane: ids of the junction lanes in between, and the road through them."""

    start: Lane
    end: Lane
    parts: tuple[str, ...]
    line: BaseGeometry
    area: BaseGeometry

    @property
    def junction(self) -> str:
        return self.parts[0].rsplit("_", 2)[0]


class MapWriter:
    """Collects the maps of logs and writes them as one location.

    Args:
        location: One of nuPlan's four.
    """

    def __init__(self, location: str = "us-ma-boston") -> None:
        if location not in LOCATIONS:
            raise DataError(f"map location {location!r} is unknown; nuPlan has {', '.join(LOCATIONS)}")
        self.location = location
        self._rows = _Rows()
        self._tiles = 0
        self._row_top_m = CORNERS_M[location][1]
        self._right_m, self._highest_m = CORNERS_M[location][0], self._row_top_m

    def add(self, scene: Scene) -> Tile:
        """Put a log's map on the next tile.

        Raises:
            DataError: The log has no lanes, or a lane runs into another without a junction lane in between.
        """
        if not scene.road_map.lanes:
            raise DataError(f"scene {scene.key}: its map has 0 lanes; there is nothing to drive on")
        offset = self._next_tile(scene)
        return _Town(scene, offset, self._rows).write()

    def write(self, root: Path) -> None:
        """Write the location, the three others as stubs, and the file of versions."""
        for location in LOCATIONS:
            rows = self._rows if location == self.location else _Rows()
            names = list(SCHEMAS) if location == self.location else ["meta", "lane_connectors"]
            meta: dict[str, list[Any]] = {
                "fid": [1, 2],
                "key": ["geographicCoordSystem", "projectedCoordSystem"],
                "value": [f"epsg:{LON_LAT}", f"epsg:{FIRST_UTM_NORTH + ZONES[location]}"],
            }
            tables = {name: (SCHEMAS[name], _layer(rows, name, ZONES[location])) for name in names if name != "meta"}
            write_layers(
                root / location / VERSIONS[location] / "map.gpkg",
                {"meta": (SCHEMAS["meta"], Layer(meta, np.array([], object))), **tables},
            )
        versions = {location: {"version": VERSIONS[location], "layers": {}} for location in LOCATIONS}
        (root / f"{MAP_VERSION}.json").write_text(json.dumps(versions, indent=1) + "\n")

    def _next_tile(self, scene: Scene) -> np.ndarray:
        """Offset that puts the map's south-west corner on the next free place, in whole metres."""
        points = np.concatenate([lane.centerline for lane in scene.road_map.lanes] + list(scene.road_map.drivable))
        low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
        if self._tiles and self._tiles % TILES_PER_ROW == 0:
            self._row_top_m, self._right_m = self._highest_m, CORNERS_M[self.location][0]
        offset = np.array([self._right_m, self._row_top_m]) - low
        self._right_m += float(high[0] - low[0]) + TILE_GAP_M
        self._highest_m = max(self._highest_m, self._row_top_m + float(high[1] - low[1]) + TILE_GAP_M)
        self._tiles += 1
        return offset


class _Town:
    """The map of one log on its way into the tables."""

    def __init__(self, scene: Scene, offset: np.ndarray, rows: _Rows) -> None:
        self.scene, self.offset, self.rows = scene, offset, rows
        self.lanes = {lane.id: lane for lane in scene.road_map.lanes}
        self.roads = [lane for lane in scene.road_map.lanes if not lane.is_junction]
        self.lane_fid = {lane.id: rows.fid() for lane in self.roads}
        self.areas = {lane.id: widened(self._line(lane.centerline), lane.width_m) for lane in self.roads}

    def write(self) -> Tile:
        groups, connections = self._groups(), self._connections()
        group_fid = {lane: fid for fid, members in groups.items() for lane in members}
        blocks = {lane: str(fid) for lane, fid in group_fid.items()}
        for fid, members in groups.items():
            self._write_group(fid, members)
        stops = self._write_stops(group_fid)
        drivable = shapely.union_all(
            [shapely.Polygon(ring + self.offset).buffer(0) for ring in self.scene.road_map.drivable]
        )
        after: dict[str, list[int]] = defaultdict(list)
        through: dict[str, list[_Connection]] = defaultdict(list)
        for connection in connections:
            through[connection.junction].append(connection)
        covered = [shapely.union_all([self.areas[lane] for lane in members]) for members in groups.values()]
        for met in through.values():
            area = _junction_area([one.area for one in met], drivable)
            covered.append(area)
            self._write_junction(area, met, group_fid, stops, blocks, after)
        self._write_leftovers(drivable, covered)
        for ring in self.scene.road_map.crosswalks:
            self.rows.add("crosswalks", self._ring(ring), intersection_fids="", lane_fids="", is_marked=1)
        for ring in self.scene.road_map.sidewalks:
            self.rows.add("walkways", self._ring(ring))
        return Tile(self.offset, blocks, {lane: tuple(fids) for lane, fids in after.items()})

    def _line(self, points: np.ndarray) -> BaseGeometry:
        moved = points + self.offset
        keep = np.append(True, np.hypot(*np.diff(moved, axis=0).T) > 1e-6)
        return shapely.segmentize(shapely.LineString(moved[keep]), VERTEX_EVERY_M)

    def _ring(self, ring: np.ndarray) -> BaseGeometry:
        return largest(shapely.Polygon(ring + self.offset))

    def _groups(self) -> dict[int, list[str]]:
        """Lanes beside each other, from left to right, by the id of their roadblock."""
        groups: dict[int, list[str]] = {}
        placed: set[str] = set()
        for lane in self.roads:
            if lane.id in placed:
                continue
            leftmost = lane
            while leftmost.left in self.lane_fid and leftmost.left not in placed:
                leftmost = self.lanes[leftmost.left]
            members = [leftmost.id]
            while (beside := self.lanes[members[-1]].right) in self.lane_fid and beside not in members:
                members.append(str(beside))
            groups[self.rows.fid()] = members
            placed |= set(members)
        return groups

    def _connections(self) -> list[_Connection]:
        """Ways through junctions that lead from one lane of the map to another."""
        found = []
        for lane in self.roads:
            for first in lane.successors:
                parts: list[str] = []
                at: str | None = first
                while at in self.lanes and self.lanes[at].is_junction and at not in parts:
                    parts.append(at)
                    at = next(iter(self.lanes[at].successors), None)
                if at not in self.lane_fid:
                    continue  # it leaves the part of the map that the log holds
                if not parts:
                    raise DataError(
                        f"scene {self.scene.key}: lane {lane.id} runs into {at} without a junction lane; nuPlan maps need one"
                    )
                points = np.concatenate([self.lanes[part].centerline for part in parts])
                line = self._line(points)
                width = min(self.lanes[part].width_m for part in parts)
                found.append(_Connection(lane, self.lanes[at], tuple(parts), line, widened(line, width)))
        return found

    def _write_group(self, fid: int, members: list[str]) -> None:
        """A roadblock with its lanes; neighbours share their boundary."""
        add = self.rows.add
        edges = [self._line_beside(self.lanes[members[0]], +1)]
        edges += [self._line_beside(self.lanes[lane], -1) for lane in members]
        kinds = [SOLID] + [DASHED] * (len(members) - 1) + [SOLID]
        bounds = [self._boundary(edge, kind) for edge, kind in zip(edges, kinds)]
        area = joined([self.areas[lane] for lane in members])
        add(
            "lane_groups_polygons", area, fid, left_boundary_fid=bounds[0], right_boundary_fid=bounds[-1], from_edge_fid=0,
            to_edge_fid=0,
        )  # fmt: skip
        add("road_segments", area, lane_group_fids=str(fid))
        for index, name in enumerate(members):
            lane, lane_fid = self.lanes[name], self.lane_fid[name]
            add(
                "lanes_polygons", self.areas[name], lane_fid, lane_group_fid=fid, lane_fid=lane_fid, lane_index=index, name="",
                road_type_fid=0, lane_type_fid=0, stops=0, left_boundary_fid=bounds[index], right_boundary_fid=bounds[index + 1],
                speed_limit_mps=lane.speed_limit_mps or None, left_has_reflectors=0, right_has_reflectors=0, from_edge_fid=0,
                to_edge_fid=0,
            )  # fmt: skip
            add("baseline_paths", self._line(lane.centerline), path_type_fid=0, lane_fid=lane_fid, dubins_node_fids="")

    def _line_beside(self, lane: Lane, side: int) -> BaseGeometry:
        return beside(self._line(lane.centerline), side * lane.width_m / 2)

    def _boundary(self, line: BaseGeometry, kind: int) -> int:
        fid = self.rows.fid()
        return self.rows.add(
            "boundaries", line, fid, boundary_segment_fids=str(fid), has_reflectors=0, boundary_type_fid=kind
        )

    def _write_stops(self, group_fid: Mapping[str, int]) -> dict[str, tuple[int, int | None]]:
        """Stop polygons by lane, with the light that governs them (None: a sign)."""
        stops: dict[str, tuple[int, int | None]] = {}
        signals = self.scene.signals
        for row in range(len(signals)):
            state = SignalState(int(signals.states[row, 0]))
            lanes = [lane for lane in signals.stop_lane_ids[row] if lane in self.lane_fid]
            if not lanes:
                continue
            light = None
            if not state.is_sign:
                x, y, _, heading = signals.poses[row]
                spot = shapely.Point(*(np.array([x, y]) + self.offset))
                light = self.rows.add("traffic_lights", spot, light_face_type_fid=0, ori_mean_yaw=float(heading))
            kind = {SignalState.STOP_SIGN: STOP_SIGN, SignalState.YIELD_SIGN: YIELD_SIGN}.get(state, LIGHT)
            for lane in lanes:
                fid = self.rows.add(
                    "stop_polygons", self._stop_area(self.lanes[lane]), stop_polygon_type_fid=kind, lane_group_fid=group_fid[lane],
                    lane_fids=str(self.lane_fid[lane]), lane_connector_fids="", traffic_light_fids="" if light is None else str(light),
                    crosswalk_fids="", precedence_area_fids="",
                )  # fmt: skip
                stops[lane] = (fid, light)
        return stops

    def _stop_area(self, lane: Lane) -> BaseGeometry:
        end, before = lane.centerline[-1] + self.offset, lane.centerline[-2] + self.offset
        along = (end - before) / np.hypot(*(end - before))
        left = lane.width_m / 2 * np.array([-along[1], along[0]])
        low, high = end - STOP_BEFORE_M * along, end + STOP_BEYOND_M * along
        return shapely.Polygon([low + left, low - left, high - left, high + left])

    def _write_junction(
        self,
        area: BaseGeometry,
        connections: list[_Connection],
        group_fid: Mapping[str, int],
        stops: Mapping[str, tuple[int, int | None]],
        blocks: dict[str, str],
        after: dict[str, list[int]],
    ) -> None:
        """One intersection with its roadblock connectors and lane connectors; tells `blocks` and `after`."""
        lit = any(stops.get(one.start.id, (0, None))[1] is not None for one in connections)
        signed = any(one.start.id in stops for one in connections)
        intersection = self.rows.add(
            "intersections", area, intersection_type_fid=1 if lit else 2 if signed else 0, is_mini=0
        )
        pairs: dict[tuple[int, int], list[_Connection]] = defaultdict(list)
        for one in connections:
            pairs[group_fid[one.start.id], group_fid[one.end.id]].append(one)
        for (before, beyond), members in pairs.items():
            group = self.rows.fid()
            bounds = [self._write_connector(one, group, intersection, group_fid, stops, after) for one in members]
            for one in members:
                blocks.update(dict.fromkeys(one.parts, str(group)))
            self.rows.add(
                "lane_group_connectors", joined([one.area for one in members]), group, intersection_fid=intersection,
                from_lane_group_fid=before, to_lane_group_fid=beyond, from_edge_fid=0, to_edge_fid=0,
                left_boundary_fid=bounds[0][0], right_boundary_fid=bounds[-1][1],
            )  # fmt: skip

    def _write_connector(
        self,
        one: _Connection,
        group: int,
        intersection: int,
        group_fid: Mapping[str, int],
        stops: Mapping[str, tuple[int, int | None]],
        after: dict[str, list[int]],
    ) -> tuple[int, int]:
        """Connector, polygon and path; its boundaries come back."""
        half = min(self.lanes[part].width_m for part in one.parts) / 2
        bounds = self._boundary(beside(one.line, half), VIRTUAL), self._boundary(beside(one.line, -half), VIRTUAL)
        stop, light = stops.get(one.start.id, (0, None))
        limits = [self.lanes[part].speed_limit_mps for part in one.parts]
        fid = self.rows.add(
            "lane_connectors", one.line, exit_lane_group_fid=group_fid[one.start.id], exit_lane_fid=self.lane_fid[one.start.id],
            entry_lane_group_fid=group_fid[one.end.id], lane_group_connector_fid=group, entry_lane_fid=self.lane_fid[one.end.id],
            intersection_fid=intersection, turn_type_fid=_turn(one.line), bulb_fids="" if light is None else str(light),
            traffic_light_stop_line_fids="" if light is None else str(stop), overlap=0, left_has_reflectors=0,
            right_has_reflectors=0, speed_limit_mps=min(limits) or None,
        )  # fmt: skip
        path = self.rows.add("baseline_paths", one.line, path_type_fid=0, lane_connector_fid=fid, dubins_node_fids="")
        self.rows.add(
            "gen_lane_connectors_scaled_width_polygons", one.area, baseline_path_fid=path, lane_connector_fid=fid, from_edge_fid=0,
            to_edge_fid=0, left_boundary_fid=bounds[0], right_boundary_fid=bounds[1],
        )  # fmt: skip
        after[one.start.id].append(fid)
        return bounds

    def _write_leftovers(self, drivable: BaseGeometry, covered: list[BaseGeometry]) -> None:
        """Drivable ground beside lanes and intersections, a little wider so that no gap remains."""
        rest = drivable.difference(shapely.union_all(covered)).buffer(-LEFTOVER_M).buffer(LEFTOVER_M + OVERLAP_M)
        for ring in simple_rings(rest.intersection(drivable)):
            area = shapely.Polygon(ring)
            if area.area > MIN_RING_M2 and area.is_valid:
                self.rows.add("carpark_areas", area, heading=0.0)


def widened(line: BaseGeometry, width_m: float) -> BaseGeometry:
    """The strip along a line."""
    return largest(line.buffer(width_m / 2, cap_style="flat", join_style="mitre"))


def beside(line: BaseGeometry, distance_m: float) -> BaseGeometry:
    """The line shifted to its left (right: negative), vertex by vertex."""
    points = shapely.get_coordinates(line)
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    return shapely.LineString(points + distance_m * np.column_stack([-along[:, 1], along[:, 0]]))


def largest(area: BaseGeometry) -> BaseGeometry:
    """The largest valid polygon, without holes."""
    parts = polygons(area if area.is_valid else area.buffer(0))
    if not parts:
        raise DataError(f"map: a polygon of {area.area:g} m2 near {area.centroid.wkt} bounds no area")
    return shapely.Polygon(max(parts, key=lambda part: part.area).exterior)


def joined(areas: Sequence[BaseGeometry]) -> BaseGeometry:
    """One polygon around all parts; their hull where they do not touch."""
    union = shapely.union_all([area.buffer(MAX_GAP_M) for area in areas]).buffer(-MAX_GAP_M)
    return largest(union if union.geom_type == "Polygon" else union.convex_hull)


def _junction_area(areas: Sequence[BaseGeometry], drivable: BaseGeometry) -> BaseGeometry:
    """What lies between the connections of a junction and is road, reaching a little into the roads that it joins."""
    paths = shapely.union_all(list(areas))
    hull = paths.convex_hull.buffer(OVERLAP_M)
    return largest(shapely.union_all([hull.intersection(drivable), paths.buffer(OVERLAP_M)]))


def _turn(line: BaseGeometry) -> int:
    """turn_type_fid: 0 straight, 1 left, 2 right."""
    points = shapely.get_coordinates(line)
    first, last = points[1] - points[0], points[-1] - points[-2]
    angle = np.arctan2(first[0] * last[1] - first[1] * last[0], first @ last)
    return 0 if abs(angle) < np.pi / 6 else 1 if angle > 0 else 2


def _layer(rows: _Rows, name: str, zone: int) -> Layer:
    """A table in degrees, sorted by id."""
    order = np.argsort([row["fid"] for row in rows.tables[name]], kind="stable").tolist()
    ordered = [rows.tables[name][i] for i in order]
    titles = ("fid", *SCHEMAS[name].columns)
    columns = {title: [row.get(title) for row in ordered] for title in titles}
    shapes = np.array([rows.shapes[name][i] for i in order], object)
    if len(shapes):
        shapes = np.asarray(shapely.transform(shapes, lambda metres: from_utm(metres, zone)), object)
    return Layer(columns, shapes)
