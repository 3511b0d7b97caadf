"""How right a number is that answers a question: mean relative accuracy (MRA), the numeric half of VSI-Bench.

MRA is the share of the ten tolerances 50 %, 45 %, ..., 5 % within which the answer's relative error lies::

    MRA = mean over theta in {0.50, 0.55, ..., 0.95} of [ |given - true| / true <= 1 - theta ]

Source: VSI-Bench, arXiv 2412.14171, section 3.3 writes "<"; its released evaluation counts "<=" with thresholds from `linspace`, and
so do we: where the error is exactly 20 % or 45 %, the rounding of 1 - theta decides (24 for 20 gets 0.6), as in published figures.
"""

from __future__ import annotations

import math

import numpy as np

from eyesup.types import DataError

PROTOCOL = "vsi-bench-mra"
_TOLERANCES = 1 - np.linspace(0.5, 0.95, 10)


def figure_in(answer: str) -> float | None:
    """The number that an answer starts with, a full stop after it dropped (as VSI-Bench reads it); None where it is none."""
    words = answer.split()
    try:
        figure = float(words[0].rstrip(".")) if words else math.nan
    except ValueError:
        return None
    return figure if math.isfinite(figure) else None


def mean_relative_accuracy(answer: str, truth: str) -> float:
    """MRA of one answer, from 0 to 1; 0 where the answer is no number.

    Args:
        answer: What was said.
        truth: The true figure. Of a true 0, for which VSI-Bench has no score, only 0 is right.

    Raises:
        DataError: the truth is no number, or below 0.
    """
    true = figure_in(truth)
    if true is None or true < 0:
        raise DataError(f"mean relative accuracy: the true answer {truth!r} is no number from 0 on; give a figure")
    given = figure_in(answer)
    if given is None:
        return 0.0
    if true == 0:
        return float(given == 0)
    return float((abs(given - true) / true <= _TOLERANCES).mean())
