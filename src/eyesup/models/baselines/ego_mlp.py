"""A multilayer perceptron on ego status, history and command: no image ever reaches it.

Follows AD-MLP (Zhai et al. 2023, "Rethinking the Open-Loop Evaluation of End-to-End Autonomous Driving in nuScenes"): past
trajectory, velocity, acceleration and command in, waypoints out. How well it scores is how much of a benchmark can be
had without looking.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyesup.types import DataError, Maneuver, Observation, Prediction, Sample, Trajectory

FAMILY = "ego_mlp"
MANEUVERS = tuple(Maneuver)
EGO_FEATURES = 6  # vx, vy, ax, ay, yaw rate, steering
POSE_FEATURES = 4  # x, y, heading, known
STEERING = EGO_FEATURES - 1
MIN_SPREAD = 1e-3  # what varies less counts as constant


@dataclass(frozen=True)
class EgoMLPConfig:
    """Sizes of the network, of what it is told and of what it plans.

    Attributes:
        width: Hidden units per layer.
        layers: Hidden layers.
        history_steps: Past poses used, newest first, `dt_s` apart.
        waypoints: Planned poses, `dt_s` apart.
        dt_s: Step of history and plan in seconds.
    """

    width: int = 256
    layers: int = 3
    history_steps: int = 4
    waypoints: int = 6
    dt_s: float = 0.5

    @property
    def features(self) -> int:
        return EGO_FEATURES + POSE_FEATURES * self.history_steps + len(MANEUVERS)


class EgoMLP(nn.Module):
    """Planner and network in one. Normalisation is part of the weights.

    Args:
        config: Sizes.
    """

    name = "ego-status MLP"
    privileged = False
    feature_mean: Tensor
    feature_spread: Tensor
    target_mean: Tensor
    target_spread: Tensor

    def __init__(self, config: EgoMLPConfig = EgoMLPConfig()) -> None:
        super().__init__()
        self.config = config
        widths = [config.features] + [config.width] * config.layers
        hidden = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.SiLU())]
        self.network = nn.Sequential(*hidden, nn.Linear(widths[-1], config.waypoints * 3))
        self.register_buffer("feature_mean", torch.zeros(config.features))
        self.register_buffer("feature_spread", torch.ones(config.features))
        self.register_buffer("target_mean", torch.zeros(config.waypoints, 3))
        self.register_buffer("target_spread", torch.ones(config.waypoints, 3))

    def forward(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B T 3"]:
        """Waypoint poses (x, y [m], heading [rad]) in the ego frame."""
        normalised = (features - self.feature_mean) / self.feature_spread
        out = self.network(normalised).unflatten(-1, (self.config.waypoints, 3))
        return out * self.target_spread + self.target_mean

    @torch.no_grad()
    def plan(self, observations: Sequence[Observation], seed: int = 0) -> list[Prediction]:
        """One plan each; deterministic, `seed` changes nothing."""
        if not observations:
            return []
        features = torch.from_numpy(np.stack([encode(o, self.config) for o in observations]))
        poses = self(features.to(self.feature_mean.device)).double().cpu().numpy()
        return [Prediction(o.key, Trajectory(path, self.config.dt_s)) for o, path in zip(observations, poses)]

    def fit(
        self,
        samples: Sequence[Sample],
        seed: int = 0,
        steps: int = 500,
        learning_rate: float = 2e-3,
        batch_size: int = 512,
        progress: Callable[[int, float], None] | None = None,
    ) -> list[float]:
        """Train from new weights (AdamW, cosine decay, mean absolute error).

        Every sample counts twice: as it is, and as recorded benchmarks show it, which measure no steering and, in NAVSIM's
        case, show half a second less of the past. Waypoints without truth take no part in the loss.

        Args:
            samples: With Truth; it may end before the last waypoint.
            seed: Of the initial weights and of the order of the batches.
            steps: Optimiser steps.
            learning_rate: At the start.
            batch_size: Rows per step, two per sample; as many as there are, or more, trains on all at once.
            progress: Told each step's number, from 1, and loss.

        Returns:
            The loss of each step, in units of the targets' spread.

        Raises:
            DataError: There is no sample, or none has a valid future pose.
        """
        if not samples:
            raise DataError("ego_mlp: 0 samples; training needs at least one")
        features = torch.from_numpy(np.stack([encode(s.observation, self.config) for s in samples]))
        targets, valid = (torch.from_numpy(np.stack(column)) for column in zip(*(self._target(s) for s in samples)))
        known = valid.any(-1)
        if not known.any():
            raise DataError(f"ego_mlp: none of {len(samples)} samples has a valid future pose; nothing to learn from")
        features, targets, valid = features[known], targets[known], valid[known]
        features = torch.cat([features, _as_recorded(features, self.config)])
        targets, valid = targets.repeat(2, 1, 1), valid.repeat(2, 1)
        self._initialise(seed)
        self._set_normalisation(features, targets, valid)
        optimiser = torch.optim.AdamW(self.parameters(), lr=learning_rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        losses: list[float] = []
        for rows in itertools.islice(_batches(len(features), batch_size, seed), steps):
            error = (self(features[rows]) - targets[rows]).abs() / self.target_spread
            loss = error[valid[rows]].mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
            if progress is not None:
                progress(len(losses), losses[-1])
        return losses

    def _initialise(self, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for part in self.network:
                if isinstance(part, nn.Linear):
                    part.reset_parameters()

    def _set_normalisation(
        self, features: Float[Tensor, "B F"], targets: Float[Tensor, "B T 3"], valid: Bool[Tensor, "B T"]
    ) -> None:
        self.feature_mean.copy_(features.mean(0))
        # A constant (a flag that is always set, say) may be another one elsewhere; divided by almost nothing it would drown all else.
        spread = features.std(0, correction=0)
        self.feature_spread.copy_(torch.where(spread < MIN_SPREAD, 1.0, spread))
        weight = valid[..., None] / valid.sum(0).clamp_min(1)[:, None]
        mean = (targets * weight).sum(0)
        self.target_mean.copy_(mean)
        spread = ((targets - mean) ** 2 * weight).sum(0).sqrt()
        self.target_spread.copy_(spread.clamp_min(MIN_SPREAD))

    def _target(self, sample: Sample) -> tuple[Float[np.ndarray, "T 3"], Bool[np.ndarray, "T"]]:
        """Driven poses at the waypoints (zeros where unknown) and whether each is known."""
        if sample.truth is None:
            raise DataError(f"ego_mlp: sample {sample.key} has no truth; training needs a source with it")
        return _pick(sample.truth.future, self.config.dt_s, self.config.waypoints, f"sample {sample.key}: future")

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"family": FAMILY, **asdict(self.config)}, indent=2) + "\n")
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> EgoMLP:
        """Read what `save` wrote; DataError when the folder holds another family, unreadable weights or sizes that do not fit."""
        fields = json.loads((folder / "config.json").read_text())
        family = fields.pop("family", None)
        if family != FAMILY:
            raise DataError(f"{folder / 'config.json'}: family {family!r}, expected {FAMILY!r}")
        try:
            model = cls(EgoMLPConfig(**fields))
            model.load_state_dict(load_file(folder / "model.safetensors"))
        except (TypeError, RuntimeError, SafetensorError, OSError) as error:
            raise DataError(
                f"{folder}: config and weights do not fit ({error}); the checkpoint is damaged, copy it again"
            ) from error
        return model.eval()


def encode(observation: Observation, config: EgoMLPConfig) -> Float[np.ndarray, "F"]:
    """Network input: ego status, past poses with a known flag each, one-hot command. Float32."""
    poses, known = _pick(
        observation.history, -config.dt_s, config.history_steps, f"observation {observation.key}: history"
    )
    history = np.concatenate([poses, known[:, None]], axis=-1)
    command = [observation.command.maneuver is maneuver for maneuver in MANEUVERS]
    return np.concatenate([observation.ego.as_array(), history.ravel(), command]).astype(np.float32)


def _batches(rows: int, batch_size: int, seed: int) -> Iterator[Tensor | slice]:
    """Row numbers of one batch after the other without end, each pass in another order; a pass drops its short last batch."""
    rng = torch.Generator().manual_seed(seed)
    while True:
        if rows <= batch_size:
            yield slice(None)
            continue
        for batch in torch.randperm(rows, generator=rng).split(batch_size):
            if len(batch) == batch_size:
                yield batch


def _as_recorded(features: Float[Tensor, "B F"], config: EgoMLPConfig) -> Float[Tensor, "B F"]:
    """The same with the steering not measured and the oldest past pose not known."""
    seen = features.clone()
    seen[:, STEERING] = 0.0
    end = EGO_FEATURES + POSE_FEATURES * config.history_steps
    seen[:, max(end - POSE_FEATURES, EGO_FEATURES) : end] = 0.0
    return seen


def _pick(
    path: Trajectory, dt_s: float, steps: int, what: str
) -> tuple[Float[np.ndarray, "T 3"], Bool[np.ndarray, "T"]]:
    """Poses at dt_s, 2 dt_s, ... (zeros where unknown or past the end) and whether each is known. Float32."""
    stride = round(dt_s / path.dt_s)
    if stride < 1 or abs(stride * path.dt_s - dt_s) > 1e-6:
        raise DataError(f"{what} has dt_s {path.dt_s:g} s, which does not divide {dt_s:g} s")
    rows = stride * np.arange(1, steps + 1) - 1
    known = np.zeros(steps, dtype=bool)
    inside = rows < len(path)
    known[inside] = path.valid[rows[inside]]
    poses = np.zeros((steps, 3), dtype=np.float32)
    poses[known] = path.poses[rows[known]]
    return poses, known
