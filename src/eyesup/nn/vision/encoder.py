"""The visual encoder f_enc: camera images to patch tokens v_t (a vision transformer, frozen by default)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyesup.types import DataError

CONFIG_FILE = "encoder.json"
WEIGHTS_FILE = "encoder.safetensors"


@dataclass(frozen=True)
class VisionConfig:
    """A vision transformer from the DINO line.

    Attributes:
        model_type: ``dinov3_vit`` (rotary positions, any image size) or ``dinov2`` (learned positions, interpolated).
        pretrained: Hub name or local folder of transformers weights; it then overrides the sizes below. None: random.
        hidden, depth, heads, mlp_ratio, patch_px, registers: Sizes of the transformer.
        merge: merge x merge neighbouring patches are concatenated channel-wise into one token (1: none).
        frozen: No gradient, always in evaluation mode.
        dtype: Of the weights, e.g. ``float32`` or ``bfloat16``; tokens are returned in it.
    """

    model_type: Literal["dinov3_vit", "dinov2"] = "dinov3_vit"
    pretrained: str | None = None
    hidden: int = 128
    depth: int = 6
    heads: int = 4
    mlp_ratio: int = 4
    patch_px: int = 16
    registers: int = 4
    merge: int = 2
    frozen: bool = True
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    @staticmethod
    def preset(size: Literal["tiny", "small", "paper"]) -> VisionConfig:
        """``tiny`` trains on a laptop; ``small`` is ViT-S-shaped from scratch; ``paper`` is DINOv3 ViT-S/16 (gated weights)."""
        presets = {
            "tiny": VisionConfig(),
            "small": VisionConfig(hidden=384, depth=12, heads=6, merge=2),
            "paper": VisionConfig(
                pretrained="facebook/dinov3-vits16-pretrain-lvd1689m", hidden=384, depth=12, heads=6, merge=1
            ),
        }
        return presets[size]

    @property
    def width(self) -> int:
        """Dv, channels of one token."""
        return self.hidden * self.merge**2

    def patch_grid(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Rows and columns of unmerged patches; DataError when the image is no whole number of tokens."""
        step = self.patch_px * self.merge
        if height_px % step or width_px % step:
            raise DataError(
                f"image {width_px}x{height_px} px: both sides must be multiples of patch x merge = {step} px"
            )
        return height_px // self.patch_px, width_px // self.patch_px

    def token_grid(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Rows and columns of tokens after merging."""
        rows, columns = self.patch_grid(height_px, width_px)
        return rows // self.merge, columns // self.merge


class VisualEncoder(nn.Module):
    """Patch tokens of several cameras, v_t = f_enc(images); class and register tokens are dropped.

    Token order: cameras in the order given, then rows from the top, then columns from the left.
    """

    def __init__(self, config: VisionConfig, backbone: Mapping[str, Any] | None = None) -> None:
        """`backbone`: a full transformers configuration that overrides the sizes in `config` (used by `load`)."""
        super().__init__()
        self.backbone = _build_backbone(config, backbone)
        self.config = _with_true_sizes(config, self.backbone.config)
        self._prefix = 1 + int(getattr(self.backbone.config, "num_register_tokens", 0))
        self.set_frozen(config.frozen)

    @property
    def width(self) -> int:
        """Dv, channels of one token."""
        return self.config.width

    def set_frozen(self, frozen: bool) -> None:
        """Freeze (evaluation mode, no gradients) or thaw the backbone."""
        self.config = replace(self.config, frozen=frozen)
        self.backbone.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> VisualEncoder:
        super().train(mode and not self.config.frozen)
        return self

    def patch_features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P hidden"]:
        """Unmerged patch features of single normalised images, after the final norm."""
        self.config.patch_grid(images.shape[-2], images.shape[-1])
        pixels = images.to(next(self.backbone.parameters()).dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            return self.backbone(pixel_values=pixels).last_hidden_state[:, self._prefix :]

    def forward(self, images: Float[Tensor, "B C 3 H W"]) -> Float[Tensor, "B N Dv"]:
        """v_t of normalised images (`eyesup.nn.vision.images`); N = C x rows x columns of the token grid."""
        b, c, _, height, width = images.shape
        grid = self.config.patch_grid(height, width)
        tokens = merge_patches(self.patch_features(images.flatten(0, 1)), grid, self.config.merge)  # (B C, P / m^2, Dv)
        return tokens.reshape(b, c * tokens.shape[1], tokens.shape[2])

    def save(self, folder: Path) -> None:
        """Write ``encoder.json`` and ``encoder.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "vision": asdict(replace(self.config, pretrained=None)),
            "backbone": self.backbone.config.to_diff_dict(),  # sizes and switches that VisionConfig does not name
        }
        (folder / CONFIG_FILE).write_text(json.dumps(record, indent=2, default=str) + "\n")
        save_file(
            {name: value.contiguous() for name, value in self.backbone.state_dict().items()}, folder / WEIGHTS_FILE
        )

    @staticmethod
    def load(folder: Path, frozen: bool = True) -> VisualEncoder:
        """Read what `save` wrote; DataError when the folder holds no encoder."""
        path = Path(folder) / CONFIG_FILE
        if not path.is_file():
            raise DataError(
                f"{folder} holds no {CONFIG_FILE}; train an encoder first or give the folder that holds one"
            )
        record = json.loads(path.read_text())
        encoder = VisualEncoder(replace(VisionConfig(**record["vision"]), frozen=frozen), record["backbone"])
        encoder.backbone.load_state_dict(load_file(Path(folder) / WEIGHTS_FILE))
        return encoder


