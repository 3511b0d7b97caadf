"""How often the cue decides the plan, as a setting: which logs have an event, and which keyframes of them are kept.

The share asked for is reached log by log, so that every log still depends on the configuration and its own index alone.
Below `FULL` only some of the logs have an event, and those keep `KEPT_SHARE` of a log's keyframes as ones that the cue
decides, whatever else they hold; from `FULL` on every log has one and keeps keyframes of both kinds in the ratio asked for.
Fractions of a keyframe are rounded up or down in turns, so that they do not add up over many logs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

KEPT_SHARE = 0.2  # of a log's keyframes; nearly every log with an event has as many that the cue decides
IDLE_SHARE = 0.40  # of the keyframes of a log with an event, on average: the cue does not decide them
FULL = KEPT_SHARE / (KEPT_SHARE + IDLE_SHARE)
_GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)  # its multiples modulo 1 fill the interval evenly


def eventful_share(target: float) -> float:
    """Share of logs that need an event, so that `target` of all kept keyframes are ones that a cue decides.

    Of f logs with an event, each keeps K of its keyframes that the cue decides and I others; a log without keeps all: in
    shares of a log's keyframes, ``target = f K / (f (K + I) + 1 - f)``.
    """
    return min(1.0, target / (KEPT_SHARE + target * (1.0 - KEPT_SHARE - IDLE_SHARE)))


def is_eventful(index: int, target: float) -> bool:
    """Whether the log of that index has an event; any first n logs are in proportion."""
    share = eventful_share(target)
    return int((index + 1) * share + 0.5) > int(index * share + 0.5)


def kept_keyframes(
    decided: Bool[np.ndarray, "K"], target: float, index: int, rng: np.random.Generator
) -> Int64[np.ndarray, "_"]:
    """Which keyframes of a log with an event are kept, ascending; never none.

    Args:
        decided: Whether the cue decides the plan at each keyframe.
        target: Share asked for, over the whole store.
        index: Of the log; decides in which direction a fraction is rounded.
        rng: Draws which keyframes stay.
    """
    active, idle = np.flatnonzero(decided), np.flatnonzero(~decided)
    if target < FULL:
        wanted, others = KEPT_SHARE * len(decided), float(len(idle))
    elif len(active) * (1.0 - target) > len(idle) * target:
        wanted, others = len(idle) * target / (1.0 - target), float(len(idle))
    else:
        wanted, others = float(len(active)), len(active) * (1.0 - target) / target
    kept = np.concatenate([_some(active, wanted, index, rng), _some(idle, others, index, rng)])
    return np.sort(kept) if len(kept) else np.zeros(1, np.int64)


def _some(rows: np.ndarray, count: float, index: int, rng: np.random.Generator) -> np.ndarray:
    whole = int(count + (index * _GOLDEN) % 1.0 + 1e-9)
    return rng.permutation(rows)[: min(whole, len(rows))]
