"""Which towns belong to which split: no two splits share a town, and a seed always finds the same one."""

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
    "shifted": (("random", 400), ("grid", 401), ("random", 402), ("grid", 403)),  # a test in another appearance too
}  # fmt: skip
CROSSING_SEEDS: dict[str, range] = {
    "train": range(1100, 1124), "val": range(2100, 2108), "test": range(3100, 3110), "shifted": range(4100, 4110)
}  # fmt: skip
MERGE_SEEDS: dict[str, range] = {
    "train": range(1200, 1216), "val": range(2200, 2206), "test": range(3200, 3208), "shifted": range(4200, 4208)
}  # fmt: skip
BEND_SEEDS: dict[str, range] = {
    "train": range(1000, 1040), "val": range(2000, 2012), "test": range(3000, 3016), "shifted": range(4000, 4016)
}  # fmt: skip
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


def crossing_of(split: str, seed: int) -> Town:
    """The town of stop and yield signs of a log."""
    seeds = CROSSING_SEEDS[_checked(split)]
    return load_town("crossing", seeds[seed % len(seeds)])


def merge_of(split: str, seed: int) -> Town:
    """The road with ramps of a log."""
    seeds = MERGE_SEEDS[_checked(split)]
    return load_town("merge", seeds[seed % len(seeds)])


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
