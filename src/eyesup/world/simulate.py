"""Logs: the expert drives a scenario through a town among SUMO's traffic."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from eyesup.dynamics.bicycle import BicycleState, step_bicycle
from eyesup.types import Agents, Appearance, DataError, EyesUpError, Scene, Signals, SignalState
from eyesup.world.appearance import appearance_of
from eyesup.world.contacts import contacts
from eyesup.world.expert import AgentsNow, Expert
from eyesup.world.roads import Town
from eyesup.world.route import Route, make_route, road_edges
from eyesup.world.scenarios import SCENARIOS, load_scenario
from eyesup.world.scenarios.base import KEYFRAME_STEPS, Scenario
from eyesup.world.scenery import crop_map
from eyesup.world.splits import split_index
from eyesup.world.stage import Stage, UnsuitableError
from eyesup.world.sumo_net import SignalHead
from eyesup.world.traffic import STEP_S, Sighting, Traffic
from eyesup.world.twins import cue_effects

MIN_DURATION_S = 8.0
WARM_UP_STEPS = 150
RECORD_RADIUS_M = 120.0
KEEP_RADIUS_M = 100.0  # agents that never come closer are not part of the scene
MAP_RADIUS_M = 120.0
SIGNAL_RADIUS_M = 100.0
HISTORY_STEPS, FUTURE_STEPS = 20, 50  # around every keyframe: 2 s before, 5 s after
DRAWS = 60  # routes tried per log
ATTEMPTS = 12  # whole logs tried
CUE_DECIDES_M = 1.0  # 3 s ahead
CLEAR_BEHIND_M, CLEAR_AHEAD_S = 12.0, 2.5


def simulate(
    scenario: str, seed: int, split: str = "train", duration_s: float = 20.0, town: Town | None = None
) -> Scene:
    """Drive one log; the same arguments give the same Scene, bit by bit.

    Args:
        scenario: Name in `scenarios.SCENARIOS`.
        seed: Decides town (within the split's list), route, traffic and script.
        split: Name in `splits.TOWNS`.
        duration_s: Length of the log; at least 8 s, so that a keyframe has its history and future.
        town: Where to drive instead of the split's towns, see `import_map`.

    Returns:
        A Scene at 10 Hz with ``round(duration_s * 10) + 1`` steps.

    Raises:
        DataError: unknown scenario or split, negative seed, too short.
        EyesUpError: no draw fitted the scenario.
    """
    return rehearse(scenario, seed, split, duration_s, town)[1]


def rehearse(scenario: str, seed: int, split: str, duration_s: float, town: Town | None = None) -> tuple[int, Scene]:
    """`simulate`, and the number of the attempt that fitted: whoever opens that attempt meets the same situation."""
    reason = ""
    for attempt in range(ATTEMPTS):
        play = Play.of(scenario, seed, split, duration_s, attempt, town)
        try:
            log = _drive(play)
        except UnsuitableError as error:
            reason = str(error)
            continue
        scene = _scene(log, play.town, scenario, split, seed)
        if contacts(scene):  # one log in three hundred: SUMO's people walk into a standing car, its lorries cut corners
            reason = "something touches the ego"
        elif play.script.has_cue and not _cue_decides(scene):
            reason = f"the cue moves the plan by less than {CUE_DECIDES_M} m"
        else:
            return attempt, scene
    raise EyesUpError(f"scenario {scenario} seed {seed}: {ATTEMPTS} attempts did not fit ({reason}); use another seed")


def _cue_decides(scene: Scene) -> bool:
    """Whether the expert would drive elsewhere without the cue, at the first keyframe at which it is said to matter."""
    step = scene.keyframes[scene.keyframes >= scene.tags["cue_step"]][:1]
    return bool((cue_effects(scene, step) > CUE_DECIDES_M).any())


@dataclass(frozen=True)
class Play:
    """What decides a run before anybody drives: the script, the town, the stream of draws, the number of steps."""

    script: Scenario
    town: Town
    rng: np.random.Generator
    steps: int

    @staticmethod
    def of(scenario: str, seed: int, split: str, duration_s: float, attempt: int, town: Town | None = None) -> Play:
        """Fresh for each run; raises DataError as `simulate` does."""
        if duration_s < MIN_DURATION_S:
            raise DataError(
                f"duration {duration_s} s is below {MIN_DURATION_S} s; a keyframe needs 2 s before and 5 s after"
            )
        if seed < 0:
            raise DataError(f"seed {seed} is negative; use 0 or more")
        kind = load_scenario(scenario)
        rng = np.random.default_rng([seed, split_index(split), zlib.crc32(scenario.encode()), attempt])
        steps = round(duration_s / STEP_S) + 1
        if town is not None and kind.town is not Scenario.town:
            fit = ", ".join(name for name in SCENARIOS if load_scenario(name).town is Scenario.town)
            raise DataError(f"scenario {scenario} needs roads of its own; in another town choose one of {fit}")
        town = kind.town(split, seed) if town is None else town
        return Play(kind((steps - 1 - FUTURE_STEPS) * STEP_S), town, rng, steps)


@dataclass
class _Log:
    """Everything recorded of one drive."""

    stage: Stage
    script: Scenario
    states: np.ndarray  # (T, 11) rows of BicycleState
    signals: Signals
    agents: Agents
    ids: dict[str, int]


class Recorder:
    """Collects sightings; ids are given in the order of first sight."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self._first: list[Sighting] = []
        self._steps: list[tuple[np.ndarray, AgentsNow]] = []

    def add(self, sightings: list[Sighting]) -> AgentsNow:
        """Record one step; returns what was recorded, ordered by id."""
        for sighting in sightings:
            if sighting.name not in self.ids:
                self.ids[sighting.name] = len(self.ids)
                self._first.append(sighting)
        sightings = sorted(sightings, key=lambda sighting: self.ids[sighting.name])
        poses = np.array([sighting.pose for sighting in sightings], np.float64).reshape(-1, 3)
        speeds = np.array([sighting.speed_mps for sighting in sightings], np.float64)
        now = AgentsNow(
            kinds=np.array([sighting.kind for sighting in sightings], np.uint8),
            sizes=np.array([sighting.size_m for sighting in sightings], np.float32).reshape(-1, 3),
            poses=poses,
            velocities=(speeds[:, None] * np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], -1)).astype(np.float32),
            lights=np.array([int(sighting.lights) for sighting in sightings], np.uint8),
        )
        self._steps.append((np.array([self.ids[sighting.name] for sighting in sightings], np.int64), now))
        return now

    def agents(self, ego_xy: np.ndarray, looks: np.random.Generator) -> Agents:
        """Everything that came within `KEEP_RADIUS_M` of the ego."""
        count, steps = len(self._first), len(self._steps)
        poses, velocities = np.zeros((count, steps, 3)), np.zeros((count, steps, 2), np.float32)
        lights, valid = np.zeros((count, steps), np.uint8), np.zeros((count, steps), bool)
        for step, (rows, now) in enumerate(self._steps):
            poses[rows, step], velocities[rows, step] = now.poses, now.velocities
            lights[rows, step], valid[rows, step] = now.lights, True
        distance = np.where(valid, np.hypot(poses[..., 0] - ego_xy[:, 0], poses[..., 1] - ego_xy[:, 1]), np.inf)
        kept = np.flatnonzero(distance.min(axis=1, initial=np.inf) < KEEP_RADIUS_M)
        drawn = looks.integers(2**32, size=count, dtype=np.uint32)
        given = [default if s.look is None else s.look for s, default in zip(self._first, drawn)]
        everything = Agents(
            ids=np.arange(count), kinds=np.array([s.kind for s in self._first], np.uint8),
            sizes=np.array([s.size_m for s in self._first], np.float32).reshape(-1, 3), poses=poses, velocities=velocities,
            valid=valid, lights=lights, looks=np.array(given, np.uint32),
        )  # fmt: skip
        return everything.select(kept)


