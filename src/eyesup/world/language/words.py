"""The words of the questions: nouns, places, statuses, and how numbers are rounded."""

from __future__ import annotations

from collections.abc import Sequence

from eyesup.types import AgentKind, SignalState

NOUNS = {
    AgentKind.CAR: "car", AgentKind.VAN: "van", AgentKind.TRUCK: "truck", AgentKind.BUS: "bus",
    AgentKind.MOTORCYCLE: "motorcycle", AgentKind.BICYCLE: "cyclist", AgentKind.EMERGENCY: "emergency vehicle",
    AgentKind.PEDESTRIAN: "pedestrian", AgentKind.CONE: "traffic cone", AgentKind.BARRIER: "barrier",
    AgentKind.DEBRIS: "object",
}  # fmt: skip
GROUPS = {
    "vehicle": frozenset(kind for kind in AgentKind if kind.is_vehicle and kind is not AgentKind.BICYCLE),
    "obstacle": frozenset({AgentKind.CONE, AgentKind.BARRIER, AgentKind.DEBRIS}),
}
KINDS_OF = {noun: frozenset({kind}) for kind, noun in NOUNS.items() if noun != "object"} | GROUPS
COLOURS = {SignalState.RED: "red", SignalState.AMBER: "amber", SignalState.GREEN: "green"}
SIGNS = {SignalState.STOP_SIGN: "stop sign", SignalState.YIELD_SIGN: "yield sign"}

# Sixths of the circle around whoever is asked about, in the ego's axes, from straight ahead counter-clockwise.
SECTORS = ("in front", "to the front left", "to the back left", "behind", "to the back right", "to the front right")
SECTORS_OF = tuple(f"{place} of" if place != "behind" else place for place in SECTORS)

LENGTH_DECIMALS = 1  # sizes are answered to a tenth of a metre, distances to a metre


def article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun if count == 1 else plural(noun)}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def metres(distance_m: float) -> str:
    """A distance as it is answered: whole metres."""
    return str(round(distance_m))
