"""Questions and answers about every keyframe of a log, derived from state and asked only about what the cameras show.

::

    sight.py      what the cameras show: an object counts as seen from `SEEN_PX` labelled pixels on
    questions.py  exist, count, object, status, comparison, of 0 and 1 hop (style of nuScenes-QA)
    spatial.py    distance, size, direction, relative distance, order, route (style of VSI-Bench)
    reasoning.py  narration and reasoning (style of Nu-X), the planner's note, decisions
    captions.py   one sentence on the scene
    balance.py    which of them are asked, so that the words alone tell nothing
    blind.py      what a reader who sees no picture still gets right
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eyesup.types import QA
from eyesup.world.language.balance import MOST_PER_KEYFRAME as MOST_PER_KEYFRAME
from eyesup.world.language.balance import Candidate, balanced
from eyesup.world.language.captions import caption as caption
from eyesup.world.language.questions import scene_questions
from eyesup.world.language.reasoning import act, decision_questions, descriptions, reason
from eyesup.world.language.sight import LAMP_PX as LAMP_PX
from eyesup.world.language.sight import SEEN_PX as SEEN_PX
from eyesup.world.language.sight import UNLIT_PX as UNLIT_PX
from eyesup.world.language.sight import Observer as Observer
from eyesup.world.language.sight import Sight as Sight
from eyesup.world.language.sight import look as look
from eyesup.world.language.spatial import route_questions, spatial_questions


def questions(
    observer: Observer, sights: Sequence[Sight], seed: int, cue_effect_m: np.ndarray | None = None
) -> tuple[tuple[QA, ...], ...]:
    """What is asked at each keyframe of a log: balanced questions, then narration, planner's note and caption.

    Args:
        observer: Who looked.
        sights: What was seen at each keyframe, in order.
        seed: Decides which questions are asked.
        cue_effect_m: How far removing the cue moves the plan at each keyframe, where that is known.
    """
    possible, told = possible_questions(observer, sights, cue_effect_m)
    asked = balanced(possible, np.random.default_rng([seed, 0x51]))
    return tuple(some + others for some, others in zip(asked, told))


def possible_questions(
    observer: Observer, sights: Sequence[Sight], cue_effect_m: np.ndarray | None = None
) -> tuple[list[list[Candidate]], list[tuple[QA, ...]]]:
    """Per keyframe, everything that could be asked, and what is always told; arguments as in `questions`."""
    effects = np.zeros(len(sights)) if cue_effect_m is None else cue_effect_m
    first_seen: dict[int, int] = {}
    possible: list[list[Candidate]] = []
    told: list[tuple[QA, ...]] = []
    for sight, effect in zip(sights, effects):
        for thing in sight.things:
            first_seen.setdefault(thing.id, sight.step)
        does = act(observer, sight.step)
        why = reason(sight, observer, does, float(effect))
        told.append(descriptions(sight, observer.scene.maneuvers[sight.step], does, why))
        possible.append(
            [
                *scene_questions(sight),
                *spatial_questions(sight, observer.front_m, first_seen),
                *route_questions(sight, observer),
                *decision_questions(sight, does, why),
            ]
        )
    return possible, told
