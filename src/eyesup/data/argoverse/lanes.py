"""Which lanes a car drives, from its poses and the map; and from them its route and the commands of a navigation.

Argoverse records no navigation. Two rules stand in for it:

* ``ahead``: the lane in which the car was found up to now, and where that leads; at a fork, the straightest way on. A car in a lane
  that only turns, or in the middle of a turn, is told so, one that may choose is not. Nothing after t is looked at.
* ``driven``: the lanes that were driven to the log's end. The turn is known 35 m ahead, as a navigation would know it; but it is
  derived from the future, so every record made with it is stamped privileged.

Lanes are found by the Viterbi algorithm: the likeliest chain of lanes given distance and direction at every step.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64

from eyesup.geometry.polyline import Polyline
from eyesup.geometry.se2 import wrap_angle
from eyesup.types import DataError, Lane, Maneuver, RoadMap
from eyesup.world.route import Route, make_route

CommandRule = Literal["ahead", "driven"]
BESIDE_M = 1.0  # standard deviations of a car from its lane
ASKEW_RAD = np.radians(15.0)
LANE_CHANGE = 4.0  # cost of going over to a neighbour, in squared standard deviations
JUMP = 1000.0  # of going where no link leads: the map has a gap
BEND = 0.01  # per radian that a lane turns: of lanes on top of each other, the straighter
AHEAD_M = 60.0  # the route goes on so far beyond the last lane


class DrivenLanes:
    """The lanes of a drive: `at(t)` from the poses up to t alone, `at(last step)` of the whole drive.

    Args:
        road_map: With at least one lane.
        poses: (T, 3) of the rear axle, the map's frame.
    """

    def __init__(self, road_map: RoadMap, poses: Float64[np.ndarray, "T 3"]) -> None:
        if not road_map.lanes:
            raise DataError("the map has no driving lanes; there is nothing to drive along")
        self.poses = poses
        self.lanes = road_map.lanes
        self._places = {lane.id: place for place, lane in enumerate(self.lanes)}
        self._totals, self._before = self._search()
        self._route = lru_cache(maxsize=None)(self._linked)

    def at(self, step: int) -> tuple[str, ...]:
        """Ids of the lanes driven up to a step, in order; no pose after it is looked at."""
        place = int(self._totals[step].argmin())
        chain = [place]
        for earlier in range(step, 0, -1):
            place = int(self._before[earlier, place])
            if place != chain[-1]:
                chain.append(place)
        return self._without_changes([self.lanes[place] for place in reversed(chain)])

    def route(self, step: int) -> Route:
        """The lanes driven up to a step, and on from there by the straightest links."""
        return self._route(self.at(step))

    def maneuvers(self, rule: CommandRule) -> tuple[Maneuver, ...]:
        """The command at every step."""
        if rule not in get_args(CommandRule):
            raise DataError(f"command rule {rule!r} is unknown; choose one of {', '.join(get_args(CommandRule))}")
        last = len(self.poses) - 1
        routes = [self.route(last if rule == "driven" else step) for step in range(len(self.poses))]
        return tuple(route.maneuver_at(route.project(*pose)) for route, pose in zip(routes, self.poses.tolist()))

    def _search(self) -> tuple[np.ndarray, np.ndarray]:
        """(T, L) cost of the best chain that ends in each lane at each step, and the lane before it."""
        costs, links = self._costs(), self._links()
        totals, before = np.zeros_like(costs), np.zeros(costs.shape, np.int64)
        totals[0] = costs[0]
        for step in range(1, len(costs)):
            ways = totals[step - 1][:, None] + links
            before[step] = ways.argmin(axis=0)
            totals[step] = ways.min(axis=0) + costs[step]
        return totals, before

    def _costs(self) -> Float64[np.ndarray, "T L"]:
        """Squared standard deviations of each pose from each lane."""
        columns = []
        for lane in self.lanes:
            line = Polyline(lane.centerline)
            near = line.at(line.project(self.poses[:, :2])[0])
            beside = np.linalg.norm(near[:, :2] - self.poses[:, :2], axis=1) / BESIDE_M
            askew = np.asarray(wrap_angle(near[:, 2] - self.poses[:, 2])) / ASKEW_RAD
            columns.append(beside**2 + askew**2 + BEND * abs(_turn(lane)))
        return np.stack(columns, axis=1)

    def _links(self) -> Float64[np.ndarray, "L L"]:
        """Cost of being in a lane (column) one step after another (row)."""
        links = np.full((len(self.lanes),) * 2, JUMP)
        for row, lane in enumerate(self.lanes):
            for name, cost in [
                (lane.left, LANE_CHANGE),
                (lane.right, LANE_CHANGE),
                *((s, 0.0) for s in lane.successors),
            ]:
                if name in self._places:
                    links[row, self._places[name]] = cost
        np.fill_diagonal(links, 0.0)
        return links

    def _without_changes(self, lanes: list[Lane]) -> tuple[str, ...]:
        """The chain as if the last lane of each road had been driven all along it: lanes side by side cannot follow each other.

        Before a change the neighbours of the lanes driven are taken, as far back as these lead into the new lane.
        """
        kept: list[Lane] = []
        for lane in lanes:
            if kept and lane.id in (kept[-1].left, kept[-1].right):
                kept.pop()
                self._move_over(kept, lane)
            kept.append(lane)
        return tuple(lane.id for lane in kept)

    def _move_over(self, kept: list[Lane], lane: Lane) -> None:
        """Replace lanes at the end of a chain by neighbours that lead into `lane`, where the chain does not."""
        for row in range(len(kept) - 1, -1, -1):
            if lane.id in kept[row].successors:
                return
            names = [name for name in (kept[row].left, kept[row].right) if name in self._places]
            beside = [self.lanes[self._places[name]] for name in names if name is not None]
            leading = next((other for other in beside if lane.id in other.successors), None)
            if leading is None:
                return
            kept[row] = lane = leading

    def _onward(self, chain: tuple[str, ...]) -> tuple[str, ...]:
        lane, on, length = self.lanes[self._places[chain[-1]]], list(chain), 0.0
        while lane.successors and length < AHEAD_M:
            following = [self.lanes[self._places[name]] for name in lane.successors]
            lane = min(following, key=lambda after: abs(_turn(after)))
            if lane.id in on:
                break
            on.append(lane.id)
            length += Polyline(lane.centerline).length
        return tuple(on)

    def _linked(self, chain: tuple[str, ...]) -> Route:
        """The route along a chain and on from it; lanes driven one after the other without a link in the map are linked."""
        lanes = [self.lanes[self._places[name]] for name in self._onward(chain)]
        linked = [replace(lane, successors=(after.id,)) for lane, after in pairwise(lanes)]
        return make_route(RoadMap(lanes=(*linked, lanes[-1])), [lane.id for lane in lanes])


def _turn(lane: Lane) -> float:
    """How far a lane turns [rad], left positive."""
    edges = np.diff(lane.centerline, axis=0)
    return float(np.asarray(wrap_angle(np.diff(np.arctan2(edges[:, 1], edges[:, 0])))).sum())
