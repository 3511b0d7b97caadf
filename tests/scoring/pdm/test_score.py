"""Hand-drawn scenes for each sub-score, invariances, agreement with the naive twin, and bad input."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from drawn_scenes import SPEED, examples, moved, rectangle, road, straight, with_agent, with_polygon
from golden_scenes import NAMES, official, prepared, stable, stored
from naive import NaiveScorer

from eyesup.scoring.pdm import SceneInputs, prepare, score, with_weights
from eyesup.scoring.pdm.contacts import NEVER
from eyesup.scoring.pdm.score import PDMScore, versioned
from eyesup.scoring.pdm.version import DAC, DDC, EC, EP, HC, LK, NC, TLC, TTC, V1, V1_0, V2, V2_2, C
from eyesup.types import DataError

EXAMPLES = examples()


def one(inputs: SceneInputs, plan: np.ndarray, version=V2, previous: np.ndarray | None = None) -> PDMScore:
    earlier = None if previous is None else previous[None, None]
    return score(plan[None, None], [prepare(inputs, version)], version, earlier)


def value(name: str, inputs: SceneInputs, plan: np.ndarray, version=V2, **options) -> float:
    return float(one(inputs, plan, version, **options).subscores[name][0, 0])


def test_keeping_lane_and_speed_on_an_empty_road_is_perfect():
    for version in (V1, V2, V1_0, V2_2):
        result = one(road(), straight(), version, previous=straight())
        assert {name: float(values[0, 0]) for name, values in result.subscores.items()} == pytest.approx(
            dict.fromkeys(version.subscores, 1.0), abs=1e-6
        )
        assert result.score[0, 0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_drawn_example_loses_what_it_is_drawn_for(name):
    example = EXAMPLES[name]
    result = one(example.inputs, example.plan, example.version, example.previous)
    lost = {
        column: float(values[0, 0]) for column, values in result.subscores.items()
        if values[0, 0] < 1 and result.validity(column)[0, 0]
    }  # fmt: skip
    assert lost == pytest.approx({example.loses[0]: example.loses[1], **example.with_it}, abs=5e-3)


def test_the_examples_cover_every_subscore():
    assert {example.loses[0] for example in EXAMPLES.values()} == {*V1.subscores, *V2.subscores}


def test_running_into_a_stopped_car_is_at_fault():
    inputs = with_agent(road(), 25.0, 0.0)
    result = one(inputs, straight())
    assert result.subscores[NC][0, 0] == 0.0
    assert result.score[0, 0] == 0.0
    # Its rear is at 23 m, the ego's front 4.049 m ahead of the rear axle: contact after 18.95 m, between 2.3 and 2.4 s.
    assert result.judged.samples["collision"][0, 0] == 24


def test_a_cone_costs_half_and_a_car_from_behind_nothing():
    assert value(NC, with_agent(road(), 25.0, 0.0, kind="TRAFFIC_CONE", size=(0.5, 0.5)), straight()) == 0.5
    rammed = with_agent(road(), -12.0, 0.0, velocity=(14.0, 0.0))
    assert value(NC, rammed, straight()) == 1.0
    assert value(NC, rammed, straight(), V1) == 1.0


def test_a_touch_from_the_side_counts_only_between_lanes():
    # A car drives alongside and closes in until it touches the ego's side.
    beside = with_agent(road(), 1.5, 3.4, velocity=(SPEED, -0.4))
    assert value(NC, beside, straight()) == 1.0
    straddling = with_agent(road(), 1.5, 4.4, velocity=(SPEED, -0.4))
    assert value(NC, straddling, straight(lateral=1.2)) == 0.0


def test_a_standing_ego_is_never_at_fault():
    standing = replace(road(), ego_history=road().ego_history * [1, 1, 1, 0, 0, 0, 0])
    crossing = with_agent(standing, 1.5, 12.0, velocity=(0.0, -6.0), heading=-np.pi / 2)
    assert value(NC, crossing, np.zeros((8, 3))) == 1.0
    assert value(TTC, crossing, np.zeros((8, 3))) == 1.0


def test_initial_overlap_counts_in_v1_and_is_dropped_in_v2():
    overlapping = with_agent(road(), 4.0, 0.0, velocity=(SPEED, 0.0))
    assert value(NC, overlapping, straight(), V1) == 0.0
    assert value(NC, overlapping, straight(), V2) == 1.0


def test_an_agent_seen_once_stands_there_all_the_time():
    velocity = (8.75, 0.0)  # at x = 35 m after 4 s, when it is first seen
    once = with_agent(road(), 0.0, 0.0, velocity, seen=np.arange(11) == 8)  # the last frame of v2
    assert value(NC, once, straight()) == 0.0
    twice = with_agent(road(), 0.0, 0.0, velocity, seen=np.arange(11) >= 8)
    assert one(twice, straight(), V1).judged.samples["collision"][0, 0] == 40  # there from t = 4 s on only
    assert value(NC, with_agent(road(), 35.0, 0.0, seen=np.arange(11) == 9), straight()) == 1.0  # after v2's horizon


def test_the_first_sighting_decides_whether_an_agent_moves():
    moving = with_agent(road(), 1.5, 2.7, velocity=(SPEED, 0.0))  # its side at 1.7 m, the ego's comes to 1.85 m
    stands = replace(moving, agent_velocities=moving.agent_velocities * (np.arange(11) > 0)[None, :, None])
    near = straight(lateral=1.0)
    assert value(NC, moving, near) == 1.0
    assert value(NC, stands, near) == 0.0


def test_leaving_the_road_costs_drivable_area_and_a_touch_of_its_edge_too():
    assert value(DAC, road(), straight(lateral=5.5)) == 0.0
    assert value(DAC, road(), straight(lateral=4.0)) == 1.0
    # The ego's left side lies exactly on the road's edge: a corner on the boundary is outside.
    narrow = replace(road(), polygons=(rectangle(-50, -6, 200, 0.5 * 2.297), *road().polygons[1:]))
    assert value(DAC, narrow, straight()) == 0.0
    barely = replace(road(), polygons=(rectangle(-50, -6, 200, 0.5 * 2.297 + 1e-6), *road().polygons[1:]))
    assert value(DAC, barely, straight()) == 1.0


def test_lanes_alone_are_not_drivable_but_carparks_and_intersections_are():
    no_block = replace(road(), polygon_layers=("LANE",) * 4)
    assert value(DAC, no_block, straight()) == 0.0
    for layer in ("CARPARK_AREA", "INTERSECTION", "DRIVABLE_AREA"):
        assert value(DAC, with_polygon(no_block, "all", layer, rectangle(-50, -6, 200, 6)), straight()) == 1.0


@pytest.mark.parametrize(("speed", "expected"), [(1.7, 1.0), (4.0, 0.5), (8.0, 0.0)])
def test_driving_against_the_route_is_measured_over_a_second(speed, expected):
    wrong = replace(
        road(), route_lane_ids=frozenset(), ego_history=road().ego_history * [1, 1, 1, speed / SPEED, 1, 1, 1]
    )
    assert value(DDC, wrong, straight(speed)) == expected
    forgiven = with_polygon(wrong, "junction", "INTERSECTION", rectangle(-60, -6, 200, 6))
    assert value(DDC, forgiven, straight(speed)) == 1.0  # v2 forgives it inside intersections
    assert value(DDC, forgiven, straight(speed), V1) == expected


def test_a_red_lane_may_not_be_touched_while_it_is_red():
    crossing = with_polygon(road(), "connector", "LANE_CONNECTOR", rectangle(20, -2, 40, 2))
    crossing = replace(crossing, route_lane_ids=crossing.route_lane_ids | {"connector"})
    red = replace(crossing, red_lane_ids=(("connector",),) * 11)
    result = one(red, straight())
    assert result.subscores[TLC][0, 0] == 0.0
    assert result.judged.samples["red_light"][0, 0] == 20  # the front reaches 20 m after (20 - 4.049) / 8 = 1.994 s
    early = replace(crossing, red_lane_ids=(("connector",),) * 3 + ((),) * 8)  # red up to 1.4 s
    assert value(TLC, early, straight()) == 1.0
    assert value(TLC, red, straight(speed=2.0)) == 1.0  # stays before it
    off_route = replace(red, route_lane_ids=frozenset({"middle"}))
    assert value(TLC, off_route, straight()) == 1.0
    inside = with_polygon(road(), "here", "LANE_CONNECTOR", rectangle(-30, -30, 30, 30))
    inside = replace(inside, route_lane_ids=inside.route_lane_ids | {"here"}, red_lane_ids=(("here",),) + ((),) * 10)
    assert value(TLC, inside, straight()) == 0.0  # wholly inside the polygon at the start


def test_progress_is_relative_to_the_better_safe_one_of_the_pair():
    # PDM-Closed gets 32 m in 4 s; the plan half as far.
    slow = one(road(), straight(speed=4.0))
    share = slow.judged.progress_m[0, 0] / 32.0
    assert 0.4 < share < 0.8
    assert slow.subscores[EP][0, 0] == pytest.approx(share, abs=1e-4)
    fast = one(road(), straight(speed=12.0))
    assert fast.subscores[EP][0, 0] == 1.0
    # A plan that fails makes no progress in v1, but does in v2.
    wall = with_agent(road(), 25.0, 0.0)
    assert value(EP, wall, straight(), V1) == 0.0
    assert value(EP, wall, straight(), V2) == 1.0  # neither of the pair is safe: nothing to compare
    # Below five metres nothing is compared; v1.0 compared from a tenth of a metre on.
    crawl = np.zeros((41, 3))
    crawl[:, 0] = np.linspace(0, 2.0, 41)
    still = replace(
        road(), ego_history=road().ego_history * [1, 1, 1, 0, 0, 0, 0], references={"v1": crawl, "v2": crawl}
    )
    assert value(EP, still, np.zeros((8, 3)), V1) == 1.0
    assert value(EP, still, np.zeros((8, 3)), V1_0) < 0.01


def test_joint_progress_compares_all_plans():
    plans = np.stack([straight(6.0), straight(12.0)])[None]
    alone = score(plans, [prepare(road())], V2)
    together = score(plans, [prepare(road())], V2, joint=True)
    assert together.subscores[EP][0, 1] == 1.0
    best = together.judged.progress_m[0, 1]
    assert together.subscores[EP][0, 0] == pytest.approx(together.judged.progress_m[0, 0] / best)
    assert together.subscores[EP][0, 0] < alone.subscores[EP][0, 0]


def test_time_to_collision_looks_a_second_ahead():
    # The ego stops short of a car: before it slows down, its front would be in the car within 0.9 s.
    car = with_agent(road(), 34.5, 0.0)
    brake = straight()
    brake[:, 0] = np.minimum(8.0 * 0.5 * np.arange(1, 9), 28.0)
    result = one(car, brake)
    assert result.subscores[NC][0, 0] == 1.0
    assert result.subscores[TTC][0, 0] == 0.0
    assert value(TTC, with_agent(road(), 60.0, 0.0), straight()) == 1.0
    assert value(TTC, with_agent(road(), 20.0, 0.0, velocity=(SPEED, 0.0)), straight()) == 1.0


def test_time_to_collision_in_v1_looks_from_later_samples():
    car = with_agent(road(), 4.049 + 32.0 + 2.0 + 4.0, 0.0)  # its rear is 4 m beyond the ego's front at 4 s
    assert value(TTC, car, straight(), V2) == 1.0  # from 3.1 s: 8 * (0.9 + 0.9) m short of it
    assert value(TTC, car, straight(), V1) == 0.0


def test_lane_keeping_counts_two_seconds_in_a_row_and_waits_in_intersections():
    assert value(LK, road(), straight(lateral=0.45)) == 1.0
    assert value(LK, road(), straight(lateral=1.5)) == 0.0
    weaving = straight()
    weaving[:, 1] = [0.7, 0.7, 0.7, 0.0, 0.0, 0.7, 0.7, 0.7]
    assert value(LK, road(), weaving) == 1.0
    junction = with_polygon(road(), "junction", "INTERSECTION", rectangle(0, -6, 200, 6))
    assert value(LK, junction, straight(lateral=1.5)) == 1.0


def test_comfort_minds_braking_and_history():
    hard = straight()
    hard[:, 0] = 8.0 * np.minimum(0.5 * np.arange(1, 9), 0.5)
    assert value(HC, road(), hard) == 0.0
    assert value(C, road(), hard, V1) == 0.0
    gentle = straight()
    jolted = road().ego_history.copy()
    jolted[1, 5], jolted[2, 5] = -6.0, 6.0  # the driven past was uncomfortable, the plan is not
    past = replace(road(), ego_history=jolted)
    assert value(HC, past, gentle) == 0.0
    assert value(C, past, gentle, V1) == 1.0
    alone = replace(past, ego_history=jolted[-1:], ego_times_us=past.ego_times_us[-1:])
    assert value(HC, alone, gentle) == 1.0


def test_two_frames_must_agree():
    assert value(EC, road(), straight(), previous=straight()) == 1.0
    assert value(EC, road(), straight(), previous=straight(speed=3.0)) == 0.0
    shared = score(np.stack([straight(), straight(6.0)])[None], [prepare(road())], V2, straight()[None, None])
    single = [one(road(), plan, previous=straight()).subscores[EC][0, 0] for plan in (straight(), straight(6.0))]
    np.testing.assert_array_equal(shared.subscores[EC][0], single)


def test_without_an_earlier_plan_ec_is_left_out_with_its_weight():
    late = replace(road(), ego_times_us=road().ego_times_us * [1, 1, 1, 2])  # the frame before is too long ago
    for result in (one(road(), straight(4.0)), one(late, straight(4.0), previous=straight(4.0))):
        assert not result.two_frame_valid.any()
        assert not result.validity(EC).any()
        values = {name: float(column[0, 0]) for name, column in result.subscores.items()}
        expected = (5 * values[EP] + 5 * values[TTC] + 2 * values[LK] + 2 * values[HC]) / 14
        assert result.score[0, 0] == pytest.approx(expected)
        assert result.score[0, 0] == result.scores["epdms_filter_noec"][0, 0]


def test_failures_that_the_human_shares_are_forgiven():
    human = straight(lateral=5.5)  # the human leaves the road, too
    inputs = replace(road(), human=human)
    assert value(DAC, inputs, human) == 0.0
    result = one(inputs, human)
    assert result.filtered[DAC][0, 0] == 1.0
    assert result.scores["epdms_nofilter_noec"][0, 0] == 0.0
    assert result.score[0, 0] > 0.5
    before = one(inputs, human, V2_2)  # until 2025-09 only the columns changed
    assert before.filtered[DAC][0, 0] == 1.0
    assert before.score[0, 0] == 0.0


def test_weights_are_data():
    reward = with_weights(V1, ego_progress=10.0)
    result, plain = one(road(), straight(4.0), reward), one(road(), straight(4.0), V1)
    progress = plain.subscores[EP][0, 0]
    assert plain.score[0, 0] == pytest.approx((5 * progress + 5 + 2 * plain.subscores[C][0, 0]) / 12)
    assert result.score[0, 0] == pytest.approx((10 * progress + 5 + 2 * plain.subscores[C][0, 0]) / 17)
    assert result.version.name == "navsim-v1.1[ego_progress=10]"
    assert one(road(), straight(4.0), "v1-training").score[0, 0] == result.score[0, 0]
    with pytest.raises(DataError, match="does not weigh 'lane_keeping'; it weighs ego_progress"):
        with_weights(V1, lane_keeping=1.0)


def test_prepared_scenes_travel_between_processes_and_serve_several_versions():
    scene = prepare(road(), V1)
    view = versioned(scene, V1)
    assert versioned(scene, with_weights(V1, ego_progress=10.0)) is view
    assert versioned(scene, V1_0) is not view
    copy = pickle.loads(pickle.dumps(scene))
    assert len(copy.derived) == 2
    plan = straight(5.0)[None, None]
    for version in (V1, V2):
        assert score(plan, [copy], version).score[0, 0] == score(plan, [scene], version).score[0, 0]


def subscores_of(result: PDMScore) -> dict[str, np.ndarray]:
    return {**result.subscores, "score": result.score}


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("name", NAMES[2::7])
def test_scores_do_not_depend_on_the_world_frame(name, version):
    item, sure = stored(name), stable(name, version.family)
    here = score(item.waypoints[None], [prepared(name)], version, item.previous[None])
    for origin in ([120.0, -40.0, 1.0], [-3e5, 8e5, -2.5]):
        there = score(
            item.waypoints[None], [prepare(moved(item.inputs, np.array(origin)), version)], version, item.previous[None]
        )
        for column, values in subscores_of(here).items():
            np.testing.assert_allclose(subscores_of(there)[column][0, sure], values[0, sure], atol=1e-6, err_msg=column)


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("name", NAMES[5::11])
def test_scores_do_not_depend_on_the_order_of_agents_and_polygons(name, version):
    item = stored(name)
    inputs, rng = item.inputs, np.random.default_rng(0)
    agents, polygons = rng.permutation(len(inputs.agent_types)), rng.permutation(len(inputs.polygons))
    shuffled = replace(
        inputs,
        agent_poses=inputs.agent_poses[agents],
        agent_velocities=inputs.agent_velocities[agents],
        agent_sizes=inputs.agent_sizes[agents],
        agent_seen=inputs.agent_seen[agents],
        agent_types=tuple(inputs.agent_types[i] for i in agents),
        polygons=tuple(inputs.polygons[i] for i in polygons),
        polygon_ids=tuple(inputs.polygon_ids[i] for i in polygons),
        polygon_layers=tuple(inputs.polygon_layers[i] for i in polygons),
    )
    here = score(item.waypoints[None], [prepared(name)], version, item.previous[None])
    there = score(item.waypoints[None], [prepare(shuffled, version)], version, item.previous[None])
    for column, values in subscores_of(here).items():
        np.testing.assert_array_equal(subscores_of(there)[column], values, err_msg=column)


@pytest.mark.parametrize("version", [V1, V2])
def test_what_was_driven_scores_higher_than_what_is_done_to_it(version):
    """Over the golden scenes, on average, with the human's plan bent, stretched, shortened and shifted."""
    chosen = [prepared(name) for name in NAMES[::2]]
    human = np.stack([scene.inputs.human for scene in chosen])
    grows = np.linspace(0.125, 1.0, 8)[:, None]
    perturbed = {
        "left": human + grows * [0.0, 3.0, 0.0], "right": human + grows * [0.0, -3.0, 0.0],
        "faster": human * [1.5, 1.0, 1.0], "slower": human * [0.5, 1.0, 1.0], "aside": human + [0.0, 1.5, 0.0],
    }  # fmt: skip
    means = score(np.stack([human, *perturbed.values()], axis=1), chosen, version).score.mean(axis=0)
    assert means[0] > means[1:].mean() + 0.05, dict(zip(("driven", *perturbed), means))


