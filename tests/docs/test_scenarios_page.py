"""The table of docs/scenarios.md is the catalogue's."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from eyesup.world.scenarios import SCENARIOS, load_scenario

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()


def test_every_scenario_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.*?) ?\| (.*?) ?\|$", PAGE, re.MULTILINE)
    expected = []
    for name in SCENARIOS:
        scenario = load_scenario(name)
        first_line = (import_module(scenario.__module__).__doc__ or "").strip().splitlines()[0]
        labels = [label.value if label else "" for label in (scenario.ability, scenario.edge_case)]
        expected.append((name, first_line.split(" Cue:")[0], *labels))
    assert rows == expected
