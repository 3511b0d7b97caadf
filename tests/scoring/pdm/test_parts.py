"""Parts of the scorer against something simpler: the grid against shapely, filters against SciPy, simulation against dynamics."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from drawn_scenes import road, straight, with_agent
from scipy.signal import savgol_filter
from shapely.geometry import Point, Polygon

from eyesup.dynamics.bicycle import BicycleState
from eyesup.dynamics.lqr import simulate
from eyesup.scoring.pdm import cpu, prepare, score
from eyesup.scoring.pdm.aggregate import (
    Frames,
    Group,
    average_row,
    closeness,
    official_rows,
    predecessors,
    two_stage,
    two_stage_rows,
    write_official_csv,
)
from eyesup.scoring.pdm.areas import AXLE_IN_INTERSECTION, CENTER_IN_INTERSECTION, NON_DRIVABLE, ONCOMING, locate
from eyesup.scoring.pdm.comfort import savgol
from eyesup.scoring.pdm.explain import draw, reasons
from eyesup.scoring.pdm.grid import DRIVABLE, INTERSECTION, LANE, ROUTE, build_grid
from eyesup.scoring.pdm.version import DAC, EC, NC, V1, V2
from eyesup.types import DataError


def star(rng: np.random.Generator, center: np.ndarray, radius: float, corners: int) -> np.ndarray:
    """A random polygon that need not be convex."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.3, 1.0, corners)
    return center + reach[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


@pytest.mark.parametrize("cell_m", [0.7, 1.4, 5.0])
def test_the_grid_finds_the_polygons_that_shapely_finds(cell_m):
    rng = np.random.default_rng(3)
    rings = [star(rng, rng.uniform(-30, 30, 2), rng.uniform(2, 20), int(rng.integers(3, 40))) for _ in range(30)]
    layers = rng.choice([DRIVABLE, DRIVABLE | INTERSECTION, LANE, LANE | ROUTE], 30)
    shapes = [Polygon(ring) for ring in rings]
    grid = build_grid(rings, layers, cell_m)
    states = np.zeros((20, 50, 11))
    states[..., :2] = rng.uniform(-50, 50, (20, 50, 2))
    states[..., 2] = rng.uniform(-np.pi, np.pi, (20, 50))
    boxes, flags = np.empty((20, 50, 4)), np.empty((20, 50), np.uint8)
    locate(states, grid, boxes, flags)

    def inside(points: np.ndarray, bit: int) -> np.ndarray:
        chosen = [shape for shape, layer in zip(shapes, layers) if layer & bit]
        return np.array([any(shape.contains(Point(p)) for shape in chosen) for p in points.reshape(-1, 2)]).reshape(
            20, 50
        )

    centers = boxes[..., :2]
    np.testing.assert_array_equal(flags & CENTER_IN_INTERSECTION != 0, inside(centers, INTERSECTION))
    np.testing.assert_array_equal(flags & ONCOMING == 0, inside(centers, ROUTE))
    np.testing.assert_array_equal(flags & AXLE_IN_INTERSECTION != 0, inside(states[..., :2], INTERSECTION))
    cos, sin = boxes[..., 2], boxes[..., 3]
    drivable = np.ones((20, 50), dtype=bool)
    for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        offset = np.stack([2.588 * a * cos - 1.1485 * b * sin, 2.588 * a * sin + 1.1485 * b * cos], axis=-1)
        drivable &= inside(centers + offset, DRIVABLE)
    np.testing.assert_array_equal(flags & NON_DRIVABLE == 0, drivable)


def test_points_on_a_boundary_are_outside():
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    grid = build_grid([square, square + 50.0], np.array([INTERSECTION, INTERSECTION]), cell_m=3.0)
    points = [(0.0, 2.0), (4.0, 2.0), (2.0, 0.0), (2.0, 4.0), (0.0, 0.0), (4.0, 4.0), (2.0, 2.0), (3.999, 3.999)]
    states = np.zeros((1, len(points), 11))
    states[0, :, :2] = points
    boxes, flags = np.empty((1, len(points), 4)), np.empty((1, len(points)), np.uint8)
    locate(states, grid, boxes, flags)
    np.testing.assert_array_equal(flags[0] & AXLE_IN_INTERSECTION != 0, [False] * 6 + [True] * 2)


@pytest.mark.parametrize("samples", [36, 41, 55, 56])
@pytest.mark.parametrize(("window", "order", "derivative"), [(8, 2, 0), (15, 2, 1), (5, 2, 1), (5, 3, 2), (5, 2, 2)])
def test_filters_equal_scipys(samples, window, order, derivative):
    signal = np.random.default_rng(samples).normal(size=samples)
    weights, start = savgol(samples, window, order, derivative)
    mine = (weights * signal[start[:, None] + np.arange(window)]).sum(axis=1)
    np.testing.assert_allclose(mine, savgol_filter(signal, window, order, deriv=derivative, delta=0.1), atol=1e-10)


def test_simulation_equals_the_tracker_and_bicycle_of_the_house():
    rng = np.random.default_rng(0)
    poses = np.zeros((12, 41, 3))
    poses[:, 1:, 0] = np.cumsum(np.abs(rng.normal(0.6, 0.3, (12, 40))), axis=1)
    poses[:, 1:, 1] = np.cumsum(rng.normal(0, 0.02, (12, 40)), axis=1)
    poses[:, 1:, 2] = np.cumsum(rng.normal(0, 0.02, (12, 40)), axis=1)
    initial = np.array([5.0, 0.1, 0.3, -0.2])
    expected = simulate(poses, BicycleState(0.0, 0.0, 0.0, *initial))
    np.testing.assert_allclose(cpu.drive(poses, initial), expected, atol=1e-9)


def test_frames_follow_their_predecessors_of_the_same_log():
    logs = ["a", "a", "b", "a", "b", "a"]
    times = np.array([10.0, 9.5, 9.6, 10.5, 10.1, 12.0])
    np.testing.assert_array_equal(predecessors(logs, times), [1, -1, -1, 0, 2, -1])


def test_weights_fall_with_distance_and_are_equal_when_all_is_far():
    weights = closeness(np.zeros(2), np.array([[0.0, 0.0], [0.1**0.5, 0.0]]))
    np.testing.assert_allclose(weights, np.array([1.0, np.exp(-0.5)]) / (1 + np.exp(-0.5)))
    np.testing.assert_allclose(closeness(np.zeros(2), np.full((4, 2), 50.0)), 0.25)


def test_a_group_needs_its_frames():
    values = {name: np.ones(1) for name in V2.subscores}
    frames = Frames(("now",), np.zeros((1, 2)), np.zeros((1, 2)), values, np.ones(1, dtype=bool))
    with pytest.raises(DataError, match="no score for frame before of group now"):
        two_stage(frames, [Group("now", "before", (("now", "now"),))], V2)
    with pytest.raises(DataError, match="group now has no second-stage scene"):
        two_stage(frames, [Group("now", "now", ())], V2)
    perfect = two_stage(frames, [Group("now", "now", (("now", "now"),))], V2)
    assert perfect.combined["score"] == 1.0
    assert [row["token"] for row in two_stage_rows(perfect, V2)] == [
        f"extended_pdm_score_{stage}" for stage in ("stage_one", "stage_two", "combined")
    ]


def test_the_official_table_averages_over_what_is_known(tmp_path):
    scenes = [prepare(road()), prepare(with_agent(road(), 25.0, 0.0))]
    plans = np.repeat(straight()[None, None], 2, axis=0)
    rows = official_rows(score(plans, scenes, V2))
    assert np.isnan(rows[0][EC])
    average = average_row(rows, V2)
    assert average["token"] == "average_all_frames"
    assert average[NC] == 0.5
    assert np.isnan(average[EC])
    path = tmp_path / "deep" / "table.csv"
    write_official_csv(path, rows, V2)
    with path.open() as file:
        table = list(csv.reader(file))
    assert table[0] == ["", "token", "valid", *V2.subscores, "score"]
    assert [row[1] for row in table[1:]] == ["road", "road", "average_all_frames"]
    assert float(table[3][table[0].index("score")]) == pytest.approx(np.mean([row["score"] for row in rows]))
    v1 = score(plans, [prepare(s.inputs, V1) for s in scenes], V1)
    assert average_row(official_rows(v1), V1)["token"] == "average"
    assert list(official_rows(v1)[0]) == [
        "token", "valid", "no_at_fault_collisions", "drivable_area_compliance", "ego_progress",
        "time_to_collision_within_bound", "comfort", "driving_direction_compliance", "score",
    ]  # fmt: skip
    with pytest.raises(DataError, match="0 rows"):
        average_row([], V2)


def test_a_picture_tells_what_was_lost(tmp_path):
    scene = prepare(with_agent(road(), 25.0, 0.0))
    lines = draw(scene, straight(lateral=5.5), V2, tmp_path / "why.png", previous=straight())
    assert (tmp_path / "why.png").stat().st_size > 10_000
    result = score(straight(lateral=5.5)[None, None], [scene], V2, straight()[None, None])
    assert lines == reasons(result)
    moment = 0.1 * result.judged.samples["off_road"][0, 0]
    assert f"{DAC} 0: first at {moment:.1f} s" in lines
    assert reasons(score(straight()[None, None], [prepare(road())])) == ["nothing lost"]
