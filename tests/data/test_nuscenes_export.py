"""The world written as nuScenes: read back it is the same log; the official devkit opens it where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eyesup.cli.main import main
from eyesup.data.nuscenes.check import check
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.export import export, quaternion, scene_names, version_of
from eyesup.data.nuscenes.maps import EXPANSION, MapWriter, arcline_points, read_map
from eyesup.data.nuscenes.source import NuScenesSource
from eyesup.types import DataError, RoadMap
from eyesup.world.rigs import ego_from_cam
from eyesup.world.store import SceneStore


@pytest.fixture(scope="module")
def written(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both logs of the tiny store, the six cameras rendered at 64 x 36."""
    root = tmp_path_factory.mktemp("nuscenes") / "rendered"
    export(SceneStore(tiny_store), root, "mini_val", "rendered", None, (64, 36))
    return root


@pytest.fixture(scope="module")
def stored(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store's own three cameras where it has images."""
    root = tmp_path_factory.mktemp("nuscenes") / "stored"
    export(SceneStore(tiny_store), root, "own", "stored", 1)
    return root


def test_what_is_read_back_is_the_log(tiny_store: Path, written: Path):
    store, source = SceneStore(tiny_store), NuScenesSource(NuScenes(written, cache=False), images="none", with_map=True)
    for key, name in zip(store.keys, ("scene-0103", "scene-0916")):
        log, scene = store.scene(key), source.scene(name)
        steps = np.arange(0, len(log), 5)
        assert len(scene) == len(steps)
        moved = log.ego_poses[steps] - [*log.ego_poses[0, :2], 0.0]
        np.testing.assert_allclose(scene.ego_poses[:, :2], moved[:, :2], atol=1e-6)
        np.testing.assert_allclose(np.exp(1j * scene.ego_poses[:, 2]), np.exp(1j * moved[:, 2]), atol=1e-6)
        np.testing.assert_allclose(scene.ego_velocities, log.ego_velocities[steps], atol=1e-6)
        np.testing.assert_allclose(scene.ego_yaw_rates, log.ego_yaw_rates[steps], atol=1e-6)
        assert scene.agents.valid.sum() <= log.agents.valid[:, steps].sum() and len(scene.agents) > 0
        for t, step in enumerate(steps):
            ours = scene.agents.poses[scene.agents.valid[:, t], t, :2]
            theirs = log.agents.poses[log.agents.valid[:, step], step, :2] - log.ego_poses[0, :2]
            assert all(np.linalg.norm(theirs - xy, axis=1).min() < 1e-6 for xy in ours)


def test_samples_of_it_feed_a_planner(written: Path):
    source = NuScenesSource(NuScenes(written, cache=False), "mini_val", "stp3", "route", with_map=True)
    sample = source[0]
    assert sample.observation.images.shape == (1, 6, 36, 64, 3) and sample.observation.images.std() > 5
    assert not sample.observation.privileged and sample.truth is not None and sample.truth.future.valid.all()
    road_map = sample.truth.road_map
    assert road_map is not None and road_map.lanes and road_map.drivable
    nearest = min(np.linalg.norm(lane.centerline, axis=1).min() for lane in road_map.lanes)
    assert nearest < 3.0  # the ego drives on a lane


def test_boxes_and_points_agree(written: Path):
    data = NuScenes(written, cache=False)
    checked = 0
    for keyframe in (0, 7, len(data) - 1):
        points = np.fromfile(data.file(keyframe, "LIDAR_TOP"), np.float32).reshape(-1, 5)[:, :3].astype(float)
        lidar = data.ego_poses[keyframe] @ data.ego_from_lidar[keyframe]
        world = points @ lidar[:3, :3].T + lidar[:3, 3]
        boxes = data.boxes(keyframe)
        for centre, rotation, size, count in zip(boxes.centres, boxes.rotations, boxes.sizes, boxes.lidar_points):
            local = (world - centre) @ rotation
            inside = int((np.abs(local) <= size / 2 + 1e-3).all(axis=1).sum())
            assert inside >= count
            checked += int(count > 0)
    assert checked > 0


def test_the_check_finds_it_whole(written: Path, stored: Path):
    report = check(written)
    assert report.faults == [] and report.notes == [] and report.files[0] == report.files[1] > 0
    count = next(count for count in report.splits if count.split == "mini_val")
    assert (count.scenes, count.uniad, count.vad, count.stp3) == (2, 38, 26, 22) and count.expected is None
    own = check(stored)
    assert own.faults == [] and own.version == "v1.0-own" and own.splits[0].split == "all"


def test_a_stored_front3_store_keeps_its_cameras(stored: Path, tiny_store: Path):
    data, store = NuScenes(stored, cache=False), SceneStore(tiny_store)
    sample = NuScenesSource(data)[0]
    assert sample.observation.rig.names == ("front_left", "front", "front_right")
    rig = store.rig_of(store.keys[0]).select(sample.observation.rig.names)
    for ours, theirs in zip(sample.observation.rig, rig):
        np.testing.assert_allclose(ours.ego_from_cam, theirs.ego_from_cam, atol=1e-9)
        np.testing.assert_allclose(ours.intrinsics, theirs.intrinsics)


def test_the_same_store_gives_the_same_bytes(tiny_store: Path, stored: Path, tmp_path: Path):
    export(SceneStore(tiny_store), tmp_path / "again", "own", "stored", 1)
    files = sorted(path.relative_to(stored) for path in stored.rglob("*") if path.is_file())
    assert files and all((tmp_path / "again" / f).read_bytes() == (stored / f).read_bytes() for f in files)


def test_a_map_survives_the_format(tiny_store: Path, tmp_path: Path):
    store = SceneStore(tiny_store)
    road_map = store.scene(store.keys[0]).road_map
    writer = MapWriter(lambda name: name)
    offset = np.array([1000.0, 2000.0])
    writer.add("a", road_map, offset)
    (tmp_path / "m.json").write_text(writer.text())
    again = read_map(tmp_path / "m.json")
    assert len(again.lanes) == len(road_map.lanes) and len(again.drivable) == len(road_map.drivable)
    by_id = {lane.id: lane for lane in again.lanes}
    for lane in road_map.lanes:
        read = by_id[f"a/lane/{lane.id}"]
        np.testing.assert_allclose(read.centerline[[0, -1]], lane.centerline[[0, -1]] + offset, atol=1e-3)
        assert read.is_junction == lane.is_junction
        assert {f"a/lane/{s}" for s in lane.successors if f"a/lane/{s}" in by_id} == set(read.successors)
        if not lane.is_junction and len(lane.centerline) == 2:
            assert read.width_m == pytest.approx(lane.width_m, rel=0.02)
    np.testing.assert_allclose(again.drivable[0], road_map.drivable[0] + offset)
    writer.add("b", RoadMap(), offset)
    assert json.loads(writer.text())["version"] == "1.3"


def test_arcs_turn_as_they_say():
    arc = {"start_pose": [0.0, 0.0, 0.0], "shape": "LSR", "radius": 10.0, "segment_length": [5 * np.pi, 7.0, 5 * np.pi]}
    points = arcline_points(arc, 0.5)
    # A quarter to the left ends at (10, 10) northwards, then 7 m, then a quarter to the right.
    np.testing.assert_allclose(points[-1], [20.0, 27.0], atol=1e-9)
    assert np.abs(np.hypot(points[1:31, 0], points[1:31, 1] - 10.0) - 10.0).max() < 1e-9


def test_a_damaged_map_is_named(written: Path, tmp_path: Path):
    text = (written / EXPANSION / "boston-seaport.json").read_text()
    path = tmp_path / "m.json"
    for broken, message in (
        (text[:-50], "truncated or damaged"),
        ('{"version": "1.3"}', "polygon, line, node.* missing"),
        (text.replace('"polygon_tokens": ["', '"polygon_tokens": ["x'), "names something that is not there"),
    ):
        path.write_text(broken)
        with pytest.raises(DataError, match=message):
            read_map(path)


def test_names_and_versions():
    assert version_of("val") == version_of("train") == "v1.0-trainval" and version_of("mini_val") == "v1.0-mini"
    assert version_of("town") == "v1.0-town" and scene_names("town", 2) == ("scene-2001", "scene-2002")
    assert "scene-0161" not in scene_names("train", 600)  # has no CAN bus, the devkit refuses it
    with pytest.raises(DataError, match=r"split mini_val has names for 2 logs, 3 asked for"):
        scene_names("mini_val", 3)


def test_quaternions_of_cameras():
    from eyesup.data.recorded import rotations

    for yaw in np.linspace(-np.pi, np.pi, 9):
        rotation = ego_from_cam(float(yaw), (0.0, 0.0, 0.0))[:3, :3]
        np.testing.assert_allclose(rotations(np.array([quaternion(rotation)]))[0], rotation, atol=1e-12)


def test_writing_over_a_data_set_is_refused(written: Path, tiny_store: Path):
    with pytest.raises(DataError, match="exists already; delete it"):
        export(SceneStore(tiny_store), written, "mini_val")


def test_the_command_line_writes_it(tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = str(tmp_path / "out")
    options = ["--format", "nuscenes", "--name", "own", "--images", "stored", "--logs", "1"]
    assert main(["world", "export", str(tiny_store), "--out", out, *options]) == 0
    assert main(["data", "check", out]) == 0
    printed = capsys.readouterr().out
    assert "eyesup data check" in printed and "all well" in printed


DEVKIT = """
import sys
import numpy as np
from nuscenes import NuScenes
from nuscenes.can_bus.can_bus_api import NuScenesCanBus
from nuscenes.map_expansion.map_api import NuScenesMap
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box
from nuscenes.utils.splits import create_splits_scenes

root = sys.argv[1]
nusc = NuScenes("v1.0-mini", root, verbose=False)
assert [s["name"] for s in nusc.scene] == create_splits_scenes()["mini_val"]
seen = 0
for sample in nusc.sample:
    path, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
    points = LidarPointCloud.from_file(path).points[:3]
    for box in boxes:
        count = nusc.get("sample_annotation", box.token)["num_lidar_pts"]
        assert points_in_box(box, points).sum() >= count
        seen += count > 0
        nusc.box_velocity(box.token)
assert seen > 20 and len(sample["data"]) == 7
road = NuScenesMap(root, "boston-seaport")
pose = nusc.get("ego_pose", nusc.get("sample_data", sample["data"]["LIDAR_TOP"])["ego_pose_token"])["translation"]
assert road.layers_on_point(*pose[:2])["drivable_area"]
lane = road.get_closest_lane(*pose[:2])
assert len(road.discretize_lanes([lane], 1.0)[lane]) > 1
assert road.get_map_mask((*pose[:2], 60, 60), 0, ["drivable_area"], (60, 60)).mean() > 0.02
can = NuScenesCanBus(root)
route, poses = can.get_pose_and_route("scene-0103")
assert len(can.get_messages("scene-0103", "pose")) == len(poses) > 100
print("opened")
"""


def test_the_official_devkit_opens_it(written: Path):
    """With nuscenes-devkit beside us, or in an environment of its own (it pins numpy<2): $EYESUP_DEVKIT_PYTHON names its python."""
    python = os.environ.get("EYESUP_DEVKIT_PYTHON")
    if python is None and importlib.util.find_spec("nuscenes") is None:
        pytest.skip(
            "nuscenes-devkit is not installed; EYESUP_DEVKIT_PYTHON may name the python of an environment that has it"
        )
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [python or sys.executable, "-c", DEVKIT, str(written)], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "opened", done.stderr
