"""Questions and answers of a keyframe, derived from state and asked only about what the cameras show.

Kinds: ``exist``, ``count``, ``status`` (style of nuScenes-QA) and ``caption``. An object counts as seen from `SEEN_PX`
labelled pixels on; a question whose answer hangs on an object with fewer is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, UInt8

from eyesup.geometry.polyline import Polyline
from eyesup.geometry.projection import in_image, project
from eyesup.geometry.se2 import points_to_frame, wrap_angle
from eyesup.types import QA, AgentKind, CameraRig, Lights, Scene, SemanticClass, SignalState

SEEN_PX = 12  # at 256x144 and 70 degrees: a car's rear at about 60 m
LAMP_PX = 2
UNLIT_PX = 60  # seen this large, an unlit lamp can be told from a lit one
IN_LANE_M = 1.5  # lateral offset of a box centre from the route
AHEAD_M = 60.0
SIGNAL_WINDOW_PX = 6  # around the projected signal head
SAME_WAY_RAD = np.pi / 3  # we look at the back of a vehicle heading within this of the route

_COLOURS = {
    SignalState.RED: (SemanticClass.SIGNAL_RED, "red"),
    SignalState.AMBER: (SemanticClass.SIGNAL_AMBER, "amber"),
    SignalState.GREEN: (SemanticClass.SIGNAL_GREEN, "green"),
}
_NOUNS = {
    AgentKind.CAR: "car", AgentKind.VAN: "van", AgentKind.TRUCK: "truck", AgentKind.BUS: "bus",
    AgentKind.MOTORCYCLE: "motorcycle", AgentKind.BICYCLE: "cyclist", AgentKind.EMERGENCY: "emergency vehicle",
    AgentKind.PEDESTRIAN: "pedestrian", AgentKind.CONE: "traffic cone", AgentKind.BARRIER: "barrier",
    AgentKind.DEBRIS: "object",
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What the cameras show of a scene at one step.

    Attributes:
        pixels: (A,) int labelled pixels per agent, all cameras together.
        ahead_m: (A,) distance along the route from the ego's origin to the box centre [m]; negative behind.
        lateral_m: (A,) offset of the box centre from the route, left positive [m].
        brake_px: (A,) pixels of lit brake lamps.
        lead: Index of the nearest seen vehicle ahead in the ego's lane, or None.
        lead_certain: False when something too small to count stands in the lane ahead.
        light: Colour word of the signal that the route meets next, or None when its lamp is not seen.
    """

    pixels: np.ndarray
    ahead_m: np.ndarray
    lateral_m: np.ndarray
    brake_px: np.ndarray
    lead: int | None
    lead_certain: bool
    light: str | None


def visible_pixels(ids: np.ndarray, instances: Int32[np.ndarray, "C H W"]) -> np.ndarray:
    """(A,) int32 pixels of each agent over all cameras; `instances` holds agent id + 1, 0 for none."""
    found, counts = np.unique(instances, return_counts=True)
    table = dict(zip(found.tolist(), counts.tolist()))
    return np.array([table.get(int(agent) + 1, 0) for agent in ids], np.int32)


def questions(
    scene: Scene,
    step: int,
    rig: CameraRig,
    semantics: UInt8[np.ndarray, "C H W"],
    instances: Int32[np.ndarray, "C H W"],
    seed: int,
) -> tuple[QA, ...]:
    """Two to five questions with answers about one step.

    Whether the ``exist`` question is answered yes or no is drawn by a fair coin wherever both can be asked.

    Args:
        scene: The log.
        step: The step that the labels were drawn at.
        rig: Cameras of the labels.
        semantics: Class of each pixel.
        instances: Agent id + 1 of each pixel, 0 where there is none.
        seed: Decides which questions are asked.
    """
    rng = np.random.default_rng([seed, step, 0x51])
    seen = look(scene, step, rig, semantics, instances)
    found = [_exist(scene, seen, rng), _count(scene, seen, rng), _light(seen), _brakes(scene, step, seen)]
    return tuple(qa for qa in found if qa is not None) + (
        QA("Describe the scene.", caption(scene, step, seen), "caption"),
    )


