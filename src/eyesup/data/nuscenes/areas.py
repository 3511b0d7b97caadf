"""Where the road is around a keyframe, from the map expansion, for the protocols that ask: OmniDrive's and BEV-Planner's.

OmniDrive draws the layer ``drivable_area`` within 100 m x 100 m. BEV-Planner draws the outline of the layers ``road_segment`` and
``lane`` together, within 102 m x 49.6 m (long side ahead), each line of it by twenty points: what lies between two of them is cut
short, also in a bend. Where there is no outline at all it draws that of another place in Boston; here nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Float64

from eyesup.data.nuscenes.dataset import NuScenes, inverse
from eyesup.data.nuscenes.maps import EXPANSION, expansion
from eyesup.data.recorded import planar
from eyesup.types.errors import DataError

DRIVABLE_HALF_M = (50.0, 50.0)
KERB_HALF_M = (51.0, 24.8)  # half of 102.4 m x 50 m, less 0.2 m
KERB_POINTS = 20
TILE_M = 200.0  # what is near is kept per square of this edge: cutting a city's polygon takes long
_REACH_M = 75.0  # from a keyframe to the far corner of what is asked for
_ROAD_LAYERS = ("road_segment", "lane")
Rings = tuple[np.ndarray, ...]


class Areas:
    """The areas of one map, map frame. DataError as of `maps.expansion`, or where a layer names what is not there."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        content = expansion(self.path)
        try:
            nodes = {row["token"]: (row["x"], row["y"]) for row in content["node"]}
            self._rings = {
                row["token"]: [
                    [nodes[token] for token in tokens]
                    for tokens in (row["exterior_node_tokens"], *(hole["node_tokens"] for hole in row["holes"]))
                ]
                for row in content["polygon"]
            }
            self._drivable_tokens = [t for row in content["drivable_area"] for t in row["polygon_tokens"]]
            self._road_tokens = [row["polygon_token"] for layer in _ROAD_LAYERS for row in content[layer]]
            unknown = [t for t in (*self._drivable_tokens, *self._road_tokens) if t not in self._rings]
            if unknown:
                raise KeyError(unknown[0])
        except (KeyError, TypeError) as error:
            raise DataError(f"{self.path}: a layer names something that is not there ({error!r})") from error
        self._tiles: dict[tuple[str, int, int], list[shapely.Geometry]] = {}

    def _polygons(self, tokens: list[str]) -> list[shapely.Geometry]:
        rings = (self._rings[token] for token in tokens)
        shapes = [shapely.Polygon(ring, holes) for ring, *holes in rings if len(ring) >= 3]
        return [shape if shape.is_valid else shapely.make_valid(shape) for shape in shapes]

    @cached_property
    def _drivable(self) -> shapely.STRtree:
        return shapely.STRtree(self._polygons(self._drivable_tokens))

    @cached_property
    def _outline(self) -> shapely.STRtree:
        """Rings of the road surface: of its outside, and around what lies within it."""
        whole = shapely.union_all(self._polygons(self._road_tokens))
        parts = (p for p in shapely.get_parts(whole).tolist() if isinstance(p, shapely.Polygon))
        return shapely.STRtree([ring for part in parts for ring in (part.exterior, *part.interiors)])

    def _near(self, layer: str, place: np.ndarray) -> list[shapely.Geometry]:
        """Shapes of a layer around the square that a place lies in, cut off beyond reach, in the order of the map."""
        column, row = np.floor(place / TILE_M).astype(int).tolist()
        if (layer, column, row) not in self._tiles:
            low = np.array([column, row]) * TILE_M - _REACH_M
            window = shapely.box(*low, *(low + TILE_M + 2 * _REACH_M))
            tree = self._drivable if layer == "drivable" else self._outline
            hit = np.sort(tree.query(window, predicate="intersects"))
            self._tiles[layer, column, row] = [shape.intersection(window) for shape in tree.geometries[hit].tolist()]
        return self._tiles[layer, column, row]

    def _within(self, layer: str, pose: np.ndarray, half_m: tuple[float, float]) -> Iterator[shapely.Geometry]:
        """Parts of a layer inside a rectangle around a pose; lines that meet are one."""
        corners = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]) * half_m
        patch = shapely.Polygon(corners @ _turn(pose[2]).T + pose[:2])
        for shape in self._near(layer, pose[:2]):
            cut = shape.intersection(patch)
            if not cut.is_empty:
                yield from shapely.get_parts(
                    shapely.line_merge(cut) if isinstance(cut, shapely.MultiLineString) else cut
                )

    def drivable(self, pose: Float64[np.ndarray, "3"]) -> tuple[Rings, ...]:
        """Polygons around a pose (x, y, heading) in its frame (x forward, y left): exterior and holes of each, (P, 2)."""
        found = []
        for part in self._within("drivable", pose, DRIVABLE_HALF_M):
            if isinstance(part, shapely.Polygon):
                rings = (part.exterior, *part.interiors)
                found.append(tuple(_local(shapely.get_coordinates(ring)[:-1], pose) for ring in rings))
        return tuple(found)

    def kerbs(self, pose: Float64[np.ndarray, "3"]) -> tuple[Float64[np.ndarray, "20 2"], ...]:
        """Edges of the road around a pose, in its frame (x forward, y left)."""
        found = []
        for line in self._within("outline", pose, KERB_HALF_M):
            if isinstance(line, shapely.LineString):
                points = shapely.line_interpolate_point(line, np.linspace(0.0, line.length, KERB_POINTS))
                found.append(_local(shapely.get_coordinates(points), pose))
        return tuple(found)


def _local(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    return np.asarray((points - pose[:2]) @ _turn(pose[2]))


def _turn(heading: float) -> np.ndarray:
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([[cos, -sin], [sin, cos]])


@lru_cache(maxsize=4)
def _areas(path: Path) -> Areas:
    return Areas(path)


def missing_maps(dataset: NuScenes) -> tuple[str, ...]:
    """Locations of the data set whose map expansion is not there."""
    return tuple(name for name in sorted(set(dataset.locations)) if not _file(dataset, name).exists())


def road_around(dataset: NuScenes, keyframe: int) -> tuple[tuple[Rings, ...], Rings]:
    """Drivable polygons and kerbs around a keyframe, in its lidar frame (x right, y forward)."""
    areas = _areas(_file(dataset, dataset.locations[int(dataset.scene_of[keyframe])]))
    pose, lidar = planar(dataset.ego_poses[keyframe]), inverse(dataset.ego_from_lidar[keyframe])

    def seen(points: np.ndarray) -> np.ndarray:
        ground = np.column_stack([points, np.full(len(points), dataset.ego_from_lidar[keyframe][2, 3])])
        return (ground @ lidar[:3, :3].T + lidar[:3, 3])[:, :2]

    drivable = tuple(tuple(map(seen, rings)) for rings in areas.drivable(pose))
    return drivable, tuple(map(seen, areas.kerbs(pose)))


def _file(dataset: NuScenes, location: str) -> Path:
    return dataset.root / EXPANSION / f"{location}.json"
