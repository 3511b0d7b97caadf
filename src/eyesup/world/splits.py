"""Which towns belong to which split: train, val and test never share a town, and a seed always finds the same one."""

from __future__ import annotations

from functools import lru_cache

from eyesup.types import DataError
from eyesup.world.roads import Town, build_town

# Literal, so that no change of a generator moves a town from one split to another.
TOWNS: dict[str, tuple[tuple[str, int], ...]] = {
    "train": (
        ("random", 100), ("grid", 101), ("random", 102), ("grid", 103),
        ("random", 104), ("grid", 105), ("random", 106), ("grid", 107),
    ),
    "val": (("random", 200), ("grid", 201), ("random", 202), ("grid", 203)),
    "test": (("random", 300), ("grid", 301), ("random", 302), ("grid", 303)),
}  # fmt: skip
BEND_SEEDS: dict[str, range] = {"train": range(1000, 1040), "val": range(2000, 2012), "test": range(3000, 3016)}
BENDS = ("bend_left", "bend_right")
SPLITS = tuple(TOWNS)


def town_of(split: str, seed: int) -> Town:
    """The town of a log; consecutive seeds go round the split's list.

    Raises:
        DataError: unknown split.
    """
    towns = TOWNS[_checked(split)]
    return load_town(*towns[seed % len(towns)])


def bend_of(split: str, seed: int) -> Town:
    """The bending road of a log."""
    seeds = BEND_SEEDS[_checked(split)]
    return load_town(BENDS[seed % len(BENDS)], seeds[(seed // len(BENDS)) % len(seeds)])


def split_index(split: str) -> int:
    """Number that goes into a log's random stream."""
    return SPLITS.index(_checked(split))


@lru_cache(maxsize=16)
def load_town(kind: str, seed: int) -> Town:
    """`build_town`, kept in memory."""
    return build_town(kind, seed)


def _checked(split: str) -> str:
    if split not in TOWNS:
        raise DataError(f"split {split!r} is unknown; choose one of {', '.join(TOWNS)}")
    return split