def look(
    scene: Scene,
    step: int,
    rig: CameraRig,
    semantics: UInt8[np.ndarray, "C H W"],
    instances: Int32[np.ndarray, "C H W"],
) -> Seen:
    """Gather what is visible."""
    agents = scene.agents
    pixels = visible_pixels(agents.ids, instances)
    brake_px = visible_pixels(
        agents.ids, np.where(semantics == SemanticClass.BRAKE_LIGHT, instances, 0).astype(np.int32)
    )
    ahead, lateral = _along_route(scene, step, np.where(agents.valid[:, step, None], agents.poses[:, step, :2], 0.0))
    vehicle = np.array([AgentKind(kind).is_vehicle for kind in agents.kinds], bool)
    in_lane = agents.valid[:, step] & vehicle & (np.abs(lateral) < IN_LANE_M) & (ahead > 0) & (ahead < AHEAD_M)
    candidates = np.flatnonzero(in_lane & (pixels >= SEEN_PX))
    return Seen(
        pixels=pixels,
        ahead_m=ahead,
        lateral_m=lateral,
        brake_px=brake_px,
        lead=int(candidates[ahead[candidates].argmin()]) if len(candidates) else None,
        lead_certain=not (in_lane & (pixels > 0) & (pixels < SEEN_PX)).any(),
        light=_next_light(scene, step, rig, semantics),
    )


def caption(scene: Scene, step: int, seen: Seen) -> str:
    """One sentence: the vehicle ahead, the light, and who else is there."""
    parts = [_describe_lead(scene, step, seen)]
    if seen.light is not None:
        parts.append(f"the traffic light ahead is {seen.light}")
    others = [
        _plural(int(rows.sum()), noun)
        for noun, rows in _groups(scene, seen).items()
        if noun in ("pedestrian", "cyclist", "obstacle") and rows.any()
    ]
    sentence = " and ".join(parts)
    if others:
        sentence += f"; {_listed(others)} {'is' if others[0].startswith('1 ') and len(others) == 1 else 'are'} in view"
    return sentence[0].upper() + sentence[1:] + "."


def _describe_lead(scene: Scene, step: int, seen: Seen) -> str:
    if seen.lead is None:
        return "no vehicle is seen ahead in the ego lane"
    noun = _NOUNS[AgentKind(int(scene.agents.kinds[seen.lead]))]
    braking = _braking(scene, step, seen)
    lamps = {None: "", True: " with its brake lights on", False: ""}[braking]
    distance = 5 * max(1, round(seen.ahead_m[seen.lead] / 5))
    return f"{_article(noun)} {noun} is about {distance} m ahead in the ego lane{lamps}"


def _exist(scene: Scene, seen: Seen, rng: np.random.Generator) -> QA | None:
    answers: dict[str, bool] = {}
    if seen.lead_certain:
        answers["Is there a vehicle or a cyclist ahead in my lane?"] = seen.lead is not None
    for noun, rows in _groups(scene, seen).items():
        if noun != "vehicle" and _certain(scene, seen, noun):
            answers[f"Is there {_article(noun)} {noun} in view?"] = bool(rows.any())
    wanted = bool(rng.integers(2))
    chosen = [question for question, answer in answers.items() if answer == wanted] or list(answers)
    if not chosen:
        return None
    question = chosen[int(rng.integers(len(chosen)))]
    return QA(question, "yes" if answers[question] else "no", "exist")


def _count(scene: Scene, seen: Seen, rng: np.random.Generator) -> QA | None:
    groups = {noun: rows for noun, rows in _groups(scene, seen).items() if _certain(scene, seen, noun)}
    present = [noun for noun, rows in groups.items() if rows.any()]
    nouns = present if present and rng.random() < 0.8 else list(groups)
    if not nouns:
        return None
    noun = nouns[int(rng.integers(len(nouns)))]
    return QA(f"How many {noun}s are visible?", str(int(groups[noun].sum())), "count")


def _light(seen: Seen) -> QA | None:
    return None if seen.light is None else QA("What colour is the traffic light ahead?", seen.light, "status")


def _brakes(scene: Scene, step: int, seen: Seen) -> QA | None:
    braking = _braking(scene, step, seen)
    if braking is None:
        return None
    return QA("Are the brake lights of the vehicle ahead on?", "yes" if braking else "no", "status")


