"""Hand-made scenes: what each protocol counts, misses and gets wrong. Positions are right, forward [m] of the lidar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyesup.scoring.openloop import collision, l2
from eyesup.scoring.openloop.cases import Cases, gathered, read_case
from eyesup.scoring.openloop.protocol import PROTOCOLS, STP3, protocol_named
from eyesup.scoring.openloop.score import path_poses, score, summary
from eyesup.types import Agents, DataError, Prediction, Trajectory, Truth, VehicleGeometry

STEPS = np.arange(1, 7)
STILL = np.zeros((6, 2))
AHEAD = np.pi / 2  # yaw of a car that looks forward


def ahead(*forward: float, right: float = 0.0) -> np.ndarray:
    """A path: six distances ahead, or one that is reached by equal steps."""
    distances = np.array(forward) if len(forward) == 6 else forward[0] * STEPS / 6
    return np.stack([np.full(6, right), distances], axis=-1)


def agent(right: float, forward: float, category: str = "car", yaw: float = AHEAD, valid: str = "1111111") -> dict:
    """A parked agent, 4 m x 2 m; `valid` says in which of the seven frames it is annotated."""
    return {
        "category": category, "size_lwh": [4.0, 2.0, 1.5], "valid_t0_t6": [int(v) for v in valid],
        "poses_xyyaw_t0_t6": [[right, forward, yaw]] * 7,
    }  # fmt: skip


def scene(plan: np.ndarray, *agents: dict, driven: np.ndarray = STILL, known: int = 6, **extra) -> Cases:
    entry = {
        "id": "hand", "pred": plan.tolist(), "gt": driven.tolist(), "n_valid_future": known,
        "fut_valid_flag": known == 6, "agents": list(agents), "gt_heading_left_positive": [0.0] * 6, **extra,
    }  # fmt: skip
    return gathered([read_case(entry)])


def hits(name: str, cases: Cases) -> list[int]:
    """At which steps, from 1, a collision counts."""
    return [int(step) for step in STEPS[score(cases, name).collides[0]]]


# The footprint reaches 2.542 m ahead of the lidar; a car 20 m ahead begins at 18 m: touch at 15.458 m.
@pytest.mark.parametrize(("stop_m", "expected"), [(15.3, False), (15.7, True)])
@pytest.mark.parametrize("name", ["bevplanner", "omnidrive", "exact"])
def test_fine_protocols_touch_where_the_rectangles_do(name, stop_m, expected):
    cases = scene(ahead(stop_m), agent(0, 20), drivable_area=[])
    assert hits(name, cases) == ([6] if expected else [])


# On cells of 0.5 m: the car's rear is in row 136 = round(68 / 0.5), the footprint's front in row trunc(stop / 0.5 + 104).
@pytest.mark.parametrize(("stop_m", "expected"), [(15.9, False), (16.0, True)])
@pytest.mark.parametrize("name", ["uniad", "opendrivevla_vehicles"])
def test_coarse_protocols_touch_half_a_metre_late(name, stop_m, expected):
    assert hits(name, scene(ahead(stop_m), agent(0, 20))) == ([6] if expected else [])


# VAD counts rows from the far end: the rear is in row round(32 / 0.5) = 64, the front in row trunc(200 - stop / 0.5 - 104).
@pytest.mark.parametrize(("stop_m", "expected"), [(15.5, False), (15.6, True)])
def test_vad_truncates_the_other_way(stop_m, expected):
    assert hits("vad", scene(ahead(stop_m), agent(0, 20))) == ([6] if expected else [])


def test_mirrored_grids_of_opendrivevla_are_a_cell_off_to_the_side():
    """A wall of cars to the right from 2.0 m on: the footprint's right edge is in column 101 + right / 0.5, the wall in 104."""
    beside = [agent(3.0, forward) for forward in (0, 4, 8)]
    for right, expected in ((1.0, False), (1.5, True)):
        assert bool(hits("uniad", scene(ahead(6.0, right=right), *beside))) is expected
    mirrored = [bool(hits("opendrivevla_vehicles", scene(ahead(6.0, right=r), *beside))) for r in (1.0, 1.5)]
    assert mirrored == [False, True]
    other_side = [agent(-3.0, forward) for forward in (0, 4, 8)]
    uniad = [bool(hits("uniad", scene(ahead(6.0, right=-r), *other_side))) for r in (0.5, 1.0, 1.5)]
    assert uniad == [False, True, True]