def _drive(play: Play) -> _Log:
    with opened(play) as stage:
        return _record(play.script, stage, expert_of(stage), play.steps)


@contextmanager
def opened(play: Play) -> Iterator[Stage]:
    """Draw route and traffic, place the ego and set the scenario's stage; SUMO runs until the context is left.

    Raises:
        UnsuitableError: this draw does not fit the scenario.
    """
    script, town, rng, steps = play.script, play.town, play.rng, play.steps
    cruise = float(rng.uniform(*script.cruise_mps))
    route, start_s = _draw_route(script, town, cruise, rng, steps)
    near = route.xy[::16]
    road_map = crop_map(town.road_map, near, MAP_RADIUS_M)
    heads = _heads_near(town, near)
    signals = _signals(heads, 0)
    speed = min(cruise, route.speed_limit_at(start_s + 2.0))
    x, y, heading = (float(value) for value in route.at(start_s))
    ego = BicycleState(x, y, float(np.arctan2(np.sin(heading), np.cos(heading))), vx=speed)
    with Traffic(town.net_file, town.offset, int(rng.integers(2**31))) as traffic:
        traffic.populate(rng, int(rng.integers(*script.vehicles)), int(rng.integers(*script.pedestrians)))
        for _ in range(WARM_UP_STEPS):
            traffic.step()
        traffic.cancel_waiting()
        stage = Stage(
            town, road_map, route, start_s, cruise, heads, signals, rng, traffic, ego, route.project(x, y, heading)
        )
        stage.clear(start_s - CLEAR_BEHIND_M, start_s + 8.0 + CLEAR_AHEAD_S * speed)
        traffic.add_ego(road_edges(route.lane_ids), ego.pose, speed)
        script.set_stage(stage)
        traffic.step()
        yield stage


