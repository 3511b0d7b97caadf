"""Readers of recorded keyframes: the restricted unpickler always, real files where EYESUP_REALDATA names their folder."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyesup.data.dgp import DgpScene
from eyesup.data.mmdet3d import read_infos
from eyesup.data.recorded import rigid
from eyesup.data.restricted_pickle import load_pickle
from eyesup.geometry.projection import in_image, project
from eyesup.types import ZOE, AgentKind, Command, EgoStatus, Maneuver
from eyesup.types.errors import DataError


@pytest.fixture
def realdata() -> Path:
    folder = os.environ.get("EYESUP_REALDATA")
    if not folder:
        pytest.skip("EYESUP_REALDATA is not set; it names the folder of real samples, which cannot be shipped")
    return Path(folder)


class Attack:
    """Runs a command when unpickled by the standard unpickler."""

    def __reduce__(self):
        return os.system, ("echo attacked > attacked.txt",)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "infos.pkl").write_bytes(pickle.dumps({"metainfo": {}, "data_list": [Attack()]}))
    with pytest.raises(DataError, match=r"system is not admitted; only NumPy data and plain containers"):
        read_infos(tmp_path / "infos.pkl")
    assert not (tmp_path / "attacked.txt").exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "builtins.getattr",
        "os.system",
        "numpy.load",
        "numpy.f2py.run_main",
        "codecs.encode",
        "types.CodeType",
    ],
)
def test_no_other_global_is_reached(tmp_path, name):
    module, attribute = name.rsplit(".", 1)
    (tmp_path / "a.pkl").write_bytes(f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(DataError, match="is not admitted"):
        load_pickle(tmp_path / "a.pkl")


def test_a_codec_cannot_be_imported_by_name(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"c_codecs\nencode\n(Va\nVrot\ntR.")
    with pytest.raises(DataError, match="encoding 'rot' is not admitted"):
        load_pickle(tmp_path / "a.pkl")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numpy_data_and_containers_are_read(tmp_path, protocol):
    value = {"a": np.arange(6.0).reshape(2, 3), "b": [np.float64(1.5), np.bool_(True), (1, "x", None)], "c": b"bytes"}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    read = load_pickle(tmp_path / "a.pkl")
    assert np.array_equal(read["a"], value["a"]) and read["b"] == value["b"] and read["c"] == b"bytes"


def test_damaged_and_missing_pickles_are_named(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": 1})[:-3])
    with pytest.raises(DataError, match=r"a\.pkl: refused"):
        load_pickle(tmp_path / "a.pkl")
    with pytest.raises(DataError, match="cannot be read"):
        load_pickle(tmp_path / "b.pkl")


def nuscenes_like(folder: Path) -> Path:
    """An info file of one keyframe: a camera looking forward, a lidar turned by 90 degrees, a car 10 m ahead, and one box of no class."""
    ego_from_lidar = np.array([[0.0, 1, 0, 1.0], [-1, 0, 0, 0], [0, 0, 1, 2.0], [0, 0, 0, 1]])  # lidar y is forward
    ego_from_cam = np.array([[0.0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    box = [0.0, 9.0, -1.25, 4.0, 2.0, 1.5, np.pi / 2]  # heading along lidar y
    rows = [
        {"bbox_label_3d": 0, "bbox_3d": box, "velocity": [0.0, 3.0]},
        {"bbox_label_3d": 1, "bbox_3d": [1.0, 9.0, -1.1, 0.5, 0.5, 1.8, 0.0], "velocity": [np.nan, np.nan]},
        {"bbox_label_3d": -1, "bbox_3d": box, "velocity": [0.0, 0.0]},
    ]
    image = {
        "img_path": "front.jpg", "cam2img": [[30.0, 0, 32], [0, 30.0, 18], [0, 0, 1]],
        "lidar2cam": (np.linalg.inv(ego_from_cam) @ ego_from_lidar).tolist(),
    }  # fmt: skip
    info = {
        "token": "t0", "images": {"CAM_FRONT": image}, "lidar_points": {"lidar2ego": ego_from_lidar.tolist()}, "instances": rows
    }  # fmt: skip
    infos = {"metainfo": {"categories": {"car": 0, "pedestrian": 1}}, "data_list": [info]}
    Image.new("RGB", (64, 36)).save(folder / "front.jpg")
    (folder / "infos.pkl").write_bytes(pickle.dumps(infos))
    return folder / "infos.pkl"


def test_boxes_come_from_the_lidar_frame_into_the_ego_frame(tmp_path):
    (frame,) = read_infos(nuscenes_like(tmp_path))
    assert frame.class_names == ("car", "pedestrian") and frame.agents.kinds.tolist() == [
        AgentKind.CAR,
        AgentKind.PEDESTRIAN,
    ]
    np.testing.assert_allclose(frame.agents.poses[0, 0], [10.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(frame.agents.velocities[0, 0], [3.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(frame.agents.bottom_z[0], 2.0 - 1.25 - 0.75, atol=1e-6)
    assert frame.velocity_known.tolist() == [True, False]
    np.testing.assert_allclose(frame.rig.cameras[0].ego_from_cam[:3, 3], [1.5, 0.0, 1.5], atol=1e-9)


def test_what_is_not_recorded_must_be_stated(tmp_path):
    (frame,) = read_infos(nuscenes_like(tmp_path))
    seen = frame.observation(EgoStatus((7.0, 0.0)), Command(Maneuver.KEEP_FORWARD), ZOE)
    assert seen.ego.speed_mps == 7.0 and not seen.history.valid.any()
    small = frame.resized(32, 18)
    assert small.images.shape == (1, 18, 32, 3) and small.rig.cameras[0].intrinsics[0, 0] == 15.0


def test_a_missing_image_and_a_strange_file_are_named(tmp_path):
    infos = nuscenes_like(tmp_path)
    (tmp_path / "front.jpg").unlink()
    with pytest.raises(DataError, match=r"front\.jpg: image is missing"):
        read_infos(infos)
    infos.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="not an mmdetection3d nuScenes info file"):
        read_infos(infos)


def centres_inside(frame) -> list[int]:
    agents = frame.agents
    z = agents.bottom_z[:, 0] + agents.sizes[:, 2] / 2
    centres = np.column_stack([agents.poses[:, 0, :2], z]).astype(np.float64)
    return [int(in_image(*project(centres, camera), camera).sum()) for camera in frame.rig]


def test_a_real_nuscenes_keyframe(realdata):
    (file,) = (realdata / "nuscenes_mmdet3d_demo").glob("*.pkl")
    (frame,) = read_infos(file)
    assert frame.images.shape == (6, 900, 1600, 3)
    assert len(frame.agents) == 68  # of 69 boxes; one has no class. With it the front camera would show 47 centres.
    assert centres_inside(frame) == [46, 16, 1, 10, 2, 4]
    assert frame.velocity_known.sum() == 66
    assert np.abs(frame.agents.bottom_z).max() < 2.0


@pytest.mark.parametrize(("name", "inside"), [("scene_01", [23, 22, 7]), ("scene_02", [3, 5, 1, 1, 0, 3])])
def test_real_ddad_scenes(realdata, name, inside):
    scene = DgpScene(realdata / "ddad_dgp/_src/tests/data/dgp/test_scene" / name, time_scale=0.1)
    assert len(scene) == 3
    assert centres_inside(scene[-1]) == inside
    assert scene.past_status(0) is None
    assert scene.past_status(2).speed_mps == pytest.approx({"scene_01": 0.0, "scene_02": 12.64}[name], abs=0.01)


def test_a_folder_without_a_scene_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"0 files scene_\*\.json, expected exactly one"):
        DgpScene(tmp_path)


def test_quaternions_turn_counter_clockwise():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(rigid([half, 0, 0, half], [1, 2, 3]) @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)
