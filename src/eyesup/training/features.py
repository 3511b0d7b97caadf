"""Tokens of a frozen encoder, computed once per stored image and read through a memory map.

Samples of one log overlap: the image 2 s ahead of one keyframe is the present of a later one. So frames are stored under
their identity, and each sample is a row of references into them::

    meta.json       fingerprint of encoder and image rule, shape of a frame's tokens, horizons
    frames.jsonl    one line per stored frame: id, hash of its pixels
    tokens.f16      raw float16, (frames, N, Dv), in the order of frames.jsonl
    rows.npz        per sample: key, frame now, frames at the horizons, which of them exist; written last

Encoding continues where it was killed, and a cache made by another encoder, or of other images, is refused.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float16, Int64, UInt8
from torch import Tensor, nn

from eyesup.training.checkpoint import write_json
from eyesup.training.run_folder import plain
from eyesup.types import DataError, EyesUpError, Sample

META_FILE, FRAMES_FILE, TOKENS_FILE, ROWS_FILE = "meta.json", "frames.jsonl", "tokens.f16", "rows.npz"
FORMAT = 1
MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3  # mallopt's names, malloc.h
MALLOC_MMAP_THRESHOLD_MAX = 32 << 20  # more is refused; also where glibc's own adjustment ends
LARGE_BLOCK_BYTES = 4 << 20
KEPT_BYTES = 1 << 30
SPOT_CHECKS = 4  # frames whose pixels are compared with the cache before it is used again

Encode = Callable[[np.ndarray], Tensor]
"""uint8 images (F, C, H, W, 3) to tokens (F, N, Dv)."""


@runtime_checkable
class FrameSource(Protocol):
    """Which images a sample needs, and the images.

    Attributes:
        keys: Key of each sample, in order.
        horizons_s: Times of the future frames [s].
    """

    horizons_s: tuple[float, ...]

    @property
    def keys(self) -> Sequence[str]: ...

    def frame_ids(self, row: int) -> tuple[str | None, ...]:
        """1 + H identities: the frame at t = 0, then one per horizon, None where there is no image. Equal id, equal image."""
        ...

    def frame(self, row: int, slot: int) -> np.ndarray:
        """The image behind ``frame_ids(row)[slot]``, uint8 (C, H, W, 3)."""
        ...


class SampleFrames:
    """Frames of any sequence of Samples; identity is the hash of the pixels, so overlapping samples still share them."""

    def __init__(self, samples: Sequence[Sample] | Any, keys: Sequence[str], horizons_s: tuple[float, ...]) -> None:
        self.samples, self.keys, self.horizons_s = samples, keys, horizons_s
        self._held: tuple[int, list[np.ndarray | None]] | None = None

    def frame_ids(self, row: int) -> tuple[str | None, ...]:
        return tuple(None if image is None else pixel_hash(image) for image in self._images(row))

    def frame(self, row: int, slot: int) -> np.ndarray:
        image = self._images(row)[slot]
        if image is None:
            raise DataError(f"sample {self.keys[row]} has no image at {self.horizons_s[slot - 1]} s")
        return image

    def _images(self, row: int) -> list[np.ndarray | None]:
        if self._held is None or self._held[0] != row:
            sample = self.samples[row]
            self._held = (row, [sample.observation.images[-1], *(_future_image(sample, h) for h in self.horizons_s)])
        return self._held[1]


def _future_image(sample: Sample, horizon_s: float) -> np.ndarray | None:
    truth = sample.truth
    if truth is None or truth.future_images is None or truth.future_image_times_s is None:
        return None
    rows = np.flatnonzero(np.abs(truth.future_image_times_s - horizon_s) < 1e-6)
    if not len(rows):
        raise DataError(
            f"sample {sample.key}: no image at {horizon_s} s, only at {truth.future_image_times_s.tolist()} s"
        )
    valid = truth.future_images_valid
    return truth.future_images[rows[0]] if valid is None or valid[rows[0]] else None


def pixel_hash(image: UInt8[np.ndarray, "C H W 3"]) -> str:
    """Identity of an image by content."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=str(image.shape).encode()).hexdigest()


