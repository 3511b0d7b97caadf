"""From waypoints to what the car would do: resampling, tracker and bicycle, compiled.

The same tracker and bicycle as `eyesup.dynamics` (lqr.py, bicycle.py: read those first), one trajectory after the other
instead of one step of all; a test holds the two together. Everything happens in the frame of the ego at t = 0.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import no_type_check

import numpy as np
from numba import njit

from eyesup.dynamics.bicycle import ACCELERATION_LAG_S, MAX_STEERING_RAD, STEERING_LAG_S
from eyesup.dynamics.lqr import (
    ACCELERATION_WEIGHT,
    CURVATURE_RATE_RIDGE,
    CURVATURE_START_RIDGE,
    HEADING_WEIGHT,
    HORIZON_STEPS,
    LATERAL_WEIGHT,
    SPEED_ERROR_WEIGHT,
    STEERING_RATE_WEIGHT,
    STOPPING_GAIN,
    STOPPING_SPEED_MPS,
    fit_velocity_curvature,
)
from eyesup.scoring.pdm.version import DT_S, SAMPLES, STEPS
from eyesup.types import PACIFICA

X, Y, HEADING, VX, VY, AX, AY, STEERING, STEERING_RATE, YAW_RATE, YAW_ACCELERATION = range(11)  # columns of a state

_WHEEL_BASE = PACIFICA.wheel_base_m
_ACCELERATION_SHARE = DT_S / (DT_S + ACCELERATION_LAG_S)
_STEERING_SHARE = DT_S / (DT_S + STEERING_LAG_S)
_HORIZON_S = HORIZON_STEPS * DT_S
_SPEED_GAIN = SPEED_ERROR_WEIGHT * _HORIZON_S / (SPEED_ERROR_WEIGHT * _HORIZON_S**2 + ACCELERATION_WEIGHT)
_COUPLING = CURVATURE_RATE_RIDGE / DT_S**2


@lru_cache(maxsize=1)
def velocity_operator() -> np.ndarray:
    """(40, 40) from displacements along the heading [m] to fitted velocities [m/s], transposed: row j is displacement j.

    Read off the reference fit by feeding it unit displacements along x.
    """
    poses = np.zeros((STEPS, SAMPLES, 3))
    poses[..., 0] = np.tri(SAMPLES, STEPS, -1).T
    return np.ascontiguousarray(fit_velocity_curvature(poses)[0])


@lru_cache(maxsize=16)
def resampling(count: int, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
    """For each of the 41 samples: the knot before it (0 is the ego at t = 0, k waypoint k) and the share of the way on."""
    position = DT_S * np.arange(SAMPLES) / dt_s
    whole = np.round(position)
    position = np.where(np.abs(position - whole) < 1e-9, whole, position)
    knot = np.minimum(position.astype(np.int64), count - 1)
    return knot, position - knot


@njit(cache=True, nogil=True)
@no_type_check
def resample(waypoints, knot, share, poses):
    """Reference poses (K, 41, 3) from waypoints (K, T, 3), linear; headings take the short way from knot to knot."""
    count, knots = waypoints.shape[0], waypoints.shape[1]
    heading = np.empty(knots + 1)
    for k in range(count):
        heading[0] = 0.0
        for t in range(knots):
            turn = waypoints[k, t, 2] - heading[t]
            heading[t + 1] = heading[t] + turn - 2.0 * math.pi * np.round(turn / (2.0 * math.pi))
        for i in range(poses.shape[1]):
            before, s = knot[i], share[i]
            for axis in range(2):
                start = waypoints[k, before - 1, axis] if before > 0 else 0.0
                poses[k, i, axis] = start + s * (waypoints[k, before, axis] - start)
            poses[k, i, 2] = _wrap(heading[before] + s * (heading[before + 1] - heading[before]))


@njit(cache=True, nogil=True)
@no_type_check
def track(poses, initial, operator, states):
    """Drive reference poses (K, 41, 3) from the ego's `initial` (vx, vy, ax, ay) at the origin into states (K, 41, 11)."""
    steps = poses.shape[1] - 1
    velocity, curvature = np.empty(steps), np.empty(steps)
    cos, sin, pivot, carried = np.empty(steps), np.empty(steps), np.empty(steps), np.empty(steps)
    for k in range(poses.shape[0]):
        _fit(poses[k], operator, velocity, curvature, cos, sin, pivot, carried)
        _drive(poses[k], initial, velocity, curvature, cos, sin, states[k])


