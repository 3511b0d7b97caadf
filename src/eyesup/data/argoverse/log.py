"""A log folder as plain arrays: every ego pose, and the boxes of every lidar sweep, in the city's frame.

::

    <log>/annotations.feather            10 Hz: boxes in the ego frame of their sweep
    <log>/city_SE3_egovehicle.feather    about 170 Hz: city from ego (rear axle)
    <log>/map/log_map_archive_*.json     vector map, see `maps`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float64
from pyarrow import feather

from eyesup.data.argoverse.schema import (
    ANNOTATION_COLUMNS,
    ANNOTATIONS,
    CATEGORIES,
    MAP_PATTERN,
    POSE_COLUMNS,
    POSES,
    SIZE,
    SWEEP_DT_S,
)
from eyesup.data.recorded import rotations
from eyesup.types import DataError

LAYOUT = "a log of the sensor dataset holds annotations.feather, city_SE3_egovehicle.feather and map/"
MAX_JITTER_S = 0.02  # of a sweep against the 10 Hz grid


@dataclass(frozen=True)
class Boxes:
    """Annotated boxes, city frame, one row each, in the file's order.

    Attributes:
        steps: (N,) int64, the sweep.
        tracks: (N,) the track's uuid.
        categories: (N,) Argoverse's class.
        sizes: (N, 3) length, width, height [m].
        poses: (N, 3) x, y of the centre [m], heading [rad].
    """

    steps: np.ndarray
    tracks: np.ndarray
    categories: np.ndarray
    sizes: np.ndarray
    poses: np.ndarray


@dataclass(frozen=True)
class Log:
    """One drive.

    Attributes:
        name: The folder's name, the log's uuid.
        map_file: Its vector map.
        times_s: (P,) of every pose, the first sweep at 0.
        poses: (P, 3) x, y of the rear axle [m], heading [rad, unwrapped]; height, pitch and roll are left out.
        sweeps: (T,) int64 rows of the poses at the lidar sweeps.
        boxes: Everything annotated.
    """

    name: str
    map_file: Path
    times_s: np.ndarray
    poses: np.ndarray
    sweeps: np.ndarray
    boxes: Boxes

    def __len__(self) -> int:
        return len(self.sweeps)


def read_log(folder: str | Path) -> Log:
    """Read a log; DataError names what is missing, cut short or laid out otherwise, and what to do."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {LAYOUT}")
    maps = sorted(folder.glob(MAP_PATTERN))
    if len(maps) != 1:
        raise DataError(f"{folder}: {len(maps)} files {MAP_PATTERN}, expected exactly one; {LAYOUT}")
    pose_file = folder / POSES
    table = _read(pose_file, POSE_COLUMNS)
    notes_file = next((folder / name for name in ANNOTATIONS if (folder / name).exists()), folder / ANNOTATIONS[0])
    notes = _read(notes_file, ANNOTATION_COLUMNS)
    order = np.argsort(table["timestamp_ns"], kind="stable")
    times_ns = table["timestamp_ns"][order]
    turned = _rotations(pose_file, table)[order]
    places = _columns(table, ("tx_m", "ty_m", "tz_m"))[order]
    sweep_ns, steps = np.unique(notes["timestamp_ns"], return_inverse=True)
    sweeps = _rows_at(pose_file, times_ns, sweep_ns)
    headings = np.unwrap(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    return Log(
        name=folder.resolve().name,
        map_file=maps[0],
        times_s=1e-9 * (times_ns - sweep_ns[0]),
        poses=np.column_stack([places[:, :2], headings]),
        sweeps=sweeps,
        boxes=_boxes(notes_file, notes, steps, turned[sweeps], places[sweeps]),
    )


def _boxes(
    path: Path, notes: dict[str, np.ndarray], steps: np.ndarray, turned: np.ndarray, places: np.ndarray
) -> Boxes:
    """Boxes moved from the ego frame of their sweep to the city's, in three dimensions, then seen from above."""
    unknown = sorted(set(notes["category"]) - CATEGORIES.keys())
    if unknown:
        raise DataError(
            f"{path}: category {unknown[0]!r} is not one of the {len(CATEGORIES)} of the sensor dataset; "
            "is it a log of another dataset?"
        )
    centres = np.einsum("nij,nj->ni", turned[steps], _columns(notes, ("tx_m", "ty_m", "tz_m"))) + places[steps]
    ahead = np.einsum("nij,nj->ni", turned[steps], _rotations(path, notes)[:, :, 0])
    return Boxes(
        steps=steps.reshape(-1).astype(np.int64),
        tracks=notes["track_uuid"],
        categories=notes["category"],
        sizes=_columns(notes, SIZE),
        poses=np.column_stack([centres[:, :2], np.arctan2(ahead[:, 1], ahead[:, 0])]),
    )


def _rows_at(path: Path, times_ns: np.ndarray, sweep_ns: np.ndarray) -> np.ndarray:
    """Row of the pose at each sweep; the sweeps must be 0.1 s apart, each with a pose of its own time."""
    late = 1e-9 * (sweep_ns - sweep_ns[0]) - SWEEP_DT_S * np.arange(len(sweep_ns))
    if np.abs(late).max() > MAX_JITTER_S:
        step = int(np.argmax(np.abs(late) > MAX_JITTER_S))
        raise DataError(
            f"{path.parent}: sweep {step} comes {1e3 * late[step]:+.0f} ms off the 10 Hz grid, more than "
            f"{1e3 * MAX_JITTER_S:.0f} ms: a sweep is missing; cut the log there"
        )
    rows = np.minimum(np.searchsorted(times_ns, sweep_ns), len(times_ns) - 1)
    lost = times_ns[rows] != sweep_ns
    if lost.any():
        raise DataError(
            f"{path}: no ego pose at {int(lost.sum())} of {len(lost)} sweeps, first at {int(sweep_ns[lost][0])} ns; "
            "poses and annotations are of different logs, or the file is cut short"
        )
    return rows


def _rotations(path: Path, table: dict[str, np.ndarray]) -> Float64[np.ndarray, "N 3 3"]:
    try:
        return rotations(_columns(table, ("qw", "qx", "qy", "qz")))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _columns(table: dict[str, np.ndarray], names: tuple[str, ...]) -> Float64[np.ndarray, "N _"]:
    return np.column_stack([table[name].astype(np.float64) for name in names])


def _read(path: Path, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named columns of a feather file, none of them empty or with missing values."""
    try:
        table = feather.read_table(path, memory_map=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {LAYOUT} (those of the test split have no annotations)") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: damaged or cut short ({error}); copy it again") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
    read = {name: table.column(name).to_numpy() for name in columns}
    if not len(table):
        raise DataError(f"{path}: no rows; copy it again")
    for name, values in read.items():
        if table.column(name).null_count or (values.dtype.kind == "f" and not np.isfinite(values).all()):
            raise DataError(f"{path}: column {name} has values that are missing or not finite; copy it again")
    return read