@pytest.mark.parametrize(("category", "who"), [
    ("pedestrian", {"vad", "vad_rangefiltered", "stp3", "opendrivevla_all", "exact"}),
    ("traffic_cone", {"exact"}),
    ("bicycle", set(PROTOCOLS)),
])  # fmt: skip
def test_whom_one_may_drive_over(category, who):
    cases = scene(ahead(20.0), agent(0, 20, category), drivable_area=[])
    assert {name for name in PROTOCOLS if hits(name, cases)} == who


@pytest.mark.parametrize(("valid", "who"), [
    ("0000011", {"uniad", "opendrivevla_vehicles", "bevplanner", "exact"}),  # appears later
    ("1110111", {"uniad", "stp3", "opendrivevla_vehicles", "bevplanner", "exact"}),  # with a gap
    ("1100000", set()),  # gone when the ego comes
])  # fmt: skip
def test_when_an_agent_counts(valid, who):
    cases = scene(ahead(20.0), agent(0, 20, valid=valid), drivable_area=[])
    assert {name for name in PROTOCOLS if hits(name, cases)} == who


def test_the_range_filter_forgets_who_starts_far_away():
    far = scene(ahead(40.0), agent(0, 40))
    assert hits("vad", far) == [6] and hits("vad_rangefiltered", far) == []
    side = scene(ahead(18.0), agent(15.5, 20) | {"poses_xyyaw_t0_t6": [[15.5, 20, AHEAD]] + [[0, 20, AHEAD]] * 6})
    assert hits("vad", side) == [6] and hits("vad_rangefiltered", side) == []


def test_what_the_driven_path_hits_is_excused_step_by_step_but_not_here():
    """The driven path runs through a car at steps 5 and 6; the plan hits it from step 4 on."""
    cases = scene(ahead(0, 4, 10, 18, 20, 20), agent(0, 20), driven=ahead(0, 4, 8, 12, 17, 18))
    assert hits("uniad", cases) == [4] and hits("vad", cases) == [4] and hits("bevplanner", cases) == [4]
    assert hits("exact", cases) == [4, 5, 6]


def test_the_end_of_a_scene():
    """Two frames are known. UniAD counts the rest as perfect; OpenDriveVLA counts collisions there; the others drop the sample."""
    cases = scene(ahead(0, 0, 0, 20, 20, 20), agent(0, 20), driven=ahead(3, 3, 9, 9, 9, 9), known=2)
    uniad, every, vad = (score(cases, name) for name in ("uniad", "opendrivevla_all", "vad"))
    assert uniad.counted[0] and every.counted[0] and not vad.counted[0]
    assert uniad.l2_m[0].tolist() == every.l2_m[0].tolist() == [3, 3, 0, 0, 0, 0]
    assert not uniad.collides.any()
    assert every.collides[0].tolist() == [False, False, False, True, True, True]
    means = summary(uniad)
    assert means["n"] == 1 and means["L2"]["at"] == {"1s": 3.0, "2s": 0.0, "3s": 0.0, "avg": 1.0}
    assert means["L2"]["cumulative"] == pytest.approx({"1s": 3.0, "2s": 1.5, "3s": 1.0, "avg": 5.5 / 3})
    assert summary(vad) == {
        "n": 0, "L2": {r: dict.fromkeys(("1s", "2s", "3s", "avg")) for r in ("at", "cumulative")},
        "obj_box_col": {r: dict.fromkeys(("1s", "2s", "3s", "avg")) for r in ("at", "cumulative", "any")},
    }  # fmt: skip


