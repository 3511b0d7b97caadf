"""Losses of trajectory decoders, diffusion or regression."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

TrajectoryError = Literal["squared", "absolute"]


def trajectory_loss(
    prediction: Float[Tensor, "B K T A"],
    target: Float[Tensor, "B K T A"],
    valid: Bool[Tensor, "B T"],
    error: TrajectoryError = "squared",
) -> Float[Tensor, ""]:
    """Mean error over draws, valid waypoints and their dimensions; 0 when none is valid.

    For a diffusion decoder prediction and target are noise (|| eps - eps_theta ||^2) or, by
    `DiffusionConfig.prediction`, x_0 or v; for a regressor they are normalised trajectories.
    """
    difference = prediction.float() - target.float()
    per_waypoint = (difference.abs() if error == "absolute" else difference.square()).mean(dim=(1, 3))  # (B, T)
    weight = valid.to(per_waypoint.dtype)
    return (per_waypoint * weight).sum() / weight.sum().clamp(min=1)
