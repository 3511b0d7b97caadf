"""A Scene as one Arrow IPC file and back, bit for bit.

The file holds one row: every array of the Scene is one list column (``ego_poses``, ``agents.poses``, ...) whose shape and
NumPy type stand in the field's metadata; scalars, tags and the like are JSON in the schema's metadata under ``eyesup``; the
vector map is the binary column ``road_map`` (`eyesup.world.map_io`), the questions are JSON in the binary column ``qa``. Any
Arrow reader can open it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from eyesup.types import (
    QA,
    Agents,
    Appearance,
    Cue,
    CueKind,
    Ground,
    Maneuver,
    Props,
    Scene,
    Signals,
    VehicleGeometry,
    Weather,
)  # fmt: skip
from eyesup.types._check import as_array, check_finite
from eyesup.types.errors import DataError
from eyesup.types.language import AnswerForm
from eyesup.world.map_io import map_from_bytes, map_to_bytes

SCENE_FORMAT = 2  # raise when a stored field changes its meaning

_EGO_ARRAYS = (
    "ego_poses",
    "ego_velocities",
    "ego_accelerations",
    "ego_yaw_rates",
    "ego_steerings",
    "route",
    "keyframes",
)
_PART_ARRAYS = {
    "agents": tuple(f.name for f in fields(Agents)),
    "signals": ("ids", "poses", "states", "stop_points"),
    "props": tuple(f.name for f in fields(Props)),
}
_QA_FIELDS = tuple(f.name for f in fields(QA))


@dataclass(frozen=True)
class Annotations:
    """What was measured at each of a scene's K keyframes, in the order of `Scene.keyframes`.

    Attributes:
        cue_effect_m: (K,) float64: how far the expert's 3 s end point moves when the cue is removed [m].
        cue_effect_valid: (K,) bool: False where no twin was driven; the effect is then 0 and means nothing.
        ego_gap_m: (K,) float64: mean distance over 3 s between the expert and constant velocity + constant yaw rate [m].
        visible_px: (K, A, C) int32: pixels of each agent in each camera; zeros where no labels were drawn.
        whole_px: (K, A, C) int32: pixels it would cover if nothing stood before it; zeros for agents that no camera sees.
        qa: K tuples of questions with answers.
    """

    cue_effect_m: np.ndarray
    cue_effect_valid: np.ndarray
    ego_gap_m: np.ndarray
    visible_px: np.ndarray
    whole_px: np.ndarray
    qa: tuple[tuple[QA, ...], ...]

    def __post_init__(self) -> None:
        k = len(np.asarray(self.cue_effect_m))
        shapes: dict[str, tuple[tuple[int | None, ...], type]] = {
            "cue_effect_m": ((k,), np.float64), "cue_effect_valid": ((k,), np.bool_), "ego_gap_m": ((k,), np.float64),
            "visible_px": ((k, None, None), np.int32), "whole_px": (np.shape(self.visible_px), np.int32),
        }  # fmt: skip
        for name, (shape, dtype) in shapes.items():
            object.__setattr__(self, name, as_array(f"annotations: {name}", getattr(self, name), shape, dtype))
        check_finite("annotations: cue_effect_m", self.cue_effect_m)
        check_finite("annotations: ego_gap_m", self.ego_gap_m)
        if len(self.qa) != k:
            raise DataError(f"annotations: {len(self.qa)} lists of questions for {k} keyframes")

    @property
    def visible_share(self) -> Float64[np.ndarray, "K A"]:
        """Of the pixels that an agent would cover in all cameras, the share that nothing hides; 0 where it is not seen."""
        seen, whole = self.visible_px.sum(-1), self.whole_px.sum(-1)
        return np.minimum(seen / np.maximum(whole, 1), 1.0)

    @staticmethod
    def empty(keyframes: int, agents: int) -> Annotations:
        """Nothing measured."""
        zeros, none = np.zeros(keyframes), np.zeros((keyframes, agents, 0), np.int32)
        return Annotations(zeros, np.zeros(keyframes, bool), zeros, none, none, ((),) * keyframes)


def scene_to_table(scene: Scene, annotations: Annotations, receipt: Mapping[str, Any]) -> pa.Table:
    """One row with everything of the scene; `receipt` (plain JSON values) travels in the metadata."""
    columns = {name: getattr(scene, name) for name in _EGO_ARRAYS}
    for part, names in _PART_ARRAYS.items():
        columns |= {f"{part}.{name}": getattr(getattr(scene, part), name) for name in names}
    columns |= {f"annotations.{f.name}": getattr(annotations, f.name) for f in fields(Annotations) if f.name != "qa"}
    facts = {
        "format": SCENE_FORMAT,
        "key": scene.key,
        "dt_s": scene.dt_s,
        "maneuvers": [maneuver.value for maneuver in scene.maneuvers],
        "stop_lane_ids": scene.signals.stop_lane_ids,
        "route_lane_ids": scene.route_lane_ids,
        "appearance": asdict(scene.appearance),
        "cue": {"kind": int(scene.cue.kind), "id": int(scene.cue.id), "others": [int(i) for i in scene.cue.others]},
        "vehicle": asdict(scene.vehicle),
        "tags": {name: _plain(value) for name, value in scene.tags.items()},
        "receipt": dict(receipt),
    }
    arrays, schema_fields = [], []
    for name, array in columns.items():
        column, field = _column(name, array)
        arrays.append(column)
        schema_fields.append(field)
    for name, data in (("road_map", map_to_bytes(scene.road_map)), ("qa", _qa_to_bytes(annotations.qa))):
        arrays.append(pa.array([data], pa.large_binary()))
        schema_fields.append(pa.field(name, pa.large_binary()))
    return pa.Table.from_arrays(arrays, schema=pa.schema(schema_fields, {"eyesup": json.dumps(facts)}))


def scene_facts(schema: pa.Schema) -> dict[str, Any]:
    """The JSON facts of a scene file (key, tags, receipt, ...); DataError when it is no scene or of another format."""
    raw = (schema.metadata or {}).get(b"eyesup")
    if raw is None:
        raise DataError("no EyesUp scene: the schema has no 'eyesup' metadata")
    facts = json.loads(raw)
    if facts["format"] != SCENE_FORMAT:
        raise DataError(f"scene format {facts['format']}, this version reads format {SCENE_FORMAT}; generate it again")
    return facts


def scene_from_table(table: pa.Table) -> Scene:
    """Inverse of `scene_to_table`."""
    facts = scene_facts(table.schema)
    part = {
        name: {array: _array(table, f"{name}.{array}") for array in arrays} for name, arrays in _PART_ARRAYS.items()
    }
    stop_lane_ids = tuple(tuple(ids) for ids in facts["stop_lane_ids"])
    appearance: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts["appearance"].items()}
    appearance |= {"weather": Weather(appearance["weather"]), "ground": Ground(appearance["ground"])}
    return Scene(
        key=facts["key"],
        dt_s=facts["dt_s"],
        **{name: _array(table, name) for name in _EGO_ARRAYS},
        maneuvers=tuple(Maneuver(value) for value in facts["maneuvers"]),
        agents=Agents(**part["agents"]),
        signals=Signals(**part["signals"], stop_lane_ids=stop_lane_ids),
        road_map=map_from_bytes(table.column("road_map")[0].as_py()),
        props=Props(**part["props"]),
        appearance=Appearance(**appearance),
        route_lane_ids=tuple(facts["route_lane_ids"]),
        cue=Cue(CueKind(facts["cue"]["kind"]), facts["cue"]["id"], tuple(facts["cue"].get("others", ()))),
        vehicle=VehicleGeometry(**facts["vehicle"]),
        tags=facts["tags"],
    )


def annotations_from_table(table: pa.Table) -> Annotations:
    """The measurements stored beside the scene."""
    arrays = {f.name: _array(table, f"annotations.{f.name}") for f in fields(Annotations) if f.name != "qa"}
    rows = json.loads(table.column("qa")[0].as_py())
    return Annotations(**arrays, qa=tuple(tuple(_qa_from_row(*row) for row in at_keyframe) for at_keyframe in rows))


def _qa_to_bytes(qa: tuple[tuple[QA, ...], ...]) -> bytes:
    """Compact JSON: per keyframe a list of rows with the fields of `QA` in order; the file's compression shrinks it."""
    rows = [[[getattr(one, name) for name in _QA_FIELDS] for one in at_keyframe] for at_keyframe in qa]
    return json.dumps(rows, separators=(",", ":")).encode()


