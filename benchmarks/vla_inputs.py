"""Shared by the model benchmarks: synthetic samples of the tiny size, and how a table is shown."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from eyesup.cli.common import console, facts
from eyesup.types import (
    QA,
    Agents,
    Camera,
    CameraRig,
    Command,
    EgoStatus,
    Maneuver,
    Observation,
    Sample,
    Trajectory,
    Truth,
)

SIZE_PX = (256, 144)
LOAD_BEFORE = os.getloadavg()[0]  # of the machine: what else was running
QUESTION = QA("Is there a pedestrian ahead?", "yes")


def make_samples(count: int, ask_every: int = 4) -> list[Sample]:
    """Noise images of three cameras, a straight drive; every `ask_every`-th sample asks a question (0: none)."""
    rng = np.random.default_rng(0)
    return [_sample(rng, i, bool(ask_every) and i % ask_every == 0) for i in range(count)]


def _sample(rng: np.random.Generator, index: int, asks: bool) -> Sample:
    width, height = SIZE_PX
    speed = 5.0 + 0.1 * index
    steps = np.arange(1, 51)
    ahead = np.stack([speed * 0.1 * steps, np.zeros(50), np.zeros(50)], axis=1)
    past = np.stack([-speed * 0.5 * np.arange(1, 5), np.zeros(4), np.zeros(4)], axis=1)
    observation = Observation(
        key=f"bench-{index}", images=rng.integers(0, 255, (1, 3, height, width, 3), dtype=np.uint8),
        image_times_s=np.zeros(1), rig=_rig(width, height), ego=EgoStatus((speed, 0.0)), history=Trajectory(past, -0.5),
        command=Command(Maneuver.KEEP_FORWARD), question=QUESTION.question if asks else None,
    )  # fmt: skip
    truth = Truth(
        future=Trajectory(ahead, 0.1), agents=Agents.empty(51), qa=(QUESTION,), future_image_times_s=np.array([1.0, 2.0, 3.0]),
        future_images=rng.integers(0, 255, (3, 3, height, width, 3), dtype=np.uint8),
    )  # fmt: skip
    return Sample(observation, truth)


def _rig(width: int, height: int) -> CameraRig:
    intrinsics = np.array([[width / 2, 0, width / 2], [0, width / 2, height / 2], [0, 0, 1]])
    ego_from_cam = np.eye(4)
    ego_from_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    names = ("front_left", "front", "front_right")
    return CameraRig(tuple(Camera(name, intrinsics, ego_from_cam, width, height) for name in names))


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], command: str) -> None:
    """Print a table and what a reader needs to repeat it."""
    found = Table(*columns, title=title)
    for row in rows:
        found.add_row(*row)
    console.print(found)
    for name, value in {**facts(command), "load before": f"{LOAD_BEFORE:.1f}"}.items():
        console.print(f"{name}: {value}")
