"""Everything that shapes an IK-VLA, frozen and JSON-friendly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import pairwise
from typing import Any, Literal, get_args, get_type_hints

from eyesup.nn.diffusion.schedule import DiffusionConfig
from eyesup.nn.language.model import LanguageConfig
from eyesup.nn.position.patches import TokenGrid
from eyesup.nn.vision.encoder import VisionConfig
from eyesup.types import DataError

NextSource = Literal["pred", "oracle", "shuffled", "zeros"]
DecoderKind = Literal["ik_diffusion", "ik_attnpool_mlp", "llm_mlp", "llm_text"]
IGNORED_LABEL = -100  # of a position that carries no loss (the convention of transformers)


@dataclass(frozen=True)
class NextStateConfig:
    """The predicted future visual tokens s_hat and their target s*.

    Attributes:
        horizons_s: Times of the predicted frames in seconds; H of them.
        target: ``next`` predicts the frames at the horizons, ``current`` the present frame (ablation), ``none`` has the
            placeholders but no loss on them (ablation).
        readout_mask: ``causal``, or ``bidirectional`` among the placeholders.
        head: ``identity`` reads the hidden states as they are; ``linear`` applies W_o.
        target_norm: LayerNorm (without affine) on s*, against collapse.
        ema: Decay of an averaged copy of the projector that makes s*; None uses the projector itself (stop-gradient).
    """

    horizons_s: tuple[float, ...] = (1.0, 2.0, 3.0)
    target: Literal["next", "current", "none"] = "next"
    readout_mask: Literal["causal", "bidirectional"] = "causal"
    head: Literal["identity", "linear"] = "identity"
    target_norm: bool = True
    ema: float | None = None

    def __post_init__(self) -> None:
        times = self.horizons_s
        if not times or times[0] <= 0 or any(b <= a for a, b in pairwise(times)):
            raise DataError(f"next state: horizons {times} s must be positive and increasing, at least one")
        if self.ema is not None and not 0 < self.ema < 1:
            raise DataError(f"next state: EMA decay {self.ema} must lie in (0, 1); None switches it off")

    @property
    def horizons(self) -> int:
        """H."""
        return len(self.horizons_s)


@dataclass(frozen=True)
class DecoderConfig:
    """What writes the trajectory.

    Attributes:
        kind: ``ik_diffusion`` (the paper's), ``ik_attnpool_mlp`` (no diffusion), ``llm_mlp`` (no IK network: an MLP on a
            hidden state of the language model), ``llm_text`` (the trajectory as text, OpenDriveVLA-style).
        width, heads, blocks, mlp_ratio, self_attention: Size of the IK network.
        current_source: Present tokens as the ``encoder`` gives them, or after the ``projector``.
        next_source: ``pred`` is s_hat. Diagnostics: ``oracle`` is s* (needs the true future), ``shuffled`` another
            sample's s_hat, ``zeros`` none.
        waypoints, dt_s: T and the step of the plan in seconds.
        action_dim: A = 3: x, y, heading; A = 2: x, y.
        diffusion: Noise schedule and sampler.
        noise_draws: Noise levels drawn per training sample. They share its visual tokens, so that several cost little more
            than the paper's one, and the gradient is less noisy.
        alternatives: Plans drawn per observation from one pass of the language model. A single draw of an uncertain future
            lies farther from it than the middle of many.
        headline: Of several alternatives the plan is the ``first`` or the ``medoid`` (least mean distance to the others).
    """

    kind: DecoderKind = "ik_diffusion"
    width: int = 512
    heads: int = 8
    blocks: int = 2
    mlp_ratio: int = 4
    self_attention: bool = True
    current_source: Literal["encoder", "projector"] = "encoder"
    next_source: NextSource = "pred"
    waypoints: int = 6
    dt_s: float = 0.5
    action_dim: Literal[2, 3] = 3
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    noise_draws: int = 1
    alternatives: int = 1
    headline: Literal["first", "medoid"] = "medoid"

    def __post_init__(self) -> None:
        if self.kind not in get_args(DecoderKind):
            raise DataError(f"decoder: kind {self.kind!r} is none of {get_args(DecoderKind)}")
        check_next_source(self.next_source)
        if self.action_dim not in (2, 3):
            raise DataError(f"decoder: action_dim {self.action_dim} must be 2 (x, y) or 3 (x, y, heading)")
        if self.noise_draws < 1 or self.alternatives < 1:
            raise DataError(
                f"decoder: noise_draws {self.noise_draws} and alternatives {self.alternatives} must be at least 1"
            )
        if self.width % (2 * self.heads):
            raise DataError(f"decoder: width {self.width} must be a multiple of 2 x heads = {2 * self.heads}")


@dataclass(frozen=True)
class IKVLAConfig:
    """One IK-VLA. What it is shown in words and pictures is the processor's matter (`ProcessorConfig`).

    Attributes:
        vision, language: The encoder and the language model.
        grid: Layout of the visual tokens of one frame (cameras x rows x columns).
        ego_dim: De, length of the ego vector.
        ego_width: Hidden width of the ego encoder.
        next_state, decoder: The two halves of the method.
    """

    vision: VisionConfig = field(default_factory=VisionConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    grid: TokenGrid = field(default_factory=TokenGrid)
    ego_dim: int = 9
    ego_width: int = 256
    next_state: NextStateConfig = field(default_factory=NextStateConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)


def check_next_source(source: str) -> None:
    if source not in get_args(NextSource):
        raise DataError(f"next_source {source!r} is none of {get_args(NextSource)}")


def from_mapping(kind: type, values: Mapping[str, Any]) -> Any:
    """A (nested) config from what `dataclasses.asdict` and JSON made of it; DataError names an unknown field."""
    hints = get_type_hints(kind)
    names = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise DataError(f"{kind.__name__}: unknown field(s) {unknown}; was this written by a newer version?")
    return kind(**{name: _restore(hints[name], value) for name, value in values.items()})


def _restore(hint: Any, value: Any) -> Any:
    if is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(hint, value)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value