def _qa_from_row(
    question: str, answer: str, kind: str, hop: int = 0, form: AnswerForm = "free", about: Sequence[str] = (), needs_history: bool = False
) -> QA:  # fmt: skip
    return QA(question, answer, kind, hop, form, tuple(about), needs_history)


def _column(name: str, array: np.ndarray) -> tuple[pa.Array, pa.Field]:
    stored = array.view(np.uint8) if array.dtype == np.bool_ else array  # Arrow would pack booleans into bits
    values = pa.array(np.ascontiguousarray(stored).reshape(-1))
    column = pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
    metadata = {"shape": json.dumps(array.shape), "dtype": array.dtype.name}
    return column, pa.field(name, column.type, metadata=metadata)


def _array(table: pa.Table, name: str) -> np.ndarray:
    metadata = table.schema.field(name).metadata
    values = table.column(name).chunk(0).values.to_numpy(zero_copy_only=True)
    # A copy: the file may be unmapped or replaced while the scene lives on, and scenes are edited into twins.
    dtype = np.dtype(metadata[b"dtype"].decode())
    stored = values.view(np.bool_) if dtype == np.bool_ else values
    return stored.reshape(json.loads(metadata[b"shape"])).copy()


def _plain(value: Any) -> str | float | int | bool:
    """NumPy scalars as Python's, which JSON knows."""
    return value.item() if isinstance(value, np.generic) else value
