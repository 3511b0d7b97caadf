"""What stands beside the road, drawn from a seed; and the part of a map around a path."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64
from scipy.spatial import cKDTree
from shapely.geometry import LineString, MultiPoint, Polygon

from eyesup.types.errors import DataError
from eyesup.types.road_map import Lane, Paint, RoadLine, RoadMap
from eyesup.types.scene import PropKind, Props
from eyesup.world.map_io import map_from_bytes, map_to_bytes
from eyesup.world.rings import polygons, simple_rings

BUILDING_CLEARANCE_M = 4.0  # from road and sidewalk; traffic signals stand within 3 m of the road
SIGHT_TRIANGLE_M = 22.0  # no trees or bushes this close to a stop line or crosswalk: lights, cross traffic stay visible
JUNCTION_CLEARANCE_M = 9.0  # nor this close to a path through a junction
THIN_GRID_M = 4.0
PROP_GAP_M = 0.3

# Columns of a candidate: x, y, heading, length, width, height.
Candidates = Float64[np.ndarray, "_ 6"]


def build_props(
    road_map: RoadMap,
    seed: int,
    near: Float64[np.ndarray, "P 2"],
    radius_m: float = 120.0,
) -> Props:
    """Buildings, trees, lamp poles and bushes within `radius_m` of any point of `near`.

    Props belong to the whole `road_map` and the seed: another `near` shows another part of the same place. Pass the
    town's map, not a cropped one. No prop overlaps the drivable area, a sidewalk or a building.

    Args:
        road_map: Map of the town, metres.
        seed: Draws sizes, places and looks.
        near: Points (in any order) of the path, metres, at most about `radius_m` apart.
        radius_m: Distance from the centre of a prop's footprint.

    Raises:
        DataError: `near` is empty.
    """
    props = _town_props(map_to_bytes(road_map), seed)
    if len(near) == 0:
        raise DataError("props: `near` holds no points; pass the path whose surroundings are wanted")
    distance, _ = cKDTree(near).query(props.poses[:, :2]) if len(props) else (np.zeros(0), None)
    keep = distance <= radius_m
    return Props(props.kinds[keep], props.poses[keep], props.sizes[keep], props.looks[keep])


def crop_map(road_map: RoadMap, near: Float64[np.ndarray, "P 2"], radius_m: float) -> RoadMap:
    """The part of a map within `radius_m` of any point of `near` (in any order, at most about `radius_m` apart).

    Lanes, painted lines, stop lines and crosswalks stay whole (so that dashes fall on the same places whatever the
    path); kerbs and areas are clipped. Links to lanes that were left out are dropped.
    """
    if len(near) == 0:
        raise DataError("crop: `near` holds no points; pass the path whose surroundings are wanted")
    cells = np.unique(np.round(np.asarray(near) / THIN_GRID_M), axis=0) * THIN_GRID_M
    region = MultiPoint(cells).buffer(radius_m + THIN_GRID_M, quad_segs=6)
    shapely.prepare(region)
    kept = {lane.id for lane in road_map.lanes if region.intersects(LineString(lane.centerline))}
    return RoadMap(
        lanes=tuple(_linked_within(lane, kept) for lane in road_map.lanes if lane.id in kept),
        lines=tuple(piece for line in road_map.lines for piece in _crop_line(line, region)),
        crosswalks=tuple(ring for ring in road_map.crosswalks if region.intersects(Polygon(ring))),
        stop_lines=tuple(stop for stop in road_map.stop_lines if stop.lane_id in kept),
        drivable=_crop_rings(road_map.drivable, region),
        sidewalks=_crop_rings(road_map.sidewalks, region),
    )


def _linked_within(lane: Lane, kept: set[str]) -> Lane:
    return replace(
        lane,
        successors=tuple(name for name in lane.successors if name in kept),
        left=lane.left if lane.left in kept else None,
        right=lane.right if lane.right in kept else None,
    )


def _crop_line(line: RoadLine, region: Any) -> Iterator[RoadLine]:
    shape = LineString(line.points)
    if not region.intersects(shape):
        return
    if line.paint != Paint.KERB or region.contains(shape):
        yield line
        return
    inside = shape.intersection(region)
    for piece in getattr(inside, "geoms", (inside,)):
        if isinstance(piece, LineString) and piece.length > 0:
            yield RoadLine(np.array(piece.coords, np.float64), line.paint)


def _crop_rings(rings: tuple[np.ndarray, ...], region: Any) -> tuple[np.ndarray, ...]:
    cropped: list[np.ndarray] = []
    for ring in rings:
        area = Polygon(ring)
        if region.contains(area):
            cropped.append(ring)
        elif region.intersects(area):
            cropped.extend(simple_rings(area.intersection(region)))
    return tuple(cropped)


# --- props -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Roadside:
    """The right side of a road: its kerb, and how far the sidewalk reaches from it."""

    kerb: np.ndarray  # (P, 2) in driving direction
    headings: np.ndarray  # (P - 1,)
    starts_m: np.ndarray  # (P,) arc length
    verge_m: float
    rng: np.random.Generator

    @property
    def length_m(self) -> float:
        return float(self.starts_m[-1])

    def place(self, along_m: np.ndarray, aside_m: np.ndarray) -> np.ndarray:
        """(N, 3) poses at `along_m` of the kerb and `aside_m` beyond the sidewalk, heading along the road."""
        segment = np.clip(np.searchsorted(self.starts_m, along_m, side="right") - 1, 0, len(self.headings) - 1)
        heading = self.headings[segment]
        ahead = np.stack([np.cos(heading), np.sin(heading)], -1)
        right = np.stack([ahead[:, 1], -ahead[:, 0]], -1)
        xy = self.kerb[segment] + (along_m - self.starts_m[segment])[:, None] * ahead
        return np.column_stack([xy + (self.verge_m + aside_m)[:, None] * right, heading])


@lru_cache(maxsize=16)
def _town_props(map_bytes: bytes, seed: int) -> Props:
    road_map = map_from_bytes(map_bytes)
    sides = list(_roadsides(road_map, seed))
    road = shapely.union_all([Polygon(ring) for ring in (*road_map.drivable, *road_map.sidewalks)])
    junction = _sight_area(road_map)
    middle = np.concatenate([side.kerb for side in sides]).mean(0) if sides else np.zeros(2)

    none = np.zeros((0, 6))
    buildings = np.concatenate([none, *(_front_buildings(side, middle) for side in sides)])
    buildings = np.concatenate([buildings, *(_rear_buildings(side, middle) for side in sides)])
    buildings = _without_overlaps(_clear_of(buildings, road, BUILDING_CLEARANCE_M))
    houses = shapely.union_all(_footprints(buildings))
    trees = _clear_of(np.concatenate([none, *(_trees(side) for side in sides)]), junction, 0.0)
    bushes = _clear_of(np.concatenate([none, *(_bushes(side) for side in sides)]), junction, 0.0)
    plants = [_clear_of(_clear_of(plant, road, PROP_GAP_M), houses, PROP_GAP_M) for plant in (trees, bushes)]
    poles = _clear_of(
        _clear_of(np.concatenate([none, *(_poles(side) for side in sides)]), road, 0.05), houses, PROP_GAP_M
    )

    groups = {PropKind.BUILDING: buildings, PropKind.TREE: plants[0], PropKind.BUSH: plants[1], PropKind.POLE: poles}
    rows = np.concatenate(list(groups.values()))
    kinds = np.concatenate([np.full(len(group), kind, np.uint8) for kind, group in groups.items()])
    return Props(kinds, rows[:, :3], rows[:, 3:].astype(np.float32), _looks(rows, seed))


def _looks(rows: Candidates, seed: int) -> np.ndarray:
    """A seed per prop that depends on its place alone, so that it keeps its looks when a neighbour goes."""
    digests = (hashlib.blake2b(row.tobytes(), digest_size=4, salt=seed.to_bytes(8, "little")).digest() for row in rows)
    return np.frombuffer(b"".join(digests), "<u4").astype(np.uint32)


def _roadsides(road_map: RoadMap, seed: int) -> Iterator[_Roadside]:
    """One per rightmost lane, with its own random stream, so that roads do not change each other's scenery."""
    walks = shapely.union_all([Polygon(ring) for ring in road_map.sidewalks])
    shapely.prepare(walks)
    for lane in road_map.lanes:
        if lane.is_junction or lane.right is not None:
            continue
        steps = np.diff(lane.centerline, axis=0)
        headings = np.arctan2(steps[:, 1], steps[:, 0])
        normals = np.stack([np.sin(headings), -np.cos(headings)], -1)
        kerb = lane.centerline + lane.width_m / 2 * np.concatenate([normals, normals[-1:]])
        probes = np.arange(0.25, 8.0, 0.25)
        middle = kerb[:-1].mean(0) if len(kerb) > 2 else kerb.mean(0)
        covered = shapely.contains_xy(walks, *(middle + probes[:, None] * normals[len(normals) // 2]).T)
        verge = float(probes[np.argmin(covered)]) if covered[0] else 0.0
        starts = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(kerb, axis=0), axis=1))])
        rng = np.random.default_rng([seed, zlib.crc32(lane.id.encode())])
        yield _Roadside(kerb, headings, starts, verge, rng)


