from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from eyesup.training.stream import MicroBatches, Shuffled, dropout_seed, noise_rng
from eyesup.types import DataError


def collate(items, rngs):
    return [(item, float(rng.random())) for item, rng in zip(items, rngs)]


def test_every_epoch_shows_each_row_once_in_a_new_order():
    order = Shuffled(7, seed=3)
    epochs = [[order.row(p) for p in range(7 * e, 7 * e + 7)] for e in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [Shuffled(7, seed=3).row(p) for p in range(14, 21)] == epochs[2]
    assert [Shuffled(7, seed=4).row(p) for p in range(7)] != epochs[0]


def test_processes_and_micro_batches_only_split_the_stream():
    source, order = list(range(10)), Shuffled(10, seed=0)
    whole = [pair for step in range(5) for pair in MicroBatches(source, collate, order, 4)[step]]
    split = [
        pair
        for step in range(5)
        for process in range(2)
        for pair in MicroBatches(source, collate, order, 2, process, 2)[step]
    ]
    assert whole == split
    assert set(Counter(item for item, _ in whole).values()) == {2}


def test_iteration_may_start_anywhere():
    batches = MicroBatches(list(range(5)), collate, Shuffled(5, seed=0), 2)
    assert list(batches.iterate(3, 6, workers=0)) == [batches[3], batches[4], batches[5]]


def test_noise_differs_between_positions_and_seeds():
    draws = {float(noise_rng(seed, position).random()) for seed in range(3) for position in range(5)}
    assert len(draws) == 15
    assert len({dropout_seed(0, step, process) for step in range(4) for process in range(2)}) == 8


def test_empty_source_is_refused():
    with pytest.raises(DataError, match="empty"):
        Shuffled(0, 0)


def test_arrays_are_sources(tmp_path):
    batches = MicroBatches(np.arange(6).reshape(3, 2), lambda items, rngs: np.stack(items), Shuffled(3, 0), 3)
    assert sorted(batches[0][:, 0].tolist()) == [0, 2, 4]
