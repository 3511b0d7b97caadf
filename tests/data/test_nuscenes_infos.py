"""Info pickles of VAD, UniAD and GPT-Driver, written small in their layouts from the golden tables, and read back."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyesup.data.nuscenes.cases import agents_in_lidar_frame
from eyesup.data.nuscenes.dataset import NuScenes, inverse
from eyesup.data.nuscenes.definitions import PUBLISHED, command, ego_features, lidar_future, lidar_path
from eyesup.data.nuscenes.infos import ORDER, InfoFile
from eyesup.data.nuscenes.schema import CAMERAS
from eyesup.data.nuscenes.source import NuScenesSource
from eyesup.types import CommandSource, DataError

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuscenes"


@pytest.fixture(scope="module")
def data() -> NuScenes:
    return NuScenes(GOLDEN, cache=False)


def boxes_of(data: NuScenes, keyframe: int, legacy: bool) -> tuple[np.ndarray, np.ndarray]:
    """Names and gt_boxes, in the order (w, l, h, -yaw - pi/2) of old mmdetection3d or (l, w, h, yaw) of the new one."""
    boxes, frame = data.boxes(keyframe), inverse(data.ego_poses[keyframe] @ data.ego_from_lidar[keyframe])
    centres = boxes.centres @ frame[:3, :3].T + frame[:3, 3]
    ahead = (frame[:3, :3] @ boxes.rotations)[:, :2, 0]
    yaw = np.arctan2(ahead[:, 1], ahead[:, 0])[:, None]
    sizes = boxes.sizes[:, [1, 0, 2]] if legacy else boxes.sizes
    names = np.array(
        [{"vehicle.car": "car", "human.pedestrian.adult": "pedestrian"}[name] for name in boxes.categories]
    )
    return names, np.concatenate([centres, sizes, -yaw - np.pi / 2 if legacy else yaw], axis=1)


def info_of(data: NuScenes, keyframe: int, legacy: bool = True) -> dict[str, Any]:
    """What VAD's and UniAD's files have in common."""
    tokens, tables = ("", *data.tokens, ""), data.tables
    lidar = data.ego_from_lidar[keyframe]
    cams = {}
    for channel in CAMERAS:
        row = data.data_row(keyframe, channel)
        camera = (
            inverse(data.ego_poses[keyframe] @ lidar)
            @ data.global_from_ego(np.array([row]))[0]
            @ data.ego_from_sensor(np.array([row]))[0]
        )
        cams[channel] = {
            "data_path": f"./data/nuscenes/samples/{channel}/x.jpg", "cam_intrinsic": data.intrinsics(row),
            "sensor2lidar_rotation": camera[:3, :3], "sensor2lidar_translation": camera[:3, 3],
        }  # fmt: skip
    pose = tables["ego_pose"].row(
        int(tables["sample_data"].links("ego_pose_token")[data.data_row(keyframe, "LIDAR_TOP")])
    )
    mount = tables["calibrated_sensor"].row(
        int(tables["sample_data"].links("calibrated_sensor_token")[data.data_row(keyframe, "LIDAR_TOP")])
    )
    names, boxes = boxes_of(data, keyframe, legacy)
    can = np.zeros(18)
    can[7:16] = [0.0, 1.28, 9.8, 0.0, 0.0, 0.16, 8.0, 0.0, 0.0]
    return {
        "token": data.tokens[keyframe], "prev": tokens[keyframe], "next": tokens[keyframe + 2], "scene_token": "s", "can_bus": can,
        "cams": cams, "lidar2ego_rotation": mount["rotation"], "lidar2ego_translation": mount["translation"],
        "ego2global_rotation": pose["rotation"], "ego2global_translation": pose["translation"], "gt_names": names, "gt_boxes": boxes,
        "timestamp": int(data.times_us[keyframe]),
    }  # fmt: skip


def one_hot(data: NuScenes, keyframe: int) -> np.ndarray:
    return np.array([float(command(data, keyframe).maneuver is maneuver) for maneuver in ORDER], np.float32)


def vad_file(data: NuScenes, path: Path) -> Path:
    infos = []
    for keyframe in range(len(data)):
        future, known = lidar_future(data, keyframe)
        infos.append(info_of(data, keyframe) | {
            "gt_ego_fut_trajs": np.diff(future, axis=0, prepend=np.zeros((1, 2))).astype(np.float32),
            "gt_ego_fut_masks": known.astype(np.float32), "gt_ego_fut_cmd": one_hot(data, keyframe),
            "gt_ego_his_trajs": np.zeros((2, 2), np.float32),
            "gt_ego_lcf_feat": ego_features(data, keyframe, PUBLISHED).astype(np.float32),
        })  # fmt: skip
    path.write_bytes(pickle.dumps({"infos": infos, "metadata": {"version": "v1.0-mini"}}))
    return path


def uniad_file(data: NuScenes, path: Path, legacy: bool) -> Path:
    path.write_bytes(pickle.dumps({"infos": [info_of(data, k, legacy) for k in range(len(data))], "metadata": {}}))
    return path


def gpt_driver_file(data: NuScenes, path: Path) -> Path:
    rows = {}
    for keyframe, token in enumerate(data.tokens):
        names, boxes = boxes_of(data, keyframe, legacy=True)
        rows[token] = {
            "gt_ego_fut_trajs": lidar_path(data, keyframe, 0, 6)[0], "gt_ego_fut_diff": np.zeros((6, 2)),
            "gt_ego_his_diff": np.zeros((4, 2)),
            "gt_ego_his_trajs": lidar_path(data, keyframe, -4, 0)[0], "gt_ego_lcf_feat": ego_features(data, keyframe, PUBLISHED),
            "gt_ego_fut_cmd": one_hot(data, keyframe), "gt_boxes": boxes, "gt_names": names,
        }  # fmt: skip
    path.write_bytes(pickle.dumps(rows, protocol=2))
    return path


@pytest.fixture(params=["vad", "uniad", "uniad v2", "gpt_driver"])
def cache(request: pytest.FixtureRequest, data: NuScenes, tmp_path: Path) -> InfoFile:
    path = tmp_path / "infos.pkl"
    if request.param == "vad":
        vad_file(data, path)
    elif request.param == "gpt_driver":
        gpt_driver_file(data, path)
    else:
        uniad_file(data, path, legacy=request.param == "uniad")
    opened = InfoFile(path)
    assert opened.layout == request.param.split()[0]
    return opened


def test_a_cache_says_what_the_tables_say(cache: InfoFile, data: NuScenes):
    assert cache.tokens == data.tokens
    for keyframe, sample in enumerate(cache):
        future, known = lidar_future(data, keyframe)
        if cache.layout != "gpt_driver":  # it has no masks: the end is padded
            assert sample.future_valid.tolist() == known.tolist()
        np.testing.assert_allclose(sample.future[known], future[known], atol=1e-4)
        assert (
            sample.command.maneuver is command(data, keyframe).maneuver
            and sample.command.source is CommandSource.FUTURE
        )
        if cache.layout != "uniad":
            assert sample.ego_features is not None
            np.testing.assert_allclose(sample.ego_features, ego_features(data, keyframe, PUBLISHED), atol=1e-5)
        agents = agents_in_lidar_frame(data, keyframe)
        now = agents.annotated[:, 0]
        np.testing.assert_allclose(sample.boxes[:, 3:5], agents.sizes[now], atol=1e-9)
        np.testing.assert_allclose(sample.boxes[:, :2], agents.poses[now, 0, :2], atol=1e-9)
        np.testing.assert_allclose(np.exp(1j * sample.boxes[:, 6]), np.exp(1j * agents.poses[now, 0, 2]), atol=1e-9)


def test_samples_of_vad_and_uniad_equal_those_of_the_tables(cache: InfoFile, data: NuScenes):
    if cache.layout == "gpt_driver":
        with pytest.raises(DataError, match="has no cameras"):
            cache.sample(data.tokens[4])
        return
    ours = NuScenesSource(data, images="none")[4]
    theirs = cache.sample(data.tokens[4], with_images=False)
    assert ours.truth is not None and theirs.truth is not None
    np.testing.assert_allclose(theirs.observation.history.poses, ours.observation.history.poses, atol=1e-6)
    np.testing.assert_allclose(theirs.truth.future.poses, ours.truth.future.poses, atol=1e-6)
    np.testing.assert_allclose(theirs.truth.agents.poses[:, 0, :2], ours.truth.agents.poses[:, 0, :2], atol=1e-6)
    for a, b in zip(theirs.observation.rig, ours.observation.rig):
        assert a.name == b.name
        np.testing.assert_allclose(a.ego_from_cam, b.ego_from_cam, atol=1e-9)
    assert theirs.observation.ego.velocity_mps == ours.observation.ego.velocity_mps and theirs.observation.privileged


def test_a_missing_image_is_named(data: NuScenes, tmp_path: Path):
    opened = InfoFile(vad_file(data, tmp_path / "infos.pkl"))
    with pytest.raises(DataError, match=r"samples/CAM_FRONT_LEFT/x\.jpg: image is missing"):
        opened.sample(data.tokens[0])


class Attack:
    def __reduce__(self):
        return os.system, ("echo attacked > attacked.txt",)


def test_code_other_layouts_and_damage_are_refused(data: NuScenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "infos.pkl"
    path.write_bytes(pickle.dumps({"infos": [Attack()]}))
    with pytest.raises(DataError, match="system is not admitted"):
        InfoFile(path)
    assert not (tmp_path / "attacked.txt").exists()
    for content, message in (
        ({"infos": [{"token": "a"}]}, "infos lack cams"),
        ({"infos": [info_of(data, 0), info_of(data, 0)]}, "1 samples are there twice"),
        ({"a": {"b": 1}}, "no known layout"),
        ([1, 2], "no known layout"),
    ):
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match=message):
            InfoFile(path)
    path.write_bytes(pickle.dumps({"infos": [info_of(data, 0) | {"gt_ego_fut_trajs": np.zeros((4, 2))}]}))
    with pytest.raises(DataError, match=r"is not as its layout \(vad\) says"):
        InfoFile(path)[data.tokens[0]]
    with pytest.raises(DataError, match="no sample 'abc'; it holds 1"):
        InfoFile(path)["abc"]