def encoder_fingerprint(encoder: nn.Module, *configs: Any) -> str:
    """Hash of an encoder's weights and of everything else that decides its tokens (image rule, token merging, ...)."""
    digest = hashlib.sha256(json.dumps(plain(configs), sort_keys=True).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Features(NamedTuple):
    """Tokens of one sample. Frames that do not exist are zero and not valid."""

    current: Float16[np.ndarray, "N Dv"]
    future: Float16[np.ndarray, "H N Dv"]
    valid: Bool[np.ndarray, "H"]


@dataclass(frozen=True, eq=False)
class FeatureStore(Mapping[str, Features]):
    """Read access to a finished cache: a mapping from sample key to its tokens.

    Attributes:
        folder: Where it lies.
        fingerprint: Of the encoder that made it.
        shape: (N, Dv) of one frame.
        frames: Number of stored frames.
        horizons_s: Times of the future frames.
        names: Keys of the samples it covers.
        refs: (n, 1 + H) row in the token file; meaningless where not valid.
        valid: (n, 1 + H).
    """

    folder: Path
    fingerprint: str
    shape: tuple[int, int]
    frames: int
    horizons_s: tuple[float, ...]
    names: tuple[str, ...]
    refs: Int64[np.ndarray, "n slots"]
    valid: Bool[np.ndarray, "n slots"]

    @cached_property
    def tokens(self) -> np.ndarray:
        """(frames, N, Dv) float16 memory map."""
        return np.memmap(self.folder / TOKENS_FILE, np.float16, "r", shape=(self.frames, *self.shape))

    @cached_property
    def _row(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.names)}

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}  # loader processes map the file anew

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, key: object) -> bool:
        return key in self._row

    def __getitem__(self, key: str) -> Features:
        return self.lookup(key)

    def sample_tokens(self, frames: int, seed: int = 0) -> Iterator[Tensor]:
        """Tokens (N, Dv) of some frames drawn without replacement, for statistics."""
        count = min(frames, self.frames)
        for row in np.sort(np.random.default_rng(seed).choice(self.frames, count, replace=False)):
            yield torch.from_numpy(np.array(self.tokens[row], np.float32))

    def lookup(self, key: str) -> Features:
        """Tokens of a sample; DataError when the cache does not cover it."""
        if key not in self._row:
            raise DataError(f"{self.folder} has no features of sample {key}; encode the source it comes from")
        row = self._row[key]
        tokens = self.tokens[self.refs[row]] * self.valid[row, :, None, None].astype(np.float16)  # (1 + H, N, Dv)
        return Features(tokens[0], tokens[1:], self.valid[row, 1:].copy())


