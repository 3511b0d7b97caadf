"""NAVSIM's logs and synthetic scenes: what is read, and what a bad file says."""

from __future__ import annotations

import copy
import os
import pickle
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np
import pytest

from eyesup.data.navsim.logs import read_log, read_synthetic
from eyesup.data.restricted_pickle import Inert, load_pickle
from eyesup.types.errors import DataError

LOGS = Path(__file__).parents[1] / "golden" / "minimal_nuplan" / "minimal_navsim" / "navsim_logs" / "mini"
LOG = next(LOGS.glob("*.pkl"))


@pytest.fixture
def changed(tmp_path: Path):
    """Writes the golden log with one frame changed by a function, and returns its path."""

    def write(change) -> Path:
        rows = copy.deepcopy(load_pickle(LOG))
        change(rows[5])
        path = tmp_path / "log.pkl"
        path.write_bytes(pickle.dumps(rows))
        return path

    return write


def test_a_frame_of_the_official_log():
    frames = read_log(LOG)
    assert len(frames) == 16
    now = frames[3]
    assert (now.token, now.time_us, now.location) == ("ed72d43af2638a03", 1704106801500000, "us-ma-boston")
    assert np.allclose(now.pose, [330937.0, 4690994.75, 0.0])
    assert np.allclose(now.velocity, [8.0, 0.0])
    assert now.command == "forward"
    assert now.route[0] == "1176" and now.lights[0] == ("1346", False)
    assert now.tracks is not None
    assert now.tracks.names == ("vehicle", "vehicle", "pedestrian", "traffic_cone")
    # A box 30 m ahead and one 142.5 m ahead, 7 m to the left, coming towards us; all ego headings are 0 here.
    assert np.allclose(now.tracks.poses[:2], [[330967.0, 4690994.75, 0.0], [331079.5, 4691001.75, -np.pi]], atol=1e-5)
    assert np.allclose(now.tracks.velocities[1], [-7.0, 0.0])
    assert np.allclose(now.tracks.sizes[2], [0.6, 0.6, 1.7])
    front = now.cameras["CAM_F0"]
    assert np.allclose(front.ego_from_cam[:3, 3], [1.5 + 1.6, 0.0, 1.8])
    assert np.allclose(front.ego_from_cam[:3, 2], [1.0, 0.0, 0.0])  # looks forward


def test_boxes_turn_with_the_ego(changed):
    def turn(row):
        half = np.pi / 4
        row["ego2global_rotation"] = [np.cos(half), 0.0, 0.0, np.sin(half)]  # facing north

    frame = read_log(changed(turn))[5]
    assert frame.pose[2] == pytest.approx(np.pi / 2)
    ahead = load_pickle(LOG)[5]["anns"]["gt_boxes"][0, 0]
    assert np.allclose(frame.tracks.poses[0], [frame.pose[0], frame.pose[1] + ahead, np.pi / 2])
    assert np.allclose(frame.tracks.velocities[0], [0.0, 8.0], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("ego_dynamic_state"), r"frame 5 \(046f.*\): key 'ego_dynamic_state' is missing"),
        (lambda row: row.update(ego_dynamic_state=[8.0, 0.0, np.nan, 0.0]), r"ego_dynamic_state holds nan at \(2,\)"),
        (lambda row: row.update(ego_dynamic_state=[8.0]), r"ego_dynamic_state has shape \(1,\), expected \(4\)"),
        (
            lambda row: row.update(driving_command=np.array([1, 1, 0, 0])),
            r"driving_command \[1, 1, 0, 0\] is no one-hot",
        ),
        (lambda row: row["anns"].update(gt_names=np.array(["vehicle", "vehicle", "tram", "barrier"])), "class 'tram'"),
        (
            lambda row: row["anns"].update(track_tokens=["a", "a", "b", "c"]),
            r"4 track tokens \(3 different\) for 4 boxes",
        ),
        (lambda row: row["anns"]["gt_boxes"].__setitem__((1, 3), -1.0), r"smallest size -1 m must be positive"),
        (lambda row: row["anns"]["gt_boxes"].__setitem__((1, 0), np.inf), r"gt_boxes holds inf at \(1, 0\)"),
        (lambda row: row.update(traffic_lights=[17]), "not as NAVSIM writes it"),
    ],
)
def test_bad_values_are_named(changed, change, message: str):
    with pytest.raises(DataError, match=message):
        read_log(changed(change))


