"""The metric cache: scenes prepared for the PDM score, one compressed NumPy archive each, without pickles.

::

    <root>/<log>/<token>.npz    inputs, map index, agents at 10 Hz, PDM-Closed's plan: all that does not depend on a plan
    <root>/index.json           format, split, versions, what failed; written last

A scene is made once: building again goes on where it stopped, and makes anew what was made by another format, version of the
package, log or map.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from eyesup import __version__
from eyesup.data.navsim.source import NavsimSource
from eyesup.data.nuplan_map import find_map
from eyesup.geometry.se2 import from_frame, points_to_frame
from eyesup.scoring.pdm.contacts import AgentTracks
from eyesup.scoring.pdm.grid import Grid
from eyesup.scoring.pdm.progress import Centerline
from eyesup.scoring.pdm.scene import EgoPast, PreparedScene, SceneInputs
from eyesup.scoring.pdm.score import VersionedScene, prepare, reference_poses, versioned
from eyesup.scoring.pdm.version import Version, version_named
from eyesup.types.errors import DataError, EyesUpError
from eyesup.world.store import write_atomic
from eyesup.world.workers import Engine, outcomes

FORMAT = 1
INDEX = "index.json"
REMEDY = "delete it and build the cache again"
_INPUT_ARRAYS = (
    "centerline",
    "ego_history",
    "ego_times_us",
    "agent_poses",
    "agent_velocities",
    "agent_sizes",
    "agent_seen",
)
_INPUT_FACTS = ("name", "polygon_ids", "polygon_layers", "agent_types", "red_lane_ids", "speed_limit_mps")


def to_bytes(scene: PreparedScene, versions: Sequence[str], stamp: str = "") -> bytes:
    """A prepared scene as an npz archive; `from_bytes` gives the same scores, bit for bit.

    Args:
        scene: What to keep.
        versions: Short names of the definitions that are kept worked out; others are worked out when first asked for.
        stamp: Kept beside it.
    """
    inputs = scene.inputs
    arrays: dict[str, np.ndarray] = {name: getattr(inputs, name) for name in _INPUT_ARRAYS}
    arrays["poly_xy"] = np.concatenate(inputs.polygons)
    arrays["poly_off"] = np.cumsum([0, *map(len, inputs.polygons)])
    if inputs.human is not None:
        arrays["human"] = inputs.human
    arrays |= {f"grid.{field}": getattr(scene.grid, field) for field in Grid._fields if field not in ("x", "y")}
    arrays |= {f"line.{field}": getattr(scene.centerline, field) for field in Centerline._fields}
    arrays |= {f"ego.{f.name}": np.asarray(getattr(scene.ego, f.name)) for f in fields(EgoPast)}
    arrays |= {"red_polygons": scene.red_polygons, "red_frames": scene.red_frames}
    facts: dict[str, Any] = {name: getattr(inputs, name) for name in _INPUT_FACTS}
    facts["route_lane_ids"] = sorted(inputs.route_lane_ids)
    derived = {}
    for short in versions:
        version = version_named(short)
        view = versioned(scene, version)
        arrays |= {f"agents.{short}.{field}": getattr(view.agents, field) for field in AgentTracks._fields}
        arrays[f"reference.{version.family}"] = _reference(scene, short)
        derived[short] = [view.reference_progress_m, view.reference_factor, sorted(view.human_fails)]
    head = {"format": FORMAT, "eyesup": __version__, "stamp": stamp, "facts": facts, "derived": derived}
    arrays["meta"] = np.array(json.dumps(head))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_bytes(data: bytes, what: str = "prepared scene") -> PreparedScene:
    """Inverse of `to_bytes`; DataError when the bytes are damaged or of another format."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            head = json.loads(str(stored["meta"]))
            if head["format"] != FORMAT:
                raise DataError(f"{what}: format {head['format']}, this version reads {FORMAT}; {REMEDY}")
            return _scene({name: stored[name] for name in stored.files}, head)
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{what}: damaged ({error}); {REMEDY}") from error


