"""Does a scenario's cue decide what the expert does, and only where it matters?

A scenario is good when, over many seeds, at the first keyframe at which the cue matters, removing it moves the expert's
3 s end point by more than 1 m in at least 90 % of them, and a cue beside the road or in the sky is as good as none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eyesup.types import DataError, Scene
from eyesup.world.twins.drive import EFFECT_STEPS, TWIN_STEPS
from eyesup.world.twins.kinds import TwinKind
from eyesup.world.twins.make import make_twin

EFFECT_M = 1.0
SAME_M = 0.1
GOOD_SHARE = 0.9


@dataclass(frozen=True)
class CueTest:
    """What the twins of one log show at its cue's moment; all distances between 3 s end points, in metres.

    Attributes:
        step: The keyframe.
        removed_m: The log to the twin without the cue: the cue's effect.
        off_path_m, in_sky_m: The twin without the cue to the one with it there; None where that twin does not exist.
        moved_m: The log to the twin with the cue elsewhere; None where that twin does not exist.
    """

    step: int
    removed_m: float
    off_path_m: float | None
    in_sky_m: float | None
    moved_m: float | None

    @property
    def decides(self) -> bool:
        return self.removed_m > EFFECT_M

    @property
    def only_on_path(self) -> bool:
        """Whether the cue counts for nothing in every place where it should, and at least one such place exists."""
        apart = [value for value in (self.off_path_m, self.in_sky_m) if value is not None]
        return bool(apart) and max(apart) < SAME_M


def cue_keyframe(scene: Scene) -> int:
    """The first keyframe at which the cue matters.

    Raises:
        DataError: The log has no such keyframe.
    """
    first = scene.tags.get("cue_step")
    later = scene.keyframes[scene.keyframes >= int(first)] if first is not None else scene.keyframes[:0]
    if not len(later) or int(later[0]) + TWIN_STEPS >= len(scene):
        raise DataError(f"scene {scene.key} has no keyframe at which its cue matters; take a scenario with a cue")
    return int(later[0])


def probe_cue(scene: Scene) -> CueTest:
    """Drive all twins of a log at `cue_keyframe`."""
    step = cue_keyframe(scene)
    removed = make_twin(scene, step, TwinKind.CUE_REMOVED)
    return CueTest(
        step=step,
        removed_m=_apart(scene, removed, step),
        off_path_m=_apart_if_any(scene, removed, step, TwinKind.CUE_OFF_PATH),
        in_sky_m=_apart_if_any(scene, removed, step, TwinKind.CUE_IN_SKY),
        moved_m=_apart_if_any(scene, scene, step, TwinKind.CUE_MOVED),
    )


def is_good(tests: Sequence[CueTest]) -> bool:
    """The criterion of a scenario, over its seeds."""
    decides = np.mean([test.decides for test in tests])
    return bool(decides >= GOOD_SHARE and all(test.only_on_path for test in tests))


def _apart(one: Scene, other: Scene, step: int) -> float:
    offset = one.ego_poses[step + EFFECT_STEPS, :2] - other.ego_poses[step + EFFECT_STEPS, :2]
    return float(np.hypot(*offset))


def _apart_if_any(scene: Scene, other: Scene, step: int, kind: TwinKind) -> float | None:
    """Distance between a twin of `scene` and `other`; None where the twin does not exist (no room, too late)."""
    try:
        twin = make_twin(scene, step, kind)
    except DataError:
        return None
    return _apart(twin, other, step)
