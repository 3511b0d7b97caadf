"""Questions in the style of nuScenes-QA (exist, count, object, status, comparison; 0 and 1 hop) about what is seen.

"The nearest bus" is the one whose box is nearest to the ego's front bumper, and is named only where no other bus could be meant.
Directions are sixths of the circle in the ego's axes, around the ego's front bumper or around the thing referred to, as in
nuScenes-QA; near a border nothing is asked. A question that hangs on something faint (`Sight.faint`) is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from eyesup.world.language.balance import OPTIONS, Candidate
from eyesup.world.language.sight import Sight, Thing, sector_of
from eyesup.world.language.words import KINDS_OF, SECTORS, SECTORS_OF, article, plural

CLEARLY_FARTHER_M = 3.0
IN_SECTORS = ("vehicle", "pedestrian", "cyclist")
MORE_OF = ("car", "van", "truck", "bus", "pedestrian", "cyclist", "traffic cone")
STATUSES = ("moving", "stopped", "parked")
REFERENCES = 4  # nearest ones that a question may go through
LEAD = "vehicle ahead in my lane"

Reference = tuple[str, Thing]
"""Words that single out a thing, without the article, and the thing."""


def references(sight: Sight) -> list[Reference]:
    """Things that words can single out, nearest first, as "nearest bus"."""
    return [(f"nearest {noun}", thing) for noun, thing in sight.by_noun.items()][:REFERENCES]


def scene_questions(sight: Sight) -> Iterator[Candidate]:
    """All of this style."""
    members = _Members(sight)
    named = references(sight)
    yield from _exist(sight, members)
    yield from _exist_near(sight, members, named)
    yield from _count(sight, members)
    yield from _count_relative(members, named)
    yield from _object(sight)
    yield from _object_near(sight, named)
    yield from _status(sight, named)
    yield from _status_near(members, named)
    yield from _comparison(members, named)


class _Members:
    """Seen members of each noun, and whether anything faint could be one more."""

    def __init__(self, sight: Sight) -> None:
        self.of = {noun: [t for t in sight.things if t.kind in kinds] for noun, kinds in KINDS_OF.items()}
        self.faint = {noun: [t for t in sight.faint if t.kind in kinds] for noun, kinds in KINDS_OF.items()}
        self.certain = {noun for noun, faint in self.faint.items() if not faint}

    def in_sector(self, noun: str, sector: str) -> list[Thing] | None:
        """Members in one sector; None where somebody stands on a border or is faint there."""
        if any(t.sector is None for t in self.of[noun]) or any(t.sector in (None, sector) for t in self.faint[noun]):
            return None
        return [t for t in self.of[noun] if t.sector == sector]

    def with_status(self, status: str) -> list[Thing] | None:
        """Vehicles of one status; None where one's status cannot be told."""
        vehicles = self.of["vehicle"]
        if "vehicle" not in self.certain or any(t.status is None for t in vehicles):
            return None
        return [t for t in vehicles if t.status == status]


def names(things: Sequence[Thing]) -> tuple[str, ...]:
    return tuple(thing.name for thing in things)


def yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _exist(sight: Sight, members: _Members) -> Iterator[Candidate]:
    if sight.lead_certain:
        lead = [sight.lead] if sight.lead else []
        yield Candidate("Is there a vehicle or a cyclist ahead in my lane?", yes(bool(lead)), "exist", 0, names(lead))
    for noun in KINDS_OF:
        if noun in members.certain:
            found = members.of[noun]
            yield Candidate(f"Is there {article(noun)} in view?", yes(bool(found)), "exist", 0, names(found))
    for noun in IN_SECTORS:
        for sector in sight.sectors:
            there = members.in_sector(noun, sector)
            if there is not None:
                yield Candidate(f"Is there a {noun} {sector}?", yes(bool(there)), "exist", 0, names(there))
    for status in STATUSES:
        these = members.with_status(status)
        if these is not None:
            yield Candidate(f"Is there a {status} vehicle in view?", yes(bool(these)), "exist", 0, names(these))


def _exist_near(sight: Sight, members: _Members, named: list[Reference]) -> Iterator[Candidate]:
    for words, reference in named:
        for noun in ("vehicle", "pedestrian"):
            if noun not in members.certain:
                continue
            others = [t for t in members.of[noun] if t is not reference]
            places = [sector_of(t.x - reference.x, t.y - reference.y) for t in others]
            for sector, of in zip(SECTORS, SECTORS_OF):
                there = [t for t, place in zip(others, places) if place == sector]
                if there or None not in places:
                    about = names([reference, *there])
                    yield Candidate(f"Is there a {noun} {of} the {words}?", yes(bool(there)), "exist", 1, about)
    for words, reference in named:
        same = _like(members, reference)
        if same is not None:
            question = f"Is there another vehicle with the same status as the {words}?"
            yield Candidate(question, yes(bool(same)), "exist", 1, names([reference, *same]))


def _like(members: _Members, reference: Thing) -> list[Thing] | None:
    """Other vehicles of the same status."""
    if reference.status is None or not reference.kind.is_vehicle:
        return None
    same = members.with_status(reference.status)
    return None if same is None else [t for t in same if t is not reference]


def _number(question: str, things: Sequence[Thing], hop: int, about: Sequence[Thing] = ()) -> Candidate:
    count = len(things)
    return Candidate(question, str(count), "count", hop, names([*about, *things]), "number", count)


