"""Spatial questions in the style of VSI-Bench: distance, size, relative direction and distance, order, route.

Distances are between nearest points of boxes on the ground, answered in whole metres; sizes are those of boxes, to a tenth of a
metre. Relative directions have VSI-Bench's three levels: left or right (easy); left, right or behind, which is more than 135
degrees off (medium); quadrants (hard). Nothing is asked within 10 degrees of a border.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations

import numpy as np

from eyesup.world.language.balance import OPTIONS, Candidate
from eyesup.world.language.questions import Reference, names, references
from eyesup.world.language.sight import Observer, Sight, Thing
from eyesup.world.language.words import KINDS_OF, LENGTH_DECIMALS, metres

RANGES_M = (5.0, 10.0, 20.0, 40.0)  # distances are balanced over these ranges
LENGTHS_M, HEIGHTS_M = (3.0, 6.5, 10.0), (2.5,)  # sizes over these, so far apart that no middle is nearly right for all
CLEARLY_NEARER_M = 1.0
MARGIN_RAD = np.deg2rad(10.0)
BEHIND_RAD = np.deg2rad(135.0)
CLEARLY_FARTHER_M = 3.0
MOST_DIRECTIONS = 8  # (place, facing, goal) triples per keyframe
LONGER_STEPS = 10  # in view longer by at least a second
ROUTE_AHEAD_M = 30.0
ROUTE_STRAIGHT_RAD, ROUTE_TURN_RAD = np.deg2rad(8.0), np.deg2rad(20.0)


def spatial_questions(sight: Sight, front_m: float, first_seen: Mapping[int, int]) -> Iterator[Candidate]:
    """All of this style but the route.

    Args:
        sight: What is seen.
        front_m: From the ego's rear axle to its front bumper.
        first_seen: Agent id -> first keyframe's step that showed it.
    """
    named = references(sight)
    yield from _distances(sight, named)
    yield from _sizes(sight)
    yield from _directions(named, front_m)
    yield from _nearer(sight, named)
    yield from _longer_in_view(named, first_seen)


def _distance(question: str, distance_m: float, hop: int, about: Sequence[Thing]) -> Candidate:
    level = int(np.searchsorted(RANGES_M, distance_m))
    return Candidate(question, metres(distance_m), "distance", hop, names(about), "number", level)


def _distances(sight: Sight, named: list[Reference]) -> Iterator[Candidate]:
    for words, thing in named:
        yield _distance(f"How many metres is the {words} from my front bumper?", thing.gap_m, 0, [thing])
    for (words_a, a), (words_b, b) in combinations(sorted(named, key=_words), 2):
        question = f"How many metres apart are the {words_a} and the {words_b}?"
        yield _distance(question, sight.apart_m(a, b), 1, [a, b])


def _sizes(sight: Sight) -> Iterator[Candidate]:
    """Of the nearest vehicle, of all and in each direction. Its kind is not said: it would tell most of the answer."""
    seen = [thing for thing in sight.things if thing.kind in KINDS_OF["vehicle"]]
    faint = [thing for thing in sight.faint if thing.kind in KINDS_OF["vehicle"]]
    yield from _size("nearest vehicle", seen, faint)
    for sector in sight.sectors:
        there = [thing for thing in seen if thing.sector == sector]
        unclear = [thing for thing in seen if thing.sector is None]
        yield from _size(
            f"nearest vehicle {sector}", there, [*unclear, *(t for t in faint if t.sector in (None, sector))]
        )


def _size(words: str, things: Sequence[Thing], others: Sequence[Thing]) -> Iterator[Candidate]:
    """Of the first of `things` (nearest first), unless another of them or of `others` is about as near."""
    if things and all(thing.gap_m > things[0].gap_m + CLEARLY_NEARER_M for thing in (*things[1:], *others)):
        length, _, height = things[0].size_m
        for word, size, ranges in (("long", length, LENGTHS_M), ("tall", height, HEIGHTS_M)):
            question, answer = f"How {word} is the {words} in metres?", f"{size:.{LENGTH_DECIMALS}f}"
            level = int(np.searchsorted(ranges, size))
            yield Candidate(question, answer, "size", 0, (things[0].name,), "number", level)


def _directions(named: list[Reference], front_m: float) -> Iterator[Candidate]:
    for words, thing in named:
        angle = math.atan2(thing.y, thing.x - front_m)
        if (side := _side(angle)) is not None:
            yield Candidate(f"On which side of me is the {words}{OPTIONS}?", side, "direction_easy", 0, (thing.name,))
    me: tuple[str, Thing | None] = ("me", None)
    triples = [t for t in permutations([me, *((f"the {words}", thing) for words, thing in named)], 3) if t[2][1]]
    for (at, a), (facing, b), (goal, c) in triples[:MOST_DIRECTIONS]:
        (ax, ay), (bx, by), (cx, cy) = (_place(t, front_m) for t in (a, b, c))
        angle = _wrapped(math.atan2(cy - ay, cx - ax) - math.atan2(by - ay, bx - ax))
        about = names([t for t in (a, b, c) if t is not None])
        start = f"Facing {facing}" if a is None else f"Standing at {at} and facing {facing}"
        for kind, words, answer in (
            ("direction_easy", "on which side is", _side(angle)),
            ("direction_medium", "where is", _side_or_behind(angle)),
            ("direction_hard", "in which quadrant is", _quadrant(angle)),
        ):
            if answer is not None:
                yield Candidate(f"{start}, {words} {goal}{OPTIONS}?", answer, kind, 1, about)


def _place(thing: Thing | None, front_m: float) -> tuple[float, float]:
    return (front_m, 0.0) if thing is None else (thing.x, thing.y)


def _side(angle: float) -> str | None:
    if min(abs(angle), np.pi - abs(angle)) < MARGIN_RAD:
        return None
    return "left" if angle > 0 else "right"


def _side_or_behind(angle: float) -> str | None:
    if abs(angle) > BEHIND_RAD + MARGIN_RAD:
        return "behind"
    return _side(angle) if abs(angle) < BEHIND_RAD - MARGIN_RAD else None


def _quadrant(angle: float) -> str | None:
    off_axis = abs(_wrapped(2 * angle)) / 2  # from the nearer half of the facing axis; 90 degrees is across it
    if min(off_axis, np.pi / 2 - off_axis) < MARGIN_RAD:
        return None
    return f"{'front' if abs(angle) < np.pi / 2 else 'back'} {'left' if angle > 0 else 'right'}"


def _nearer(sight: Sight, named: list[Reference]) -> Iterator[Candidate]:
    ordered = sorted(named, key=_words)
    for (words_a, a), (words_b, b) in combinations(ordered, 2):
        if abs(a.gap_m - b.gap_m) > CLEARLY_FARTHER_M:
            answer = words_a if a.gap_m < b.gap_m else words_b
            question = f"Which is closer to me: the {words_a} or the {words_b}?"
            yield Candidate(question, f"the {answer}", "relative_distance", 0, names([a, b]))
        for words_c, c in ordered:
            if c is a or c is b:
                continue
            to_a, to_b = sight.apart_m(c, a), sight.apart_m(c, b)
            if abs(to_a - to_b) > CLEARLY_FARTHER_M:
                answer = words_a if to_a < to_b else words_b
                question = f"Which is closer to the {words_c}: the {words_a} or the {words_b}?"
                yield Candidate(question, f"the {answer}", "relative_distance", 1, names([a, b, c]))


def _longer_in_view(named: list[Reference], first_seen: Mapping[int, int]) -> Iterator[Candidate]:
    """VSI-Bench's appearance order, of two that are in view now."""
    for (words_a, a), (words_b, b) in combinations(sorted(named, key=_words), 2):
        if abs(first_seen[a.id] - first_seen[b.id]) >= LONGER_STEPS:
            answer = words_a if first_seen[a.id] < first_seen[b.id] else words_b
            question = f"Which came into view first: the {words_a} or the {words_b}?"
            yield Candidate(question, f"the {answer}", "order", 0, names([a, b]), needs_history=True)


def route_questions(sight: Sight, observer: Observer) -> Iterator[Candidate]:
    """Where the route leads from here."""
    front = float(observer.ego_s[sight.step]) + observer.front_m
    if front + ROUTE_AHEAD_M < observer.route.length:
        headings = observer.route.at(np.array([front, front + ROUTE_AHEAD_M]))[:, 2]
        turn = _wrapped(float(headings[1] - headings[0]))
        if abs(turn) < ROUTE_STRAIGHT_RAD or abs(turn) > ROUTE_TURN_RAD:
            answer = "straight on" if abs(turn) < ROUTE_STRAIGHT_RAD else "to the left" if turn > 0 else "to the right"
            yield Candidate(f"Where does my route lead within {ROUTE_AHEAD_M:.0f} metres{OPTIONS}?", answer, "route")


def _wrapped(angle: float) -> float:
    return math.remainder(angle, math.tau)


def _words(reference: Reference) -> str:
    return reference[0]
