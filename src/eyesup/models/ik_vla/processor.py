"""Observation (and, in training, Truth) to the tensors IK-VLA takes, and a normalised trajectory back to metres.

At evaluation nothing of a Truth is read: `__call__(..., training=False)` looks at Observations only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from eyesup.geometry.se2 import wrap_angle
from eyesup.models.ik_vla.config import IGNORED_LABEL
from eyesup.models.ik_vla.prompt import (
    EGO,
    HISTORY_STEP_S,
    NEXT_STATE,
    RESERVED,
    SCENE,
    PromptConfig,
    answer_text,
    parse_trajectory,
    pose_at,
    prompt_head,
    trajectory_text,
)
from eyesup.nn.language.model import SMOLLM2, find_smollm2, positions
from eyesup.nn.language.tokenizer import load_tokenizer
from eyesup.nn.vision.encoder import VisionConfig
from eyesup.nn.vision.images import ImageRule, normalize
from eyesup.types import DataError, EgoStatus, Maneuver, Observation, Sample, Trajectory, Truth

CONFIG_FILE = "processor.json"
TOKENIZER_FOLDER = "tokenizer"
TINY_TOKENIZER = Path(__file__).parent / "assets" / "tiny_tokenizer"

STATUS_DIMS = 9  # the ego vector without past motion
PAST_STEPS = 3  # half seconds; NAVSIM shows no more
PAST_DIMS = 4 * PAST_STEPS
# Divisors of vx, vy [m/s], ax, ay [m/s2], yaw rate [rad/s], steering [rad]: about the largest value of normal driving.
EGO_SCALE = np.array([15.0, 1.0, 3.0, 3.0, 0.5, 0.5])
COMMAND_ORDER = (Maneuver.TURN_RIGHT, Maneuver.TURN_LEFT, Maneuver.KEEP_FORWARD)  # OpenDriveVLA's one-hot order
MIN_SPAN = 1e-2  # metres or radians; keeps a constant axis from dividing by zero

Features = Mapping[str, tuple[Any, Any, Any]] | Callable[[str], tuple[Any, Any, Any]]
"""Key -> (current [N, Dv], future [H, N, Dv], future valid [H]), arrays or tensors, of the frozen encoder."""


@dataclass(frozen=True)
class TrajectoryNormalizer:
    """Affine map of poses onto [-1, 1], per axis or per axis and waypoint.

    Attributes:
        low, high: x [m], y [m], heading [rad] that become -1 and 1, for all waypoints alike or one row per waypoint. The
            defaults are ReCogDrive's for NAVSIM, 4 s ahead; `fit_normalizer` measures them. With one range for all, an error
            of 0.3 m half a second ahead hardly costs anything; with a range per waypoint it weighs like 3 m at the end.
    """

    low: tuple[float, ...] | tuple[tuple[float, ...], ...] = (-1.57, -19.68, -1.67)
    high: tuple[float, ...] | tuple[tuple[float, ...], ...] = (65.17, 22.32, 1.86)

    def encode(self, poses: Float64[np.ndarray, "*batch 3"]) -> Float64[np.ndarray, "*batch 3"]:
        low, high = np.array(self.low), np.array(self.high)
        return 2 * (poses - low) / (high - low) - 1

    def decode(self, values: Float64[np.ndarray, "*batch 3"]) -> Float64[np.ndarray, "*batch 3"]:
        low, high = np.array(self.low), np.array(self.high)
        return low + (values + 1) / 2 * (high - low)


def fit_normalizer(
    trajectories: Sequence[Trajectory],
    low_percent: float = 0.1,
    high_percent: float = 99.9,
    per_waypoint: bool = False,
) -> TrajectoryNormalizer:
    """Percentiles over all valid poses of training waypoints. What lies outside is cut off by a sampler that clips to [-1, 1].

    Args:
        trajectories: Futures at the planned waypoints.
        low_percent, high_percent: What becomes -1 and 1.
        per_waypoint: One range for each waypoint instead of one for all.
    """
    if not any(trajectory.valid.any() for trajectory in trajectories):
        raise DataError(f"cannot fit a normaliser to {len(trajectories)} trajectories without a valid pose")
    poses = np.stack([trajectory.poses for trajectory in trajectories])  # (N, T, 3)
    poses = np.where(np.stack([trajectory.valid for trajectory in trajectories])[..., None], poses, np.nan)
    if not per_waypoint:
        poses = poses.reshape(-1, 3)
    elif np.isnan(poses).all(axis=(0, 2)).any():
        raise DataError(
            f"cannot fit a normaliser per waypoint: of {len(trajectories)} trajectories none reaches the last one"
        )
    low, high = np.nanpercentile(poses, [low_percent, high_percent], axis=0)
    high = np.maximum(high, low + MIN_SPAN)
    return TrajectoryNormalizer(_nested(low), _nested(high))


def _nested(values: np.ndarray) -> tuple[Any, ...]:
    """An array as tuples of tuples."""
    return tuple(_nested(row) if row.ndim else float(row) for row in values)


@dataclass(frozen=True)
class ProcessorConfig:
    """What IK-VLA is shown and asked for.

    Attributes:
        cameras: Names in the order the model sees them (Appendix E.4: front-left, front, front-right).
        image: Crop and resize of every camera.
        patch_px, merge, token_width: Of the visual encoder: patch side, merged patches, channels Dv of a token.
        horizons_s: Times of the next visual states.
        waypoints, waypoint_dt_s: Planned poses and their step.
        action_dims: 3 plans x, y, heading; 2 plans x, y and takes the heading from the path.
        prompt: Wording, and the ego ablation.
        past_motion: The ego vector also holds how the car moved in the last 1.5 s, as `past_motion` gives it.
        vision: ``none`` hides the images: current tokens are zeros (the EgoTextOnly ablation).
        tokenizer: ``tiny``, ``smollm2``, a folder, a hub name or a ``.gguf`` file.
        question_rate: Share of training samples that get a question drawn from the Truth, where the Observation has none.
        plan_as_text: The answer is the trajectory in words instead of a question's answer (the OpenDriveVLA-style baseline).
        normalizer: Range of the trajectories.
    """

    cameras: tuple[str, ...] = ("front_left", "front", "front_right")
    image: ImageRule = field(default_factory=ImageRule)
    patch_px: int = 16
    merge: int = 2
    token_width: int = 512
    horizons_s: tuple[float, ...] = (3.0,)
    waypoints: int = 6
    waypoint_dt_s: float = 0.5
    action_dims: Literal[2, 3] = 3
    prompt: PromptConfig = field(default_factory=PromptConfig)
    past_motion: bool = False
    vision: Literal["full", "none"] = "full"
    tokenizer: str = "tiny"
    question_rate: float = 0.0
    plan_as_text: bool = False
    normalizer: TrajectoryNormalizer = field(default_factory=TrajectoryNormalizer)

    def __post_init__(self) -> None:
        if not self.cameras or self.waypoints < 1 or self.waypoint_dt_s <= 0:
            raise DataError(
                f"processor config: {len(self.cameras)} cameras, {self.waypoints} waypoints every {self.waypoint_dt_s} s; "
                "all must be positive"
            )
        if self.action_dims not in (2, 3):
            raise DataError(
                f"processor config: action_dims {self.action_dims} is neither 2 (x, y) nor 3 (x, y, heading)"
            )
        if any(horizon <= 0 for horizon in self.horizons_s):
            raise DataError(f"processor config: horizons {self.horizons_s} s must lie in the future")
        if not 0 <= self.question_rate <= 1:
            raise DataError(f"processor config: question_rate {self.question_rate} must lie in [0, 1]")

    @staticmethod
    def preset(size: Literal["tiny", "small", "paper"]) -> ProcessorConfig:
        """``tiny`` and ``small`` see 256x128 with a short prompt; ``paper`` sees 224x224 with Appendix D's prompt (N = 588)."""
        vision = VisionConfig.preset(size)
        short = PromptConfig(system="short")
        presets = {
            "tiny": ProcessorConfig(prompt=short),
            "small": ProcessorConfig(prompt=short, tokenizer="smollm2"),
            "paper": ProcessorConfig(
                image=ImageRule(224, 224, fit="stretch"), horizons_s=(1.0, 2.0, 3.0), action_dims=2, tokenizer="Qwen/Qwen2.5-0.5B-Instruct"
            ),
        }  # fmt: skip
        return replace(presets[size], patch_px=vision.patch_px, merge=vision.merge, token_width=vision.width)

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of one camera's visual tokens."""
        vision = VisionConfig(patch_px=self.patch_px, merge=self.merge)
        return vision.token_grid(self.image.height_px, self.image.width_px)

    @property
    def scene_tokens(self) -> int:
        """N: visual tokens of all cameras at one time."""
        rows, columns = self.token_grid
        return len(self.cameras) * rows * columns

    @property
    def ego_dims(self) -> int:
        """De: length of the ego vector."""
        return STATUS_DIMS + PAST_DIMS if self.past_motion else STATUS_DIMS

    @property
    def next_tokens(self) -> int:
        """H x N: placeholders of the next visual states."""
        return len(self.horizons_s) * self.scene_tokens


