"""IK-VLA as a planner: observations in, plans out; and the folder it is saved in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64
from safetensors.torch import save_model
from torch import Tensor

from eyesup.models.ik_vla.config import IKVLAConfig, NextSource, check_next_source, from_mapping
from eyesup.models.ik_vla.model import IKVLA, Readout
from eyesup.models.ik_vla.presets import IKVLAPreset, check_fit
from eyesup.models.ik_vla.processor import IKVLAProcessor
from eyesup.nn.diffusion.sampling import row_generators
from eyesup.nn.language.model import LanguageModel
from eyesup.nn.position.patches import TokenGrid
from eyesup.nn.vision.encoder import VisualEncoder
from eyesup.nn.weights import load_weights
from eyesup.types import DataError, Observation, Prediction, Sample, Trajectory

FAMILY = "ik_vla"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENS_PER_WAYPOINT = 20  # "(12.34,-0.56)," in single characters, with room
NEEDS_REFERENCE = ("oracle", "shuffled")


@runtime_checkable
class KeyedSamples(Protocol):
    """Samples by row, with the keys in row order (any `SampleSource`)."""

    @property
    def keys(self) -> Sequence[str]: ...

    def __getitem__(self, row: int, /) -> Sample: ...


class IKVLAPlanner:
    """Plans with an IK-VLA.

    Args:
        model, processor: Two that fit each other; the model is put into evaluation mode.
        name: Row title in tables.
        num_samples: Alternatives per plan; None: as many as its config says. Alternative 0 is the same whatever their number.
        batch_size: Most observations per forward pass.
        max_answer_tokens: Longest answer.
        next_source: What the decoder is given as next state instead of what its config says; see `with_next_source`.
        reference: Samples that ``oracle`` and ``shuffled`` take their next state from.
    """

    def __init__(
        self,
        model: IKVLA,
        processor: IKVLAProcessor,
        name: str = "IK-VLA",
        num_samples: int | None = None,
        batch_size: int = 8,
        max_answer_tokens: int = 48,
        next_source: NextSource | None = None,
        reference: KeyedSamples | None = None,
    ) -> None:
        check_fit(model.config, processor.config)
        num_samples = model.config.decoder.alternatives if num_samples is None else num_samples
        if num_samples < 1 or batch_size < 1:
            raise DataError(f"planner: num_samples {num_samples} and batch_size {batch_size} must be at least 1")
        self.model, self.processor, self.name = model.eval(), processor, name
        self.num_samples, self.batch_size, self.max_answer_tokens = num_samples, batch_size, max_answer_tokens
        self.next_source: NextSource = next_source or model.config.decoder.next_source
        check_next_source(self.next_source)
        self.reference = _Reference(reference, self.next_source) if self.next_source in NEEDS_REFERENCE else None

    @property
    def privileged(self) -> bool:
        """True only for the diagnostic that is given the true future."""
        return self.next_source == "oracle"

    def with_next_source(self, next_source: NextSource, source: KeyedSamples) -> IKVLAPlanner:
        """The same planner whose decoder gets another next state: a diagnostic, never a result.

        Args:
            next_source: ``pred`` is s_hat; ``oracle`` s* of the true future images (privileged); ``shuffled`` the s_hat of
                another sample, half the source away so that it comes from another scene; ``zeros`` nothing.
            source: Samples by key: futures for ``oracle``, donors for ``shuffled``.
        """
        name = self.name if next_source == "pred" else f"{self.name} [next state: {next_source}]"
        return IKVLAPlanner(
            self.model, self.processor, name, self.num_samples, self.batch_size, self.max_answer_tokens, next_source, source
        )  # fmt: skip

    @torch.no_grad()
    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        """One plan per observation. Noise derives from (seed, key, index of the alternative) alone."""
        chunks = np.array_split(np.arange(len(observations)), -(-len(observations) // self.batch_size) or 1)
        return [
            found for rows in chunks if len(rows) for found in self._plan_chunk([observations[i] for i in rows], seed)
        ]

    def _plan_chunk(self, observations: Sequence[Observation], seed: int) -> list[Prediction]:
        clock = _Clock()
        with clock.stage("process"):
            batch = self._batch(observations)
        with clock.stage("encode"):
            tokens = self.model.current_tokens(batch)
        asked = [row for row, observation in enumerate(observations) if observation.question is not None]
        with clock.stage("prefill"):
            readout = self.model.read(batch, tokens, use_cache=bool(asked) or self.writes_text)
        with clock.stage("ik"):
            plans = self._text_plans(batch, readout) if self.writes_text else self._plans(batch, tokens, readout, seed)
        with clock.stage("answer"):
            answers = {} if self.writes_text else self._answers(batch, readout, asked)
        stages = {name: seconds / len(observations) for name, seconds in clock.stage_s.items()}
        return [
            replace(plan, answer=answers.get(row), stage_s=stages, extras={**plan.extras, "next_state": state})
            for row, (plan, state) in enumerate(zip(plans, readout.next_state.float().cpu().numpy()))
        ]

    @property
    def writes_text(self) -> bool:
        """The plan is text (``llm_text``): greedy, one alternative, and questions stay unanswered."""
        return self.model.decoder is None

    def _batch(self, observations: Sequence[Observation]) -> dict[str, Any]:
        return self._to_device(self.processor(observations, training=False))

    def _to_device(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        device = self.model.placeholder.device
        return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}

    def _plans(self, batch: dict[str, Any], tokens: Tensor, readout: Readout, seed: int) -> list[Prediction]:
        """Trajectories from the next state that `next_source` names."""
        source = self.next_source
        if self.reference is not None and source == "oracle":
            batch = batch | self._to_device(self.reference.futures(self.processor, batch["keys"]))
        if self.reference is not None and source == "shuffled":
            donors = self._batch(self.reference.donors(batch["keys"]))
            other = self.model.read(donors, self.model.current_tokens(donors))
            readout, source = replace(readout, next_state=other.next_state), "pred"
        generators = row_generators(seed, batch["keys"], self.num_samples)
        plans = self.model.decode(batch, tokens, readout, generators, self.num_samples, source)  # (B, K, T, A)
        return [self._prediction(key, alternatives) for key, alternatives in zip(batch["keys"], plans)]

    def _prediction(self, key: str, plans: Float[Tensor, "K T A"]) -> Prediction:
        poses = self.processor.denormalize(plans)  # (K, T, 3)
        best = headline(poses, self.model.config.decoder.headline)
        samples = poses if self.num_samples > 1 else None
        return Prediction(key, self.processor.decode(plans[best]), samples)

    def _text_plans(self, batch: Mapping[str, Any], readout: Readout) -> list[Prediction]:
        """Plans written as text. A waypoint that cannot be read repeats the one before it (at first the origin);
        ``extras["missing_waypoints"]`` counts them.
        """
        limit = TOKENS_PER_WAYPOINT * self.processor.config.waypoints
        texts = self.model.language.decode_text(
            readout.cache, batch["attention_mask"], readout.hidden, self.processor.stop_id, limit
        )
        plans = [self.processor.parse_plan(self.processor.decode_answer(ids)) for ids in texts]
        return [
            Prediction(
                key, Trajectory(plan.poses, plan.dt_s), extras={"missing_waypoints": np.array(int((~plan.valid).sum()))}
            )
            for key, plan in zip(batch["keys"], plans)
        ]

    def _answers(self, batch: Mapping[str, Any], readout: Readout, asked: Sequence[int]) -> dict[int, str]:
        """Answers of the rows that ask, continued from the planning pass's cache."""
        if not asked:
            return {}
        rows = torch.tensor(asked, device=readout.hidden.device)
        readout.cache.batch_select_indices(rows)
        texts = self.model.language.decode_text(
            readout.cache, batch["attention_mask"][rows], readout.hidden[rows], self.processor.stop_id, self.max_answer_tokens
        )  # fmt: skip
        return {row: self.processor.decode_answer(ids) for row, ids in zip(asked, texts)}

    def save(self, folder: Path) -> None:
        """Write ``config.json``, ``model.safetensors`` (encoder included) and the processor's files."""
        export(self.model, self.processor, folder)
        save_model(self.model, str(folder / WEIGHTS_FILE))

    @classmethod
    def load(cls, folder: Path, **options: Any) -> IKVLAPlanner:
        """Read what `save` (or a training run) wrote; `options` go to the constructor.

        Raises:
            DataError: The folder holds no model, one of another family, or weights that do not fit its config.
        """
        folder = Path(folder)
        record = read_config(folder)
        config = from_mapping(IKVLAConfig, record["model"])
        encoder = VisualEncoder(config.vision, record["vision_backbone"])
        model = IKVLA(config, encoder=encoder, language=LanguageModel(config.language))
        load_weights(model, folder / WEIGHTS_FILE)
        options.setdefault("name", run_name(folder))
        return cls(model, IKVLAProcessor.load(folder), **options)


