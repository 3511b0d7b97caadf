"""A user's own plans from a file, in the formats that people have, checked against the data set.

======================  ==========================================================================  ===========
format                  content                                                                     frame
======================  ==========================================================================  ===========
``eyesup`` (.json,      {"plans": [{"key": token, "dt_s": 0.5, "poses": [[x, y, heading], ...]}]},  ego, or the
.jsonl)                 as `eyesup plan` writes, its rows as lines, or {token: [[x, y], ...]};      file's "frame"
                        a key may begin with "<scene>@"
``opendrivevla`` (.pkl  {"<token>_trajectory": (6, 2)}: OpenDriveVLA's and GPT-Driver's             lidar
or .json)               pred_trajs_dict; or [{"id": ..., "answer": "[(x,y),...]"}], as text
``vad`` (.pkl, .json)   {"plan_results": {token: [(3, 6, 2) offsets, (3,) command]}}                lidar
======================  ==========================================================================  ===========

Frames: ``ego`` is x forward, y left at the rear axle, ``lidar`` is x right, y forward at LIDAR_TOP; both at t = 0, metres.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from eyesup.data.nuscenes.cases import lidar_from_ego, with_headings
from eyesup.data.nuscenes.dataset import FUTURE_STEPS, NuScenes
from eyesup.data.nuscenes.definitions import lidar_future
from eyesup.data.nuscenes.schema import KEYFRAME_DT_S
from eyesup.data.restricted_pickle import load_pickle
from eyesup.types.errors import DataError

Frame = Literal["ego", "lidar"]
MOVING_M = 5.0  # driven in 3 s: where a car hardly moves all frames look alike
CLEARLY = 0.5  # another frame fits better when its error is less than this share of the declared one's
MIN_MOVING = 5  # samples needed to tell
_SUFFIX = "_trajectory"
_PAIR = re.compile(r"[(\[]\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*[)\]]")
_TEXT_FIELDS = ("answer", "output", "predict", "prediction", "text", "response", "generated")


@dataclass(frozen=True)
class Plans:
    """Plans of a file, unchecked.

    Attributes:
        format: ``eyesup``, ``opendrivevla`` or ``vad``.
        frame: Of the positions.
        poses: (token, (6, 3) x, y, heading) in the order of the file; a token may occur twice.
        broken: What could not be read, one message each.
    """

    format: str
    frame: Frame
    poses: tuple[tuple[str, np.ndarray], ...]
    broken: tuple[str, ...] = ()


def read_predictions(path: str | Path, frame: Frame | None = None) -> Plans:
    """Plans of a file; the format is told from its content.

    Args:
        path: JSON, JSON lines or pickle (opened without running anything).
        frame: Overrides the format's own.

    Raises:
        DataError: The file is unreadable, a pickle asks for more than NumPy data, or no known format.
    """
    path = Path(path)
    broken: list[str] = []
    content = load_pickle(path) if path.suffix in (".pkl", ".pickle") else _read_json(path, broken)
    kind, own_frame, rows = _recognised(path, content)
    poses = []
    for token, value in rows:
        try:
            poses.append((token.rsplit("@", 1)[-1], _plan(value)))
        except (DataError, TypeError, ValueError, IndexError) as error:
            broken.append(f"plan for {token}: {error}")
    return Plans(kind, frame or own_frame, tuple(poses), tuple(broken))


def _read_json(path: Path, twice: list[str]) -> Any:
    """The content; `twice` takes a message for each key that stands twice in one object, of which JSON keeps the last."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice.extend(
                f"{key!r} stands {n} times in one object; each needs exactly one" for key, n in counts.items() if n > 1
            )
        return found

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from error
    try:
        if path.suffix == ".jsonl":
            return [json.loads(line, object_pairs_hook=unique) for line in text.splitlines() if line.strip()]
        return json.loads(text, object_pairs_hook=unique)
    except ValueError as error:
        raise DataError(f"{path}: no valid JSON ({error}); is the file cut short?") from error


