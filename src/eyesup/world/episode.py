"""Closed loop: somebody else drives a scenario, step by step, and the traffic answers.

An episode opens the same town, route, traffic and script as the log of the same scenario, seed and split, and passes time by
the same functions (`simulate.observe`, `simulate.advance`). Driven by the expert it is that log, bit by bit.
"""

from __future__ import annotations

import weakref
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy.interpolate import PchipInterpolator

from eyesup.dynamics.bicycle import BicycleState
from eyesup.dynamics.lqr import Reference, track_step
from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.geometry.polygons import contains
from eyesup.geometry.se2 import points_to_frame, to_frame
from eyesup.scoring.openloop import ego_corners
from eyesup.types import (
    AgentKind,
    Agents,
    CameraRig,
    Command,
    Cue,
    DataError,
    EgoStatus,
    EyesUpError,
    Maneuver,
    Observation,
    Scene,
    SignalState,
    Trajectory,
)
from eyesup.world.agents_now import AgentsNow
from eyesup.world.appearance import appearance_of
from eyesup.world.ego_view import HISTORY_DT_S, HISTORY_POSES
from eyesup.world.render import Renderer
from eyesup.world.rigs import front3
from eyesup.world.roads import Town
from eyesup.world.route import PATH_STEP_M
from eyesup.world.simulate import ATTEMPTS, Play, Recorder, advance, expert_of, observe, opened, rehearse, with_states
from eyesup.world.stage import Stage, UnsuitableError
from eyesup.world.topdown import draw_topdown
from eyesup.world.traffic import STEP_S

ROUTE_POINTS, ROUTE_STEP_M = 20, 2.0  # the route ahead as an observation
OFF_ROUTE_M = 15.0  # farther from the route the episode has no goal any more
ROUTE_END_M = 8.0  # the route counts as driven this far before its end: the expert stops there
OFF_ROAD_CORNERS = 2  # of the ego's box outside the drivable area; one may cut a kerb
PROGRESS_WINDOW_M = 12.0  # the ego's place on the route is looked for this far from the last one: no leap across a loop
TTC_TIMES_S = np.arange(0.0, 3.01, 0.3)
MIN_TRACKED_STEPS = 10  # the tracker fits its profiles to at least one second
STATIC_EVERY = 4  # rows of the route at which scenery is laid out


@dataclass(frozen=True)
class Happening:
    """What one step of `STEP_S` brought.

    Attributes:
        progress_m: Metres gained along the route; negative when going back.
        off_route_m: Distance of the rear axle from the route.
        time_to_collision_s: First of `TTC_TIMES_S` at which, all at constant velocity, the ego touches somebody; inf if none.
        collision_with: Kind and id of what the ego touches now, or None.
        off_road: Two corners of the ego or more are outside the drivable area.
        red_light: The ego's front has just passed the stop line of a red signal.
        route_end: The route is driven to its end.
        off_route: The ego is more than `OFF_ROUTE_M` from its route.
        script: Why the scenario stopped directing ("" while it does): what the driver did leaves its script no sense.
    """

    progress_m: float
    off_route_m: float
    time_to_collision_s: float
    collision_with: tuple[AgentKind, int] | None
    off_road: bool
    red_light: bool
    route_end: bool
    off_route: bool
    script: str

    @property
    def events(self) -> tuple[str, ...]:
        """Names of what happened: collision, off_road, off_route, red_light, route_end."""
        happened = {
            "collision": self.collision_with is not None, "off_road": self.off_road, "off_route": self.off_route,
            "red_light": self.red_light, "route_end": self.route_end,
        }  # fmt: skip
        return tuple(name for name, is_true in happened.items() if is_true)

    @property
    def ends(self) -> bool:
        """Nothing sensible can follow."""
        return self.collision_with is not None or self.off_road or self.route_end or self.off_route