@dataclass(frozen=True)
class _Words:
    """Token ids of one sample: the prompt, then the answer (empty unless supervised)."""

    prompt: list[int]
    next_start: int
    answer: list[int]


class IKVLAProcessor:
    """Saved with the weights; a server needs nothing else to feed the model.

    Batches are padded on the right: every row starts at position 0 whatever its neighbours are, and no padding query ever stands
    before a real token. Answers continue from the same cache, `LanguageModel.decode_text` keeps the padding masked.
    """

    def __init__(self, config: ProcessorConfig, tokenizer: Any = None) -> None:
        self.config = config
        self.tokenizer = tokenizer if tokenizer is not None else load_tokenizer(_tokenizer_source(config), RESERVED)
        self._ids: dict[str, int] = {token: self.tokenizer.convert_tokens_to_ids(token) for token in RESERVED}

    @property
    def vocab(self) -> int:
        """Rows the language model's embedding table must have at least."""
        return len(self.tokenizer)

    @property
    def stop_id(self) -> int:
        """Token that ends an answer."""
        return self._ids["<answer_end>"]

    def with_normalizer(self, normalizer: TrajectoryNormalizer) -> IKVLAProcessor:
        return IKVLAProcessor(replace(self.config, normalizer=normalizer), self.tokenizer)

    def __call__(
        self,
        samples: Sequence[Sample] | Sequence[Observation],
        truths: Sequence[Truth | None] | None = None,
        training: bool = False,
        features: Features | None = None,
        rngs: Sequence[np.random.Generator] | None = None,
    ) -> dict[str, Any]:
        """One batch. B samples, C cameras, N visual tokens, H horizons, S text and visual positions, T waypoints, A action dims.

        Args:
            samples: Samples or Observations.
            truths: Truths of Observations, in training; not needed with Samples.
            training: Add the targets; every sample then needs a Truth.
            features: Cached tokens of the frozen encoder, by key; they replace images.
            rngs: One per sample, to draw training questions; None asks none but the Observation's own.

        Returns:
            keys: tuple of str.
            images: [B, C, 3, h, w] normalised; or current_tokens [B, N, Dv] with `features` or with vision ``none``.
            input_ids, position_ids: [B, S] int64. attention_mask: [B, S] bool, False at padding.
            scene_mask, ego_mask, next_mask: [B, S] bool: where visual tokens and the ego token are put in, where the next
                state is read out; row-major order is (camera, row, column) and (horizon, camera, row, column).
            ego_vector: [B, De]: vx, vy / 15, 1 m/s; ax, ay / 3 m/s2; yaw rate / 0.5 rad/s; steering / 0.5 rad; command one-hot
                (right, left, forward); with `past_motion` its twelve numbers. All but the command are zero in the ego ablation.
            In training also labels: [B, S] int64, the token itself at answer positions (shift by one in the loss), else -100;
            trajectory: [B, T, A] normalised; trajectory_valid: [B, T] bool; future_images: [B, H, C, 3, h, w] or, with
            `features`, future_tokens: [B, H, N, Dv]; future_valid: [B, H] bool.

        Raises:
            DataError: a camera, a Truth, or a key of `features` is missing; a question holds a reserved token.
        """
        if not samples:
            raise DataError("processor: an empty batch; give at least one sample")
        observations = [sample.observation if isinstance(sample, Sample) else sample for sample in samples]
        known = _required_truths(samples, truths) if training else None
        batch: dict[str, Any] = {"keys": tuple(observation.key for observation in observations)}
        batch |= self._text(observations, known, rngs)
        batch["ego_vector"] = torch.stack([self._ego_vector(observation) for observation in observations])
        batch |= self._vision(observations, features)
        if known is not None:
            batch |= self._plans(known)
            batch |= self._future(observations, known, features)
        return batch

    def waypoints(self, future: Trajectory) -> Trajectory:
        """The poses the model plans, out of a longer or denser future; DataError when it is too short."""
        return future.resampled(self.config.waypoint_dt_s, self.config.waypoints)

    def denormalize(self, x0: Float[Tensor, "*batch T A"]) -> Float64[np.ndarray, "*batch T 3"]:
        """Normalised plans to poses in metres and radians."""
        values = x0.detach().cpu().double().numpy()
        if self.config.action_dims == 3:
            return self.config.normalizer.decode(values)
        padded = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
        xy = self.config.normalizer.decode(padded)[..., :2]
        return np.concatenate([xy, _path_headings(xy)[..., None]], axis=-1)

    def decode(self, x0: Float[Tensor, "T A"]) -> Trajectory:
        """One normalised plan to a Trajectory."""
        return Trajectory(self.denormalize(x0), self.config.waypoint_dt_s)

    def decode_answer(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def parse_plan(self, answer: str) -> Trajectory:
        """A plan written as text (`plan_as_text`); poses that it lacks are not valid."""
        xy, valid = parse_trajectory(answer, self.config.waypoints)
        return Trajectory(np.column_stack([xy, _path_headings(xy)]), self.config.waypoint_dt_s, valid)

    def save(self, folder: Path) -> None:
        """Write ``processor.json`` and ``tokenizer/``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).write_text(json.dumps(asdict(self.config), indent=2) + "\n")
        self.tokenizer.save_pretrained(str(folder / TOKENIZER_FOLDER))

    @staticmethod
    def load(folder: Path) -> IKVLAProcessor:
        """Read what `save` wrote."""
        path = Path(folder) / CONFIG_FILE
        if not path.is_file():
            raise DataError(f"{folder} holds no {CONFIG_FILE}; give the folder of a saved model")
        tokenizer = load_tokenizer(Path(folder) / TOKENIZER_FOLDER, RESERVED)
        return IKVLAProcessor(_config_from_json(json.loads(path.read_text())), tokenizer)

    def _text(
        self,
        observations: Sequence[Observation],
        truths: Sequence[Truth] | None,
        rngs: Sequence[np.random.Generator] | None,
    ) -> dict[str, Tensor]:
        rows = []
        for index, observation in enumerate(observations):
            truth = truths[index] if truths is not None else None
            rng = rngs[index] if rngs is not None else None
            rows.append(self._words(observation, *self._question(observation, truth, rng)))
        length = max(len(row.prompt) + len(row.answer) for row in rows)
        shape = (len(rows), length)
        ids = torch.full(shape, int(self.tokenizer.pad_token_id), dtype=torch.long)
        mask, next_mask = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
        labels = torch.full(shape, IGNORED_LABEL, dtype=torch.long)
        for row, words in enumerate(rows):
            start, end = len(words.prompt), len(words.prompt) + len(words.answer)
            ids[row, :end] = torch.tensor(words.prompt + words.answer)
            mask[row, :end] = True
            next_mask[row, words.next_start : words.next_start + self.config.next_tokens] = True
            labels[row, start:end] = torch.tensor(words.answer, dtype=torch.long)
        tensors = {
            "input_ids": ids, "attention_mask": mask, "position_ids": positions(mask), "next_mask": next_mask,
            "scene_mask": ids == self._ids[SCENE], "ego_mask": ids == self._ids[EGO],
        }  # fmt: skip
        return tensors if truths is None else tensors | {"labels": labels}

    def _words(self, observation: Observation, question: str | None, answer: str | None) -> _Words:
        """Ids of one conversation; `<SCENE>` and the assistant's block are spelled out N and H x N times."""
        head: list[int] = []
        for token in self._encode(prompt_head(observation, self.config.prompt, question)):
            head += [token] * (self.config.scene_tokens if token == self._ids[SCENE] else 1)
        head.append(self._ids["<next_start>"])
        block = [self._ids[NEXT_STATE]] * self.config.next_tokens + [self._ids["<next_end>"]]
        answered = question is not None or self.config.plan_as_text
        opening = [self._ids["<answer_start>"]] if answered else []
        return _Words(
            head + block + opening, len(head), self._encode(answer_text(answer)) if answer is not None else []
        )

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _question(
        self, observation: Observation, truth: Truth | None, rng: np.random.Generator | None
    ) -> tuple[str | None, str | None]:
        """The question to ask and, in training, its answer."""
        if self.config.plan_as_text:
            plan = self.waypoints(truth.future).xy if truth is not None else None
            return None, trajectory_text(plan, self.config.prompt.decimals) if plan is not None else None
        if truth is None:
            return observation.question, None
        if observation.question is not None:
            answers = [qa.answer for qa in truth.qa if qa.question == observation.question]
            return observation.question, answers[0] if answers else None
        if rng is None or not truth.qa or rng.random() >= self.config.question_rate:
            return None, None
        qa = truth.qa[int(rng.integers(len(truth.qa)))]
        return qa.question, qa.answer

    def _ego_vector(self, observation: Observation) -> Float32[Tensor, " De"]:
        status = ego_status_vector(observation.ego)
        past = past_motion(observation) if self.config.past_motion else np.zeros(0)
        if self.config.prompt.ego == "none":
            status, past = np.zeros_like(status), np.zeros_like(past)
        command = [float(observation.command.maneuver is maneuver) for maneuver in COMMAND_ORDER]
        return torch.tensor([*status, *command, *past], dtype=torch.float32)

    def _vision(self, observations: Sequence[Observation], features: Features | None) -> dict[str, Tensor]:
        if self.config.vision == "none":
            return {"current_tokens": torch.zeros(len(observations), self.config.scene_tokens, self.config.token_width)}
        if features is not None:
            return {"current_tokens": torch.stack([_float(_lookup(features, o.key)[0]) for o in observations])}
        return {"images": torch.stack([self._images(o, o.images[-1]) for o in observations])}

    def _images(self, observation: Observation, images: np.ndarray) -> Float32[Tensor, "C 3 h w"]:
        """Normalised images of the wanted cameras from (C_rig, H, W, 3) uint8 in the rig's order."""
        observation.rig.select(self.config.cameras)  # names what is missing
        names = observation.rig.names
        return normalize(self.config.image.images(images[[names.index(name) for name in self.config.cameras]]))

    def _plans(self, truths: Sequence[Truth]) -> dict[str, Tensor]:
        plans = [self.waypoints(truth.future) for truth in truths]
        poses = np.stack([np.where(plan.valid[:, None], plan.poses, 0.0) for plan in plans])
        values = self.config.normalizer.encode(poses)[..., : self.config.action_dims]
        return {
            "trajectory": torch.from_numpy(values).float(),
            "trajectory_valid": torch.from_numpy(np.stack([plan.valid for plan in plans])),
        }

    def _future(
        self, observations: Sequence[Observation], truths: Sequence[Truth], features: Features | None
    ) -> dict[str, Tensor]:
        if features is not None:
            found = [_lookup(features, observation.key) for observation in observations]
            return {
                "future_tokens": torch.stack([_float(tokens) for _, tokens, _ in found]),
                "future_valid": torch.stack([torch.as_tensor(valid, dtype=torch.bool) for _, _, valid in found]),
            }
        pairs = [self._future_images(observation, truth) for observation, truth in zip(observations, truths)]
        return {
            "future_images": torch.stack([images for images, _ in pairs]),
            "future_valid": torch.stack([valid for _, valid in pairs]),
        }

    def _future_images(self, observation: Observation, truth: Truth) -> tuple[Tensor, Tensor]:
        """[H, C, 3, h, w] and [H]: frames at the horizons; a horizon without a frame is zeros and not valid."""
        rule, horizons = self.config.image, self.config.horizons_s
        frames = torch.zeros(len(horizons), len(self.config.cameras), 3, rule.height_px, rule.width_px)
        valid = torch.zeros(len(horizons), dtype=torch.bool)
        for index, horizon in enumerate(horizons):
            row = _future_row(truth, horizon)
            if row is not None and truth.future_images is not None:
                frames[index] = self._images(observation, truth.future_images[row])
                valid[index] = True
        return frames, valid


def _tokenizer_source(config: ProcessorConfig) -> str | Path:
    if config.tokenizer == SMOLLM2:
        return find_smollm2()
    return TINY_TOKENIZER if config.tokenizer == "tiny" else config.tokenizer


def ego_status_vector(status: EgoStatus) -> Float64[np.ndarray, "6"]:
    """vx, vy, ax, ay, yaw rate, steering, each divided by its scale."""
    return status.as_array() / EGO_SCALE


def past_motion(observation: Observation) -> Float64[np.ndarray, "12"]:
    """The last three half seconds, newest first: how the mean velocity changed up to the next one (up to now for the first), x and y
    divided by 3 m/s2; mean yaw rates / 0.5 rad/s; whether each half second is known. What is not known is zero.

    The prompt has the same past in digits, from which a small language model does not take differences well.
    """
    poses = [np.zeros(3), *(pose_at(observation.history, step) for step in range(1, PAST_STEPS + 1))]
    newer, newer_s = np.array(observation.ego.velocity_mps), HISTORY_STEP_S / 2  # from a half second's middle to now
    changes, turns, known = np.zeros((PAST_STEPS, 2)), np.zeros(PAST_STEPS), np.zeros(PAST_STEPS)
    for row, (after, before) in enumerate(pairwise(poses)):
        if after is None or before is None:
            break
        velocity = (after[:2] - before[:2]) / HISTORY_STEP_S
        changes[row] = (newer - velocity) / newer_s
        turns[row] = wrap_angle(after[2] - before[2]) / HISTORY_STEP_S
        known[row] = 1.0
        newer, newer_s = velocity, HISTORY_STEP_S
    return np.concatenate([changes.ravel() / EGO_SCALE[2], turns / EGO_SCALE[4], known])


def _required_truths(
    samples: Sequence[Sample] | Sequence[Observation], truths: Sequence[Truth | None] | None
) -> list[Truth]:
    if truths is None:
        truths = [sample.truth if isinstance(sample, Sample) else None for sample in samples]
    if len(truths) != len(samples):
        raise DataError(f"processor: {len(truths)} truths for {len(samples)} samples; give one each")
    known = [truth for truth in truths if truth is not None]
    if len(known) != len(samples):
        key = next(samples[row].key for row, truth in enumerate(truths) if truth is None)
        raise DataError(f"sample {key} has no Truth; training needs one (use training=False to plan)")
    return known


def _lookup(features: Features, key: str) -> tuple[Any, Any, Any]:
    if callable(features):
        return features(key)
    if key not in features:
        raise DataError(f"no cached features for sample {key}; rebuild the feature cache for this source")
    return features[key]


def _float(array: Any) -> Tensor:
    return torch.as_tensor(array).float()


def _future_row(truth: Truth, horizon_s: float) -> int | None:
    if truth.future_image_times_s is None or truth.future_images_valid is None:
        return None
    near = np.abs(np.asarray(truth.future_image_times_s) - horizon_s) < 1e-3
    rows = np.flatnonzero(near & np.asarray(truth.future_images_valid))
    return int(rows[0]) if len(rows) else None


def _path_headings(xy: np.ndarray) -> np.ndarray:
    """(..., T) heading of each step of a path that starts at the origin; a step below 0.1 m keeps the heading before it."""
    steps = np.diff(xy, axis=-2, prepend=np.zeros_like(xy[..., :1, :]))
    headings = np.arctan2(steps[..., 1], steps[..., 0])
    held = np.zeros(headings.shape[:-1])
    for t in range(headings.shape[-1]):
        moved = np.hypot(steps[..., t, 0], steps[..., t, 1]) >= 0.1
        held = np.where(moved, headings[..., t], held)
        headings[..., t] = held
    return headings


def _config_from_json(record: dict[str, Any]) -> ProcessorConfig:
    parts = {
        "cameras": tuple(record["cameras"]),
        "horizons_s": tuple(record["horizons_s"]),
        "image": ImageRule(**record["image"]),
        "prompt": PromptConfig(**record["prompt"]),
        "normalizer": TrajectoryNormalizer(
            _nested(np.array(record["normalizer"]["low"])), _nested(np.array(record["normalizer"]["high"]))
        ),
    }
    return ProcessorConfig(**(record | parts))
