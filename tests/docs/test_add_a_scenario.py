"""The scenario of docs/add_a_scenario.md is saved as a module, registered by its line, simulated and judged as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eyesup.world.scenarios import SCENARIOS, load_scenario

PAGE = (Path(__file__).parents[2] / "docs" / "add_a_scenario.md").read_text()


def test_the_page_s_scenario_works_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    scenario, trial = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (line,) = re.findall(r'^ +"(\w+)": "eyesup\.world\.scenarios\.(\w+:\w+)",$', PAGE, re.MULTILINE)
    name, place = line
    (tmp_path / f"{name}.py").write_text(scenario)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SCENARIOS, name, place)
    assert f"src/eyesup/world/scenarios/{name}.py" in PAGE
    assert load_scenario(name).has_cue and load_scenario(name).ability is not None
    exec(compile(trial, "docs/add_a_scenario.md", "exec"), {})
    assert "without the cue the expert is" in capsys.readouterr().out
