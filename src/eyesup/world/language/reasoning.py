"""What the ego does and why: narration and reasoning (style of Nu-X), the planner's note, and choices about both.

What it does is read off what the expert drives next: its pace off the next second, so that it answers to the present picture; stops,
turns and shifts off the next 3 s. Why is a function of what the cameras show: the scene's cue where it
is seen and known to decide (the twin without it drives elsewhere), else whatever seen thing, light, sign or bend asks for the most
braking. Where nothing that is seen asks for it, the text says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from eyesup.types import QA, AgentKind, CueKind, Maneuver
from eyesup.world.language.balance import OPTIONS, Candidate
from eyesup.world.language.captions import scene_text
from eyesup.world.language.sight import IN_LANE_M, Observer, SeenSignal, Sight, Thing
from eyesup.world.language.words import article, listed, plural, sentence

PACE_S, HORIZON_S = 1.0, 3.0
REST_MPS, CREEP_MPS = 0.3, 1.0
CHANGE_MPS = 0.5  # a change of speed over `PACE_S` that counts
START_MPS = 0.2  # a car at rest that gains this much in `PACE_S` sets off
TURN_RAD = np.deg2rad(20.0)  # a change of heading that counts
SHIFT_M = 0.8  # a change of the offset from the route that counts
CUE_DECIDES_M = 1.0  # `world.store.CUE_ACTIVE_M`: the cue decides where its removal moves the plan by more
ASKS_FOR_MPS2 = 0.3  # less braking than this is no reason
HEADWAY_S, STANDSTILL_GAP_M = 1.4, 2.0
BESIDE_M = 8.0  # what comes from farther beside the route than this is no reason yet
CROSSING_MPS = 0.4  # speed towards the route
BEND_STEP_M, BEND_AHEAD_M = 5.0, 60.0
BEND_MPS2 = 2.0  # lateral acceleration at which bends are driven (`world.route`)
BEND_MOST_MPS2 = 1.5  # a bend is braked for in time, so its demand ends here
ONCOMING_RAD = np.deg2rad(120.0)
SAME_WAY_RAD = np.deg2rad(45.0)
ZONE_M = 40.0  # edge cases farther ahead are not flagged yet
CRASH_GAP_M, CRASH_TURN_RAD = 2.0, np.deg2rad(10.0)

# What the ego does along its path, as (it does, it should do)
PACES = {
    "wait": "waits", "set off": "sets off", "stop": "stops", "slow down": "slows down", "speed up": "speeds up",
    "keep its speed": "keeps its speed",
}  # fmt: skip
EDGE_CASES = (
    "construction zone",
    "emergency vehicle with its beacon on",
    "pedestrian near my path",
    "accident",
    "object on the road",
    "cyclist in my lane",
    "vehicle with hazard lights",
    "vehicle ahead brakes",
)
_HOLDING = ("wait", "stop", "slow down")


@dataclass(frozen=True)
class Act:
    """What the ego does. `pace`: a key of `PACES`; `turn`, `shift`: ``left``, ``right`` or None; `back`: into its lane."""

    pace: str
    turn: str | None = None
    shift: str | None = None
    back: bool = False

    def __str__(self) -> str:
        return listed([PACES[self.pace], *self._path("turns", "moves")])

    @property
    def advice(self) -> str:
        return listed([self.pace, *self._path("turn", "move")])

    def _path(self, turns: str, moves: str) -> list[str]:
        turn = [f"{turns} {self.turn}"] if self.turn else []
        return turn + ([f"{moves} {'back ' if self.back else ''}to the {self.shift}"] if self.shift else [])


@dataclass(frozen=True)
class Reason:
    """Why: a clause, what it is about in a word or two, and the braking that it asks for."""

    clause: str
    about: str
    names: tuple[str, ...] = ()
    needed_mps2: float = 0.0


def act(observer: Observer, step: int) -> Act:
    """What the ego does from a step on; the log's end cuts the horizon short."""
    scene = observer.scene
    soon, end = (min(step + round(s / scene.dt_s), len(scene) - 1) for s in (PACE_S, HORIZON_S))
    speeds = scene.ego_velocities[step : end + 1, 0]
    now, change = float(speeds[0]), float(scene.ego_velocities[soon, 0] - speeds[0])
    if now < REST_MPS:
        pace = "set off" if change > START_MPS else "wait"
    elif change < CHANGE_MPS and speeds.min() < REST_MPS:
        pace = "stop"
    elif abs(change) > CHANGE_MPS:
        pace = ("set off" if now < CREEP_MPS else "speed up") if change > 0 else "slow down"
    else:
        pace = "keep its speed"
    bend = math.remainder(float(scene.ego_poses[end, 2] - scene.ego_poses[step, 2]), math.tau)
    offset, later = float(observer.ego_offset[step]), float(observer.ego_offset[end])
    turn = _side(bend) if abs(bend) > TURN_RAD else None
    if turn or abs(later - offset) < SHIFT_M:
        return Act(pace, turn)
    return Act(pace, None, _side(later - offset), back=abs(later) < abs(offset))


