"""What the scenarios at junctions share: which one the route meets in time, and a scripted car that crosses the ego's way there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from eyesup.geometry.boxes import box_corners
from eyesup.geometry.polyline import Polyline
from eyesup.types import Cue, CueKind, Lights, Maneuver, Props
from eyesup.world.actors import Actor
from eyesup.world.junctions import Way, downstream, joined_line, lane_length, other_ways, upstream
from eyesup.world.right_of_way import SIGHT_M
from eyesup.world.roads import Town
from eyesup.world.route import Route, Turn, road_edges
from eyesup.world.scenarios.base import Scenario, draw_body
from eyesup.world.stage import Stage, UnsuitableError
from eyesup.world.sumo_net import SignalHead
from eyesup.world.traffic import BODIES

OPEN_M = (
    42.0,
    62.0,
)  # before the meeting place, along the ego's way and the other's, from which the two see each other
IN_VIEW_COS = 0.4  # it is in front where its bearing is at most 66 deg
ONWARD_M = 120.0  # that a scripted car drives on behind the junction
SYNC_SHARE = 0.2  # by how much it may change its pace to be on time
NOTICED_MPS2 = 1.0  # a cue counts from when stopping for it asks for this much braking
LAMPS = {Maneuver.TURN_LEFT: Lights.LEFT, Maneuver.TURN_RIGHT: Lights.RIGHT, Maneuver.KEEP_FORWARD: Lights.NONE}


def sign_stops(town: Town, route: Route) -> list[tuple[float, SignalHead]]:
    """Stop lines [m] of the signs on a route, in order."""
    ends = dict(zip(route.lane_ids, route.lane_end_s))
    return sorted(
        ((ends[lane], head) for head in town.signals if head.sign for lane in head.lane_ids if lane in ends),
        key=lambda found: found[0],
    )


def turn_after(route: Route, stop_s: float) -> Turn | None:
    """The junction that a stop line belongs to."""
    return next((turn for turn in route.junctions if turn.start_s >= stop_s - 0.5), None)


def without(props: Props, area: shapely.Geometry) -> Props:
    """Props that do not stand in an area."""
    corners = box_corners(props.poses, props.sizes[:, 0], props.sizes[:, 1])
    keep = ~shapely.intersects(shapely.polygons(corners), area)
    return Props(props.kinds[keep], props.poses[keep], props.sizes[keep], props.looks[keep])


def unpark(stage: Stage, area: shapely.Geometry) -> None:
    """Take standing cars out of an area."""
    stage.standing = [s for s in stage.standing if not shapely.Point(s.pose[:2]).within(area)]


def sight_triangle(route: Route, meet_s: float, path: Polyline, meet_m: float) -> shapely.Geometry:
    """What lies between the ego on a route and another on a path while both come to where they meet (arc lengths [m])."""
    s = np.arange(max(meet_s - OPEN_M[0], 0.0), meet_s + 1.0, 5.0)
    m = np.arange(max(meet_m - OPEN_M[1], 0.0), meet_m + 1.0, 5.0)
    points = np.concatenate([route.at(s)[:, :2], path.at(m)[:, :2]])
    return shapely.MultiPoint(points).convex_hull.buffer(2.0)


def empty_junction(stage: Stage, turn: Turn) -> None:
    """Take everybody off who is on, or bound for, the roads that lead into a junction of the route."""
    lanes = {lane.id: lane for lane in stage.town.road_map.lanes}
    for way in other_ways(lanes, stage.route, turn):
        stage.traffic.remove_bound_for(road_edges([way.approach.id])[0], keep="")


def must_brake(stage: Stage, stop_s: float) -> bool:
    """Whether stopping at an arc length of the route asks for noticeable braking by now."""
    distance = stop_s - 1.0 - stage.ego_front_s
    return float(stage.ego.vx) ** 2 / (2 * max(distance, 0.5)) > NOTICED_MPS2


def free_time(stage: Stage, s: float) -> float:
    """Seconds in which the ego's front would be at an arc length of the route if nothing held it."""
    step = 1.0
    places = np.arange(stage.ego_front_s, s, step)
    speeds = [min(stage.cruise_mps, stage.route.speed_limit_at(float(place))) for place in places]
    return float((step / np.maximum(speeds, 1.0)).sum())


