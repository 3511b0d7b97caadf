"""Trajectory tracker of NAVSIM and nuPlan: profiles fitted to a path, then a one-second linear-quadratic regulator.

Two ways to use it:

* from poses alone: `fit_velocity_curvature`, then `track_step` at each step; `simulate` runs the whole loop;
* from a planner that knows its speed and curvature: a `Reference` with its own profiles, or `lqr_command` directly.

Notation (NAVSIM): v velocity profile, kappa curvature profile, M displacements between M + 1 poses, dt step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from eyesup.dynamics.bicycle import STATE_SIZE, BicycleState, step_bicycle
from eyesup.geometry.se2 import wrap_angle
from eyesup.types import PACIFICA, DataError

DT_S = 0.1
HORIZON_STEPS = 10  # the regulator looks one second ahead
VELOCITY_RIDGE = 1e-4
CURVATURE_START_RIDGE = 1e-10
CURVATURE_RATE_RIDGE = 1e-2
STOPPING_SPEED_MPS = 0.2  # below this, speed and reference are held by a proportional controller
STOPPING_GAIN = 0.5
SPEED_ERROR_WEIGHT, ACCELERATION_WEIGHT = 10.0, 1.0
LATERAL_WEIGHT, HEADING_WEIGHT, STEERING_RATE_WEIGHT = 1.0, 10.0, 1.0


@dataclass(frozen=True)
class Reference:
    """What the tracker follows.

    Attributes:
        poses: (..., M + 1, 3) rear-axle poses at 0, dt, 2 dt, ...
        velocity: (..., M) m/s between successive poses.
        curvature: (..., M) 1/m, left positive.
    """

    poses: Float[np.ndarray, "*batch P 3"]
    velocity: Float[np.ndarray, "*batch M"]
    curvature: Float[np.ndarray, "*batch M"]

    @staticmethod
    def fitted(poses: Float[np.ndarray, "*batch P 3"], dt: float = DT_S) -> Reference:
        return Reference(poses, *fit_velocity_curvature(poses, dt))


def fit_velocity_curvature(
    poses: Float[np.ndarray, "*batch P 3"], dt: float = DT_S
) -> tuple[Float[np.ndarray, "*batch M"], Float[np.ndarray, "*batch M"]]:
    """Smooth speed [m/s] and curvature [1/m] profiles whose integral follows the poses (P = M + 1, M >= 3).

    Both are ridge-regularised least squares over (first value, increments).

    The velocity's regulariser is copied from the original as it acts, not as it was meant: a jerk penalty was
    intended, but its banded matrix is overwritten, which leaves a ridge on the accelerations and one difference term
    at the end. A true jerk penalty moves simulated states by up to metres.

    Both fits are solved in closed form: with cos^2 + sin^2 = 1 the velocity's normal matrix does not depend on the
    path, so v is a constant matrix times the displacements along the headings; the curvature's is tridiagonal.

    Source: NAVSIM's LQR tracker (nuPlan's `tracker_utils`).

    Raises:
        DataError: Fewer than four poses.
    """
    if poses.shape[-2] < 4:
        raise DataError(f"velocity fit: {poses.shape[-2]} pose(s), needs at least 4; sample the path more densely")
    displacement = np.diff(poses[..., :2], axis=-2)
    heading = poses[..., :-1, 2]
    advance = displacement[..., 0] * np.cos(heading) + displacement[..., 1] * np.sin(heading)
    velocity = advance @ _velocity_operator(advance.shape[-1], dt).T
    turn = np.asarray(wrap_angle(np.diff(poses[..., 2], axis=-1)))
    return velocity, _fit_curvature(velocity, turn, dt)


@lru_cache(maxsize=16)
def _velocity_operator(count: int, dt: float) -> np.ndarray:
    """(M, M) matrix from displacements along the heading to the fitted velocities."""
    velocity_from_unknowns = np.concatenate([np.ones((count, 1)), dt * np.tri(count, count - 1, -1)], axis=1)
    regulariser = np.zeros((count - 2, count))
    regulariser[:, 1:-1] = -np.eye(count - 2)
    regulariser[-1, -1] = 1.0
    normal = dt**2 * velocity_from_unknowns.T @ velocity_from_unknowns + VELOCITY_RIDGE * regulariser.T @ regulariser
    return velocity_from_unknowns @ np.linalg.pinv(normal) @ velocity_from_unknowns.T * dt


def _fit_curvature(velocity: np.ndarray, turn: np.ndarray, dt: float) -> np.ndarray:
    """Curvatures from heading changes: a tridiagonal system solved by elimination without cancellation.

    `s` is the pivot less the coupling to the next unknown, so it stays accurate when the car hardly moves.
    """
    coupling = CURVATURE_RATE_RIDGE / dt**2
    data, right = (velocity * dt) ** 2, velocity * dt * turn
    count = velocity.shape[-1]
    s = np.empty_like(data)
    s[..., 0] = data[..., 0] + CURVATURE_START_RIDGE
    carried = right.copy()
    for i in range(1, count):
        share = 1.0 / (coupling + s[..., i - 1])
        s[..., i] = data[..., i] + coupling * s[..., i - 1] * share
        carried[..., i] += coupling * carried[..., i - 1] * share
    curvature = np.empty_like(data)
    curvature[..., -1] = np.divide(carried[..., -1], s[..., -1])
    for i in range(count - 2, -1, -1):
        curvature[..., i] = (carried[..., i] + coupling * curvature[..., i + 1]) / (coupling + s[..., i])
    return curvature


def lqr_command(
    state: BicycleState,
    reference_pose: Float[np.ndarray, "*batch 3"],
    reference_speed: float | np.floating | np.ndarray,
    curvature: Float[np.ndarray, "*batch horizon"],
    dt: float = DT_S,
    wheel_base: float = PACIFICA.wheel_base_m,
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Acceleration [m/s^2] and steering rate [rad/s] that bring the car to its reference.

    Longitudinal: one constant acceleration over the horizon, weighed against the speed error at its end. Lateral: one
    constant steering rate, weighed against lateral and heading error at its end, in the linear time-varying model of
    the error with the speeds that the chosen acceleration gives. Below 0.2 m/s (car and reference) the car is stopped
    by a proportional controller and not steered.

    Args:
        state: Current state, one car or a batch.
        reference_pose: Where the car should be now.
        reference_speed: Speed at the end of the horizon [m/s].
        curvature: Reference curvature at each step of the horizon [1/m]; NAVSIM uses 10 steps.
        dt: Step [s].
        wheel_base: [m].
    """
    horizon_s = curvature.shape[-1] * dt
    speed_error = state.vx - reference_speed
    gain = SPEED_ERROR_WEIGHT * horizon_s / (SPEED_ERROR_WEIGHT * horizon_s**2 + ACCELERATION_WEIGHT)
    accel = -gain * speed_error
    steering_rate = _steering_rate(state, accel, reference_pose, curvature, dt, wheel_base)
    stopping = (reference_speed <= STOPPING_SPEED_MPS) & (state.vx <= STOPPING_SPEED_MPS)
    if not np.any(stopping):
        return accel, steering_rate
    return np.where(stopping, -STOPPING_GAIN * speed_error, accel)[()], np.where(stopping, 0.0, steering_rate)[()]