def _braking(scene: Scene, step: int, seen: Seen) -> bool | None:
    """Whether the vehicle ahead brakes, or None where the picture does not tell."""
    if seen.lead is None or not seen.lead_certain or scene.agents.kinds[seen.lead] == AgentKind.BICYCLE:
        return None
    heading = scene.agents.poses[seen.lead, step, 2]
    if abs(wrap_angle(heading - scene.ego_poses[step, 2])) > SAME_WAY_RAD:
        return None
    if scene.agents.lights[seen.lead, step] & Lights.BRAKE:
        return True if seen.brake_px[seen.lead] >= LAMP_PX else None
    return False if seen.pixels[seen.lead] >= UNLIT_PX else None


def _groups(scene: Scene, seen: Seen) -> dict[str, np.ndarray]:
    """Noun -> (A,) bool, seen agents of that group."""
    return {noun: rows & (seen.pixels >= SEEN_PX) for noun, rows in _members(scene).items()}


def _certain(scene: Scene, seen: Seen, noun: str) -> bool:
    """No member of the group is half seen: in the picture, but too small to count."""
    rows = _members(scene)[noun]
    return not (rows & (seen.pixels > 0) & (seen.pixels < SEEN_PX)).any()


def _members(scene: Scene) -> dict[str, np.ndarray]:
    tests: dict[str, Callable[[AgentKind], bool]] = {
        "vehicle": lambda kind: kind.is_vehicle and kind is not AgentKind.BICYCLE,
        "pedestrian": lambda kind: kind is AgentKind.PEDESTRIAN,
        "cyclist": lambda kind: kind is AgentKind.BICYCLE,
        "obstacle": lambda kind: kind in (AgentKind.CONE, AgentKind.BARRIER, AgentKind.DEBRIS),
    }
    kinds = [AgentKind(int(kind)) for kind in scene.agents.kinds]
    return {noun: np.array([test(kind) for kind in kinds], bool) for noun, test in tests.items()}


def _along_route(scene: Scene, step: int, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    route = Polyline(scene.route)
    s, lateral = route.project(xy)
    here, _ = route.project(scene.ego_poses[step, :2])
    return s - here, lateral


def _next_light(scene: Scene, step: int, rig: CameraRig, semantics: np.ndarray) -> str | None:
    """Colour of the nearest signal ahead that controls the route, if its lit lamp is in the picture."""
    on_route = set(scene.route_lane_ids)
    rows = [i for i, lanes in enumerate(scene.signals.stop_lane_ids) if on_route & set(lanes)]
    if not rows:
        return None
    ahead, _ = _along_route(scene, step, scene.signals.stop_points[rows])
    in_reach = [(distance, row) for distance, row in zip(ahead, rows) if -2.0 < distance < AHEAD_M]
    if not in_reach:
        return None
    nearest = min(in_reach)[0]
    states = {int(scene.signals.states[row, step]) for distance, row in in_reach if distance < nearest + 1.0}
    shown = [row for distance, row in in_reach if distance < nearest + 1.0]
    if len(states) != 1 or (state := SignalState(states.pop())) not in _COLOURS:
        return None
    label, word = _COLOURS[state]
    lamps = max(_lamp_pixels(scene, step, row, rig, semantics, label) for row in shown)
    return word if lamps >= LAMP_PX else None


def _lamp_pixels(scene: Scene, step: int, row: int, rig: CameraRig, semantics: np.ndarray, label: SemanticClass) -> int:
    """Pixels of the lit lamp near where the signal head must appear, in the camera that shows most."""
    x, y, z, _ = scene.signals.poses[row]
    point = np.array([*points_to_frame(np.array([x, y]), scene.ego_poses[step]), z])
    best = 0
    for picture, camera in zip(semantics, rig):
        uv, depth = project(point, camera)
        if in_image(uv, depth, camera):
            radius = SIGNAL_WINDOW_PX + camera.intrinsics[0, 0] * 0.6 / float(depth)  # half a signal head
            u, v = float(uv[0]), float(uv[1])
            rows = slice(max(0, int(v - radius)), int(v + radius) + 1)
            columns = slice(max(0, int(u - radius)), int(u + radius) + 1)
            best = max(best, int((picture[rows, columns] == label).sum()))
    return best


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count > 1 else ''}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