def _row(side: _Roadside, first_m: float, low_m: float, high_m: float) -> np.ndarray:
    """Places along the road with random steps. Always the same count of draws per metre from the start."""
    count = int(side.length_m / low_m) + 1
    along = first_m + np.cumsum(side.rng.uniform(low_m, high_m, count))
    return along[along < side.length_m]


def _front_buildings(side: _Roadside, middle: np.ndarray) -> Candidates:
    """A row along the road: frontages of 9 to 24 m with gaps."""
    return _building_row(side, middle, setback_m=(4.2, 8.0), frontage_m=(9.0, 24.0))


def _rear_buildings(side: _Roadside, middle: np.ndarray) -> Candidates:
    """A second row behind the first, larger."""
    return _building_row(side, middle, setback_m=(26.0, 38.0), frontage_m=(12.0, 30.0))


def _building_row(
    side: _Roadside, middle: np.ndarray, setback_m: tuple[float, float], frontage_m: tuple[float, float]
) -> Candidates:
    count = int(side.length_m / frontage_m[0]) + 1
    draws = side.rng.uniform(size=(count, 5))
    length = frontage_m[0] + draws[:, 0] * (frontage_m[1] - frontage_m[0])
    gap = 1.5 + 7.0 * draws[:, 1] ** 2
    along = np.cumsum(length + gap) - length / 2
    depth = 9.0 + 8.0 * draws[:, 2]
    aside = setback_m[0] + draws[:, 3] * (setback_m[1] - setback_m[0]) + depth / 2
    poses = side.place(along, aside)
    centrality = np.exp(-np.linalg.norm(poses[:, :2] - middle, axis=1) / 250.0)
    height = 3.5 + (4.0 + 22.0 * centrality) * draws[:, 4] ** 1.5
    return np.column_stack([poses, length, depth, height])[along + length / 2 < side.length_m]


