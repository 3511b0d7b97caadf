from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import Polygon

from eyesup.geometry.se2 import from_frame
from eyesup.scoring.openloop import PROTOCOL, collision, ego_corners, evaluate, l2, table
from eyesup.types import PACIFICA, Agents, DataError, Prediction, Score, Trajectory, Truth, VehicleGeometry

# Two metres wide, four long, rear axle one metre behind the centre: the front bumper is 3 m ahead of the rear axle.
CAR = VehicleGeometry(4.0, 2.0, 1.5, 2.6, 1.0)


def straight(
    speed: float, lateral: float = 0.0, heading: float = 0.0, dt: float = 0.5, seconds: float = 3.0
) -> Trajectory:
    times = dt * np.arange(1, round(seconds / dt) + 1)
    return Trajectory(
        np.stack([speed * times, np.full_like(times, lateral), np.full_like(times, heading)], axis=-1), dt
    )


def plan(trajectory: Trajectory, key: str = "a") -> Prediction:
    return Prediction(key, trajectory)


def parked(*poses: tuple[float, float, float], steps: int, size: tuple[float, float] = (4.0, 2.0)) -> Agents:
    a = len(poses)
    return Agents(
        ids=np.arange(a), kinds=np.zeros(a), sizes=np.tile([*size, 1.5], (a, 1)), velocities=np.zeros((a, steps, 2)),
        poses=np.repeat(np.array(poses, dtype=float).reshape(a, 1, 3), steps, axis=1), valid=np.ones((a, steps), bool),
    )  # fmt: skip


def truth(future: Trajectory, agents: Agents | None = None, vehicle: VehicleGeometry = CAR) -> Truth:
    return Truth(future, agents or Agents.empty(len(future) + 1), vehicle)


def by_name(scores: list[Score]) -> dict[str, Score]:
    return {score.name: score for score in scores}


def value(scores: list[Score], name: str) -> float:
    return float(by_name(scores)[name].values[0])


def random_truth(seed: int, agents: int = 7) -> Truth:
    rng = np.random.default_rng(seed)
    boxes = parked(*rng.uniform([-5, -8, -3], [40, 8, 3], (agents, 3)), steps=7)
    drift = rng.normal(0, 1, (agents, 1, 3)) * np.arange(7)[:, None] * [1, 1, 0.1]
    valid = rng.uniform(size=(agents, 7)) < 0.8
    future = Trajectory(np.cumsum(rng.normal([4, 0, 0], [1, 0.5, 0.1], (6, 3)), axis=0), 0.5)
    return truth(future, replace(boxes, poses=boxes.poses + drift, valid=valid))


def random_plan(seed: int) -> Prediction:
    rng = np.random.default_rng([seed, 1])
    return plan(Trajectory(np.cumsum(rng.normal([4, 0, 0], [1, 0.5, 0.1], (6, 3)), axis=0), 0.5), str(seed))


def test_l2_of_a_plan_one_metre_per_second_too_fast():
    scores = l2([plan(straight(9.0))], [truth(straight(8.0))])  # errors 0.5, 1.0, ..., 3.0 m
    expected = {
        "l2_at_1s": 1.0, "l2_at_2s": 2.0, "l2_at_3s": 3.0, "l2_at_avg": 2.0,
        "l2_cumulative_1s": 0.75, "l2_cumulative_2s": 1.25, "l2_cumulative_3s": 1.75, "l2_cumulative_avg": 1.25,
        "ade_3s": 1.75,
    }  # fmt: skip
    assert {score.name: score.values[0] for score in scores} == pytest.approx(expected)
    assert {(score.protocol, score.unit) for score in scores} == {(PROTOCOL, "m")}


def test_the_driven_path_scores_zero_and_heading_does_not_count():
    future = straight(8.0, lateral=0.3)
    turned = Trajectory(future.poses + [0, 0, 1.0], 0.5)
    assert all(score.values[0] == 0 for score in l2([plan(turned)], [truth(future)]))


def test_dense_plans_and_truths_are_picked_at_the_waypoints():
    sparse = l2([plan(straight(9.0))], [truth(straight(8.0))])
    dense = l2([plan(straight(9.0, dt=0.1, seconds=4.0))], [truth(straight(8.0, dt=0.1, seconds=5.0))])
    for a, b in zip(sparse, dense):
        assert a.values[0] == pytest.approx(b.values[0])


def test_missing_truth_is_left_out_not_counted_as_zero():
    valid = np.array([True, True, True, False, True, True])  # nothing known at 2 s
    gap = replace(straight(8.0), poses=np.where(valid[:, None], straight(8.0).poses, np.nan), valid=valid)
    scores = by_name(l2([plan(straight(9.0))] * 2, [truth(gap), truth(straight(8.0))]))
    assert {name: score.n for name, score in scores.items()} == {
        "l2_at_1s": 2, "l2_at_2s": 1, "l2_at_3s": 2, "l2_at_avg": 1,
        "l2_cumulative_1s": 2, "l2_cumulative_2s": 1, "l2_cumulative_3s": 1, "l2_cumulative_avg": 1, "ade_3s": 1,
    }  # fmt: skip
    assert scores["l2_at_2s"].mean == pytest.approx(2.0)