def test_no_boxes_and_no_annotations(changed):
    def empty(row):
        row["anns"] = {
            "gt_boxes": np.zeros((0, 7)), "gt_names": [], "gt_velocity_3d": np.zeros((0, 3)), "instance_tokens": [],
            "track_tokens": [],
        }  # fmt: skip

    assert read_log(changed(empty))[5].tracks.tokens == ()
    assert read_log(changed(lambda row: row.update(anns=None)))[5].tracks is None


class Malicious:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_a_malicious_log_is_refused_and_nothing_of_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.pkl").write_bytes(pickle.dumps([{"token": Malicious()}]))
    with pytest.raises(DataError, match=r"refused \((posix|nt)\.system is not admitted"):
        read_log(tmp_path / "log.pkl")
    with pytest.raises(DataError, match="is not admitted"):
        read_synthetic(tmp_path / "log.pkl")
    assert not (tmp_path / "pwned").exists()


def test_other_files_are_no_logs(tmp_path: Path):
    (tmp_path / "log.pkl").write_bytes(pickle.dumps({"token": 1}))
    with pytest.raises(DataError, match=r"no NAVSIM log \(a list of dictionaries is expected, found dict\)"):
        read_log(tmp_path / "log.pkl")
    (tmp_path / "log.pkl").write_bytes(LOG.read_bytes()[:1000])
    with pytest.raises(DataError, match="refused"):
        read_log(tmp_path / "log.pkl")
    with pytest.raises(DataError, match="cannot be read"):
        read_log(tmp_path / "none.pkl")


@pytest.fixture
def devkit(monkeypatch: pytest.MonkeyPatch):
    """Classes named like nuPlan's, present while a file is written and gone when it is read."""

    class StateSE2:
        __slots__ = ("_heading", "_x", "_y")

        def __init__(self, x, y, heading):
            self._x, self._y, self._heading = x, y, heading

    class TrackedObjectType:
        def __init__(self, value):
            self.value = value

        def __reduce__(self):
            return TrackedObjectType, (self.value,)

    classes = {"StateSE2": StateSE2, "TrackedObjectType": TrackedObjectType}
    for name in ("StateVector2D", "OrientedBox", "Agent", "TrackedObjects", "DetectionsTracks", "SceneObjectMetadata",
                 "TrafficLightStatusData", "TrafficLightStatuses"):  # fmt: skip
        classes[name] = type(name, (), {"__init__": lambda self, **fields: self.__dict__.update(fields)})
    module = ModuleType("nuplan.stub")
    for name, kind in classes.items():
        kind.__module__, kind.__qualname__ = "nuplan.stub", name
        setattr(module, name, kind)
    monkeypatch.setitem(sys.modules, "nuplan", ModuleType("nuplan"))
    monkeypatch.setitem(sys.modules, "nuplan.stub", module)
    return module