class Episode:
    """One run of a scenario with an open driver's seat. Close it, or use it as a context manager: SUMO runs meanwhile.

    Args:
        scenario: Name in `scenarios.SCENARIOS`.
        seed: As in `simulate`.
        split: As in `simulate`.
        duration_s: As in `simulate`; the episode itself may go on for as long as the route lasts.
        rig: Cameras.
        rehearsed: Open the draw that became a log, found by letting the expert drive it first: the same arguments then meet
            the situation of the log, cue included. Without it the first draw that can be set up is taken, in half the time.

        town: As in `simulate`.

    Raises:
        DataError: unknown scenario or split, negative seed, too short.
        EyesUpError: no draw fitted, or another simulation is open in this process.
    """

    def __init__(
        self, scenario: str, seed: int, split: str = "train", duration_s: float = 20.0, rig: CameraRig | None = None,
        rehearsed: bool = True, town: Town | None = None,
    ) -> None:  # fmt: skip
        self.scenario, self.seed, self.split, self.rig = scenario, seed, split, rig or front3()
        self._resources = ExitStack()
        self._finalizer = weakref.finalize(self, self._resources.close)
        first = rehearse(scenario, seed, split, duration_s, town)[0] if rehearsed else 0
        self._play, self.stage = self._open(duration_s, first, town)
        self._expert = expert_of(self.stage)
        self._appearance = appearance_of(scenario, split, seed)
        self._recorder = Recorder()
        self._renderer: Renderer | None = None
        self._looks: dict[int, int] = {}
        self._states: list[np.ndarray] = []
        self._colours: list[np.ndarray] = []
        self._places: list[float] = []
        self._script_ended = ""
        self._drivable = self.stage.road_map.drivable
        self._read()

    def _open(self, duration_s: float, first: int, town: Town | None) -> tuple[Play, Stage]:
        reason = ""
        for attempt in range(first, ATTEMPTS):
            play = Play.of(self.scenario, self.seed, self.split, duration_s, attempt, town)
            try:
                return play, self._resources.enter_context(opened(play))
            except UnsuitableError as error:
                reason = str(error)
        raise EyesUpError(f"scenario {self.scenario} seed {self.seed}: no draw fitted ({reason}); use another seed")

    def close(self) -> None:
        """End the simulation and free the pictures; may be called twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        self._finalizer()

    def __enter__(self) -> Episode:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Driving ---------------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Of the observation at the present step."""
        return f"{self.split}-{self.seed:07d}-{self.scenario}@{self.stage.step}"

    @property
    def time_s(self) -> float:
        """Since the episode began."""
        return self.stage.time_s

    @property
    def cruise_mps(self) -> float:
        """Speed of the expert on a free road."""
        return self.stage.cruise_mps

    @property
    def ego(self) -> BicycleState:
        return self.stage.ego

    def expert_command(self) -> tuple[float, float]:
        """What the expert would do now: acceleration [m/s^2] and steering rate [rad/s]. Privileged."""
        return self._expert.command(self.stage.ego, self._now, self.stage.signal_states)

    def step(self, acceleration_mps2: float, steering_rate_rps: float) -> Happening:
        """Let one `STEP_S` pass. A command to brake does not make a standing car roll backwards."""
        if not (np.isfinite(acceleration_mps2) and np.isfinite(steering_rate_rps)):
            raise DataError(
                f"command ({acceleration_mps2}, {steering_rate_rps}) must be finite; check the policy's output"
            )
        self._direct()
        front = self.stage.ego_front_s
        advance(self.stage, (acceleration_mps2, steering_rate_rps))
        colours = self.stage.signal_states
        self._read()
        return self._happening(front, colours)

    def follow(self, plan: Trajectory, steps: int) -> list[Happening]:
        """Track a plan (`dynamics.lqr`) from the ego's present pose for some steps, or until the episode ends."""
        reference = Reference.fitted(dense(plan, steps))
        origin = BicycleState.at_origin(self.ego_status())
        start, happenings = self.stage.ego.pose, []
        for step in range(steps):
            x, y, heading = to_frame(self.stage.ego.pose, start)
            state = replace(self.stage.ego, x=x, y=y, heading=heading) if step else origin
            accel, rate = track_step(state, reference, step)
            happenings.append(self.step(float(accel), float(rate)))
            if happenings[-1].ends:
                break
        return happenings

    def _direct(self) -> None:
        """Let the script act, as long as what it stages still makes sense."""
        if self._script_ended:
            return
        try:
            self._play.script.act(self.stage)
        except UnsuitableError as error:
            self._script_ended = str(error)

    def _read(self) -> None:
        """Read the world at the present step."""
        self._now = observe(self.stage, self._recorder, len(self._states))
        self._states.append(self.stage.ego.as_array())
        self._colours.append(self.stage.signal_states)
        self._places.append(self._place())

    def _place(self) -> float:
        """Arc length on the route, continuous in time."""
        route, ego = self.stage.route, self.stage.ego
        if not self._places:
            return self.stage.ego_s
        last = min(max(self._places[-1], 0.0), route.length_m)
        first = max(int((last - PROGRESS_WINDOW_M) / PATH_STEP_M), 0)
        rows = slice(first, int((last + PROGRESS_WINDOW_M) / PATH_STEP_M) + 1)
        dx, dy = ego.x - route.xy[rows, 0], ego.y - route.xy[rows, 1]
        row = int((dx * dx + dy * dy).argmin())
        heading = route.headings[first + row]
        return float((first + row) * PATH_STEP_M + dx[row] * np.cos(heading) + dy[row] * np.sin(heading))

    def _happening(self, front_before: float, colours_before: np.ndarray) -> Happening:
        stage, place = self.stage, self._places[-1]
        x, y, _ = (float(value) for value in stage.route.at(place))
        corners = self._corners()
        off_route = float(np.hypot(stage.ego.x - x, stage.ego.y - y))
        return Happening(
            progress_m=place - self._places[-2],
            off_route_m=off_route,
            time_to_collision_s=self._time_to_collision(),
            collision_with=self._touched(corners),
            off_road=int((~_inside(self._drivable, corners)).sum()) >= OFF_ROAD_CORNERS,
            red_light=self._ran_red(front_before, colours_before),
            route_end=place + stage.ego_front_s - stage.ego_s > stage.route.length_m - ROUTE_END_M,
            off_route=off_route > OFF_ROUTE_M,
            script=self._script_ended,
        )

    def _corners(self) -> Float64[np.ndarray, "4 2"]:
        return ego_corners(self.stage.ego.pose, self.stage.vehicle)

    def _touched(self, corners: np.ndarray) -> tuple[AgentKind, int] | None:
        now = self._now
        if not len(now):
            return None
        boxes = box_corners(now.poses, now.sizes[:, 0].astype(float), now.sizes[:, 1].astype(float))
        hit = np.flatnonzero(boxes_overlap(corners[None], boxes))
        return (AgentKind(int(now.kinds[hit[0]])), int(self._ids()[hit[0]])) if len(hit) else None

    def _time_to_collision(self) -> float:
        now, ego = self._now, self.stage.ego
        reach = (abs(float(ego.vx)) + np.hypot(*now.velocities.T)) * TTC_TIMES_S[-1] + 10.0
        near = now.select(np.flatnonzero(np.hypot(now.poses[:, 0] - ego.x, now.poses[:, 1] - ego.y) < reach))
        if not len(near):
            return float(np.inf)
        poses = np.repeat(near.poses[:, None], len(TTC_TIMES_S), axis=1)
        poses[..., :2] += near.velocities[:, None] * TTC_TIMES_S[:, None]
        path = np.repeat(ego.pose[None], len(TTC_TIMES_S), axis=0)
        path[:, :2] += float(ego.vx) * TTC_TIMES_S[:, None] * [np.cos(ego.heading), np.sin(ego.heading)]
        lengths, widths = near.sizes[:, :1].astype(float), near.sizes[:, 1:2].astype(float)
        meets = boxes_overlap(ego_corners(path, self.stage.vehicle)[None], box_corners(poses, lengths, widths)).any(
            axis=0
        )
        return float(TTC_TIMES_S[meets.argmax()]) if meets.any() else float(np.inf)

    def _ran_red(self, front_before: float, colours_before: np.ndarray) -> bool:
        """Whether the front passed, in this step, a stop line of the route whose signal was red."""
        ends = dict(zip(self.stage.route.lane_ids, self.stage.route.lane_end_s))
        for row, lanes in enumerate(self.stage.signals.stop_lane_ids):
            if colours_before[row] == SignalState.RED:
                stops = [ends[lane] for lane in lanes if lane in ends]
                if any(front_before <= stop < self.stage.ego_front_s for stop in stops):
                    return True
        return False

    # Seeing ----------------------------------------------------------------------------------------------------------

    def ego_status(self) -> EgoStatus:
        """As measured in a log."""
        ego = self.stage.ego
        vx, yaw_rate = float(ego.vx), float(ego.yaw_rate)
        return EgoStatus((vx, 0.0), (float(ego.ax), vx * yaw_rate), yaw_rate, float(ego.steering))

    def history(self) -> Trajectory:
        """Past poses every 0.5 s over 2 s, newest first, in the ego frame; before the episode began they are not valid."""
        rows = self.stage.step - round(HISTORY_DT_S / STEP_S) * np.arange(1, HISTORY_POSES + 1)
        poses = np.array(self._states)[np.maximum(rows, 0), :3]
        return Trajectory(to_frame(poses, self.stage.ego.pose), -HISTORY_DT_S, rows >= 0)

    def maneuver(self) -> Maneuver:
        return self.stage.route.maneuver_at(self._places[-1])

    def route_ahead(self) -> Float64[np.ndarray, "R 2"]:
        """The route in the ego frame: `ROUTE_POINTS` points, `ROUTE_STEP_M` apart, straight on beyond its end."""
        ahead = self._places[-1] + ROUTE_STEP_M * np.arange(1, ROUTE_POINTS + 1)
        return points_to_frame(self.stage.route.at(ahead)[:, :2], self.stage.ego.pose)

    def images(self) -> UInt8[np.ndarray, "C H W 3"]:
        """What the cameras see now."""
        if self._renderer is None:
            self._renderer = Renderer(self.rig)
            self._renderer.load(self._set())
        signals = with_states(self.stage.signals, self.stage.signal_states[:, None])
        return self._renderer.live(self.stage.step, self.stage.ego.pose, self._agents(), signals)

    def observation(self, images: np.ndarray | None = None) -> Observation:
        """What any planner takes; `images`, where given, are those of the present step, drawn before."""
        images = self.images() if images is None else images
        return Observation(
            key=self.key,
            images=images[None],
            image_times_s=np.zeros(1),
            rig=self.rig,
            ego=self.ego_status(),
            history=self.history(),
            command=Command(self.maneuver()),
            vehicle=self.stage.vehicle,
        )

    def birds_eye(
        self, size_px: int = 432, plan: Float64[np.ndarray, "P 2"] | None = None
    ) -> UInt8[np.ndarray, "H W 3"]:
        """The present from above, with a plan in the ego frame."""
        return draw_topdown(self._present(), 0, size_px, plan=plan)

    # Scenes ----------------------------------------------------------------------------------------------------------

    def _set(self) -> Scene:
        """Everything that stands, along the whole route: one step per `STATIC_EVERY` rows of it."""
        route = self.stage.route
        poses = np.concatenate([route.xy, route.headings[:, None]], axis=1)[::STATIC_EVERY]
        return self._scene(poses, Agents.empty(len(poses)), np.zeros((len(self.stage.signals), len(poses)), np.uint8))

    def _present(self) -> Scene:
        return self._scene(self.stage.ego.pose[None], self._agents(), self.stage.signal_states[:, None])

    def _scene(self, poses: np.ndarray, agents: Agents, states: np.ndarray) -> Scene:
        """A scene of places without motion, to draw from."""
        stage, steps = self.stage, len(poses)
        return Scene(
            key=self.key,
            dt_s=STEP_S,
            ego_poses=poses,
            ego_velocities=np.zeros((steps, 2)),
            ego_accelerations=np.zeros((steps, 2)),
            ego_yaw_rates=np.zeros(steps),
            ego_steerings=np.zeros(steps),
            maneuvers=(Maneuver.KEEP_FORWARD,) * steps,
            agents=agents,
            signals=with_states(stage.signals, states),
            road_map=stage.road_map,
            props=self._play.script.props(stage),
            appearance=self._appearance,
            route=stage.route.centerline,
            route_lane_ids=stage.route.lane_ids,
            cue=self._cue(),
            keyframes=np.zeros(0, np.int64),
            vehicle=stage.vehicle,
        )

    def _cue(self) -> Cue:
        with suppress(KeyError):  # the cue has not been seen yet
            return self._play.script.cue(self.stage, self._recorder.ids)
        return Cue()

    def _ids(self) -> np.ndarray:
        return np.array(sorted(self._recorder.ids[sighting.name] for sighting in self.stage.sightings), np.int64)

    def _agents(self) -> Agents:
        """Everything around now, world frame, one step."""
        now: AgentsNow = self._now
        ids = self._ids()
        return Agents(
            ids=ids, kinds=now.kinds, sizes=now.sizes, poses=now.poses[:, None], velocities=now.velocities[:, None],
            valid=np.ones((len(ids), 1), bool), lights=now.lights[:, None],
            looks=np.array([self._look(int(i)) for i in ids], np.uint32),
        )  # fmt: skip

    def _look(self, agent_id: int) -> int:
        """Colour and body of an agent, from its id alone: nobody changes looks when others come."""
        if agent_id not in self._looks:
            given = {self._recorder.ids[sighting.name]: sighting.look for sighting in self.stage.sightings}[agent_id]
            drawn = int(np.random.default_rng([self.seed, agent_id, 0x100C]).integers(2**32))
            self._looks[agent_id] = drawn if given is None else given
        return self._looks[agent_id]


