"""Comfort of one frame (C, HC) and of two successive frames (EC). Compiled; smoothing as matrices read off SciPy.

Signals are smoothed and differentiated with Savitzky-Golay filters (`scipy.signal.savgol_filter`, mode "interp") and
rounded to eight decimals after each filter, as in the original. A filter over N samples is a banded (N, N) matrix: row
i weighs `window` samples from `start[i]` on.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit
from scipy.signal import savgol_filter

from eyesup.scoring.pdm.areas import AXLE_TO_CENTER
from eyesup.scoring.pdm.simulate import AX, AY, HEADING, YAW_ACCELERATION, YAW_RATE
from eyesup.scoring.pdm.version import DT_S, ComfortWindows

# Open intervals (low, high) of the six signals, in the order of the flags; nuPlan.
COMFORT_BOUNDS = np.array([
    [-4.05, 2.40],  # longitudinal acceleration [m/s^2]
    [-4.89, 4.89],  # lateral acceleration [m/s^2]
    [-8.37, 8.37],  # jerk of the acceleration's magnitude [m/s^3]
    [-4.13, 4.13],  # longitudinal jerk [m/s^3]
    [-1.93, 1.93],  # yaw acceleration [rad/s^2]
    [-0.95, 0.95],  # yaw rate [rad/s]
])  # fmt: skip
COMFORT_SIGNALS = (
    "longitudinal acceleration",
    "lateral acceleration",
    "jerk",
    "longitudinal jerk",
    "yaw acceleration",
    "yaw rate",
)
# Largest root mean square of the differences between two frames, by signal.
TWO_FRAME_SIGNALS = ("acceleration", "jerk", "yaw rate", "yaw acceleration")
TWO_FRAME_LIMITS = np.array([0.7, 0.5, 0.1, 0.1])
YAW_WINDOW = 5
_DECIMALS = 1e8


class Filter(NamedTuple):
    """Rows of a banded matrix: weights (N, window), first column (N,)."""

    weights: np.ndarray
    start: np.ndarray


class ComfortFilters(NamedTuple):
    """The filters of one frame's signals of N samples."""

    acceleration: Filter
    acceleration_in_jerk: Filter
    jerk: Filter
    yaw_rate: Filter
    yaw_acceleration: Filter


