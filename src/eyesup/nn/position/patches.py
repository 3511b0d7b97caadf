"""Where a visual token comes from: camera, patch row, patch column and, for future tokens, the horizon."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

INIT_STD = 0.02  # the usual width of learned position embeddings (ViT, GPT-2)


@dataclass(frozen=True)
class TokenGrid:
    """Layout of the N visual tokens: cameras in the rig's order, rows top to bottom, columns left to right."""

    cameras: int = 3
    rows: int = 4
    cols: int = 8

    @property
    def tokens(self) -> int:
        """N."""
        return self.cameras * self.rows * self.cols


class PatchPosition(nn.Module):
    """Learned embedding camera + row + column + frame of every token of `frames` frames."""

    def __init__(self, grid: TokenGrid, width: int, frames: int) -> None:
        super().__init__()
        self.grid = grid
        self.camera = nn.Parameter(torch.randn(grid.cameras, width) * INIT_STD)
        self.row = nn.Parameter(torch.randn(grid.rows, width) * INIT_STD)
        self.col = nn.Parameter(torch.randn(grid.cols, width) * INIT_STD)
        self.frame = nn.Parameter(torch.randn(frames, width) * INIT_STD)

    def forward(self) -> Float[Tensor, "H N D"]:
        """One embedding per frame and token."""
        per_token = self.camera[:, None, None] + self.row[None, :, None] + self.col[None, None, :]
        return self.frame[:, None] + per_token.flatten(0, 2)[None]
