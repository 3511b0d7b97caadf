"""`eyesup world gallery`: every scenario on one page, with what its twins look like and what the expert does in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np

from eyesup.cli.common import console, facts, progress_bar
from eyesup.geometry.se2 import points_to_frame, wrap_angle
from eyesup.reports.draw import PLAN_COLORS, Dot, bev_svg, jpeg_data_uri, overlay, rig_overlay
from eyesup.reports.draw import Path as PlanPath
from eyesup.reports.page import Page, Picture, Section, write
from eyesup.types import CameraRig, CueKind, DataError, Finding, Scene, SignalState
from eyesup.world.ego_view import agents_in_ego_frame, future_trajectory, map_around
from eyesup.world.render import Renderer
from eyesup.world.rigs import RIGS
from eyesup.world.scenarios import SCENARIOS, load_scenario
from eyesup.world.simulate import simulate
from eyesup.world.twins import EFFECT_STEPS, TwinKind, make_twin
from eyesup.world.twins.criterion import cue_keyframe

TITLES = {
    TwinKind.CUE_REMOVED: "cue removed", TwinKind.CUE_OFF_PATH: "beside the road", TwinKind.CUE_IN_SKY: "in the sky",
    TwinKind.CUE_MOVED: "moved",
}  # fmt: skip
DOT_COLORS = {
    SignalState.OFF: "#495057", SignalState.GREEN: "#2f9e44", SignalState.AMBER: "#f59f00", SignalState.RED: "#e03131",
    SignalState.STOP_SIGN: "#9c36b5", SignalState.YIELD_SIGN: "#1098ad",
}  # fmt: skip
WAYPOINT_DT_S, WAYPOINTS = 0.5, 6
BEV_AHEAD_M, BEV_BEHIND_M, BEV_SIDE_M, BEV_WIDTH_PX = 42.0, 6.0, 14.0, 212
PROTOCOL = (
    "Metres between 3 s end points of the expert. Effect: the log to its twin without the cue. Beside the road, in the sky: the "
    "twin without the cue to the one with the cue there. Moved: the log to the twin with the cue elsewhere. One log each."
)


@dataclass(frozen=True)
class Exhibit:
    """One log at its cue's moment, and its twins, as far as they exist."""

    name: str
    scene: Scene
    step: int
    twins: Mapping[TwinKind, Scene]

    def apart(self, one: TwinKind | None, other: TwinKind) -> float | None:
        """Metres between the 3 s end points of two versions (None: the log itself); None where one is missing."""
        if other not in self.twins or (one is not None and one not in self.twins):
            return None
        scenes = (self.scene if one is None else self.twins[one], self.twins[other])
        ends = [scene.ego_poses[self.step + EFFECT_STEPS, :2] for scene in scenes]
        return float(np.hypot(*(ends[0] - ends[1])))


def gallery(
    out: Path = Path("gallery.html"),
    scenarios: tuple[str, ...] = (),
    seed: int = 0,
    split: Literal["train", "val", "test", "shifted"] = "train",
    width_px: int = 384,
    height_px: int = 216,
) -> int:
    """Show every scenario at the moment at which its cue starts to matter, with its twins, on one self-contained page.

    Example: eyesup world gallery --out gallery.html

    Args:
        out: HTML file to write.
        scenarios: Names; default all that have a cue.
        seed: Which log of each scenario.
        split: Towns to draw from.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
    """
    unknown = sorted(set(scenarios) - set(SCENARIOS))
    if unknown:
        raise DataError(f"unknown scenario {', '.join(unknown)}; known: {', '.join(SCENARIOS)}")
    names = scenarios or tuple(name for name in SCENARIOS if load_scenario(name).has_cue)
    sections, rows = [], {}
    with progress_bar("scenarios", len(names)) as advance:
        for name in names:
            exhibit = _exhibit(name, seed, split)
            with Renderer(_rig(exhibit, width_px, height_px)) as renderer:
                sections.append(_section(exhibit, renderer))
            rows[name] = _numbers(exhibit)
            advance(1)
    summary = Section("Effects", findings=[Finding("gallery", "scenario", PROTOCOL, rows)])
    page = Page(
        "Scenarios of the embedded world",
        "Each scenario has a cue, the thing that decides what the expert does. Its twins are the same moment with the cue "
        "removed, set beside the road, hung into the sky or moved; the expert drives each of them anew. Green is what it does "
        "in the log, orange what it does in the twin (3 s, a dot every 0.5 s). From above, the cue is red.",
        [summary, *sections],
        facts(f"eyesup world gallery --seed {seed} --split {split}"),
    )
    written = write(page, out)
    console.print(f"{written}: {len(names)} scenarios, {written.stat().st_size / 1e6:.1f} MB")
    return 0


def _exhibit(name: str, seed: int, split: str) -> Exhibit:
    scene = simulate(name, seed, split)
    step, twins = cue_keyframe(scene), {}
    for kind in TITLES:
        try:
            twins[kind] = make_twin(scene, step, kind)
        except DataError:  # no room for it; the page leaves it out
            continue
    return Exhibit(name, scene, step, twins)


