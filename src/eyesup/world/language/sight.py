"""What the cameras show of a scene at one step: the only thing that questions are asked about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int32, UInt8

from eyesup.geometry.boxes import box_corners, box_distance
from eyesup.geometry.polyline import Polyline
from eyesup.geometry.projection import in_image, project
from eyesup.geometry.se2 import points_to_frame, rotate, to_frame
from eyesup.types import AgentKind, CameraRig, Lights, Scene, SemanticClass, SignalState
from eyesup.world.language.words import COLOURS, NOUNS, SECTORS, SIGNS

SEEN_PX = 12  # at 256x144 and 70 degrees: a car's rear at about 60 m
LAMP_PX = 2
UNLIT_PX = 60  # seen this large, an unlit lamp can be told from a lit one
SIGN_PX = 4
IN_LANE_M = 1.5  # lateral offset of a box centre from the route
AHEAD_M = 60.0
OVERHEAD_M = 2.5  # what hangs higher than this is in nobody's way
SIGNAL_WINDOW_PX = 6  # around the projected signal head
SAME_WAY_RAD = np.pi / 3  # we look at the back of a vehicle heading within this of the ego
MOVING_MPS, STANDING_MPS = 0.5, 0.2  # between the two nobody can tell
ON_LANE_M, OFF_LANE_M = 1.6, 2.1  # offset of a standing vehicle's centre from a lane: on it, beside it
SECTOR_MARGIN_RAD = np.deg2rad(4.0)  # nearer to the border of two sectors than this, it is in neither
CLASSES = len(SemanticClass)

_LAMPS = {
    SignalState.RED: SemanticClass.SIGNAL_RED,
    SignalState.AMBER: SemanticClass.SIGNAL_AMBER,
    SignalState.GREEN: SemanticClass.SIGNAL_GREEN,
    SignalState.STOP_SIGN: SemanticClass.STOP_SIGN,
    SignalState.YIELD_SIGN: SemanticClass.YIELD_SIGN,
}
_WARNINGS = (SemanticClass.INDICATOR, SemanticClass.BEACON)


@dataclass(frozen=True, slots=True)
class Thing:
    """An agent that the cameras show.

    Attributes:
        id: The agent's id.
        kind, noun: What it is.
        x, y, heading: Box centre [m] and heading [rad] in the ego frame.
        size_m: Length, width, height.
        speed_mps: Over the ground.
        towards_mps: Speed across the route, towards it (positive) or away from it.
        ahead_m: Distance along the route from the ego's origin to the box centre; negative behind.
        lateral_m: Offset of the box centre from the route, left positive.
        gap_m: From the centre of the ego's front bumper to the nearest point of its box on the ground.
        sector: One of `SECTORS` around the front bumper, or None near a border.
        pixels: Labelled pixels, all cameras together.
        brakes: Its brake lamps are lit (True), dark (False), or the pictures do not tell (None).
        hazards, beacon: Lit, and seen to be.
        status: ``moving``, ``stopped`` (vehicles on a lane), ``parked`` (beside one), ``standing`` (people), or None where
            it is neither clearly moving nor clearly at rest, and for things.
        overhead: It hangs above the road.
        name: How answers refer to it, ``agent-7``.
    """

    id: int
    kind: AgentKind
    noun: str
    x: float
    y: float
    heading: float
    size_m: tuple[float, float, float]
    speed_mps: float
    towards_mps: float
    ahead_m: float
    lateral_m: float
    gap_m: float
    sector: str | None
    pixels: int
    brakes: bool | None
    hazards: bool
    beacon: bool
    status: str | None
    overhead: bool
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"agent-{self.id}")


@dataclass(frozen=True)
class SeenSignal:
    """A signal or sign of the route whose face the pictures show. `gap_m`: from the ego's front bumper to the stop line."""

    id: int
    word: str
    gap_m: float

    @property
    def name(self) -> str:
        return f"signal-{self.id}"


