"""The tour's code blocks run, in order, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[tuple[int, str]]:
    """(line number, code) of every python block."""
    text = (DOCS / page).read_text()
    return [(text[: m.start(1)].count("\n"), m[1]) for m in re.finditer(r"```python\n(.*?)```", text, re.DOTALL)]


def test_the_tour_runs(capsys: pytest.CaptureFixture[str]):
    code = blocks("tour.md")
    assert len(code) >= 8
    namespace: dict[str, object] = {}
    for line, block in code:
        exec(compile("\n" * line + block, "docs/tour.md", "exec"), namespace)  # line numbers match the page's
    assert "l2_at_3s" in capsys.readouterr().out


@pytest.mark.parametrize("page", sorted(p.name for p in DOCS.glob("*.md")))
def test_links_between_pages_lead_somewhere(page: str):
    text = (DOCS / page).read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (DOCS / target).exists(), f"docs/{page} links to {target}"
