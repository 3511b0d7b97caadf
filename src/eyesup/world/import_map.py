"""Towns from other people's maps: OpenStreetMap and OpenDRIVE files, through SUMO's netconvert, kept like built towns.

What the map does not tell is guessed the way SUMO does it: sidewalks along slow roads, crossings at junctions, signals where
the file marks them. The biggest connected network for cars is kept; everything else of the file is left out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
import sumo

from eyesup.types import DataError, EyesUpError
from eyesup.world.roads import BUILD_VERSION, COMMON, NET_FILE, Town, build_beside, cache_root, keep_net, read_town
from eyesup.world.sumo_net import run_sumo_tool

Format = Literal["osm", "opendrive"]
SUFFIXES: dict[str, Format] = {".osm": "osm", ".xodr": "opendrive"}
IMPORTED = "imported"
IMPORT_VERSION = 1  # raise when the same file gives another map
KEPT = {
    **COMMON,
    "keep-edges.by-vclass": "passenger",
    "keep-edges.components": "1",
    "geometry.remove": "true",
    "junctions.corner-detail": "5",
    "default.sidewalk-width": "2.5",
    "sidewalks.guess": "true",
    "crossings.guess": "true",
    "tls.discard-simple": "true",
    "tls.left-green.time": "0",  # no phases of their own for left turns: one colour per approach
}
OPTIONS: dict[Format, dict[str, str]] = {
    "osm": {
        **KEPT,
        "type-files": str(Path(sumo.SUMO_HOME) / "data" / "typemap" / "osmNetconvert.typ.xml"),
        "junctions.join": "true",
        "tls.join": "true",
        "tls.guess-signals": "true",
        "roundabouts.guess": "true",
        "ramps.guess": "true",
    },
    "opendrive": {**KEPT, "opendrive.curve-resolution": "1"},
}
_INPUT = {"osm": "osm-files", "opendrive": "opendrive-files"}


@dataclass(frozen=True)
class TownFacts:
    """How large a town is."""

    road_km: float
    lanes: int
    junction_lanes: int
    signals: int
    signs: int
    crosswalks: int
    width_m: float
    height_m: float


@lru_cache(maxsize=4)
def import_town(path: Path, cache_dir: Path | None = None) -> Town:
    """A town from a map file; converted once per content of the file.

    Args:
        path: ``.osm`` or ``.xodr``, or the same with ``.gz``.
        cache_dir: As in `roads.build_town`.

    Raises:
        DataError: no such file, an unknown suffix, or no road for cars in it.
        EyesUpError: netconvert could not read it; the message carries its words.
    """
    path = Path(path)
    kind = format_of(path)
    data = _content(path)
    digest = _digest(kind, data)
    folder = cache_root(cache_dir) / "towns" / f"{IMPORTED}-{digest}"
    build_beside(folder, lambda work: _convert(work, kind, data, path))
    return read_town(folder, f"{path.name.split('.')[0]}-{digest[:6]}", IMPORTED, int(digest[:6], 16))


def format_of(path: Path) -> Format:
    """The format by the file's suffix."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        raise DataError(f"map {path}: suffix {suffix!r} is unknown; give an .osm or .xodr file (or its .gz)")
    return SUFFIXES[suffix]


def facts_of(town: Town) -> TownFacts:
    """What the map holds, in numbers."""
    lanes = town.road_map.lanes
    points = np.concatenate([lane.centerline for lane in lanes])
    width, height = (points.max(axis=0) - points.min(axis=0)).tolist()
    roads = [lane for lane in lanes if not lane.is_junction]
    length = sum(float(np.linalg.norm(np.diff(lane.centerline, axis=0), axis=1).sum()) for lane in roads)
    signs = sum(bool(head.sign) for head in town.signals)
    return TownFacts(
        length / 1000, len(roads), len(lanes) - len(roads), len(town.signals) - signs, signs, len(town.road_map.crosswalks), width, height
    )  # fmt: skip


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise DataError(f"map {path} cannot be read ({error}); check the path") from error


def _digest(kind: Format, data: bytes) -> str:
    facts = {
        "build": (BUILD_VERSION, IMPORT_VERSION),
        "options": {**OPTIONS[kind], "type-files": ""},
        "sumo": version("eclipse-sumo"),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + data).hexdigest()[:12]


def _convert(folder: Path, kind: Format, data: bytes, path: Path) -> None:
    source, net_file = folder / f"map.{kind}", folder / NET_FILE
    source.write_bytes(_with_lane_speeds(data, path) if kind == "opendrive" else data)
    options = [f"--{name}={value}" for name, value in OPTIONS[kind].items()]
    try:
        run_sumo_tool("netconvert", [f"--{_INPUT[kind]}={source}", *options, "-o", str(net_file)])
    except EyesUpError as error:
        raise EyesUpError(f"map {path} could not be converted: {error}") from error
    source.unlink()
    if "<lane " not in net_file.read_text():
        raise DataError(f"map {path} holds no road for cars; check that it is the part of the map you mean")
    keep_net(net_file, None, signs=True)


def _with_lane_speeds(data: bytes, path: Path) -> bytes:
    """An OpenDRIVE file whose lanes carry the speed limit of their road's type: netconvert reads no other."""
    try:
        tree = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise DataError(f"map {path} is no OpenDRIVE file ({error})") from error
    for road in tree.iter("road"):
        speed = road.find("type/speed")
        if speed is None:
            continue
        limit = {"sOffset": "0", "max": speed.get("max", ""), "unit": speed.get("unit", "m/s")}
        for lane in road.iter("lane"):
            if lane.find("speed") is None and lane.find("width") is not None:
                ElementTree.SubElement(lane, "speed", limit)
    return ElementTree.tostring(tree)
