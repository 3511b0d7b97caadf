"""Counterfactual insertion: put a standing vehicle on the ego's path, and the same vehicle beside it, and see whether the plan minds.

The world's own version of counterfactual stitching (specs: diagnostics section 1; IK-VLA section 4.3.1 and Appendix L), rendered
instead of pasted: position, scale, light and occlusion are exact, and the expert is re-run in the edited scene, so the right answer
is known. Text is untouched: ego status, history, command and noise stay those of the original frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eyesup.data.world import WorldSource, future_trajectory
from eyesup.evaluation.openloop import alternatives
from eyesup.evaluation.records import estimate_values
from eyesup.models.protocol import Planner
from eyesup.types import DataError, Finding, Observation, Prediction, Trajectory
from eyesup.world.render import Renderer
from eyesup.world.twins import insert_obstacle

HORIZON_S = 3.0
SHORTER_M = 0.5  # headline threshold of diagnostics section 1
PROTOCOL = (
    "Change of the plan's 3 s end point along x (ego frame, negative = shorter) when a standing car is inserted, "
    "against the unedited frame; same noise, same text. Frames in which no camera shows the car, and those without room for "
    "the control beside the road, are left out. Error: distance of that end point from the expert's in the edited scene; who does not "
    "look cannot know the car is there. Mean with 95 % bootstrap interval over scenes."
)


@dataclass(frozen=True)
class InsertionSettings:
    """What is inserted, and where.

    Attributes:
        distances_m: Gap along the route from the ego's front bumper to the obstacle's rear.
        lateral_m: Offset of the control beside the path; the sign is chosen by the world (a verge, never a used lane).
        per_scene: Keyframes taken from each scene, evenly spread over those that qualify.
        min_speed_mps: Slower keyframes are left out: there is nothing to shorten.
        max_scenes: Scenes taken, in order; None takes all.
    """

    distances_m: tuple[float, ...] = (14.0, 20.0)
    lateral_m: float = 6.0
    per_scene: int = 1
    min_speed_mps: float = 4.0
    max_scenes: int | None = None


@dataclass(frozen=True)
class Case:
    """One frame in three versions; images are (C, H, W, 3) uint8, trajectories the expert's."""

    key: str
    scene_key: str
    distance_m: float
    observation: Observation
    on_path: Observation
    off_path: Observation
    expert: Trajectory
    expert_on: Trajectory
    expert_off: Trajectory


def cases(source: WorldSource, settings: InsertionSettings) -> Iterator[Case]:
    """Render the versions of every qualifying keyframe. All three come from the renderer, none from a JPEG, so they are paired.

    Cases are left out where the obstacle cannot be seen (a lead vehicle hides it) and where no control fits beside the road.
    """
    for scene_key, rows in _choose(source, settings).items():
        with Renderer(source.store.rig_of(scene_key)) as renderer:
            renderer.load(source.store.scene(scene_key))
            for index, step in rows:
                for distance in settings.distances_m:
                    case = _case(source, renderer, index, scene_key, step, distance, settings.lateral_m)
                    if case is not None and (case.on_path.images != case.observation.images).any():
                        yield case


def _case(
    source: WorldSource, renderer: Renderer, index: int, scene_key: str, step: int, distance_m: float, lateral_m: float
) -> Case | None:
    scene = source.store.scene(scene_key)
    base = source[index].observation
    on = insert_obstacle(scene, step, distance_m, 0.0)
    try:
        off = insert_obstacle(scene, step, distance_m, lateral_m)
    except DataError:  # no room beside the road
        return None
    return Case(
        key=base.key,
        scene_key=scene_key,
        distance_m=distance_m,
        observation=replace(base, images=renderer.images(step)[None]),
        on_path=replace(base, images=renderer.images(step, agents=on.agents)[None]),
        off_path=replace(base, images=renderer.images(step, agents=off.agents)[None]),
        expert=future_trajectory(scene, step),
        expert_on=future_trajectory(on, step),
        expert_off=future_trajectory(off, step),
    )


