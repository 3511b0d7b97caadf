"""Sources of samples and their subsets."""

from __future__ import annotations

import pytest

from eyesup.data.source import SampleSource, subset
from eyesup.data.world import WorldSource
from eyesup.types.errors import DataError


def test_a_subset_keeps_the_order_asked_for(hand_store):
    source = WorldSource(hand_store)
    part = subset(source, [source.keys[4], source.keys[1]])
    assert isinstance(part, SampleSource) and isinstance(source, SampleSource)
    assert [sample.key for sample in part] == [source.keys[4], source.keys[1]] == list(part.keys)
    assert len(part) == 2 and part.name == source.name


def test_a_subset_of_unknown_keys_is_refused_at_once(hand_store):
    with pytest.raises(DataError, match="has no sample \\['nobody'\\]"):
        subset(WorldSource(hand_store), ["nobody"])
