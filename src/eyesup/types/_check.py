"""Validation shared by the types. Each check raises `DataError` with the field, the value and the limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eyesup.types.errors import DataError


def as_array(name: str, value: object, shape: Sequence[int | None], dtype: type) -> np.ndarray:
    """Convert to an array of `dtype` and check its shape; `None` in `shape` admits any length.

    Whole-number and boolean types take only values that they can hold: 0.5 or -1 in a uint8 field is an error, not a 0 or 255.
    """
    try:
        array = np.asarray(value)
        converted: np.ndarray = np.ascontiguousarray(array, dtype=dtype).reshape(array.shape)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: no array of {np.dtype(dtype).name} ({error})") from error
    if array.ndim != len(shape) or any(want is not None and want != got for want, got in zip(shape, array.shape)):
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise DataError(f"{name}: shape {array.shape}, expected ({wanted})")
    if array.dtype != converted.dtype and converted.dtype.kind in "iub":
        changed = array != converted
        if changed.any():
            raise DataError(f"{name}: value {array[changed][0]} does not fit {converted.dtype.name}; convert it first")
    return converted


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
