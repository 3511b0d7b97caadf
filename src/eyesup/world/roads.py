"""Towns: road networks by kind and seed, built once with SUMO's tools and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from eyesup.types.errors import DataError
from eyesup.types.road_map import RoadMap
from eyesup.types.scene import SignalState
from eyesup.world import bends, crossings
from eyesup.world.map_io import map_from_bytes, map_to_bytes
from eyesup.world.sumo_net import SignalHead, read_net, run_sumo_tool

KINDS = ("random", "grid", *bends.KINDS, *crossings.KINDS)
NET_FILE = "town.net.xml"
BUILD_VERSION = 2  # raise when the same settings give another map
SPEED_LIMITS_MPS = (11.11, 13.89)  # 40 and 50 km/h
BEND_SPEED_MPS = 13.89

COMMON = {
    "precision": "3",
    "junctions.internal-link-detail": "20",
    "no-turnarounds": "true",  # a U-turn between two lanes is no path for a car
}
TOWN = {
    **COMMON,
    "default.lanenumber": "2",
    "random-lanenumber": "true",
    "default.sidewalk-width": "2.5",
    "default.junctions.radius": "8",
    "sidewalks.guess": "true",
    "crossings.guess": "true",
    "tls.guess": "true",  # where the speeds of incoming roads add up to more than the layout's threshold [m/s]
    "tls.left-green.time": "0",  # no phases of their own for left turns: one colour per approach
}
LAYOUTS = {
    "random": {
        "rand": "true",
        "rand.iterations": "36",
        "rand.min-distance": "80",
        "rand.max-distance": "150",
        "rand.min-angle": "60",  # sharper corners leave turns that no car can drive
        "tls.guess.threshold": "50",
    },
    "grid": {
        "grid": "true",
        "grid.x-number": "5",
        "grid.y-number": "5",
        "grid.length": "125",
        "grid.attach-length": "60",
        "tls.guess.threshold": "56",
        "perturb-x": "normc(0,9,-18,18)",
        "perturb-y": "normc(0,9,-18,18)",
    },
}


@dataclass(frozen=True)
class Town:
    """A road network ready for SUMO and for drawing.

    Attributes:
        name: ``<kind>-<seed>``.
        kind: One of `KINDS`.
        seed: What it was drawn from.
        net_file: SUMO net; its coordinates are ``world - offset``.
        road_map: World frame, metres, origin in the middle of the town (bends: where the bend begins).
        signals: Signal heads and, in `crossings`, signs, world frame.
        offset: ``world_xy = sumo_xy + offset``.
    """

    name: str
    kind: str
    seed: int
    net_file: Path
    road_map: RoadMap
    signals: tuple[SignalHead, ...]
    offset: tuple[float, float]


def build_town(kind: str, seed: int, cache_dir: Path | None = None) -> Town:
    """Build a town, or read it where it was built before.

    Args:
        kind: One of `KINDS`. ``random`` and ``grid`` are towns of 600 to 900 m with sidewalks, crossings and signals;
            the four bends share their road up to x = 0 exactly (see `eyesup.world.bends`); ``crossing`` is a town of
            stop and yield signs, ``merge`` a road with ramps (see `eyesup.world.crossings`).
        seed: At least 0; the same kind and seed give the same bytes.
        cache_dir: Where towns are kept; default `$EYESUP_CACHE`, else ``~/.cache/eyesup``.

    Raises:
        DataError: Unknown kind or negative seed.
        EyesUpError: SUMO's tools failed.
    """
    if kind not in KINDS:
        raise DataError(f"town kind {kind!r} is unknown; choose one of {', '.join(KINDS)}")
    if seed < 0:
        raise DataError(f"town seed {seed} is negative; use 0 or more")
    folder = cache_root(cache_dir) / "towns" / f"{kind}-{seed}-{_digest(kind, seed)}"
    build_beside(folder, lambda work: _write_town(work, kind, seed))
    return read_town(folder, f"{kind}-{seed}", kind, seed)


def cache_root(cache_dir: Path | None) -> Path:
    """Where towns are kept: `cache_dir`, else `$EYESUP_CACHE`, else ``~/.cache/eyesup``."""
    if cache_dir is not None:
        return Path(cache_dir)
    return Path(os.environ.get("EYESUP_CACHE") or Path.home() / ".cache" / "eyesup")


def _settings(kind: str, seed: int) -> dict[str, str]:
    """Options of the network tool, without file names."""
    if kind in bends.KINDS:
        return {**COMMON, "offset.disable-normalization": "true"}
    if kind in crossings.KINDS:
        return {**COMMON, **crossings.settings(kind)}
    rng = np.random.default_rng([seed, 0x70E1])
    drawn = {
        "default.lanewidth": str(rng.choice(bends.LANE_WIDTHS_M)),
        "default.speed": str(rng.choice(SPEED_LIMITS_MPS)),
        "seed": str(seed),
    }
    return {**TOWN, **LAYOUTS[kind], **drawn}


def _digest(kind: str, seed: int) -> str:
    facts = {
        "build": BUILD_VERSION,
        "settings": _settings(kind, seed),
        "bend": {name: line.tolist() for name, line in bends.bend_roads(kind, seed).items()}
        if kind in bends.KINDS
        else {},
        "sumo": version("eclipse-sumo"),
    }
    if kind in crossings.KINDS:
        facts["layout"] = asdict(crossings.layout(kind, seed))
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def build_beside(folder: Path, write: Callable[[Path], None]) -> None:
    """Unless it is there: build beside `folder` and rename; of two processes one wins and both read its result."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(work)
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_town(folder: Path, kind: str, seed: int) -> None:
    net_file = folder / NET_FILE
    arguments = [f"--{name}={value}" for name, value in _settings(kind, seed).items()]
    offset = None
    if kind in bends.KINDS:
        arguments += bends.write_bend(kind, seed, BEND_SPEED_MPS, folder)
        offset = (0.0, 0.0)
    if kind in crossings.KINDS:
        arguments += crossings.write_layout(kind, seed, folder)
    hand_written = kind in (*bends.KINDS, *crossings.KINDS)
    run_sumo_tool("netconvert" if hand_written else "netgenerate", [*arguments, "-o", str(net_file)])
    keep_net(net_file, offset, signs=kind in crossings.KINDS)