def test_a_log_that_ends_early_invalidates_the_later_horizons():
    scores = by_name(evaluate([plan(straight(8.0))], [truth(straight(8.0, seconds=2.0))]))
    assert scores["l2_at_2s"].n == scores["collision_2s"].n == 1
    assert scores["l2_at_3s"].n == scores["collision_3s"].n == scores["collision_avg"].n == 0
    assert np.isnan(scores["l2_at_3s"].mean)


def test_car_ahead_is_hit_when_the_bumper_reaches_it():
    # Its rear is at x = 12 m; the ego's bumper is 3 m ahead of the rear axle, which is at 10 m after 2 s.
    ahead = truth(straight(0.0), parked((14.0, 0.0, 0.0), steps=7))
    scores = collision([plan(straight(5.0))], [ahead])
    assert [value(scores, f"collision_{s}s") for s in (1, 2, 3)] == [0.0, 100.0, 100.0]
    assert value(scores, "collision_avg") == pytest.approx(200 / 3)
    assert value(scores, "collision_truth_3s") == 0.0
    assert value(collision([plan(straight(2.9))], [ahead]), "collision_3s") == 0.0  # bumper at 11.7 m after 3 s


def test_a_collision_that_ends_stays_counted():
    crossing = parked((9.0, 0.0, np.pi / 2), steps=7)
    poses = crossing.poses.copy()
    poses[0, :, 1] = [20, 10, 0, -10, -20, -30, -40]  # crosses the lane at 1 s
    scores = collision([plan(straight(5.0))], [truth(straight(0.0), replace(crossing, poses=poses))])
    assert [value(scores, f"collision_{s}s") for s in (1, 2, 3)] == [100.0, 100.0, 100.0]


def test_passing_a_diagonal_box_needs_exact_rectangles():
    # The corner of the diagonal square points at the lane's edge y = 1; its axis-aligned bounds reach over the lane.
    reach = np.sqrt(2.0)
    near = parked((10.0, 1.0 + reach + 0.05, np.pi / 4), steps=7, size=(2.0, 2.0))
    assert value(collision([plan(straight(4.0))], [truth(straight(0.0), near)]), "collision_3s") == 0.0
    over = parked((10.0, 1.0 + reach - 0.05, np.pi / 4), steps=7, size=(2.0, 2.0))
    assert value(collision([plan(straight(4.0))], [truth(straight(0.0), over)]), "collision_3s") == 100.0


def test_heading_of_the_plan_turns_the_rectangle():
    beside = truth(straight(0.0), parked((10.0, 3.0, 0.0), steps=7, size=(2.0, 1.0)))
    assert value(collision([plan(straight(4.0))], [beside]), "collision_3s") == 0.0
    sideways = straight(4.0, heading=np.pi / 2)  # front bumper at y = 3, body over x +- 1
    assert value(collision([plan(sideways)], [beside]), "collision_3s") == 100.0


def test_agents_touching_the_ego_at_the_start_are_excluded():
    glued = parked((3.5, 0.0, 0.0), steps=7, size=(2.0, 1.0))
    assert value(collision([plan(straight(0.0))], [truth(straight(0.0), glued)]), "collision_3s") == 0.0
    unseen_at_start = replace(glued, valid=np.array([[False] + [True] * 6]))
    assert value(collision([plan(straight(0.0))], [truth(straight(0.0), unseen_at_start)]), "collision_1s") == 100.0


def test_absent_agents_do_not_collide_whatever_their_row_holds():
    ghost = parked((14.0, 0.0, 0.0), steps=7)
    poses = np.full_like(ghost.poses, np.nan)
    ghost = replace(ghost, poses=poses, valid=np.zeros((1, 7), bool))
    assert value(collision([plan(straight(5.0))], [truth(straight(0.0), ghost)]), "collision_3s") == 0.0


def test_a_driven_path_that_collides_is_kept_and_shown():
    ahead = truth(straight(5.0), parked((14.0, 0.0, 0.0), steps=7))
    scores = collision([plan(straight(5.0))], [ahead])
    assert value(scores, "collision_3s") == value(scores, "collision_truth_3s") == 100.0
    assert by_name(scores)["collision_3s"].n == 1


def test_ten_hertz_truth_uses_the_boxes_of_the_same_time():
    agents = parked((30.0, 0.0, 0.0), steps=51)
    poses = agents.poses.copy()
    poses[0, :, 0] = 30.0 - 0.5 * np.arange(51)  # oncoming at 5 m/s: bumpers 25 m apart at the start, closing at 10 m/s
    future = straight(0.0, dt=0.1, seconds=5.0)
    scores = collision([plan(straight(5.0))], [truth(future, replace(agents, poses=poses))])
    assert [value(scores, f"collision_{s}s") for s in (1, 2, 3)] == [0.0, 0.0, 100.0]


