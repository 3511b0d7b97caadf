"""One sentence on the scene: the vehicle ahead, the light or sign, and who else is there."""

from __future__ import annotations

from eyesup.world.language.sight import Sight
from eyesup.world.language.words import KINDS_OF, article, counted, listed, sentence

LISTED = ("pedestrian", "cyclist", "obstacle")


def caption(sight: Sight) -> str:
    """Capitalised, with a full stop."""
    return sentence(scene_text(sight))


def scene_text(sight: Sight) -> str:
    parts = [_lead(sight)]
    if sight.light is not None:
        parts.append(f"the traffic light ahead is {sight.light.word}")
    if sight.sign is not None:
        parts.append(f"there is {article(sight.sign.word)} ahead")
    counts = {noun: sum(thing.kind in KINDS_OF[noun] for thing in sight.things) for noun in LISTED}
    others = [counted(count, noun) for noun, count in counts.items() if count]
    text = listed(parts)
    if others:
        text += f"; {listed(others)} {'is' if sum(counts.values()) == 1 else 'are'} in view"
    return text


def _lead(sight: Sight) -> str:
    if sight.lead is None:
        return "no vehicle is seen ahead in the ego lane"
    lamps = " with its brake lights on" if sight.lead.brakes and sight.lead_certain else ""
    distance = 5 * max(1, round(sight.lead.ahead_m / 5))
    return f"{article(sight.lead.noun)} is about {distance} m ahead in the ego lane{lamps}"
