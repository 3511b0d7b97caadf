"""The two halves of a sample: what a model may see (Observation) and what really happened (Truth)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from eyesup.types._check import as_array, check_finite
from eyesup.types.agents import Agents
from eyesup.types.camera import CameraRig
from eyesup.types.ego import PACIFICA, Command, EgoStatus, VehicleGeometry
from eyesup.types.errors import DataError
from eyesup.types.language import QA
from eyesup.types.road_map import RoadMap
from eyesup.types.scene import Signals
from eyesup.types.trajectory import Trajectory


@dataclass(frozen=True)
class Observation:
    """Everything known at t <= 0. Ego frame at t = 0. Nothing here may depend on a later time.

    Attributes:
        key: Identifies the sample; noise and records are keyed by it.
        images: (F, C, H, W, 3) uint8 RGB; F frames oldest first, the last at t = 0; cameras in the rig's order.
        image_times_s: (F,) float64, all <= 0, increasing, last one 0.
        rig: Calibration of the C cameras.
        ego: Measured state at t = 0.
        history: Past poses, newest first (`dt_s` < 0).
        command: Navigation command.
        vehicle: Size of the ego vehicle.
        question: Optional question text.
        road_map: Only where a planner is privileged.
    """

    key: str
    images: np.ndarray
    image_times_s: np.ndarray
    rig: CameraRig
    ego: EgoStatus
    history: Trajectory
    command: Command
    vehicle: VehicleGeometry = PACIFICA
    question: str | None = None
    road_map: RoadMap | None = None

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
        width, height = self.rig.size_px
        if images.dtype != np.uint8:
            raise DataError(f"observation {self.key}: images are {images.dtype}, expected uint8 RGB")
        images = as_array(f"observation {self.key}: images", images, (None, len(self.rig), height, width, 3), np.uint8)
        times = as_array(f"observation {self.key}: image_times_s", self.image_times_s, (len(images),), np.float64)
        if len(times) == 0 or times[-1] != 0 or (np.diff(times) <= 0).any():
            raise DataError(
                f"observation {self.key}: image times {times.tolist()} s must increase and end at 0; later frames belong to Truth"
            )
        if self.history.dt_s > 0:
            raise DataError(
                f"observation {self.key}: history has dt_s {self.history.dt_s} s; a history runs into the past (dt_s < 0)"
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "image_times_s", times)

    @property
    def privileged(self) -> bool:
        """True when any input was derived from the future or from the map."""
        return self.command.privileged or self.road_map is not None


@dataclass(frozen=True)
class Truth:
    """What happened after t = 0, and labels of the images. Ego frame at t = 0. Never reaches a model at evaluation.

    Attributes:
        future: Driven (expert) poses.
        agents: Boxes at t = 0, dt, 2 dt, ... with dt = `future.dt_s`; T = len(future) + 1 steps.
        vehicle: Size of the ego vehicle.
        road_map: Map around the ego.
        future_images: (H, C, h, w, 3) uint8 at `future_image_times_s`, or None.
        future_image_times_s: (H,) float64, all > 0.
        future_images_valid: (H,) bool.
        semantics: (C, h, w) uint8 class ids at t = 0, or None.
        depth_m: (C, h, w) float32 metres along the optical axis, inf where nothing was hit, or None.
        visible_px: (A, C) int32 pixels of each agent in each camera at t = 0, or None.
        visible_share: (A,) float64 of the pixels that an agent would cover, the share that nothing hides, or None.
        signals: Traffic lights and signs near the ego, same steps as `agents`, or None.
        qa: Questions with answers.
        tags: Free facts used to stratify, e.g. scenario, town, cue_active.
    """

    future: Trajectory
    agents: Agents
    vehicle: VehicleGeometry = PACIFICA
    road_map: RoadMap | None = None
    future_images: np.ndarray | None = None
    future_image_times_s: np.ndarray | None = None
    future_images_valid: np.ndarray | None = None
    semantics: np.ndarray | None = None
    depth_m: np.ndarray | None = None
    visible_px: np.ndarray | None = None
    visible_share: np.ndarray | None = None
    signals: Signals | None = None
    qa: tuple[QA, ...] = ()
    tags: Mapping[str, str | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.agents.steps != len(self.future) + 1:
            raise DataError(
                f"truth: agents have {self.agents.steps} steps, expected {len(self.future) + 1} (t = 0 and each future pose)"
            )
        for name in ("visible_px", "visible_share"):
            seen = getattr(self, name)
            if seen is not None and len(seen) != len(self.agents):
                raise DataError(f"truth: {name} has {len(seen)} rows for {len(self.agents)} agents")
        if self.future_images is None:
            return
        images = as_array("truth: future_images", self.future_images, (None, None, None, None, 3), np.uint8)
        times = as_array("truth: future_image_times_s", self.future_image_times_s, (len(images),), np.float64)
        valid = self.future_images_valid
        valid = (
            np.ones(len(images), bool)
            if valid is None
            else as_array("truth: future_images_valid", valid, (len(images),), np.bool_)
        )
        check_finite("truth: future_image_times_s", times)
        if (times <= 0).any():
            raise DataError(f"truth: future image times {times.tolist()} s must be after t = 0")
        object.__setattr__(self, "future_images", images)
        object.__setattr__(self, "future_image_times_s", times)
        object.__setattr__(self, "future_images_valid", valid)


@dataclass(frozen=True)
class Sample:
    """One keyframe: the Observation, and the Truth where it is known."""

    observation: Observation
    truth: Truth | None = None

    @property
    def key(self) -> str:
        return self.observation.key
