"""Charts as inline SVG (matplotlib without a display)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

from eyesup.types import Estimate


def _to_svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "eyesup"}):  # and no date: the same numbers give the same bytes
        figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def intervals(
    rows: Mapping[str, Estimate], xlabel: str, zero_line: bool = False, colors: Sequence[str] | None = None
) -> str:
    """A dot with its interval per row, first row on top."""
    figure = Figure(figsize=(7.2, 0.42 * len(rows) + 0.9))
    axes = figure.subplots()
    for i, estimate in enumerate(rows.values()):
        color = colors[i] if colors else "#e8590c"
        axes.plot([estimate.low, estimate.high], [i, i], color=color, linewidth=3, solid_capstyle="round")
        axes.plot(estimate.mean, i, "o", color=color, markersize=8, markeredgecolor="white")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    if zero_line:
        axes.axvline(0, color="#868e96", linewidth=1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e9ecef")
    axes.set_axisbelow(True)
    return _to_svg(figure)


def grouped_bars(groups: Mapping[str, Mapping[str, Estimate]], ylabel: str) -> str:
    """Bars with intervals: outer keys on the x axis, inner keys as colours."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure = Figure(figsize=(max(6.0, 1.9 * len(groups) + 1.5), 3.4))
    axes = figure.subplots()
    width = 0.8 / len(names)
    palette = ["#e8590c", "#adb5bd", "#1c7ed6", "#2f9e44", "#ae3ec9", "#495057", "#f59f00"]
    for j, name in enumerate(names):
        for i, group in enumerate(groups.values()):
            if name not in group:
                continue
            bar = group[name]
            x = i + (j - (len(names) - 1) / 2) * width
            error = [[bar.mean - bar.low], [bar.high - bar.mean]]
            axes.bar(x, bar.mean, width * 0.92, color=palette[j % len(palette)], label=name if i == 0 else None)
            axes.errorbar(x, bar.mean, yerr=error, color="#343a40", linewidth=1.2, capsize=2)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e9ecef")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return _to_svg(figure)
