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


def table(finding: dict) -> str:
    """One finding: title, rows, N per column, protocol."""
    rows = finding["rows"]
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
    first = next(iter(rows.values()))
    counts = [
        f"{name}: {value['n']} in {value['groups']} scenes" for name, value in first.items() if isinstance(value, dict)
    ]
    return "\n".join(
        [*lines, "", f"N: {'; '.join(dict.fromkeys(counts))}. {finding['protocol']} {' '.join(finding['notes'])}", ""]
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for found in json.loads(Path(name).read_text())["findings"]:
            print(table(found))