@pytest.mark.parametrize("version", [V1, V2])
def test_a_batch_equals_its_singles_whatever_the_workers(version):
    chosen = [name for name in NAMES if stored(name).waypoints.shape[1] == 8][:4]
    plans = np.concatenate([np.stack([stored(n).waypoints for n in chosen])] * 3, axis=1)
    earlier = np.concatenate([np.stack([stored(n).previous for n in chosen])] * 3, axis=1)
    scenes = [prepared(name) for name in chosen]
    together = score(plans, scenes, version, earlier, workers=3)
    again = score(plans[:, ::-1], scenes, version, earlier[:, ::-1], workers=1)
    for column, values in subscores_of(together).items():
        np.testing.assert_array_equal(subscores_of(again)[column][:, ::-1], values, err_msg=column)
    for s, k in ((0, 0), (1, 7), (3, 59)):
        single = score(plans[s : s + 1, k : k + 1], [scenes[s]], version, earlier[s : s + 1, k : k + 1])
        for column, values in subscores_of(together).items():
            assert subscores_of(single)[column][0, 0] == values[s, k]


@pytest.mark.parametrize("version", [V1, V2, V1_0])
@pytest.mark.parametrize("name", [NAMES[3], NAMES[13]])
def test_the_naive_twin_agrees(name, version):
    item, family = stored(name), version.family
    inputs = replace(item.inputs, references={family: official(name)[f"{family}_pdm_ref_poses"]})
    twin = NaiveScorer(inputs, version)
    result = score(item.waypoints[None], [prepare(inputs)], version, item.previous[None])
    sure = stable(name, version.family)
    for k in np.flatnonzero(sure)[:4]:
        expected = twin.score(item.waypoints[k], item.dt_s, item.previous[k])
        for column in version.subscores:
            assert result.subscores[column][0, k] == pytest.approx(expected[column], abs=1e-9), (column, k)
            assert result.filtered[column][0, k] == pytest.approx(expected[f"filtered_{column}"], abs=1e-9), (column, k)
        assert result.score[0, k] == pytest.approx(expected["score"], abs=1e-9)


