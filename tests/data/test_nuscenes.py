"""nuScenes as Samples: definitions, commands, ego features, frames, and nothing from the future in an Observation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup.data.nuscenes.check import check
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.definitions import (
    CORRECTED,
    PUBLISHED,
    command,
    ego_features,
    lidar_future,
    lidar_offsets_past,
    usable,
)
from eyesup.data.nuscenes.schema import split_scenes
from eyesup.data.nuscenes.source import NuScenesSource
from eyesup.data.source import SampleSource
from eyesup.types import CommandSource, DataError, Maneuver

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuscenes"
# The golden ego: 8 m/s and 0.16 rad/s to the left, so 4 m and 0.08 rad per keyframe; the lidar 0.943713 m ahead of the axle.
SPEED, TURN, AHEAD = 8.0, 0.16, 0.943713


@pytest.fixture
def golden() -> NuScenes:
    return NuScenes(GOLDEN, cache=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN, tmp_path / "root")
    return tmp_path / "root"


def change(path: Path, edit: Callable[[list[dict]], None]) -> None:
    rows = json.loads(path.read_text())
    edit(rows)
    path.write_text(json.dumps(rows))


def test_full_val_has_6019_5119_and_4819_usable_keyframes(tmp_path: Path, write_nuscenes: Callable[..., None]):
    counts = {name: 41 if i < 19 else 40 for i, name in enumerate(split_scenes("val"))}
    counts |= dict.fromkeys(split_scenes("train")[:2], 40)
    write_nuscenes(tmp_path, "v1.0-trainval", counts)
    data = NuScenes(tmp_path, cache=False)
    rows = data.keyframes("val")
    assert len(rows) == 6019
    assert [int(usable(data, d)[rows].sum()) for d in ("uniad", "vad", "stp3")] == [6019, 5119, 4819]
    val = next(count for count in check(tmp_path, files=False).splits if count.split == "val")
    assert (val.scenes, val.keyframes, val.uniad, val.vad, val.stp3) == (150, 6019, 6019, 5119, 4819)
    assert val.expected == (150, 6019)
    with pytest.raises(DataError, match=r"no scene of split 'test'; it holds scenes of train, val"):
        data.keyframes("test")


def test_the_future_of_the_lidar_is_a_circle_of_its_own_radius(golden: NuScenes):
    path, known = lidar_future(golden, 0)
    angle = TURN * 0.5 * np.arange(1, 7)
    radius = SPEED / TURN
    forward = radius * np.sin(angle) + AHEAD * np.cos(angle) - AHEAD
    left = radius * (1 - np.cos(angle)) + AHEAD * np.sin(angle)
    assert known.all()
    np.testing.assert_allclose(path, np.column_stack([-left, forward]), atol=0.05)  # the golden ego moves along chords
    late, known = lidar_future(golden, 6)
    assert known.tolist() == [True, True, False, False, False, False]
    assert (late[1:] == late[1]).all()  # padded with the last pose, as VAD does


def test_definitions_near_the_ends_of_a_scene(golden: NuScenes):
    assert usable(golden, "vad").tolist() == [True] * 3 + [False] * 6
    assert usable(golden, "stp3").tolist() == [False, False, True] + [False] * 6


@pytest.mark.parametrize(
    ("lateral_m", "maneuver"),
    [
        (-2.001, Maneuver.TURN_RIGHT), (-1.999, Maneuver.KEEP_FORWARD), (2.001, Maneuver.TURN_LEFT), (1.999, Maneuver.KEEP_FORWARD),
    ],
)  # fmt: skip
def test_the_published_command_turns_from_2_metres_on(
    tmp_path: Path, write_nuscenes: Callable[..., None], lateral_m: float, maneuver: Maneuver
):
    write_nuscenes(tmp_path, "v1.0-mini", {"scene-0103": 8})

    def shift(rows: list[dict]) -> None:
        rows[6]["translation"][1] = lateral_m  # y of the map is left of the ego here

    change(tmp_path / "v1.0-mini" / "ego_pose.json", shift)
    data = NuScenes(tmp_path, cache=False)
    for rule in ("uniad", "vad"):
        told = command(data, 0, rule)
        assert (told.maneuver, told.source) == (maneuver, CommandSource.FUTURE) and told.privileged
    assert command(data, 7).maneuver is Maneuver.KEEP_FORWARD  # the last keyframe has no future


def test_commands_that_do_not_know_the_future(copy: Path):
    data = NuScenes(copy, cache=False)
    assert command(data, 0, "forward").source is CommandSource.ROUTE
    assert command(data, 0, "route").maneuver is Maneuver.KEEP_FORWARD  # no route recorded
    x, y, heading = data.ego_poses[0, 0, 3], data.ego_poses[0, 1, 3], 0.3
    ahead = np.array([np.cos(heading), np.sin(heading)])
    start = np.array([x, y])
    for side, maneuver in ((-1.0, Maneuver.TURN_RIGHT), (1.0, Maneuver.TURN_LEFT), (0.0, Maneuver.KEEP_FORWARD)):
        corner = start + 15.0 * ahead
        beyond = corner + 40.0 * (side * np.array([-ahead[1], ahead[0]]) if side else ahead)
        points = [(start - 20 * ahead).tolist(), corner.tolist(), beyond.tolist()]
        (copy / "can_bus" / "scene-0061_route.json").write_text(json.dumps(points))
        told = command(NuScenes(copy, cache=False), 0, "route")
        assert told.maneuver is maneuver and not told.privileged
    far = [[p[0] + 100.0, p[1]] for p in points]
    (copy / "can_bus" / "scene-0061_route.json").write_text(json.dumps(far))
    assert command(NuScenes(copy, cache=False), 0, "route").maneuver is Maneuver.KEEP_FORWARD


def test_ego_features_as_published_and_as_they_should_be(golden: NuScenes):
    published, ours = ego_features(golden, 4, PUBLISHED), ego_features(golden, 4, CORRECTED)
    # The misread quaternion has no yaw: all speed points ahead and nothing turns.
    np.testing.assert_allclose(published[:2], [0.0, SPEED], atol=0.02)
    assert abs(published[4]) < 1e-9
    # Ours: displacement over the last half second in the lidar frame now, which has turned by half a step since.
    np.testing.assert_allclose(ours[:2], [SPEED * np.sin(0.04), SPEED * np.cos(0.04)], atol=0.02)
    assert ours[4] == pytest.approx(TURN)
    # CAN acceleration is (0, 1.28) in the ego frame: to the left. The lidar frame has x to the right.
    np.testing.assert_allclose(published[2:4], [0.0, 1.28])
    np.testing.assert_allclose(ours[2:4], [-1.28, 0.0])
    assert published[5:7].tolist() == ours[5:7].tolist() == [4.084, 1.85]
    assert published[7] == ours[7] == pytest.approx(8.0)
    assert ours[8] == pytest.approx(-2 * 0.05 / 2.588)  # flipped: the golden scene is in Singapore


def test_each_published_slip_can_be_switched_off_alone(golden: NuScenes, copy: Path):
    honest = ego_features(golden, 4, CORRECTED)
    turned = ego_features(golden, 4, replace(CORRECTED, quaternion_order=True))
    assert (turned[[0, 1, 4]] != honest[[0, 1, 4]]).any() and (turned[[2, 3, 7, 8]] == honest[[2, 3, 7, 8]]).all()
    assert ego_features(golden, 0, CORRECTED)[:2].tolist() == [0.0, 0.0]  # no past yet
    assert ego_features(golden, 0, replace(CORRECTED, next_as_past=True))[1] == pytest.approx(SPEED, abs=0.02)

    def later(rows: list[dict]) -> None:
        time = int(golden.times_us[4])
        after = min((row for row in rows if row["utime"] > time), key=lambda row: row["utime"])
        after |= {"accel": [9.0, 9.0, 9.8], "vel": [1.0, 0.0, 0.0]}
        for row in rows:  # the nearest message is now the one after the sample
            if row["utime"] <= time:
                row["utime"] -= 30_000

    change(copy / "can_bus" / "scene-0061_pose.json", later)
    peeked = NuScenes(copy, cache=False)
    assert ego_features(peeked, 4, replace(CORRECTED, next_message=True))[2:4].tolist() == [-9.0, 9.0]
    assert ego_features(peeked, 4, replace(CORRECTED, nearest_message=True))[7] == 1.0
    assert ego_features(peeked, 4, CORRECTED)[[2, 3, 7]].tolist() == honest[[2, 3, 7]].tolist()
    shutil.rmtree(copy / "can_bus")
    silent = NuScenes(copy, cache=False)
    leaked = ego_features(silent, 4, replace(CORRECTED, leaking_speed=True))[7]
    expected = np.hypot(*(lidar_offsets_past(silent, 4)[-1] + lidar_future(silent, 4)[0][0]))
    assert leaked == pytest.approx(expected) and leaked == pytest.approx(8.0, abs=0.1)  # 8 m: two steps, called m/s
    assert ego_features(silent, 4, CORRECTED)[7] == pytest.approx(8.0, abs=0.02)


def test_a_sample_is_in_the_ego_frame_and_stamped(golden: NuScenes):
    source = NuScenesSource(golden, images="none")
    assert isinstance(source, SampleSource) and len(source) == 9
    sample = source[4]
    observation, truth = sample.observation, sample.truth
    assert sample.key == f"scene-0061@{golden.tokens[4]}" and truth is not None
    assert observation.rig.names[:3] == ("front_left", "front", "front_right")
    assert observation.privileged and observation.command.source is CommandSource.FUTURE
    assert observation.ego.velocity_mps == (8.0, 0.0) and observation.ego.yaw_rate_rps == pytest.approx(TURN)
    assert observation.ego.steering_rad == pytest.approx(np.arctan(2.588 * TURN / SPEED))
    np.testing.assert_allclose(observation.history.poses[0], [-4.0, 0.16, -0.08], atol=0.01)
    np.testing.assert_allclose(truth.future.poses[0], [4.0, 0.16, 0.08], atol=0.01)
    assert truth.future.valid.tolist() == [True] * 4 + [False] * 2
    assert truth.tags["vad"] is False and truth.tags["status"] == "can_bus"
    walker = truth.agents.poses[1, :, :2]
    assert (
        np.ptp(walker[truth.agents.valid[1]], axis=0).max() < 1e-9
    )  # stands still, and so it does in a frame that does not move
    assert not NuScenesSource(golden, images="none", command_rule="forward")[4].observation.privileged
    assert len(NuScenesSource(golden, definition="vad", images="none")) == 3


def test_without_can_messages_the_status_comes_from_past_poses(copy: Path):
    shutil.rmtree(copy / "can_bus")
    source = NuScenesSource(NuScenes(copy, cache=False), images="none")
    status, origin = source.observation(4)[0].ego, source.observation(4)[1]
    assert origin == "poses" and status.velocity_mps == pytest.approx((SPEED, -SPEED * 0.04), abs=0.02)
    assert status.yaw_rate_rps == pytest.approx(TURN)
    first, origin = source.observation(0)
    assert origin == "none" and first.ego.speed_mps == 0.0 and not first.history.valid.any()


def test_nothing_after_t0_reaches_an_observation(copy: Path):
    before = NuScenesSource(NuScenes(copy, cache=False), images="none", command_rule="route")
    seen = before.observation(3)[0]
    time = int(before.dataset.times_us[3])
    later_poses = {row for row in range(len(before.dataset)) if row > 3}

    def move(rows: list[dict]) -> None:
        for row in rows:
            if row["timestamp"] > time:
                row["translation"] = [row["translation"][0] + 50.0, 0.0, 0.0]

    change(copy / "v1.0-mini" / "ego_pose.json", move)

    def jolt(rows: list[dict]) -> None:
        for row in rows:
            if row["utime"] > time:
                row |= {"vel": [0.0, 0.0, 0.0], "accel": [5.0, 5.0, 5.0], "rotation_rate": [0.0, 0.0, 1.0]}

    change(copy / "can_bus" / "scene-0061_pose.json", jolt)
    after = NuScenesSource(NuScenes(copy, cache=False), images="none", command_rule="route")
    assert later_poses and (after.dataset.ego_poses[4] != before.dataset.ego_poses[4]).any()
    again = after.observation(3)[0]
    assert again.ego == seen.ego and again.command == seen.command
    assert again.history.poses.tobytes() == seen.history.poses.tobytes()
    for ours, theirs in zip(again.rig, seen.rig):
        assert ours.ego_from_cam.tobytes() == theirs.ego_from_cam.tobytes()


def test_a_scene_is_a_log_at_2_hz(golden: NuScenes):
    scene = NuScenesSource(golden, images="none").scene("scene-0061")
    assert len(scene) == 9 and scene.dt_s == 0.5 and scene.keyframes.tolist() == [0, 1, 2]
    np.testing.assert_allclose(scene.ego_poses[0], [0.0, 0.0, 0.3], atol=1e-9)
    assert scene.agents.valid.all() and scene.ego_velocities[:, 0] == pytest.approx(8.0)
    with pytest.raises(DataError, match=r"no scene 'scene-0001'; it holds 1 scenes"):
        golden.keyframes_of("scene-0001")


def test_missing_and_scaled_images_are_named(golden: NuScenes, copy: Path):
    from PIL import Image

    with pytest.raises(DataError, match=r"CAM_FRONT_LEFT/0000\.jpg: image is missing"):
        NuScenesSource(golden)[0]
    for channel in ("CAM_FRONT_LEFT", "CAM_FRONT"):
        (copy / "samples" / channel).mkdir(parents=True)
        Image.new("RGB", (160, 90)).save(copy / "samples" / channel / "0000.jpg")
    with pytest.raises(DataError, match=r"160x90 px, the table says 1600x900"):
        NuScenesSource(NuScenes(copy, cache=False), cameras=("front",))[0]


def test_a_broken_can_message_file_is_named(copy: Path):
    path = copy / "can_bus" / "scene-0061_pose.json"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"scene-0061_pose\.json: truncated or damaged"):
        NuScenesSource(NuScenes(copy, cache=False), images="none")[0]
