"""The pictures of docs/metrics.md: one hand-drawn scene per sub-score of the PDM score, drawn by the scorer itself.

    python tools/draw_pdm_examples.py

The scenes are those of the tests (tests/scoring/pdm/drawn_scenes.py). Writes docs/images/pdm_<sub-score>.png.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from PIL import Image

from eyesup.scoring.pdm import prepare
from eyesup.scoring.pdm.explain import draw

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MARGIN_M = 6.0
WIDTH_PX = 760
COLORS = 200


def drawn_scenes() -> ModuleType:
    """The tests' module of hand-drawn scenes."""
    path = ROOT / "tests" / "scoring" / "pdm" / "drawn_scenes.py"
    spec = importlib.util.spec_from_file_location("pdm_drawn_scenes", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def draw_example(example: object, path: Path) -> list[str]:
    """Draw one example to a small PNG; returns what was lost."""
    scene = prepare(example.inputs, example.version)
    lines = draw(scene, example.plan, example.version, path, example.previous, margin_m=MARGIN_M)
    with Image.open(path) as image:
        height = round(image.height * WIDTH_PX / image.width)
        small = (
            image.convert("RGB")
            .resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
            .quantize(COLORS, method=Image.Quantize.FASTOCTREE)
        )
    small.save(path, optimize=True)
    return lines


def main() -> None:
    for name, example in drawn_scenes().examples().items():
        path = IMAGES / f"pdm_{name.lower()}.png"
        print(f"{path.relative_to(ROOT)}: {'; '.join(draw_example(example, path))}")


if __name__ == "__main__":
    main()
