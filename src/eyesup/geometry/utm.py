"""Transverse Mercator (UTM, WGS 84, northern half): degrees to metres and back, to nanometres.

Krueger's series of order six (Karney 2011, "Transverse Mercator with an accuracy of a few nanometers", equations 7 to 36).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

EQUATOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
SCALE = 0.9996
FALSE_EASTING_M = 500_000.0

Numbers = np.ndarray | np.floating

_N = FLATTENING / (2 - FLATTENING)
_E = np.sqrt(FLATTENING * (2 - FLATTENING))
_POWERS = _N ** np.arange(1, 7)
_RADIUS_M = SCALE * EQUATOR_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64 + _N**6 / 256)
# Rows: term j; columns: powers of the third flattening (Karney's equations 35 and 36).
_FORWARD = np.array([
    [1 / 2, -2 / 3, 5 / 16, 41 / 180, -127 / 288, 7891 / 37800],
    [0, 13 / 48, -3 / 5, 557 / 1440, 281 / 630, -1983433 / 1935360],
    [0, 0, 61 / 240, -103 / 140, 15061 / 26880, 167603 / 181440],
    [0, 0, 0, 49561 / 161280, -179 / 168, 6601661 / 7257600],
    [0, 0, 0, 0, 34729 / 80640, -3418889 / 1995840],
    [0, 0, 0, 0, 0, 212378941 / 319334400],
]) @ _POWERS  # fmt: skip
_BACKWARD = np.array([
    [1 / 2, -2 / 3, 37 / 96, -1 / 360, -81 / 512, 96199 / 604800],
    [0, 1 / 48, 1 / 15, -437 / 1440, 46 / 105, -1118711 / 3870720],
    [0, 0, 17 / 480, -37 / 840, -209 / 4480, 5569 / 90720],
    [0, 0, 0, 4397 / 161280, -11 / 504, -830251 / 7257600],
    [0, 0, 0, 0, 4583 / 161280, -108847 / 3991680],
    [0, 0, 0, 0, 0, 20648693 / 638668800],
]) @ _POWERS  # fmt: skip
_NEWTON_STEPS = 6  # two suffice nearly everywhere


def to_utm(lon_lat_deg: Float[np.ndarray, "*batch 2"], zone: int) -> Float[np.ndarray, "*batch 2"]:
    """Easting and northing [m] of longitude and latitude [degrees]."""
    lon = np.radians(lon_lat_deg[..., 0] - _central_meridian_deg(zone))
    tau = np.tan(np.radians(lon_lat_deg[..., 1]))
    conformal = _conformal(tau)
    xi = np.arctan2(conformal, np.cos(lon))
    eta = np.arcsinh(np.sin(lon) / np.hypot(conformal, np.cos(lon)))
    shift_xi, shift_eta = _series(_FORWARD, xi, eta)
    return np.stack([FALSE_EASTING_M + _RADIUS_M * (eta + shift_eta), _RADIUS_M * (xi + shift_xi)], axis=-1)


def from_utm(xy: Float[np.ndarray, "*batch 2"], zone: int) -> Float[np.ndarray, "*batch 2"]:
    """Longitude and latitude [degrees] of easting and northing [m]."""
    eta, xi = (xy[..., 0] - FALSE_EASTING_M) / _RADIUS_M, xy[..., 1] / _RADIUS_M
    shift_xi, shift_eta = _series(_BACKWARD, xi, eta)
    xi, eta = xi - shift_xi, eta - shift_eta
    conformal = np.sin(xi) / np.hypot(np.sinh(eta), np.cos(xi))
    lon = np.arctan2(np.sinh(eta), np.cos(xi))
    tau = conformal / (1 - _E**2)
    for _ in range(_NEWTON_STEPS):
        now = _conformal(tau)
        slope = (1 - _E**2) * np.hypot(1.0, now) * np.hypot(1.0, tau) / (1 + (1 - _E**2) * tau**2)
        tau = tau + (conformal - now) / slope
    return np.stack([np.degrees(lon) + _central_meridian_deg(zone), np.degrees(np.arctan(tau))], axis=-1)


def _central_meridian_deg(zone: int) -> float:
    return 6.0 * zone - 183.0


def _conformal(tau: Numbers) -> Numbers:
    """Tangent of the conformal latitude from the tangent of the geographic one."""
    sigma = np.sinh(_E * np.arctanh(_E * tau / np.hypot(1.0, tau)))
    return tau * np.hypot(1.0, sigma) - sigma * np.hypot(1.0, tau)


def _series(terms: np.ndarray, xi: Numbers, eta: Numbers) -> tuple[Numbers, Numbers]:
    twice = 2.0 * np.arange(1, len(terms) + 1)
    a, b = twice * np.asarray(xi)[..., None], twice * np.asarray(eta)[..., None]
    return (np.sin(a) * np.cosh(b)) @ terms, (np.cos(a) * np.sinh(b)) @ terms