def test_random_scenes_agree_with_shapely():
    hits = 0
    for seed in range(60):
        scene, prediction = random_truth(seed), random_plan(seed)
        expected = naive_collision_times(prediction.trajectory.poses, scene)
        got = by_name(collision([prediction], [scene]))
        for seconds in (1, 2, 3):
            assert got[f"collision_{seconds}s"].values[0] == 100.0 * any(t <= seconds for t in expected)
        hits += bool(expected)
    assert 10 < hits < 50


def naive_collision_times(poses: np.ndarray, scene: Truth) -> list[float]:
    def rectangle(x: float, y: float, heading: float, front: float, rear: float, half: float) -> Polygon:
        corners = from_frame(
            np.array([[front, half, 0], [rear, half, 0], [rear, -half, 0], [front, -half, 0]]),
            np.array([x, y, heading]),
        )
        return Polygon(corners[:, :2])

    agents, times = scene.agents, []
    boxes = [
        [rectangle(*pose, length / 2, -length / 2, width / 2) for pose in row]
        for row, (length, width, _) in zip(agents.poses, agents.sizes.astype(float))
    ]
    start = rectangle(0.0, 0.0, 0.0, 3.0, -1.0, 1.0)
    free = [a for a in range(len(agents)) if not (agents.valid[a, 0] and start.intersects(boxes[a][0]))]
    for i, pose in enumerate(poses):
        ego = rectangle(*pose, 3.0, -1.0, 1.0)
        if any(agents.valid[a, i + 1] and ego.intersects(boxes[a][i + 1]) for a in free):
            times.append(0.5 * (i + 1))
    return times


def test_order_of_agents_does_not_matter():
    rng = np.random.default_rng(0)
    for seed in range(20):
        scene, prediction = random_truth(seed), random_plan(seed)
        shuffled = replace(scene, agents=scene.agents.select(rng.permutation(len(scene.agents))))
        for a, b in zip(evaluate([prediction], [scene]), evaluate([prediction], [shuffled])):
            assert a.values[0] == b.values[0]


def test_turning_plan_and_agents_about_the_start_changes_no_distance():
    turn = np.array([0.0, 0.0, 0.9])
    for seed in range(20):
        scene, prediction = random_truth(seed), random_plan(seed)
        turned_scene = replace(scene, future=replace(scene.future, poses=from_frame(scene.future.poses, turn)))
        turned_plan = plan(Trajectory(from_frame(prediction.trajectory.poses, turn), 0.5))
        for a, b in zip(l2([prediction], [scene]), l2([turned_plan], [turned_scene])):
            assert a.values[0] == pytest.approx(b.values[0])


def test_footprints_move_with_the_pose():
    poses, origin = np.random.default_rng(2).uniform(-9, 9, (8, 3)), np.array([5.0, -3.0, 1.2])
    corners, moved = ego_corners(poses, PACIFICA), ego_corners(from_frame(poses, origin), PACIFICA)
    back = np.concatenate([corners, np.zeros((8, 4, 1))], axis=-1)
    np.testing.assert_allclose(moved, from_frame(back, origin)[..., :2], atol=1e-12)
    np.testing.assert_allclose(ego_corners(np.zeros(3), PACIFICA)[0], [4.049, 1.1485])


def test_a_batch_equals_its_singles():
    scenes, predictions = [random_truth(s) for s in range(5)], [random_plan(s) for s in range(5)]
    together = evaluate(predictions, scenes)
    for i in range(5):
        for a, b in zip(together, evaluate([predictions[i]], [scenes[i]])):
            assert (a.values[i], a.valid[i]) == (b.values[0], b.valid[0])


def test_no_samples_give_empty_scores():
    assert all(score.n == 0 for score in evaluate([], []))


def test_table_holds_the_means_with_their_counts():
    rows = table(l2([plan(straight(9.0)), plan(straight(8.0))], [truth(straight(8.0))] * 2))
    assert (rows[2].name, rows[2].mean, rows[2].n, rows[2].total) == ("l2_at_3s", pytest.approx(1.5), 2, 2)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (plan(straight(8.0, seconds=2.0), "short"), r"prediction short: .*4 x 0.5 s holds no 6 x 0.5 s; plan 3 s"),
        (plan(straight(8.0, dt=0.4, seconds=4.0), "odd"), "prediction odd: .*0.4 s"),
        (
            plan(replace(straight(8.0), valid=np.array([True] * 5 + [False])), "gap"),
            "prediction gap: 1 of 6 waypoints invalid",
        ),
    ],
)
def test_unusable_plans_are_refused_by_name(prediction, message):
    with pytest.raises(DataError, match=message):
        l2([prediction], [truth(straight(8.0))])


def test_unequal_lengths_and_odd_truth_steps_are_refused():
    with pytest.raises(DataError, match="1 predictions for 2 truths"):
        l2([plan(straight(8.0))], [truth(straight(8.0))] * 2)
    with pytest.raises(DataError, match=r"dt_s 0\.4 s does not divide"):
        l2([plan(straight(8.0))], [truth(straight(8.0, dt=0.4, seconds=4.0))])
