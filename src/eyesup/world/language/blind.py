"""What a reader who sees no picture still gets right: the check that questions cannot be answered from their words.

The blind reader learns from questions with answers of other logs. Asked something, it gives the most frequent answer to exactly
these words; where it never read them, that of a naive Bayes classifier on words and pairs of words. Of a choice it names an option.
Where a number is asked for, it also gives the figure of highest mean relative accuracy, which forgives what is nearly right.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from eyesup.scoring.numeric_answers import mean_relative_accuracy
from eyesup.types import QA
from eyesup.types.language import AnswerForm

YES_NO = ("yes", "no")
SMOOTHING = 1.0  # Laplace's: every pair of word and answer counts as seen this often
_LISTED = re.compile(r": ([^:?]+ or [^:?]+)\?$")
_BETWEEN = re.compile(r", | or ")
_WORD = re.compile(r"[a-z0-9]+")


def options_of(qa: QA) -> tuple[str, ...]:
    """The answers of a choice: those that the question lists, else yes and no; none for other forms."""
    if qa.form != "choice":
        return ()
    found = _LISTED.search(qa.question)
    return tuple(_BETWEEN.split(found[1])) if found else YES_NO


class BlindReader:
    """Answers from the words of a question.

    Args:
        lessons: Questions with answers to learn from; sentences are left out.
    """

    def __init__(self, lessons: Iterable[QA]) -> None:
        self.by_text: dict[str, Counter[str]] = defaultdict(Counter)
        self.numbers: dict[str, Counter[str]] = defaultdict(Counter)  # by kind
        self._safest: dict[str, str] = {}
        by_type: dict[str, list[QA]] = defaultdict(list)
        for qa in lessons:
            if qa.form != "free":
                self.by_text[qa.question][qa.answer] += 1
                by_type[qa.kind].append(qa)
            if qa.form == "number":
                self.numbers[qa.kind][qa.answer] += 1
        self.by_type = {kind: _NaiveBayes(some) for kind, some in by_type.items()}

    def answer(self, qa: QA) -> str:
        """One answer; the true one is not looked at. Of a kind that it never read it guesses."""
        options = options_of(qa)
        counts = {a: n for a, n in self.by_text.get(qa.question, {}).items() if not options or a in options}
        if counts:
            return max(sorted(counts), key=lambda answer: counts[answer])
        reader = self.by_type.get(qa.kind)
        return reader.answer(qa.question, options) if reader else max(options, default="")

    def figure(self, qa: QA) -> str:
        """The figure that is nearest to right on average: to exactly these words, else to questions of this kind."""
        known = qa.question in self.by_text
        key = qa.question if known else qa.kind
        if key not in self._safest:
            self._safest[key] = _safest(self.by_text[key] if known else self.numbers[key])
        return self._safest[key]


def _safest(counts: Counter[str]) -> str:
    """The figure of highest mean relative accuracy against figures that were true so often; empty without any."""

    def worth(figure: str) -> float:
        return sum(n * mean_relative_accuracy(figure, true) for true, n in counts.items())

    return max(sorted(counts), key=worth, default="")


class _NaiveBayes:
    def __init__(self, lessons: Sequence[QA]) -> None:
        self.answers = sorted({qa.answer for qa in lessons})
        self.words = {word: i for i, word in enumerate(sorted({w for qa in lessons for w in _words(qa.question)}))}
        counts = np.full((len(self.answers), len(self.words)), SMOOTHING)
        priors = np.zeros(len(self.answers))
        rows = {answer: i for i, answer in enumerate(self.answers)}
        for qa in lessons:
            priors[rows[qa.answer]] += 1
            for word in _words(qa.question):
                counts[rows[qa.answer], self.words[word]] += 1
        self.log_words = np.log(counts / counts.sum(axis=1, keepdims=True))
        self.log_priors = np.log(priors / priors.sum())

    def answer(self, question: str, options: tuple[str, ...]) -> str:
        known = [self.words[word] for word in _words(question) if word in self.words]
        scores = dict(zip(self.answers, (self.log_priors + self.log_words[:, known].sum(axis=1)).tolist()))
        candidates = options or self.answers
        return max(candidates, key=lambda answer: (scores.get(answer, -np.inf), answer))


def _words(question: str) -> list[str]:
    words = _WORD.findall(question.lower())
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


@dataclass(frozen=True)
class TypeReport:
    """Questions of one type.

    Attributes:
        kind, hop, form: The type.
        questions: How many.
        answers: The most frequent answers with their shares.
        chance: Mean over the questions of one over the number of options; of numbers and sentences None.
        blind: Share that the blind reader gets right; None for sentences.
        margin: Half width of the 95 % interval of that share, were the questions independent.
        blind_accuracy: Mean relative accuracy (VSI-Bench) of the blind reader's figures; None where no number is asked for.
    """

    kind: str
    hop: int
    form: AnswerForm
    questions: int
    answers: tuple[tuple[str, float], ...]
    chance: float | None
    blind: float | None
    margin: float | None
    blind_accuracy: float | None = None


def blind_report(lessons: Iterable[QA], exam: Iterable[QA], most_answers: int = 6) -> list[TypeReport]:
    """How the blind reader fares, type by type.

    Args:
        lessons: What it learns from.
        exam: What it is asked; from other logs.
        most_answers: How many answers to list per type.
    """
    reader = BlindReader(lessons)
    types: dict[tuple[str, int, AnswerForm], list[QA]] = defaultdict(list)
    for qa in exam:
        types[qa.kind, qa.hop, qa.form].append(qa)
    return [_type_report(reader, *key, types[key], most_answers) for key in sorted(types)]


def _type_report(
    reader: BlindReader, kind: str, hop: int, form: AnswerForm, asked: list[QA], most_answers: int
) -> TypeReport:
    count = len(asked)
    shares = tuple((answer, n / count) for answer, n in Counter(qa.answer for qa in asked).most_common(most_answers))
    if form == "free":
        return TypeReport(kind, hop, form, count, shares, None, None, None)
    blind = sum(reader.answer(qa) == qa.answer for qa in asked) / count
    margin = 1.96 * float(np.sqrt(blind * (1 - blind) / count))
    if form == "choice":
        chance = float(np.mean([1 / len(options_of(qa)) for qa in asked]))
        return TypeReport(kind, hop, form, count, shares, chance, blind, margin)
    near = float(np.mean([mean_relative_accuracy(reader.figure(qa), qa.answer) for qa in asked]))
    return TypeReport(kind, hop, form, count, shares, None, blind, margin, near)
