"""The one protocol of everything that plans, learnt or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from eyesup.types import Observation, Prediction


@runtime_checkable
class Planner(Protocol):
    """Observations in, one plan each out.

    Attributes:
        name: Row title in tables.
        privileged: True when the planner uses more than an Observation (e.g. the expert's future); stamped on every record.
    """

    @property
    def name(self) -> str: ...

    @property
    def privileged(self) -> bool: ...

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        """Plan for each observation.

        Any randomness of a sample derives from (seed, observation.key) alone, so a batch equals its singles, and an edited
        copy of an observation (same key) is planned with the same noise.
        """
        ...