@dataclass(frozen=True)
class Sight:
    """What the cameras show of a scene at one step.

    Attributes:
        step: The step.
        things: Agents with at least `SEEN_PX` labelled pixels, nearest first.
        faint: Agents that show fewer: too small or too hidden to be counted, too visible to be denied.
        lead: The nearest vehicle ahead in the ego's lane.
        lead_certain: False when something faint stands in the lane ahead.
        light: The traffic light that the route meets next, if its lit lamp is seen.
        sign: The stop or yield sign that the route meets next, if it is seen.
        sectors: Those of `SECTORS` that the cameras cover.
    """

    step: int
    things: tuple[Thing, ...]
    faint: tuple[Thing, ...]
    lead: Thing | None
    lead_certain: bool
    light: SeenSignal | None
    sign: SeenSignal | None
    sectors: tuple[str, ...]

    def apart_m(self, a: Thing, b: Thing) -> float:
        """Between the nearest points of the boxes of two things, faint ones included, on the ground."""
        return self._apart[a.id][b.id]

    @cached_property
    def _apart(self) -> dict[int, dict[int, float]]:
        things = (*self.things, *self.faint)
        poses = np.array([[t.x, t.y, t.heading] for t in things]).reshape(-1, 3)
        sizes = np.array([t.size_m[:2] for t in things]).reshape(-1, 2)
        corners = box_corners(poses, sizes[:, 0], sizes[:, 1])
        apart = box_distance(corners[:, None], corners[None]).tolist()
        ids = [thing.id for thing in things]
        return {a: dict(zip(ids, row)) for a, row in zip(ids, apart)}

    @cached_property
    def by_noun(self) -> dict[str, Thing]:
        """Noun -> the nearest thing of that name, where no other could be meant."""
        found: dict[str, Thing] = {}
        for noun in dict.fromkeys(thing.noun for thing in self.things):
            first, *rest = [thing for thing in self.things if thing.noun == noun]
            others = [*rest, *(thing for thing in self.faint if thing.noun == noun)]
            if noun != NOUNS[AgentKind.DEBRIS] and all(thing.gap_m > first.gap_m + 1.0 for thing in others):
                found[noun] = first
        return found


