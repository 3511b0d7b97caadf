"""IK-VLA: a language model foresees the next view, inverse kinematics finds the motion that leads there.

    images --f_enc--> v_t --g--> z_t --+
    ego vector --MLP--> ego token -----+--> LLM --> s_hat at <NEXT_STATE>  <--MSE--> s* = sg(g(f_enc(future images)))
    prompt --------------------------- +             |
    placeholders --------------------- +             v
                         v_t ------------------> IK network --> trajectory

Source: "Grounding Driving VLA via Inverse Kinematics" (arXiv 2605.21061). Notation: v_t current visual tokens
[B, N, Dv], z_t projected ones [B, N, Dl], s_hat predicted and s_star true next state [B, H, N, Dl].

Departures, each a config switch or a stated choice: v_t is standardised with statistics of the training set, because raw
encoder channels differ in scale by orders of magnitude; placeholders know their camera, patch and horizon; the target may
be layer-normalised.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from eyesup.models.ik_vla.config import IGNORED_LABEL, DecoderConfig, IKVLAConfig, NextSource, check_next_source
from eyesup.nn.heads.decoder import DecoderTerms, TrajectoryDecoder
from eyesup.nn.heads.ik import IKDiffusionDecoder, IKNetwork
from eyesup.nn.heads.regression import AttentionPoolDecoder, HiddenMLPDecoder
from eyesup.nn.language.model import LanguageModel, last_index
from eyesup.nn.position.patches import INIT_STD, PatchPosition
from eyesup.nn.vision.encoder import VisualEncoder
from eyesup.types import DataError

Batch = Mapping[str, Any]
MIN_TOKEN_STD = 1e-4  # channels that never vary are left at zero instead of being blown up


@dataclass(frozen=True)
class Readout:
    """What the language model gives.

    Attributes:
        hidden: [B, S, Dl] last hidden states.
        next_state: [B, H, N, Dl] s_hat.
        plan: [B, Dl] hidden state after the last placeholder.
        cache: Keys and values to decode text from, or None.
    """

    hidden: Tensor
    next_state: Tensor
    plan: Tensor
    cache: Any = None


@dataclass(frozen=True)
class IKVLAOutputs:
    """One training forward pass; objectives turn it into losses.

    Attributes:
        next_state: [B, H, N, Dl] s_hat.
        next_target: [B, H, N, Dl] s*, without gradient; None without future tokens or with ``target="none"``.
        next_valid: [B, H] bool; False where there is no future frame.
        target_std, target_std_initial: Spread of s* over tokens now and when training began (scalars), or None without s*.
        decoder: Prediction and target of the trajectory decoder; None for ``llm_text`` or without a trajectory.
        answer_logits, answer_targets: [M, V] and [M], labelled positions only; None without labels in the batch.
        text_is_plan: The labelled positions spell the trajectory (``llm_text``), not an answer.
    """

    next_state: Tensor
    next_target: Tensor | None = None
    next_valid: Tensor | None = None
    target_std: Tensor | None = None
    target_std_initial: Tensor | None = None
    decoder: DecoderTerms | None = None
    answer_logits: Tensor | None = None
    answer_targets: Tensor | None = None
    text_is_plan: bool = False


class IKVLA(nn.Module):
    """The model. Batches are mappings of tensors as the processor makes them (see `eyesup.models.ik_vla.processor`)."""

    def __init__(
        self, config: IKVLAConfig, encoder: VisualEncoder | None = None, language: LanguageModel | None = None
    ) -> None:
        """`encoder`, `language`: already trained parts; None builds or loads what `config` describes."""
        super().__init__()
        self.encoder = encoder if encoder is not None else VisualEncoder(config.vision)
        self.language = language if language is not None else LanguageModel(config.language)
        self.config = replace(config, vision=self.encoder.config, language=self.language.config)
        dv, dl, grid, horizons = self.encoder.width, self.language.width, config.grid, config.next_state.horizons
        self.projector = mlp(dv, dl, dl)
        self.ego_encoder = mlp(config.ego_dim, config.ego_width, dl)
        self.placeholder = nn.Parameter(torch.randn(dl) * INIT_STD)
        self.placeholder_position = PatchPosition(grid, dl, frames=horizons)
        self.read_out = nn.Linear(dl, dl) if config.next_state.head == "linear" else nn.Identity()
        norm = nn.LayerNorm(dl, elementwise_affine=False) if config.next_state.target_norm else nn.Identity()
        self.target_norm = norm
        self.target_projector = None
        if config.next_state.ema is not None:
            self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.decoder = build_decoder(config, dv, dl)
        self.token_mean: Tensor
        self.token_std: Tensor
        self.target_std_initial: Tensor  # 0 until the first target was seen; a buffer, so that resuming keeps it
        self.register_buffer("token_mean", torch.zeros(dv))
        self.register_buffer("token_std", torch.ones(dv))
        self.register_buffer("target_std_initial", torch.zeros(()))

    # -- the figure, left to right

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> IKVLAOutputs:
        """One training pass. Diffusion noise comes from `generator`, or from torch's default one."""
        tokens = self.current_tokens(batch)
        readout = self.read(batch, tokens)
        target, valid = self.next_target(batch, tokens)
        terms = None
        if self.decoder is not None and "trajectory" in batch:
            context = self.decoder_context(tokens, readout, target)
            with torch.autocast(tokens.device.type, enabled=False):
                terms = self.decoder.terms(context, batch["trajectory"].float(), generator)
        std, initial_std = self._target_spread(target, valid)
        logits, words = self._answers(batch, readout.hidden)
        return IKVLAOutputs(
            next_state=readout.next_state, next_target=target, next_valid=valid, target_std=std, target_std_initial=initial_std,
            decoder=terms, answer_logits=logits, answer_targets=words, text_is_plan=self.decoder is None,
        )  # fmt: skip

    def current_tokens(self, batch: Batch) -> Float[Tensor, "B N Dv"]:
        """Standardised v_t, from cached features when the batch has them, else from images."""
        raw = batch["current_tokens"] if "current_tokens" in batch else self.encoder(batch["images"])
        if raw.shape[1] != self.config.grid.tokens:
            raise DataError(
                f"{raw.shape[1]} visual tokens per sample, but the model's grid {self.config.grid} has "
                f"{self.config.grid.tokens}; image size, patch merge or cameras differ from those trained with"
            )
        return self.standardize(raw)

    def future_tokens(self, batch: Batch) -> Float[Tensor, "B H N Dv"]:
        """Standardised tokens of the true future frames, cached or from images."""
        if "future_tokens" in batch:
            return self.standardize(batch["future_tokens"])
        images = batch["future_images"]  # (B, H, C, 3, h, w)
        return self.standardize(self.encoder(images.flatten(0, 1)).unflatten(0, images.shape[:2]))

    def standardize(self, tokens: Float[Tensor, "*rows Dv"]) -> Float[Tensor, "*rows Dv"]:
        """Zero mean and unit variance per channel over the training set (`fit_token_stats`)."""
        return (tokens.float() - self.token_mean) / self.token_std

    def read(self, batch: Batch, tokens: Float[Tensor, "B N Dv"], use_cache: bool = False) -> Readout:
        """Prompt, visual tokens, ego token and placeholders through the language model; s_hat at the placeholders."""
        next_mask = batch["next_mask"]
        both_ways = next_mask if self.config.next_state.readout_mask == "bidirectional" else None
        output = self.language(
            self.embed(batch, tokens), batch["attention_mask"].bool(), bidirectional=both_ways, use_cache=use_cache
        )
        hidden = output.hidden
        grid, horizons = self.config.grid, self.config.next_state.horizons
        states = hidden[next_mask].view(len(hidden), horizons, grid.tokens, -1)  # (B, H, N, Dl)
        after = last_index(next_mask) + 1
        plan = hidden[torch.arange(len(hidden), device=hidden.device), after.clamp(max=hidden.shape[1] - 1)]
        return Readout(hidden, self.read_out(states.float()), plan, output.cache)

    def embed(self, batch: Batch, tokens: Float[Tensor, "B N Dv"]) -> Float[Tensor, "B S Dl"]:
        """Word embeddings, with visual, ego and placeholder embeddings written over their positions."""
        words = self.language.embed(batch["input_ids"])
        placeholders = self.placeholder + self.placeholder_position()  # (H, N, Dl)
        parts = {
            "scene_mask": self.projector(tokens),
            "ego_mask": self.ego_encoder(batch["ego_vector"].float())[:, None],
            "next_mask": placeholders.flatten(0, 1).expand(len(words), -1, -1),
        }
        for name, part in parts.items():
            mask = batch[name]
            check_counts(name, mask, part.shape[1])
            words = words.masked_scatter(mask[..., None], part.to(words.dtype))
        return words

    @torch.no_grad()
    def next_target(
        self, batch: Batch, tokens: Float[Tensor, "B N Dv"]
    ) -> tuple[Float[Tensor, "B H N Dl"] | None, Bool[Tensor, "B H"] | None]:
        """s* and where it is valid; (None, None) without a target."""
        settings = self.config.next_state
        self._update_target_projector()
        if settings.target == "none" or (settings.target == "next" and "future_valid" not in batch):
            return None, None
        if settings.target == "current":
            future = tokens[:, None].expand(-1, settings.horizons, -1, -1)
            valid = torch.ones(future.shape[:2], dtype=torch.bool, device=tokens.device)
        else:
            future, valid = self.future_tokens(batch), batch["future_valid"]
        projector = self.projector if self.target_projector is None else self.target_projector
        return self.target_norm(projector(future).float()), valid

    def decoder_context(
        self, tokens: Float[Tensor, "B N Dv"], readout: Readout, target: Tensor | None, source: NextSource | None = None
    ) -> Any:
        """What the trajectory is decoded from. A ``visual`` decoder gets two tensors of visual tokens, nothing else."""
        assert self.decoder is not None
        with torch.autocast(tokens.device.type, enabled=False):
            if self.decoder.reads == "hidden":
                return self.decoder.context(readout.plan.float())
            current = tokens if self.config.decoder.current_source == "encoder" else self.projector(tokens)
            next = next_tokens(readout.next_state, target, source or self.config.decoder.next_source)
            return self.decoder.context(current.float(), next.float())

    @torch.no_grad()
    def sample(
        self,
        batch: Batch,
        generators: Sequence[torch.Generator],
        samples: int = 1,
        source: NextSource | None = None,
    ) -> Float[Tensor, "B K T A"]:
        """Normalised trajectories, one generator each (see `TrajectoryDecoder.sample`)."""
        tokens = self.current_tokens(batch)
        return self.decode(batch, tokens, self.read(batch, tokens), generators, samples, source)

    @torch.no_grad()
    def decode(
        self, batch: Batch, tokens: Tensor, readout: Readout, generators: Sequence[torch.Generator], samples: int = 1,
        source: NextSource | None = None,
    ) -> Float[Tensor, "B K T A"]:  # fmt: skip
        """The last stage of `sample`. Future tokens in the batch are read for ``oracle`` only."""
        if self.decoder is None:
            raise DataError("decoder llm_text writes its trajectory as text; decode the text instead of sampling")
        source = source or self.config.decoder.next_source
        target = self.next_target(batch, tokens)[0] if source == "oracle" else None
        return self.decoder.sample(self.decoder_context(tokens, readout, target, source), generators, samples)

    # -- training details

    def _answers(self, batch: Batch, hidden: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Logits at labelled positions only: the whole table for every position would dwarf the model."""
        labels = batch.get("labels")
        if labels is None:
            return None, None
        wanted = labels[:, 1:] != IGNORED_LABEL  # position s predicts token s + 1
        logits = self.language.causal_lm.lm_head(hidden[:, :-1][wanted])
        return logits, labels[:, 1:][wanted]

    @torch.no_grad()
    def _target_spread(self, target: Tensor | None, valid: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Standard deviation of s* over tokens, averaged over channels, and its first value."""
        if target is None or valid is None:
            return None, None
        if not valid.any():
            return self.target_std_initial.clone(), self.target_std_initial.clone()
        std = target[valid].flatten(0, 1).std(dim=0).mean()
        if self.training and self.target_std_initial == 0:
            self.target_std_initial.copy_(std)
        return std, self.target_std_initial.clone()

    @torch.no_grad()
    def _update_target_projector(self) -> None:
        """Once per training forward pass, as batch norm updates its statistics."""
        if self.target_projector is None or not self.training:
            return
        pairs = zip(self.target_projector.parameters(), self.projector.parameters())
        for averaged, parameter in pairs:
            averaged.lerp_(parameter, 1 - self.config.next_state.ema)  # type: ignore[operator]

    @torch.no_grad()
    def fit_token_stats(self, tokens: Iterable[Float[Tensor, "... Dv"]]) -> None:
        """Set mean and standard deviation per channel from encoder tokens of the training set."""
        count, total, square = 0, torch.zeros_like(self.token_mean).double(), torch.zeros_like(self.token_mean).double()
        for chunk in tokens:
            rows = chunk.flatten(0, -2).to(total)
            count, total, square = count + len(rows), total + rows.sum(0), square + rows.square().sum(0)
        if count < 2:
            raise DataError(f"token statistics need at least 2 tokens, got {count}")
        mean = total / count
        variance = square / count - mean.square()
        self.token_mean.copy_(mean)
        self.token_std.copy_(variance.clamp(min=0).sqrt().clamp(min=MIN_TOKEN_STD))


def mlp(width_in: int, width: int, width_out: int) -> nn.Sequential:
    """Linear, GELU, Linear (LLaVA's ``mlp2x_gelu``)."""
    return nn.Sequential(nn.Linear(width_in, width), nn.GELU(), nn.Linear(width, width_out))


def build_decoder(config: IKVLAConfig, encoder_dim: int, hidden_dim: int) -> TrajectoryDecoder | None:
    """The trajectory decoder that `config.decoder` names; None for ``llm_text``."""
    settings: DecoderConfig = config.decoder
    current_dim = encoder_dim if settings.current_source == "encoder" else hidden_dim
    plan = {"waypoints": settings.waypoints, "action_dim": settings.action_dim}
    visual: dict[str, Any] = {
        "grid": config.grid, "horizons": config.next_state.horizons, "current_dim": current_dim, "next_dim": hidden_dim,
        "width": settings.width, "heads": settings.heads, "mlp_ratio": settings.mlp_ratio, **plan,
    }  # fmt: skip
    if settings.kind == "ik_diffusion":
        network = IKNetwork(**visual, blocks=settings.blocks, self_attention=settings.self_attention)
        return IKDiffusionDecoder(network, settings.diffusion, settings.noise_draws)
    if settings.kind == "ik_attnpool_mlp":
        return AttentionPoolDecoder(**visual)
    if settings.kind == "llm_mlp":
        return HiddenMLPDecoder(hidden_dim=hidden_dim, width=settings.mlp_ratio * settings.width, **plan)
    return None


def next_tokens(
    predicted: Float[Tensor, "B H N Dl"], target: Float[Tensor, "B H N Dl"] | None, source: NextSource
) -> Float[Tensor, "B H N Dl"]:
    """Next-state tokens for the decoder; everything but ``pred`` is a diagnostic or an ablation.

    ``shuffled`` takes the s_hat of the batch's next sample, the last one that of the first: deterministic.
    """
    check_next_source(source)
    if source == "pred":
        return predicted
    if source == "zeros":
        return torch.zeros_like(predicted)
    if source == "shuffled":
        if len(predicted) < 2:
            raise DataError("next_source 'shuffled' needs another sample in the batch; plan at least 2 observations")
        return predicted.roll(-1, dims=0)
    if target is None:
        raise DataError("next_source 'oracle' needs future tokens in the batch; they exist with Truth only")
    return target


def check_counts(name: str, mask: Bool[Tensor, "B S"], expected: int) -> None:
    """Every row must mark exactly as many positions as there are embeddings to write."""
    counts = mask.sum(dim=1)
    if (counts != expected).any():
        raise DataError(f"batch {name}: rows mark {counts.tolist()} positions, expected {expected} each")