@njit(cache=True, nogil=True)
@no_type_check
def _fit(poses, operator, velocity, curvature, cos, sin, pivot, carried):
    """Smooth velocity and curvature of one path; see `lqr.fit_velocity_curvature`."""
    steps = velocity.shape[0]
    velocity[:] = 0.0
    for i in range(steps):
        cos[i], sin[i] = math.cos(poses[i, 2]), math.sin(poses[i, 2])
        advance = (poses[i + 1, 0] - poses[i, 0]) * cos[i] + (poses[i + 1, 1] - poses[i, 1]) * sin[i]
        for j in range(steps):
            velocity[j] += advance * operator[i, j]
    for i in range(steps):
        step = velocity[i] * DT_S
        pivot[i] = step * step
        carried[i] = step * _wrap(poses[i + 1, 2] - poses[i, 2])
    pivot[0] += CURVATURE_START_RIDGE
    for i in range(1, steps):
        share = _COUPLING / (_COUPLING + pivot[i - 1])
        pivot[i] += pivot[i - 1] * share
        carried[i] += carried[i - 1] * share
    curvature[steps - 1] = carried[steps - 1] / pivot[steps - 1]
    for i in range(steps - 2, -1, -1):
        curvature[i] = (carried[i] + _COUPLING * curvature[i + 1]) / (_COUPLING + pivot[i])


@njit(cache=True, nogil=True)
@no_type_check
def _drive(poses, initial, velocity, curvature, cos, sin, states):
    """The closed loop of one path; see `lqr.lqr_command` and `bicycle.step_bicycle`."""
    steps = velocity.shape[0]
    x, y, heading, vx, ax, steering, yaw_rate = 0.0, 0.0, 0.0, initial[0], initial[2], 0.0, 0.0
    states[0, :] = 0.0
    states[0, VX], states[0, VY], states[0, AX], states[0, AY] = initial[0], initial[1], initial[2], initial[3]
    tangent = 0.0  # of the steering angle
    for i in range(steps):
        last = min(i + HORIZON_STEPS, steps - 1)
        speed_error = vx - velocity[last]
        if velocity[last] <= STOPPING_SPEED_MPS and vx <= STOPPING_SPEED_MPS:
            accel, rate = -STOPPING_GAIN * speed_error, 0.0
        else:
            accel = -_SPEED_GAIN * speed_error
            rate = _steering_rate(
                x - poses[i, 0], y - poses[i, 1], heading - poses[i, 2], cos[i], sin[i], vx, accel, steering, curvature, i, last
            )  # fmt: skip
        ax += _ACCELERATION_SHARE * (accel - ax)
        rate *= _STEERING_SHARE
        x += vx * math.cos(heading) * DT_S
        y += vx * math.sin(heading) * DT_S
        heading = _wrap(heading + vx * tangent / _WHEEL_BASE * DT_S)
        vx += ax * DT_S
        steering = min(max(steering + rate * DT_S, -MAX_STEERING_RAD), MAX_STEERING_RAD)
        tangent = math.tan(steering)
        yaw_rate_before = yaw_rate
        yaw_rate = vx * tangent / _WHEEL_BASE
        row = states[i + 1]
        row[X], row[Y], row[HEADING], row[VX], row[VY], row[AX], row[AY] = x, y, heading, vx, 0.0, ax, 0.0
        row[STEERING], row[STEERING_RATE], row[YAW_RATE] = steering, rate, yaw_rate
        row[YAW_ACCELERATION] = (yaw_rate - yaw_rate_before) / DT_S


@njit(cache=True, nogil=True)
@no_type_check
def _steering_rate(dx, dy, turned, cos, sin, vx, accel, steering, curvature, first, last):
    """Error at the end of the horizon = free motion + response x rate; see `lqr._steering_rate`."""
    lateral = -dx * sin + dy * cos
    heading = _wrap(turned)
    lateral_response, heading_response = 0.0, 0.0
    wheel_turn = steering / _WHEEL_BASE
    for k in range(HORIZON_STEPS):
        advance = (vx + accel * k * DT_S) * DT_S
        lateral += advance * heading
        lateral_response += advance * heading_response
        heading += advance * (wheel_turn - curvature[min(first + k, last)])
        heading_response += advance * k * DT_S / _WHEEL_BASE
    heading = _wrap(heading)
    pull = LATERAL_WEIGHT * lateral_response * lateral + HEADING_WEIGHT * heading_response * heading
    stiffness = LATERAL_WEIGHT * lateral_response**2 + HEADING_WEIGHT * heading_response**2
    return -pull / (stiffness + STEERING_RATE_WEIGHT)


@njit(cache=True, nogil=True)
@no_type_check
def _wrap(angle):
    """The same angle in [-pi, pi)."""
    if -math.pi <= angle < math.pi:
        return angle
    return angle - 2.0 * math.pi * math.floor((angle + math.pi) / (2.0 * math.pi))
