"""Logs of Argoverse 2 as Scenes: a log written by hand, whose every number is known."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely
from pyarrow import feather

from eyesup.data.argoverse.lanes import DrivenLanes
from eyesup.data.argoverse.motion import past_motion
from eyesup.data.argoverse.scene import read_scene
from eyesup.data.argoverse.schema import CATEGORIES, FUSION, MARKS
from eyesup.data.argoverse.store import ReplayConfig, write_store
from eyesup.data.world import WorldSource, observe
from eyesup.types import AgentKind, CommandSource, DataError, Lane, Maneuver, Observation, Paint, RoadMap, Scene
from eyesup.world.check import check_store
from eyesup.world.render import Renderer
from eyesup.world.rigs import front3
from eyesup.world.route import make_route

RIG = front3(64, 36)


@pytest.fixture(scope="module")
def log(write_argoverse_log, tmp_path_factory) -> Path:
    """The hand-written log. Read only."""
    return write_argoverse_log(tmp_path_factory.mktemp("argoverse") / "log-a")


@pytest.fixture(scope="module")
def scene(log) -> Scene:
    return read_scene(log)


@pytest.fixture
def copied(log, tmp_path) -> Path:
    """A copy of the log to damage."""
    return Path(shutil.copytree(log, tmp_path / "log-a"))


def table(path: Path) -> dict[str, np.ndarray]:
    read = feather.read_table(path)
    return {name: read.column(name).to_numpy().copy() for name in read.column_names}


def test_the_ego_drives_where_the_log_says(scene):
    assert len(scene) == 80 and scene.dt_s == 0.1 and scene.vehicle == FUSION
    wanted = np.column_stack([np.zeros(80), 0.5 * np.arange(80), np.full(80, np.pi / 2)])
    np.testing.assert_allclose(scene.ego_poses, wanted, atol=1e-6)
    np.testing.assert_allclose(scene.ego_velocities[1:], np.tile([5.0, 0.0], (79, 1)), atol=1e-5)
    np.testing.assert_allclose(scene.ego_accelerations[1:], 0.0, atol=1e-3)
    np.testing.assert_allclose(scene.ego_yaw_rates, 0.0, atol=1e-6)
    assert scene.keyframes.tolist() == [20, 25]  # 2 s before, 5 s after
    assert scene.tags["town"] == "PIT" and scene.key == "argoverse2-log-a"


def test_boxes_stand_where_they_were_seen_from_the_ego(scene):
    """The car keeps 20 m ahead along the city's y; the pedestrian stands 6 m right of the road; ego and sign are no agents."""
    car, walker = range(2)
    agents = scene.agents
    assert agents.kinds.tolist() == [AgentKind.CAR, AgentKind.PEDESTRIAN]
    np.testing.assert_allclose(agents.poses[car, 30], [0.0, 35.0, np.pi / 2], atol=1e-6)
    np.testing.assert_allclose(agents.poses[walker, 30], [6.0, 30.0, np.pi / 2], atol=1e-6)
    np.testing.assert_allclose(agents.velocities[car], np.tile([0.0, 5.0], (80, 1)), atol=1e-4)
    np.testing.assert_allclose(agents.velocities[walker], 0.0, atol=1e-4)
    np.testing.assert_allclose(agents.sizes[car], [4.6, 1.9, 1.6], rtol=1e-6)
    assert agents.valid[car].all() and not agents.valid[walker, :10].any() and agents.valid[walker, 10:].all()
    assert (agents.bottom_z == 0).all()


def test_the_map(scene):
    lanes = {lane.id: lane for lane in scene.road_map.lanes}
    assert set(lanes) == {"1", "2", "3", "4"} | {"5"}  # the bicycle lane is none to drive in
    first = lanes["1"]
    np.testing.assert_allclose(first.centerline[[0, -1]], [[0.0, -30.0], [0.0, 15.0]], atol=1e-9)
    assert first.width_m == pytest.approx(3.5) and first.successors == ("2", "3")  # 99 is not in the map
    assert (first.left, first.right) == (None, None)  # the one comes towards us, the other is for bicycles
    assert [name for name, lane in lanes.items() if lane.is_junction] == ["2", "3"]
    paints = Counter(line.paint for line in scene.road_map.lines)
    shared_once = {Paint.SOLID_YELLOW: 2, Paint.DASHED_WHITE: 1, Paint.SOLID_WHITE: 1, Paint.KERB: 1}
    assert paints == shared_once
    (crossing,), (road,) = scene.road_map.crosswalks, scene.road_map.drivable
    assert shapely.Polygon(crossing).area == pytest.approx(30.0) and shapely.Polygon(road).area == pytest.approx(4250.0)
    assert shapely.Polygon(road).exterior.is_ccw