def test_non_finite_waypoints_are_named_or_marked():
    plans = np.stack([straight(), straight(), straight()])[None]
    plans[0, 1, 4, 2] = np.nan
    with pytest.raises(DataError, match=r"scene road, plan 1: waypoint 4 has heading = nan"):
        score(plans, [prepare(road())])
    kept = score(plans, [prepare(road())], keep_going=True)
    np.testing.assert_array_equal(kept.valid, [[True, False, True]])
    assert [s.n for s in kept.as_scores() if s.name == "score"] == [2]
    assert kept.judged.samples["collision"][0, 0] == NEVER


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"polygons": (), "polygon_ids": (), "polygon_layers": ()}, "scene road: 0 map polygons"),
        ({"polygon_layers": ("LANE", "ROAD", "LANE", "LANE")}, "unknown map layer 'ROAD'; known: ROADBLOCK"),
        ({"centerline": np.zeros((0, 3))}, r"centreline of 0 point\(s\)"),
        ({"centerline": np.ones((5, 3))}, r"centreline of 5 point\(s\); needs two distinct"),
        ({"centerline": np.array([[0.0, 0.0], [np.inf, 0.0]])}, r"centerline holds inf at \(1, 0\)"),
        ({"ego_times_us": np.array([3, 2, 1, 0])}, "do not increase"),
        ({"references": {"v2": np.zeros((40, 3))}}, r"reference plan \(v2\) of shape \(40, 3\)"),
        ({"agent_types": ("VEHICLE",)}, "differ in number"),
    ],
)
def test_unfit_scenes_are_named(changes, message):
    with pytest.raises(DataError, match=message):
        replace(road(), **changes)