def _choose(source: WorldSource, settings: InsertionSettings) -> dict[str, list[tuple[int, int]]]:
    """Scene key -> (index, step) of keyframes where the ego drives and nothing makes the expert stop anyway."""
    by_scene: dict[str, list[tuple[int, int]]] = {}
    for index, key in enumerate(source.keys):
        scene_key, text = key.rsplit("@", 1)
        scene, step = source.store.scene(scene_key), int(text)
        reach = end_point(future_trajectory(scene, step))
        if scene.ego_velocities[step, 0] >= settings.min_speed_mps and reach > settings.min_speed_mps * HORIZON_S:
            by_scene.setdefault(scene_key, []).append((index, step))
    return {
        scene_key: _spread(options, settings.per_scene)
        for scene_key, options in list(by_scene.items())[: settings.max_scenes]
    }


def _spread(options: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """`count` of them, evenly apart, none at the very ends."""
    picks = np.linspace(0, len(options) - 1, min(count, len(options)) + 2)[1:-1]
    return [options[round(pick)] for pick in picks]


def end_point(trajectory: Trajectory) -> float:
    """Forward coordinate [m] of a plan at 3 s."""
    return float(trajectory.poses[round(HORIZON_S / trajectory.dt_s) - 1, 0])


def expected_end_point(prediction: Prediction) -> float:
    """The same for a prediction: the mean over its alternatives (noise seeds), where it has several."""
    singles = alternatives(prediction)
    return float(np.mean([end_point(single.trajectory) for single in singles]))


def end_points(planner: Planner, versions: Sequence[Case], seed: int) -> np.ndarray:
    """(3, N) planned end points [m]: unedited, on path, off path."""
    return np.array(
        [
            [expected_end_point(p) for p in planner.plan([getattr(c, field) for c in versions], seed)]
            for field in ("observation", "on_path", "off_path")
        ]
    )


def shifts(planner: Planner, versions: Sequence[Case], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Change of the end point (on path, off path) against the original, one per case [m]."""
    original, on_path, off_path = end_points(planner, versions, seed)
    return on_path - original, off_path - original


def probe(
    planner: Planner,
    source: WorldSource,
    seeds: Sequence[int] = (0,),
    settings: InsertionSettings | None = None,
    prepared: Sequence[Case] | None = None,
) -> Finding:
    """How much an obstacle on the path shortens the plan, beside the same obstacle off the path and the expert's own change.

    Args:
        planner: Anything with `plan`.
        source: A world source with Truth.
        seeds: Noise seeds; a case's shift is the mean over them.
        settings: What is inserted.
        prepared: Cases rendered before (`cases`), to share them between planners.
    """
    settings = settings or InsertionSettings()
    versions = list(prepared) if prepared is not None else list(cases(source, settings))
    if not versions:
        raise DataError(
            f"insertion: no keyframe of {source.name} fits; it needs an ego at {settings.min_speed_mps:g} m/s or more "
            f"and a free road of {max(settings.distances_m):g} m"
        )
    original, on_path, off_path = np.mean([end_points(planner, versions, seed) for seed in seeds], axis=0)
    on, off = on_path - original, off_path - original
    error = np.abs(on_path - [end_point(c.expert_on) for c in versions])
    expert_on = np.array([end_point(c.expert_on) - end_point(c.expert) for c in versions])
    expert_off = np.array([end_point(c.expert_off) - end_point(c.expert) for c in versions])
    rows = {}
    for distance in (*settings.distances_m, None):
        mask = np.array([distance is None or c.distance_m == distance for c in versions])
        scenes = [c.scene_key for c, take in zip(versions, mask) if take]
        columns = {
            "on path [m]": on[mask],
            "off path [m]": off[mask],
            "on - off [m]": (on - off)[mask],
            f"shorter by > {SHORTER_M:g} m on path [%]": 100.0 * (on < -SHORTER_M)[mask],
            f"shorter by > {SHORTER_M:g} m off path [%]": 100.0 * (off < -SHORTER_M)[mask],
            "expert on path [m]": expert_on[mask],
            "expert off path [m]": expert_off[mask],
            "error on path [m]": error[mask],
        }
        label = "all distances" if distance is None else f"{distance:g} m ahead"
        rows[label] = {name: estimate_values(values, scenes) for name, values in columns.items()}
    notes = (f"{len(versions)} cases, noise seeds {list(seeds)}.",)
    return Finding("insertion", planner.name, PROTOCOL, rows, notes, {"seeds": list(seeds), **vars(settings)})
