"""`eyesup drive`: let a planner drive a scenario in closed loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from tyro.conf import Positional

from eyesup.cli.common import console, facts, write_json
from eyesup.models.load import load_planner
from eyesup.models.protocol import Planner
from eyesup.reports.draw import rig_overlay
from eyesup.reports.scenes import paths
from eyesup.types import DataError, Trajectory
from eyesup.world.episode import Episode, Happening
from eyesup.world.import_map import import_town
from eyesup.world.rigs import RIGS
from eyesup.world.traffic import STEP_S
from eyesup.world.video import write_video

EXPERT = "expert"


@dataclass
class Drive:
    """What became of a drive."""

    plans: int = 0
    happenings: list[Happening] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)

    def events(self) -> list[dict[str, object]]:
        """Time [s], name and, of a collision, whom."""
        return [
            {"time_s": round((step + 1) * STEP_S, 1), "event": name, **_whom(happening, name)}
            for step, happening in enumerate(self.happenings)
            for name in happening.events
        ]


def drive(
    planner: Positional[str],
    scenario: Positional[str],
    seed: int = 0,
    split: Literal["train", "val", "test", "shifted"] = "test",
    out: Path = Path("runs/drive"),
    town: Path | None = None,
    duration_s: float = 20.0,
    replan_s: float = 0.5,
    rig: Literal["front3", "surround6"] = "front3",
    width_px: int = 256,
    height_px: int = 144,
    video: bool = True,
) -> int:
    """Drive a scenario in closed loop: the planner sees the cameras, its plan is tracked, the traffic reacts.

    Writes a video of cameras and view from above with the plan painted in, and drive.json with every event (collision,
    off_road, off_route, red_light, route_end), the progress and the smallest time to collision.

    Example: eyesup drive ik_vla_tiny stopped_car --seed 3

    What the expert does in the same place: eyesup drive expert stopped_car --seed 3

    Args:
        planner: A rule, a shipped checkpoint, a checkpoint folder, or "expert".
        scenario: Name of a scenario; a wrong one lists them all.
        seed: Which log of the scenario: it begins as that log does.
        split: Towns to drive in; "test" are towns that no training log shows.
        out: Folder of drive.webp and drive.json.
        town: Map file (.osm, .xodr) to drive in instead, see `eyesup world import`.
        duration_s: Longest drive in seconds, at least 8.
        replan_s: Seconds between two plans, and between two frames of the video; a multiple of 0.1.
        rig: Cameras.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
        video: Write the video; --no-video is faster.
    """
    steps = round(replan_s / STEP_S)
    if steps < 1 or abs(steps * STEP_S - replan_s) > 1e-9:
        raise DataError(f"--replan-s {replan_s} is no whole multiple of {STEP_S}; use 0.5")
    driver = None if planner == EXPERT else load_planner(planner)
    own = None if town is None else import_town(town)
    with Episode(scenario, seed, split, duration_s, RIGS[rig](width_px, height_px), town=own) as episode:
        done = Drive()
        while episode.time_s < duration_s - 1e-6 and not (done.happenings and done.happenings[-1].ends):
            _drive_on(done, episode, driver, steps, seed, video)
        result = _result(done, episode, planner, driver)
    write_json(out / "drive.json", result | {"facts": facts(f"eyesup drive {planner} {scenario} --seed {seed}")})
    _print(result)
    written = write_video(out / "drive.webp", done.frames, 1 / replan_s) if video else None
    console.print(f"{'video ' + str(written) + ', ' if written else ''}events {out / 'drive.json'}")
    other = "constant_velocity" if planner == EXPERT else EXPERT
    console.print(f"next: eyesup drive {other} {scenario} --seed {seed} --split {split}")
    return 0


def _drive_on(done: Drive, episode: Episode, driver: Planner | None, steps: int, seed: int, video: bool) -> None:
    """Plan once and drive for some steps; the expert drives one."""
    if driver is None:
        if video and len(done.happenings) % steps == 0:
            done.frames.append(_frame(episode, episode.images(), None))
        done.happenings.append(episode.step(*episode.expert_command()))
        return
    observation = episode.observation()
    plan = driver.plan([observation], seed)[0].trajectory
    if video:
        done.frames.append(_frame(episode, observation.images[-1], plan))
    done.happenings += episode.follow(plan, steps)
    done.plans += 1


def _frame(episode: Episode, images: np.ndarray, plan: Trajectory | None) -> np.ndarray:
    """Cameras with the plan on the road; at their right the view from above."""
    drawn = paths({"plan": plan})[:1] if plan is not None else []
    cameras = rig_overlay(images, episode.rig, drawn, scale=1)
    above = episode.birds_eye(len(cameras), None if plan is None else plan.xy[plan.valid])
    return np.concatenate([cameras, above], axis=1)


def _result(done: Drive, episode: Episode, name: str, driver: Planner | None) -> dict[str, object]:
    progress = sum(happening.progress_m for happening in done.happenings)
    ttc = min(happening.time_to_collision_s for happening in done.happenings)
    return {
        "planner": name, "privileged": driver is None or driver.privileged, "scenario": episode.scenario, "split": episode.split,
        "seed": episode.seed, "driven_s": round(episode.time_s, 1), "progress_m": round(progress, 2), "plans": done.plans,
        "mean_speed_mps": round(progress / max(episode.time_s, STEP_S), 2), "cruise_mps": round(episode.cruise_mps, 2),
        "smallest_ttc_s": ttc if np.isfinite(ttc) else None,
        "largest_off_route_m": round(max(happening.off_route_m for happening in done.happenings), 2),
        "events": done.events(),
    }  # fmt: skip


def _whom(happening: Happening, event: str) -> dict[str, object]:
    hit = happening.collision_with
    return {"with": hit[0].name.lower(), "id": hit[1]} if hit is not None and event == "collision" else {}


def _print(result: dict[str, object]) -> None:
    console.print(
        f"{result['planner']} drove {result['scenario']} seed {result['seed']} for {result['driven_s']} s: "
        f"{result['progress_m']} m at {result['mean_speed_mps']} m/s (cruise {result['cruise_mps']}), smallest time to "
        f"collision {result['smallest_ttc_s'] or 'over 3'} s, up to {result['largest_off_route_m']} m off the route"
    )
    events = result["events"]
    assert isinstance(events, list)
    for event in events:
        whom = f" with {event['with']} {event['id']}" if "with" in event else ""
        console.print(f"  [yellow]{event['time_s']} s: {event['event']}{whom}[/yellow]")
    if not events:
        console.print("  [green]no collision, no red light, on the road all the way[/green]")


def main(argv: list[str]) -> int:
    """Entry point of `eyesup drive`."""
    return tyro.cli(drive, args=argv, prog="eyesup drive")
