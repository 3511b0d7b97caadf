"""Sizes of the encoder's pretraining."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from eyesup.nn.vision.encoder import VisionConfig
from eyesup.nn.vision.images import ImageRule
from eyesup.types import DataError, SemanticClass

LAMPS = (
    SemanticClass.SIGNAL_GREEN, SemanticClass.SIGNAL_AMBER, SemanticClass.SIGNAL_RED, SemanticClass.BRAKE_LIGHT,
    SemanticClass.INDICATOR, SemanticClass.BEACON, SemanticClass.STOP_SIGN, SemanticClass.YIELD_SIGN,
)  # fmt: skip
DYNAMIC = (
    SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN, SemanticClass.CYCLIST, SemanticClass.OBSTACLE, SemanticClass.BRAKE_LIGHT,
    SemanticClass.INDICATOR, SemanticClass.BEACON,
)  # fmt: skip
"""Classes of things that move or block; lamps on a vehicle count as the vehicle."""


@dataclass(frozen=True)
class EncoderModelConfig:
    """Encoder with the light heads it is pretrained with.

    Attributes:
        vision: The encoder; not frozen here.
        head_width: Hidden width of the two heads.
        classes: K, number of pixel classes.
    """

    vision: VisionConfig = field(default_factory=lambda: VisionConfig(frozen=False))
    head_width: int = 256
    classes: int = len(SemanticClass)


@dataclass(frozen=True)
class EncoderProcessorConfig:
    """Images and labels of the pretraining.

    Attributes:
        image: Crop and resize; the same rule as the model that will use the encoder.
        patch_px: Side of the patches that labels are counted in.
        presence_px: Pixels (after the rule) from which a class counts as present in a patch; lamps count from one pixel,
            because a tail lamp 40 m away is no larger.
        near_m, far_m: Depths are cut off to this range [m]; surfaces beyond `far_m` count as not measured.
        flip: Mirror half of the training images (labels follow).
        jitter: Largest relative change of brightness, contrast and each colour channel in training; 0: none. Kept small
            enough that red, amber and green lamps stay what they are.
    """

    image: ImageRule = field(default_factory=ImageRule)
    patch_px: int = 16
    presence_px: int = 8
    near_m: float = 1.0
    far_m: float = 120.0
    flip: bool = True
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.image.height_px % self.patch_px or self.image.width_px % self.patch_px:
            raise DataError(
                f"encoder processor: image {self.image.width_px}x{self.image.height_px} px is no whole number of "
                f"{self.patch_px} px patches"
            )
        if not 0 < self.near_m < self.far_m:
            raise DataError(
                f"encoder processor: depth range [{self.near_m}, {self.far_m}] m must be positive and increasing"
            )
        if not 0 <= self.jitter < 1:
            raise DataError(f"encoder processor: jitter {self.jitter} must lie in [0, 1)")

    @staticmethod
    def preset(size: Literal["tiny", "small", "paper"]) -> EncoderProcessorConfig:
        return (
            EncoderProcessorConfig(ImageRule(224, 224, fit="stretch")) if size == "paper" else EncoderProcessorConfig()
        )
