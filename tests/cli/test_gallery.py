"""The gallery page."""

from __future__ import annotations

import re

from eyesup.cli import gallery as module
from eyesup.cli.main import main


def test_page_shows_the_log_and_its_twins_and_needs_no_other_file(tmp_path, monkeypatch, log_of, capsys):
    monkeypatch.setattr(module, "simulate", lambda name, seed, split: log_of(name, 11))
    out = tmp_path / "gallery.html"
    options = ["--scenarios", "lead_brakes", "--width-px", "64", "--height-px", "36"]
    assert main(["world", "gallery", "--out", str(out), *options]) == 0
    page = out.read_text()
    assert page.count("<img ") == 1 + 4 and page.count('<svg class="bev"') == 1 + 4
    for caption in (
        "cue removed; ends",
        "beside the road; ends",
        "in the sky; ends",
        "moved 8 m on along the road; ends",
    ):
        assert caption in page
    assert "The car ahead brakes hard" in page and "emergency brake" in page
    assert "stroke-dasharray" in page  # what hangs in the sky is an outline from above
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    effect = re.search(r"cue removed; ends ([\d.]+) m", page)
    assert effect is not None and float(effect[1]) > 1.0
    assert "1 scenarios" in " ".join(capsys.readouterr().out.split())


def test_an_unknown_scenario_lists_the_known_ones(capsys):
    assert main(["world", "gallery", "--scenarios", "red_ligth"]) == 1
    assert "unknown scenario red_ligth; known: free_drive" in capsys.readouterr().err
