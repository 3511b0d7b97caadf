"""Validation shared by the types. Each check raises `DataError` with the field, the value and the limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eyesup.types.errors import DataError


def as_array(name: str, value: object, shape: Sequence[int | None], dtype: type) -> np.ndarray:
    """Convert to an array of `dtype` and check its shape; `None` in `shape` admits any length."""
    array = np.asarray(value)
    if array.ndim != len(shape) or any(want is not None and want != got for want, got in zip(shape, array.shape)):
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise DataError(f"{name}: shape {array.shape}, expected ({wanted})")
    return np.ascontiguousarray(array, dtype=dtype)


def check_finite(name: str, array: np.ndarray, valid: np.ndarray | None = None) -> None:
    """Every element (of the valid rows, where a mask is given) must be finite."""
    rows = array if valid is None else array[valid]
    bad = ~np.isfinite(rows)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{name}: {int(bad.sum())} non-finite value(s), first at {where}; missing data must be masked by `valid`"
        )


def check_range(name: str, array: np.ndarray | float, low: float, high: float, unit: str) -> None:
    """Every element must lie in [low, high]."""
    values = np.asarray(array)
    if values.size and (values.min() < low or values.max() > high):
        raise DataError(f"{name}: range [{values.min():g}, {values.max():g}] {unit} leaves [{low:g}, {high:g}] {unit}")