def test_unfit_scenes_are_named_when_prepared():
    spike = with_polygon(road(), "spike", "LANE", np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(DataError, match="scene road: polygon spike has 2 vertices and is not closed"):
        prepare(spike)
    dark = replace(road(), route_lane_ids=frozenset({"gone"}), red_lane_ids=(("gone",),) * 11)
    with pytest.raises(DataError, match="light of lane gone is red, but the map has no such polygon"):
        prepare(dark)
    with pytest.raises(DataError, match="unknown agent type 'DRAGON'; known: BARRIER"):
        with_agent(road(), 0.0, 0.0, kind="DRAGON")


def test_unfit_calls_are_named():
    scene = prepare(road())
    with pytest.raises(DataError, match=r"scene road: plan of 6 waypoints at 0.5 s covers 3 s; the score needs 4 s"):
        score(straight()[None, None, :6], [scene], dt_s=0.5)
    with pytest.raises(DataError, match=r"unknown version 'v3'; known: v1, v1\.0"):
        score(straight()[None, None], [scene], "v3")
    with pytest.raises(DataError, match="plans for 1 scenes, but 2 scenes"):
        score(straight()[None, None], [scene, scene])
    with pytest.raises(DataError, match="3 earlier plans for 2 plans"):
        score(np.zeros((1, 2, 8, 3)), [scene], previous=np.zeros((1, 3, 8, 3)))
    with pytest.raises(DataError, match="pdm: road: 0 plans of each scene; there is nothing to score"):
        score(np.zeros((1, 0, 8, 3)), [scene])
    with pytest.raises(DataError, match="pdm: 0 scenes: 1 plans of each scene; there is nothing to score"):
        score(np.zeros((0, 1, 8, 3)), [])
