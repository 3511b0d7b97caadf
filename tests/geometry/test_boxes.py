from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import Polygon

from eyesup.geometry.boxes import box_corners, box_distance, boxes_overlap
from eyesup.geometry.se2 import from_frame


def box(x: float, y: float, heading: float = 0.0, length: float = 4.0, width: float = 2.0) -> np.ndarray:
    return box_corners(np.array([x, y, heading], dtype=np.float64), length, width)


def test_corners_run_counter_clockwise_from_front_left():
    np.testing.assert_allclose(box(10, 5), [[12, 6], [8, 6], [8, 4], [12, 4]])
    np.testing.assert_allclose(box(0, 0, np.pi / 2), [[-1, 2], [-1, -2], [1, -2], [1, 2]], atol=1e-12)


def test_corners_broadcast_sizes_over_time():
    poses = np.zeros((3, 5, 3))
    corners = box_corners(poses, np.array([2.0, 4.0, 6.0])[:, None], 1.0)
    assert corners.shape == (3, 5, 4, 2)
    np.testing.assert_allclose(corners[:, 0, 0, 0], [1, 2, 3])


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        (box(3.9, 0), True),
        (box(4.0, 0), True),  # touching counts
        (box(4.001, 0), False),
        (box(0, 2.001), False),
        (box(0, 0, 0, 1.0, 1.0), True),  # inside
        (box(0, 0, np.pi / 2, 20.0, 0.5), True),  # a cross: no corner of either is inside the other
        (box(3.2, 2.2, np.pi / 4), True),
        (box(3.4, 2.4, -np.pi / 4), False),  # bounding boxes overlap, the diagonal box passes the corner
    ],
)
def test_overlap_of_hand_placed_boxes(other, overlap):
    assert bool(boxes_overlap(box(0, 0), other)) is overlap
    assert bool(boxes_overlap(other, box(0, 0))) is overlap


def test_distance_of_hand_placed_boxes():
    assert box_distance(box(0, 0), box(7, 0)) == pytest.approx(3.0)
    assert box_distance(box(0, 0), box(7, 6)) == pytest.approx(5.0)  # corner to corner, 3-4-5
    assert box_distance(box(0, 0), box(1, 1)) == 0.0
    diamond = box(2 + np.sqrt(2) + 0.5, 0, np.pi / 4, 2.0, 2.0)  # its corner faces the front bumper
    assert box_distance(box(0, 0), diamond) == pytest.approx(0.5)


def random_boxes(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = rng.uniform([-6, -6, -4], [6, 6, 4], size=(n, 3))
    return box_corners(poses, rng.uniform(0.3, 8, n), rng.uniform(0.3, 3, n))


def test_overlap_and_distance_agree_with_shapely():
    a, b = random_boxes(1500, 0), random_boxes(1500, 1)
    hit, apart = boxes_overlap(a, b), box_distance(a, b)
    for i in range(len(a)):
        one, two = Polygon(a[i]), Polygon(b[i])
        assert apart[i] == pytest.approx(one.distance(two), abs=1e-9)
        assert hit[i] == one.intersects(two)
    assert 0.1 < hit.mean() < 0.9


def test_leading_axes_broadcast_and_equal_single_calls():
    a, b = random_boxes(6, 2), random_boxes(5, 3)
    hit, apart = boxes_overlap(a[:, None], b), box_distance(a[:, None], b)
    assert hit.shape == apart.shape == (6, 5)
    for i in range(6):
        for j in range(5):
            assert hit[i, j] == boxes_overlap(a[i], b[j])
            assert apart[i, j] == box_distance(a[i], b[j])


def test_no_boxes_give_an_empty_answer():
    assert boxes_overlap(np.zeros((0, 4, 2)), box(0, 0)).shape == (0,)
    assert box_distance(np.zeros((0, 4, 2)), box(0, 0)).shape == (0,)


def test_moving_and_turning_the_world_changes_nothing():
    rng = np.random.default_rng(4)
    a, b = rng.uniform(-5, 5, (200, 3)), rng.uniform(-5, 5, (200, 3))
    origin = np.array([300.0, -40.0, 1.1])
    before = box_distance(box_corners(a, 4.0, 2.0), box_corners(b, 3.0, 1.0))
    after = box_distance(box_corners(from_frame(a, origin), 4.0, 2.0), box_corners(from_frame(b, origin), 3.0, 1.0))
    np.testing.assert_allclose(after, before, atol=1e-10)
