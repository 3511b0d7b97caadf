"""The pictures of the PDM sub-scores in docs/metrics.md: all there, small, and drawn by the scorer from the tests' scenes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
MOST_BYTES = 60_000


@pytest.fixture(scope="module")
def tool(load_tool) -> ModuleType:
    return load_tool("draw_pdm_examples")


def test_every_example_has_its_small_picture_on_the_page(tool: ModuleType):
    examples = tool.drawn_scenes().examples()
    assert len(examples) == 10
    for name in examples:
        path = ROOT / "docs" / "images" / f"pdm_{name.lower()}.png"
        assert f"](images/{path.name})" in PAGE and f"**{name}, " in PAGE
        assert path.stat().st_size < MOST_BYTES


def test_a_picture_can_be_drawn(tool: ModuleType, tmp_path: Path):
    lines = tool.draw_example(tool.drawn_scenes().examples()["EC"], tmp_path / "ec.png")
    assert lines[1].startswith("two_frame_extended_comfort 0: differs from the frame before by acceleration 0.92")
    with Image.open(tmp_path / "ec.png") as image, Image.open(ROOT / "docs" / "images" / "pdm_ec.png") as kept:
        assert image.size == kept.size and len(set(image.convert("RGB").getdata())) > 20
