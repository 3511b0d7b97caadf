"""Samples of the open-loop benchmark as flat arrays, and their JSON layout.

A file is a list of cases. Inputs of a case (results stored beside them are ignored):

| key | shape | meaning |
|---|---|---|
| id | number or text | unique in the file |
| pred, gt | (6, 2) | planned and driven path of the lidar at 0.5 ... 3.0 s: x right, y forward, lidar frame at t = 0 [m] |
| n_valid_future | 0 ... 6 | keyframes left in the scene; rows of gt after them mean nothing |
| fut_valid_flag | bool | whether six keyframes follow |
| agents | list | category (nuScenes' ten), size_lwh (3,), poses_xyyaw_t0_t6 (7, 3), valid_t0_t6 (7,) |
| gt_heading_left_positive | (6,) | optional, the driven heading against t = 0 [rad]; protocol stp3 needs it |
| drivable_area | list | optional, polygons {"exterior": (P, 2), "holes": [(P, 2), ...]}; protocol omnidrive needs it |
| road_boundaries | list | optional, lines (P, 2) along the edges of the road; protocol bevplanner then tells who drives over them |
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from eyesup.scoring.openloop.protocol import CATEGORIES
from eyesup.types import DataError

STEPS = 6
FRAMES = STEPS + 1
FARTHEST_M = 1e6  # a position beyond is no position
Rings = tuple[np.ndarray, ...]  # exterior and holes of one polygon, each (P, 2)
_INPUTS = ("id", "pred", "gt", "n_valid_future", "fut_valid_flag", "agents")
_AGENT_INPUTS = ("category", "size_lwh", "poses_xyyaw_t0_t6", "valid_t0_t6")


@dataclass(frozen=True)
class Cases:
    """N samples with M agents in all. Lidar frame at t = 0: x right, y forward [m]; angles counter-clockwise.

    Attributes:
        ids: One per sample, unique.
        plans, driven: (N, 6, 2) at 0.5 ... 3.0 s.
        known: (N,) how many of the six frames exist.
        complete: (N,) whether all six do.
        headings: (N, 6) the driven heading against t = 0 [rad]; zeros where `has_heading` is False.
        has_heading: (N,).
        agent_starts: (N + 1,) agents of sample i are rows agent_starts[i] to agent_starts[i + 1].
        categories: (M,) index into `CATEGORIES`.
        sizes: (M, 2) length, width.
        poses: (M, 7, 3) centre x, y, yaw from +x, at 0, 0.5, ..., 3.0 s; zeros where not annotated.
        annotated: (M, 7).
        drivable: Per sample the polygons of the drivable area, None where it is not given.
        kerbs: Per sample the lines (P, 2) along the edges of the road, None where they are not given.
    """

    ids: tuple[int | str, ...]
    plans: Float[np.ndarray, "N 6 2"]
    driven: Float[np.ndarray, "N 6 2"]
    known: Int[np.ndarray, " N"]
    complete: Bool[np.ndarray, " N"]
    headings: Float[np.ndarray, "N 6"]
    has_heading: Bool[np.ndarray, " N"]
    agent_starts: Int[np.ndarray, " N1"]
    categories: Int[np.ndarray, " M"]
    sizes: Float[np.ndarray, "M 2"]
    poses: Float[np.ndarray, "M 7 3"]
    annotated: Bool[np.ndarray, "M 7"]
    drivable: tuple[tuple[Rings, ...] | None, ...]
    kerbs: tuple[tuple[np.ndarray, ...] | None, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def agent_sample(self) -> Int[np.ndarray, " M"]:
        """To which sample each agent belongs."""
        return np.repeat(np.arange(len(self)), np.diff(self.agent_starts))

    def selected(self, samples: Bool[np.ndarray, " N"], agents: Bool[np.ndarray, " M"]) -> Cases:
        """Some samples, with some of their agents."""
        chosen = np.flatnonzero(samples)
        own = agents & samples[self.agent_sample]
        counts = np.bincount(self.agent_sample[own], minlength=len(self))[chosen]
        return Cases(
            tuple(self.ids[i] for i in chosen), self.plans[chosen], self.driven[chosen], self.known[chosen],
            self.complete[chosen], self.headings[chosen], self.has_heading[chosen], np.concatenate([[0], np.cumsum(counts)]),
            self.categories[own], self.sizes[own], self.poses[own], self.annotated[own],
            tuple(self.drivable[i] for i in chosen), tuple(self.kerbs[i] for i in chosen),
        )  # fmt: skip

    def repeated(self, times: int) -> Cases:
        """The same samples several times over, ids numbered anew: a load for benchmarks."""
        count = len(self.categories)
        starts = [self.agent_starts[:-1] + k * count for k in range(times)]

        def tiled(array: np.ndarray) -> np.ndarray:
            return np.concatenate([array] * times)

        return Cases(
            tuple(range(times * len(self))), tiled(self.plans), tiled(self.driven), tiled(self.known),
            tiled(self.complete), tiled(self.headings), tiled(self.has_heading),
            np.concatenate([*starts, [times * count]]), tiled(self.categories), tiled(self.sizes), tiled(self.poses),
            tiled(self.annotated), self.drivable * times, self.kerbs * times,
        )  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One sample as read; fields as in `Cases`."""

    id: int | str
    plan: np.ndarray
    driven: np.ndarray
    known: int
    complete: bool
    heading: np.ndarray | None
    categories: np.ndarray
    sizes: np.ndarray
    poses: np.ndarray
    annotated: np.ndarray
    drivable: tuple[Rings, ...] | None
    kerbs: tuple[np.ndarray, ...] | None


