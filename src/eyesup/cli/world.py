"""`eyesup world`: generate, inspect, check, render and film the embedded driving world, or bring maps and real logs into it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from PIL import Image
from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional, arg

from eyesup.cli.common import console
from eyesup.cli.gallery import gallery
from eyesup.cli.world_export import export
from eyesup.cli.world_language import language
from eyesup.cli.world_replay import replay
from eyesup.types import DataError, Scene
from eyesup.world.check import check_store
from eyesup.world.check import repair as delete_broken
from eyesup.world.generate import TWINS, GenerateConfig, GenerateReport, generate
from eyesup.world.import_map import facts_of, format_of, import_town
from eyesup.world.render import Renderer
from eyesup.world.rigs import RIGS
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.simulate import simulate
from eyesup.world.store import CUE_ACTIVE_M, SceneStore
from eyesup.world.topdown import draw_map, draw_topdown
from eyesup.world.twins import cue_effects, make_twin
from eyesup.world.video import write_video

Split = Literal["train", "val", "test", "shifted"]
Rig = Literal["front3", "surround6"]
Twin = Literal["none", "removed", "off_path", "in_sky", "moved"]


def generate_store(config: OmitArgPrefixes[Annotated[GenerateConfig, arg(name="")]]) -> int:
    """Simulate logs, render their cameras, and store them as keyframes with labels, questions and the effect of the cue.

    Safe to stop at any time; the same command goes on where it stopped. The same options give the same bytes.

    Example: eyesup world generate --out runs/world/train --logs 40 --workers 2

    Only some scenarios, twice as many red lights: --scenarios red_light 2 lead_brakes 1

    On a Ray cluster: --engine ray --ray-address auto (one on this machine: --engine ray --workers 8)
    """
    report = generate(config)
    _print_report(config.out, report)
    return 0


def inspect(store: Positional[Path], verify: bool = True) -> int:
    """Print what a store holds (scenes, keyframes, shares, sizes, versions) and hash every file against its checksum.

    Example: eyesup world inspect runs/world/train

    Args:
        store: Folder made by `eyesup world generate`.
        verify: Hash every file; --no-verify skips it.
    """
    opened = SceneStore(store)
    console.print(_scenario_table(opened))
    facts = opened.manifest
    report, width, height = facts["report"], *opened.rig.size_px
    console.print(
        f"split {facts['config']['split']}, seed {facts['config']['seed']}, "
        f"cameras {', '.join(opened.rig.names)} at {width}x{height} px"
    )
    console.print(
        f"cue_share {_asked(report['cue_share'], facts['config'].get('cue_share'))}   rho(1 m) {report['rho']:.3f}   "
        f"twins {report['twins']}"
    )
    console.print("versions " + ", ".join(f"{name} {value}" for name, value in facts["versions"].items()))
    if report["failed"]:
        console.print(
            f"[yellow]{len(report['failed'])} logs failed and are left out:[/yellow] {', '.join(report['failed'])}"
        )
    if not verify:
        return 0
    problems = opened.verify()
    for problem in problems:
        console.print(f"[red]{problem}[/red]")
    console.print("checksums [green]match[/green]" if not problems else f"[red]{len(problems)} damaged files[/red]")
    return 1 if problems else 0


def check(store: Positional[Path], pictures: bool = False, repair: bool = False) -> int:
    """Verify a store from end to end: every file there, whole and unaltered, tables readable, keyframe counts as written.

    Names every broken file and the command that mends the store; the exit status is 1 where something is broken.

    Example: eyesup world check runs/world/train

    Delete what is broken, then run the command that is printed: eyesup world check runs/world/train --repair

    Args:
        store: Folder made by `eyesup world generate`, finished or not.
        pictures: Also decode every stored picture.
        repair: Delete the broken files, so that generating again makes them anew.
    """
    report = check_store(store, pictures)
    for fault in report.faults:
        console.print(f"[red]{fault.path} {fault.what}[/red]", soft_wrap=True)
    for stray in report.strays:
        console.print(
            f"[yellow]{stray} belongs to no scene of the manifest; harmless, delete it at will[/yellow]", soft_wrap=True
        )
    console.print(
        f"{report.scenes} scenes, {report.files} files, {report.bytes / 1e6:.1f} MB, {report.pictures} pictures decoded: "
        + (f"[red]{len(report.faults)} broken[/red]" if report.faults else "[green]all well[/green]")
    )
    if not report.faults:
        return 0
    command = report.remedy or f"eyesup world generate --out {store} (with the options it was made with)"
    if repair:
        console.print(f"deleted {len(delete_broken(report))} files; now run: {command}", soft_wrap=True)
    else:
        console.print(f"to mend it: eyesup world check {store} --repair, then: {command}", soft_wrap=True)
    return 1


def render(
    scenario: Positional[str],
    seed: int = 0,
    out: Path = Path("scene.png"),
    split: Split = "train",
    step: int | None = None,
    twin: Twin = "none",
    rig: Rig = "front3",
    width_px: int = 480,
    height_px: int = 270,
) -> int:
    """Draw one moment of a scenario: the cameras side by side, and the same from above with the path driven in the next 5 s.

    Example: eyesup world render red_light --seed 3 --out red.png

    The same moment without its cue, and what the expert does then: eyesup world render red_light --seed 3 --twin removed

    Args:
        scenario: Name of a scenario; a wrong one lists them all.
        seed: Which log of the scenario.
        out: PNG file to write.
        split: Towns to draw from.
        step: Step of 0.1 s; by default the keyframe at which the cue matters most.
        twin: Remove the cue, set it beside the road or into the sky, or move it, and let the expert drive again.
        rig: Camera rig.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
    """
    scene = _simulate(scenario, seed, split)
    effects = cue_effects(scene, scene.keyframes)
    step = int(scene.keyframes[int(effects.argmax())]) if step is None else step
    if not 0 <= step < len(scene):
        raise DataError(f"step {step} is outside the log, which has steps 0 to {len(scene) - 1}")
    if twin != "none":
        scene = make_twin(scene, step, TWINS[twin])
    with Renderer(RIGS[rig](width_px, height_px)) as renderer:
        renderer.load(scene)
        images = renderer.images(step)
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_page(images, scene, step)).save(out)
    near = np.abs(scene.keyframes - step).argmin() if len(scene.keyframes) else 0
    effect = f", removing the cue moves the 3 s end point by {effects[near]:.1f} m" if twin == "none" else ""
    console.print(f"{out}: {scenario} seed {seed}, step {step} ({step * scene.dt_s:.1f} s), twin {twin}{effect}")
    return 0


def video(
    scenario: Positional[str],
    seed: int = 0,
    out: Path = Path("scene.webp"),
    split: Split = "train",
    duration_s: float = 12.0,
    rig: Rig = "front3",
    width_px: int = 320,
    height_px: int = 180,
) -> int:
    """Film a scenario at 10 frames a second: the cameras side by side, and the same from above.

    Example: eyesup world video lead_brakes --seed 2 --out brakes.mp4

    Args:
        scenario: Name of a scenario; a wrong one lists them all.
        seed: Which log of the scenario.
        out: File to write: .webp, .gif, or .mp4 (which needs an ffmpeg: pip install "eyesup[video]").
        split: Towns to draw from.
        duration_s: Length in seconds, at least 8.
        rig: Camera rig.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
    """
    scene = _simulate(scenario, seed, split, duration_s)
    with Renderer(RIGS[rig](width_px, height_px)) as renderer:
        renderer.load(scene)
        written = write_video(
            out, (_page(renderer.images(step), scene, step) for step in range(len(scene))), 1 / scene.dt_s
        )
    console.print(f"{written}: {scenario} seed {seed}, {len(scene) * scene.dt_s:.0f} s")
    return 0


def import_map(
    osm: Path | None = None,
    opendrive: Path | None = None,
    out: Path = Path("runs/town.png"),
    scenario: str = "free_drive",
    seed: int = 0,
    width_px: int = 480,
    height_px: int = 270,
) -> int:
    """Turn an OpenStreetMap or OpenDRIVE file into a town: roads, signals, sidewalks and houses to drive and to render.

    Prints what the map holds, lets the expert drive through it, and draws the map and a moment of that drive.

    Example: eyesup world import --opendrive Town03.xodr --out runs/town03.png

    A piece of your own city (openstreetmap.org, "Export"): eyesup world import --osm map.osm

    Args:
        osm: OpenStreetMap file (.osm, .osm.gz).
        opendrive: OpenDRIVE file (.xodr, .xodr.gz).
        out: PNG file to write.
        scenario: What happens on the drive; of those that need no road of their own.
        seed: Which drive.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
    """
    if (osm is None) == (opendrive is None):
        raise DataError("give one map: --osm FILE or --opendrive FILE")
    path = osm or opendrive
    assert path is not None
    wanted = "osm" if osm is not None else "opendrive"
    if format_of(path) != wanted:
        raise DataError(f"{path} is no {wanted} file by its name; use --{format_of(path)} for it")
    town = import_town(path)
    facts = facts_of(town)
    console.print(
        f"{town.name}: {facts.width_m:.0f} x {facts.height_m:.0f} m, {facts.road_km:.1f} km of lanes in {facts.lanes} lanes, "
        f"{facts.junction_lanes} junction paths, {facts.signals} signals, {facts.signs} signs, {facts.crosswalks} crosswalks"
    )
    scene = simulate(scenario, seed, "train", 12.0, town)
    step = int(scene.keyframes[len(scene.keyframes) // 2])
    with Renderer(RIGS["front3"](width_px, height_px)) as renderer:
        renderer.load(scene)
        page = _page(renderer.images(step), scene, step)
    plan = draw_map(town.road_map, page.shape[1], scene.ego_poses[:, :2])
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([page, plan])).save(out)
    driven = float(np.linalg.norm(np.diff(scene.ego_poses[:, :2], axis=0), axis=1).sum())
    console.print(f"{out}: the expert drove {driven:.0f} m of {scenario} (red in the map)")
    console.print(f"next: eyesup world generate --town {path} --scenarios {scenario} 1 --out runs/world/{town.name}")
    return 0


def _simulate(scenario: str, seed: int, split: str, duration_s: float = 20.0) -> Scene:
    if scenario not in SCENARIOS:
        raise DataError(f"unknown scenario {scenario!r}; known: {', '.join(SCENARIOS)}")
    return simulate(scenario, seed=seed, split=split, duration_s=duration_s)


def _page(images: np.ndarray, scene: Scene, step: int) -> np.ndarray:
    """Cameras in rows of three, the view from above at their right."""
    rows = [np.concatenate(list(images[i : i + 3]), axis=1) for i in range(0, len(images), 3)]
    cameras = np.concatenate(rows, axis=0)
    return np.concatenate([cameras, draw_topdown(scene, step, size_px=len(cameras))], axis=1)


def _scenario_table(store: SceneStore) -> Table:
    table = Table(str(store.root), "logs", "keyframes", f"cue effect > {CUE_ACTIVE_M:g} m", "questions", "MB")
    groups: dict[str, list[dict]] = defaultdict(list)
    for row in store.manifest["scenes"]:
        if row["key"] in store.keys:
            groups[row["scenario"]].append(row)
    for name, rows in sorted(groups.items()):
        table.add_row(name, *_counts(store, rows))
    table.add_section()
    table.add_row("all", *_counts(store, [row for rows in groups.values() for row in rows]))
    return table


def _counts(store: SceneStore, rows: list[dict]) -> list[str]:
    measured = [store.annotations(row["key"]) for row in rows]
    known = np.concatenate([np.zeros(0, bool), *(a.cue_effect_valid for a in measured)])
    active = np.concatenate([np.zeros(0, bool), *(a.cue_effect_m > CUE_ACTIVE_M for a in measured)]) & known
    questions = sum(len(qa) for a in measured for qa in a.qa)
    size = sum(sum(row["bytes"].values()) for row in rows)
    share = f"{100 * active.sum() / max(1, known.sum()):.0f} %"
    return [str(len(rows)), str(len(known)), share, str(questions), f"{size / 1e6:.1f}"]


def _asked(measured: float, asked: float | None) -> str:
    """A measured share, and the one that was asked for where one was."""
    return f"{measured:.3f}" if asked is None else f"{measured:.3f} (asked for {asked:g})"


def _print_report(out: Path, report: GenerateReport) -> None:
    console.print(
        f"{out}: {report.logs} logs, {report.keyframes} keyframes, {report.twins} twins; "
        f"cue_share {_asked(report.cue_share, report.cue_share_asked)}, rho(1 m) {report.rho:.3f}"
    )
    if report.made:
        spent = sum(report.stage_s.values())
        shares = ", ".join(f"{name} {100 * seconds / spent:.0f} %" for name, seconds in report.stage_s.items())
        console.print(
            f"made {report.made} keyframes in {report.wall_s:.0f} s ({report.keyframes_per_s:.1f}/s): {shares}"
        )
    if report.failed:
        console.print(f"[yellow]{len(report.failed)} logs failed and are left out:[/yellow] {', '.join(report.failed)}")
    console.print(f"next: eyesup world inspect {out}")


def main(argv: list[str]) -> int:
    """Entry point of `eyesup world`."""
    commands: dict[str, Callable[..., int]] = {
        "generate": generate_store,
        "inspect": inspect,
        "check": check,
        "render": render,
        "video": video,
        "import": import_map,
        "export": export,
        "gallery": gallery,
        "language": language,
        "replay": replay,
    }
    return tyro.extras.subcommand_cli_from_dict(commands, prog="eyesup world", description=__doc__, args=argv)