def test_the_route_and_its_lanes(scene):
    assert scene.route_lane_ids == ("1", "2", "4")
    assert set(scene.maneuvers) == {Maneuver.KEEP_FORWARD}  # at the fork the straighter way is taken, and then driven


def test_motion_on_a_circle_looks_back_only():
    """Radius 20 m at 4 m/s, braking with 1 m/s^2: the fit finds velocity, accelerations, yaw rate and the steering of a bicycle."""
    times = np.arange(0.0, 2.0, 0.01)
    arc = 4.0 * times - 0.5 * times**2
    poses = np.column_stack([20.0 * np.sin(arc / 20.0), 20.0 * (1.0 - np.cos(arc / 20.0)), arc / 20.0])
    motion = past_motion(times, poses, np.array([100]), wheel_base_m=2.85)
    assert motion.velocities[0] == pytest.approx([3.0, 0.0], abs=0.01)
    assert motion.accelerations[0] == pytest.approx([-1.0, 3.0**2 / 20.0], abs=0.1)  # a parabola's is the window's mean
    assert motion.yaw_rates[0] == pytest.approx(3.0 / 20.0, abs=0.001)
    assert motion.steerings[0] == pytest.approx(np.arctan(2.85 / 20.0), abs=0.002)
    other = poses.copy()
    other[101:] += 7.0
    again = past_motion(times, other, np.array([100]), wheel_base_m=2.85)
    assert all(np.array_equal(getattr(motion, f.name), getattr(again, f.name)) for f in fields(motion))


def test_motion_with_hardly_any_past_is_finite():
    times, poses = np.arange(20) / 100, np.column_stack([np.arange(20) / 20, np.zeros(20), np.zeros(20)])
    motion = past_motion(times, poses, np.array([0, 5]), wheel_base_m=2.85)
    np.testing.assert_allclose(motion.velocities, [[0.0, 0.0], [5.0, 0.0]], atol=1e-9)
    np.testing.assert_allclose(motion.accelerations, 0.0, atol=1e-9)


# Commands ------------------------------------------------------------------------------------------------------------


def fork() -> RoadMap:
    """A straight lane of 60 m along +x, then one on and one that turns left around (60, 10)."""
    angles = np.linspace(-np.pi / 2, 0.0, 12)
    bend = np.column_stack([60.0 + 10.0 * np.cos(angles), 10.0 + 10.0 * np.sin(angles)])
    straight = np.column_stack([np.linspace(0.0, 60.0, 61), np.zeros(61)])
    return RoadMap(
        lanes=(
            Lane("in", straight, 3.5, 13.4, ("on", "left")),
            Lane("on", straight[:21] + [60.0, 0.0], 3.5, 13.4, is_junction=True),
            Lane("left", bend, 3.5, 13.4, ("out",), is_junction=True),
            Lane("out", np.column_stack([np.full(31, 70.0), np.linspace(10.0, 40.0, 31)]), 3.5, 13.4),
        )
    )


def left_turn() -> np.ndarray:
    """Poses every metre: 60 m straight on, round the bend, 10 m on."""
    angles = np.arange(0.0, np.pi / 2, 0.1)
    straight = np.column_stack([np.arange(60.0), np.zeros(60), np.zeros(60)])
    bend = np.column_stack([60.0 + 10.0 * np.sin(angles), 10.0 - 10.0 * np.cos(angles), angles])
    after = np.column_stack([np.full(10, 70.0), np.arange(10.0, 20.0), np.full(10, np.pi / 2)])
    return np.concatenate([straight, bend, after])


