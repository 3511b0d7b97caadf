"""`eyesup demo` end to end, with a tiny store in place of the generated one."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from eyesup.cli import demo
from eyesup.cli.main import main
from eyesup.evaluation.records import read_records
from eyesup.world.generate import GenerateReport


@pytest.fixture
def small_world(tiny_store, monkeypatch):
    """Asking for the demo's world gives a copy of the tiny store."""
    asked = []

    def generate(config):
        asked.append(config)
        shutil.copytree(tiny_store, config.out, dirs_exist_ok=True)
        return GenerateReport(2, 10, 0, 10, 0.4, 0.3, (), 1.0, {})

    monkeypatch.setattr(demo, "generate", generate)
    return asked


def test_the_demo_ends_with_a_report_and_its_numbers(small_world, debug_checkpoint, tmp_path, capsys):
    out = tmp_path / "demo"
    options = ["--out", str(out), "--model", str(debug_checkpoint), "--logs", "2"]
    assert main(["demo", *options]) == 0
    assert (small_world[0].split, small_world[0].logs, small_world[0].out) == ("test", 2, out / "world")
    page = (out / "report.html").read_text()
    assert "does the planner look at the road" in page and "data:image/" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)  # self-contained
    summary = json.loads((out / "summary.json").read_text())
    table = next(t for t in summary["tables"] if t["planner"].startswith("ADE"))
    assert {"debug", "debug, blank images", "constant velocity + yaw rate", "expert replay"} <= set(table["rows"])
    assert table["rows"]["debug"]["all"]["n"] == 10
    assert summary["probes"][0]["probe"] == "insertion"
    records = read_records(out / "records.jsonl")
    assert {r["planner"] for r in records} == set(table["rows"])
    before = (out / "records.jsonl").read_bytes()
    assert main(["demo", *options]) == 0  # safe to repeat, and nothing is planned again
    assert (out / "records.jsonl").read_bytes() == before
    assert "Done." in capsys.readouterr().out
