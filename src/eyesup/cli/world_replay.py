"""`eyesup world replay`: real logs of Argoverse 2, drawn by our own cameras, as a store and as a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from tyro.conf import Positional

from eyesup.cli.common import console, progress_bar
from eyesup.data.argoverse.lanes import CommandRule
from eyesup.data.argoverse.scene import read_scene
from eyesup.data.argoverse.schema import SWEEP_DT_S
from eyesup.data.argoverse.store import ReplayConfig, write_store
from eyesup.data.world import observe
from eyesup.models.load import load_planner
from eyesup.models.protocol import Planner
from eyesup.reports.draw import PLAN_COLORS
from eyesup.reports.scenes import HORIZON_S, front_image
from eyesup.types import CameraRig, DataError, Scene, Trajectory
from eyesup.world.ego_view import future_trajectory
from eyesup.world.render import Renderer
from eyesup.world.simulate import HISTORY_STEPS
from eyesup.world.topdown import draw_topdown
from eyesup.world.video import write_video


def replay(
    logs: Positional[tuple[Path, ...]],
    out: Path | None = None,
    video: Path | None = None,
    planner: str | None = None,
    command: CommandRule = "ahead",
    rig: Literal["front3", "surround6"] = "front3",
    width_px: int = 256,
    height_px: int = 144,
    every_s: float = 0.2,
    seed: int = 0,
    keep_going: bool = False,
) -> int:
    """Bring real logs of the Argoverse 2 sensor dataset into the world: its road, traffic and ego motion before our own cameras.

    A log folder holds annotations.feather, city_SE3_egovehicle.feather and map/log_map_archive_*.json; images are not needed. The
    store that is written is an ordinary one: eyesup eval, diagnose and world inspect take it as it is.

    Example: eyesup world replay /data/av2/val/* --out runs/av2, then eyesup eval runs/av2 --planners ik_vla_tiny constant_velocity

    A film of a planner against what was driven: eyesup world replay /data/av2/val/LOG --video log.webp --planner ik_vla_tiny

    Everything is set down on flat ground. There are no traffic lights, signs, lamps or houses: the logs do not tell where they are or what
    they show.

    Args:
        logs: Log folders.
        out: Folder of the store to write; a run that was stopped goes on where it stopped.
        video: File to write: .webp, .gif, or .mp4 (which needs an ffmpeg: pip install "eyesup[video]"). Front camera and view from
            above; green is what was driven, orange the plan.
        planner: A rule, a shipped checkpoint or a checkpoint folder; it plans at every frame of the video.
        command: "ahead" knows the lane driven so far and where it leads; "driven" the turns that were driven later, and is
            stamped privileged.
        rig: Camera rig.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
        every_s: Seconds between two frames of the video; a multiple of 0.1.
        seed: Of the planner's noise.
        keep_going: List logs that cannot be read, and go on with the others.
    """
    config = ReplayConfig(logs, out or Path(), command, rig, width_px, height_px, keep_going)
    if out is None and video is None:
        raise DataError("nothing to write: give --out STORE, --video FILE, or both")
    if planner is not None and video is None:
        raise DataError(
            f"--planner {planner} plans for the video; give --video FILE, or score it with eyesup eval on the store"
        )
    driver = None if planner is None else load_planner(planner)
    if out is not None:
        with progress_bar("logs", len(logs)) as advance:
            report = write_store(config, lambda: advance(1))
        for reason in report.failed.values():
            _print_left_out(reason)
        config = replace(config, logs=tuple(folder for folder in logs if folder not in report.failed))
        console.print(f"{out}: {report.logs} logs, {report.keyframes} keyframes, commands {command}")
    if video is not None:
        _film(video, config, driver, every_s, seed)
    if out is not None:
        console.print(
            f"next: eyesup eval {out} --planners {planner or 'ik_vla_tiny'} constant_velocity", soft_wrap=True
        )
    return 0


def _film(path: Path, config: ReplayConfig, driver: Planner | None, every_s: float, seed: int) -> None:
    stride = round(every_s / SWEEP_DT_S)
    if stride < 1 or abs(stride * SWEEP_DT_S - every_s) > 1e-9:
        raise DataError(f"--every-s {every_s} is no whole multiple of {SWEEP_DT_S}; use 0.2")
    scenes = list(_scenes(config))
    with progress_bar("frames", sum(len(_steps(scene, stride)) for scene in scenes)) as advance:
        frames = []
        for scene in scenes:
            for frame in _frames(scene, _steps(scene, stride), config.cameras, driver, seed):
                frames.append(frame)
                advance(1)
    written = write_video(path, frames, 1 / every_s)
    orange = f", orange: {driver.name}" if driver is not None else ""
    console.print(f"{written}: {len(scenes)} logs, {len(frames)} frames; green: as driven{orange}")


def _scenes(config: ReplayConfig) -> Iterator[Scene]:
    for folder in config.logs:
        try:
            yield read_scene(folder, config.command)
        except DataError as error:
            if not config.keep_going:
                raise
            _print_left_out(str(error))


def _print_left_out(reason: str) -> None:
    console.print(f"[yellow]left out:[/yellow] {reason}", soft_wrap=True, highlight=False)


def _steps(scene: Scene, stride: int) -> range:
    """Steps with a whole history before and 3 s of driving after them."""
    return range(HISTORY_STEPS, len(scene) - round(HORIZON_S / scene.dt_s), stride)


def _frames(scene: Scene, steps: range, rig: CameraRig, driver: Planner | None, seed: int) -> Iterator[np.ndarray]:
    """The front camera with what was driven and the plan on the road; at its right the view from above."""
    with Renderer(rig) as renderer:
        renderer.load(scene)
        for step in steps:
            observation = observe(scene, step, rig, renderer.images(step), f"{scene.key}@{step}")
            plans: dict[str, Trajectory] = {"expert": future_trajectory(scene, step)}
            if driver is not None:
                plans["plan"] = driver.plan([observation], seed)[0].trajectory
            front = front_image(observation, plans)
            planned = {PLAN_COLORS["plan"]: plans["plan"].xy[plans["plan"].valid]} if driver is not None else {}
            yield np.concatenate([front, draw_topdown(scene, step, len(front), beside=planned)], axis=1)