def encode_features(
    source: FrameSource,
    encode: Encode,
    fingerprint: str,
    folder: Path,
    batch_frames: int = 16,
    progress: Callable[[int, int, int], None] | None = None,
) -> FeatureStore:
    """Tokens of every frame that the source's samples need; reads what an earlier call has already stored.

    Args:
        source: Samples and their images.
        encode: The frozen encoder with its image processing.
        fingerprint: `encoder_fingerprint` of what is behind `encode`.
        folder: The cache.
        batch_frames: Frames per call of `encode`.
        progress: Called with (samples done, samples, frames stored).

    Raises:
        DataError: The folder was made by another encoder or of other images, or a second process is writing to it.
        EyesUpError: The cache cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_meta(folder, fingerprint, source.horizons_s)
    if _covers(folder, source):  # needs no lock: rows.npz appears whole, and the frames behind it never change
        _spot_check(folder, source)
        return open_features(folder)
    with _locked(folder), _large_blocks_returned():
        try:
            with _Writer(folder, fingerprint, source.horizons_s, encode, batch_frames) as writer:
                if writer.row_of:
                    _spot_check(folder, source)
                ids = _encode_missing(source, writer, progress)
                _write_rows(folder, source, ids, writer.row_of)
        except OSError as error:
            raise EyesUpError(
                f"{folder}: features cannot be written ({error}); free some space and run again"
            ) from error
    return open_features(folder)


@contextmanager
def _large_blocks_returned() -> Iterator[None]:
    """Have glibc give blocks of 4 MiB and more back to the system when they are freed; elsewhere nothing happens.

    Unasked, it raises that limit to 32 MiB as such blocks are freed and takes the next ones from the heap, which images and
    file buffers then fragment: 10,000 encoded frames left 13 GB that nothing used. Afterwards large blocks are kept again: a
    training step that had to ask the system for each of its tensors took 1.8 times as long.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(MALLOC_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
    try:
        yield
    finally:
        libc.mallopt(MALLOC_MMAP_THRESHOLD, MALLOC_MMAP_THRESHOLD_MAX)
        libc.mallopt(MALLOC_TRIM_THRESHOLD, KEPT_BYTES)


def open_features(folder: Path) -> FeatureStore:
    """A finished cache."""
    if not (folder / ROWS_FILE).exists():
        raise DataError(f"{folder} holds no finished feature cache ({ROWS_FILE} is missing); encode the source first")
    meta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
    shape = (meta["shape"][0], meta["shape"][1])
    with np.load(folder / ROWS_FILE, allow_pickle=False) as rows:
        keys, refs, valid = rows["keys"], rows["refs"], rows["valid"]
    frames = (folder / TOKENS_FILE).stat().st_size // (2 * shape[0] * shape[1])
    if refs[valid].max(initial=-1) >= frames:
        raise DataError(
            f"{folder / TOKENS_FILE} is cut short: {frames} frames, {refs[valid].max() + 1} needed; delete {folder}"
        )
    return FeatureStore(
        folder, meta["fingerprint"], shape, frames, tuple(meta["horizons_s"]), tuple(keys.tolist()), refs, valid
    )


def _check_meta(folder: Path, fingerprint: str, horizons_s: tuple[float, ...]) -> None:
    path = folder / META_FILE
    if not path.exists():
        return
    meta = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"format": FORMAT, "fingerprint": fingerprint, "horizons_s": list(horizons_s)}
    for name, value in wanted.items():
        if meta[name] != value:
            raise DataError(
                f"stale feature cache {folder}: its {name} is {meta[name]}, now it is {value} (another encoder, image size or "
                "horizon); delete the folder or choose another"
            )


def _covers(folder: Path, source: FrameSource) -> bool:
    if not (folder / ROWS_FILE).exists():
        return False
    with np.load(folder / ROWS_FILE, allow_pickle=False) as rows:
        return tuple(rows["keys"].tolist()) == tuple(source.keys)


def _spot_check(folder: Path, source: FrameSource) -> None:
    """Compare a few images with the hashes of the frames stored under their ids."""
    stored = {row["id"]: row["pixels"] for row in _read_frames(folder)}
    rows = sorted(set(np.linspace(0, len(source.keys) - 1, SPOT_CHECKS).astype(int).tolist()))
    for row in rows:
        frame_id = source.frame_ids(row)[0]
        if frame_id in stored and pixel_hash(source.frame(row, 0)) != stored[frame_id]:
            raise DataError(
                f"stale feature cache {folder}: the image of sample {source.keys[row]} has changed; delete the folder"
            )


def _encode_missing(
    source: FrameSource, writer: _Writer, progress: Callable[[int, int, int], None] | None
) -> list[tuple[str | None, ...]]:
    """Store what is not there yet; returns the frame ids of every sample."""
    found = []
    for row in range(len(source.keys)):
        ids = source.frame_ids(row)
        for slot, frame_id in enumerate(ids):
            if frame_id is not None and frame_id not in writer.row_of:
                writer.add(frame_id, source.frame(row, slot))
        found.append(ids)
        if progress:
            progress(row + 1, len(source.keys), len(writer.row_of))
    writer.flush()
    return found


