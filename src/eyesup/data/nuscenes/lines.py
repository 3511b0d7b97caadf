"""Tables laid out as nuScenes publishes them, one field a line, cut up at their line breaks instead of parsed.

A raw line break cannot stand inside a JSON text, so lines are structure: every line of the file is checked to be the one that
the first row's order of fields asks for, and what stands after its key is the value. This reads a table several times as fast
as a JSON parser does. Any departure (another layout, an escape, a field missing somewhere, damage) gives None, and the caller's
parser has the word.
"""

from __future__ import annotations

import json
import mmap

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_BLOCK_BYTES = 2_000_000  # cut up at a time: memory of that size stays warm, which a whole table's does not
_BETWEEN = b"\n},\n{\n"
_QUOTE, _COMMA, _OPEN, _CLOSE, _BRACE, _BRACE_END = b'",[]{}'
_TYPES = {"text": pa.string(), "int": pa.int64(), "number": pa.float64(), "bool": pa.bool_()}


def arrow_type(kind: str) -> pa.DataType:
    """Of a column's kind, as `schema.TABLES` names it."""
    kind = kind.removesuffix("?")
    return pa.list_(arrow_type(kind[1:-1])) if kind.startswith("[") else _TYPES[kind]


class _Other(Exception):
    """The file is not laid out line by line, or is damaged."""


def _must(as_expected: bool | np.bool_) -> None:
    if not as_expected:
        raise _Other


def read_lines(data: mmap.mmap | bytes, columns: dict[str, str]) -> pa.Table | None:
    """A table's file as columns; an optional column that the rows lack becomes nulls.

    Args:
        data: The file: ``[``, rows of ``{``, a line for each field and each element of a list, ``}``, and ``]``.
        columns: Name -> kind, as in `schema.TABLES`.

    Returns:
        None where the file departs from that layout.
    """
    stop = data.rfind(b"\n]")
    if data[:4] != b"[\n{\n" or data[stop:].strip() != b"]" or data.find(b"\\") >= 0:
        return None
    marks = np.empty(min(len(data), 2 * _BLOCK_BYTES), bool)
    blocks, start = [], 2
    try:
        while start < stop:
            cut = data.find(_BETWEEN, start + _BLOCK_BYTES, stop)
            end = stop if cut < 0 else cut + 2
            blocks.append(_Lines(np.frombuffer(data, np.uint8, end - start, start), marks).table(columns))
            start = end + 2
        return pa.concat_tables(blocks)
    except (_Other, pa.ArrowInvalid):
        return None


