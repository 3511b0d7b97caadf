"""The road bends where a car that goes straight on would leave it. Cue: the road."""

from __future__ import annotations

import numpy as np
import shapely

from eyesup.geometry.boxes import box_corners
from eyesup.types import Cue, CueKind, Props
from eyesup.world.bends import APPROACH_M
from eyesup.world.roads import Town
from eyesup.world.route import Route
from eyesup.world.scenarios.base import Scenario, dress
from eyesup.world.splits import BENDS, bend_of, load_town
from eyesup.world.stage import Stage

ARRIVAL_S = (5.0, 10.0)
NOTICED_S = 1.5  # the cue counts from this long before the bend
ROADS = ("bend_straight", "bend_decoy", *BENDS)  # that replace the bend in twins
PROP_GAP_M = 0.3


class Curve(Scenario):
    """Little traffic: the road alone decides."""

    vehicles, pedestrians = (3, 8), (0, 1)  # no sidewalks here
    cruise_mps = (7.0, 12.5)

    @staticmethod
    def town(split: str, seed: int) -> Town:
        return bend_of(split, seed)

    def lane_chain(self, town: Town, rng: np.random.Generator, length_m: float) -> tuple[str, ...] | None:
        return ("main_0",)

    def start(self, route: Route, stop_s: list[float], cruise_mps: float, rng: np.random.Generator) -> float | None:
        latest = min(ARRIVAL_S[1], self.latest_s + NOTICED_S)
        return APPROACH_M - cruise_mps * float(rng.uniform(min(ARRIVAL_S[0], latest), latest))

    def set_stage(self, stage: Stage) -> None:
        dress(stage)

    def act(self, stage: Stage) -> None:
        if APPROACH_M - stage.ego_s < NOTICED_S * float(stage.ego.vx):
            stage.mark_cue()

    def props(self, stage: Stage) -> Props:
        """Scenery that stands on none of the roads of the twins."""
        props = super().props(stage)
        others = [kind for kind in ROADS if kind != stage.town.kind]
        for kind in others:
            other = load_town(kind, stage.town.seed).road_map
            area = shapely.union_all([shapely.Polygon(ring) for ring in other.drivable]).buffer(PROP_GAP_M)
            corners = box_corners(props.poses, props.sizes[:, 0], props.sizes[:, 1])
            keep = ~shapely.intersects(area, shapely.polygons(corners))
            props = Props(props.kinds[keep], props.poses[keep], props.sizes[keep], props.looks[keep])
        return props

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.ROAD)