def _trees(side: _Roadside) -> Candidates:
    """An avenue behind the sidewalk, and trees further away."""
    along = _row(side, 2.0, 7.0, 19.0)
    avenue = side.rng.uniform(size=(len(along), 3))
    crown = 1.8 + 1.6 * avenue[:, 0]
    near = np.column_stack(
        [side.place(along, crown / 2 + 0.4 + 0.8 * avenue[:, 1]), crown, crown, 3.5 + 4.5 * avenue[:, 2]]
    )
    along = _row(side, 0.0, 4.0, 15.0)
    wild = side.rng.uniform(size=(len(along), 3))
    crown = 2.5 + 3.5 * wild[:, 0]
    far = np.column_stack([side.place(along, 9.0 + 50.0 * wild[:, 1]), crown, crown, 4.0 + 7.0 * wild[:, 2]])
    return np.concatenate([near, far])


def _bushes(side: _Roadside) -> Candidates:
    along = _row(side, 1.0, 5.0, 24.0)
    draws = side.rng.uniform(size=(len(along), 3))
    size = 0.7 + 1.1 * draws[:, 0]
    return np.column_stack([side.place(along, 1.4 + 2.4 * draws[:, 1]), size, size, 0.5 + 0.9 * draws[:, 2]])


def _poles(side: _Roadside) -> Candidates:
    """Lamp poles just behind the sidewalk, or a step beside a road without one."""
    along = _row(side, 0.0, 27.0, 31.0)
    poses = side.place(along, np.full(len(along), 0.4 if side.verge_m else 1.2))
    return np.column_stack([poses, np.full((len(along), 2), 0.18), np.full(len(along), 6.5)])


def _sight_area(road_map: RoadMap) -> Any:
    watched = [
        *(LineString(stop.points) for stop in road_map.stop_lines),
        *(Polygon(ring) for ring in road_map.crosswalks),
    ]
    paths = [LineString(lane.centerline) for lane in road_map.lanes if lane.is_junction]
    return shapely.union_all(
        [
            *shapely.buffer(watched, SIGHT_TRIANGLE_M, quad_segs=4),
            *shapely.buffer(paths, JUNCTION_CLEARANCE_M, quad_segs=4),
        ]
    )


def _footprints(rows: Candidates) -> np.ndarray:
    """(N,) shapely polygons of the boxes."""
    half = rows[:, None, 3:5] / 2 * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    cos, sin = np.cos(rows[:, None, 2]), np.sin(rows[:, None, 2])
    corners = np.stack([half[..., 0] * cos - half[..., 1] * sin, half[..., 0] * sin + half[..., 1] * cos], -1)
    return shapely.polygons(corners + rows[:, None, :2])


def _clear_of(rows: Candidates, area: Any, clearance_m: float) -> Candidates:
    """Rows whose footprint stays further than `clearance_m` from the area."""
    pieces = polygons(area)
    if not len(rows) or not pieces:
        return rows
    tree = shapely.STRtree(pieces)
    hits = tree.query(_footprints(rows), predicate="dwithin", distance=clearance_m)[0]
    return np.delete(rows, np.unique(hits), axis=0)


def _without_overlaps(rows: Candidates) -> Candidates:
    """Greedy: a row that comes within a gap of an earlier kept row goes."""
    footprints = _footprints(rows)
    first, second = shapely.STRtree(footprints).query(footprints, predicate="dwithin", distance=PROP_GAP_M)
    earlier: dict[int, list[int]] = {}
    for late, early in zip(first.tolist(), second.tolist()):
        if early < late:
            earlier.setdefault(late, []).append(early)
    gone: set[int] = set()
    for row in range(len(rows)):
        if any(other not in gone for other in earlier.get(row, ())):
            gone.add(row)
    return np.delete(rows, sorted(gone), axis=0)