@dataclass
class Rival:
    """A scripted car whose way crosses or joins the ego's at a junction, timed to be there `late_s` after the ego would be.

    Attributes:
        actor: The car.
        meet_m: Arc length of its path where it comes into the ego's way.
        meet_s: Arc length of the route where the ego comes into its way.
        pace_mps: Its speed when it is on time.
        late_s: How long after a freely driving ego its front comes.
        set_free: It no longer minds the ego.
    """

    actor: Actor
    meet_m: float
    meet_s: float
    pace_mps: float
    late_s: float
    set_free: bool = False

    def sight_triangle(self, stage: Stage) -> shapely.Geometry:
        """What lies between the ego and the car while both come to the junction."""
        return sight_triangle(stage.route, self.meet_s, self.actor.path, self.meet_m)

    def in_sight(self, stage: Stage) -> bool:
        """Whether it is near enough for the ego to mind it, and in front of it."""
        x, y, _ = self.actor.pose
        dx, dy = x - stage.ego.x, y - stage.ego.y
        away = float(np.hypot(dx, dy))
        ahead = float(dx * np.cos(stage.ego.heading) + dy * np.sin(stage.ego.heading))
        return away < SIGHT_M and ahead > IN_VIEW_COS * away

    def keep_time(self, stage: Stage) -> None:
        """Adjust its pace to the ego's until it is set free."""
        if self.set_free:
            return
        ours_s = free_time(stage, self.meet_s) + self.late_s
        way_m = self.meet_m - self.actor.s - self.actor.size_m[0] / 2
        wanted = way_m / max(ours_s, 0.3)
        low, high = (1 - SYNC_SHARE) * self.pace_mps, (1 + SYNC_SHARE) * self.pace_mps
        self.actor.go(float(np.clip(wanted, low, high)), 1.5)


def rival_ways(town: Town, route: Route, turn: Turn, angles_deg: tuple[float, float]) -> list[Way]:
    """Ways of others straight on through a junction of a route, by the angle of their approach to ours."""
    heading = float(route.at(turn.start_s - 1.0)[2])
    lanes = {lane.id: lane for lane in town.road_map.lanes}
    low, high = np.deg2rad(angles_deg)
    return [
        way
        for way in other_ways(lanes, route, turn)
        if way.maneuver is Maneuver.KEEP_FORWARD and low <= abs(way.angle_to(heading)) <= high
    ]


def draw_rival(stage: Stage, name: str, way: Way, turn: Turn, pace_mps: float, late_s: float) -> Rival:
    """Put a car on a way through a junction of the route.

    Raises:
        UnsuitableError: the ways never meet, or its road is too short for it to be on time.
    """
    lanes = {lane.id: lane for lane in stage.town.road_map.lanes}
    exit_lanes = downstream(lanes, lanes[way.exit], ONWARD_M) if way.exit is not None else []
    before = upstream(lanes, way.approach, 400.0)
    path = Polyline(joined_line([*before, *way.inside, *exit_lanes]))
    meeting = _meeting(stage.route, turn, path, sum(map(lane_length, before)))
    if meeting is None:
        raise UnsuitableError("the ways through the junction do not meet")
    meet_s, meet_m = meeting
    for edge in road_edges([lane.id for lane in (*before, *exit_lanes)]):
        stage.traffic.remove_bound_for(edge, keep="")
    body = BODIES[draw_body(stage.rng)]
    due_s = free_time(stage, meet_s) + late_s
    start_m = meet_m - body.size_m[0] / 2 - pace_mps * due_s
    if start_m < body.size_m[0]:
        raise UnsuitableError(f"the road of {name} is too short to be on time")
    actor = stage.script(name, body.kind, body.size_m, path.points, pace_mps, start_m, LAMPS[way.maneuver])
    return Rival(actor, meet_m, meet_s, pace_mps, late_s)


def _meeting(route: Route, turn: Turn, path: Polyline, line_m: float) -> tuple[float, float] | None:
    """Where two ways first come within a car's width: arc lengths on the route and on the path."""
    s = np.arange(turn.start_s, turn.end_s + 6.0, 0.5)
    ours = route.at(s)[:, :2]
    m = np.arange(line_m, min(line_m + 60.0, path.length), 0.5)
    theirs = path.at(m)[:, :2]
    close = np.hypot(ours[:, None, 0] - theirs[:, 0], ours[:, None, 1] - theirs[:, 1]) < 2.3
    if not close.any():
        return None
    return float(s[np.argmax(close.any(axis=1))]), float(m[np.argmax(close.any(axis=0))])


class RivalScenario(Scenario):
    """A scripted car, the rival, goes first where its way meets the ego's; it is the cue.

    A subclass sets `_turn` when it draws its start, and `_rival` when it sets the stage.

    Attributes:
        rival_name: Name of the car.
        open_view: Nothing stands where it would hide the two from each other.
    """

    rival_name = "rival"
    open_view = True
    _turn: Turn
    _rival: Rival

    def act(self, stage: Stage) -> None:
        if stage.cue_step is None and must_brake(stage, self._turn.start_s) and self._rival.in_sight(stage):
            if stage.occupied(stage.ego_front_s, self._turn.end_s + 10.0):
                raise UnsuitableError("somebody is between the ego and where the ways meet")
            stage.mark_cue()
            self._rival.set_free = True
        self._rival.keep_time(stage)

    def props(self, stage: Stage) -> Props:
        props = super().props(stage)
        return without(props, self._rival.sight_triangle(stage)) if self.open_view else props

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids[self.rival_name])