def test_ahead_learns_of_a_turn_at_a_fork_in_the_turn_and_driven_before_it():
    lanes, poses = DrivenLanes(fork(), left_turn()), left_turn()
    ahead, driven = lanes.maneuvers("ahead"), lanes.maneuvers("driven")
    assert driven[:24] == (Maneuver.KEEP_FORWARD,) * 24
    assert set(driven[26:70]) == {Maneuver.TURN_LEFT}  # 35 m before the bend begins, to its end
    assert set(ahead[:60]) == {Maneuver.KEEP_FORWARD}
    assert set(ahead[63:76]) == {Maneuver.TURN_LEFT} and poses[63, 2] < np.pi / 8
    assert lanes.at(len(poses) - 1) == ("in", "left", "out")


def test_ahead_knows_a_lane_that_only_turns():
    whole = fork()
    only_left = RoadMap(lanes=(Lane("in", whole.lanes[0].centerline, 3.5, 13.4, ("left",)), *whole.lanes[2:]))
    maneuvers = DrivenLanes(only_left, left_turn()).maneuvers("ahead")
    assert set(maneuvers[:24]) == {Maneuver.KEEP_FORWARD} and set(maneuvers[26:70]) == {Maneuver.TURN_LEFT}


def test_ahead_does_not_know_where_the_car_goes_later():
    poses = left_turn()
    other = poses.copy()
    other[63:] = np.column_stack(
        [np.arange(63.0, 63.0 + len(poses) - 63), np.zeros(len(poses) - 63), np.zeros(len(poses) - 63)]
    )
    one, two = DrivenLanes(fork(), poses), DrivenLanes(fork(), other)
    assert one.maneuvers("ahead")[:63] == two.maneuvers("ahead")[:63]
    assert one.maneuvers("driven")[40] != two.maneuvers("driven")[40]


def test_a_lane_change_is_driven_in_the_new_lane_from_the_start():
    """Two roads of two lanes in a row; the change happens on the second: the route is the left lane of both, linked as in the map."""
    xs = np.arange(0.0, 61.0)

    def lane(name: str, start: float, y: float, **links) -> Lane:
        return Lane(name, np.column_stack([start + xs, np.full(61, y)]), 3.5, 13.4, **links)

    lanes = (
        lane("r1", 0.0, 0.0, successors=("r2",), left="l1"), lane("l1", 0.0, 3.5, successors=("l2",), right="r1"),
        lane("r2", 60.0, 0.0, left="l2"), lane("l2", 60.0, 3.5, right="r2"),
    )  # fmt: skip
    along = np.arange(0.0, 120.0)
    driven = DrivenLanes(
        RoadMap(lanes=lanes), np.column_stack([along, np.interp(along, [80, 100], [0.0, 3.5]), 0 * along])
    )
    assert driven.at(30) == ("r1",) and driven.at(75) == ("r1", "r2") and driven.at(119) == ("l1", "l2")
    assert make_route(RoadMap(lanes=lanes), driven.route(119).lane_ids).length_m == pytest.approx(120.0, abs=1.0)


def test_a_map_without_lanes_is_named():
    with pytest.raises(DataError, match="no driving lanes"):
        DrivenLanes(RoadMap(), np.zeros((3, 3)))


# Nothing of the future -----------------------------------------------------------------------------------------------


def with_another_future(folder: Path, step: int) -> None:
    """Poses and boxes after a step replaced by noise, in the files; every other box after it is gone."""
    rng = np.random.default_rng(step)
    poses, boxes = table(folder / "city_SE3_egovehicle.feather"), table(folder / "annotations.feather")
    now = np.unique(boxes["timestamp_ns"])[step]
    for read in (poses, boxes):
        late = read["timestamp_ns"] > now
        for name in ("tx_m", "ty_m", "qw", "qz"):
            read[name][late] += rng.normal(size=late.sum()) * (6.0 if name.startswith("t") else 0.4)
    kept = (boxes["timestamp_ns"] <= now) | (np.arange(len(boxes["timestamp_ns"])) % 2 == 0)
    feather.write_feather(pa.table(poses), folder / "city_SE3_egovehicle.feather")
    feather.write_feather(
        pa.table({name: values[kept] for name, values in boxes.items()}), folder / "annotations.feather"
    )