def _recognised(path: Path, content: Any) -> tuple[str, Frame, Iterator[tuple[str, Any]]]:
    """Format, its frame, and (token, value) pairs."""
    if isinstance(content, Mapping) and "plans" in content:
        frame: Frame = content.get("frame", "ego")
        if frame not in ("ego", "lidar"):
            raise DataError(
                f"{path}: frame {frame!r} must be 'ego' (x forward, y left) or 'lidar' (x right, y forward)"
            )
        rows = content["plans"]
        if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) and "key" in row for row in rows):
            raise DataError(f"{path}: 'plans' must be a list of objects, each with 'key', 'dt_s' and 'poses'")
        return "eyesup", frame, ((str(row["key"]), row) for row in rows)
    if isinstance(content, Mapping) and isinstance(content.get("plan_results"), Mapping):
        return "vad", "lidar", ((str(token), _VadPlan(value)) for token, value in content["plan_results"].items())
    if isinstance(content, Mapping) and content and all(str(key).endswith(_SUFFIX) for key in content):
        return "opendrivevla", "lidar", ((str(key).removesuffix(_SUFFIX), value) for key, value in content.items())
    if (
        isinstance(content, list)
        and content
        and all(isinstance(row, Mapping) and {"key", "poses"} <= set(row) for row in content)
    ):
        return "eyesup", "ego", ((str(row["key"]), row) for row in content)
    if isinstance(content, list) and content and all(isinstance(row, Mapping) and "id" in row for row in content):
        return "opendrivevla", "lidar", ((str(row["id"]).removesuffix(_SUFFIX), _text(row)) for row in content)
    if isinstance(content, Mapping) and content and all(isinstance(value, list) for value in content.values()):
        return "eyesup", "ego", ((str(key), value) for key, value in content.items())
    raise DataError(
        f"{path}: no known format of plans; write {{'plans': [{{'key': token, 'dt_s': 0.5, 'poses': [[x, y, heading], ...]}}]}} "
        "(ego frame) or {'<token>_trajectory': [[x, y] x 6]} (lidar frame); plain lists or NumPy arrays, no tensors"
    )


@dataclass(frozen=True)
class _VadPlan:
    """Offsets per command, and which command."""

    value: Any


def _text(row: Mapping[str, Any]) -> Any:
    for name in _TEXT_FIELDS:
        if name in row:
            return row[name]
    return None


def _plan(value: Any) -> Float64[np.ndarray, "6 3"]:
    """Six poses at 0.5 s from what a format stores."""
    dt_s = KEYFRAME_DT_S
    if isinstance(value, Mapping):
        dt_s, value = float(value.get("dt_s", KEYFRAME_DT_S)), value.get("poses")
        if not dt_s > 0:
            raise DataError(f"dt_s {dt_s:g} must be a time above 0 s")
    elif isinstance(value, _VadPlan):
        offsets, command = (np.asarray(part, dtype=np.float64) for part in value.value)
        value = offsets.reshape(3, FUTURE_STEPS, 2)[int(command.reshape(-1).argmax())].cumsum(axis=0)
    elif isinstance(value, str):
        value = [[float(x), float(y)] for x, y in _PAIR.findall(value)]
        if len(value) < FUTURE_STEPS:
            raise DataError(f"the text holds {len(value)} points (x,y), expected {FUTURE_STEPS}")
        value = value[:FUTURE_STEPS]
    array = np.asarray(value, dtype=np.float64)
    array = array[0] if array.ndim == 3 and len(array) == 1 else array
    if array.ndim != 2:
        raise DataError(f"poses of shape {array.shape}, expected at least ({FUTURE_STEPS}, 2)")
    stride = round(KEYFRAME_DT_S / dt_s)
    if abs(stride * dt_s - KEYFRAME_DT_S) > 1e-6 or stride < 1:
        raise DataError(f"step {dt_s:g} s does not divide {KEYFRAME_DT_S} s")
    array = array[stride - 1 :: stride]
    if array.shape[1] not in (2, 3) or len(array) < FUTURE_STEPS:
        raise DataError(f"shape {array.shape}, expected at least ({FUTURE_STEPS}, 2) at 0.5 s")
    array = array[:FUTURE_STEPS]
    if not np.isfinite(array).all():
        raise DataError("a position is not finite")
    return array if array.shape[1] == 3 else np.column_stack([array, np.full(FUTURE_STEPS, np.nan)])