def _count(sight: Sight, members: _Members) -> Iterator[Candidate]:
    for noun in KINDS_OF:
        if noun in members.certain:
            yield _number(f"How many {plural(noun)} are visible?", members.of[noun], 0)
    for sector in sight.sectors:
        there = members.in_sector("vehicle", sector)
        if there is not None:
            yield _number(f"How many vehicles are {sector}?", there, 0)
    for status in STATUSES:
        these = members.with_status(status)
        if these is not None:
            yield _number(f"How many {status} vehicles are visible?", these, 0)


def _count_relative(members: _Members, named: list[Reference]) -> Iterator[Candidate]:
    for words, reference in named:
        same = _like(members, reference)
        if same is not None:
            yield _number(f"How many other vehicles have the same status as the {words}?", same, 1, [reference])
        for noun in ("vehicle", "pedestrian"):
            others = [t for t in members.of[noun] if t is not reference]
            sure = all(abs(t.gap_m - reference.gap_m) > 1.0 for t in others)
            if noun in members.certain and sure:
                nearer = [t for t in others if t.gap_m < reference.gap_m]
                yield _number(f"How many {noun}s are nearer to me than the {words}?", nearer, 1, [reference])


def _object(sight: Sight) -> Iterator[Candidate]:
    """What is nearest, of all and in each direction."""
    yield from _nearest(f"What is the nearest thing in view{OPTIONS}?", sight.things, sight.faint)
    for sector in sight.sectors:
        there = [t for t in sight.things if t.sector == sector]
        unclear = [t for t in (*sight.things, *sight.faint) if t.sector is None]
        faint = [t for t in sight.faint if t.sector == sector]
        yield from _nearest(f"What is the nearest thing {sector}{OPTIONS}?", there, [*unclear, *faint])


def _nearest(question: str, things: Sequence[Thing], others: Sequence[Thing]) -> Iterator[Candidate]:
    """The first of `things` (nearest first), unless another of a different name is about as near."""
    if things and all(t.noun == things[0].noun or t.gap_m > things[0].gap_m + 1.0 for t in (*things, *others)):
        yield Candidate(question, article(things[0].noun), "object", 0, (things[0].name,))


def _object_near(sight: Sight, named: list[Reference]) -> Iterator[Candidate]:
    for words, reference in named:
        others = [t for t in (*sight.things, *sight.faint) if t is not reference]
        if not others:
            continue
        apart = {t.id: sight.apart_m(reference, t) for t in others}
        first, *rest = sorted(others, key=lambda t: (apart[t.id], t.id))
        sure = all(t.noun == first.noun or apart[t.id] > apart[first.id] + 1.0 for t in rest)
        if sure and first in sight.things:
            question = f"What is nearest to the {words}{OPTIONS}?"
            yield Candidate(question, article(first.noun), "object", 1, names([reference, first]))


def _status(sight: Sight, named: list[Reference]) -> Iterator[Candidate]:
    if sight.light is not None:
        question = f"What colour is the traffic light ahead{OPTIONS}?"
        yield Candidate(question, sight.light.word, "status", 0, (sight.light.name,))
    if sight.lead is not None and sight.lead_certain:
        lead = sight.lead
        if lead.brakes is not None:
            yield Candidate(
                "Are the brake lights of the vehicle ahead on?", yes(lead.brakes), "status", 0, (lead.name,)
            )
        if lead.status is not None:
            yield Candidate(f"What is the status of the {LEAD}{OPTIONS}?", lead.status, "status", 0, (lead.name,))
    for words, thing in named:
        if thing.status is not None:
            yield Candidate(f"What is the status of the {words}{OPTIONS}?", thing.status, "status", 0, (thing.name,))


def _status_near(members: _Members, named: list[Reference]) -> Iterator[Candidate]:
    """The only vehicle in some direction of something."""
    for words, reference in named:
        others = [t for t in members.of["vehicle"] if t is not reference]
        places = [sector_of(t.x - reference.x, t.y - reference.y) for t in others]
        if "vehicle" not in members.certain or None in places:
            continue
        for sector, of in zip(SECTORS, SECTORS_OF):
            there = [t for t, place in zip(others, places) if place == sector]
            if len(there) == 1 and there[0].status is not None:
                question = f"What is the status of the vehicle {of} the {words}{OPTIONS}?"
                yield Candidate(question, there[0].status, "status", 1, names([reference, there[0]]))


def _comparison(members: _Members, named: list[Reference]) -> Iterator[Candidate]:
    for a, b in combinations([noun for noun in MORE_OF if noun in members.certain], 2):
        of_a, of_b = members.of[a], members.of[b]
        if of_a or of_b:
            question = f"Are there more {plural(a)} than {plural(b)} in view?"
            yield Candidate(question, yes(len(of_a) > len(of_b)), "comparison", 0, names([*of_a, *of_b]))
    for (words_a, a_thing), (words_b, b_thing) in combinations(sorted(named, key=lambda reference: reference[0]), 2):
        pair = names([a_thing, b_thing])
        if abs(a_thing.gap_m - b_thing.gap_m) > CLEARLY_FARTHER_M:
            question = f"Is the {words_a} farther away than the {words_b}?"
            yield Candidate(question, yes(a_thing.gap_m > b_thing.gap_m), "comparison", 0, pair)
        if a_thing.status is not None and b_thing.status is not None:
            question = f"Do the {words_a} and the {words_b} have the same status?"
            yield Candidate(question, yes(a_thing.status == b_thing.status), "comparison", 1, pair)