def reason(sight: Sight, observer: Observer, does: Act, cue_effect_m: float) -> Reason:
    """Why the ego does it, as far as the cameras show."""
    if does.pace not in _HOLDING and not does.shift:
        return _going(sight, does)
    asked = _demands(sight, observer)
    if cue_effect_m > CUE_DECIDES_M and not does.back and (cue := _seen_cue(sight, observer)):
        names = {one.name for one in cue}
        return next((demand for demand in asked if names & set(demand.names)), because(cue[0], sight))
    if does.pace in _HOLDING:
        enough = asked and asked[0].needed_mps2 > ASKS_FOR_MPS2
        return asked[0] if enough else Reason("nothing in view asks for it", "nothing in view")
    if does.back:
        return Reason("its own lane is free again", "the road ahead")
    standing = [t for t in sight.things if _in_the_way(t) and 0 < t.ahead_m < ZONE_M]
    return because(standing[0], sight) if standing else _going(sight, does)


def descriptions(sight: Sight, maneuver: Maneuver, does: Act, why: Reason) -> tuple[QA, ...]:
    """Narration with reasoning, the planner's note, and the caption."""
    told = f"Narration: The ego car {does}. Reasoning: {sentence(why.clause)}"
    flags = edge_cases(sight)
    note = (
        f"Scene: {scene_text(sight)}. Intent: {maneuver.value}, {does.advice}. "
        f"Edge cases: {', '.join(flags) if flags else 'none'}. Decision: {does.advice} because {why.clause}."
    )
    return (
        QA("What is the ego car doing and why?", told, "narration", about=why.names),
        QA("Write the note for the planner.", note, "note", about=why.names),
        QA("Describe the scene.", sentence(scene_text(sight)), "caption"),
    )


def decision_questions(sight: Sight, does: Act, why: Reason) -> Iterator[Candidate]:
    """What should be done, what decides it, and which edge cases there are."""
    yield Candidate(f"What should the ego car do{OPTIONS}?", does.pace, "decision", 0, why.names)
    yield Candidate(f"What decides what the ego car does{OPTIONS}?", why.about, "reason", 0, why.names)
    flags = edge_cases(sight)
    for flag in EDGE_CASES:
        answer = "yes" if flag in flags else "no"
        yield Candidate(f"Is this edge case in view ahead, {flag}?", answer, "edge_case")


def edge_cases(sight: Sight) -> list[str]:
    """Those of `EDGE_CASES` that are seen ahead within `ZONE_M`."""
    near = [t for t in sight.things if 0 < t.ahead_m < ZONE_M and not t.overhead]
    closed = [t for t in near if t.kind in (AgentKind.CONE, AgentKind.BARRIER) and abs(t.lateral_m) < BESIDE_M]
    walker, vehicles = AgentKind.PEDESTRIAN, [t for t in near if t.kind.is_vehicle]
    found = (
        len(closed) > 1,
        any(t.kind is AgentKind.EMERGENCY and t.beacon for t in near),
        any(t.kind is walker and (_in_the_way(t) or _comes(t)) for t in near),
        _crashed([t for t in vehicles if t.speed_mps < REST_MPS], sight),
        any(t.kind is AgentKind.DEBRIS and _in_the_way(t) for t in near),
        any(t.kind is AgentKind.BICYCLE and _in_the_way(t) for t in near),
        any(t.hazards for t in vehicles),
        any(t.brakes and t.speed_mps > REST_MPS and _in_the_way(t) for t in vehicles),
    )
    return [name for name, is_there in zip(EDGE_CASES, found, strict=True) if is_there]