class Observer:
    """Looks at the steps of one log through one rig."""

    def __init__(self, scene: Scene, rig: CameraRig) -> None:
        self.scene, self.rig = scene, rig
        self.route = Polyline(scene.route)
        on_route = set(scene.route_lane_ids)
        self.signals = [i for i, lanes in enumerate(scene.signals.stop_lane_ids) if on_route & set(lanes)]
        self.stops_s = self.route.project(scene.signals.stop_points[self.signals])[0]
        self.ego_s, self.ego_offset = self.route.project(scene.ego_poses[:, :2])
        self.front_m = scene.vehicle.front_m
        self.sectors = _covered(rig)
        self._standing: dict[tuple[int, float, float], bool | None] = {}

    @cached_property
    def lane_segments(self) -> tuple[np.ndarray, np.ndarray]:
        """(S, 2) starts and (S, 2) ends of the pieces of all centrelines."""
        lines = [lane.centerline for lane in self.scene.road_map.lanes] or [np.zeros((0, 2))]
        return np.concatenate([line[:-1] for line in lines]), np.concatenate([line[1:] for line in lines])

    def look(self, step: int, semantics: UInt8[np.ndarray, "C H W"], instances: Int32[np.ndarray, "C H W"]) -> Sight:
        """What is to be seen at a step.

        Args:
            step: The step that the labels were drawn at.
            semantics: Class of each pixel.
            instances: Agent id + 1 of each pixel, 0 where there is none.
        """
        agents = self.scene.agents
        pixels = _pixels(agents.ids, semantics, instances)  # (A, classes)
        rows = np.flatnonzero((pixels.sum(axis=1) > 0) & agents.valid[:, step])
        things = sorted(self._things(step, rows, pixels[rows]), key=lambda thing: (thing.gap_m, thing.id))
        seen = tuple(thing for thing in things if thing.pixels >= SEEN_PX)
        faint = tuple(thing for thing in things if thing.pixels < SEEN_PX)
        ahead = min((t for t in seen if _in_lane_ahead(t)), key=lambda t: t.ahead_m, default=None)
        light, sign = self._signals(step, semantics)
        return Sight(
            step, seen, faint, ahead, not any(_in_lane_ahead(thing) for thing in faint), light, sign, self.sectors
        )

    def _things(self, step: int, rows: np.ndarray, pixels: np.ndarray) -> list[Thing]:
        if not len(rows):
            return []
        agents, ego = self.scene.agents, self.scene.ego_poses[step]
        poses = to_frame(agents.poses[rows, step], ego)
        velocities = rotate(agents.velocities[rows, step].astype(np.float64), -ego[2])
        s, lateral = self.route.project(agents.poses[rows, step, :2])
        track = self.route.at(s)[:, 2] - ego[2]
        across = velocities[:, 1] * np.cos(track) - velocities[:, 0] * np.sin(track)
        speeds = np.hypot(velocities[:, 0], velocities[:, 1])
        gaps = _gaps(poses, agents.sizes[rows], self.front_m)
        found = []
        for i, row in enumerate(rows):
            kind, lights = AgentKind(int(agents.kinds[row])), int(agents.lights[row, step])
            x, y, heading = (float(value) for value in poses[i])
            wx, wy = (float(value) for value in agents.poses[row, step, :2])
            length, width, height = (float(value) for value in agents.sizes[row])
            total, lamps = int(pixels[i].sum()), {label: int(pixels[i, label]) >= LAMP_PX for label in _WARNINGS}
            found.append(
                Thing(
                    id=int(agents.ids[row]), kind=kind, noun=NOUNS[kind], x=x, y=y, heading=heading, size_m=(length, width, height),
                    speed_mps=float(speeds[i]), towards_mps=float(-np.sign(lateral[i]) * across[i]),
                    ahead_m=float(s[i] - self.ego_s[step]), lateral_m=float(lateral[i]), gap_m=float(gaps[i]),
                    sector=sector_of(x - self.front_m, y), pixels=total,
                    brakes=_brakes(kind, lights, heading, total, int(pixels[i, SemanticClass.BRAKE_LIGHT])),
                    hazards=lights & Lights.HAZARD == Lights.HAZARD and lamps[SemanticClass.INDICATOR],
                    beacon=bool(lights & Lights.BEACON) and lamps[SemanticClass.BEACON],
                    status=self._status(kind, float(speeds[i]), int(row), (wx, wy)),
                    overhead=float(agents.bottom_z[row, step]) > OVERHEAD_M,
                )
            )  # fmt: skip
        return found

    def _status(self, kind: AgentKind, speed_mps: float, row: int, xy: tuple[float, float]) -> str | None:
        if not (kind.is_vehicle or kind is AgentKind.PEDESTRIAN):
            return None
        if speed_mps > MOVING_MPS:
            return "moving"
        if speed_mps > STANDING_MPS:
            return None
        if kind is AgentKind.PEDESTRIAN:
            return "standing"
        beside = self._beside_lanes(row, xy)
        return None if beside is None else "parked" if beside else "stopped"

    def _beside_lanes(self, row: int, xy: tuple[float, float]) -> bool | None:
        """Whether a standing vehicle stands beside all lanes (True), on one (False), or in between (None)."""
        if (row, *xy) not in self._standing:  # it will stand there at other steps too
            starts, ends = self.lane_segments
            edges, offset = ends - starts, np.array(xy) - starts
            share = np.clip((offset * edges).sum(-1) / np.maximum((edges * edges).sum(-1), 1e-9), 0.0, 1.0)
            apart = np.linalg.norm(offset - share[:, None] * edges, axis=-1).min(initial=np.inf)
            self._standing[(row, *xy)] = False if apart < ON_LANE_M else True if apart > OFF_LANE_M else None
        return self._standing[(row, *xy)]

    def _signals(self, step: int, semantics: np.ndarray) -> tuple[SeenSignal | None, SeenSignal | None]:
        """The nearest light and the nearest sign ahead that control the route, if the pictures show their faces."""
        gaps = self.stops_s - self.ego_s[step] - self.front_m
        reach = [(float(gap), row) for gap, row in zip(gaps, self.signals) if -self.front_m - 2.0 < gap < AHEAD_M]
        states = {row: SignalState(int(self.scene.signals.states[row, step])) for _, row in reach}
        light = self._face(step, semantics, [pair for pair in reach if not states[pair[1]].is_sign], states, LAMP_PX)
        sign = self._face(step, semantics, [pair for pair in reach if states[pair[1]].is_sign], states, SIGN_PX)
        return light, sign

    def _face(
        self, step: int, semantics: np.ndarray, reach: list[tuple[float, int]], states: dict[int, SignalState], least: int
    ) -> SeenSignal | None:  # fmt: skip
        if not reach:
            return None
        gap = min(reach)[0]
        heads = [row for distance, row in reach if distance < gap + 1.0]  # one stop line may have several heads
        state = states[heads[0]]
        if state not in _LAMPS or any(states[row] is not state for row in heads):
            return None
        pixels = [self._face_pixels(step, row, semantics, _LAMPS[state]) for row in heads]
        best = int(np.argmax(pixels))
        if pixels[best] < least:
            return None
        word = COLOURS[state] if state in COLOURS else SIGNS[state]
        return SeenSignal(int(self.scene.signals.ids[heads[best]]), word, gap)

    def _face_pixels(self, step: int, row: int, semantics: np.ndarray, label: SemanticClass) -> int:
        """Pixels of the lamp or plate near where it must appear, in the camera that shows most."""
        x, y, z, _ = self.scene.signals.poses[row]
        point = np.array([*points_to_frame(np.array([x, y]), self.scene.ego_poses[step]), z])
        best = 0
        for picture, camera in zip(semantics, self.rig):
            uv, depth = project(point, camera)
            if in_image(uv, depth, camera):
                radius = SIGNAL_WINDOW_PX + camera.intrinsics[0, 0] * 0.6 / float(depth)  # half a signal head
                u, v = float(uv[0]), float(uv[1])
                window = picture[
                    max(0, int(v - radius)) : int(v + radius) + 1, max(0, int(u - radius)) : int(u + radius) + 1
                ]
                best = max(best, int((window == label).sum()))
        return best