def stamp_of(data_path: Path) -> str | None:
    """The stamp that a cached scene was made with; None when it is not there, or not readable by this version."""
    try:
        with np.load(data_path, allow_pickle=False) as stored:
            head = json.loads(str(stored["meta"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return str(head.get("stamp")) if head.get("format") == FORMAT and head.get("eyesup") == __version__ else None


def _scene(arrays: dict[str, np.ndarray], head: dict[str, Any]) -> PreparedScene:
    facts = head["facts"]
    polygons = tuple(arrays["poly_xy"][a:b] for a, b in pairwise(arrays["poly_off"].tolist()))
    references = {name.split(".")[1]: array for name, array in arrays.items() if name.startswith("reference.")}
    inputs = SceneInputs(
        **{name: arrays[name] for name in _INPUT_ARRAYS},
        name=facts["name"], polygons=polygons, polygon_ids=tuple(facts["polygon_ids"]),
        polygon_layers=tuple(facts["polygon_layers"]), agent_types=tuple(facts["agent_types"]),
        red_lane_ids=tuple(map(tuple, facts["red_lane_ids"])), speed_limit_mps=facts["speed_limit_mps"],
        route_lane_ids=frozenset(facts["route_lane_ids"]), human=arrays.get("human"), references=references,
    )  # fmt: skip
    x, y = _closed_rings(polygons, inputs.ego_history[-1, :3]).T
    grid = Grid(
        np.ascontiguousarray(x), np.ascontiguousarray(y), *(arrays[f"grid.{field}"] for field in Grid._fields[2:])
    )  # fmt: skip
    if len(grid.x) != grid.ring_start[-1]:
        raise ValueError(f"{len(grid.x)} map vertices, the index has {grid.ring_start[-1]}")
    line = Centerline(*(arrays[f"line.{field}"] for field in Centerline._fields))
    past = {f.name: arrays[f"ego.{f.name}"] for f in fields(EgoPast)}
    ego = EgoPast(past["initial"], past["previous"], int(past["frame_gap"]), past["driven"])
    derived: dict[Version, object] = {}
    for short, (progress, factor, fails) in head["derived"].items():
        tracks = AgentTracks(*(arrays[f"agents.{short}.{field}"] for field in AgentTracks._fields))
        derived[version_named(short)] = VersionedScene(tracks, progress, factor, frozenset(fails))
    return PreparedScene(inputs, grid, line, ego, arrays["red_polygons"], arrays["red_frames"], derived)


def _closed_rings(polygons: Sequence[np.ndarray], origin: np.ndarray) -> np.ndarray:
    """Vertices of the map's index: the polygons in the ego frame, each with its first vertex repeated at the end."""
    rings = [points_to_frame(ring, origin) for ring in polygons]
    rings = [ring[:-1] if np.array_equal(ring[0], ring[-1]) else ring for ring in rings]
    return np.concatenate([np.concatenate([ring, ring[:1]]) for ring in rings])


def _reference(scene: PreparedScene, version: str) -> np.ndarray:
    """PDM-Closed's plan in the world frame."""
    given = scene.inputs.references.get(version_named(version).family)
    if given is not None:
        return np.asarray(given)
    return from_frame(reference_poses(scene, version_named(version)), scene.origin)


@dataclass(frozen=True)
class CacheReport:
    """What a cache holds, and what building it did.

    Attributes:
        scenes: In the cache.
        made: By this run.
        failures: Scene or file -> what is wrong with it (only with `keep_going`).
    """

    scenes: int
    made: int
    failures: dict[str, str]


@dataclass(frozen=True)
class _Work:
    """One log's scenes; goes to the workers as it is."""

    source: NavsimSource
    root: Path
    versions: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]
    keep_going: bool

    def __call__(self, index: int) -> tuple[int, dict[str, str]]:
        made, failures = 0, {}
        for token in self.tokens[index]:
            path = scene_path(self.root, self.source.place(token).log, token)
            try:
                stamp = f"{source_stamp(self.source, token)} {' '.join(self.versions)}"
                if stamp_of(path) == stamp:
                    continue
                scene = prepare(self.source.inputs(token), *self.versions)
                data = to_bytes(scene, self.versions, stamp)
            except EyesUpError as error:
                if not self.keep_going:
                    raise
                failures[token] = str(error)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
            made += 1
        return made, failures


def build_cache(
    source: NavsimSource,
    root: Path,
    versions: Sequence[str] = ("v1", "v2"),
    workers: int = 1,
    engine: Engine = "process",
    address: str | None = None,
    keep_going: bool = False,
    progress: Callable[[int], None] | None = None,
) -> CacheReport:
    """Prepare what is missing of a source's scenes.

    Args:
        source: Which scenes.
        root: Folder of the cache.
        versions: Definitions that are worked out beforehand.
        workers: Processes; 1 works in this one.
        engine: ``process`` or ``ray``.
        address: Of a Ray cluster.
        keep_going: Count scenes that cannot be prepared instead of stopping at the first.
        progress: Called with 1 after each log.

    Raises:
        EyesUpError: A scene cannot be prepared, or a worker died; what is finished is kept.
    """
    by_log: dict[str, list[str]] = {}
    for token in source.keys:
        by_log.setdefault(source.place(token).log, []).append(token)
    work = _Work(source, root, tuple(versions), tuple(map(tuple, by_log.values())), keep_going)
    root.mkdir(parents=True, exist_ok=True)
    made, failures = 0, dict(source.failures)
    for _, outcome in outcomes(work, range(len(by_log)), workers, engine, address):
        if isinstance(outcome, Exception):
            raise outcome
        made += outcome[0]
        failures |= outcome[1]
        if progress:
            progress(1)
    failures = dict(sorted(failures.items()))
    tokens = {token: f"{source.place(token).log}/{token}.npz" for token in source.keys if token not in failures}
    index = {
        "format": FORMAT, "eyesup": __version__, "split": source.split.name, "versions": list(versions), "failures": failures,
        "scenes": tokens,
    }  # fmt: skip
    write_atomic(root / INDEX, (json.dumps(index, indent=1) + "\n").encode())
    return CacheReport(len(tokens), made, failures)


class MetricCache:
    """Read access to a finished cache.

    Attributes:
        root: The folder.
        keys: Tokens of the scenes.
        failures: What could not be prepared, and why.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        path = self.root / INDEX
        try:
            index = json.loads(path.read_text())
            if index["format"] != FORMAT:
                raise DataError(f"{path}: format {index['format']}, this version reads {FORMAT}; {REMEDY}")
            self._paths: dict[str, str] = dict(index["scenes"])
            self.failures: dict[str, str] = dict(index["failures"])
        except OSError as error:
            raise DataError(f"{path}: no metric cache here ({error.strerror}); build it first") from error
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: damaged ({error!r}); {REMEDY}") from error
        self.keys = tuple(self._paths)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, token: str) -> bool:
        return token in self._paths

    def __iter__(self) -> Iterator[PreparedScene]:
        return (self[token] for token in self.keys)

    def __getitem__(self, token: str) -> PreparedScene:
        if token not in self._paths:
            reason = self.failures.get(token, "it is not of this split")
            raise DataError(f"{self.root}: no prepared scene {token!r}: {reason}")
        path = self.root / self._paths[token]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
        return from_bytes(data, str(path))


def scene_path(root: Path, log: str, token: str) -> Path:
    return root / log / f"{token}.npz"


def source_stamp(source: NavsimSource, token: str) -> str:
    """What a prepared scene depends on besides this package: frames, log and map, told by their sizes."""
    place, rules = source.place(token), source.split.scene_filter
    city = 0 if source.roots.maps is None else find_map(source.roots.maps, place.location).stat().st_size
    frames = f"{place.start}:{rules.num_history_frames}+{rules.num_future_frames}"
    return f"{place.path.name}:{place.path.stat().st_size}:{frames}:{city}"
