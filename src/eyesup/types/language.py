"""Questions and answers about a scene."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QA:
    """One question with its answer. `kind` names the type, e.g. ``exist``, ``count``, ``status``, ``caption``."""

    question: str
    answer: str
    kind: str = "free"