def _crashed(standing: Sequence[Thing], sight: Sight) -> bool:
    """Two vehicles stand nearly touching and askew."""
    return any(
        sight.apart_m(a, b) < CRASH_GAP_M and abs(math.sin(a.heading - b.heading)) > math.sin(CRASH_TURN_RAD)
        for a, b in combinations(standing, 2)
    )


def _side(value: float) -> str:
    return "left" if value > 0 else "right"


def _in_the_way(thing: Thing) -> bool:
    return abs(thing.lateral_m) < IN_LANE_M + thing.size_m[1] / 2 - 0.5 and not thing.overhead


def _comes(thing: Thing) -> bool:
    return thing.towards_mps > CROSSING_MPS and abs(thing.lateral_m) < BESIDE_M and not thing.overhead


def _seen_cue(sight: Sight, observer: Observer) -> Sequence[Thing | SeenSignal]:
    cue = observer.scene.cue
    if cue.kind is CueKind.AGENT:
        return [thing for thing in sight.things if thing.id in cue.ids]
    if cue.kind is CueKind.SIGNAL:
        faces = [signal for signal in (sight.light, sight.sign) if signal and signal.id in cue.ids]
        return [signal for signal in faces if signal.word != "green"]  # green asks nobody to slow down
    return ()


def _demands(sight: Sight, observer: Observer) -> list[Reason]:
    """What is seen to ask for braking, the strongest first."""
    speed = max(float(observer.scene.ego_velocities[sight.step, 0]), 0.0)
    found = [_thing_demand(thing, speed, sight, observer) for thing in sight.things]
    if sight.light is not None and sight.light.word != "green" and sight.light.gap_m > -STANDSTILL_GAP_M:
        found.append(because(sight.light, sight, _stopping(speed, sight.light.gap_m)))
    if sight.sign is not None and sight.sign.gap_m > -STANDSTILL_GAP_M:
        found.append(because(sight.sign, sight, _stopping(speed, sight.sign.gap_m)))
    found.append(_bend_demand(sight, observer, speed))
    return sorted((demand for demand in found if demand is not None), key=lambda demand: -demand.needed_mps2)


def _stopping(speed: float, gap_m: float) -> float:
    """Braking that stops within a gap; at rest near the line, holding still counts as `ASKS_FOR_MPS2` and a bit."""
    resting = 2 * ASKS_FOR_MPS2 if speed < CREEP_MPS and gap_m < 4 * STANDSTILL_GAP_M else 0.0
    return max(speed**2 / (2 * max(gap_m, 1.0)), resting)


def _thing_demand(thing: Thing, speed: float, sight: Sight, observer: Observer) -> Reason | None:
    """Braking towards what is in the way, or about to be."""
    gap = thing.ahead_m - observer.front_m - thing.size_m[0] / 2
    if thing.overhead or thing.ahead_m < observer.front_m or gap > 60.0:
        return None
    if _in_the_way(thing):
        along = thing.speed_mps if abs(thing.heading) < np.pi / 2 else -thing.speed_mps
        if thing.kind is AgentKind.PEDESTRIAN:
            along = 0.0
        closing = max(speed - along, 0.0)
        needed = closing**2 / (2 * max(gap - STANDSTILL_GAP_M, 0.5))
        if gap < STANDSTILL_GAP_M + HEADWAY_S * speed or (speed < CREEP_MPS and gap < 4 * STANDSTILL_GAP_M):
            needed = max(needed, 2 * ASKS_FOR_MPS2)
    elif _comes(thing):
        needed = _stopping(speed, max(gap - 1.0, 0.0))
    else:
        return None
    return because(thing, sight, needed)


