"""Any EyesUp planner as an agent of the official NAVSIM harness (v1.1 and v2). Importing this needs NAVSIM's devkit.

As ``agent/eyesup.yaml`` in a folder on Hydra's search path::

    _target_: eyesup.serving.navsim_agent.EyesUpAgent
    _convert_: all
    checkpoint: ik_vla_tiny
"""

from __future__ import annotations

import inspect
from typing import Any

from eyesup.data.navsim.logs import FRAME_US
from eyesup.models.load import load_planner
from eyesup.models.protocol import Planner
from eyesup.serving.navsim_observation import observation_of, sensors_of
from eyesup.types.errors import DataError, EyesUpError

try:
    from navsim.agents.abstract_agent import AbstractAgent
    from navsim.common.dataclasses import SensorConfig, Trajectory
    from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling
except ModuleNotFoundError as error:
    raise EyesUpError(
        f"eyesup.serving.navsim_agent runs inside NAVSIM's devkit, and {error.name!r} is not installed; install "
        f"github.com/autonomousvision/navsim, or use `eyesup eval --benchmark navsim`, which does without"
    ) from error

HISTORY_FRAMES = 4
HORIZON_S, DT_S = 4.0, FRAME_US * 1e-6


class EyesUpAgent(AbstractAgent):  # type: ignore[misc]
    """Plans with a checkpoint.

    Args:
        checkpoint: Rule, shipped checkpoint or checkpoint folder.
        seed: Noise seed.
        trajectory_sampling: Of the answer; 8 poses at 0.5 s.
    """

    requires_scene = False

    def __init__(self, checkpoint: str, seed: int = 0, trajectory_sampling: Any = None) -> None:
        sampling = trajectory_sampling or TrajectorySampling(time_horizon=HORIZON_S, interval_length=DT_S)
        # v2 keeps the sampling in the base class, v1 has no such argument.
        takes = inspect.signature(AbstractAgent.__init__).parameters
        super().__init__(**({"trajectory_sampling": sampling} if "trajectory_sampling" in takes else {}))
        self._trajectory_sampling = sampling
        self.checkpoint, self.seed = checkpoint, seed
        self._planner: Planner | None = None

    def name(self) -> str:
        """Shown in NAVSIM's tables."""
        return f"EyesUp_{self.checkpoint.rstrip('/').rsplit('/', 1)[-1]}"

    def initialize(self) -> None:
        """Load the weights."""
        self._planner = load_planner(self.checkpoint)

    def get_sensor_config(self) -> Any:
        """The front cameras of the current frame."""
        return SensorConfig(**sensors_of(history=HISTORY_FRAMES))

    def compute_trajectory(self, agent_input: Any) -> Any:
        """Plan one scene; DataError when the planner's plan is shorter than the answer must be."""
        if self._planner is None:
            self.initialize()
        assert self._planner is not None
        plan = self._planner.plan([observation_of(agent_input)], self.seed)[0].trajectory
        steps = self._trajectory_sampling.num_poses
        try:
            poses = plan.resampled(self._trajectory_sampling.interval_length, steps).poses
        except DataError as error:
            raise DataError(
                f"{self.checkpoint} plans {len(plan) * plan.dt_s:g} s; NAVSIM asks for {steps} poses: use one with 8 waypoints"
            ) from error
        return Trajectory(poses.astype("float32"), self._trajectory_sampling)
