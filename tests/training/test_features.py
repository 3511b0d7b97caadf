from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from eyesup.training.features import (
    SampleFrames,
    encode_features,
    encoder_fingerprint,
    open_features,
    pixel_hash,
)
from eyesup.types import DataError

H = (1.0, 2.0)


class Film:
    """Samples every second of two films of 5 frames; frame f of film s is the flat colour 10 s + f; nothing after the end."""

    horizons_s = H

    def __init__(self) -> None:
        self.keys = [f"film{s}@{f}" for s in range(2) for f in range(5)]
        self.loads = 0

    def frame_ids(self, row: int) -> tuple[str | None, ...]:
        film, first = divmod(row, 5)
        return tuple(f"{film}/{first + k}" if first + k < 5 else None for k in range(3))

    def frame(self, row: int, slot: int) -> np.ndarray:
        self.loads += 1
        film, first = divmod(row, 5)
        return np.full((2, 4, 4, 3), 10 * film + first + slot, np.uint8)


def encode(images: np.ndarray) -> torch.Tensor:
    """One token per camera, two channels: (mean colour, batch-independent constant)."""
    mean = torch.from_numpy(images.astype(np.float32)).mean(dim=(2, 3, 4))
    return torch.stack([mean, torch.ones_like(mean)], dim=-1)


def test_every_frame_is_encoded_once_and_found_by_key(tmp_path):
    film = Film()
    store = encode_features(film, encode, "a", tmp_path, batch_frames=4)
    assert film.loads == 10 and store.frames == 10 and store.shape == (2, 2)
    now, future, valid = store.lookup("film1@2")
    np.testing.assert_array_equal(now[:, 0], [12, 12])
    np.testing.assert_array_equal(future[:, 0, 0], [13, 14])
    assert now.dtype == np.float16 and valid.tolist() == [True, True]


def test_missing_future_is_zero_and_not_valid(tmp_path):
    store = encode_features(Film(), encode, "a", tmp_path)
    _, future, valid = store.lookup("film0@3")
    assert valid.tolist() == [True, False]
    assert future[1].max() == 0 and future[0, 0, 0] == 4


def test_second_call_reads_the_cache(tmp_path):
    encode_features(Film(), encode, "a", tmp_path)
    store = encode_features(Film(), lambda images: pytest.fail("encoded again"), "a", tmp_path)
    assert store.lookup("film0@0").current[0, 0] == 0


def test_continues_after_a_crash_with_torn_files(tmp_path):
    calls = []

    def crash(images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(images)

    with pytest.raises(KeyboardInterrupt):
        encode_features(Film(), crash, "a", tmp_path, batch_frames=2)
    with open(tmp_path / "tokens.f16", "ab") as file:
        file.write(b"torn")
    with open(tmp_path / "frames.jsonl", "a") as file:
        file.write('{"id": "0/')
    with pytest.raises(DataError, match="no finished feature cache"):
        open_features(tmp_path)
    seen = []
    store = encode_features(Film(), lambda images: seen.append(len(images)) or encode(images), "a", tmp_path)
    assert sum(seen) == 10 - 4
    fresh = encode_features(Film(), encode, "a", tmp_path / "fresh")
    for key in store:
        for left, right in zip(store.lookup(key), fresh.lookup(key)):
            np.testing.assert_array_equal(left, right)


def test_more_samples_reuse_the_frames(tmp_path):
    class Half(Film):
        def __init__(self):
            super().__init__()
            self.keys = self.keys[:5]

    encode_features(Half(), encode, "a", tmp_path)
    film = Film()
    store = encode_features(film, encode, "a", tmp_path)
    assert store.frames == 10 and len(store) == 10
    assert store.lookup("film1@4").current[0, 0] == 14


def test_other_encoder_and_other_images_are_refused(tmp_path):
    encode_features(Film(), encode, "a", tmp_path)
    with pytest.raises(DataError, match=r"stale feature cache .*fingerprint is a, now it is b"):
        encode_features(Film(), encode, "b", tmp_path)

    class Repainted(Film):
        def frame(self, row, slot):
            return super().frame(row, slot) + 1

    with pytest.raises(DataError, match="image of sample film0@0 has changed"):
        encode_features(Repainted(), encode, "a", tmp_path)


def test_tokens_beyond_float16_are_refused(tmp_path):
    with pytest.raises(DataError, match="float16"):
        encode_features(Film(), lambda images: encode(images) * 1e6, "a", tmp_path)


def test_unknown_key_is_named(tmp_path):
    with pytest.raises(DataError, match="no features of sample film9@0"):
        encode_features(Film(), encode, "a", tmp_path).lookup("film9@0")


def test_second_writer_is_refused(tmp_path):
    def nested(images):
        encode_features(Film(), encode, "a", tmp_path)

    with pytest.raises(DataError, match="another process"):
        encode_features(Film(), nested, "a", tmp_path)


def test_fingerprint_follows_weights_and_config():
    layer = nn.Linear(2, 2)
    first = encoder_fingerprint(layer, {"height": 4})
    assert encoder_fingerprint(layer, {"height": 4}) == first != encoder_fingerprint(layer, {"height": 8})
    with torch.no_grad():
        layer.weight[0, 0] += 1e-3
    assert encoder_fingerprint(layer, {"height": 4}) != first


def test_samples_share_frames_by_content(tmp_path, hand_store):
    from eyesup.data.world import WorldSource

    source = WorldSource(hand_store)
    frames = SampleFrames(source, source.keys, (1.0, 2.0))
    ids = [frames.frame_ids(row) for row in range(len(source.keys))]
    assert ids[0][2] == ids[1][0]  # the hand scene's keyframes are 20, 40, 60: 2 s apart
    assert ids[0][0] == pixel_hash(source[0].observation.images[-1])
    sample = source[0]
    cut = replace(sample.truth, future_images_valid=np.array([False, True, True]))
    assert SampleFrames([replace(sample, truth=cut)], ["a"], (1.0,)).frame_ids(0)[1] is None
