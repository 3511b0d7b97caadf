"""The thirteen tables of nuScenes as columns: read from JSON without a dictionary per row, or from our own cache.

A table is an Arrow table in the order of its file; a file laid out as published is cut up at its line breaks (`lines`), any
other is parsed. Tokens that point into another table are resolved once, to row numbers, so that a join is an array lookup; the
reader keeps no dictionary per row. The cache is one folder of Arrow files beside a fingerprint of the JSON files (sizes and
times); it is made anew when they change.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32

from eyesup.data.nuscenes.schema import LINKS, TABLES
from eyesup.types.errors import DataError, MissingExtraError

try:
    import pyarrow as pa
    import pyarrow.compute as pc

    from eyesup.data.nuscenes.lines import arrow_type, read_lines
except ModuleNotFoundError as error:
    raise MissingExtraError("reading nuScenes (pyarrow)", "nuscenes") from error

CACHE_FORMAT = 1
_LINK, _ORDER = "@", "#order"  # columns of row numbers; the order of the tokens


class Table:
    """One table. Rows are addressed by number; `find` gives the number of a token.

    Attributes:
        name: Of the table, e.g. ``sample_data``.
        arrow: Columns as in the file; from the cache also ``<column>@`` for each link and the order of the tokens.
    """

    def __init__(self, name: str, arrow: pa.Table, table: Callable[[str], Table]) -> None:
        """`table` gives the tables that this one points into."""
        self.name = name
        self.arrow = arrow
        self._table = table
        self._whole: dict[str, pa.Array] = {}
        self._read: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def column(self, name: str) -> pa.Array:
        """In one piece."""
        if name not in self._whole:
            column = self.arrow.column(name)
            self._whole[name] = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        return self._whole[name]

    def row(self, index: int) -> dict[str, Any]:
        """A row as its file has it."""
        return {name: self.column(name)[index].as_py() for name in self.arrow.column_names if name in TABLES[self.name]}

    def find(self, token: str) -> int:
        """Row of a token; DataError where the table has none."""
        key = token.encode()
        place = (
            int(np.searchsorted(self.tokens, key, sorter=self._order))
            if len(key) <= self.tokens.itemsize
            else len(self)
        )
        if place < len(self) and self.tokens[self._order[place]] == key:
            return int(self._order[place])
        raise DataError(f"nuScenes: table {self.name} has no token {token!r}; are the tables of one version?")

    def get(self, token: str) -> dict[str, Any]:
        """The row of a token."""
        return self.row(self.find(token))

    def links(self, column: str) -> Int32[np.ndarray, "N"]:
        """Row in the table that the column points into; -1 where its token is empty or unknown."""
        return self._keep(column + _LINK, lambda: self._links(column).to_numpy())

    def _links(self, column: str) -> pa.Array:
        """Resolved when first asked for: most readers never follow most links."""
        if column + _LINK in self.arrow.column_names:
            return self.column(column + _LINK)
        target = self._table(LINKS[self.name][column])
        return pc.fill_null(pc.index_in(self.column(column), value_set=target.column("token")), -1).cast(pa.int32())

    def ints(self, column: str) -> np.ndarray:
        """(N,) int64; 0 where the file has none."""
        return self._keep(column, lambda: pc.fill_null(self.column(column), 0).to_numpy())

    def flags(self, column: str) -> Bool[np.ndarray, "N"]:
        """(N,) bool."""
        return self._keep(column, lambda: self.column(column).to_numpy(zero_copy_only=False).astype(bool))

    def texts(self, column: str) -> np.ndarray:
        """(N,) of str."""
        return self._keep(column, lambda: np.array(self.column(column).to_pylist(), dtype=object))

    def vectors(self, column: str, width: int) -> Float64[np.ndarray, "N W"]:
        """(N, width) float64 of a column of equally long lists."""
        return self._keep(column, lambda: self._vectors(column, width))

    def _vectors(self, column: str, width: int) -> np.ndarray:
        values = self.column(column)
        lengths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        if len(values) and (values.null_count or (lengths != width).any()):
            bad = int(np.flatnonzero(~(lengths == width))[0])
            raise DataError(
                f"nuScenes: {self.name}.{column} of token {self.column('token')[bad]} has not {width} numbers"
            )
        flat = values.flatten().to_numpy(zero_copy_only=False)
        if not np.isfinite(flat).all():
            raise DataError(f"nuScenes: {self.name}.{column} holds a value that is not finite")
        return flat.reshape(-1, width)

    def _keep(self, name: str, make: Any) -> np.ndarray:
        if name not in self._read:
            self._read[name] = make()
        return self._read[name]

    @cached_property
    def tokens(self) -> np.ndarray:
        """(N,) of bytes, of fixed width."""
        column = self.column("token")
        lengths = pc.binary_length(column)
        if len(column) and not column.null_count and pc.min(lengths) == pc.max(lengths):
            offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset)
            width = int(lengths[0].as_py())
            return np.frombuffer(column.buffers()[2], f"S{max(width, 1)}", len(column), int(offsets[0]))
        return np.array([text.encode() for text in column.to_pylist()], dtype=bytes)

    @cached_property
    def _order(self) -> np.ndarray:
        if _ORDER in self.arrow.column_names:
            return np.asarray(self.column(_ORDER).to_numpy())
        return np.argsort(self.tokens, kind="stable").astype(np.int32)

    def complete(self) -> pa.Table:
        """All columns, those of row numbers too: what is cached."""
        extra = {name + _LINK: self._links(name) for name in LINKS.get(self.name, {})} | {_ORDER: pa.array(self._order)}
        arrow = self.arrow.combine_chunks()
        for name, column in extra.items():
            arrow = arrow if name in arrow.column_names else arrow.append_column(name, column)
        return arrow


class Tables:
    """All tables of one version of a data set, each read when it is first asked for.

    Args:
        folder: ``ROOT/v1.0-mini``, ``ROOT/v1.0-trainval``, ... with the JSON files.
        cache: Folder of caches; None reads the JSON files every time.

    Raises:
        DataError: A table is missing, truncated or not what it claims to be.
    """

    def __init__(self, folder: str | Path, cache: Path | None = None) -> None:
        self.folder = Path(folder)
        missing = [name for name in TABLES if not (self.folder / f"{name}.json").exists()]
        if missing:
            raise DataError(
                f"{self.folder}: table(s) {', '.join(missing)} missing of {len(TABLES)}; "
                "unpack the archive of this version's metadata again"
            )
        self._tables: dict[str, Table] = {}
        self._cache = None if cache is None else cache / self.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """Of the JSON files: where, how large, how old."""
        facts: list[Any] = [CACHE_FORMAT, str(self.folder.resolve())]
        for name in TABLES:
            status = (self.folder / f"{name}.json").stat()
            facts.append([name, status.st_size, status.st_mtime_ns])
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=12).hexdigest()

    @property
    def bytes(self) -> int:
        """Size of the JSON files."""
        return sum((self.folder / f"{name}.json").stat().st_size for name in TABLES)

    def __getitem__(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = self._cached(name) or Table(name, self._raw(name), self.__getitem__)
        return self._tables[name]

    def get(self, table: str, token: str) -> dict[str, Any]:
        """A row by its token."""
        return self[table].get(token)

    def write_cache(self) -> Path | None:
        """Store all tables for the next time; a cache folder that cannot be written is left alone."""
        if self._cache is None or (self._cache / "done").exists():
            return self._cache
        temporary = self._cache.with_name(f".{self._cache.name}.{os.getpid()}")
        try:
            temporary.mkdir(parents=True, exist_ok=True)
            for name in TABLES:
                arrow = self[name].complete()
                with (
                    pa.OSFile(str(temporary / f"{name}.arrow"), "wb") as file,
                    pa.ipc.new_file(file, arrow.schema) as writer,
                ):
                    writer.write_table(arrow)
            (temporary / "done").touch()
            temporary.rename(self._cache)
        except OSError:  # read-only or full, or another process was first: the next run reads the JSON files again
            shutil.rmtree(temporary, ignore_errors=True)
        return self._cache

    def _cached(self, name: str) -> Table | None:
        if self._cache is None or not (self._cache / "done").exists():
            return None
        try:
            with pa.memory_map(str(self._cache / f"{name}.arrow")) as file:
                return Table(name, pa.ipc.open_file(file).read_all(), self.__getitem__)
        except (OSError, pa.ArrowInvalid):
            return None

    def _raw(self, name: str) -> pa.Table:
        return read_table(self.folder / f"{name}.json", TABLES[name])


def read_table(path: Path, columns: dict[str, str]) -> pa.Table:
    """One JSON file (a list of flat objects) as columns; a missing optional column becomes nulls."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    table = read_lines(data, columns)
    if table is None:
        table = _parsed(path, data[:].strip(), columns)
    _check(path, table, columns)
    return table


def _parsed(path: Path, body: bytes, columns: dict[str, str]) -> pa.Table:
    """Any layout, and the place of the damage where there is one."""
    if not body.startswith(b"[") or not body.endswith(b"]"):
        raise DataError(f"{path}: truncated or no JSON list ({len(body)} bytes); unpack or download it again")
    schema = pa.schema([(name, arrow_type(kind)) for name, kind in columns.items()])
    try:
        rows = json.loads(body)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{path}: a table must be a list of objects")
        return pa.Table.from_pylist(rows, schema=schema)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: damaged ({error}); unpack or download it again") from error
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{path}: a field is not of its type ({error})") from error


def _check(path: Path, table: pa.Table, columns: dict[str, str]) -> None:
    """Required columns are there in every row."""
    for name, kind in columns.items():
        if not kind.endswith("?") and table.column(name).null_count:
            raise DataError(
                f"{path}: column {name!r} is missing in {table.column(name).null_count} of {table.num_rows} rows; "
                "this is no nuScenes v1.0 table"
            )
