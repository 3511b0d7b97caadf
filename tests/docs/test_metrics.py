"""The tables of docs/metrics.md are what the code gives today."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from eyesup.scoring.openloop.cases import read_cases
from eyesup.scoring.openloop.protocol import PROTOCOLS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()


@pytest.fixture(scope="module")
def tool(load_tool) -> ModuleType:
    return load_tool("draw_openloop_scene")


def test_the_drawn_scene(tool):
    rows = tool.scene_table()
    assert len(rows) == 2 + len(PROTOCOLS) and "\n".join(rows) in PAGE


def test_the_same_predictions_under_all(tool):
    rows = tool.cases_table(read_cases(ROOT / "tests" / "golden" / "nuscenes" / "cases.json.gz"))
    assert len(rows) == 2 + len(PROTOCOLS) and "\n".join(rows) in PAGE


def test_the_picture_can_be_drawn(tool, tmp_path):
    tool.draw(tmp_path / "images" / "scene.png")
    assert (tmp_path / "images" / "scene.png").read_bytes()[:4] == b"\x89PNG"
