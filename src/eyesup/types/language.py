"""Questions and answers about a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eyesup.types.errors import DataError

AnswerForm = Literal["choice", "number", "free"]


@dataclass(frozen=True, slots=True)
class QA:
    """One question with its answer.

    Attributes:
        question: What is asked. Where an answer is one of several, the question lists them or can be answered by yes or no.
        answer: What is true.
        kind: Type of the question, e.g. ``exist``, ``count``, ``status``, ``caption``.
        hop: 0 when the question names what it asks about, 1 when it goes through something else ("to the left of the bus").
        form: ``choice``: one of few answers; ``number``: a figure; ``free``: a sentence.
        about: What the answer rests on: ``agent-7``, ``signal-3``.
        needs_history: True when the present pictures alone do not tell.
    """

    question: str
    answer: str
    kind: str = "free"
    hop: int = 0
    form: AnswerForm = "free"
    about: tuple[str, ...] = ()
    needs_history: bool = False

    def __post_init__(self) -> None:
        if self.hop not in (0, 1) or self.form not in ("choice", "number", "free"):
            raise DataError(
                f"question {self.question!r}: hop {self.hop} must be 0 or 1, form {self.form!r} choice, number or free"
            )