def test_readings_of_the_same_steps():
    cases = scene(ahead(0, 20, 0, 0, 0, 0), agent(0, 20))
    read = summary(score(cases, "bevplanner"))["obj_box_col"]
    assert read["at"] == {"1s": 1.0, "2s": 0.0, "3s": 0.0, "avg": pytest.approx(1 / 3)}
    assert read["cumulative"] == pytest.approx({"1s": 0.5, "2s": 0.25, "3s": 1 / 6, "avg": 11 / 36})
    assert read["any"] == {"1s": 1.0, "2s": 1.0, "3s": 1.0, "avg": 1.0}


def test_only_turning_footprints_see_that_the_car_is_turned():
    """Driving to the left, 2 m per step; a parked car 2.5 m ahead of the path is beside the car, not in front of it.

    The turned footprint reaches 0.925 m ahead of the path (forward), the one that keeps its heading 2.542 m.
    """
    left = np.stack([-2.0 * STEPS, np.zeros(6)], axis=-1)
    cases = scene(left, agent(-12.0, 2.5, yaw=0.0), drivable_area=[])
    assert hits("uniad", cases) and hits("vad", cases)
    assert hits("exact", cases) == []


def test_bev_planner_keeps_the_heading_below_a_step_of_one_metre():
    """Sideways to the left; a car that begins 2 m ahead of the path is hit by a footprint that looks forward only."""
    wall = [agent(right, 3.0, yaw=0.0) for right in (-10, -6, -2)]
    for step_m, expected in ((0.9, True), (1.1, False)):
        path = np.stack([-step_m * STEPS, np.zeros(6)], axis=-1)
        assert (6 in hits("bevplanner", scene(path, *wall, driven=ahead(-20.0)))) is expected


# OmniDrive's axle frame: the lidar is 0.986 m ahead of the axle; a path's points count from the axle's own start.
ROAD = [{"exterior": [[-3.0, -49.0], [3.0, -49.0], [3.0, 49.0], [-3.0, 49.0]]}]


def exits(plan: np.ndarray, area: list[dict]) -> list[int]:
    found = score(scene(plan, drivable_area=area), "omnidrive").exits
    assert found is not None
    return [int(step) for step in STEPS[found[0]]]


def test_omnidrive_leaving_the_road():
    """The footprint is 0.925 m wide to each side: the road's edge at 3 m is passed from 2.075 m on."""
    assert exits(ahead(20.0), ROAD) == []
    drift = np.stack([np.array([0.0, 1.0, 1.6, 1.9, 2.4, 2.4]), 4.0 * STEPS], axis=-1)
    assert exits(drift, ROAD) == [5, 6]
    back = np.stack([np.array([0.0, 2.6, 2.6, 0.0, 0.0, 0.0]), 6.0 * STEPS], axis=-1)
    assert exits(back, ROAD) == [2, 3, 4, 5, 6]  # once out is out
    result = score(scene(drift, drivable_area=ROAD), "omnidrive")
    assert summary(result)["intersection"] == {"any": {"1s": 0.0, "2s": 0.0, "3s": 1.0, "avg": pytest.approx(1 / 3)}}


def test_omnidrive_holes_and_starts_outside():
    island = [ROAD[0] | {"holes": [[[-1.0, 10.0], [1.0, 10.0], [1.0, 14.0], [-1.0, 14.0]]]}]
    assert exits(ahead(6.0), island) == []  # the front is at 8.5 m
    assert exits(ahead(12.0), island) == [4, 5, 6]  # at 8 m the front is at 10.5 m
    assert exits(ahead(20.0), []) == []  # nothing is drivable: it starts outside, so it never leaves
    patches = [{"exterior": [[-3, -49], [3, -49], [3, 5], [-3, 5]]}, {"exterior": [[-3, 5], [3, 5], [3, 49], [-3, 49]]}]
    assert exits(ahead(20.0), patches) == []


def test_omnidrive_adds_the_centre_along_the_first_heading():
    """Turned to the left at 5 m, a footprint about the axle would reach 5 + 1.486 + 2.04 = 8.53 m to the left; OmniDrive's 7.04 m."""
    left = np.stack([np.array([-1.0, -2.0, -3.0, -4.0, -4.5, -5.0]), np.zeros(6)], axis=-1)
    for edge, expected in ((-7.3, []), (-6.8, [6])):
        area = [{"exterior": [[edge, -20.0], [9.0, -20.0], [9.0, 20.0], [edge, 20.0]]}]
        assert exits(left, area) == expected


