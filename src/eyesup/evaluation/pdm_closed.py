"""PDM-Closed as a planner: rules on map and objects, no learning (Dauner et al. 2023, CoRL). The strongest plain row of NAVSIM."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.score import reference_poses
from eyesup.scoring.pdm.version import DT_S, Version, version_named
from eyesup.types import Observation, Prediction, Trajectory


class PDMClosed:
    """Fifteen proposals beside the route's centreline, the best by the score itself. Privileged: it knows map, route and objects.

    It is also what ego progress is measured against, so it scores itself wherever its own forecast comes true.

    Args:
        scene_of: Prepared scene of a key; DataError for a key that it does not know.
        version: Of the score that chooses: v1, v2 or their relatives.
    """

    name = "PDM-Closed"
    privileged = True

    def __init__(self, scene_of: Callable[[str], PreparedScene], version: Version | str = "v2") -> None:
        self._scene_of = scene_of
        self._version = version_named(version) if isinstance(version, str) else version

    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        """Forty poses at 0.1 s each, looked up by key; deterministic, `seed` changes nothing."""
        return [Prediction(o.key, Trajectory(self.path(o.key), DT_S)) for o in observations]

    def path(self, key: str) -> Float[np.ndarray, "40 3"]:
        """The plan of one scene in the ego frame."""
        return reference_poses(self._scene_of(key), self._version)[1:]