def seen(scene: Scene, step: int) -> tuple[Observation, bytes]:
    """The Observation at a step, as drawn and read, and the Scene's later ego poses."""
    with Renderer(RIG) as renderer:
        renderer.load(scene)
        images = renderer.images(step)
    return observe(scene, step, RIG, images, "a"), scene.ego_poses[step + 1 :].tobytes()


@pytest.mark.parametrize("step", [20, 25])
def test_another_future_leaves_the_observation_bit_identical(flat, log, copied, step):
    with_another_future(copied, step)
    one, two = seen(read_scene(log), step), seen(read_scene(copied), step)
    assert one[1] != two[1]  # the rewriting reached the poses
    assert flat(one[0]) == flat(two[0])


def test_another_past_does_not(flat, log, copied):
    with_another_future(copied, 18)
    assert flat(seen(read_scene(log), 20)[0]) != flat(seen(read_scene(copied), 20)[0])


def test_commands_read_off_the_driven_path_are_stamped(log):
    for rule, source in (("ahead", CommandSource.ROUTE), ("driven", CommandSource.FUTURE)):
        observation = observe(read_scene(log, rule), 20, RIG, np.zeros((3, 36, 64, 3), np.uint8), "a")
        assert observation.command.source is source and observation.privileged is (rule == "driven")


# The store -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(log, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("replay") / "store"
    report = write_store(ReplayConfig((log,), out, width_px=64, height_px=36))
    assert (report.logs, report.keyframes, dict(report.failed)) == (1, 2, {})
    return out


def test_a_store_of_logs_is_an_ordinary_one(store, scene):
    source = WorldSource(store)
    assert source.keys == ("argoverse2-log-a@20", "argoverse2-log-a@25")
    sample = source[0]
    assert sample.truth is not None and sample.truth.semantics is not None
    np.testing.assert_allclose(sample.truth.future.poses[29], [15.0, 0.0, 0.0], atol=1e-4)  # 3 s at 5 m/s
    np.testing.assert_allclose(sample.truth.agents.poses[0, 0], [20.0, 0.0, 0.0], atol=1e-4)
    assert sample.truth.visible_px[0, 1] > 0 and sample.truth.visible_share[0] == pytest.approx(1.0)
    assert sample.truth.qa == () and sample.truth.tags["scenario"] == "recorded"
    assert not check_store(store, pictures=True).faults
    assert np.array_equal(source.store.scene("argoverse2-log-a").ego_poses, scene.ego_poses)


def test_what_is_stored_is_not_made_again_and_a_changed_log_is(store, log, copied, tmp_path):
    out = Path(shutil.copytree(store, tmp_path / "store"))
    file = out / "argoverse2-log-a.frames.arrow"
    before = file.stat().st_mtime_ns
    write_store(ReplayConfig((log,), out, width_px=64, height_px=36))
    assert file.stat().st_mtime_ns == before
    with_another_future(copied, 60)
    write_store(ReplayConfig((copied,), out, width_px=64, height_px=36))
    assert file.stat().st_mtime_ns != before


def test_a_damaged_store_names_the_command_that_makes_it_again(store, log, tmp_path):
    out = Path(shutil.copytree(store, tmp_path / "store"))
    (out / "argoverse2-log-a.frames.arrow").write_bytes(b"")
    report = check_store(out)
    assert report.faults and report.remedy == f"eyesup world replay {log} --out {store} --width-px 64 --height-px 36"


def test_a_folder_with_other_scenes_is_refused(store, write_argoverse_log, tmp_path):
    other = write_argoverse_log(tmp_path / "log-b")
    with pytest.raises(DataError, match="holds argoverse2-log-a, which is not among the logs; choose another folder"):
        write_store(ReplayConfig((other,), store, width_px=64, height_px=36))


# What can be wrong ---------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def rewritten(name: str, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    """A damage: one of the tables after `change`."""

    def damage(folder: Path) -> None:
        feather.write_feather(pa.table(change(table(folder / name))), folder / name)

    return damage


