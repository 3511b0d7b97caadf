"""The scene store: lossless, atomic, quick, and clear about damage."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from eyesup.types.errors import DataError
from eyesup.world import store as store_module
from eyesup.world.store import (
    SceneStore,
    encode_jpeg,
    read_receipt,
    rig_from_json,
    rig_to_json,
    scene_files,
    write_atomic,
    write_manifest,
    write_scene,
)


def assert_same(a, b, where=""):
    """Bit equality through dataclasses, tuples, mappings and arrays."""
    assert type(a) is type(b), where
    if is_dataclass(a):
        for f in fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes(), where
    elif isinstance(a, tuple | list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


def test_a_scene_survives_storage_bit_for_bit(hand_store, hand_scene):
    assert_same(SceneStore(hand_store).scene("train-0001-hand"), hand_scene("train-0001-hand", seed=0))


def test_masked_values_of_agents_survive(tmp_path, hand_scene, hand_rig, write_hand_scene):
    scene = hand_scene()
    poses = scene.agents.poses.copy()
    poses[1, :30] = np.nan  # rows that `valid` masks may hold anything
    scene = replace(scene, agents=replace(scene.agents, poses=poses))
    write_hand_scene(tmp_path, scene, hand_rig)
    write_manifest(tmp_path, [scene_files(tmp_path, scene.key)], {"rig": json.loads(rig_to_json(hand_rig))})
    assert_same(SceneStore(tmp_path).scene(scene.key).agents.poses, poses)


def test_calibration_survives_exactly(hand_rig):
    assert_same(rig_from_json(rig_to_json(hand_rig)), hand_rig)


def test_images_come_back_within_jpeg_precision_and_labels_exactly(hand_store):
    store = SceneStore(hand_store)
    images = store.images("train-0001-hand", 40)
    assert images.shape == (2, 32, 48, 3)
    assert np.abs(images[1].astype(int) - [40, 40, 200]).max() <= 2
    assert (store.labels("train-0001-hand", 40) == 40 % 20).all()
    assert store.has_labels("train-0001-hand", 40) and not store.has_labels("train-0001-hand", 50)


def test_a_small_red_lamp_stays_red():
    image = np.full((144, 256, 3), 70, np.uint8)
    image[76:78, 112:115] = (255, 30, 20)
    lamp = store_module.decode_image(encode_jpeg(image), "RGB", "lamp")[76:78, 112:115].reshape(-1, 3).mean(0)
    assert np.abs(lamp - [255, 30, 20]).max() < 12


def test_keys_separate_logs_from_twins(hand_store):
    store = SceneStore(hand_store)
    assert store.keys == ("train-0001-hand", "train-0002-hand")
    assert store.twin_keys == ("train-0001-hand~removed@40",)
    assert store.keyframes("train-0001-hand") == (20, 40, 60)
    assert store.steps("train-0001-hand") == (20, 30, 40, 50, 60, 70, 80, 90)


def test_same_scene_same_bytes(tmp_path, hand_scene, hand_rig, write_hand_scene):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_hand_scene(tmp_path / name, hand_scene(), hand_rig)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_store_can_be_pickled_after_use(hand_store):
    store = SceneStore(hand_store)
    before = store.images("train-0001-hand", 20)
    assert_same(pickle.loads(pickle.dumps(store)).images("train-0001-hand", 20), before)


def test_verify_finds_one_flipped_byte_and_a_missing_file(hand_store):
    store = SceneStore(hand_store)
    assert store.verify() == []
    frames = hand_store / "train-0001-hand.frames.arrow"
    data = bytearray(frames.read_bytes())
    data[len(data) // 2] ^= 1
    frames.write_bytes(data)
    (hand_store / "train-0002-hand.scene.arrow").unlink()
    problems = store.verify()
    assert len(problems) == 2
    assert "train-0001-hand.frames.arrow differs" in problems[0] and "generate" in problems[0]
    assert "train-0002-hand.scene.arrow is missing" in problems[1]


@pytest.mark.parametrize("kind", ["scene", "frames"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_file_names_itself_and_the_remedy(hand_store, kind, share):
    path = hand_store / f"train-0001-hand.{kind}.arrow"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    store = SceneStore(hand_store)
    with pytest.raises(DataError, match=rf"train-0001-hand\.{kind}\.arrow.*delete it and run `eyesup world generate`"):
        store.scene("train-0001-hand") if kind == "scene" else store.images("train-0001-hand", 20)


def test_every_single_damaged_byte_raises_only_data_errors(hand_store):
    """Damage anywhere in the frames either goes unseen (a pixel changes) or becomes a DataError, never another error."""
    path = hand_store / "train-0001-hand.frames.arrow"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.unlink()  # a new file: the old one may still be mapped
        path.write_bytes(damaged)
        try:
            SceneStore(hand_store).images("train-0001-hand", 20)
        except DataError as error:
            assert "train-0001-hand.frames.arrow" in str(error)


def test_missing_images_and_scenes_name_what_there_is(hand_store):
    store = SceneStore(hand_store)
    with pytest.raises(DataError, match=r"no images at step 21; stored steps are \[20, 30"):
        store.images("train-0001-hand", 21)
    with pytest.raises(DataError, match="no labels at step 30"):
        store.labels("train-0001-hand", 30)
    with pytest.raises(DataError, match="no scene 'nobody'"):
        store.scene("nobody")


def test_an_unfinished_store_says_so(hand_store, tmp_path):
    (hand_store / "manifest.json").unlink()
    with pytest.raises(DataError, match="generation did not finish"):
        SceneStore(hand_store)
    with pytest.raises(DataError, match="no scene store here"):
        SceneStore(tmp_path / "nowhere")


def test_a_receipt_needs_both_files_whole(hand_store):
    key = "train-0001-hand"
    assert read_receipt(hand_store, key)["fingerprint"] == "f1"
    assert read_receipt(hand_store, "train-0009-hand") is None
    frames = hand_store / f"{key}.frames.arrow"
    frames.write_bytes(frames.read_bytes()[:-1])
    assert read_receipt(hand_store, key) is None


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(
        store_module.os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and path.read_bytes() == b"old"


def test_images_of_the_wrong_size_are_refused(tmp_path, hand_scene, hand_rig):
    scene = hand_scene()
    wrong = {20: np.zeros((2, 32, 40, 3), np.uint8)}
    with pytest.raises(DataError, match=r"step 20 are \(2, 32, 40, 3\)"):
        write_scene(tmp_path, scene, hand_rig, wrong, {}, store_module.Annotations.empty(3, 3))
