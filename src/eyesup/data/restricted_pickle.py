"""Pickled annotation files of other projects, opened without running anything: plain containers and NumPy data only.

Where a file holds objects of a known project besides, they may be read as inert records of what was stored for them.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eyesup.types.errors import DataError


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 spells bytes (`_codecs.encode`); other encodings would import codecs by name."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not admitted")
    return text.encode("latin1")


def _joined(*parts: str) -> str:
    """A path becomes text."""
    return "/".join(parts)


def _admitted() -> dict[tuple[str, str], Any]:
    """(module, name) as it stands in the file -> what it becomes."""
    scalar: Callable[..., Any] = np.int64(0).__reduce__()[0]  # type: ignore[assignment]  # where NumPy keeps it today
    reconstruct = np.zeros(1).__reduce__()[0]
    from_buffer = np.zeros(1).__reduce_ex__(5)[0]
    found: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): np.dtype, ("numpy", "ndarray"): np.ndarray, ("_codecs", "encode"): _latin1,
        ("collections", "OrderedDict"): collections.OrderedDict,
    }  # fmt: skip
    for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
        found["pathlib", name] = _joined
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[module, "scalar"] = scalar
        found[module, "_reconstruct"] = reconstruct
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        found[module, "_frombuffer"] = from_buffer
    return found


class Inert:
    """What a file stored for an object of a class that is not loaded: nothing of the class runs.

    Attributes:
        name: The class.
        arguments: What its constructor would have been called with.
        fields: The attributes that it would have been given.
    """

    name = ""
    arguments: tuple[Any, ...]
    fields: dict[str, Any]

    def __new__(cls, *arguments: Any, **_named: Any) -> Inert:
        record = super().__new__(cls)
        record.__dict__ = {"arguments": arguments, "fields": {}}
        return record

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        """Constructor arguments are kept, not used."""

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)  # attributes, then slots
        for part in parts:
            if isinstance(part, Mapping):
                self.__dict__["fields"].update(part)


class _Unpickler(pickle.Unpickler):
    _table = _admitted()

    def __init__(self, file: Any, inert: Sequence[str] = ()) -> None:
        super().__init__(file)
        self._inert = tuple(inert)

    def find_class(self, module: str, name: str) -> Any:
        if self._inert and module.startswith(self._inert):
            return type(name, (Inert,), {"name": f"{module}.{name}"})
        try:
            return self._table[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"{module}.{name} is not admitted; only NumPy data and plain containers are"
            ) from None


def load_pickle(path: str | Path, inert: Sequence[str] = ()) -> Any:
    """Content of a pickle file; DataError when it is damaged or asks for anything beyond NumPy and plain containers.

    Args:
        path: The file.
        inert: Beginnings of module names, e.g. ``nuplan.``, whose objects become `Inert` records.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            return _Unpickler(file, inert).load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{path}: refused ({error})") from error
