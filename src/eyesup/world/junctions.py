"""How lanes lead through junctions, read from the map: the ways there are, where they come from and how they turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eyesup.geometry.se2 import wrap_angle
from eyesup.types import Lane, Maneuver
from eyesup.world.route import TURN_ANGLE_RAD, Route, Turn

AREA_MARGIN_M = 3.0
OPPOSITE_RAD = np.deg2rad(130.0)  # approaches that differ by more are oncoming


@dataclass(frozen=True)
class Way:
    """One way through a junction: the lane before it, the lanes inside, and the id of the lane after it."""

    approach: Lane
    inside: tuple[Lane, ...]
    exit: str | None

    @property
    def maneuver(self) -> Maneuver:
        angle = float(wrap_angle(end_heading(self.inside[-1]) - end_heading(self.approach)))
        if abs(angle) < TURN_ANGLE_RAD:
            return Maneuver.KEEP_FORWARD
        return Maneuver.TURN_LEFT if angle > 0 else Maneuver.TURN_RIGHT

    def angle_to(self, heading: float) -> float:
        """Angle of the approach to a heading: 0 beside it, about pi oncoming, positive from the right."""
        return float(wrap_angle(end_heading(self.approach) - heading))


def ways_of(lanes: Mapping[str, Lane], approach: Lane) -> list[Way]:
    """The ways on from a lane that ends at a junction."""
    firsts = [lanes[name] for name in approach.successors if name in lanes and lanes[name].is_junction]
    return [_way(lanes, approach, first) for first in firsts]


def _way(lanes: Mapping[str, Lane], approach: Lane, first: Lane) -> Way:
    inside = [first]
    while inside[-1].successors:
        onward = inside[-1].successors[0]
        if onward not in lanes or not lanes[onward].is_junction:
            return Way(approach, tuple(inside), onward)
        inside.append(lanes[onward])
    return Way(approach, tuple(inside), None)


def other_ways(lanes: Mapping[str, Lane], route: Route, turn: Turn) -> list[Way]:
    """Ways through a junction of the route, or right beside it, from other roads than the route's."""
    ours = set(route.lane_ids)
    line = route.at(np.arange(turn.start_s, turn.end_s + 1.0, 1.0))[:, :2]
    low, high = line.min(axis=0) - AREA_MARGIN_M, line.max(axis=0) + AREA_MARGIN_M
    before = _beside(lanes, route.lane_ids[max(route.lane_at(turn.start_s + 1e-6) - 1, 0)])
    found = []
    for lane in lanes.values():
        if lane.is_junction or lane.id in before:
            continue
        for way in ways_of(lanes, lane):
            points = joined_line(way.inside)
            near = (points.max(axis=0) >= low).all() and (points.min(axis=0) <= high).all()
            if near and not any(part.id in ours for part in way.inside):
                found.append(way)
    return found


def _beside(lanes: Mapping[str, Lane], lane_id: str) -> set[str]:
    """A lane and its neighbours of the same direction."""
    found = {lane_id}
    for side in ("left", "right"):
        other = getattr(lanes[lane_id], side)
        while other in lanes and other not in found:
            found.add(other)
            other = getattr(lanes[other], side)
    return found


def upstream(lanes: Mapping[str, Lane], lane: Lane, length_m: float) -> list[Lane]:
    """The lane and those that lead into it as straight as possible, at least `length_m` where the map goes that far."""
    found, seen = [lane], {lane.id}
    while sum(map(lane_length, found)) < length_m:
        before = [other for other in lanes.values() if found[0].id in other.successors and other.id not in seen]
        if not before:
            break
        found.insert(0, min(before, key=_bend))
        seen.add(found[0].id)
    return found


def downstream(lanes: Mapping[str, Lane], lane: Lane, length_m: float) -> list[Lane]:
    """The lane and those that follow it as straight as possible, at least `length_m` where the map goes that far."""
    found, seen = [lane], {lane.id}
    while sum(map(lane_length, found)) < length_m:
        after = [lanes[name] for name in found[-1].successors if name in lanes and name not in seen]
        if not after:
            break
        found.append(min(after, key=_bend))
        seen.add(found[-1].id)
    return found


def joined_line(lanes: Sequence[Lane]) -> Float64[np.ndarray, "P 2"]:
    """Centrelines one after the other, without the points that they share."""
    line = np.concatenate([lane.centerline for lane in lanes])
    return line[np.append(True, np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-3)]


def lane_length(lane: Lane) -> float:
    """Metres along the centreline."""
    return float(np.linalg.norm(np.diff(lane.centerline, axis=0), axis=1).sum())


def end_heading(lane: Lane) -> float:
    """Heading [rad] where a lane ends."""
    step = lane.centerline[-1] - lane.centerline[-2]
    return float(np.arctan2(step[1], step[0]))


def _bend(lane: Lane) -> float:
    step = lane.centerline[1] - lane.centerline[0]
    return float(abs(wrap_angle(end_heading(lane) - np.arctan2(step[1], step[0]))))
