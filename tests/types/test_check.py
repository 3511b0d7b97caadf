from __future__ import annotations

import numpy as np
import pytest

from eyesup.types._check import as_array, check_finite, check_range
from eyesup.types.errors import DataError, EyesUpError, MissingExtraError


def test_lists_become_contiguous_arrays_of_the_asked_type():
    array = as_array("a", [[1, 2], [3, 4]], (None, 2), np.float64)
    assert array.dtype == np.float64
    assert as_array("a", np.zeros((4, 6))[:, ::2], (4, 3), np.float64).flags.c_contiguous
    assert as_array("a", np.float32(3), (), np.float64).shape == ()


def test_wrong_shapes_name_both():
    with pytest.raises(DataError, match=r"poses: shape \(5, 2\), expected \(any, 3\)"):
        as_array("poses", np.zeros((5, 2)), (None, 3), np.float64)
    with pytest.raises(DataError, match=r"shape \(3,\), expected \(any, 3\)"):
        as_array("poses", np.zeros(3), (None, 3), np.float64)


@pytest.mark.parametrize("value", [[[1.0, 2.0], [3.0]], "poses", [None, object()]])
def test_what_is_no_array_is_a_data_error(value):
    with pytest.raises(DataError, match="poses: no array of float64"):
        as_array("poses", value, (None,), np.float64)


@pytest.mark.parametrize(("value", "dtype"), [([0.5], np.uint8), ([-1], np.uint8), ([300], np.uint8), ([2], np.bool_)])
def test_values_a_whole_number_type_cannot_hold_are_refused(value, dtype):
    with pytest.raises(DataError, match=f"value {value[0]} does not fit"):
        as_array("ids", value, (None,), dtype)


def test_whole_floats_and_zero_one_masks_are_taken():
    np.testing.assert_array_equal(as_array("ids", [1.0, 2.0], (2,), np.int64), [1, 2])
    np.testing.assert_array_equal(as_array("valid", [1, 0], (2,), np.bool_), [True, False])


def test_non_finite_values_are_counted_located_and_pointed_to_the_mask():
    array = np.array([[0.0, 1.0], [np.nan, np.inf]])
    with pytest.raises(DataError, match=r"x: 2 non-finite value\(s\), first at \(1, 0\); missing data must be masked"):
        check_finite("x", array)
    check_finite("x", array, np.array([True, False]))


def test_ranges_name_value_limit_and_unit():
    check_range("speed", 80.0, 0.0, 80.0, "m/s")
    check_range("speed", np.zeros(0), 0.0, 80.0, "m/s")
    with pytest.raises(DataError, match=r"speed: range \[3, 90\] m/s leaves \[0, 80\] m/s"):
        check_range("speed", np.array([3.0, 90.0]), 0.0, 80.0, "m/s")


def test_errors_are_caught_by_their_family_and_by_the_builtin():
    assert issubclass(DataError, EyesUpError)
    assert issubclass(DataError, ValueError)
    missing = MissingExtraError("the renderer", "world")
    assert isinstance(missing, ImportError)
    assert str(missing) == "the renderer needs packages that are not installed; run: pip install 'eyesup[world]'"