def checked_plans(
    dataset: NuScenes,
    plans: Plans,
    keyframes: np.ndarray,
    on_error: Callable[[str], None] | None = None,
) -> dict[str, Float64[np.ndarray, "6 2"]]:
    """Token -> six positions of the lidar in its frame at t = 0, for the keyframes asked for.

    Args:
        dataset: Open.
        plans: From `read_predictions`.
        keyframes: Those that count.
        on_error: Called with each complaint; without it the first one raises.

    Raises:
        DataError: A plan is broken, unknown, or there twice; a keyframe has none; the plans fit another frame better.
    """

    def complain(message: str) -> None:
        if on_error is None:
            raise DataError(message)
        on_error(message)

    for message in plans.broken:
        complain(message)
    wanted = {dataset.tokens[int(row)]: int(row) for row in keyframes}
    everything = set(dataset.tokens)
    poses: dict[str, np.ndarray] = {}
    for token, plan in plans.poses:
        if token in poses:
            complain(f"two plans for sample {token}; each sample needs exactly one")
        elif token not in everything:
            complain(
                f"plan for unknown sample {token!r}: {dataset.version} has no such keyframe; is this another version?"
            )
        else:
            poses[token] = plan  # of a sample outside the split it is simply not used
    missing = [token for token in wanted if token not in poses]
    if missing:
        complain(
            f"{len(missing)} of {len(wanted)} samples have no plan, e.g. {missing[0]}; a mean over the rest is not "
            "comparable: plan them too, or leave them out with --keep-going"
        )
    found = {token: poses[token] for token in wanted if token in poses}
    as_lidar = {token: _to_lidar(dataset, wanted[token], plan, plans.frame) for token, plan in found.items()}
    _check_frame(dataset, found, as_lidar, wanted, plans.frame, complain)
    return as_lidar


def _to_lidar(dataset: NuScenes, keyframe: int, plan: np.ndarray, frame: Frame) -> np.ndarray:
    if frame == "lidar":
        return plan[:, :2]
    poses = with_headings(plan[:, :2]) if np.isnan(plan[:, 2]).any() else plan
    return lidar_from_ego(dataset, keyframe, poses)


def _check_frame(
    dataset: NuScenes,
    plans: Mapping[str, np.ndarray],
    as_lidar: Mapping[str, np.ndarray],
    keyframes: Mapping[str, int],
    frame: Frame,
    complain: Callable[[str], None],
) -> None:
    """Compare with what was driven, where the car moved: a wrong frame shows."""
    other: Frame = "ego" if frame == "lidar" else "lidar"
    errors: dict[str, list[float]] = {"declared": [], other: [], "offsets": [], "mirrored": []}
    for token, plan in plans.items():
        driven, known = lidar_future(dataset, keyframes[token])
        if not known.all() or np.linalg.norm(driven[-1]) < MOVING_M:
            continue
        declared = as_lidar[token]
        readings = {
            "declared": declared, other: _to_lidar(dataset, keyframes[token], plan, other),
            "offsets": declared.cumsum(axis=0), "mirrored": declared * [-1.0, 1.0],
        }  # fmt: skip
        for name, path in readings.items():
            errors[name].append(float(np.linalg.norm(path - driven, axis=1).mean()))
    if len(errors["declared"]) < MIN_MOVING:
        return
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    best = min(means, key=means.__getitem__)
    if best == "declared" or means[best] >= CLEARLY * means["declared"]:
        return
    words = {
        "ego": "the ego frame (x forward, y left); give --frame ego",
        "lidar": "the lidar frame (x right, y forward); give --frame lidar",
        "offsets": "step-by-step offsets; add them up before storing",
        "mirrored": "a frame with left and right swapped; negate the lateral axis",
    }
    complain(
        f"the plans do not fit the {frame} frame: mean distance to the driven path {means['declared']:.1f} m over "
        f"{len(errors['declared'])} moving samples, but {means[best]:.1f} m as {words[best]}"
    )
