"""From uint8 camera images to normalised tensors, keeping the calibration true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from eyesup.types import Camera, CameraRig, DataError

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1]; what DINOv2 and DINOv3 (LVD-1689M) were trained with
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageRule:
    """How a camera image of any size becomes `height_px` x `width_px`.

    Attributes:
        height_px, width_px: Size of the result.
        fit: ``cover`` scales both axes alike until the target is covered and crops what sticks out;
            ``stretch`` scales each axis on its own and keeps the whole field of view.
        anchor_x, anchor_y: Which part ``cover`` keeps: 0 the left/top edge, 0.5 the middle, 1 the right/bottom edge.
            The default keeps the bottom, because the top of a driving image is sky.
    """

    height_px: int = 128
    width_px: int = 256
    fit: Literal["cover", "stretch"] = "cover"
    anchor_x: float = 0.5
    anchor_y: float = 1.0

    def __post_init__(self) -> None:
        if self.height_px <= 0 or self.width_px <= 0:
            raise DataError(f"image rule: target {self.width_px}x{self.height_px} px, both must be positive")
        if self.fit not in ("cover", "stretch"):
            raise DataError(f"image rule: fit {self.fit!r} is none of 'cover', 'stretch'")
        if not (0 <= self.anchor_x <= 1 and 0 <= self.anchor_y <= 1):
            raise DataError(f"image rule: anchors ({self.anchor_x}, {self.anchor_y}) must lie in [0, 1]")

    def affine(self, width_px: int, height_px: int) -> Float64[np.ndarray, "3 3"]:
        """Map from source pixel coordinates (u, v, 1) to target ones; pixel centres at integer + 0.5."""
        scale_x, scale_y = self.width_px / width_px, self.height_px / height_px
        if self.fit == "stretch":
            return np.diag([scale_x, scale_y, 1.0])
        left, top, cropped_width, cropped_height = self._crop(width_px, height_px)
        scale_x, scale_y = self.width_px / cropped_width, self.height_px / cropped_height
        return np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y], [0, 0, 1.0]])

    def camera(self, camera: Camera) -> Camera:
        """Calibration of the image that this rule returns."""
        affine = self.affine(camera.width_px, camera.height_px)
        return replace(camera, intrinsics=affine @ camera.intrinsics, width_px=self.width_px, height_px=self.height_px)

    def rig(self, rig: CameraRig) -> CameraRig:
        return CameraRig(tuple(self.camera(camera) for camera in rig))

    def images(self, images: UInt8[np.ndarray, "*batch h w 3"]) -> Float[Tensor, "*batch 3 H W"]:
        """RGB in [0, 1], cropped and resized (antialiased bilinear)."""
        pixels = torch.from_numpy(np.ascontiguousarray(self._cropped(images, axis=-3)))
        batch, (height, width) = pixels.shape[:-3], pixels.shape[-3:-1]
        flat = pixels.reshape(-1, height, width, 3).permute(0, 3, 1, 2).float().div(255.0)
        if (height, width) != (self.height_px, self.width_px):
            flat = F.interpolate(flat, (self.height_px, self.width_px), mode="bilinear", antialias=True)
        return flat.contiguous().reshape(*batch, 3, self.height_px, self.width_px)

    def labels(self, labels: Shaped[np.ndarray, "*batch h w"]) -> Shaped[np.ndarray, "*batch H W"]:
        """Per-pixel labels of the same image: same crop, nearest pixel, dtype kept."""
        cropped = self._cropped(labels, axis=-2)
        rows = _nearest(self.height_px, cropped.shape[-2])
        columns = _nearest(self.width_px, cropped.shape[-1])
        return np.ascontiguousarray(cropped[..., rows[:, None], columns])

    def _crop(self, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """Left, top, width, height of what ``cover`` keeps, in whole source pixels."""
        scale = max(self.width_px / width_px, self.height_px / height_px)
        width = min(width_px, round(self.width_px / scale))
        height = min(height_px, round(self.height_px / scale))
        return round((width_px - width) * self.anchor_x), round((height_px - height) * self.anchor_y), width, height

    def _cropped(self, array: np.ndarray, axis: int) -> np.ndarray:
        """Cut the source crop out of an array whose rows lie on `axis` and columns on the next one."""
        if self.fit == "stretch":
            return array
        left, top, width, height = self._crop(array.shape[axis + 1], array.shape[axis])
        rows, columns = slice(top, top + height), slice(left, left + width)
        return array[..., rows, columns, :] if axis == -3 else array[..., rows, columns]


def normalize(images: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """RGB in [0, 1] to zero mean and unit variance over ImageNet."""
    mean = torch.tensor(IMAGENET_MEAN, dtype=images.dtype, device=images.device)[:, None, None]
    std = torch.tensor(IMAGENET_STD, dtype=images.dtype, device=images.device)[:, None, None]
    return (images - mean) / std


def _nearest(target: int, source: int) -> np.ndarray:
    """Index of the source pixel under each target pixel's centre."""
    return np.minimum(((np.arange(target) + 0.5) * source / target).astype(np.int64), source - 1)