def keep_net(net_file: Path, offset: tuple[float, float] | None, signs: bool) -> None:
    """Write what a town is read from beside its net; see `read_net` for `offset` and `signs`."""
    folder = net_file.parent
    # The tool opens the file with a comment of the date and the folder.
    net_file.write_text(re.sub(r"<!--.*?-->\s*", "", net_file.read_text(), count=1, flags=re.DOTALL))
    content = read_net(net_file, offset, signs=signs)
    (folder / "map.bin").write_bytes(map_to_bytes(content.road_map))
    facts = {"offset": content.offset, "signals": [asdict(head) for head in content.signals]}
    (folder / "town.json").write_text(json.dumps(facts))


def read_town(folder: Path, name: str, kind: str, seed: int) -> Town:
    """A town from the folder that it was built in."""
    facts = json.loads((folder / "town.json").read_text())
    return Town(
        name=name,
        kind=kind,
        seed=seed,
        net_file=folder / NET_FILE,
        road_map=map_from_bytes((folder / "map.bin").read_bytes()),
        signals=tuple(_signal_head(head) for head in facts["signals"]),
        offset=(facts["offset"][0], facts["offset"][1]),
    )


def _signal_head(facts: dict[str, Any]) -> SignalHead:
    x, y, z, heading = facts["pose"]
    return SignalHead(
        id=facts["id"],
        pose=(x, y, z, heading),
        tls_id=facts["tls_id"],
        link_indices=tuple(facts["link_indices"]),
        lane_ids=tuple(facts["lane_ids"]),
        stop_point=(facts["stop_point"][0], facts["stop_point"][1]),
        sign=SignalState(facts.get("sign", SignalState.OFF)),
    )
