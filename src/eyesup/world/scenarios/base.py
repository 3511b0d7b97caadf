"""What a scenario is: how it picks a route, sets the stage, directs the actors, and what its cue is."""

from __future__ import annotations

import numpy as np

from eyesup.types import Cue, Lights, Props
from eyesup.world.roads import Town
from eyesup.world.route import Route, draw_lane_chain
from eyesup.world.scenery import build_props
from eyesup.world.splits import town_of
from eyesup.world.stage import Stage, without_overlaps

KEYFRAME_STEPS = 5  # 2 Hz
ALIGNED_SHARE = 0.6  # of the logs in which an event first shows in a keyframe, before the ego has answered it
CARS = ("hatchback", "sedan", "suv", "van")


class Scenario:
    """A log's script; one object per log. The base class is an uneventful drive in town traffic.

    Attributes:
        vehicles, pedestrians: Range of how many move about the town.
        cruise_mps: Range of the ego's speed on a free road.
        has_cue: Whether something is staged that must come to matter (`Stage.mark_cue`).
    """

    vehicles: tuple[int, int] = (45, 90)
    pedestrians: tuple[int, int] = (20, 50)
    cruise_mps: tuple[float, float] = (6.5, 13.5)
    has_cue: bool = True

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

    def set_stage(self, stage: Stage) -> None:
        """Place the actors, before step 0."""

    def act(self, stage: Stage) -> None:
        """Direct the actors; what is ordered at a step shows at the next."""

    def props(self, stage: Stage) -> Props:
        """Scenery along the route, without what would stand in a standing car."""
        props = build_props(stage.town.road_map, stage.town.seed, stage.route.xy[::16])
        return without_overlaps(props, np.array([s.pose for s in stage.standing]).reshape(-1, 3), 3.5)

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        """What decides the expert's plan; `ids` gives the agents' ids by name."""
        return Cue()


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


def put_lead(stage: Stage, name: str, gap_m: float, cap_mps: float) -> None:
    """A car ahead of the ego on its route, about as fast as the ego but never faster than `cap_mps`, with nothing in between."""
    speed = min(float(stage.ego.vx), cap_mps)
    stage.clear(stage.ego_s, stage.ego_front_s + gap_m + 40.0)
    stage.put_on_route(name, draw_body(stage.rng), stage.ego_front_s + gap_m, speed)
    stage.traffic.cap_speed(name, cap_mps)
