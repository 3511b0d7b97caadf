"""Pickles for the official devkits, written where neither they nor their NumPy are installed."""

from __future__ import annotations

import io
import pickle
from typing import Any

_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]  # the C one cannot be told how to spell a module


class _Pickler(_PythonPickler):
    """Spells NumPy's modules as NumPy 1 does, which the devkits are pinned to, and does not look for the classes it names."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = getattr(obj, "__module__", None) or ""
        if not module.startswith(("numpy._core", "navsim.", "nuplan.")):
            super().save_global(obj, name)
            return
        self.save(module.replace("numpy._core", "numpy.core"))
        self.save(name or obj.__qualname__)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


def dumps(value: object) -> bytes:
    """A pickle of plain containers, NumPy arrays, and stand-ins for the devkits' classes (see `stand_in`)."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=4).dump(value)
    return buffer.getvalue()


def stand_in(module: str, name: str) -> type:
    """A class that is pickled under another name: its attributes are what the object of that name will have."""
    return type(name, (), {"__module__": module, "__qualname__": name})
