"""A picture of why a plan lost points: the map, the agents, the driven path, where each failure begins, and what was not
comfortable over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Float

from eyesup.geometry.boxes import box_corners
from eyesup.scoring.pdm import cpu
from eyesup.scoring.pdm.areas import BOX_COS, BOX_SIN, BOX_X, BOX_Y, HALF_LENGTH, HALF_WIDTH, NON_DRIVABLE, ONCOMING
from eyesup.scoring.pdm.comfort import (
    COMFORT_BOUNDS,
    COMFORT_SIGNALS,
    TWO_FRAME_LIMITS,
    TWO_FRAME_SIGNALS,
    comfort_filters,
    comfort_signals,
)
from eyesup.scoring.pdm.contacts import IS_ROAD_USER, NEVER, AgentTracks
from eyesup.scoring.pdm.grid import DRIVABLE, INTERSECTION, ROUTE
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.score import PDMScore, reference_poses, score, versioned
from eyesup.scoring.pdm.version import DAC, DDC, DT_S, EC, EP, LK, NC, TLC, TTC, Version

MARGIN_M = 15.0
EVERY = 5  # samples between drawn boxes
PANELS_PER_ROW = 3
_UNITS = ("m/s²", "m/s²", "m/s³", "m/s³", "rad/s²", "rad/s")
_TWO_FRAME_UNITS = ("m/s²", "m/s³", "rad/s", "rad/s²")
# Sub-score -> the sample at which it failed, colour.
_MOMENTS = {
    NC: ("collision", "#c1121f"),
    TTC: ("ttc", "#e36414"),
    TLC: ("red_light", "#9d0208"),
    DAC: ("off_road", "#5f0f40"),
}


def reasons(result: PDMScore, plan: int = 0) -> list[str]:
    """One line per sub-score that is not full, with what was measured; for the first scene."""
    judged, lines = result.judged, []
    for name, values in result.subscores.items():
        got = values[0, plan]
        if got >= 1.0 or not result.validity(name)[0, plan]:
            continue
        text = f"{name} {got:.3g}"
        if name in _MOMENTS:
            text += f": first at {DT_S * judged.samples[_MOMENTS[name][0]][0, plan]:.1f} s"
        elif name == DDC:
            text += f": {judged.wrong_way_m[0, plan]:.1f} m against the route within a second"
        elif name == EP:
            text += f": {judged.progress_m[0, plan]:.1f} m along the route"
        elif name == LK:
            text += ": more than 0.5 m off the centreline for two seconds"
        elif name == EC:
            parts = (f"{label} {value:.2f}" for label, value in zip(TWO_FRAME_SIGNALS, judged.differences[0, plan]))
            text += f": differs from the frame before by {', '.join(parts)} (RMS)"
        else:
            out = [label for label, kept in zip(COMFORT_SIGNALS, judged.comfort[0, plan]) if not kept]
            text += f": out of bounds: {', '.join(out)}"
        if result.filtered[name][0, plan] != got:
            text += " (forgiven: the human fails here, too)"
        lines.append(text)
    return lines or ["nothing lost"]


def draw(
    scene: PreparedScene,
    plan: Float[np.ndarray, "T 3"],
    version: Version,
    path: Path,
    previous: Float[np.ndarray, "T 3"] | None = None,
    dt_s: float | None = None,
    margin_m: float = MARGIN_M,
) -> list[str]:
    """Save the picture of one plan, with `margin_m` around the driven path; returns its `reasons`."""
    earlier = None if previous is None else previous[None, None]
    result = score(plan[None, None], [scene], version, earlier, dt_s=dt_s)
    agents = versioned(scene, version).agents
    states = cpu.simulate(np.asarray(plan, dtype=np.float64)[None], dt_s or 4.0 / len(plan), scene.ego.initial)
    into = cpu.Judged.empty((1, 1), version).part(0, slice(None))
    boxes, flags = cpu.judge(states, scene, agents, version, scene.ego.driven, into)
    panels = _comfort_panels(result, states, scene, version)
    if previous is not None and result.subscores.get(EC, np.ones((1, 1)))[0, 0] < 1 and result.two_frame_valid[0, 0]:
        panels += _two_frame_panels(result, states, np.asarray(previous, dtype=np.float64), dt_s, scene, version)
    axes, below, figure = _layout(boxes[0, :, :2], margin_m, len(panels))
    _draw_map(axes, scene)
    moments = {name: int(result.judged.samples[key][0, 0]) for name, (key, _) in _MOMENTS.items()}
    _draw_agents(axes, agents, sorted({0, *(sample for sample in moments.values() if sample != NEVER)}))
    if result.subscores[EP][0, 0] < 1:
        _draw_reference(axes, scene, version)
    _draw_ego(axes, boxes[0], flags[0], plan, moments)
    for panel, place in zip(panels, below):
        _draw_panel(place, panel)
    lines = reasons(result)
    title = [f"{scene.name}: {version.name} score {result.score[0, 0]:.3f}", *(fill(line, 120) for line in lines)]
    axes.set_title("\n".join(title), loc="left", fontsize=9)
    axes.legend(loc="upper right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return lines


@dataclass(frozen=True)
class _Panel:
    """A signal over time that left its bounds, or that differs from the frame before."""

    title: str
    curves: dict[str, tuple[np.ndarray, np.ndarray]]  # label -> seconds, values
    bounds: tuple[float, float] | None = None


def _layout(path: np.ndarray, margin_m: float, panels: int) -> tuple[Any, list[Any], Any]:
    """Axes of the view from above around a driven path, axes for panels in rows of three below it, and the figure."""
    from matplotlib.figure import Figure

    low, high = path.min(axis=0) - margin_m, path.max(axis=0) + margin_m
    width, height = high - low
    rows = -(-panels // PANELS_PER_ROW)
    above = min(10.0 * height / width, 14.0) + 2.0
    figure = Figure(figsize=(10.0, above + 2.2 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, PANELS_PER_ROW, height_ratios=[above, *[2.2] * rows])
    axes = figure.add_subplot(grid[0, :])
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set(xlabel="x, forward [m]", ylabel="y, left [m]")
    below = [figure.add_subplot(grid[1 + i // PANELS_PER_ROW, i % PANELS_PER_ROW]) for i in range(panels)]
    return axes, below, figure


def _comfort_panels(result: PDMScore, states: np.ndarray, scene: PreparedScene, version: Version) -> list[_Panel]:
    """The comfort signals that are out of bounds."""
    lost = np.flatnonzero(~result.judged.comfort[0, 0])
    past = scene.ego.driven if version.comfort_history else scene.ego.driven[:0]
    samples = len(past) + states.shape[1]
    signals = np.empty((1, len(COMFORT_SIGNALS), samples))
    filters = comfort_filters(samples, version.comfort_windows)
    comfort_signals(states, past, version.comfort_at_center, filters, signals)
    seconds = DT_S * (np.arange(samples) - len(past))
    return [
        _Panel(f"{COMFORT_SIGNALS[i]} [{_UNITS[i]}]", {"": (seconds, signals[0, i])}, tuple(COMFORT_BOUNDS[i]))
        for i in lost
    ]


def _two_frame_panels(
    result: PDMScore,
    states: np.ndarray,
    previous: np.ndarray,
    dt_s: float | None,
    scene: PreparedScene,
    version: Version,
) -> list[_Panel]:
    """The signals in which two frames differ by more than is allowed."""
    before = cpu.simulate(previous[None], dt_s or 4.0 / len(previous), scene.ego.previous)
    now, then = cpu.overlap(states, before, scene.ego.frame_gap, version)
    seconds = DT_S * np.arange(now.shape[2])
    found = []
    for i in np.flatnonzero(result.judged.differences[0, 0] > TWO_FRAME_LIMITS):
        title = f"{TWO_FRAME_SIGNALS[i]} [{_TWO_FRAME_UNITS[i]}]: RMS {result.judged.differences[0, 0, i]:.2f} > {TWO_FRAME_LIMITS[i]:g}"
        found.append(_Panel(title, {"this plan": (seconds, now[0, i]), "frame before": (seconds, then[0, i])}))
    return found


def _draw_panel(axes: Any, panel: _Panel) -> None:
    for (label, (seconds, values)), color in zip(panel.curves.items(), ("#1d3557", "#e36414")):
        axes.plot(seconds, values, color=color, linewidth=1.2, label=label or None)
    if panel.bounds is not None:
        for bound in panel.bounds:
            axes.axhline(bound, color="#c1121f", linewidth=0.9, linestyle="--")
    axes.set_title(panel.title, fontsize=8)
    axes.set_xlabel("t [s]", fontsize=8)
    axes.tick_params(labelsize=7)
    if len(panel.curves) > 1:
        axes.legend(fontsize=7)


def _draw_reference(axes: Any, scene: PreparedScene, version: Version) -> None:
    """What the progress is compared with."""
    poses, view = reference_poses(scene, version), versioned(scene, version)
    label = f"PDM-Closed: {view.reference_progress_m:.1f} m"
    axes.plot(*poses[:, :2].T, color="#2a9d8f", linewidth=3, alpha=0.6, zorder=4, label=label)


def _draw_map(axes: Any, scene: PreparedScene) -> None:
    grid = scene.grid
    red = set(scene.red_polygons.tolist())
    for p, layer in enumerate(grid.layers):
        ring = slice(grid.ring_start[p], grid.ring_start[p + 1])
        x, y = grid.x[ring], grid.y[ring]
        if p in red:
            axes.fill(x, y, color="#ffb3b3", zorder=2)
        elif layer & DRIVABLE:
            axes.fill(x, y, color="#d8e2dc" if layer & INTERSECTION else "#e9ecef", zorder=0)
        elif layer & ROUTE:
            axes.fill(x, y, color="#cfe8cf", alpha=0.6, zorder=1)
        axes.plot(x, y, color="#adb5bd", linewidth=0.4, zorder=3)
    start = scene.centerline.segments[:, :2]
    axes.plot(start[:, 0], start[:, 1], color="#2d6a4f", linewidth=1, linestyle="--", zorder=4, label="centreline")


def _draw_agents(axes: Any, agents: AgentTracks, samples: list[int]) -> None:
    for a in range(len(agents.kind)):
        color = "#457b9d" if agents.kind[a] & IS_ROAD_USER else "#bc6c25"
        for sample in samples:
            if not agents.present[a, 0] <= sample <= agents.present[a, 1]:
                continue
            corners = _corners(agents.boxes[a, sample], *agents.extent[a, :2])
            axes.fill(
                *corners.T,
                facecolor=color,
                edgecolor=color,
                alpha=0.35 if sample == 0 else 0.75,
                linewidth=0.8,
                zorder=5,
            )


def _draw_ego(axes: Any, boxes: np.ndarray, flags: np.ndarray, plan: np.ndarray, moments: dict[str, int]) -> None:
    axes.plot(*plan[:, :2].T, "o", color="#000000", markersize=3, zorder=8, label="plan")
    axes.plot(boxes[:, BOX_X], boxes[:, BOX_Y], color="#1d3557", linewidth=1.5, zorder=7, label="driven (box centre)")
    for i in range(0, len(boxes), EVERY):
        off = flags[i] & (NON_DRIVABLE | ONCOMING)
        axes.plot(*_closed(boxes[i]).T, color="#5f0f40" if off else "#1d3557", linewidth=0.8, zorder=6)
    for name, sample in moments.items():
        if sample != NEVER:
            label = f"{name} at {DT_S * sample:.1f} s"
            axes.plot(*_closed(boxes[sample]).T, color=_MOMENTS[name][1], linewidth=2.2, zorder=9, label=label)


def _corners(box: np.ndarray, half_length: float, half_width: float) -> np.ndarray:
    heading = np.arctan2(box[BOX_SIN], box[BOX_COS])
    return box_corners(np.array([box[BOX_X], box[BOX_Y], heading]), 2 * half_length, 2 * half_width)


def _closed(box: np.ndarray) -> np.ndarray:
    corners = _corners(box, HALF_LENGTH, HALF_WIDTH)
    return np.concatenate([corners, corners[:1]])
