"""A `RoadMap` as compact bytes: a JSON header and a block of float64 points, compressed. Exact and deterministic."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np

from eyesup.types.errors import DataError
from eyesup.types.road_map import Lane, Paint, RoadLine, RoadMap, StopLine

MAGIC = b"EYESUPMAP1"


def map_to_bytes(road_map: RoadMap) -> bytes:
    """Serialise exactly: `map_from_bytes` gives back bit-equal coordinates, and equal maps give equal bytes."""
    shapes = [
        *(lane.centerline for lane in road_map.lanes),
        *(line.points for line in road_map.lines),
        *road_map.crosswalks,
        *(stop.points for stop in road_map.stop_lines),
        *road_map.drivable,
        *road_map.sidewalks,
    ]
    header = {
        "lanes": [
            [
                lane.id,
                lane.width_m,
                lane.speed_limit_mps,
                list(lane.successors),
                lane.left,
                lane.right,
                lane.is_junction,
            ]
            for lane in road_map.lanes
        ],
        "lines": [int(line.paint) for line in road_map.lines],
        "crosswalks": len(road_map.crosswalks),
        "stop_lines": [stop.lane_id for stop in road_map.stop_lines],
        "drivable": len(road_map.drivable),
        "sidewalks": len(road_map.sidewalks),
        "sizes": [len(shape) for shape in shapes],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    points = np.concatenate([np.zeros((0, 2)), *shapes]).astype("<f8").tobytes()
    return MAGIC + zlib.compress(struct.pack("<I", len(head)) + head + points, 6)


def map_from_bytes(data: bytes) -> RoadMap:
    """Inverse of `map_to_bytes`; DataError when the bytes are something else or damaged."""
    if not data.startswith(MAGIC):
        raise DataError(f"road map bytes start with {data[:10]!r}, expected {MAGIC!r}; rebuild the map")
    try:
        body = zlib.decompress(data[len(MAGIC) :])
        (size,) = struct.unpack_from("<I", body)
        header = json.loads(body[4 : 4 + size])
        points = np.frombuffer(body, "<f8", offset=4 + size).reshape(-1, 2).astype(np.float64)
    except (zlib.error, struct.error, ValueError) as error:
        raise DataError(f"road map bytes are damaged ({error}); rebuild the map") from error
    if sum(header["sizes"]) != len(points):
        raise DataError(f"road map bytes hold {len(points)} points, the header says {sum(header['sizes'])}")
    shapes = iter(np.split(points, np.cumsum(header["sizes"])[:-1]) if header["sizes"] else ())
    return RoadMap(
        lanes=tuple(
            Lane(lane_id, next(shapes), width, speed, tuple(successors), left, right, junction)
            for lane_id, width, speed, successors, left, right, junction in header["lanes"]
        ),
        lines=tuple(RoadLine(next(shapes), Paint(paint)) for paint in header["lines"]),
        crosswalks=tuple(next(shapes) for _ in range(header["crosswalks"])),
        stop_lines=tuple(StopLine(next(shapes), lane_id) for lane_id in header["stop_lines"]),
        drivable=tuple(next(shapes) for _ in range(header["drivable"])),
        sidewalks=tuple(next(shapes) for _ in range(header["sidewalks"])),
    )