def expert_of(stage: Stage) -> Expert:
    """The expert that drives the stage's route."""
    return Expert(stage.route, stage.cruise_mps, stage.signals, stage.road_map)


def observe(stage: Stage, recorder: Recorder, step: int) -> AgentsNow:
    """Read the world at a step into the stage and the recorder; returns the agents present now."""
    stage.step, stage.ego_s = step, stage.route.project(stage.ego.x, stage.ego.y, stage.ego.heading)
    stage.sightings = [_with_lamps(stage, sighting) for sighting in _around(stage)]
    stage.signal_states = _colours(stage.heads, stage.traffic)
    return recorder.add(stage.sightings)


def advance(stage: Stage, command: tuple[float, float]) -> None:
    """Let `STEP_S` pass: the ego follows its command (acceleration [m/s^2], steering rate [rad/s]), the traffic sees it."""
    stage.ego = step_bicycle(stage.ego, *command, STEP_S, stage.vehicle.wheel_base_m)
    stage.traffic.move_ego(stage.ego.pose, float(stage.ego.vx))
    stage.move_actors()
    stage.run_signals()
    stage.traffic.step()


def _draw_route(
    script: Scenario, town: Town, cruise: float, rng: np.random.Generator, steps: int
) -> tuple[Route, float]:
    length = cruise * (steps * STEP_S + 6.0) + 60.0
    for _ in range(DRAWS):
        chain = script.lane_chain(town, rng, length)
        if chain is None:
            continue
        route = make_route(town.road_map, chain)
        ends = dict(zip(route.lane_ids, route.lane_end_s))
        stops = sorted(
            {ends[lane] for head in town.signals for lane in head.lane_ids if lane in ends and not head.sign}
        )
        start_s = script.start(route, stops, cruise, rng)
        if start_s is not None:
            return route, start_s
    raise UnsuitableError(f"no route of {length:.0f} m in town {town.name} fits")


def _record(script: Scenario, stage: Stage, expert: Expert, steps: int) -> _Log:
    recorder, states, colours = Recorder(), [], []
    for step in range(steps):
        now = observe(stage, recorder, step)
        states.append(stage.ego.as_array())
        colours.append(stage.signal_states)
        if step == steps - 1:
            break
        script.act(stage)
        advance(stage, expert.command(stage.ego, now, stage.signal_states))
    if script.has_cue and (stage.cue_step is None or stage.cue_step > steps - 1 - FUTURE_STEPS):
        raise UnsuitableError("the cue did not come to matter in time")
    rows = np.array(states)
    agents = recorder.agents(rows[:, :2], np.random.default_rng(stage.rng.integers(2**32)))
    return _Log(stage, script, rows, with_states(stage.signals, np.stack(colours, axis=1)), agents, recorder.ids)