KERBS = [[[-3.0, -60.0], [-3.0, 60.0]], [[3.0, -60.0], [3.0, 60.0]]]


def kerb_hits(plan: np.ndarray, lines: list, **extra) -> list[int]:
    found = score(scene(plan, road_boundaries=lines, **extra), "bevplanner").kerbs
    assert found is not None
    return [int(step) for step in STEPS[found[0]]]


def test_bevplanner_drives_over_the_edge_of_the_road():
    """A line has one cell: who is beyond it is on the road again. The footprint is 0.925 m wide to each side."""
    assert kerb_hits(ahead(20.0), KERBS) == [] and kerb_hits(ahead(20.0), []) == []
    for right, expected in (
        (2.0, []),
        (2.2, [4, 5, 6]),
    ):  # its side is 2.925 m or 3.125 m away; steps below 1 m: no turn
        sideways = np.stack([np.array([0.6, 1.2, 1.8, right, right, right]), np.full(6, 0.1)], axis=-1)
        assert kerb_hits(sideways, KERBS) == expected
    # Turned by 14 degrees its front corner is 3.53 sin + 0.925 cos = 1.75 m to the right, so at 2 m it is beyond the line.
    drift = np.stack([np.array([0.0, 1.0, 2.0, 2.2, 6.0, 6.0]), 4.0 * STEPS], axis=-1)
    assert kerb_hits(drift, KERBS) == [3, 4]  # then it drives on the far side of it
    assert kerb_hits(drift, KERBS, driven=drift) == []  # the driven path does the same: excused
    across = [[[-9.0, 14.0], [9.0, 14.0]]]
    assert kerb_hits(ahead(12.0), across) == [6]  # the front is at 12 + 2.54 m
    result = score(scene(ahead(12.0), road_boundaries=across), "bevplanner")
    assert summary(result)["kerb"] == {"any": {"1s": 0.0, "2s": 0.0, "3s": 1.0, "avg": pytest.approx(1 / 3)}}


def test_kerbs_are_asked_for_by_one_protocol_and_only_where_they_are_known():
    known, unknown = scene(ahead(12.0), road_boundaries=KERBS, drivable_area=ROAD), scene(ahead(12.0))
    assert [name for name in PROTOCOLS if score(known, name).kerbs is not None] == ["bevplanner"]
    assert score(unknown, "bevplanner").kerbs is None and "kerb" not in summary(score(unknown, "bevplanner"))


# ST-P3: agents lie 0.986 m further ahead than the path knows: the car's rear, 18.986 m, is in row 138, so touch at 17.0 m.
@pytest.mark.parametrize(("stop_m", "expected"), [(16.0, False), (16.9, False), (17.0, True)])
def test_stp3_has_the_footprint_a_metre_too_far_back(stop_m, expected):
    for driven in (STILL, ahead(12.0)):  # in the last frame the car is drawn 20 or 8 m ahead, and moved back
        assert hits("stp3", scene(ahead(stop_m), agent(0, 20), driven=driven)) == ([6] if expected else [])
    assert hits("uniad", scene(ahead(stop_m), agent(0, 20))) == [6]


def test_stp3_moves_agents_as_if_the_ego_drove_arcs():
    """After a lane change of 3 m to the left without a turn, a car straight ahead is looked for 6 m to the right."""
    changed = np.stack([-3.0 * STEPS / 6, 2.0 * STEPS], axis=-1)
    for right, found in ((0.0, False), (6.0, True)):
        assert (6 in hits("stp3", scene(ahead(20.0, right=right), agent(0, 20), driven=changed))) is found
    straight = scene(ahead(20.0), agent(0, 20), driven=changed)
    raster = STP3.raster
    assert raster is not None
    unmoved = score(straight, replace(STP3, raster=replace(raster, warped=False)))
    assert unmoved.collides[0, 5]