def _write_rows(
    folder: Path, source: FrameSource, ids: Sequence[tuple[str | None, ...]], row_of: Mapping[str, int]
) -> None:
    slots = 1 + len(source.horizons_s)
    valid = np.array([[i is not None for i in row] for row in ids], bool).reshape(-1, slots)
    refs = np.array([[0 if i is None else row_of[i] for i in row] for row in ids], np.int64).reshape(-1, slots)
    partial = folder / f".{ROWS_FILE}.partial.npz"
    np.savez(partial, keys=np.array(list(source.keys), np.str_), refs=refs, valid=valid)
    os.replace(partial, folder / ROWS_FILE)


def _read_frames(folder: Path) -> list[dict[str, str]]:
    """Complete lines of frames.jsonl."""
    path = folder / FRAMES_FILE
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


class _Writer:
    """Appends frames; a crash costs at most the frames of the batch at hand."""

    def __init__(
        self, folder: Path, fingerprint: str, horizons_s: tuple[float, ...], encode: Encode, batch_frames: int
    ) -> None:
        self.folder, self.encode, self.batch_frames = folder, encode, batch_frames
        self._meta = {"format": FORMAT, "fingerprint": fingerprint, "horizons_s": list(horizons_s)}
        self._shape: tuple[int, ...] | None = None
        if (folder / META_FILE).exists():
            self._shape = tuple(json.loads((folder / META_FILE).read_text(encoding="utf-8"))["shape"])
        self._pending: list[tuple[str, np.ndarray]] = []
        lines = self._whole_frames()
        self.row_of = {line["id"]: row for row, line in enumerate(lines)}
        self._frames: IO[str] = open(folder / FRAMES_FILE, "a", encoding="utf-8")  # noqa: SIM115  # closed by __exit__
        self._tokens: IO[bytes] = open(folder / TOKENS_FILE, "ab")  # noqa: SIM115

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._frames.close()
        self._tokens.close()

    def _whole_frames(self) -> list[dict[str, str]]:
        """What both files hold in full; anything after it, left by a crash, is cut off."""
        lines = _read_frames(self.folder)
        tokens = self.folder / TOKENS_FILE
        if self._shape is None:
            kept = 0
        else:
            size = 2 * int(np.prod(self._shape))
            kept = min(len(lines), tokens.stat().st_size // size if tokens.exists() else 0)
        if tokens.exists():
            os.truncate(tokens, kept * 2 * int(np.prod(self._shape or (0,))))
        partial = self.folder / f".{FRAMES_FILE}.partial"
        partial.write_text("".join(json.dumps(line) + "\n" for line in lines[:kept]), encoding="utf-8")
        os.replace(partial, self.folder / FRAMES_FILE)
        return lines[:kept]

    def add(self, frame_id: str, image: np.ndarray) -> None:
        self.row_of[frame_id] = len(self.row_of)
        self._pending.append((frame_id, image))
        if len(self._pending) >= self.batch_frames:
            self.flush()

    def flush(self) -> None:
        if not self._pending:
            return
        with torch.no_grad():
            tokens = self.encode(np.stack([image for _, image in self._pending])).detach().cpu()
        if not torch.isfinite(tokens.half()).all():
            raise DataError(
                f"features: tokens up to {tokens.abs().max():g} leave float16 or are not finite; check the encoder"
            )
        if self._shape is None:
            self._shape = tuple(tokens.shape[1:])
            write_json(self.folder / META_FILE, {**self._meta, "shape": list(self._shape)})
        # Tokens first: a line in frames.jsonl vouches for them.
        self._tokens.write(tokens.half().contiguous().numpy().tobytes())
        self._tokens.flush()
        for frame_id, image in self._pending:
            self._frames.write(json.dumps({"id": frame_id, "pixels": pixel_hash(image)}) + "\n")
        self._frames.flush()
        self._pending.clear()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"{folder}: another process is encoding features there; wait for it") from error
        yield