class _Reference:
    """Samples by key, for the diagnostics that borrow a next state."""

    def __init__(self, samples: KeyedSamples | None, next_source: str) -> None:
        if samples is None or len(samples.keys) < 2:
            raise DataError(f"planner: next_source {next_source!r} needs a reference of at least 2 samples")
        self.samples = samples
        self.rows = {key: row for row, key in enumerate(samples.keys)}

    def row(self, key: str) -> int:
        if key not in self.rows:
            raise DataError(f"the reference ({len(self.rows)} samples) has no {key}; plan the samples it was made for")
        return self.rows[key]

    def donors(self, keys: Sequence[str]) -> list[Observation]:
        """For each key an observation of another scene, about half the reference away: always the same one."""
        return [self.samples[self._donor(self.row(key))].observation for key in keys]

    def _donor(self, row: int) -> int:
        keys = self.samples.keys
        scene = keys[row].split("@")[0]
        candidates = ((row + len(keys) // 2 + shift) % len(keys) for shift in range(len(keys)))
        for other in candidates:
            if keys[other].split("@")[0] != scene:
                return other
        raise DataError(f"the reference holds one scene only ({scene}); a shuffled next state needs two")

    def futures(self, processor: IKVLAProcessor, keys: Sequence[str]) -> dict[str, Tensor]:
        """``future_images`` and ``future_valid`` of the true future."""
        batch = processor([self.samples[self.row(key)] for key in keys], training=True)
        for key, valid in zip(keys, batch["future_valid"]):
            if not valid.all():
                raise DataError(
                    f"sample {key} lacks a future image at some horizon; leave it out of the oracle's samples"
                )
        return {name: batch[name] for name in ("future_images", "future_valid")}


def build(chosen: IKVLAPreset, seed: int = 0, encoder: VisualEncoder | None = None) -> tuple[IKVLA, IKVLAProcessor]:
    """A new model with its processor; random weights derive from `seed` alone.

    Patch side, merge and width of the encoder that is really used decide the token grid of both.

    Args:
        encoder: A trained encoder to use instead of the one the config describes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = encoder if encoder is not None else VisualEncoder(chosen.model.vision)
        shown = replace(
            chosen.processor, patch_px=encoder.config.patch_px, merge=encoder.config.merge, token_width=encoder.width
        )
        processor = IKVLAProcessor(shown)
        language = LanguageModel(chosen.model.language)
        language.resize_vocab(processor.vocab)
        grid = TokenGrid(len(shown.cameras), *shown.token_grid)
        model = IKVLA(replace(chosen.model, grid=grid), encoder=encoder, language=language)
    check_fit(model.config, processor.config)
    return model, processor


def export(model: IKVLA, processor: IKVLAProcessor, folder: Path) -> None:
    """Everything a saved planner needs besides its weights (training writes those itself)."""
    folder = Path(folder)
    processor.save(folder)
    config = model.config
    # The weights come from model.safetensors; nothing may be fetched when the folder is loaded.
    local = replace(
        config, vision=replace(config.vision, pretrained=None), language=replace(config.language, pretrained=None)
    )
    record = {"family": FAMILY, "model": asdict(local), "vision_backbone": model.encoder.backbone.config.to_diff_dict()}
    (folder / CONFIG_FILE).write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a saved IK-VLA; DataError for anything else."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no {CONFIG_FILE}; give the folder of a saved model (e.g. runs/<name>/final)")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON ({error})") from error
    family = record.get("family") if isinstance(record, dict) else None
    if family != FAMILY:
        raise DataError(
            f"{path} describes a model of family {family!r}, expected {FAMILY!r}; load it with its own family"
        )
    absent = [name for name in ("model", "vision_backbone") if name not in record]
    if absent:
        raise DataError(f"{path} lacks {absent}; it is no IK-VLA's config, or it is damaged: copy the checkpoint again")
    return record


def run_name(folder: Path) -> str:
    """Name of the run that made a folder: runs/ik_vla_tiny/final -> ik_vla_tiny."""
    resolved = folder.resolve()
    return resolved.parent.name if resolved.name == "final" else resolved.name


def headline(poses: Float64[np.ndarray, "K T 3"], rule: str) -> int:
    """Which alternative becomes the plan: the first, or the medoid (smallest mean distance in x, y to all others)."""
    if rule == "first" or len(poses) < 3:
        return 0
    xy = poses[..., :2]
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=-1).mean(axis=-1)  # (K, K)
    return int(distances.mean(axis=1).argmin())


class _Clock:
    """Wall-clock seconds per stage."""

    def __init__(self) -> None:
        self.stage_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.stage_s[name] = time.perf_counter() - start
