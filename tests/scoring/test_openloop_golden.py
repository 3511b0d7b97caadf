"""Every protocol against what the published code computed for 400 cases (tests/golden/nuscenes/README.md)."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from eyesup.geometry.boxes import box_corners
from eyesup.scoring.openloop.cases import Cases, agent_slices, read_cases
from eyesup.scoring.openloop.protocol import CATEGORIES, VEHICLES
from eyesup.scoring.openloop.raster import fill_polygon
from eyesup.scoring.openloop.score import CaseScores, published_l2, score, scores, summary

FOLDER = Path(__file__).parents[1] / "golden" / "nuscenes"
OPENDRIVEVLA = {"opendrivevla_vehicles": "only_vehicle_True", "opendrivevla_all": "only_vehicle_False"}
HORIZONS = ("1s", "2s", "3s", "avg")


@lru_cache(maxsize=1)
def cases() -> Cases:
    return read_cases(FOLDER / "cases.json.gz")


@lru_cache(maxsize=1)
def stored() -> list[dict]:
    return json.loads(gzip.decompress((FOLDER / "cases.json.gz").read_bytes()))


@lru_cache(maxsize=1)
def dataset() -> dict:
    return json.loads((FOLDER / "dataset_level.json").read_text())["dataset"]


@lru_cache(maxsize=16)
def result(name: str) -> CaseScores:
    return score(cases(), name)


def official(part: str, field: str) -> np.ndarray:
    return np.array([case[part][field] for case in stored()])


def test_uniad_case_by_case():
    found = result("uniad")
    np.testing.assert_array_equal(found.collides, official("uniad", "obj_box_col") > 0)
    np.testing.assert_array_equal(found.driven_hits, official("uniad", "gt_box_col") > 0)
    np.testing.assert_allclose(found.l2_m, official("uniad", "L2"), rtol=1e-4, atol=1e-7)
    assert found.counted.all() and found.collides.any(axis=1).sum() == 70


@pytest.mark.parametrize("name", ["vad", "vad_rangefiltered", "bevplanner"])
def test_steps_before_and_after_the_driven_path_is_excused(name):
    found = result(name)
    np.testing.assert_array_equal(found.collides, official(name, "obj_box_col_steps") > 0)
    np.testing.assert_array_equal(found.plan_hits, official(name, "pred_box_col_raw") > 0)
    np.testing.assert_array_equal(found.driven_hits, official(name, "gt_box_col") > 0)
    np.testing.assert_array_equal(found.counted, [case["fut_valid_flag"] for case in stored()])


@pytest.mark.parametrize("name", ["vad", "vad_rangefiltered"])
def test_vad_case_by_case(name):
    found = result(name)
    for rows, horizon in ((2, "1s"), (4, "2s"), (6, "3s")):
        l2_m, rate = (part[found.counted, :rows].mean(axis=1) for part in (found.l2_m, found.collides))
        np.testing.assert_allclose(l2_m, official(name, f"L2_{horizon}")[found.counted], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(rate, official(name, f"obj_box_col_{horizon}")[found.counted], atol=1e-6)


@pytest.mark.parametrize(("name", "key"), OPENDRIVEVLA.items())
def test_opendrivevla_case_by_case(name, key):
    found = result(name)
    np.testing.assert_array_equal(found.collides, official(f"opendrivevla_{key}", "obj_box_col") > 0)
    np.testing.assert_allclose(published_l2(found), official(f"opendrivevla_{key}", "L2"), rtol=1e-4, atol=0)
    np.testing.assert_allclose(published_l2(found), found.l2_m, rtol=0, atol=5e-4)  # single precision of a sum of 1e4 m


def check_dataset(name: str, metric: str, reading: str, expected: dict[str, float]) -> None:
    found = summary(result(name))[metric][reading]
    assert [found[h] for h in HORIZONS if h in expected] == pytest.approx(
        [expected[h] for h in HORIZONS if h in expected], rel=1e-4, abs=1e-7
    )


@pytest.mark.parametrize("metric", ["L2", "obj_box_col"])
def test_dataset_level_of_uniad_and_opendrivevla(metric):
    check_dataset("uniad", metric, "at", dataset()["uniad_official"][metric]["uniad_at"])
    check_dataset("uniad", metric, "cumulative", dataset()["uniad_official"][metric]["stp3_cumulative"])
    for name, key in OPENDRIVEVLA.items():
        check_dataset(name, metric, "at", dataset()["opendrivevla_shared_eval"][key][metric]["uniad"])
        check_dataset(name, metric, "cumulative", dataset()["opendrivevla_shared_eval"][key][metric]["stp3"])
    assert summary(result("uniad"))["n"] == 400


@pytest.mark.parametrize("name", ["vad", "vad_rangefiltered"])
def test_dataset_level_of_vad(name):
    for metric in ("L2", "obj_box_col"):
        check_dataset(name, metric, "cumulative", {h: dataset()[f"{name}_official"][f"{metric}_{h}"] for h in HORIZONS})
    assert summary(result(name))["n"] == 358


def test_dataset_level_of_bev_planner_counts_any_collision_so_far():
    expected = {h: dataset()["bevplanner_official"][f"obj_box_col_{h}"] for h in HORIZONS[:3]}
    check_dataset("bevplanner", "obj_box_col", "any", expected)


def test_scores_carry_protocol_unit_and_n():
    by_name = {part.name: part for part in scores(result("vad"))}
    assert by_name["l2_cumulative_3s"].mean == pytest.approx(dataset()["vad_official"]["L2_3s"], rel=1e-4)
    assert by_name["collision_cumulative_avg"].mean == pytest.approx(
        100 * dataset()["vad_official"]["obj_box_col_avg"], rel=1e-4
    )
    assert {(part.protocol, part.n, len(part.values)) for part in by_name.values()} == {("vad", 358, 400)}
    assert (by_name["l2_at_1s"].unit, by_name["collision_any_1s"].unit) == ("m", "%")


@pytest.mark.parametrize(("key", "kinds", "sign"), [("uniad_veh", VEHICLES, 1), ("vad_veh", VEHICLES, -1),
                                                    ("vad_ped", {"pedestrian"}, -1)])  # fmt: skip
def test_drawn_cells_are_opencvs(key, kinds, sign):
    """All cells of every fourth case; single precision in the published corners moves a few among a hundred million."""
    with np.load(FOLDER / "grids.npz") as file:
        packed = file[key]
    everyone, wrong, drawn = cases(), 0, 0
    for index in range(0, len(everyone), 4):
        grid = np.zeros((6, 200, 200), np.int32)
        part = agent_slices(everyone)[index]
        annotated = everyone.annotated[part]
        present = annotated if key == "uniad_veh" else np.logical_and.accumulate(annotated, axis=1)
        corners = box_corners(everyone.poses[part], everyone.sizes[part, None, 0], everyone.sizes[part, None, 1])
        cells = np.rint((corners * [1, sign] + 50.0) / 0.5).astype(np.int64)
        for agent, category in enumerate(everyone.categories[part]):
            for step in np.flatnonzero(present[agent, 1:]) if CATEGORIES[category] in kinds else ():
                corner = cells[agent, step + 1]
                fill_polygon(grid[step], corner[:, 0], corner[:, 1], 1, 0, 199)
        frames = int(everyone.known[index]) if key == "uniad_veh" else 6
        expected = np.unpackbits(packed[index], axis=-1)[:frames] > 0
        wrong += int((expected != (grid[:frames] > 0)).sum())
        drawn += int(expected.sum())
    assert drawn > 1_000 and wrong <= 8