def test_stp3_is_right_on_arcs():
    """On a left turn of 20 m radius a parked car stays where it is: its rear is 8.5 m ahead, drawn at 9.49 m, touched from 6.9 m on."""
    turned = 2.0 * STEPS / 20.0
    axle = 20.0 * np.stack([np.sin(turned), 1.0 - np.cos(turned)], axis=-1)  # forward, left
    lidar = axle + 0.985793 * np.stack([np.cos(turned) - 1.0, np.sin(turned)], axis=-1)
    driven = np.stack([-lidar[:, 1], lidar[:, 0]], axis=-1)
    for distance, expected in ((4.0, False), (6.0, False), (8.0, True), (9.0, True)):
        cases = scene(ahead(distance), agent(0, 10.5), driven=driven, gt_heading_left_positive=turned.tolist())
        assert (6 in hits("stp3", cases)) is expected


def test_exact_equals_the_protocol_for_predictions():
    """Random scenes: the same collisions and distances as `collision` and `l2` find for Predictions and Truths."""
    rng = np.random.default_rng(3)
    vehicle = VehicleGeometry(4.084, 1.85, 1.5, 2.6, 0.5)  # its reference point is the lidar here
    for _ in range(20):
        plan, driven = np.cumsum(rng.normal([0, 4], 1.0, (2, 6, 2)), axis=1)
        agents = [agent(*rng.uniform([-8, -5], [8, 30]), yaw=rng.uniform(-3, 3)) for _ in range(8)]
        cases = replace(scene(plan, *agents, driven=driven), has_heading=np.array([False]))
        poses = cases.poses[..., [1, 0, 2]] * [1, -1, 1] - [0, 0, np.pi / 2]
        boxes = Agents(ids=np.arange(8), kinds=np.zeros(8), sizes=np.tile([4.0, 2.0, 1.5], (8, 1)), poses=poses,
                       velocities=np.zeros((8, 7, 2)), valid=cases.annotated)  # fmt: skip
        prediction = Prediction("a", Trajectory(path_poses(cases.plans)[0], 0.5))
        truth = Truth(Trajectory(path_poses(cases.driven)[0], 0.5), boxes, vehicle)
        found = score(cases, "exact")
        expected = {part.name: part.values[0] for part in collision([prediction], [truth]) + l2([prediction], [truth])}
        for rows, horizon in ((2, "1s"), (4, "2s"), (6, "3s")):
            assert 100.0 * found.collides[0, :rows].any() == expected[f"collision_{horizon}"]
            assert 100.0 * found.driven_hits[0, :rows].any() == expected[f"collision_truth_{horizon}"]
            assert found.l2_m[0, rows - 1] == pytest.approx(expected[f"l2_at_{horizon}"], abs=1e-5)


def test_a_plan_far_outside_is_tested_against_the_border_cells():
    """Coarse grids clip the footprint to their border; a car there is hit from anywhere beyond."""
    cases = scene(ahead(0, 0, 0, 0, 0, 500.0), agent(0, 49.5))
    assert hits("uniad", cases) == [6] and hits("vad", cases) == [6] and hits("exact", cases) == []


def test_no_agents_and_no_cases():
    assert hits("uniad", scene(ahead(20.0))) == [] and hits("exact", scene(ahead(20.0))) == []
    nothing = score(gathered([]), "vad")
    assert nothing.l2_m.shape == (0, 6) and summary(nothing)["n"] == 0


def test_what_a_protocol_needs_is_named():
    cases = scene(ahead(10.0))
    with pytest.raises(DataError, match="case hand: no drivable_area"):
        score(cases, "omnidrive")
    with pytest.raises(DataError, match="case hand: no gt_heading_left_positive"):
        score(replace(cases, has_heading=np.array([False])), "stp3")
    with pytest.raises(DataError, match="protocol 'UniAD' is unknown; known: uniad, vad, "):
        protocol_named("UniAD")


def test_every_protocol_says_what_it_is():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and protocol.source and protocol.notes