def look(
    scene: Scene,
    step: int,
    rig: CameraRig,
    semantics: UInt8[np.ndarray, "C H W"],
    instances: Int32[np.ndarray, "C H W"],
) -> Sight:
    """`Observer.look` of a single step."""
    return Observer(scene, rig).look(step, semantics, instances)


def sector_of(x: float, y: float) -> str | None:
    """Which of `SECTORS` a vector points to; None near a border."""
    turn = math.atan2(y, x) / (math.pi / 3)
    sixth = round(turn)
    return SECTORS[sixth % 6] if abs(turn - sixth) < 0.5 - SECTOR_MARGIN_RAD / (np.pi / 3) else None


def _pixels(ids: np.ndarray, semantics: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """(A, classes) pixels of each agent by class."""
    flat = instances.reshape(-1)
    shown = np.flatnonzero(flat != 0)
    owners, rows = np.unique(ids, return_inverse=True)
    place = np.searchsorted(owners, flat[shown] - 1)
    inside = place < len(owners)
    inside[inside] = owners[place[inside]] == flat[shown][inside] - 1
    cells = place[inside] * CLASSES + semantics.reshape(-1)[shown][inside]
    counts = np.bincount(cells, minlength=len(owners) * CLASSES).reshape(len(owners), CLASSES)
    return counts[rows]


def _gaps(poses: np.ndarray, sizes: np.ndarray, front_m: float) -> np.ndarray:
    """(A,) distance from the front bumper's centre to each box on the ground."""
    corner = to_frame(np.array([[front_m, 0.0, 0.0]]), poses)[:, :2]  # the bumper in each box's own frame
    beyond = np.maximum(np.abs(corner) - 0.5 * sizes[:, :2], 0.0)
    return np.hypot(beyond[:, 0], beyond[:, 1])


def _in_lane_ahead(thing: Thing) -> bool:
    return (
        thing.kind.is_vehicle
        and abs(thing.lateral_m) < IN_LANE_M
        and 0 < thing.ahead_m < AHEAD_M
        and not thing.overhead
    )


def _brakes(kind: AgentKind, lights: int, heading: float, pixels: int, lamp_px: int) -> bool | None:
    if not kind.is_vehicle or kind is AgentKind.BICYCLE or abs(heading) > SAME_WAY_RAD:
        return None
    if lights & Lights.BRAKE:
        return True if lamp_px >= LAMP_PX else None
    return False if pixels >= UNLIT_PX else None


def _covered(rig: CameraRig) -> tuple[str, ...]:
    """Sectors all of whose bearings lie in some camera's picture."""
    bearings = np.deg2rad(np.arange(-180.0, 180.0, 5.0))
    points = np.stack([50.0 * np.cos(bearings), 50.0 * np.sin(bearings), np.full(len(bearings), 1.0)], axis=-1)
    seen = np.any([in_image(*project(points, camera), camera) for camera in rig], axis=0)
    found = [sector_of(float(np.cos(bearing)), float(np.sin(bearing))) for bearing in bearings]
    return tuple(sector for sector in SECTORS if all(shown for shown, place in zip(seen, found) if place == sector))