def _around(stage: Stage) -> list[Sighting]:
    x, y = float(stage.ego.x), float(stage.ego.y)
    staged = [*stage.standing, *(actor.sighting() for actor in stage.actors.values())]
    near = [s for s in staged if (s.pose[0] - x) ** 2 + (s.pose[1] - y) ** 2 < RECORD_RADIUS_M**2]
    seen = stage.traffic.sightings(np.array([x, y]), RECORD_RADIUS_M)
    return [sighting for sighting in seen if sighting.name not in stage.actors] + near


def _with_lamps(stage: Stage, sighting: Sighting) -> Sighting:
    lamps = stage.lamps.get(sighting.name)
    return sighting if lamps is None else sighting._replace(lights=lamps)


def _heads_near(town: Town, near: np.ndarray) -> tuple[SignalHead, ...]:
    def distance(head: SignalHead) -> float:
        return float(np.hypot(near[:, 0] - head.pose[0], near[:, 1] - head.pose[1]).min())

    return tuple(head for head in town.signals if distance(head) < SIGNAL_RADIUS_M)


def _signals(heads: tuple[SignalHead, ...], steps: int) -> Signals:
    return Signals(
        ids=np.array([head.id for head in heads], np.int64),
        poses=np.array([head.pose for head in heads], np.float64).reshape(-1, 4),
        states=np.zeros((len(heads), steps), np.uint8),
        stop_lane_ids=tuple(head.lane_ids for head in heads),
        stop_points=np.array([head.stop_point for head in heads], np.float64).reshape(-1, 2),
    )


def with_states(signals: Signals, states: np.ndarray) -> Signals:
    return Signals(signals.ids, signals.poses, states, signals.stop_lane_ids, signals.stop_points)


_COLOURS = {"g": SignalState.GREEN, "y": SignalState.AMBER, "r": SignalState.RED, "u": SignalState.RED}


def _colours(heads: tuple[SignalHead, ...], traffic: Traffic) -> np.ndarray:
    programs = {head.tls_id for head in heads if not head.sign}
    letters = {tls_id: traffic.light_states(tls_id).lower() for tls_id in programs}
    return np.array(
        [head.sign or _COLOURS.get(letters[head.tls_id][head.link_indices[0]], SignalState.OFF) for head in heads],
        np.uint8,
    )


def _scene(log: _Log, town: Town, scenario: str, split: str, seed: int) -> Scene:
    stage, states, route = log.stage, log.states, log.stage.route
    steps = len(states)
    places = [route.project(*row[:3]) for row in states]
    appearance = appearance_of(scenario, split, seed)
    return Scene(
        key=f"{split}-{seed:07d}-{scenario}",
        dt_s=STEP_S,
        ego_poses=states[:, :3],
        ego_velocities=np.stack([states[:, 3], np.zeros(steps)], axis=-1),
        ego_accelerations=np.stack([states[:, 5], states[:, 3] * states[:, 9]], axis=-1),
        ego_yaw_rates=states[:, 9],
        ego_steerings=states[:, 7],
        maneuvers=tuple(route.maneuver_at(s) for s in places),
        agents=log.agents,
        signals=log.signals,
        road_map=stage.road_map,
        props=log.script.props(stage),
        appearance=appearance,
        route=route.centerline,
        route_lane_ids=route.lane_ids,
        cue=log.script.cue(stage, log.ids),
        keyframes=np.arange(HISTORY_STEPS, steps - FUTURE_STEPS, KEYFRAME_STEPS),
        vehicle=stage.vehicle,
        tags=_tags(stage, town, scenario, split, seed) | _look(appearance),
    )


def _look(appearance: Appearance) -> dict[str, str | float | int | bool]:
    """What results can be split by."""
    return {"weather": str(appearance.weather), "ground": str(appearance.ground)}


def _tags(stage: Stage, town: Town, scenario: str, split: str, seed: int) -> dict[str, str | float | int | bool]:
    tags: dict[str, str | float | int | bool] = {
        "scenario": scenario, "split": split, "seed": seed, "town": town.name, "town_kind": town.kind, "town_seed": town.seed,
        "cruise_mps": stage.cruise_mps, "twin": "",
    }  # fmt: skip
    if stage.cue_step is not None:
        tags["cue_step"] = stage.cue_step
    return tags