def _inside(rings: tuple[np.ndarray, ...], points: Float64[np.ndarray, "Q 2"]) -> Bool[np.ndarray, "Q"]:
    """Whether points lie in any of the rings."""
    inside = np.zeros(len(points), bool)
    for ring in rings:
        inside |= contains(ring, points)
    return inside


def dense(plan: Trajectory, steps: int) -> Float64[np.ndarray, "P 3"]:
    """A plan as the tracker takes it: poses at 0, `STEP_S`, 2 `STEP_S`, ..., from the origin on.

    Positions between the plan's poses are cubic in time, with slopes that make no overshoot: a stop stays a stop.

    Raises:
        DataError: the plan has no valid pose, or is shorter than `steps`.
    """
    rows = np.flatnonzero(plan.valid)
    covered = plan.times_s[rows[-1]] if len(rows) else 0.0
    if covered < steps * STEP_S - 1e-6:
        raise DataError(
            f"plan covers {covered:.1f} s, {steps * STEP_S:.1f} s shall be driven; plan further or replan sooner"
        )
    times = np.append(0.0, plan.times_s[rows])
    poses = np.concatenate([np.zeros((1, 3)), plan.poses[rows]])
    poses[:, 2] = np.unwrap(poses[:, 2])
    fine = np.arange(max(round(times[-1] / STEP_S), MIN_TRACKED_STEPS) + 1) * STEP_S
    if len(times) == 2:  # one pose says no more than its mean speed
        return np.asarray(poses[1] * (fine / times[1])[:, None])
    return np.asarray(PchipInterpolator(times, poses, axis=0)(np.minimum(fine, times[-1])))