def _numbers(exhibit: Exhibit) -> dict[str, float | str]:
    found = {
        "effect": exhibit.apart(None, TwinKind.CUE_REMOVED),
        "beside the road": exhibit.apart(TwinKind.CUE_REMOVED, TwinKind.CUE_OFF_PATH),
        "in the sky": exhibit.apart(TwinKind.CUE_REMOVED, TwinKind.CUE_IN_SKY),
        "moved": exhibit.apart(None, TwinKind.CUE_MOVED),
    }
    kinds = load_scenario(exhibit.name)
    labels = {
        "ability": kinds.ability.value if kinds.ability else "",
        "edge case": kinds.edge_case.value if kinds.edge_case else "",
    }
    return {**labels, **{title: "no such twin" if metres is None else metres for title, metres in found.items()}}


def _section(exhibit: Exhibit, renderer: Renderer) -> Section:
    scene, step = exhibit.scene, exhibit.step
    images = _images(renderer, scene, step)
    log_plan = _plan(scene, step, "in the log", "expert")
    cameras = Picture(
        f"the log: {scene.key}, {step * scene.dt_s:.1f} s",
        src=jpeg_data_uri(rig_overlay(images, renderer.rig, [log_plan], scale=1)),
    )
    fronts, views = [], [Picture("the log", svg=_from_above(scene, step, [log_plan]))]
    for kind, twin in exhibit.twins.items():
        plans = [log_plan, _plan(twin, step, TITLES[kind], "plan")]
        bearing = _cue_bearing(scene, step) if kind is TwinKind.CUE_REMOVED else _cue_bearing(twin, step)
        camera = _camera_towards(renderer.rig, bearing)
        image = overlay(_images(renderer, twin, step)[camera], renderer.rig.cameras[camera], plans, scale=1)
        away = f"{TITLES[kind]}{_how(twin)}; ends {exhibit.apart(None, kind):.1f} m from the log"
        fronts.append(Picture(away, src=jpeg_data_uri(image)))
        views.append(Picture(TITLES[kind], svg=_from_above(twin, step, plans)))
    return Section(exhibit.name, text=[_sentence(exhibit.name)], pictures=[[cameras], fronts, views])


def _rig(exhibit: Exhibit, width_px: int, height_px: int) -> CameraRig:
    """Three cameras to the front, or three to the back where the cue comes from behind."""
    if abs(_cue_bearing(exhibit.scene, exhibit.step)) < np.pi / 2:
        return RIGS["front3"](width_px, height_px)
    cameras = {camera.name: camera for camera in RIGS["surround6"](width_px, height_px)}
    return CameraRig(tuple(cameras[name] for name in ("back_right", "back", "back_left")))


def _cue_bearing(scene: Scene, step: int) -> float:
    """Direction in which the cue is seen [rad, left positive]; 0 where it is no agent or not there."""
    if scene.cue.kind is not CueKind.AGENT or scene.cue.id not in scene.agents.ids:
        return 0.0
    row = int(np.flatnonzero(scene.agents.ids == scene.cue.id)[0])
    x, y = points_to_frame(scene.agents.poses[row, step, :2], scene.ego_poses[step])
    return float(np.arctan2(y, x)) if scene.agents.valid[row, step] else 0.0


def _camera_towards(rig: CameraRig, bearing: float) -> int:
    """Index of the camera that looks most nearly in a direction; the middle one where several do alike."""
    away = [abs(wrap_angle(np.arctan2(*camera.ego_from_cam[1::-1, 2]) - bearing)) for camera in rig]
    return min((1, 0, 2), key=lambda index: away[index])


def _images(renderer: Renderer, scene: Scene, step: int) -> np.ndarray:
    renderer.load(scene)
    return renderer.images(step)


def _plan(scene: Scene, step: int, label: str, color: str) -> PlanPath:
    driven = future_trajectory(scene, step).resampled(WAYPOINT_DT_S, WAYPOINTS)
    return PlanPath(driven, label, PLAN_COLORS[color])


def _from_above(scene: Scene, step: int, plans: list[PlanPath]) -> str:
    heads = points_to_frame(scene.signals.poses[:, :2], scene.ego_poses[step])
    dots = [
        Dot(float(x), float(y), DOT_COLORS[SignalState(int(state))])
        for (x, y), state in zip(heads, scene.signals.states[:, step])
    ]
    marked = scene.cue.ids if scene.cue.kind is CueKind.AGENT else ()
    agents = agents_in_ego_frame(scene, step, 0)
    road_map = map_around(scene, step)
    return bev_svg(
        plans, agents, road_map, scene.vehicle, marked, BEV_AHEAD_M, BEV_BEHIND_M, BEV_SIDE_M, BEV_WIDTH_PX, dots
    )


def _how(twin: Scene) -> str:
    """By how much a cue was moved, in words."""
    if "cue_moved_m" in twin.tags:
        metres = float(twin.tags["cue_moved_m"])
        return f" {abs(metres):g} m {'on' if metres > 0 else 'back'} along the road"
    if "cue_moved_s" in twin.tags:
        seconds = float(twin.tags["cue_moved_s"])
        return f": {abs(seconds):g} s {'later' if seconds > 0 else 'earlier'}"
    return ""


def _sentence(name: str) -> str:
    """The first line of the scenario's module, which says what happens in it."""
    text = import_module(load_scenario(name).__module__).__doc__ or ""
    return text.strip().splitlines()[0] if text else ""