def map_edited(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """A damage: the map after `change`."""

    def damage(folder: Path) -> None:
        (path,) = folder.glob("map/*.json")
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


POSES, BOXES = "city_SE3_egovehicle.feather", "annotations.feather"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no poses": (lambda f: (f / POSES).unlink(), r"city_SE3_egovehicle\.feather is missing; a log of the sensor dataset holds"),
    "no boxes": (lambda f: (f / BOXES).unlink(), r"annotations\.feather is missing; .*test split have no annotations"),
    "no map": (lambda f: shutil.rmtree(f / "map"), r"0 files map/log_map_archive_\*\.json, expected exactly one"),
    "poses cut short": (lambda f: cut(f / POSES), r"city_SE3_egovehicle\.feather: damaged or cut short .*; copy it again"),
    "empty file": (lambda f: (f / BOXES).write_bytes(b""), r"annotations\.feather: damaged or cut short"),
    "map cut short": (lambda f: cut(next(f.glob("map/*.json"))), r"\.json: truncated or damaged .*; copy the log's map/ again"),
    "no column": (
        rewritten(BOXES, lambda t: {k: v for k, v in t.items() if k != "category"}), r"no column category; it has timestamp_ns"
    ),
    "not a number": (rewritten(POSES, lambda t: t | {"tx_m": t["tx_m"] * np.nan}), "column tx_m has values that are missing or not"),
    "no rows": (rewritten(BOXES, lambda t: {k: v[:0] for k, v in t.items()}), r"annotations\.feather: no rows"),
    "no rotation": (rewritten(POSES, lambda t: t | {"qw": 0 * t["qw"], "qz": 0 * t["qz"]}), "a rotation quaternion is zero"),
    "another log's poses": (
        rewritten(POSES, lambda t: t | {"timestamp_ns": t["timestamp_ns"] + 3}), "no ego pose at 80 of 80 sweeps, first at 10{18} ns"
    ),
    "a lost sweep": (
        rewritten(BOXES, lambda t: {k: v[t["timestamp_ns"] != 10**18 + 3 * 10**9] for k, v in t.items()}),
        r"sweep 30 comes \+100 ms off the 10 Hz grid, more than 20 ms: a sweep is missing",
    ),
    "unknown class": (
        rewritten(BOXES, lambda t: t | {"category": np.where(t["category"] == "SIGN", "TRAM", t["category"])}),
        "category 'TRAM' is not one of the 32",
    ),
    "too short": (
        rewritten(BOXES, lambda t: {k: v[t["timestamp_ns"] < 10**18 + 5 * 10**9] for k, v in t.items()}), "50 sweeps are too few"
    ),
    "unknown mark": (
        map_edited(lambda m: m["lane_segments"]["1"].update(left_lane_mark_type="ZIGZAG")), "lane segment 1: lane mark 'ZIGZAG' is unknown"
    ),
    "a lane of one point": (
        map_edited(lambda m: m["lane_segments"]["2"].update(left_lane_boundary=[{"x": 0.0, "y": 0.0}])),
        "lane segment 2: a boundary of 1 points",
    ),
    "another layout": (map_edited(lambda m: m.pop("drivable_areas")), "drivable_areas missing; this is no Argoverse 2 log map"),
    "a lane without boundaries": (map_edited(lambda m: m["lane_segments"]["1"].pop("left_lane_boundary")), "not laid out as an"),
}  # fmt: skip


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_what_is_wrong_is_named(copied, damage):
    break_it, words = DAMAGES[damage]
    break_it(copied)
    with pytest.raises(DataError, match=words):
        read_scene(copied)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder; a log of the sensor dataset holds"):
        read_scene(tmp_path / "nowhere")


def test_the_tables_are_whole():
    """The 30 classes of the sensor dataset, the ego's own, and the README's spelling of one; the 15 lane marks."""
    assert len(CATEGORIES) == 32 and len(MARKS) == 15
    assert {name for name, kind in CATEGORIES.items() if kind is None} == {
        "BICYCLIST", "EGO_VEHICLE", "MOTORCYCLIST", "SIGN", "STOP_SIGN"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("logs", "options", "words"),
    [((), {}, "no log folder is given"), (("a/x", "b/x"), {}, "log x is given twice"),
     (("x",), {"width_px": 63}, "image size 63x144 px: both must be even")],
)  # fmt: skip
def test_settings_that_cannot_be(tmp_path, logs, options, words):
    with pytest.raises(DataError, match=words):
        ReplayConfig(tuple(tmp_path / name for name in logs), tmp_path, **options)
