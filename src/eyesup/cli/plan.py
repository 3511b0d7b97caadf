"""`eyesup plan`: plan for your own frames and draw the plan into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from rich.table import Table
from tyro.conf import Positional

from eyesup.cli.common import console, facts, write_json
from eyesup.data.folder import read_frames
from eyesup.models.load import load_planner
from eyesup.models.protocol import Planner
from eyesup.reports.draw import rig_overlay
from eyesup.reports.scenes import paths
from eyesup.types import Observation, Prediction

PICTURE_WIDTH_PX = 640  # small images are enlarged to about this width per camera


def plan(
    frames: Positional[Path],
    model: str = "ik_vla_tiny",
    out: Path = Path("runs/plan"),
    seed: int = 0,
    question: str | None = None,
) -> int:
    """Plan 3 s ahead for a folder of frames; saves the overlay of each frame and plans.json.

    The layout of the folder (images + calibration.json + status.json) is described in docs/own_frames.md.
    Example: eyesup plan my_frames --model ik_vla_tiny --question "How many vehicles are visible?"

    Args:
        frames: One frame's folder, or a folder of such folders.
        model: Shipped checkpoint, checkpoint folder, or rule.
        out: Where pictures and plans.json go.
        seed: Noise seed.
        question: Asked about every frame; the answer is printed.
    """
    observations = read_frames(frames.resolve())  # so that "." has a name
    if question:
        observations = [replace(observation, question=question) for observation in observations]
    planner = load_planner(model)
    predictions = planner.plan(observations, seed)
    out.mkdir(parents=True, exist_ok=True)
    for observation, prediction in zip(observations, predictions):
        save_overlay(out / f"{Path(observation.key).name}.png", observation, prediction)
    write_json(out / "plans.json", {"plans": [to_row(p) for p in predictions], "facts": facts(f"eyesup plan {frames}")})
    show(planner, predictions)
    console.print(f"pictures and plans.json: {out}")
    return 0


def save_overlay(path: Path, observation: Observation, prediction: Prediction) -> None:
    """All cameras with the plan painted on the road."""
    scale = max(1, round(PICTURE_WIDTH_PX / observation.images.shape[3]))
    drawn = paths({"plan": prediction.trajectory})
    Image.fromarray(rig_overlay(observation.images[-1], observation.rig, drawn[:1], scale)).save(path)


def to_row(prediction: Prediction) -> dict[str, object]:
    """One plan as JSON: poses (x forward [m], y left [m], heading [rad]) at dt, 2 dt, ..."""
    return {
        "key": prediction.key,
        "dt_s": prediction.trajectory.dt_s,
        "poses": np.round(prediction.trajectory.poses, 4).tolist(),
        "answer": prediction.answer,
        "stage_s": {name: round(seconds, 5) for name, seconds in prediction.stage_s.items()},
    }


def show(planner: Planner, predictions: list[Prediction]) -> None:
    table = Table("frame", "3 s ahead: x, y [m]", "answer", "ms per stage", title=planner.name)
    for prediction in predictions:
        x, y, _ = prediction.trajectory.poses[-1]
        stages = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in prediction.stage_s.items())
        table.add_row(prediction.key, f"{x:.1f}, {y:+.1f}", prediction.answer or "", stages)
    console.print(table)


def main(argv: list[str]) -> int:
    return tyro.cli(plan, args=argv, prog="eyesup plan")
