"""The picture and the tables of docs/metrics.md: one scene and 400 cases under every open-loop protocol.

    python tools/draw_openloop_scene.py

Writes docs/images/openloop_scene.png and prints the two tables.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from eyesup.geometry.boxes import box_corners
from eyesup.scoring.openloop.cases import Cases, gathered, read_case, read_cases
from eyesup.scoring.openloop.protocol import EGO_LENGTH_M, EGO_WIDTH_M, LIDAR_TO_CENTER_M, PROTOCOLS, Reading
from eyesup.scoring.openloop.score import CaseScores, path_poses, score, summary

ROOT = Path(__file__).parents[1]
FORWARD, LEFT = np.pi / 2, np.pi
# Letter, what, category, length, width, first pose (right, forward, yaw), metres forward per step, frames with an annotation.
AGENTS = (
    ("A", "pedestrian", "pedestrian", 0.6, 0.6, (0.3, 5.8, FORWARD), 0.0, "1111111"),
    ("B", "cone", "traffic_cone", 0.4, 0.4, (-0.2, 11.0, FORWARD), 0.0, "1111111"),
    ("C", "car seen from 1.0 s on", "car", 4.0, 2.0, (1.2, 16.0, FORWARD), 0.0, "0011111"),
    ("D", "car that the driven path hits, too", "car", 4.0, 2.0, (-1.5, 20.0, FORWARD), 0.0, "1111100"),
    ("E", "car from 40 m ahead", "car", 4.0, 2.0, (-0.5, 40.0, -FORWARD), -2.5, "1111111"),
    ("F", "car beside the turned ego", "car", 4.0, 2.0, (-5.5, 28.3, LEFT), 0.0, "1111111"),
)  # fmt: skip
PLAN = [(0.0, 5.0), (0.0, 10.0), (0.0, 15.0), (0.0, 20.0), (-0.5, 25.0), (-5.5, 25.8)]
DRIVEN = [(-1.5, 4.5), (-3.0, 9.0), (-3.0, 13.5), (-3.0, 18.5), (-3.0, 22.5), (-3.0, 24.0)]
DRIVEN_HEADINGS = [0.35, 0.0, 0.0, 0.0, 0.0, 0.0]  # a lane change to the left
ROAD = (-6.5, 4.0)  # left and right edge [m]


def scene() -> Cases:
    """The drawn scene as a case."""
    agents = [
        {"category": category, "size_lwh": [length, width, 1.5], "valid_t0_t6": [int(v) for v in frames],
         "poses_xyyaw_t0_t6": [[x, y + k * move, yaw] for k in range(7)]}
        for _, _, category, length, width, (x, y, yaw), move, frames in AGENTS
    ]  # fmt: skip
    edges = [[ROAD[0], -49.0], [ROAD[1], -49.0], [ROAD[1], 49.0], [ROAD[0], 49.0]]
    entry = {
        "id": "drawn", "pred": PLAN, "gt": DRIVEN, "gt_heading_left_positive": DRIVEN_HEADINGS, "n_valid_future": 6,
        "fut_valid_flag": True, "agents": agents, "drivable_area": [{"exterior": edges}],
        "road_boundaries": [[[edge, -49.0], [edge, 49.0]] for edge in ROAD],
    }  # fmt: skip
    return gathered([read_case(entry)])


def marks(result: CaseScores) -> list[str]:
    """Per step: X a counted collision, o a hit that is excused since the driven path hits, too, - none."""
    return ["X" if counted else "o" if hit else "-" for counted, hit in zip(result.collides[0], result.plan_hits[0])]


def scene_table() -> list[str]:
    """Markdown rows: protocol, six steps, off the road, collision as the protocol reads it."""
    rows = [
        "| protocol | A | B | C | D | E | F | leaves the road | collision at 1 / 2 / 3 s, avg [%] |",
        "|" + "---|" * 9,
    ]
    for name in PROTOCOLS:
        result = score(scene(), name)
        exits = ", ".join(_first(steps[0]) for steps in result.off_road.values()) or "not asked"
        rates = _read(result, "obj_box_col", result.protocol.official)
        rows.append(f"| {name} | {' | '.join(marks(result))} | {exits} | {rates} ({result.protocol.official.value}) |")
    return rows


def _first(exits: np.ndarray) -> str:
    return f"step {int(np.argmax(exits)) + 1}" if exits.any() else "never"


def _read(result: CaseScores, metric: str, reading: Reading, factor: float = 100.0, digits: int = 0) -> str:
    means = summary(result)[metric]
    assert isinstance(means, dict)
    values = [f"{factor * value:.{digits}f}" for value in means[reading.value].values()]
    return f"{' / '.join(values[:3])}, {values[3]}"


def cases_table(cases: Cases) -> list[str]:
    """Markdown rows: the same predictions of many cases under every protocol; official readings are bold."""
    rows = [
        "| protocol | N | L2 at [m] | L2 cumulative [m] | collision at [%] | cumulative [%] | any [%] |",
        "|" + "---|" * 7,
    ]
    for name, protocol in PROTOCOLS.items():
        if protocol.drivable_area:
            protocol = replace(protocol, drivable_area=False)
        result = score(cases, protocol)
        cells = [str(int(result.counted.sum()))]
        for metric, readings, factor in (
            ("L2", (Reading.AT, Reading.CUMULATIVE), 1.0),
            ("obj_box_col", Reading, 100.0),
        ):
            for reading in readings:
                text = _read(result, metric, reading, factor, 2)
                own = Reading.CUMULATIVE if metric == "L2" and protocol.official is Reading.ANY else protocol.official
                cells.append(f"**{text}**" if reading is own else text)
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def draw(out: Path) -> None:
    """The scene from above, and which protocol counts what."""
    figure, (above, table) = plt.subplots(1, 2, figsize=(11.5, 8.2), width_ratios=(1, 1.25), layout="constrained")
    _draw_scene(above)
    _draw_marks(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)
    plt.close(figure)


def _box(axes: Axes, right: float, forward: float, yaw: float, length: float, width: float, **style) -> None:
    corners = box_corners(np.array([right, forward, yaw]), length, width)
    axes.add_patch(Polygon(corners, closed=True, **style))


def _draw_scene(axes: Axes) -> None:
    axes.axvspan(*ROAD, color="#e9ecef", zorder=0)
    driven, plan = _lidar_poses(np.array(DRIVEN)), _lidar_poses(np.array(PLAN))
    driven[:, 2] = FORWARD + np.array(DRIVEN_HEADINGS)
    for path, poses, color, label in ((DRIVEN, driven, "#2b8a3e", "driven"), (PLAN, plan, "#1c7ed6", "plan")):
        points = np.array([(0.0, 0.0), *path])
        axes.plot(points[:, 0], points[:, 1], "o-", color=color, markersize=3, label=label, zorder=5)
        for right, forward, yaw in poses:
            ahead = LIDAR_TO_CENTER_M * np.array([np.cos(yaw), np.sin(yaw)])
            _box(axes, right + ahead[0], forward + ahead[1], yaw, EGO_LENGTH_M, EGO_WIDTH_M,
                 fill=False, edgecolor=color, linewidth=0.9)  # fmt: skip
    for step, (right, forward) in enumerate(PLAN, 1):
        axes.annotate(
            str(step), (right, forward), textcoords="offset points", xytext=(5, -9), color="#1c7ed6", fontsize=8
        )
    _box(axes, PLAN[5][0], PLAN[5][1] + LIDAR_TO_CENTER_M, FORWARD, EGO_LENGTH_M, EGO_WIDTH_M, fill=False,
         edgecolor="#1c7ed6", linestyle=":", linewidth=1.6, label="footprint that does not turn")  # fmt: skip
    for step, (letter, _, category, length, width, (right, forward, yaw), move, _) in enumerate(AGENTS, 1):
        color = "#f08c00" if category != "car" else "#868e96"
        place = forward + step * move
        _box(axes, right, place, yaw, length, width, facecolor=color, edgecolor="black", linewidth=0.6, zorder=3)
        axes.annotate(letter, (right, place), textcoords="offset points", xytext=(0 if length > 1 else 9, 0),
                      ha="center", va="center", fontsize=10, weight="bold", zorder=6)  # fmt: skip
    axes.set(xlim=(-10, 6), ylim=(-4, 32), aspect="equal", xlabel="right [m]", ylabel="forward [m]",
             title="each agent where it stands at its step")  # fmt: skip
    axes.legend(loc="lower left", fontsize=8)


def _lidar_poses(path: np.ndarray) -> np.ndarray:
    """Right, forward and yaw from +x of a path."""
    poses = path_poses(path[None])[0]
    return np.stack([-poses[:, 1], poses[:, 0], poses[:, 2] + FORWARD], axis=-1)


def _draw_marks(axes: Axes) -> None:
    colors = {"X": "#e03131", "o": "#ffd8a8", "-": "#f8f9fa"}
    texts = {"X": "counts", "o": "excused", "-": ""}
    for row, name in enumerate(PROTOCOLS):
        result = score(scene(), name)
        shown = [*marks(result)]
        shown += ["X" if steps[0].any() else "-" for steps in result.off_road.values()]
        for column, mark in enumerate(shown):
            axes.add_patch(plt.Rectangle((column, row), 0.94, 0.9, color=colors[mark]))
            axes.text(column + 0.47, row + 0.45, texts[mark], ha="center", va="center", fontsize=8,
                      color="white" if mark == "X" else "black")  # fmt: skip
    columns = [f"{step}: {letter}\n{what}" for step, (letter, what, *_) in enumerate(AGENTS, 1)] + ["leaves\nthe road"]
    wrapped = ["\n".join(_wrapped(text)) for text in columns]
    axes.set(xlim=(0, 7), ylim=(len(PROTOCOLS), 0))
    axes.set_xticks(np.arange(7) + 0.47, wrapped, fontsize=7.5)
    axes.set_yticks(np.arange(len(PROTOCOLS)) + 0.45, PROTOCOLS, fontsize=9)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    for side in axes.spines.values():
        side.set_visible(False)


def _wrapped(text: str, width: int = 12) -> list[str]:
    lines: list[str] = []
    for part in text.split("\n"):
        lines.append("")
        for word in part.split():
            if lines[-1] and len(lines[-1]) + len(word) >= width:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def main() -> None:
    draw(ROOT / "docs" / "images" / "openloop_scene.png")
    print("\n".join(scene_table()), end="\n\n")
    print("\n".join(cases_table(read_cases(ROOT / "tests" / "golden" / "nuscenes" / "cases.json.gz"))))


if __name__ == "__main__":
    main()
