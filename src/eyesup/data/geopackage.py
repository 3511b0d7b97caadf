"""GeoPackage files (SQLite with one table per layer) without GDAL: enough to read and write nuPlan's maps.

A geometry is a small header (magic ``GP``, flags, reference system, optional envelope) before well-known binary.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from eyesup.types.errors import DataError

APPLICATION_ID, USER_VERSION = 0x47504B47, 10200
LON_LAT = 4326  # EPSG code of WGS 84 degrees
_ENVELOPE_BYTES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_LITTLE_ENDIAN, _EMPTY, _XY_ENVELOPE = 1, 16, 1 << 1
_CHANGED = "2000-01-01T00:00:00.000Z"  # the same file every time it is written
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)
_SYSTEM_TABLES = (
    "CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, "
    "organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT)",
    "CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, "
    "description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), "
    "min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER)",
    "CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, "
    "geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL, "
    "PRIMARY KEY (table_name, column_name))",
)


@dataclass(frozen=True)
class Layer:
    """One table: its columns (``fid`` among them) and, for a feature table, one geometry per row.

    Attributes:
        columns: Name -> values, in the order of the table.
        geometries: shapely geometries (None where empty); no entry in a table without geometry.
        srs_id: EPSG code of the coordinates.
    """

    columns: Mapping[str, list[Any]]
    geometries: np.ndarray
    srs_id: int = LON_LAT

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


@dataclass(frozen=True)
class Schema:
    """A table to write: kind of geometry (None: plain table), and column name -> SQL type (without fid and geom)."""

    geometry: str | None
    columns: Mapping[str, str]


def read_layers(path: str | Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Layer]:
    """The named tables of a GeoPackage; those in `optional` may be missing.

    Raises:
        DataError: No such file, no SQLite file, a table is missing, or a geometry is damaged; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such map file")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            database.text_factory = lambda raw: raw.decode("utf-8", "replace")
            present = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            missing = sorted(set(names) - present - set(optional))
            if missing:
                raise DataError(f"{path}: no table {missing[0]!r} in this GeoPackage ({len(present)} tables)")
            return {name: _read_table(database, path, name) for name in names if name in present}
    except sqlite3.Error as error:
        raise DataError(f"{path}: no readable GeoPackage ({error})") from error


def _read_table(database: sqlite3.Connection, path: Path, name: str) -> Layer:
    cursor = database.execute(f'SELECT * FROM "{name}" ORDER BY rowid')
    titles = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    columns: dict[str, list[Any]] = {title: [row[i] for row in rows] for i, title in enumerate(titles)}
    kinds = "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
    found = database.execute(kinds, (name,)).fetchone()
    if found is None:
        return Layer(columns, np.array([], object))
    blobs = columns.pop(found[0])
    fids = columns.get("fid", range(len(rows)))
    binary = [_well_known_binary(blob, f"{path}: {name} {fid}") for blob, fid in zip(blobs, fids)]
    try:
        geometries = shapely.from_wkb(np.array(binary, object))
    except shapely.errors.ShapelyError as error:
        raise DataError(f"{path}: {name} holds a damaged geometry ({error})") from error
    return Layer(columns, np.atleast_1d(shapely.force_2d(geometries)), int(found[1]))


def _well_known_binary(blob: Any, what: str) -> bytes | None:
    """The geometry behind the header; None where the header says that it is empty, or nothing is stored."""
    if blob is None:
        return None
    if not isinstance(blob, bytes) or len(blob) < 8 or blob[:2] != b"GP":
        raise DataError(
            f"{what}: geometry begins with {bytes(blob[:2]) if isinstance(blob, bytes) else blob!r}, not GP"
        )
    flags = blob[3]
    kind = flags >> 1 & 7
    if kind not in _ENVELOPE_BYTES:
        raise DataError(f"{what}: geometry has envelope kind {kind}; kinds 0 to 4 exist")
    return None if flags & _EMPTY else blob[8 + _ENVELOPE_BYTES[kind] :]


def write_layers(path: Path, tables: Mapping[str, tuple[Schema, Layer]]) -> None:
    """Write a GeoPackage, whole or not at all; equal content gives equal rows. A column that is not given is NULL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(temporary)) as database:
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {USER_VERSION}")
            for statement in _SYSTEM_TABLES:
                database.execute(statement)
            database.executemany(
                "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)",
                [
                    ("Undefined cartesian SRS", -1, "NONE", -1, "undefined", None),
                    ("Undefined geographic SRS", 0, "NONE", 0, "undefined", None),
                    ("WGS 84 geodetic", LON_LAT, "EPSG", LON_LAT, _WGS84, None),
                ],
            )
            for name, (schema, layer) in tables.items():
                _write_table(database, name, schema, layer)
            database.commit()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_table(database: sqlite3.Connection, name: str, schema: Schema, layer: Layer) -> None:
    columns = {"fid": "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"}
    bounds: tuple[float | None, ...] = (None,) * 4
    if schema.geometry is not None:
        columns["geom"] = schema.geometry
        if len(layer.geometries):
            bounds = tuple(float(value) for value in shapely.total_bounds(layer.geometries))
        database.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (name, schema.geometry, layer.srs_id)
        )
    columns |= schema.columns
    spelled = ", ".join(f'"{title}" {kind}' for title, kind in columns.items())
    database.execute(f'CREATE TABLE "{name}" ({spelled})')
    values = dict(layer.columns)
    if schema.geometry is not None:
        values["geom"] = [_blob(geometry, layer.srs_id) for geometry in layer.geometries]
    unknown = sorted(set(values) - set(columns))
    if unknown:
        raise DataError(f"{name}: column {unknown[0]!r} is not of the table; it has {', '.join(columns)}")
    rows = zip(*(values.get(title, [None] * len(layer)) for title in columns))
    database.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(columns))})', rows)
    kind = "attributes" if schema.geometry is None else "features"
    database.execute(
        "INSERT INTO gpkg_contents VALUES (?, ?, ?, '', ?, ?, ?, ?, ?, ?)",
        (name, kind, name, _CHANGED, *bounds, 0 if schema.geometry is None else layer.srs_id),
    )


def _blob(geometry: Any, srs_id: int) -> bytes:
    flags, envelope = _LITTLE_ENDIAN, b""
    if geometry.geom_type != "Point":
        west, south, east, north = geometry.bounds
        flags, envelope = flags | _XY_ENVELOPE, struct.pack("<4d", west, east, south, north)
    return b"GP\x00" + struct.pack("<Bi", flags, srs_id) + envelope + shapely.to_wkb(geometry, byte_order=1)
