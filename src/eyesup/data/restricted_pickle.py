"""Pickled annotation files of other projects, opened without running anything: plain containers and NumPy data only."""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eyesup.types.errors import DataError


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 spells bytes (`_codecs.encode`); other encodings would import codecs by name."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not admitted")
    return text.encode("latin1")


def _admitted() -> dict[tuple[str, str], Any]:
    """(module, name) as it stands in the file -> what it becomes."""
    scalar: Callable[..., Any] = np.int64(0).__reduce__()[0]  # type: ignore[assignment]  # where NumPy keeps it today
    reconstruct = np.zeros(1).__reduce__()[0]
    from_buffer = np.zeros(1).__reduce_ex__(5)[0]
    found: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): np.dtype, ("numpy", "ndarray"): np.ndarray, ("_codecs", "encode"): _latin1,
        ("collections", "OrderedDict"): collections.OrderedDict,
    }  # fmt: skip
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[module, "scalar"] = scalar
        found[module, "_reconstruct"] = reconstruct
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        found[module, "_frombuffer"] = from_buffer
    return found


class _Unpickler(pickle.Unpickler):
    _table = _admitted()

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._table[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"{module}.{name} is not admitted; only NumPy data and plain containers are"
            ) from None


def load_pickle(path: str | Path) -> Any:
    """Content of a pickle file; DataError when it is damaged or asks for anything beyond NumPy and plain containers."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            return _Unpickler(file).load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{path}: refused ({error})") from error
