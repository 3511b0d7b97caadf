"""What a scenario is: how it picks a route, sets the stage, directs the actors, and what its cue is."""

from __future__ import annotations

from enum import Enum

import numpy as np

from eyesup.types import PACIFICA, Cue, Lights, Props
from eyesup.world.roads import Town
from eyesup.world.route import PATH_STEP_M, Route, draw_lane_chain
from eyesup.world.scenery import build_props
from eyesup.world.splits import town_of
from eyesup.world.stage import Stage, without_overlaps

KEYFRAME_STEPS = 5  # 2 Hz
ALIGNED_SHARE = 0.6  # of the logs in which an event first shows in a keyframe, before the ego has answered it
STOPPING_ROOM_M = 12.0  # from 10 m/s with 4 m/s^2
CARS = ("hatchback", "sedan", "suv", "van")
PARKED_SHARE = 0.65  # of the places in a row at the kerb are taken
ROW_GAP_M = 8.0  # between a row of parked cars and a junction
AFTER_LAST_S = 5.0  # of log after its last keyframe
ROUTE_SPARE_M = 40.0  # of route beyond the end of the log
MIN_START_M, START_GAP_M = 6.0, 5.0  # to the route's begin, and to junctions
LEAD_IN_M = 150.0  # of route more where the place of an event decides the start
WAY_CLEARANCE_M = 1.6  # around the middle of a scripted actor
FREE_ACCEL_MPS2 = 1.2  # assumed of the ego on a free road


class Ability(Enum):
    """What a scenario asks of a driver: the five abilities of Bench2Drive (arXiv 2406.03877)."""

    OVERTAKING = "overtaking"
    MERGING = "merging"
    EMERGENCY_BRAKE = "emergency brake"
    GIVE_WAY = "give way"
    TRAFFIC_SIGNS = "traffic signs"


class EdgeCase(Enum):
    """Rare things that a planner must not meet for the first time on the road."""

    CONSTRUCTION_ZONE = "construction zone"
    EMERGENCY_VEHICLE = "emergency vehicle"
    PEDESTRIAN_DART_OUT = "pedestrian stepping out"
    ACCIDENT_AHEAD = "accident ahead"


class Scenario:
    """A log's script; one object per log. The base class is an uneventful drive in town traffic.

    Attributes:
        ability: Which of Bench2Drive's abilities it tests, if one.
        edge_case: Which edge case it is, if one.
        vehicles, pedestrians: Range of how many move about the town.
        cruise_mps: Range of the ego's speed on a free road.
        has_cue: Whether something is staged that must come to matter (`Stage.mark_cue`).
        from_behind: The cue decides before any camera that looks ahead shows it.
    """

    ability: Ability | None = None
    edge_case: EdgeCase | None = None
    vehicles: tuple[int, int] = (45, 90)
    pedestrians: tuple[int, int] = (20, 50)
    cruise_mps: tuple[float, float] = (6.5, 13.5)
    has_cue: bool = True
    from_behind: bool = False

    def __init__(self, latest_s: float) -> None:
        """`latest_s`: time of the log's last keyframe; what matters must begin before."""
        self.latest_s = latest_s

    @staticmethod
    def town(split: str, seed: int) -> Town:
        """Where it takes place."""
        return town_of(split, seed)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        """A chain of lanes of at least that length, or None if the draw got stuck."""
        return draw_lane_chain(town.road_map, rng, length_m)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        """Arc length at which the ego starts, or None if the route does not fit.

        Args:
            route: Candidate.
            stop_s: Stop lines of signals on it [m].
            cruise_mps: Speed on a free road.
            rng: Draws.
        """
        return float(rng.uniform(6.0, 25.0))

    def draw_arrival(self, rng: np.random.Generator, range_s: tuple[float, float], reaction_s: float = 0.0) -> float:
        """When a free ego comes to an event that matters `reaction_s` before: in the range, and not too late for the log."""
        latest = min(range_s[1], self.latest_s + reaction_s)
        return float(rng.uniform(min(range_s[0], latest), latest))

    def suits(self, route: Route, start_s: float, cruise_mps: float) -> bool:
        """Whether an ego may start there: on a road, clear of junctions, with route enough up to the end of the log."""
        end_s = start_s + cruise_mps * (self.latest_s + AFTER_LAST_S) + ROUTE_SPARE_M
        beside = np.array([start_s, start_s + 6.0])
        return start_s > MIN_START_M and end_s < route.length_m and not route.in_junction(beside, START_GAP_M).any()

    def set_stage(self, stage: Stage) -> None:
        """Place the actors, before step 0."""

    def act(self, stage: Stage) -> None:
        """Direct the actors; what is ordered at a step shows at the next."""

    def props(self, stage: Stage) -> Props:
        """Scenery along the route, without what would stand in a standing car or in a scripted actor's way."""
        props = build_props(stage.town.road_map, stage.town.seed, stage.route.xy[::16])
        props = without_overlaps(props, np.array([s.pose for s in stage.standing]).reshape(-1, 3), 3.5)
        ways = [path.at(np.arange(0.0, path.length, 1.0)) for path in stage.paths]
        return without_overlaps(props, np.concatenate([np.zeros((0, 3)), *ways]), WAY_CLEARANCE_M)

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        """What decides the expert's plan; `ids` gives the agents' ids by name."""
        return Cue()