def _bend_demand(sight: Sight, observer: Observer, speed: float) -> Reason | None:
    """Braking towards the speed at which the bends of the route are driven."""
    ahead = np.arange(0.0, BEND_AHEAD_M, BEND_STEP_M)
    headings = observer.route.at(observer.ego_s[sight.step] + ahead)[:, 2]
    bends = np.mod(headings[2:] - headings[:-2] + np.pi, 2 * np.pi) - np.pi
    pace2 = BEND_MPS2 * 2 * BEND_STEP_M / np.maximum(np.abs(bends), 1e-3)  # speed squared, m2/s2
    needed = (speed**2 - pace2) / (2 * np.maximum(ahead[1:-1], BEND_STEP_M))
    worst = int(needed.argmax())
    if needed[worst] <= 0:
        return None
    turn = _side(float(bends[worst]))
    return Reason(f"the road turns {turn}", "the road ahead", (), min(float(needed[worst]), BEND_MOST_MPS2))


def because(what: Thing | SeenSignal, sight: Sight, needed_mps2: float = 0.0) -> Reason:
    """The reason that something seen gives."""
    if isinstance(what, Thing):
        return Reason(_clause(what, sight), _about(what), (what.name,), needed_mps2)
    if what is sight.light:
        return Reason(f"the traffic light ahead is {what.word}", "the traffic light", (what.name,), needed_mps2)
    return Reason(f"there is {article(what.word)} ahead", f"the {what.word}", (what.name,), needed_mps2)


def _about(thing: Thing) -> str:
    return f"the {thing.noun}" if thing.noun != "object" else "the object on the road"


def _clause(thing: Thing, sight: Sight) -> str:
    """What a thing does that matters, from its kind, place and motion."""
    noun, turn = thing.noun, abs(thing.heading)
    if thing.kind is AgentKind.PEDESTRIAN:
        return "a pedestrian is crossing" if _in_the_way(thing) or _comes(thing) else "a pedestrian is near the road"
    if thing.kind in (AgentKind.CONE, AgentKind.BARRIER):
        return f"{plural(noun)} close the lane"
    if thing.kind is AgentKind.DEBRIS:
        return "an object lies on the road"
    if thing.kind is AgentKind.EMERGENCY and thing.beacon and not (thing is sight.lead and thing.speed_mps < REST_MPS):
        return "an emergency vehicle drives with its beacon on"
    if _in_the_way(thing) and turn < ONCOMING_RAD:
        if thing.speed_mps < REST_MPS:
            return f"{article(noun)} {'with hazard lights ' if thing.hazards else ''}stands in the lane"
        return f"the {noun} ahead {'brakes' if thing.brakes else 'is close'}"
    if turn > ONCOMING_RAD:
        return f"{article(noun)} is oncoming"
    if turn < SAME_WAY_RAD:
        return f"{article(noun)} {'moves in from' if _comes(thing) else 'is on'} the {_side(thing.lateral_m)}"
    return f"{article(noun)} crosses from the {_side(thing.lateral_m)}"


def _going(sight: Sight, does: Act) -> Reason:
    """Why the ego drives on."""
    lead = sight.lead
    if does.pace in ("set off", "speed up"):
        if sight.light is not None and sight.light.word == "green":
            return because(sight.light, sight)
        if lead is not None and lead.speed_mps > REST_MPS:
            return Reason(f"the {lead.noun} ahead drives on", _about(lead), (lead.name,))
        return Reason("the road ahead is free", "the road ahead")
    if does.turn:
        return Reason(f"the road turns {does.turn}", "the road ahead")
    if lead is not None and lead.speed_mps > REST_MPS and lead.gap_m < ZONE_M:
        return Reason(f"it follows the {lead.noun} ahead", _about(lead), (lead.name,))
    return Reason("the road ahead is free", "the road ahead")
