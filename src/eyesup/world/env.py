"""The world as a Gymnasium environment: ``gymnasium.make("eyesup.world.env:eyesup/Driving-v0")``.

The part before the colon is imported first, which makes the name known. libsumo is one simulation per process, so only one
environment per process can be between `reset` and `close`. For several at once use processes::

    gymnasium.make_vec("eyesup.world.env:eyesup/Driving-v0", num_envs=4, vectorization_mode="async",
                       vector_kwargs={"context": "spawn"})

(``spawn``: SUMO and Panda3D do not survive a fork.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from eyesup.types import DataError, Maneuver, Observation, Trajectory
from eyesup.world.ego_view import HISTORY_POSES
from eyesup.world.episode import ROUTE_POINTS, Episode, Happening
from eyesup.world.rigs import RIGS
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.traffic import STEP_S

ENVIRONMENT = "eyesup/Driving-v0"
MANEUVERS = tuple(Maneuver)
ACCELERATION_MPS2, STEERING_RATE_RPS = (-8.0, 3.0), (-1.0, 1.0)  # bounds of a control action
PLAN_DT_S = 0.5
PLAN_LOW, PLAN_HIGH = (
    (-20.0, -100.0, -np.pi),
    (200.0, 100.0, np.pi),
)  # bounds of a plan's poses: x, y [m], heading [rad]
SEEDS = 2**20  # episodes per scenario and split that `reset` draws from


@dataclass(frozen=True)
class Reward:
    """What a step is worth: the sum of these.

    Attributes:
        progress: Per metre gained along the route.
        collision, off_road, off_route: Once, when the episode ends by it.
        red_light: For each stop line passed at red.
    """

    progress: float = 0.1
    collision: float = -20.0
    off_road: float = -20.0
    off_route: float = -20.0
    red_light: float = -5.0

    def of(self, happening: Happening) -> float:
        return (
            self.progress * happening.progress_m
            + self.collision * (happening.collision_with is not None)
            + self.off_road * happening.off_road
            + self.off_route * happening.off_route
            + self.red_light * happening.red_light
        )


class DrivingEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """Drive a scenario of the world from its cameras.

    **Action**, by `action`:

    * ``"control"``: acceleration [m/s^2] and steering rate [rad/s] of the kinematic bicycle, held for one tick of 0.1 s.
    * ``"trajectory"``: `plan_poses` future rear-axle poses (x [m], y [m], heading [rad]) every 0.5 s in the ego frame,
      tracked by the regulator of `dynamics.lqr` for one tick of 0.5 s.

    **Observation**: ``images`` (C, H, W, 3) uint8 of the rig's cameras; ``ego`` vx, vy [m/s], ax, ay [m/s^2], yaw rate
    [rad/s], steering [rad]; ``history`` (4, 3) poses 0.5 to 2 s ago, ego frame, with ``history_valid``; ``command`` index in
    `MANEUVERS`; ``route`` (20, 2) points of the route ahead, 2 m apart, ego frame.

    **Reward**: see `Reward`. **Terminated** on a collision, off the road (two corners of the ego outside the drivable area),
    off the route (15 m away) and at the route's end; **truncated** after `duration_s`.

    **Info**: ``events`` (names of what happened), ``collision_with``, ``off_route_m``, ``time_to_collision_s`` (inf: none
    within 3 s), ``progress_m``, ``step``; after a reset also ``scenario``, ``split`` and ``seed``: with them `simulate`
    makes the expert's log of the same situation.

    Args:
        scenario: The scenario of every episode, or None to draw one at each reset.
        split: Towns to drive in.
        action: ``control`` or ``trajectory``.
        rig: Name in `rigs.RIGS`.
        width_px, height_px: Size of each image.
        duration_s: Length of an episode, at least 8 s.
        plan_poses: Poses of a trajectory action.
        tick_s: Time per step; None takes 0.1 s for controls, 0.5 s for trajectories.
        images: Draw the cameras; False gives an observation without ``images`` and is several times faster.
        rehearsed: Let the expert try the draw first, so that the scenario's cue is sure to come; see `Episode`.
        reward: Weights.
        render_mode: What `render` returns: ``rgb_array`` the cameras side by side, ``birds_eye`` the view from above.
    """

    metadata = {"render_modes": ["rgb_array", "birds_eye"], "render_fps": 10}  # noqa: RUF012  # Gymnasium's name and form

    def __init__(
        self,
        scenario: str | None = None,
        split: str = "train",
        action: str = "control",
        rig: str = "front3",
        width_px: int = 256,
        height_px: int = 144,
        duration_s: float = 20.0,
        plan_poses: int = 6,
        tick_s: float | None = None,
        images: bool = True,
        rehearsed: bool = False,
        reward: Reward = Reward(),
        render_mode: str | None = None,
    ) -> None:
        if rig not in RIGS:
            raise DataError(f"rig {rig!r} is unknown; choose one of {', '.join(RIGS)}")
        if action not in ("control", "trajectory"):
            raise DataError(f"action {action!r} is unknown; choose control or trajectory")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise DataError(f"render_mode {render_mode!r} is unknown; choose one of {self.metadata['render_modes']}")
        self.scenario, self.split, self.action, self.duration_s = scenario, split, action, duration_s
        self.rig = RIGS[rig](width_px, height_px)
        self.draws_images, self.rehearsed, self.reward, self.render_mode = images, rehearsed, reward, render_mode
        tick_s = {"control": STEP_S, "trajectory": PLAN_DT_S}[action] if tick_s is None else tick_s
        self.substeps = round(tick_s / STEP_S)
        if self.substeps < 1 or abs(self.substeps * STEP_S - tick_s) > 1e-9:
            raise DataError(f"tick of {tick_s} s is no whole multiple of {STEP_S} s")
        if action == "trajectory" and not 0 < self.substeps * STEP_S <= plan_poses * PLAN_DT_S:
            raise DataError(f"a plan of {plan_poses} poses every {PLAN_DT_S} s is shorter than the tick of {tick_s} s")
        self.action_space = _action_space(action, plan_poses)
        self.observation_space = _observation_space(len(self.rig), self.rig.size_px, images)
        self._episode: Episode | None = None
        self._images: np.ndarray | None = None

    @property
    def episode(self) -> Episode:
        """The running episode; DataError before the first reset."""
        if self._episode is None:
            raise DataError("environment: no episode is open; call reset() first")
        return self._episode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Open an episode.

        Args:
            seed: Decides everything that follows, also the episodes of later resets without a seed.
            options: ``scenario``, ``split`` and ``seed`` (of the log, see `simulate`) of this episode instead of a draw.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        drawn = str(self.np_random.choice(list(SCENARIOS))), int(self.np_random.integers(SEEDS))
        scenario = options.pop("scenario", self.scenario or drawn[0])
        split, log_seed = options.pop("split", self.split), int(options.pop("seed", drawn[1]))
        if options:
            raise DataError(f"reset options {sorted(options)} are unknown; known: scenario, seed, split")
        self._end()
        self._episode = Episode(scenario, log_seed, split, self.duration_s, self.rig, self.rehearsed)
        info = {"scenario": scenario, "split": split, "seed": log_seed}
        return self._observe(), info | _info([], self._episode)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        episode = self.episode
        happenings = self._drive(np.asarray(action, np.float64))
        terminated = happenings[-1].ends
        truncated = not terminated and episode.time_s >= self.duration_s - 1e-6
        reward = float(sum(self.reward.of(happening) for happening in happenings))
        return self._observe(), reward, terminated, truncated, _info(happenings, episode)

    def _drive(self, action: np.ndarray) -> list[Happening]:
        if action.shape != self.action_space.shape:
            raise DataError(f"action of shape {action.shape}, expected {self.action_space.shape}")
        if self.action == "trajectory":
            return self.episode.follow(Trajectory(action, PLAN_DT_S), self.substeps)
        happenings: list[Happening] = []
        while len(happenings) < self.substeps and not (happenings and happenings[-1].ends):
            happenings.append(self.episode.step(float(action[0]), float(action[1])))
        return happenings

    def observation(self) -> Observation:
        """The present as any `Planner` takes it."""
        return self.episode.observation(self._images)

    def expert_action(self) -> np.ndarray:
        """What the expert does now, as a control action. Privileged."""
        return np.array(self.episode.expert_command())

    def render(self) -> np.ndarray | None:  # type: ignore[override]  # one picture, no list of them
        """RGB picture (H, W, 3) by `render_mode`."""
        if self.render_mode is None:
            return None
        if self.render_mode == "birds_eye":
            return self.episode.birds_eye()
        images = self.episode.images() if self._images is None else self._images
        return np.concatenate(list(images), axis=1)

    def close(self) -> None:
        """End the simulation; another environment may then open in this process."""
        self._end()

    def _end(self) -> None:
        if self._episode is not None:
            self._episode.close()
        self._episode = self._images = None

    def _observe(self) -> dict[str, Any]:
        episode, history = self.episode, self.episode.history()
        self._images = episode.images() if self.draws_images else None
        observation = {
            "ego": episode.ego_status().as_array().astype(np.float32),
            "history": np.where(history.valid[:, None], history.poses, 0.0).astype(np.float32),
            "history_valid": history.valid.astype(np.int8),
            "command": np.int64(MANEUVERS.index(episode.maneuver())),
            "route": episode.route_ahead().astype(np.float32),
        }
        return observation if self._images is None else {"images": self._images, **observation}


def _action_space(action: str, plan_poses: int) -> spaces.Box:
    if action == "trajectory":
        low, high = (np.tile(np.array(bound, np.float32), (plan_poses, 1)) for bound in (PLAN_LOW, PLAN_HIGH))
        return spaces.Box(low, high, dtype=np.float32)
    low, high = np.array([ACCELERATION_MPS2, STEERING_RATE_RPS], np.float32).T
    return spaces.Box(low, high, dtype=np.float32)


def _observation_space(cameras: int, size_px: tuple[int, int], images: bool) -> spaces.Dict:
    width, height = size_px

    def anything(*shape: int) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, shape, np.float32)

    parts: dict[str, spaces.Space] = {
        "ego": anything(6),
        "history": anything(HISTORY_POSES, 3),
        "history_valid": spaces.MultiBinary(HISTORY_POSES),
        "command": spaces.Discrete(len(MANEUVERS)),
        "route": anything(ROUTE_POINTS, 2),
    }
    pictures: dict[str, spaces.Space] = {"images": spaces.Box(0, 255, (cameras, height, width, 3), np.uint8)}
    return spaces.Dict(pictures | parts if images else parts)


def _info(happenings: list[Happening], episode: Episode) -> dict[str, Any]:
    """Facts of a step for the log; see `DrivingEnv`."""
    last = happenings[-1] if happenings else None
    hit = last.collision_with if last else None
    return {
        "step": episode.stage.step,
        "events": ",".join(dict.fromkeys(event for happening in happenings for event in happening.events)),
        "collision_with": f"{hit[0].name.lower()} {hit[1]}" if hit else "",
        "off_route_m": last.off_route_m if last else 0.0,
        "time_to_collision_s": min((h.time_to_collision_s for h in happenings), default=float("inf")),
        "progress_m": float(sum(happening.progress_m for happening in happenings)),
    }


if ENVIRONMENT not in gymnasium.registry:
    gymnasium.register(ENVIRONMENT, entry_point=f"{__name__}:DrivingEnv")
