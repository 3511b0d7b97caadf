"""The ground, painted layer over layer: grass, pavement, asphalt, crossings, lines.

Nothing lies below the ground, so it needs no depth test: the order of its triangles decides, and paint cannot flicker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import shapely
from jaxtyping import Float64

from eyesup.types import Appearance, Paint, RoadMap, SemanticClass
from eyesup.world.render.meshes import Mesh, Rgb, join, polygons

CELL_M = 10.0  # one texture repeat; the rasteriser's texture coordinates lose precision on larger triangles
GRASS_CELL_M = 20.0
SEAM_M = 80.0  # a whole number of both cells
VIEW_M = 160.0  # how far from the ego's path the ground is drawn
SIMPLIFY_M = 0.03  # corners of outlines and lines that matter less than this are dropped
LINE_WIDTH_M = 0.16
STOP_LINE_WIDTH_M = 0.45
KERB_WIDTH_M = 0.22
DASH_M, DASH_GAP_M = 3.0, 4.5
STRIPE_M = 0.5  # crossing stripes and the gaps between them

WHITE: Rgb = (0.93, 0.93, 0.90)
YELLOW: Rgb = (0.93, 0.72, 0.16)
KERB: Rgb = (0.64, 0.63, 0.60)
PAVEMENT: Rgb = (0.60, 0.59, 0.56)


def ground_meshes(road_map: RoadMap, appearance: Appearance, path: Float64[np.ndarray, "T 2"]) -> tuple[Mesh, Mesh]:
    """Grass, and everything built on it, within `VIEW_M` of the path; later triangles cover earlier ones.

    Every triangle lies within one cell of the `SEAM_M` grid, so that a mesh may be cut there and drawn in any order.
    """
    low, high = path.min(0) - VIEW_M, path.max(0) + VIEW_M
    bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    seed = appearance.texture_seed
    walk = _tiles(_areas(road_map.sidewalks, bounds), PAVEMENT, SemanticClass.SIDEWALK)
    road = _tiles(_areas(road_map.drivable, bounds), appearance.asphalt, SemanticClass.ROAD)
    built = [
        _mottled(walk, seed + 1, 0.05),
        _mottled(road, seed + 2, 0.07),
        _crosswalks(road_map, appearance, bounds),
        _paint(road_map, bounds),
    ]
    return _mottled(_plain(bounds, appearance.grass), seed, 0.16), join(built)


def road_area(road_map: RoadMap) -> shapely.Geometry | None:
    """The drivable area as one prepared geometry; None on a map without any."""
    if not road_map.drivable:
        return None
    area = shapely.union_all([shapely.Polygon(ring).buffer(0) for ring in road_map.drivable if len(ring) > 2])
    shapely.prepare(area)
    return area


def _areas(rings: Sequence[np.ndarray], bounds: tuple[float, float, float, float]) -> list[shapely.Geometry]:
    polygons_ = [shapely.Polygon(ring) for ring in rings if len(ring) > 2]
    valid = [p if p.is_valid else p.buffer(0) for p in shapely.simplify(polygons_, SIMPLIFY_M)]
    window = shapely.box(*bounds)
    return [p for p in valid if not p.is_empty and p.intersects(window)]


def _plain(bounds: tuple[float, float, float, float], color: Rgb) -> Mesh:
    """A grid of grass cells over the whole view."""
    x = np.arange(np.floor(bounds[0] / GRASS_CELL_M), np.ceil(bounds[2] / GRASS_CELL_M)) * GRASS_CELL_M
    y = np.arange(np.floor(bounds[1] / GRASS_CELL_M), np.ceil(bounds[3] / GRASS_CELL_M)) * GRASS_CELL_M
    corner = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 1, 2)
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    xy = corner + unit * GRASS_CELL_M  # (Q, 4, 2)
    uv = np.broadcast_to(unit * GRASS_CELL_M / CELL_M, xy.shape)
    return polygons(np.concatenate([xy, np.zeros((*xy.shape[:2], 1))], -1), color, SemanticClass.GRASS, uv=uv)


def _tiles(areas: list[shapely.Geometry], color: Rgb, cls: SemanticClass) -> Mesh:
    """Areas cut along the texture grid and triangulated; texture coordinates run 0..1 within each cell."""
    if not areas:
        return join([])
    pieces, cells = [], []
    for area in areas:
        x0, y0, x1, y1 = np.floor(np.array(area.bounds) / CELL_M).astype(int)
        cell = np.indices((x1 + 1 - x0, y1 + 1 - y0)).reshape(2, -1).T + [x0, y0]
        squares = shapely.box(*(cell * CELL_M).T, *((cell + 1) * CELL_M).T)
        shapely.prepare(area)
        touched = shapely.intersects(area, squares)
        rim = touched & ~shapely.contains(area, squares)
        squares[rim] = shapely.intersection(area, squares[rim])
        pieces.append(squares[touched])
        cells.append(cell[touched])
    triangles, owner = _triangulate(np.concatenate(pieces))
    uv = triangles / CELL_M - np.concatenate(cells)[owner][:, None]
    soup = polygons(np.concatenate([triangles, np.zeros((len(triangles), 3, 1))], -1), color, cls, uv=uv)
    return _welded(soup, np.repeat(owner, 3))


def _welded(mesh: Mesh, group: np.ndarray) -> Mesh:
    """The mesh with one vertex where several of a group lie within a millimetre."""
    local = np.round(mesh.uv.astype(np.float64) * CELL_M * 1000).astype(np.int64)
    key = (group * 2**20 + local[:, 0]) * 2**20 + local[:, 1]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return mesh.rows(first, inverse[mesh.faces])


def _triangulate(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3, 2) counter-clockwise triangles of polygonal pieces, and (N,) the piece each came from."""
    fans = shapely.constrained_delaunay_triangles(pieces)
    parts, owner = shapely.get_parts(fans, return_index=True)
    coords = shapely.get_coordinates(parts).reshape(-1, 4, 2)[:, :3]
    a, b = coords[:, 1] - coords[:, 0], coords[:, 2] - coords[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    coords = np.where(area[:, None, None] < 0, coords[:, ::-1], coords)
    keep = np.abs(area) > 1e-4
    return coords[keep], owner[keep]


def _mottled(mesh: Mesh, seed: int, strength: float) -> Mesh:
    """Slow variation of brightness over the ground: smooth in space, so neighbouring triangles agree."""
    if not len(mesh):
        return mesh
    rng = np.random.default_rng([seed, 41])
    xy = mesh.points[:, :2].astype(np.float64)
    level = np.zeros(len(xy))
    for wavelength in (9.0, 23.0, 57.0, 140.0):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        level += np.sin(2 * np.pi / wavelength * (xy @ [np.cos(angle), np.sin(angle)]) + phase)
    mesh.colors[:] = np.clip(mesh.colors * (1 + strength * 0.5 * level[:, None]), 0, 1)
    return mesh


def _crosswalks(road_map: RoadMap, appearance: Appearance, bounds: tuple[float, float, float, float]) -> Mesh:
    """Zebra stripes across each crossing's long side, on asphalt that is labelled as crossing."""
    parts = []
    for area in _areas(road_map.crosswalks, bounds):
        box = np.asarray(shapely.get_coordinates(shapely.minimum_rotated_rectangle(area)))[:4]
        if np.hypot(*(box[1] - box[0])) < np.hypot(*(box[2] - box[1])):
            box = np.roll(box, -1, axis=0)  # edge 0-1 is now the walking direction
        if _cross(box[1] - box[0], box[2] - box[1]) < 0:
            box = box[[1, 0, 3, 2]]
        parts.append(_tiles([area], appearance.asphalt, SemanticClass.CROSSWALK))
        length = float(np.hypot(*(box[1] - box[0])))
        start = np.arange(STRIPE_M / 2, max(length - STRIPE_M / 2, STRIPE_M), 2 * STRIPE_M) / length
        along, across = box[1] - box[0], box[3] - box[0]
        s, e = start[:, None], start[:, None] + STRIPE_M / length
        low, high = box[0] + 0.04 * across, box[0] + 0.96 * across
        stripes = np.stack([low + s * along, low + e * along, high + e * along, high + s * along], axis=1)
        parts.append(_tiles(list(shapely.polygons(stripes)), WHITE, SemanticClass.CROSSWALK))
    return join(parts)


def _paint(road_map: RoadMap, bounds: tuple[float, float, float, float]) -> Mesh:
    """Kerbs, lane lines and stop lines as ribbons."""
    parts = []
    low, high = np.array(bounds[:2]), np.array(bounds[2:])
    for line in road_map.lines:
        if (line.points.max(0) < low).any() or (line.points.min(0) > high).any() or len(line.points) < 2:
            continue
        kerb = line.paint == Paint.KERB
        color = KERB if kerb else YELLOW if line.paint in (Paint.SOLID_YELLOW, Paint.DASHED_YELLOW) else WHITE
        cls = SemanticClass.SIDEWALK if kerb else SemanticClass.PAINT
        width = KERB_WIDTH_M if kerb else LINE_WIDTH_M
        dashed = line.paint in (Paint.DASHED_WHITE, Paint.DASHED_YELLOW)
        path = shapely.get_coordinates(shapely.simplify(shapely.LineString(line.points), SIMPLIFY_M))
        for points in _dashes(path) if dashed else (path,):
            parts.append(_ribbon(points, width, color, cls))
    for stop in road_map.stop_lines:
        parts.append(_ribbon(stop.points, STOP_LINE_WIDTH_M, WHITE, SemanticClass.PAINT))
    return join(parts)


def _dashes(points: Float64[np.ndarray, "P 2"]) -> Iterator[np.ndarray]:
    """Pieces of the line of `DASH_M`, with gaps of `DASH_GAP_M` between them."""
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    for start in np.arange(DASH_GAP_M / 2, arc[-1], DASH_M + DASH_GAP_M):
        end = min(start + DASH_M, arc[-1])
        inner = arc[(arc > start) & (arc < end)]
        at = np.concatenate([[start], inner, [end]])
        yield np.stack([np.interp(at, arc, points[:, 0]), np.interp(at, arc, points[:, 1])], axis=-1)


def _ribbon(points: np.ndarray, width: float, color: Rgb, cls: SemanticClass) -> Mesh:
    """A band around a polyline, joined without gaps at its corners and cut where it crosses a seam."""
    points = _with_seams(points)
    points = points[np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 1e-6])]
    if len(points) < 2:
        return join([])
    along = np.diff(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normal = np.stack([-along[:, 1], along[:, 0]], -1)
    corner = np.concatenate([normal[:1], normal[:-1] + normal[1:], normal[-1:]])
    corner /= np.maximum(np.linalg.norm(corner, axis=1, keepdims=True), 1e-6)
    sides = np.stack([points - width / 2 * corner, points + width / 2 * corner], axis=1).reshape(-1, 2)
    count = len(sides)
    quad = 2 * np.arange(len(points) - 1)[:, None]
    return Mesh(
        points=np.insert(sides, 2, 0.0, axis=1).astype(np.float32),
        normals=np.tile(np.array([0.0, 0.0, 1.0], np.float32), (count, 1)),
        colors=np.tile(np.array(color, np.float32), (count, 1)),
        classes=np.full(count, int(cls), np.uint8),
        lamps=np.zeros(count, np.uint8),
        faces=np.concatenate([quad + [0, 2, 3], quad + [0, 3, 1]], axis=1).reshape(-1, 3).astype(np.int32),
        uv=np.full((count, 2), 0.5, np.float32),
    )


def _with_seams(points: np.ndarray) -> np.ndarray:
    """The polyline with extra points where it crosses the `SEAM_M` grid."""
    cell = np.floor(points / SEAM_M)
    if (cell == cell[0]).all():
        return points
    out = [points[:1]]
    for a, b in pairwise(points):
        step = np.where(b == a, 1.0, b - a)
        at = []
        for axis in (0, 1):
            low, high = sorted((a[axis], b[axis]))
            lines = np.arange(np.ceil(low / SEAM_M), np.floor(high / SEAM_M) + 1) * SEAM_M
            at.append((lines - a[axis]) / step[axis])
        share = np.sort(np.concatenate(at))
        share = share[(share > 0) & (share < 1)]
        out += [a + share[:, None] * (b - a), b[None]]
    return np.concatenate(out)


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])
