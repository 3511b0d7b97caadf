"""Is a download whole? Tables, links between them, files, CAN bus, maps, and how many keyframes each protocol counts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.definitions import usable
from eyesup.data.nuscenes.maps import EXPANSION
from eyesup.data.nuscenes.schema import (
    CAMERAS,
    LIDAR,
    LINKS,
    OFFICIAL_COUNTS,
    OWN_VEHICLE,
    SPLITS,
    TABLES,
    split_scenes,
)
from eyesup.types.errors import DataError

SHOWN = 3  # examples per fault
_MAY_BE_EMPTY = {"prev", "next"}


@dataclass(frozen=True)
class SplitCount:
    """One split: scenes and keyframes here, and how many keyframes each protocol counts.

    Attributes:
        expected: Scenes and keyframes of the official release, None for versions that are none.
    """

    split: str
    scenes: int
    keyframes: int
    uniad: int
    vad: int
    stp3: int
    expected: tuple[int, int] | None


@dataclass
class CheckReport:
    """What was found.

    Attributes:
        rows: Table -> number of rows.
        splits: Counts per split that has scenes here.
        files: Keyframe files that are there, and how many are named.
        faults: What an evaluation needs and lacks; each with its remedy.
        notes: What only some uses need.
    """

    root: Path
    version: str
    rows: dict[str, int] = field(default_factory=dict)
    splits: list[SplitCount] = field(default_factory=list)
    files: tuple[int, int] = (0, 0)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(root: str | Path, version: str | None = None, sweeps: bool = False, files: bool = True) -> CheckReport:
    """Verify one version of a download.

    Args:
        root: The data set.
        version: Needed where the root holds several.
        sweeps: Look for the files of all records, not of keyframes only.
        files: Look for files at all.

    Raises:
        DataError: There is nothing to check: no such folder, no version, no tables.
    """
    data = NuScenes(root, version, cache=False)
    report = CheckReport(data.root, data.version)
    for name in TABLES:
        try:
            report.rows[name] = len(data.tables[name])
        except DataError as error:
            report.faults.append(str(error))
    if report.faults:
        return report
    report.faults += list(_broken_links(data))
    try:
        report.splits = _counts(data)
        report.faults += list(_incomplete(data, report.splits))
        if files:
            _look_for_files(data, report, sweeps)
        report.notes += list(_optional_parts(data))
    except DataError as error:
        report.faults.append(str(error))
    return report


def _broken_links(data: NuScenes) -> Iterator[str]:
    """Tokens that name nothing."""
    for table, columns in LINKS.items():
        for column, target in columns.items():
            bad = data.tables[table].links(column) < 0
            if column in _MAY_BE_EMPTY and bad.any():
                texts = data.tables[table].column(column)
                bad[bad] = [texts[int(row)].as_py() != "" for row in np.flatnonzero(bad)]
            if bad.any():
                token = data.tables[table].column(column)[int(np.flatnonzero(bad)[0])].as_py()
                yield (
                    f"{table}.json: {int(bad.sum())} of {len(bad)} {column} name no row of {target}.json, e.g. {token!r}; "
                    "the tables are of different versions, unpack the metadata again"
                )


def _counts(data: NuScenes) -> list[SplitCount]:
    counted = {name: usable(data, name) for name in ("uniad", "vad", "stp3")}
    official = OFFICIAL_COUNTS.get(data.version, {}) if _is_release(data) else {}
    counts = []
    for split in official or SPLITS:
        wanted = set(split_scenes(split)) & set(data.scene_names)
        if wanted:
            rows = data.keyframes(split)
            expected = official.get(split)
            uniad, vad, stp3 = (int(mask[rows].sum()) for mask in counted.values())
            counts.append(SplitCount(split, len(wanted), len(rows), uniad, vad, stp3, expected))
    if not counts:
        rows = np.arange(len(data))
        uniad, vad, stp3 = (int(mask[rows].sum()) for mask in counted.values())
        counts.append(SplitCount("all", len(data.scene_names), len(data), uniad, vad, stp3, None))
    return counts


def _is_release(data: NuScenes) -> bool:
    """Whether these are (a part of) the official recordings, not what we wrote under the name of their splits."""
    return OWN_VEHICLE not in set(data.tables["log"].texts("vehicle"))


def _incomplete(data: NuScenes, counts: list[SplitCount]) -> Iterator[str]:
    """Splits of an official version that lack scenes or keyframes."""
    for count in counts:
        if count.expected is not None and (count.scenes, count.keyframes) != count.expected:
            scenes, keyframes = count.expected
            yield (
                f"{data.version} {count.split}: {count.scenes} scenes with {count.keyframes} keyframes, the release has {scenes} "
                f"with {keyframes}; means over a part are not comparable with published ones"
            )


def _look_for_files(data: NuScenes, report: CheckReport, sweeps: bool) -> None:
    records = data.tables["sample_data"]
    rows = np.arange(len(records)) if sweeps else np.flatnonzero(records.flags("is_key_frame"))
    channels = np.array(data.channels, dtype=object)
    sensors = data.tables["calibrated_sensor"].links("sensor_token")[records.links("calibrated_sensor_token")[rows]]
    names = records.column("filename").take(rows).to_pylist()
    folders: dict[str, dict[str, int]] = {}
    gone: dict[str, list[str]] = {}
    for name, channel in zip(names, channels[sensors]):
        if channel not in CAMERAS and channel != LIDAR and not sweeps:
            continue  # radar is used by nobody here
        folder, _, file = name.rpartition("/")
        if folder not in folders:
            folders[folder] = _sizes(data.root / folder)
        good = folders[folder].get(file, 0) > 0
        report.files = (report.files[0] + good, report.files[1] + 1)
        if not good:
            gone.setdefault(channel, []).append(name + ("" if file not in folders[folder] else " (empty)"))
    for channel, files in gone.items():
        what = f"{channel}: {len(files)} file(s) missing or empty, e.g. {', '.join(files[:SHOWN])}"
        if channel in CAMERAS:
            report.faults.append(f"{what}; unpack the archive that holds them (v1.0-*_blobs.tgz) again")
        else:
            report.notes.append(f"{what}; only models that look at points need them")


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of a folder; nothing where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries}
    except OSError:
        return {}


def _optional_parts(data: NuScenes) -> Iterator[str]:
    wanted = [name for name in data.scene_names if data.can_bus.expected(name)]
    without = [name for name in wanted if not data.can_bus.has(name, "pose")]
    if without:
        yield (
            f"CAN bus: {len(without)} of {len(wanted)} scenes have no messages; ego status then comes from past poses, without "
            "acceleration and steering; unpack can_bus.zip into the root"
        )
    missing = [name for name in sorted(set(data.locations)) if not (data.root / EXPANSION / f"{name}.json").exists()]
    if missing:
        yield f"map expansion: no {', '.join(missing)}; unpack nuScenes-map-expansion-v1.3.zip into maps/"
    if LIDAR not in data.channels:
        yield f"no sensor {LIDAR}: the protocols of the literature are written in its frame"