class _Lines:
    """Some rows, cut at their line breaks.

    Attributes:
        bytes: (B,) uint8 from the ``{`` of the first row to the ``}`` of the last.
        begin, end: (L,) int64 first byte of each line, and the byte after its last, without a comma.
        comma: (L,) bool, whether a comma ended the line.
        first: (L,) uint8 first byte of each line.
    """

    def __init__(self, data: np.ndarray, marks: np.ndarray) -> None:
        """`marks` is memory for a flag per byte, of all blocks: new memory costs as much as what is done in it."""
        _must(len(data) <= len(marks))
        self.bytes, self._marks = data, marks[: len(data)]
        breaks = np.flatnonzero(np.less(data, ord(" "), out=self._marks))
        _must((data[breaks] == ord("\n")).all() and data.max() < 128)
        ends = np.append(breaks, len(data))
        self.begin = np.append(0, breaks + 1)
        self.comma = data[ends - 1] == _COMMA
        self.end = ends - self.comma
        _must((self.end > self.begin).all())
        self.first = data[self.begin]

    def table(self, columns: dict[str, str]) -> pa.Table:
        rows, closing = np.flatnonzero(self.first == _BRACE), np.flatnonzero(self.first == _BRACE_END)
        _must(len(rows) > 0 and len(rows) == len(closing) and rows[0] == 0 and closing[-1] == len(self.begin) - 1)
        alone = np.append(rows, closing)
        _must((self.end[alone] - self.begin[alone] == 1).all() and (rows[1:] == closing[:-1] + 1).all())
        _must(not self.comma[rows].any() and self.comma[closing[:-1]].all() and not self.comma[-1])
        found, texts = self._columns(columns, rows + 1, closing)
        quotes = np.count_nonzero(np.equal(self.bytes, _QUOTE, out=self._marks))
        _must(quotes == 2 * texts)  # one more is damage inside a text
        for name, kind in columns.items():
            if name not in found:
                found[name] = pa.nulls(len(rows), arrow_type(kind))
        return pa.table({name: found[name] for name in columns})

    def _columns(self, columns: dict[str, str], at: np.ndarray, closing: np.ndarray) -> tuple[dict[str, pa.Array], int]:
        """Field after field of all rows at once, in the order of the first; and how many texts there are."""
        try:
            row = json.loads(self.bytes[: self.end[closing[0]]].tobytes())
        except ValueError as error:
            raise _Other from error
        found, texts = {}, 0
        for number, name in enumerate(row):
            kind = columns.get(name, "").removesuffix("?") or _scalar(row[name])
            begin = self._values(at, f'"{name}": '.encode())
            texts += len(at)
            if kind.startswith("["):
                array, inside, after = self._list(kind[1:-1], at, begin)
            else:
                array, inside, after = self._scalars(kind, begin, self.end[at]), len(at) * (kind == "text"), at + 1
            _must((self.comma[after - 1] == (number < len(row) - 1)).all())
            texts, at = texts + inside, after
            if name in columns:
                found[name] = array
        _must((at == closing).all())
        return found, texts

    def _values(self, at: np.ndarray, key: bytes) -> np.ndarray:
        """Where the values of some lines begin, all of which begin with that key."""
        _must(at.max() < len(self.begin))
        return self._after(self.begin[at], key)

    def _after(self, begin: np.ndarray, word: bytes) -> np.ndarray:
        """The places after a word, which must stand at each place."""
        if len(begin):
            _must(begin.max() + len(word) <= len(self.bytes))
            _must((self._cut(begin, len(word)) == word).all())
        return begin + len(word)

    def _cut(self, begin: np.ndarray, width: int) -> np.ndarray:
        """(N,) of bytes: that many from each place on."""
        windows = np.ndarray(len(self.bytes) - width + 1, f"S{width}", self.bytes, 0, 1)
        return windows[begin]

    def _list(self, kind: str, at: np.ndarray, begin: np.ndarray) -> tuple[pa.Array, int, np.ndarray]:
        """Lists: their array, how many texts they hold, and the lines after them."""
        empty = self.end[at] - begin == 2  # "[]" on the line of the key
        filled = at[~empty]
        _must((self.end[filled] - begin[~empty] == 1).all() and not self.comma[filled].any())
        _must((self.bytes[begin] == _OPEN).all() and (self.bytes[begin[empty] + 1] == _CLOSE).all())
        closers = np.append(np.flatnonzero(self.first == _CLOSE), len(self.begin) - 1)
        closing = at.copy()
        closing[~empty] = closers[np.searchsorted(closers, filled)]
        _must((self.end[closing[~empty]] - self.begin[closing[~empty]] == 1).all())
        counts = np.where(empty, 0, closing - at - 1)
        offsets = np.append(0, np.cumsum(counts))
        lines = np.arange(offsets[-1]) + np.repeat(at + 1 - offsets[:-1], counts)
        followed = np.ones(len(lines), bool)
        followed[offsets[1:][counts > 0] - 1] = False
        _must((self.comma[lines] == followed).all())
        elements = self._scalars(kind, self.begin[lines], self.end[lines])
        return pa.ListArray.from_arrays(offsets.astype(np.int32), elements), len(lines) * (kind == "text"), closing + 1

    def _scalars(self, kind: str, begin: np.ndarray, end: np.ndarray) -> pa.Array:
        _must((end > begin).all())
        if kind == "text":
            _must((end - begin >= 2).all())
            _must((self.bytes[begin] == _QUOTE).all() and (self.bytes[end - 1] == _QUOTE).all())
            return self._texts(begin + 1, end - 1)
        if kind == "bool":
            yes = self.bytes[begin] == ord("t")
            for flag, word in ((yes, b"true"), (~yes, b"false")):
                _must((self._after(begin[flag], word) == end[flag]).all())
            return pa.array(yes)
        _must(kind in ("int", "number") and self._written_as_json(begin, end))
        return pc.cast(self._texts(begin, end), _TYPES[kind])

    def _written_as_json(self, begin: np.ndarray, end: np.ndarray) -> bool:
        """Whether numbers begin and end as JSON wants it; the cast would take `.5`, `007`, `0x10` and `inf`, too."""
        first = begin + (self.bytes[begin] == ord("-"))
        lead, follows = self.bytes[first], self.bytes[np.minimum(first + 1, end - 1)]
        last = self.bytes[end - 1]
        zero = (lead == ord("0")) & (first + 1 < end) & (follows >= ord("0")) & (follows <= ord("9"))
        return not (zero | (lead < ord("0")) | (lead > ord("9")) | (last < ord("0")) | (last > ord("9"))).any()

    def _texts(self, begin: np.ndarray, end: np.ndarray) -> pa.Array:
        """(N,) of text, copied out of the file."""
        widths = end - begin
        if len(widths) and widths[0] and (widths == widths[0]).all():  # tokens
            width, count = int(widths[0]), len(widths)
            offsets = np.arange(0, width * (count + 1), width, dtype=np.int32)
            together = pa.py_buffer(self._cut(begin, width))
            return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), together)
        # As if the file were one run of texts, of which every second one is what stands between two values.
        borders = np.empty(2 * len(begin) + 1, np.int32)
        borders[:-1:2], borders[1::2], borders[-1] = begin, end, end[-1] if len(end) else 0
        run = pa.StringArray.from_buffers(2 * len(begin), pa.py_buffer(borders), pa.py_buffer(self.bytes))
        return run.take(pa.array(np.arange(0, 2 * len(begin), 2, dtype=np.int32)))


def _scalar(value: object) -> str:
    """Kind of a field that nobody asked for, of which only the quotes must be counted."""
    if isinstance(value, str):
        return "text"
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else ""
