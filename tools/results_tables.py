"""Markdown tables for docs/results.md from the JSON that `eyesup eval` and `eyesup diagnose` write.

python tools/results_tables.py runs/eval/summary.json runs/diagnose/findings.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def cell(value: object) -> str:
    """mean [low, high] of an estimate, anything else as it is."""
    if isinstance(value, dict):
        if value["mean"] is None:
            return "–"
        if value["low"] is None:
            return f"{value['mean']:.2f}"
        return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def compact(rows: dict) -> dict:
    """NAVSIM's table as the papers print it: one decimal, and the interval of the final score alone."""
    final = list(next(iter(rows.values())))[-3]  # N and failed follow
    return {
        label: {
            name: f"{value['mean']:.1f}" + (f" [{value['low']:.1f}, {value['high']:.1f}]" if name == final else "")
            if isinstance(value, dict) and value["mean"] is not None
            else cell(value)
            for name, value in row.items()
        }
        for label, row in rows.items()
    }


def table(finding: dict) -> str:
    """One finding: title, rows, N per column, protocol."""
    rows = compact(finding["rows"]) if finding["probe"] == "navsim" else finding["rows"]
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [
        f"**{finding['planner']}** ({finding['probe']})",
        "",
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    lines += [
        f"| {label} | " + " | ".join(cell(row[c]) if c in row else "" for c in columns) + " |"
        for label, row in rows.items()
    ]
    first = next(iter(finding["rows"].values()))
    counts = [
        f"{name}: {value['n']} in {value['groups']} scenes"
        for name, value in first.items()
        if isinstance(value, dict) and value["n"] != first.get("N")
    ]
    count = f"N: {'; '.join(dict.fromkeys(counts))}. " if counts else ""
    return "\n".join([*lines, "", f"{count}{finding['protocol']} {' '.join(finding['notes'])}", ""])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for found in json.loads(Path(name).read_text())["findings"]:
            print(table(found))