def read_cases(path: Path, on_error: Callable[[str], None] | None = None) -> Cases:
    """All cases of a file.

    Args:
        path: JSON in the layout above.
        on_error: Called with the message of each bad case, which is then left out; without it the first one raises.

    Raises:
        DataError: The file is unreadable or no list of cases; a case is bad (names the case, the field and the value).
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            stored = json.loads(file.read())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no text ({error.reason} at byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: no valid JSON ({error.msg} at line {error.lineno}, column {error.colno}); is the file cut short?"
        ) from error
    if not isinstance(stored, list) or not stored:
        raise DataError(f"{path}: {_shown(stored)}, expected a list of cases")
    good: list[Case] = []
    seen: set[int | str] = set()
    for index, entry in enumerate(stored):
        try:
            case = read_case(entry, index)
            if case.id in seen:
                raise DataError(f"case {case.id}: id {case.id!r} occurs twice (entry {index}); ids must be unique")
        except DataError as error:
            if on_error is None:
                raise DataError(f"{path}: {error}") from error
            on_error(str(error))
        else:
            seen.add(case.id)
            good.append(case)
    return gathered(good)


def gathered(cases: Sequence[Case]) -> Cases:
    """Cases as flat arrays."""
    counts = [len(case.categories) for case in cases]
    return Cases(
        ids=tuple(case.id for case in cases),
        plans=_stacked([case.plan for case in cases], (STEPS, 2)),
        driven=_stacked([case.driven for case in cases], (STEPS, 2)),
        known=np.array([case.known for case in cases], dtype=np.int64),
        complete=np.array([case.complete for case in cases], dtype=bool),
        headings=_stacked([np.zeros(STEPS) if c.heading is None else c.heading for c in cases], (STEPS,)),
        has_heading=np.array([case.heading is not None for case in cases], dtype=bool),
        agent_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        categories=_joined([case.categories for case in cases], (), np.int64),
        sizes=_joined([case.sizes for case in cases], (2,)),
        poses=_joined([case.poses for case in cases], (FRAMES, 3)),
        annotated=_joined([case.annotated for case in cases], (FRAMES,), bool),
        drivable=tuple(case.drivable for case in cases),
        kerbs=tuple(case.kerbs for case in cases),
    )


def _stacked(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(arrays) if arrays else np.zeros((0, *shape))


def _joined(arrays: list[np.ndarray], shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    return np.concatenate([np.zeros((0, *shape), dtype), *arrays])


def read_case(entry: object, index: int = 0) -> Case:
    """One case; `index` is its place in the file, named where it has no id."""
    where = f"entry {index}"
    if not isinstance(entry, dict):
        raise DataError(f"{where}: {_shown(entry)}, expected an object with {', '.join(_INPUTS)}")
    identity = entry.get("id")
    if isinstance(identity, bool) or not isinstance(identity, int | str):
        raise DataError(f"{where}: id {_shown(identity)}, expected a number or text")
    where = f"case {identity}"
    _require(where, entry, _INPUTS)
    known, complete = entry["n_valid_future"], entry["fut_valid_flag"]
    if isinstance(known, bool) or not isinstance(known, int) or not 0 <= known <= STEPS:
        raise DataError(f"{where}: n_valid_future {_shown(known)}, expected a whole number from 0 to {STEPS}")
    if complete not in (True, False):
        raise DataError(f"{where}: fut_valid_flag {_shown(complete)}, expected true or false")
    if complete and known < STEPS:
        raise DataError(f"{where}: fut_valid_flag is true, but n_valid_future is {known}; {STEPS} frames must follow")
    heading = entry.get("gt_heading_left_positive")
    return Case(
        id=identity,
        plan=_numbers(f"{where}: pred", entry["pred"], (STEPS, 2)),
        driven=_numbers(f"{where}: gt", entry["gt"], (STEPS, 2)),
        known=known,
        complete=bool(complete),
        heading=None if heading is None else _numbers(f"{where}: gt_heading_left_positive", heading, (STEPS,)),
        drivable=_drivable(where, entry.get("drivable_area")),
        kerbs=_kerbs(where, entry.get("road_boundaries")),
        **_agents(where, entry["agents"]),
    )


def _agents(where: str, agents: object) -> dict[str, np.ndarray]:
    if not isinstance(agents, list):
        raise DataError(f"{where}: agents {_shown(agents)}, expected a list")
    rows = [_agent(f"{where}: agents[{i}]", agent) for i, agent in enumerate(agents)]
    categories, sizes, poses, annotated = zip(*rows) if rows else ((), (), (), ())
    return {
        "categories": np.array(categories, dtype=np.int64),
        "sizes": _stacked(list(sizes), (2,)),
        "poses": _stacked(list(poses), (FRAMES, 3)),
        "annotated": np.array(annotated, dtype=bool).reshape(-1, FRAMES),
    }


def _agent(where: str, agent: object) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    if not isinstance(agent, dict):
        raise DataError(f"{where}: {_shown(agent)}, expected an object with {', '.join(_AGENT_INPUTS)}")
    _require(where, agent, _AGENT_INPUTS)
    category = agent["category"]
    if not isinstance(category, str) or category not in CATEGORIES:
        raise DataError(f"{where}.category {_shown(category)}, expected one of {', '.join(CATEGORIES)}")
    flags = _numbers(f"{where}.valid_t0_t6", agent["valid_t0_t6"], (FRAMES,))
    if not np.isin(flags, (0, 1)).all():
        raise DataError(f"{where}.valid_t0_t6 holds {flags[~np.isin(flags, (0, 1))][0]:g}, expected 0 or 1")
    annotated = flags.astype(bool)
    size = _numbers(f"{where}.size_lwh", agent["size_lwh"], (3,))
    if (size[:2] <= 0).any():
        raise DataError(f"{where}.size_lwh {size[0]:g} m x {size[1]:g} m, expected a length and width above 0")
    poses = _numbers(f"{where}.poses_xyyaw_t0_t6", agent["poses_xyyaw_t0_t6"], (FRAMES, 3), annotated)
    return CATEGORIES.index(category), size[:2], poses, annotated


def _drivable(where: str, polygons: object) -> tuple[Rings, ...] | None:
    if polygons is None:
        return None
    if not isinstance(polygons, list) or not all(isinstance(p, dict) and "exterior" in p for p in polygons):
        raise DataError(
            f"{where}: drivable_area {_shown(polygons)}, expected a list of objects with exterior and holes"
        )
    return tuple(
        tuple(
            _points(f"{where}: drivable_area[{i}]", ring, 3)
            for ring in (polygon["exterior"], *polygon.get("holes", ()))
        )
        for i, polygon in enumerate(polygons)
    )


def _kerbs(where: str, lines: object) -> tuple[np.ndarray, ...] | None:
    if lines is None:
        return None
    if not isinstance(lines, list):
        raise DataError(f"{where}: road_boundaries {_shown(lines)}, expected a list of lines")
    return tuple(_points(f"{where}: road_boundaries[{i}]", line, 2) for i, line in enumerate(lines))


def _points(where: str, points: object, least: int) -> np.ndarray:
    if not isinstance(points, list) or len(points) < least:
        raise DataError(f"{where}: {_shown(points)}, expected at least {least} points")
    return _numbers(where, points, (len(points), 2))


def _require(where: str, entry: dict[str, Any], keys: Sequence[str]) -> None:
    missing = [key for key in keys if key not in entry]
    if missing:
        raise DataError(f"{where}: {', '.join(missing)} missing; it has {', '.join(map(str, entry)) or 'nothing'}")


def _numbers(where: str, value: object, shape: tuple[int, ...], rows: np.ndarray | None = None) -> np.ndarray:
    """An array of finite numbers; where `rows` is False they may be anything and become 0."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: no array of numbers of shape {shape} ({error})") from error
    if array.shape != shape:
        raise DataError(f"{where}: shape {array.shape}, expected {shape}")
    if rows is not None:
        array[~rows] = 0.0
    bad = ~(np.abs(array) <= FARTHEST_M)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        at = "".join(f"[{i}]" for i in place)
        raise DataError(f"{where}{at} is {array[place]:g}, expected a finite number within {FARTHEST_M:g}")
    return array


def _shown(value: object, limit: int = 40) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= limit else f"{text[:limit]}..."


def agent_slices(cases: Cases) -> list[slice]:
    """The agents of each sample."""
    return [slice(int(a), int(b)) for a, b in pairwise(cases.agent_starts)]
