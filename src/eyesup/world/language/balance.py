"""Which of the possible questions are asked: so many of each answer that the words alone tell nothing.

Everything that could be asked at the keyframes of one log is grouped by its exact wording. From a group, rounds are taken: each
holds one keyframe for every answer that still has one, and lists these answers in the question where it is a choice. So within a
log every question, word for word, is asked equally often with each of its answers, and whoever reads only the text is right at
chance level, in this log and in all of them. Questions whose answer never changes in a log are not asked there.

Numbers are balanced over ranges (`Candidate.level`) instead of over values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eyesup.types import QA
from eyesup.types.language import AnswerForm
from eyesup.world.language.words import listed

MOST_PER_KEYFRAME = 10
MOST_ROUNDS = 4  # of one wording in one log: rare answers then weigh as much as frequent ones
MOST_OPTIONS = 4
OPTIONS = "{options}"  # where the answers of a choice are listed in the question


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that could be asked at one keyframe.

    Attributes:
        question: Its wording; `OPTIONS` in it becomes the list of answers to choose from.
        answer, kind, hop, form, about, needs_history: As in `QA`.
        level: What is balanced: the answer, or the range that a number lies in.
    """

    question: str
    answer: str
    kind: str
    hop: int = 0
    about: tuple[str, ...] = ()
    form: AnswerForm = "choice"
    level: str | int = ""
    needs_history: bool = False


@dataclass(frozen=True)
class _Round:
    """One keyframe for each answer of one wording."""

    question: str
    members: tuple[tuple[int, Candidate], ...]


def balanced(
    candidates: Sequence[Sequence[Candidate]], rng: np.random.Generator, most: int = MOST_PER_KEYFRAME
) -> tuple[tuple[QA, ...], ...]:
    """Choose among the candidates of a log's keyframes.

    Args:
        candidates: Per keyframe; a wording occurs at most once in a keyframe.
        rng: Decides which are asked.
        most: Questions per keyframe.
    """
    chosen: list[list[QA]] = [[] for _ in candidates]
    rounds: dict[tuple[str, int], list[_Round]] = defaultdict(list)
    for (kind, hop, _), levels in _grouped(candidates).items():
        if len(levels) > 1:
            rounds[kind, hop] += _rounds(levels, rng)
    queues = [[turns[i] for i in rng.permutation(len(turns))] for turns in rounds.values()]
    while queues:  # types take turns, so that none crowds out another
        for queue in queues:
            _ask_next(queue, chosen, most)
        queues = [queue for queue in queues if queue]
    return tuple(tuple(asked) for asked in chosen)


Levels = dict[str | int, list[tuple[int, Candidate]]]


def _grouped(candidates: Sequence[Sequence[Candidate]]) -> dict[tuple[str, int, str], Levels]:
    groups: dict[tuple[str, int, str], Levels] = defaultdict(lambda: defaultdict(list))
    for index, at_keyframe in enumerate(candidates):
        for candidate in at_keyframe:
            level = candidate.level if candidate.form == "number" else candidate.answer
            groups[candidate.kind, candidate.hop, candidate.question][level].append((index, candidate))
    return groups


def _rounds(levels: Levels, rng: np.random.Generator) -> list[_Round]:
    left = [[members[i] for i in rng.permutation(len(members))] for members in levels.values()]
    found: list[_Round] = []
    while len(left) > 1 and len(found) < MOST_ROUNDS:
        if len(left) > MOST_OPTIONS:
            left.sort(key=len, reverse=True)
        members = tuple(turn.pop() for turn in left[:MOST_OPTIONS])
        left = [turn for turn in left if turn]
        answers = [members[i][1].answer for i in rng.permutation(len(members))]
        question = members[0][1].question
        found.append(_Round(question.replace(OPTIONS, f": {listed(answers, 'or')}"), members))
    return found


def _ask_next(queue: list[_Round], chosen: list[list[QA]], most: int) -> None:
    """Ask the next round whose keyframes all have room; drop those before it."""
    while queue:
        turn = queue.pop()
        if all(len(chosen[index]) < most for index, _ in turn.members):
            for index, candidate in turn.members:
                chosen[index].append(
                    QA(
                        turn.question, candidate.answer, candidate.kind, candidate.hop, candidate.form, candidate.about,
                        candidate.needs_history,
                    )
                )  # fmt: skip
            return
