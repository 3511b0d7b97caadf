"""Pixel labels: what they are, and how class and instance travel through an 8-bit colour buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8

from eyesup.types import DataError

MAX_INSTANCES = 2**16 - 1


@dataclass(frozen=True)
class FrameLabels:
    """Labels of all cameras at one step.

    Attributes:
        semantics: (C, H, W) uint8 of `SemanticClass`.
        instances: (C, H, W) int32 agent id + 1; 0 where no agent is seen.
        depth_m: (C, H, W) float32 metres along the optical axis, inf where nothing was hit; None when not asked for.
    """

    semantics: UInt8[np.ndarray, "C H W"]
    instances: Int32[np.ndarray, "C H W"]
    depth_m: Float32[np.ndarray, "C H W"] | None = None


def encode(classes: UInt8[np.ndarray, "V"], slot: int) -> UInt8[np.ndarray, "V 4"]:
    """Label colours of vertices: red = class, green + 256 blue = slot (0 = no agent)."""
    if not 0 <= slot <= MAX_INSTANCES:
        raise DataError(f"label slot {slot} does not fit into 16 bits; at most {MAX_INSTANCES} agents can be labelled")
    colors = np.empty((len(classes), 4), np.uint8)
    colors[:, 0], colors[:, 1], colors[:, 2], colors[:, 3] = classes, slot & 255, slot >> 8, 255
    return colors


def decode(rgb: UInt8[np.ndarray, "C H W 3"], ids: Int32[np.ndarray, "S"]) -> FrameLabels:
    """Labels from a label picture; `ids[slot]` is the agent id + 1 behind a slot, `ids[0]` is 0."""
    slots = rgb[..., 1].astype(np.int32)
    if len(ids) > 256:
        slots |= rgb[..., 2].astype(np.int32) << 8
    return FrameLabels(np.ascontiguousarray(rgb[..., 0]), ids[slots])


def count_pixels(ids: Int64[np.ndarray, "A"], instances: Int32[np.ndarray, "C H W"]) -> Int32[np.ndarray, "A C"]:
    """Pixels of each agent in each camera."""
    counts = np.zeros((len(ids), len(instances)), np.int32)
    for camera, picture in enumerate(instances):
        found, number = np.unique(picture[picture > 0], return_counts=True)
        rows = {int(agent) + 1: row for row, agent in enumerate(ids)}
        counts[[rows[int(agent)] for agent in found], camera] = number
    return counts