def merge_patches(
    patches: Float[Tensor, "B P hidden"], grid: tuple[int, int], merge: int
) -> Float[Tensor, "B tokens Dv"]:
    """Concatenate merge x merge neighbouring patches channel-wise: (dy, dx, channel), row-major like the patches."""
    if merge == 1:
        return patches
    rows, columns = grid
    b, _, width = patches.shape
    cells = patches.reshape(b, rows // merge, merge, columns // merge, merge, width)
    return cells.permute(0, 1, 3, 2, 4, 5).reshape(b, (rows // merge) * (columns // merge), merge * merge * width)


def _build_backbone(config: VisionConfig, backbone: Mapping[str, Any] | None) -> Any:
    from transformers import AutoModel

    dtype = getattr(torch, config.dtype)
    if config.pretrained is not None:
        model = AutoModel.from_pretrained(config.pretrained, dtype=dtype)
    else:
        model = AutoModel.from_config(_backbone_config(config, backbone), dtype=dtype)
    # DINOv3 jitters its positions in training from the global generator; a run must depend on its seed alone.
    model.config.pos_embed_rescale = None
    return model


def _backbone_config(config: VisionConfig, backbone: Mapping[str, Any] | None) -> Any:
    from transformers import AutoConfig

    if config.model_type not in ("dinov3_vit", "dinov2"):
        raise DataError(f"vision config: model_type {config.model_type!r} is none of 'dinov3_vit', 'dinov2'")
    if backbone is not None:
        return AutoConfig.for_model(**backbone)
    own = {"mlp_ratio": config.mlp_ratio}
    if config.model_type == "dinov3_vit":
        own = {"intermediate_size": config.hidden * config.mlp_ratio, "num_register_tokens": config.registers}
    return AutoConfig.for_model(
        config.model_type, hidden_size=config.hidden, num_hidden_layers=config.depth, num_attention_heads=config.heads,
        patch_size=config.patch_px, **own,
    )  # fmt: skip


def _with_true_sizes(config: VisionConfig, backbone: Any) -> VisionConfig:
    """Sizes as the (possibly pretrained) backbone has them, so that `width` and the saved file are true."""
    mlp = getattr(backbone, "intermediate_size", None)
    return replace(
        config,
        model_type=backbone.model_type,
        hidden=backbone.hidden_size,
        depth=backbone.num_hidden_layers,
        heads=backbone.num_attention_heads,
        mlp_ratio=backbone.mlp_ratio if mlp is None else mlp // backbone.hidden_size,
        patch_px=backbone.patch_size,
        registers=int(getattr(backbone, "num_register_tokens", 0)),
    )
