"""Mean relative accuracy, by hand."""

from __future__ import annotations

import pytest

from eyesup.scoring.numeric_answers import figure_in, mean_relative_accuracy
from eyesup.types import DataError


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        ("20", "20", 1.0),  # within all ten tolerances
        ("23", "20", 0.8),  # exactly 15 % off: within 50, 45, 40, 35, 30, 25, 20, 15
        ("26.4", "20", 0.4),  # 32 % off: within 50, 45, 40, 35
        ("15.8", "20", 0.6),  # 21 % off: within 50, 45, 40, 35, 30, 25
        ("29.9", "20", 0.1),  # 49.5 % off: within 50 only
        ("31", "20", 0.0),
        ("8", "20", 0.0),
        ("2", "4", 0.1),  # exactly 50 % off counts
        ("24", "20", 0.6),  # 20 % off, and 1 - 0.8 is a hair below 0.2 in floating point
    ],
)
def test_the_share_of_tolerances_met(answer, truth, expected):
    assert mean_relative_accuracy(answer, truth) == pytest.approx(expected, abs=1e-12)


def test_only_the_first_word_counts_and_it_must_be_a_number():
    assert mean_relative_accuracy("20 metres", "20") == mean_relative_accuracy("20.", "20") == 1.0
    assert mean_relative_accuracy("about 20", "20") == mean_relative_accuracy("", "20") == 0.0
    assert figure_in("4.7.") == 4.7 and figure_in("nan") is None and figure_in("inf") is None


def test_of_nothing_only_nothing_is_right():
    assert mean_relative_accuracy("0", "0") == 1.0
    assert mean_relative_accuracy("1", "0") == 0.0


@pytest.mark.parametrize("truth", ["many", "", "-3"])
def test_a_truth_that_is_no_figure_is_refused(truth):
    with pytest.raises(DataError, match="no number from 0 on"):
        mean_relative_accuracy("3", truth)