def synthetic_file(path: Path, devkit: ModuleType) -> Path:
    """The golden log's first four frames as a synthetic scene, and two moments after it."""
    frames = []
    for row in load_pickle(LOG)[:4]:
        anns, (x, y, _) = row["anns"], row["ego2global_translation"]
        frames.append({
            "token": row["token"] + "0", "timestamp": row["timestamp"], "roadblock_ids": row["roadblock_ids"],
            "traffic_lights": row["traffic_lights"], "lidar_path": PurePosixPath("a", "b.pcd"),
            "annotations": {
                "boxes": anns["gt_boxes"], "names": anns["gt_names"], "velocity_3d": anns["gt_velocity_3d"],
                "instance_tokens": anns["instance_tokens"], "track_tokens": anns["track_tokens"],
            },
            "ego_status": {
                "ego_pose": np.array([x, y, 0.0]), "ego_velocity": np.array([8.0, 0.0], np.float32),
                "ego_acceleration": np.zeros(2, np.float32), "driving_command": row["driving_command"], "in_global_frame": True,
            },
            "camera_dict": {
                name.lower(): {**row["cams"][name], "data_path": PurePosixPath("x", "y.jpg")} for name in ("CAM_F0", "CAM_L0")
            } | {"cam_b0": {}},
        })  # fmt: skip
    token = load_pickle(LOG)[3]["anns"]["track_tokens"][0]
    later = [
        devkit.DetectionsTracks(_tracked_objects=devkit.TrackedObjects(_tracked_objects=[devkit.Agent(
            _box=devkit.OrientedBox(_center=devkit.StateSE2(330980.0 + 4 * i, 4690994.75, 0.0), _length=4.6, _width=1.9, _height=1.6),
            _velocity=devkit.StateVector2D(_x=8.0, _y=0.0), _tracked_object_type=devkit.TrackedObjectType(0),
            _metadata=devkit.SceneObjectMetadata(track_token=token),
        )]))
        for i in range(2)
    ]  # fmt: skip
    lights = [
        devkit.TrafficLightStatuses(traffic_lights=[
            devkit.TrafficLightStatusData(status=devkit.TrackedObjectType(2), lane_connector_id=1346)
        ])
    ]  # fmt: skip
    facts = {
        "log_name": "log", "scene_token": "s", "map_name": "us-ma-boston", "initial_token": frames[3]["token"],
        "num_history_frames": 4, "num_future_frames": 0, "corresponding_original_scene": "o",
        "corresponding_original_initial_token": "ed72d43af2638a03",
    }  # fmt: skip
    content = {
        "scene_metadata": facts, "frames": frames, "extended_traffic_light_data": lights, "extended_detections_tracks": later,
    }  # fmt: skip
    path.write_bytes(pickle.dumps(content))
    return path


def test_a_synthetic_scene_with_the_devkits_objects(
    tmp_path: Path, devkit: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    path = synthetic_file(tmp_path / "s.pkl", devkit)
    monkeypatch.delitem(sys.modules, "nuplan.stub")
    scene = read_synthetic(path)
    assert (scene.token, scene.history, scene.original_token) == ("ed72d43af2638a030", 4, "ed72d43af2638a03")
    assert [len(frame.cameras) for frame in scene.frames] == [2] * 4
    assert scene.frames[3].cameras["CAM_F0"].path == "x/y.jpg"
    assert scene.frames[3].lidar_path == "a/b.pcd"
    assert [tracks.poses[0].tolist() for tracks in scene.later.tracks] == [
        [330980.0, 4690994.75, 0.0],
        [330984.0, 4690994.75, 0.0],
    ]
    assert scene.later.tracks[0].tokens == scene.frames[3].tracks.tokens[:1]
    assert scene.later.tracks[0].names == ("vehicle",)
    assert scene.later.lights == ((("1346", True),),)


def test_inert_records_run_nothing(tmp_path: Path, devkit: ModuleType):
    path = tmp_path / "one.pkl"
    path.write_bytes(pickle.dumps(devkit.StateSE2(1.0, 2.0, 3.0)))
    with pytest.raises(DataError, match=r"nuplan\.stub\.StateSE2 is not admitted"):
        load_pickle(path)
    record = load_pickle(path, inert=("nuplan.",))
    assert isinstance(record, Inert) and record.name == "nuplan.stub.StateSE2"
    assert record.fields == {"_x": 1.0, "_y": 2.0, "_heading": 3.0}
