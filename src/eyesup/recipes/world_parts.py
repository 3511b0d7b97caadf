"""The world's store as training wants it: frames by identity, prompts tokenised once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eyesup.data.source import SampleSource
from eyesup.data.world import WorldSource
from eyesup.nn.language.model import positions
from eyesup.training.features import Encode, FeatureStore, encode_features
from eyesup.training.metrics_log import Terminal
from eyesup.types import Sample
from eyesup.world.store import FUTURE_IMAGES_S

NO_TOKENS = (np.zeros((1, 1)), np.zeros((1, 1, 1)), np.zeros(1, bool))  # stand-ins; `TokenCollate` adds the real ones
VISUAL_TENSORS = ("current_tokens", "future_tokens", "future_valid")


class WorldFrames:
    """Frames of a world source; identity is (scene, step), so an image shared by several samples is decoded once."""

    def __init__(self, source: WorldSource, horizons_s: tuple[float, ...] = FUTURE_IMAGES_S) -> None:
        self.source, self.keys, self.horizons_s = source, source.keys, horizons_s

    def frame_ids(self, row: int) -> tuple[str | None, ...]:
        scene, step = self.source.place(row)
        stored = set(self.source.store.steps(scene))
        return tuple(f"{scene}#{s}" if s in stored else None for s in self._steps(scene, step))

    def frame(self, row: int, slot: int) -> np.ndarray:
        scene, step = self.source.place(row)
        return self.source.store.images(scene, self._steps(scene, step)[slot])

    def _steps(self, scene: str, step: int) -> tuple[int, ...]:
        dt_s = self.source.store.scene(scene).dt_s
        return (step, *(step + round(h / dt_s) for h in self.horizons_s))


def world_features(
    source: WorldSource, encode: Encode, fingerprint: str, root: Path, horizons_s: tuple[float, ...],
    terminal: Terminal | None = None,
) -> FeatureStore:  # fmt: skip
    """Encoder tokens of a store, cached below `root` in a folder of their own per store, encoder and horizons."""
    place = hashlib.blake2b(str(source.store.root.resolve()).encode(), digest_size=3).hexdigest()
    ahead = "-".join(f"{horizon:g}s" for horizon in horizons_s)
    folder = root / f"{source.store.root.name}-{place}-{fingerprint[:8]}-{ahead}"

    def show(done: int, samples: int, frames: int) -> None:
        if terminal and (done % 500 == 0 or done == samples):
            terminal.say(f"encoder tokens: {done}/{samples} samples, {frames} frames")

    return encode_features(WorldFrames(source, horizons_s), encode, fingerprint, folder, progress=show)


Text = Mapping[str, Tensor]
"""A processor's batch of one, without its batch axis and its visual tokens."""


@dataclass(frozen=True)
class Prepared:
    """One sample, tokenised. Attributes: key: of the sample. variants: the same sample with other questions drawn."""

    key: str
    variants: tuple[Text, ...]


class PreparedSamples:
    """Samples run through a processor on first use and kept: text, ego vector and target, a few kB each.

    Args:
        samples: Their pixels are not looked at.
        processor: A VLA's processor, called as ``processor([sample], training=True, features=..., rngs=[...])``.
        seed: Draws each variant's question together with the row.
        variants: How many to keep per sample.
    """

    def __init__(self, samples: SampleSource, processor: Any, seed: int, variants: int = 1) -> None:
        self.samples, self.processor = samples, processor
        self.seed, self.variants = seed, variants
        self._kept: dict[int, Prepared] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> Prepared:
        if row not in self._kept:
            sample = self.samples[row]
            texts = tuple(self._text(sample, row, variant) for variant in range(self.variants))
            self._kept[row] = Prepared(sample.key, texts)
        return self._kept[row]

    def read_all(self, terminal: Terminal | None = None) -> None:
        """Prepare every sample now, in the store's order: a shuffled first epoch would read each scene many times over."""
        for row in range(len(self)):
            self[row]
            if terminal and ((row + 1) % 5000 == 0 or row + 1 == len(self)):
                terminal.say(f"texts: {row + 1}/{len(self)} samples")

    def _text(self, sample: Sample, row: int, variant: int) -> Text:
        rng = np.random.default_rng([self.seed, row, variant])
        batch = self.processor([sample], training=True, features={sample.key: NO_TOKENS}, rngs=[rng])
        kept = {
            n: v[0] for n, v in batch.items() if isinstance(v, Tensor) and n not in (*VISUAL_TENSORS, "position_ids")
        }
        return {n: v.int() if v.dtype == torch.long else v.clone() for n, v in kept.items()}  # half the memory


@dataclass(frozen=True)
class TokenCollate:
    """Prepared samples to the processor's batch: text padded on the right, visual tokens from the cache.

    Attributes:
        features: The cache, with the run's horizons.
        pad: Value of padding by name; other text tensors are padded with 0 (False).
        blind: Give zeros for the present view.
    """

    features: FeatureStore
    pad: Mapping[str, int]
    blind: bool = False

    def __call__(self, items: Sequence[Prepared], rngs: Sequence[np.random.Generator]) -> dict[str, Any]:
        batch: dict[str, Any] = {"keys": tuple(item.key for item in items)}
        texts = [item.variants[int(rng.integers(len(item.variants)))] for item, rng in zip(items, rngs)]
        for name in texts[0]:
            stacked = stack_padded([text[name] for text in texts], self.pad.get(name, 0))
            batch[name] = stacked.long() if stacked.dtype == torch.int else stacked
        batch["position_ids"] = positions(batch["attention_mask"])
        found = [self.features.lookup(item.key) for item in items]
        current = torch.from_numpy(np.stack([f.current for f in found])).float()
        batch["current_tokens"] = torch.zeros_like(current) if self.blind else current
        batch["future_tokens"] = torch.from_numpy(np.stack([f.future for f in found])).float()
        batch["future_valid"] = torch.from_numpy(np.stack([f.valid for f in found]))
        return batch


def stack_padded(rows: Sequence[Tensor], value: int) -> Tensor:
    """Stack, padding the first axis on the right where lengths differ."""
    if len({row.shape for row in rows}) == 1:
        return torch.stack(list(rows))
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)