def _steering_rate(
    state: BicycleState,
    accel: float | np.ndarray,
    pose: np.ndarray,
    curvature: np.ndarray,
    dt: float,
    wheel_base: float,
) -> float | np.ndarray:
    """Steering part of `lqr_command`: error at the end of the horizon = free motion + response x rate."""
    steps = np.arange(curvature.shape[-1])
    advance = (np.asarray(state.vx)[..., None] + np.asarray(accel)[..., None] * steps * dt) * dt  # metres per step
    dx, dy = state.x - pose[..., 0], state.y - pose[..., 1]
    lateral = -dx * np.sin(pose[..., 2]) + dy * np.cos(pose[..., 2])
    heading = np.asarray(wrap_angle(state.heading - pose[..., 2]))[..., None]
    steering = np.asarray(state.steering)[..., None]

    turned = np.cumsum(advance * (steering / wheel_base - curvature), axis=-1)  # after each step
    heading_before = heading + np.concatenate([np.zeros_like(turned[..., :1]), turned[..., :-1]], axis=-1)
    free_heading = np.asarray(wrap_angle(heading[..., 0] + turned[..., -1]))
    free_lateral = lateral + (advance * heading_before).sum(-1)

    responded = np.cumsum(advance * steps * dt, axis=-1) / wheel_base
    heading_response = responded[..., -1]
    lateral_response = (advance[..., 1:] * responded[..., :-1]).sum(-1)

    pull = LATERAL_WEIGHT * lateral_response * free_lateral + HEADING_WEIGHT * heading_response * free_heading
    stiffness = LATERAL_WEIGHT * lateral_response**2 + HEADING_WEIGHT * heading_response**2
    return -pull / (stiffness + STEERING_RATE_WEIGHT)


def track_step(
    state: BicycleState, reference: Reference, step: int, dt: float = DT_S, wheel_base: float = PACIFICA.wheel_base_m
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Command at step `step` (0 .. M - 1) of a reference; near its end the last curvature is held. See `lqr_command`."""
    last = min(step + HORIZON_STEPS, reference.velocity.shape[-1] - 1)
    window = np.minimum(np.arange(step, step + HORIZON_STEPS), last)
    return lqr_command(
        state, reference.poses[..., step, :], reference.velocity[..., last], reference.curvature[..., window], dt, wheel_base
    )  # fmt: skip


def simulate(
    poses: Float[np.ndarray, "*batch P 3"],
    initial: BicycleState,
    dt: float = DT_S,
    wheel_base: float = PACIFICA.wheel_base_m,
    reference: Reference | None = None,
) -> Float[np.ndarray, "*batch P 11"]:
    """Drive the poses in closed loop: tracker and bicycle, one step per displacement.

    Args:
        poses: Reference rear-axle poses at 0, dt, 2 dt, ...; NAVSIM uses 41 at 0.1 s.
        initial: State at t = 0, one for all or one per batch row; it is row 0 of the answer, unchanged.
        dt: Step [s].
        wheel_base: [m].
        reference: Profiles to follow instead of those fitted to `poses`.

    Returns:
        States in the column order of `BicycleState`.
    """
    reference = reference or Reference.fitted(poses, dt)
    batch = poses.shape[:-2]
    states = np.empty((*poses.shape[:-1], STATE_SIZE))
    states[..., 0, :] = np.broadcast_to(initial.as_array(), (*batch, STATE_SIZE))
    state = BicycleState.from_array(states[..., 0, :])
    for i in range(poses.shape[-2] - 1):
        state = step_bicycle(state, *track_step(state, reference, i, dt, wheel_base), dt, wheel_base)
        states[..., i + 1, :] = state.as_array()
    return states
