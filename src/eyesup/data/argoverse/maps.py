"""The vector map of a log (``log_map_archive_*.json``) as a `RoadMap`.

Heights are dropped: our world is flat. Traffic lights, stop lines and speed limits are not in the format. The outline of the
drivable area becomes a kerb.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64

from eyesup.data.argoverse.schema import DRIVING_LANES, MARKS, NO_LIMIT_MPS
from eyesup.types import DataError, Lane, Paint, RoadLine, RoadMap
from eyesup.world.rings import polygons, simple_rings

LAYERS = ("lane_segments", "drivable_areas", "pedestrian_crossings")
SPACING_M = 1.0  # of points along a centreline
SIMPLIFY_M = 0.05


def read_map(path: str | Path, origin_xy: Float64[np.ndarray, "2"]) -> RoadMap:
    """The whole map of a log, moved so that `origin_xy` of the city's frame lies at (0, 0).

    Raises:
        DataError: the file is damaged, of another layout, or has a lane mark that we do not know.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); copy the log's map/ again") from error
    except ValueError as error:
        raise DataError(f"{path}: truncated or damaged ({error}); copy the log's map/ again") from error
    missing = [name for name in LAYERS if not isinstance(content, dict) or name not in content]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} missing; this is no Argoverse 2 log map")
    try:
        return _Reader(content, origin_xy).road_map()
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not laid out as an Argoverse 2 log map ({error!r})") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


class _Reader:
    def __init__(self, content: Mapping[str, Any], origin_xy: np.ndarray) -> None:
        self.content, self.origin = content, origin_xy
        self.rows: list[Mapping[str, Any]] = list(content["lane_segments"].values())

    def road_map(self) -> RoadMap:
        road = shapely.union_all([self._area(row["area_boundary"]) for row in self.content["drivable_areas"].values()])
        road = shapely.simplify(road, SIMPLIFY_M)
        return RoadMap(
            lanes=self._lanes(),
            lines=self._lines() + _kerbs(road),
            crosswalks=tuple(
                ring
                for row in self.content["pedestrian_crossings"].values()
                for ring in simple_rings(self._area([*row["edge1"], *reversed(row["edge2"])]))
            ),
            drivable=simple_rings(road),
        )

    def _points(self, points: Sequence[Mapping[str, float]]) -> Float64[np.ndarray, "P 2"]:
        return np.array([(point["x"], point["y"]) for point in points], np.float64).reshape(-1, 2) - self.origin

    def _area(self, points: Sequence[Mapping[str, float]]) -> Any:
        ring = self._points(points)
        if len(ring) < 3:
            raise DataError(f"an area of {len(ring)} points; it needs 3")
        return shapely.Polygon(ring).buffer(0)

    def _lanes(self) -> tuple[Lane, ...]:
        driving = [row for row in self.rows if row["lane_type"] in DRIVING_LANES]
        middles = {str(row["id"]): self._middle(row) for row in driving}
        ways = {name: line[-1] - line[0] for name, (line, _) in middles.items()}

        def beside(row: Mapping[str, Any], side: str) -> str | None:
            """The neighbour, where it is a driving lane in this map and of the same direction: Argoverse names others too."""
            other = str(row[f"{side}_neighbor_id"])
            return other if other in ways and float(ways[other] @ ways[str(row["id"])]) > 0 else None

        return tuple(
            Lane(
                id=name,
                centerline=middles[name][0],
                width_m=middles[name][1],
                speed_limit_mps=NO_LIMIT_MPS,
                successors=tuple(str(after) for after in row["successors"] if str(after) in middles),
                left=beside(row, "left"),
                right=beside(row, "right"),
                is_junction=bool(row["is_intersection"]),
            )
            for name, row in zip(middles, driving)
        )

    def _middle(self, row: Mapping[str, Any]) -> tuple[Float64[np.ndarray, "P 2"], float]:
        """Centreline, halfway between points of the boundaries at equal shares of their lengths, and mean width."""
        left, right = (self._points(row[f"{side}_lane_boundary"]) for side in ("left", "right"))
        if min(len(left), len(right)) < 2:
            raise DataError(f"lane segment {row['id']}: a boundary of {min(len(left), len(right))} points; it needs 2")
        count = max(int(np.ceil(max(_arc(left)[-1], _arc(right)[-1]) / SPACING_M)), 1) + 1
        left, right = _spread(left, count), _spread(right, count)
        return (left + right) / 2, float(np.linalg.norm(left - right, axis=1).mean())

    def _lines(self) -> tuple[RoadLine, ...]:
        """Painted boundaries, each once: neighbours share theirs, in either direction."""
        found: dict[tuple[tuple[float, float], ...], RoadLine] = {}
        for row in self.rows:
            for side in ("left", "right"):
                mark = row[f"{side}_lane_mark_type"]
                if mark not in MARKS:
                    raise DataError(
                        f"lane segment {row['id']}: lane mark {mark!r} is unknown; known: {', '.join(MARKS)}"
                    )
                paint, points = MARKS[mark], self._points(row[f"{side}_lane_boundary"])
                if paint is not None and len(points) >= 2:
                    way = tuple((float(x), float(y)) for x, y in points)
                    found.setdefault(min(way, way[::-1]), RoadLine(points, paint))
        return tuple(found.values())


def _kerbs(road: Any) -> tuple[RoadLine, ...]:
    rings = [ring for part in polygons(road) for ring in (part.exterior, *part.interiors)]
    return tuple(RoadLine(np.array(ring.coords, np.float64), Paint.KERB) for ring in rings)


def _arc(line: np.ndarray) -> Float64[np.ndarray, "P"]:
    return np.append(0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1)))


def _spread(line: np.ndarray, count: int) -> Float64[np.ndarray, "_ 2"]:
    """`count` points at equal distances along a line."""
    arc = _arc(line)
    at = np.linspace(0.0, arc[-1], count)
    return np.column_stack([np.interp(at, arc, line[:, 0]), np.interp(at, arc, line[:, 1])])
