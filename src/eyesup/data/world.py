"""Samples from a scene store of the embedded world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from eyesup.types import CameraRig, Command, CommandSource, CueKind, Observation, Sample, Scene, Truth
from eyesup.types.errors import DataError
from eyesup.world.ego_view import (
    agents_in_ego_frame,
    agents_near,
    ego_status,
    future_trajectory,
    history,
    map_around,
    signals_in_ego_frame,
)  # fmt: skip
from eyesup.world.scene_io import Annotations
from eyesup.world.store import CUE_ACTIVE_M, FUTURE_IMAGES_S, TWIN_MARK, SceneStore

MAX_KEYFRAME_GAP_S = 0.5 + 1e-6  # keyframes of a log lie no further apart, unless some of them were left out

Keyframes = Literal["all", "cue_active", "cue_inactive", "labelled"]
Images = Literal["all", "present", "none"]
Twins = Literal["none", "only", "also"]


class WorldSource:
    """Samples of a scene store, one per keyframe, ordered by scene and time.

    A sample's key is ``<scene key>@<step>``. The sample of a twin is keyed ``<scene key>~<twin>@<step>``: dropping the part
    from ``~`` to ``@`` gives the key of the sample it was made from.

    Observation: images of one time, 4 past poses 0.5 s apart, ego status, command from the route. Truth: 5 s at 0.1 s of ego
    and agents, images 1, 2 and 3 s ahead, labels, questions, the map around the ego, and the tags ``scenario``, ``town``,
    ``split``, ``seed``, ``cue_active``, ``cue_effect_m``, ``cue_effect_valid``, ``cue_since_s``, ``cue_visible_px``,
    ``ego_gap_m``, ``twin``.

    Args:
        root: Folder of a finished store.
        scenario: Take the scenes of one scenario only (or of several).
        keyframes: ``cue_active`` takes those whose cue moves the expert's plan by more than 1 m, ``cue_inactive`` those where
            it is known not to, ``labelled`` those with class labels of every pixel; ``all`` takes every one.
        images: What is decoded, which is most of a sample's cost: ``all`` of them, the ``present`` ones without those 1, 2 and
            3 s ahead, or ``none``: the Observation's are black then, and the Truth has no labels either.
        with_truth: Build the Truth.
        with_map: Put the map around the ego into the Truth.
        depth: Cast the depth of every pixel (about 5 ms a camera), where images are decoded.
        twins: Take the stored twins too (``also``), or instead of the logs (``only``).
    """

    def __init__(
        self,
        root: str | Path,
        scenario: str | Sequence[str] | None = None,
        keyframes: Keyframes = "all",
        images: Images = "all",
        with_truth: bool = True,
        with_map: bool = True,
        depth: bool = False,
        twins: Twins = "none",
    ) -> None:
        self.store = SceneStore(root)
        self.name = f"world:{Path(root).name}"
        self.images = images
        self.with_truth = with_truth
        self.with_map = with_map
        self.depth = depth
        self._rows = _choose(self.store, scenario, keyframes, twins)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(_sample_key(key, step) for key, step, _ in self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        key, step, keyframe = self._rows[index]
        observation = self._observation(key, step)
        return Sample(observation, self._truth(key, step, keyframe) if self.with_truth else None)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def place(self, index: int) -> tuple[str, int]:
        """Scene key in the store, and step, of a sample."""
        return self._rows[index][:2]

    def cue_effects(self) -> list[tuple[str, float]]:
        """Scenario and cue effect [m] of every sample, without opening an image.

        The effect is 0 where it is unknown, and where the cue is an agent that no camera shows.
        """
        return [self._scenario_and_effect(key, keyframe) for key, _, keyframe in self._rows]

    def _scenario_and_effect(self, key: str, keyframe: int) -> tuple[str, float]:
        tags = self._tags(key, self.store.scene(key), keyframe)
        shown = tags["cue_kind"] != "agent" or tags["cue_visible_px"] > 0
        return str(tags["scenario"]), float(tags["cue_effect_m"]) if shown and tags["cue_effect_valid"] else 0.0

    def _observation(self, key: str, step: int) -> Observation:
        rig = self.store.rig_of(key)
        images = _black_images(1, rig)[0] if self.images == "none" else self.store.images(key, step)
        return observe(self.store.scene(key), step, rig, images, _sample_key(key, step))

    def _truth(self, key: str, step: int, keyframe: int) -> Truth:
        scene = self.store.scene(key)
        future = future_trajectory(scene, step)
        images, times, valid = self._future_images(key, scene, step) if self.images == "all" else (None, None, None)
        labelled = self.images != "none" and self.store.has_labels(key, step)
        annotations, near = self.store.annotations(key), agents_near(scene, step, len(future))
        return Truth(
            future=future,
            agents=agents_in_ego_frame(scene, step, len(future)),
            vehicle=scene.vehicle,
            road_map=map_around(scene, step) if self.with_map else None,
            future_images=images,
            future_image_times_s=times,
            future_images_valid=valid,
            semantics=self.store.labels(key, step) if labelled else None,
            depth_m=self.store.depth(key, step) if self.depth and self.images != "none" else None,
            visible_px=annotations.visible_px[keyframe][near],
            visible_share=annotations.visible_share[keyframe][near],
            signals=signals_in_ego_frame(scene, step, len(future)),
            qa=tuple(qa for qa in annotations.qa[keyframe] if not qa.needs_history),  # one frame is shown
            tags=self._tags(key, scene, keyframe),
        )

    def _future_images(self, key: str, scene: Scene, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        images = _black_images(len(FUTURE_IMAGES_S), self.store.rig_of(key)).copy()
        valid = np.zeros(len(FUTURE_IMAGES_S), bool)
        stored = self.store.steps(key)
        for i, seconds in enumerate(FUTURE_IMAGES_S):
            later = step + round(seconds / scene.dt_s)
            if later in stored:
                images[i], valid[i] = self.store.images(key, later), True
        return images, np.array(FUTURE_IMAGES_S), valid

    def _tags(self, key: str, scene: Scene, keyframe: int) -> dict[str, Any]:
        annotations = self.store.annotations(key)
        effect = float(annotations.cue_effect_m[keyframe])
        known = bool(annotations.cue_effect_valid[keyframe])
        cue = scene.agents.ids == scene.cue.id if scene.cue.kind is CueKind.AGENT else np.zeros(len(scene.agents), bool)
        return {
            "scenario": "", "town": "", "split": "", "seed": 0, "twin": "", **scene.tags,
            "cue_kind": scene.cue.kind.name.lower(), "cue_id": scene.cue.id, "cue_effect_m": effect, "cue_effect_valid": known,
            "cue_active": known and effect > CUE_ACTIVE_M, "cue_since_s": cue_since_s(annotations, scene.keyframes * scene.dt_s, keyframe),
            "cue_visible_px": int(annotations.visible_px[keyframe][cue].sum()),
            "ego_gap_m": float(annotations.ego_gap_m[keyframe]),
        }  # fmt: skip


def cue_since_s(annotations: Annotations, times_s: Float[np.ndarray, "K"], keyframe: int) -> float | None:
    """Seconds since the first keyframe at which the cue decided the plan; None where it does not, or where the keyframe before
    that one is unknown or was not stored.

    Args:
        annotations: Of a scene; its cue effects [m], one per keyframe.
        times_s: (K,) times of the keyframes.
        keyframe: Which of the K.
    """
    active = annotations.cue_effect_valid & (annotations.cue_effect_m > CUE_ACTIVE_M)
    quiet = np.flatnonzero(~active[:keyframe])
    if not active[keyframe] or not len(quiet) or not annotations.cue_effect_valid[quiet[-1]]:
        return None
    times = times_s[quiet[-1] : keyframe + 1]  # the last keyframe without effect, and all since
    return float(times[-1] - times[1]) if np.diff(times).max() <= MAX_KEYFRAME_GAP_S else None


def observe(scene: Scene, step: int, rig: CameraRig, images: UInt8[np.ndarray, "C H W 3"], key: str) -> Observation:
    """What a planner may see at a step of a scene.

    Commands come from a route; where the scene's tag ``command_source`` says that its route was read off the driven future, they
    say so too, and records made with them are stamped privileged.
    """
    source = CommandSource(scene.tags.get("command_source", CommandSource.ROUTE.value))
    return Observation(
        key=key,
        images=images[None],
        image_times_s=np.zeros(1),
        rig=rig,
        ego=ego_status(scene, step),
        history=history(scene, step),
        command=Command(scene.maneuvers[step], source),
        vehicle=scene.vehicle,
    )


def _choose(
    store: SceneStore, scenario: str | Sequence[str] | None, keyframes: Keyframes, twins: Twins
) -> list[tuple[str, int, int]]:
    """(scene key, step, index among the scene's keyframes) of every sample."""
    wanted = {scenario} if isinstance(scenario, str) else set(scenario) if scenario is not None else None
    scenarios = {row["key"]: row["scenario"] for row in store.manifest["scenes"]}
    known = set(scenarios.values())
    if wanted is not None and not wanted <= known:
        raise DataError(f"no scenario {sorted(wanted - known)} in {store.root}; it holds {sorted(known)}")
    rows = []
    keys = {"none": store.keys, "only": store.twin_keys, "also": (*store.keys, *store.twin_keys)}
    for key in keys[twins]:
        if wanted is None or scenarios[key] in wanted:
            take = _takes(store, key, keyframes)
            rows += [(key, step, k) for k, step in enumerate(store.keyframes(key)) if take[k]]
    return rows


def _takes(store: SceneStore, key: str, keyframes: Keyframes) -> np.ndarray:
    if keyframes == "all":
        return np.ones(len(store.keyframes(key)), bool)
    if keyframes == "labelled":
        return np.array([store.has_labels(key, step) for step in store.keyframes(key)], bool)
    annotations = store.annotations(key)
    active = annotations.cue_effect_m > CUE_ACTIVE_M
    return annotations.cue_effect_valid & (active if keyframes == "cue_active" else ~active)


def _sample_key(key: str, step: int) -> str:
    return key if TWIN_MARK in key else f"{key}@{step}"


def _black_images(frames: int, rig: CameraRig) -> np.ndarray:
    """Read-only zeros, one array for all samples: a list of thousands of them stays small."""
    return _zeros((frames, len(rig), *rig.size_px[::-1], 3))


@lru_cache(maxsize=8)
def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    zeros = np.zeros(shape, np.uint8)
    zeros.setflags(write=False)
    return zeros
