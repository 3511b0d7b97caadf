"""What the inverse-kinematics network does with the next state: predicted, oracle, shuffled or zero (specs: ik_vla sections 9, 10).

Oracle tokens come from true future images: a diagnostic, never a result. If `pred` is no better than `shuffled`, the predicted next
state carries nothing; if `oracle` is far better than `pred`, predicting it is the bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from eyesup.data.source import SampleSource
from eyesup.evaluation.openloop import evaluate
from eyesup.evaluation.records import estimate
from eyesup.models.protocol import Planner
from eyesup.types import DataError, Finding

SOURCES = ("pred", "oracle", "shuffled", "zeros")
PROTOCOL = (
    "Errors with the next state given to the decoder replaced: predicted by the language model, oracle (tokens of the true future "
    "images: privileged), that of another sample, or zeros."
)


@runtime_checkable
class NextSourcePlanner(Planner, Protocol):
    """A planner whose next state can be replaced."""

    def with_next_source(self, next_source: str, source: SampleSource) -> Planner:
        """The same planner with another source of next-state tokens; `source` supplies future images for the oracle."""
        ...


def probe(planner: Planner, source: SampleSource, seeds: Sequence[int] = (0,)) -> Finding:
    """Errors by source of the next state. Raises DataError for a planner that has none."""
    if not isinstance(planner, NextSourcePlanner):
        raise DataError(f"planner {planner.name!r} predicts no next state; this probe needs an IK-VLA checkpoint")
    rows = {}
    for name in SOURCES:
        records = evaluate(planner.with_next_source(name, source), source, seeds)
        rows[name] = {"ADE [m]": estimate(records, "ade_3s", "m"), "L2 at 3 s [m]": estimate(records, "l2_at_3s", "m")}
    return Finding("next_source", planner.name, PROTOCOL, rows, settings={"seeds": list(seeds)})
