"""The torch backend agrees with the compiled one, and so with the official code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_scenes import SPEED, rectangle, road, straight, with_agent, with_polygon
from golden_scenes import NAMES, VERSIONS, official, prepared, stable, stored

from eyesup.scoring.pdm import prepare, score
from eyesup.scoring.pdm.version import EC, EP, V1, V2
from eyesup.types import DataError


@pytest.mark.parametrize("family", ["v1", "v2"])
@pytest.mark.parametrize("name", NAMES)
def test_float32_gives_the_official_scores(name, family):
    item, truth, sure = stored(name), official(name), stable(name, family)
    result = score(
        item.waypoints[None], [prepared(name)], VERSIONS[family], item.previous[None], dt_s=item.dt_s, backend="torch"
    )
    for column, values in result.subscores.items():
        tolerance = 1e-4 if column == EP else 0
        np.testing.assert_allclose(
            values[0, sure], truth[f"{family}_{column}"][sure], rtol=0, atol=tolerance, err_msg=column
        )
    final = "score" if family == "v1" else "epdms_filter_ec"
    np.testing.assert_allclose(result.scores[final][0, sure], truth[f"{family}_{final}"][sure], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES[4::11])
def test_backends_find_the_same_moments_and_distances(name):
    item, sure = stored(name), stable(name, "v2")
    call = (item.waypoints[None], [prepared(name)], V2, item.previous[None])
    one, other = score(*call, dt_s=item.dt_s).judged, score(*call, dt_s=item.dt_s, backend="torch").judged
    for key in one.samples:
        np.testing.assert_array_equal(one.samples[key][0, sure], other.samples[key][0, sure], err_msg=key)
    np.testing.assert_array_equal(one.comfort[0, sure], other.comfort[0, sure])
    np.testing.assert_allclose(one.progress_m[0, sure], other.progress_m[0, sure], atol=1e-3)
    np.testing.assert_allclose(one.wrong_way_m[0, sure], other.wrong_way_m[0, sure], atol=1e-3)
    np.testing.assert_allclose(one.differences[0, sure], other.differences[0, sure], atol=1e-3)


@pytest.mark.parametrize("version", [V1, V2])
def test_backends_agree_on_hand_drawn_scenes_of_one_batch(version):
    connector = with_polygon(road(), "here", "LANE_CONNECTOR", rectangle(-30, -30, 30, 30))
    scenes = [
        road(),
        with_agent(road(), 25.0, 0.0),
        with_agent(with_agent(road(), 25.0, 0.0, kind="BARRIER"), 1.5, 3.4, velocity=(SPEED, -0.4)),
        replace(connector, route_lane_ids=frozenset({"here"}), red_lane_ids=(("here",),) + ((),) * 10),
        replace(road(), ego_history=road().ego_history[-1:], ego_times_us=road().ego_times_us[-1:]),
    ]
    plans = np.stack([straight(), straight(4.0), straight(lateral=1.2), straight(lateral=5.5), np.zeros((8, 3))])
    plans = np.repeat(plans[None], len(scenes), axis=0)
    prepared_scenes = [prepare(scene, version) for scene in scenes]
    earlier = plans[:, :1]
    one = score(plans, prepared_scenes, version, earlier)
    other = score(plans, prepared_scenes, version, earlier, backend="torch")
    assert len(np.unique(one.score)) > 5
    for column, values in one.subscores.items():
        np.testing.assert_allclose(other.subscores[column], values, atol=1e-5 if column == EP else 0, err_msg=column)
    np.testing.assert_array_equal(one.two_frame_valid, other.two_frame_valid)
    np.testing.assert_array_equal(one.two_frame_valid[:, 0], [version is V2] * 4 + [False])
    assert (EC in one.subscores) == (version is V2)


def test_an_unknown_backend_is_named():
    with pytest.raises(DataError, match="unknown backend 'cuda'; known: compiled, torch"):
        score(straight()[None, None], [prepare(road())], backend="cuda")
