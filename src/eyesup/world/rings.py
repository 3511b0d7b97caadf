"""Areas as simple rings: the form in which a `RoadMap` keeps polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.polygon import orient

MIN_AREA_M2 = 0.05  # smaller pieces are slivers of rounding


def simple_rings(area: Any) -> tuple[Float64[np.ndarray, "_ 2"], ...]:
    """Rings (not closed, counter-clockwise) that tile a shapely area; a part with holes is cut until none has one."""
    rings = []
    for part in polygons(area):
        for whole in _without_holes(part):
            ring = np.array(orient(whole).exterior.coords, np.float64)[:-1, :2]
            rings.append(ring)
    return tuple(rings)


def polygons(area: Any) -> list[Polygon]:
    """The polygons of any shapely geometry, without lines, points and slivers."""
    if isinstance(area, Polygon):
        return [area] if area.area > MIN_AREA_M2 else []
    return [polygon for part in getattr(area, "geoms", ()) for polygon in polygons(part)]


def _without_holes(polygon: Polygon) -> list[Polygon]:
    """Cut across the middle of the hole nearest to the polygon's middle, and again in both halves."""
    if not polygon.interiors:
        return [polygon]
    west, south, east, north = polygon.bounds
    wide = east - west >= north - south
    centre = np.array([(west + east) / 2, (south + north) / 2])
    holes = np.array([hole.centroid.coords[0] for hole in polygon.interiors])
    cut = float(min(holes[:, 0 if wide else 1], key=lambda value: abs(value - centre[0 if wide else 1])))
    first = box(west - 1, south - 1, cut, north + 1) if wide else box(west - 1, south - 1, east + 1, cut)
    second = box(cut, south - 1, east + 1, north + 1) if wide else box(west - 1, cut, east + 1, north + 1)
    halves = MultiPolygon(polygons(polygon.intersection(first)) + polygons(polygon.intersection(second)))
    return [whole for half in halves.geoms for whole in _without_holes(half)]
