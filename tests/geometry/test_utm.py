"""Degrees to metres and back."""

from __future__ import annotations

import numpy as np
import pytest

from eyesup.geometry.utm import from_utm, to_utm


def test_the_central_meridian_at_the_equator_is_the_false_easting():
    assert np.allclose(to_utm(np.array([-69.0, 0.0]), 19), [500_000.0, 0.0], atol=1e-9)  # zone 19: 72 W to 66 W


def test_the_scale_along_the_central_meridian_is_0_9996():
    # A quarter of WGS 84's meridian is 10 001 965.729 m long; the pole's northing is that times the scale.
    assert to_utm(np.array([105.0, 90.0]), 48)[1] == pytest.approx(0.9996 * 10_001_965.729, abs=1e-2)


def test_a_known_point():
    # CN Tower, Toronto: 43 deg 38 min 33.24 s N, 79 deg 23 min 13.7 s W is 17T 630084 E 4833438 N (to the metre).
    lon_lat = np.array([-(79 + 23 / 60 + 13.7 / 3600), 43 + 38 / 60 + 33.24 / 3600])
    assert np.allclose(to_utm(lon_lat, 17), [630_084.0, 4_833_438.0], atol=1.0)


@pytest.mark.parametrize("zone", [11, 17, 19, 48])
def test_there_and_back_is_exact_to_nanometres(zone: int):
    rng = np.random.default_rng(zone)
    xy = np.column_stack([rng.uniform(2e5, 8e5, 200), rng.uniform(1e5, 5e6, 200)])
    assert np.abs(to_utm(from_utm(xy, zone), zone) - xy).max() < 2e-8


def test_batches_keep_their_shape():
    assert from_utm(np.full((2, 3, 2), 4e5), 19).shape == (2, 3, 2)
    assert to_utm(np.zeros((0, 2)), 19).shape == (0, 2)
