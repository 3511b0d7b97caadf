"""Twins of a scene, and how far its cue moves the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from eyesup.types import CueKind, DataError, Scene
from eyesup.world.twins.agents import edit_agents, moved_agents
from eyesup.world.twins.drive import EFFECT_STEPS, TWIN_STEPS, driven, rollout, scene_expert
from eyesup.world.twins.kinds import TwinKind
from eyesup.world.twins.road import edit_road, ends_on_straight_road, moved_road
from eyesup.world.twins.signals import edit_signal, moved_signal

_EDITS: dict[CueKind, Callable[[Scene, int, TwinKind], Scene]] = {
    CueKind.AGENT: edit_agents,
    CueKind.SIGNAL: edit_signal,
    CueKind.ROAD: edit_road,
}
_MOVES: dict[CueKind, Callable[[Scene, int], Iterator[Scene]]] = {
    CueKind.AGENT: moved_agents,
    CueKind.SIGNAL: moved_signal,
    CueKind.ROAD: moved_road,
}
TELLING_M = 0.5  # a moved cue should move the plan by more


def make_twin(scene: Scene, step: int, kind: TwinKind) -> Scene:
    """The log up to `step` with its cue edited, and what the expert does in the 5 s after it.

    Args:
        scene: Log with a cue.
        step: A keyframe; 5 s of log must follow it.
        kind: What becomes of the cue.

            ============  ==================  ====================================  ===================  ======================
            cue           removed             off the path                          in the sky           moved
            ============  ==================  ====================================  ===================  ======================
            agents        gone                stand on the verge, arranged alike    hang above the road  8 m on, or 1.5 s later*
            light         without its change  the same, and its copy beside it      and its copy above   6 m nearer, or later
            sign          gone                stands where it controls nothing      hangs there          6 m nearer
            bend          a straight road     bends on another road beside ours     (no such twin)       to the other side
            ============  ==================  ====================================  ===================  ======================

            * or by the first other distance or delay that changes the plan, where this one does not.

    Returns:
        A Scene of ``step + 51`` steps whose only keyframe is `step`. How far a cue was moved stands in its tags:
        ``cue_moved_m`` along the route, or ``cue_moved_s`` later.

    Raises:
        DataError: no cue, too short a log, no room for the edit, or the ego is in the bend already.
    """
    if step + TWIN_STEPS >= len(scene):
        raise DataError(
            f"twin of {scene.key} at step {step}: needs {TWIN_STEPS} more steps, the log ends at {len(scene) - 1}"
        )
    if kind is TwinKind.IDENTITY:
        return driven(scene, step, kind.value)
    if scene.cue.kind is CueKind.NONE:
        raise DataError(f"twin of {scene.key}: the scene has no cue to edit; use a scenario with a cue")
    if kind is TwinKind.CUE_MOVED:
        return _most_telling(scene, step)
    return driven(_EDITS[scene.cue.kind](scene, step, kind), step, kind.value)


def _most_telling(scene: Scene, step: int) -> Scene:
    """The first place of a moved cue that moves the plan by more than `TELLING_M`, or the one that moves it most."""
    best, most = None, -1.0
    for candidate in _MOVES[scene.cue.kind](scene, step):
        twin = driven(candidate, step, TwinKind.CUE_MOVED.value)
        apart = float(np.hypot(*(twin.ego_poses - scene.ego_poses[: len(twin)])[step + EFFECT_STEPS, :2]))
        if apart > most:
            best, most = twin, apart
        if most > TELLING_M:
            break
    assert best is not None  # a move that has no place raises
    return best


def cue_effect(scene: Scene, step: int) -> float:
    """Metres between the 3 s end points of the expert with and without the cue; 0 where the scene has none.

    In a bend that the ego has already entered, "without" means a road that goes straight on from here.
    """
    return float(cue_effects(scene, [step])[0])


def cue_effects(scene: Scene, steps: Sequence[int] | np.ndarray) -> Float64[np.ndarray, "K"]:
    """`cue_effect` at several steps, sharing what they have in common."""
    steps = [int(step) for step in steps]
    if scene.cue.kind is CueKind.NONE or not steps:
        return np.zeros(len(steps))
    if scene.cue.kind is CueKind.ROAD:
        ends = ends_on_straight_road(scene, steps)
    else:
        without = _EDITS[scene.cue.kind](scene, steps[0], TwinKind.CUE_REMOVED)
        expert = scene_expert(without)
        ends = [rollout(without, step, EFFECT_STEPS, expert=expert).poses[-1] for step in steps]
    actual = scene.ego_poses[np.array(steps) + EFFECT_STEPS]
    return np.hypot(*(np.array(ends) - actual)[:, :2].T)
