"""Logs of Argoverse 2 as an ordinary scene store: drawn by our cameras, then planned and scored like the world's own.

No questions are asked of them (lamps, lights and signs are not recorded: the answers would be guesses), and no cue is known.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eyesup.data.argoverse.lanes import CommandRule
from eyesup.data.argoverse.log import ANNOTATIONS, POSES
from eyesup.data.argoverse.scene import key_of, read_scene
from eyesup.types import CameraRig, DataError, Scene
from eyesup.world.generate import ego_gaps, share, steps_to_draw, versions
from eyesup.world.render import Renderer
from eyesup.world.render.labels import count_pixels
from eyesup.world.rigs import RIGS
from eyesup.world.scene_io import Annotations
from eyesup.world.store import (
    file_sha256,
    read_annotations,
    read_receipt,
    rig_to_json,
    scene_files,
    write_manifest,
    write_scene,
)

VERSION = 1  # raise when a log would be read into another Scene than before
EGO_GAP_M = 1.0


@dataclass(frozen=True)
class ReplayConfig:
    """What to write.

    Attributes:
        logs: Log folders.
        out: Folder of the store.
        command: How commands are derived, see `lanes`.
        rig: Camera rig.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
        keep_going: Count and list logs that cannot be read instead of stopping at the first.
    """

    logs: tuple[Path, ...]
    out: Path
    command: CommandRule = "ahead"
    rig: Literal["front3", "surround6"] = "front3"
    width_px: int = 256
    height_px: int = 144
    keep_going: bool = False

    def __post_init__(self) -> None:
        names = [path.resolve().name for path in self.logs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names:
            raise DataError("no log folder is given; give one or several")
        if twice:
            raise DataError(f"log {twice[0]} is given twice; give each once")
        if self.width_px < 2 or self.height_px < 2 or self.width_px % 2 or self.height_px % 2:
            raise DataError(f"image size {self.width_px}x{self.height_px} px: both must be even and positive")

    @property
    def cameras(self) -> CameraRig:
        return RIGS[self.rig](self.width_px, self.height_px)

    @property
    def remake(self) -> str:
        """The command that writes the store."""
        words = ["eyesup", "world", "replay", *map(str, self.logs), "--out", str(self.out)]
        for name, default in (("command", "ahead"), ("rig", "front3"), ("width_px", 256), ("height_px", 144)):
            if (value := getattr(self, name)) != default:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join([*words, *(["--keep-going"] if self.keep_going else [])])


@dataclass(frozen=True)
class ReplayReport:
    """What a store holds.

    Attributes:
        logs, keyframes: Stored.
        failed: Folder -> why it cannot be read.
    """

    logs: int
    keyframes: int
    failed: Mapping[Path, str]


def write_store(config: ReplayConfig, done: Callable[[], None] = lambda: None) -> ReplayReport:
    """Read, draw and store every log; what a run that was stopped has finished is kept.

    Args:
        config: What to write.
        done: Called after each log.

    Raises:
        DataError: a log cannot be read (unless `keep_going`), none can, or `out` holds something else.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    _check_free(config)
    keys, failed = [], {}
    for folder in config.logs:
        try:
            _write_log(config, folder)
            keys.append(key_of(folder))
        except DataError as error:
            if not config.keep_going:
                raise
            failed[folder] = str(error)
        done()
    if not keys:
        raise DataError(f"none of {len(failed)} logs can be read; the first: {next(iter(failed.values()))}")
    return ReplayReport(len(keys), _close(config, keys, failed), failed)


def _check_free(config: ReplayConfig) -> None:
    stored = {path.name.removesuffix(".scene.arrow") for path in config.out.glob("*.scene.arrow")}
    others = sorted(stored - {key_of(folder) for folder in config.logs})
    if others:
        raise DataError(
            f"{config.out} holds {others[0]}, which is not among the logs; choose another folder, or delete this one"
        )


def _write_log(config: ReplayConfig, folder: Path) -> None:
    """Unless it is there already, made from the same files with the same settings."""
    mark, receipt = _fingerprint(config, folder), read_receipt(config.out, key_of(folder))
    if receipt is None or receipt["fingerprint"] != mark:
        _draw_and_write(config.out, read_scene(folder, config.command), config.cameras, mark)


def _fingerprint(config: ReplayConfig, folder: Path) -> str:
    """Changes with the log's files, the settings and the versions."""
    files = [folder / POSES, *(folder / name for name in ANNOTATIONS), *sorted(folder.glob("map/*.json"))]
    facts = {
        "version": VERSION, "versions": versions(), "key": key_of(folder), "command": config.command,
        "rig": json.loads(rig_to_json(config.cameras)), "files": [file_sha256(path) for path in files if path.exists()],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _draw_and_write(out: Path, scene: Scene, rig: CameraRig, fingerprint: str) -> None:
    """Pictures at keyframes and 1, 2, 3 s after them, labels and counted pixels at keyframes."""
    with Renderer(rig) as renderer:
        renderer.load(scene)
        images = {step: renderer.images(step) for step in steps_to_draw(scene)}
        frames = {step: renderer.labels(step, depth=False) for step in scene.keyframes.tolist()}
        visible = [count_pixels(scene.agents.ids, frame.instances) for frame in frames.values()]
        whole = [renderer.whole_pixels(step, seen) for step, seen in zip(frames, visible)]
    shape = (len(scene.keyframes), len(scene.agents), len(rig))
    nothing = Annotations.empty(len(scene.keyframes), len(scene.agents))
    annotations = replace(
        nothing,
        ego_gap_m=ego_gaps(scene),
        visible_px=np.array(visible, np.int32).reshape(shape),
        whole_px=np.array(whole, np.int32).reshape(shape),
    )
    labels = {step: frame.semantics for step, frame in frames.items()}
    write_scene(out, scene, rig, images, labels, annotations, fingerprint)


def _close(config: ReplayConfig, keys: Sequence[str], failed: Mapping[Path, str]) -> int:
    """Write the manifest; returns the number of keyframes."""
    gaps = np.concatenate([read_annotations(config.out, key).ego_gap_m for key in keys])
    facts: dict[str, Any] = {
        "versions": versions(),
        "config": {
            "split": "argoverse2", "seed": 0, "command": config.command, "rig": config.rig, "width_px": config.width_px,
            "height_px": config.height_px,
        },
        "command": config.remake,
        "report": {
            "logs": len(keys), "keyframes": len(gaps), "twins": 0, "failed": [key_of(folder) for folder in failed], "cue_share": 0.0,
            "rho": share(gaps > EGO_GAP_M),
        },
        "rig": json.loads(rig_to_json(config.cameras)),
    }  # fmt: skip
    write_manifest(config.out, [scene_files(config.out, key) for key in keys], facts)
    return len(gaps)