@lru_cache(maxsize=64)
def savgol(samples: int, window: int, order: int, derivative: int) -> Filter:
    """The filter as rows of weights; even windows lean to one side, which is read off too."""
    dense = savgol_filter(np.eye(samples), window, order, deriv=derivative, delta=DT_S, axis=0)
    for lean in ((window - 1) // 2, window // 2):
        start = np.clip(np.arange(samples) - lean, 0, samples - window)
        weights = np.take_along_axis(dense, start[:, None] + np.arange(window), axis=1)
        if np.count_nonzero(dense) == np.count_nonzero(weights):
            return Filter(np.ascontiguousarray(weights), start)
    raise AssertionError(f"no band of {window} samples holds the filter over {samples}")


def comfort_filters(samples: int, windows: ComfortWindows) -> ComfortFilters:
    """Filters of the comfort signals over `samples` samples."""
    return ComfortFilters(
        savgol(samples, windows.acceleration, 2, 0),
        savgol(samples, windows.acceleration_in_jerk, 2, 0),
        savgol(samples, windows.jerk, 2, 1),
        savgol(samples, YAW_WINDOW, 2, 1),
        savgol(samples, YAW_WINDOW, 3, 2),
    )


def two_frame_filters(samples: int, windows: ComfortWindows) -> ComfortFilters:
    """As `comfort_filters`, for the comparison of two frames: its yaw acceleration is fitted with a parabola."""
    filters = comfort_filters(samples, windows)
    return filters._replace(yaw_acceleration=savgol(samples, YAW_WINDOW, 2, 2))


@njit(cache=True, nogil=True)
@no_type_check
def comfort(states, past, at_center, filters, bounds, flags):
    """Whether each of the six signals stays inside its bounds.

    Args:
        states, past, at_center, filters: As for `comfort_signals`.
        bounds: COMFORT_BOUNDS.
        flags: (K, 6) filled.
    """
    signals = np.empty((states.shape[0], 6, len(past) + states.shape[1]))
    comfort_signals(states, past, at_center, filters, signals)
    for k in range(states.shape[0]):
        for signal in range(6):
            flags[k, signal] = _within(signals[k, signal], bounds[signal])


@njit(cache=True, nogil=True)
@no_type_check
def comfort_signals(states, past, at_center, filters, signals):
    """The signals of `COMFORT_SIGNALS`.

    Args:
        states: (K, T, 11).
        past: (H, 4) driven before: longitudinal, lateral and absolute acceleration [m/s^2], heading [rad]; H may be 0.
        at_center: Whether longitudinal acceleration is moved to the box centre.
        filters: ComfortFilters for H + T samples.
        signals: (K, 6, H + T) filled.
    """
    before, samples = len(past), len(past) + states.shape[1]
    along, across, total, heading = np.empty(samples), np.empty(samples), np.empty(samples), np.empty(samples)
    smooth = np.empty(samples)
    for k in range(states.shape[0]):
        for i in range(before):
            along[i], across[i], total[i], heading[i] = past[i]
        for i in range(states.shape[1]):
            state = states[k, i]
            along[before + i], across[before + i] = state[AX], state[AY]
            if at_center:
                along[before + i] += AXLE_TO_CENTER * (state[YAW_RATE] ** 2 + state[YAW_ACCELERATION])
            total[before + i], heading[before + i] = math.hypot(state[AX], state[AY]), state[HEADING]
        _unwrap(heading)
        _apply(filters.acceleration, along, signals[k, 0])
        _apply(filters.acceleration, across, signals[k, 1])
        _apply(filters.acceleration_in_jerk, total, smooth)
        _apply(filters.jerk, smooth, signals[k, 2])
        _apply(filters.acceleration_in_jerk, along, smooth)
        _apply(filters.jerk, smooth, signals[k, 3])
        _apply(filters.yaw_acceleration, heading, signals[k, 4])
        _apply(filters.yaw_rate, heading, signals[k, 5])


@njit(cache=True, nogil=True)
@no_type_check
def motion(states, first, filters, signals):
    """Signals (K, 4, N) of N samples from `first` on: acceleration, jerk, yaw rate, yaw acceleration."""
    samples = signals.shape[2]
    total, heading = np.empty(samples), np.empty(samples)
    for k in range(states.shape[0]):
        for i in range(samples):
            state = states[k, first + i]
            total[i], heading[i] = math.hypot(state[AX], state[AY]), state[HEADING]
        _unwrap(heading)
        _apply(filters.acceleration, total, signals[k, 0])
        _apply(filters.jerk, signals[k, 0], signals[k, 1])
        _apply(filters.yaw_rate, heading, signals[k, 2])
        _apply(filters.yaw_acceleration, heading, signals[k, 3])


@njit(cache=True, nogil=True)
@no_type_check
def two_frame_differences(now, before, rms):
    """Root mean square (K, 4) of the differences of signals (K, 4, N); one `before` may serve all."""
    for k in range(now.shape[0]):
        other = before[min(k, len(before) - 1)]
        for signal in range(4):
            total = 0.0
            for i in range(now.shape[2]):
                total += (now[k, signal, i] - other[signal, i]) ** 2
            rms[k, signal] = math.sqrt(total / now.shape[2])


@njit(cache=True, nogil=True)
@no_type_check
def _unwrap(heading):
    turns = 0.0
    last = heading[0]
    for i in range(1, len(heading)):
        turns += np.round((heading[i] - last) / (2.0 * math.pi))
        last = heading[i]
        heading[i] -= 2.0 * math.pi * turns


@njit(cache=True, nogil=True)
@no_type_check
def _apply(band, signal, out):
    window = band.weights.shape[1]
    for i in range(len(signal)):
        first, value = band.start[i], 0.0
        for j in range(window):
            value += band.weights[i, j] * signal[first + j]
        out[i] = np.round(value * _DECIMALS) / _DECIMALS


@njit(cache=True, nogil=True)
@no_type_check
def _within(signal, bounds):
    low, high = bounds[0], bounds[1]
    inside = True
    for value in signal:
        inside = inside and low < value < high
    return inside