def on_time(stage: Stage, aligned: bool) -> bool:
    """Whether an order of now may be given: with `aligned` only so that it first shows in a keyframe."""
    return not aligned or (stage.step + 1) % KEYFRAME_STEPS == 0


def start_before(route: Route, s: float, seconds: float, cruise_mps: float) -> float:
    """Where a free drive at `cruise_mps`, slower in bends, is `seconds` before it comes to `s`; negative: off the route."""
    rows = slice(0, int(s / PATH_STEP_M) + 1)
    paces = PATH_STEP_M / np.minimum(route.speed_limits[rows], cruise_mps)
    left = np.cumsum(paces[::-1])
    row = int(np.searchsorted(left, seconds))
    return s - row * PATH_STEP_M if row < len(left) else -1.0


def time_to(stage: Stage, s: float) -> float:
    """Seconds until the ego's front comes to `s` if nobody hinders it; 0 where it is past it."""
    rows = np.arange(int(stage.ego_front_s / PATH_STEP_M), int(s / PATH_STEP_M))
    driven = (rows + 0.5) * PATH_STEP_M - stage.ego_front_s
    speeds = np.sqrt(float(stage.ego.vx) ** 2 + 2 * FREE_ACCEL_MPS2 * np.maximum(driven, 0.0) + 0.1)
    return float((PATH_STEP_M / np.minimum(speeds, np.minimum(stage.route.speed_limits[rows], stage.cruise_mps))).sum())


def draw_body(rng: np.random.Generator) -> str:
    """A car or van."""
    return CARS[int(rng.integers(len(CARS)))]


def dress(stage: Stage) -> None:
    """Stand some cars beside the road: same looks as a car that matters, no effect."""
    rng = stage.rng
    for _ in range(int(rng.choice(4, p=[0.35, 0.3, 0.2, 0.15]))):
        s = stage.ego_s + rng.uniform(15.0, 160.0)
        lights = [Lights.NONE, Lights.BRAKE, Lights.HAZARD][int(rng.choice(3, p=[0.4, 0.3, 0.3]))]
        stage.park(float(s), int(rng.choice([-1, 1])), draw_body(rng), lights)


def park_row(stage: Stage, s: float, near_m: float) -> None:
    """Stand a row of parked cars at the right kerb around arc length `s`, with gaps."""
    rng = stage.rng
    places = s + np.concatenate([-np.cumsum(rng.uniform(6.5, 12.0, 2)), np.cumsum(rng.uniform(9.0, 14.0, 3))])
    for place in places[rng.random(len(places)) < PARKED_SHARE]:
        if not stage.route.in_junction(np.array(place), ROW_GAP_M):
            stage.park(float(place), -1, draw_body(rng), near_m=near_m)


def put_lead(stage: Stage, name: str, gap_m: float, cap_mps: float) -> None:
    """A car ahead of the ego on its route, about as fast as the ego but never faster than `cap_mps`, with nothing in between."""
    speed = min(float(stage.ego.vx), cap_mps)
    stage.clear(stage.ego_s, stage.ego_front_s + gap_m + 40.0)
    stage.put_on_route(name, draw_body(stage.rng), stage.ego_front_s + gap_m, speed)
    stage.traffic.cap_speed(name, cap_mps)


def starts_at_stop(start_s: float, stop_s: list[float]) -> bool:
    """Whether an ego that starts there at speed could hardly stop at the next stop line."""
    front = start_s + PACIFICA.front_m
    return any(0.0 < stop - front < STOPPING_ROOM_M for stop in stop_s)
