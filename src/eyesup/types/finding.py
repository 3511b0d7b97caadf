"""What a probe or an evaluation concludes: named estimates with their intervals and their N."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval over `groups` groups (scenes) holding `n` samples."""

    mean: float
    low: float
    high: float
    n: int
    groups: int
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Finding:
    """The outcome of one probe on one planner.

    Attributes:
        probe: Probe name, e.g. ``insertion``.
        planner: Planner name.
        protocol: Definition of what was measured, one sentence.
        rows: Table rows: label -> column -> Estimate or plain value.
        notes: Sentences a reader needs (what was left out, privileges, warnings).
        settings: Parameters that reproduce it (seeds, distances, thresholds).
    """

    probe: str
    planner: str
    protocol: str
    rows: Mapping[str, Mapping[str, Estimate | float | int | str]]
    notes: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
