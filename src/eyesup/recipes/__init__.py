"""Named runs. The catalogue is literal: reading it imports nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from eyesup.types import DataError

if TYPE_CHECKING:
    from eyesup.recipes.base import RunConfig

RECIPES = {
    "encoder_tiny": "eyesup.recipes.encoder_tiny:encoder_tiny",
    "encoder_debug": "eyesup.recipes.encoder_tiny:encoder_debug",
    "ego_mlp": "eyesup.recipes.ego_mlp:ego_mlp",
    "ik_vla_tiny": "eyesup.recipes.ik_vla:ik_vla_tiny",
    "ik_vla_tiny_grpo": "eyesup.recipes.ik_vla:ik_vla_tiny_grpo",
    "ik_vla_tiny_blind": "eyesup.recipes.ik_vla:ik_vla_tiny_blind",
    "ik_vla_tiny_no_ego": "eyesup.recipes.ik_vla:ik_vla_tiny_no_ego",
    "ik_vla_tiny_no_next": "eyesup.recipes.ik_vla:ik_vla_tiny_no_next",
    "ik_vla_tiny_current": "eyesup.recipes.ik_vla:ik_vla_tiny_current",
    "ik_vla_tiny_attnpool": "eyesup.recipes.ik_vla:ik_vla_tiny_attnpool",
    "ik_vla_tiny_llm_mlp": "eyesup.recipes.ik_vla:ik_vla_tiny_llm_mlp",
    "ik_vla_tiny_llm_text": "eyesup.recipes.ik_vla:ik_vla_tiny_llm_text",
    "ik_vla_debug": "eyesup.recipes.ik_vla:ik_vla_debug",
    "ik_vla_paper": "eyesup.recipes.ik_vla:ik_vla_paper",
}

SUMMARIES = {
    "encoder_tiny": "visual encoder, from scratch, on the world's free labels (class of every patch, depth)",
    "encoder_debug": "the same in seconds, for tests",
    "ego_mlp": "the blind baseline: ego status and command to a plan",
    "ik_vla_tiny": "IK-VLA of laptop size on cached encoder tokens",
    "ik_vla_tiny_grpo": "reinforcement: a trained ik_vla_tiny (--init) whose IK network learns from the PDM score",
    "ik_vla_tiny_blind": "ablation: no images reach the model, the targets stay",
    "ik_vla_tiny_no_ego": "ablation: no ego status and no history",
    "ik_vla_tiny_no_next": "ablation: placeholders without a next-state loss",
    "ik_vla_tiny_current": "ablation: predict the present view instead of the next",
    "ik_vla_tiny_attnpool": "ablation: attention pooling and an MLP instead of diffusion",
    "ik_vla_tiny_llm_mlp": "ablation: an MLP on the language model instead of the IK network",
    "ik_vla_tiny_llm_text": "ablation: the plan as text, in the manner of OpenDriveVLA",
    "ik_vla_debug": "IK-VLA in seconds with a random encoder, for tests",
    "ik_vla_paper": "the paper's sizes: DINOv3 ViT-S, Qwen2.5-0.5B, bf16; needs a GPU",
}


def load_recipe(name: str) -> RunConfig:
    """The config of a named run; DataError lists the known names."""
    if name not in RECIPES:
        raise DataError(f"no recipe {name!r}; known: {', '.join(RECIPES)}")
    module, function = RECIPES[name].split(":")
    return getattr(import_module(module), function)()
