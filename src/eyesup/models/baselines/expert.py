"""The driven path itself, replayed: what a perfect imitator would plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eyesup.types import DataError, Observation, Prediction, Trajectory

WAYPOINTS = 6
WAYPOINT_DT_S = 0.5


class ExpertReplay:
    """Returns the expert's future of each sample by key. Privileged: it was told what happens.

    Args:
        futures: Driven path per sample key, 3 s or more at a step that divides 0.5 s.
    """

    name = "expert replay"
    privileged = True

    def __init__(self, futures: Mapping[str, Trajectory]) -> None:
        self._futures = dict(futures)

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        """Six waypoints at 0.5 s each; `seed` changes nothing. DataError for a key without a future."""
        return [Prediction(o.key, self._future(o.key).resampled(WAYPOINT_DT_S, WAYPOINTS)) for o in observations]

    def _future(self, key: str) -> Trajectory:
        if key not in self._futures:
            raise DataError(
                f"expert replay: no future for sample {key!r} among {len(self._futures)}; build it from the same source"
            )
        return self._futures[key]
