"""What every source of Samples looks like, and how to take a part of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from eyesup.types import Sample
from eyesup.types.errors import DataError


@runtime_checkable
class SampleSource(Protocol):
    """A sequence of Samples with stable keys. Indexing loads; nothing is loaded before.

    Attributes:
        name: Shown in tables and records.
        keys: Key of each sample, in order; unique.
    """

    @property
    def name(self) -> str: ...

    @property
    def keys(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


@dataclass(frozen=True)
class Subset:
    """Some samples of a source, in the order of `keys`; made by `subset`."""

    source: SampleSource
    keys: tuple[str, ...]
    name: str

    @cached_property
    def _rows(self) -> tuple[int, ...]:
        index = {key: row for row, key in enumerate(self.source.keys)}
        missing = [key for key in self.keys if key not in index]
        if missing:
            raise DataError(
                f"{self.source.name} has no sample {missing[:3]} ({len(missing)} keys missing of {len(self.keys)})"
            )
        return tuple(index[key] for key in self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        return self.source[self._rows[index]]

    def __iter__(self) -> Iterator[Sample]:
        return (self[row] for row in range(len(self)))


def subset(source: SampleSource, keys: Sequence[str], name: str | None = None) -> Subset:
    """The samples of these keys in this order; a key that the source lacks raises DataError."""
    chosen = Subset(source, tuple(keys), name or source.name)
    chosen._rows  # noqa: B018  # a missing key is reported here, not at the first sample
    return chosen
