"""Which samples a step sees, and with what noise: pure functions of (seed, position in the stream).

A run consumes one endless stream of positions 0, 1, 2, ...; position p is row p mod n of epoch p div n, shuffled by
(seed, epoch). Noise of position p derives from (seed, p). So a step needs no state to be repeated, and neither the number
of processes, of loader workers, nor the micro-batch size changes what is learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from eyesup.types import DataError

_ORDER, _NOISE, _DROPOUT = 0, 1, 2  # purposes: keep their random streams apart


Collate = Callable[[Sequence[Any], Sequence[np.random.Generator]], Any]
"""Items of the source to the batch that the model takes: (items, one generator per item) -> batch.

Randomness of a batch that should not depend on how it is split (augmentation, masks) is drawn from the generators. What a
model draws from torch's global generator (dropout, diffusion noise) is repeatable too: the loop seeds it at each step.
"""


@runtime_checkable
class Rows(Protocol):
    """Anything with a length and items by row."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Any: ...


class Shuffled:
    """Row of the source at each position of the stream."""

    def __init__(self, rows: int, seed: int) -> None:
        if rows < 1:
            raise DataError("training: the source is empty; check the folder and the split")
        self.rows, self.seed = rows, seed
        self._orders: dict[int, np.ndarray] = {}

    def row(self, position: int) -> int:
        epoch, offset = divmod(position, self.rows)
        if epoch not in self._orders:
            if len(self._orders) > 1:
                self._orders.clear()
            self._orders[epoch] = np.random.default_rng([self.seed, _ORDER, epoch]).permutation(self.rows)
        return int(self._orders[epoch][offset])


def noise_rng(seed: int, position: int) -> np.random.Generator:
    """Generator of the noise of one position."""
    return np.random.default_rng([seed, _NOISE, position])


def dropout_seed(seed: int, micro_step: int, process: int) -> int:
    """Seed of torch's global generator for one forward pass."""
    return int(np.random.SeedSequence([seed, _DROPOUT, micro_step, process]).generate_state(1, np.uint32)[0])


@dataclass(frozen=True)
class MicroBatches(Dataset):
    """Micro-batch m of this process, m counted from the start of the run.

    Attributes:
        source: Items by row.
        collate: Items to batch.
        order: Position to row.
        size: Items per micro-batch and process.
        process, processes: Rank and world size.
    """

    source: Rows
    collate: Collate
    order: Shuffled
    size: int
    process: int = 0
    processes: int = 1

    def __getitem__(self, micro_step: int) -> Any:
        first = (micro_step * self.processes + self.process) * self.size
        positions = range(first, first + self.size)
        items = [self.source[self.order.row(p)] for p in positions]
        return self.collate(items, [noise_rng(self.order.seed, p) for p in positions])

    def iterate(self, start: int, stop: int, workers: int) -> Iterator[Any]:
        """Micro-batches start .. stop - 1 in order, prepared ahead by `workers` processes when there are any."""
        if workers == 0:
            return (self[micro_step] for micro_step in range(start, stop))
        pin = torch.cuda.is_available()
        return iter(DataLoader(self, batch_size=None, sampler=range(start, stop), num_workers=workers, pin_memory=pin))
