"""`eyesup world language` on a small real store."""

from __future__ import annotations

import json

import pytest

from eyesup.cli.world import main
from eyesup.world.store import SceneStore


def test_the_table_of_a_store_names_each_type_with_chance_and_blind_reader(tiny_store, tmp_path, capsys):
    figures, page = tmp_path / "new" / "language.json", tmp_path / "language.md"
    assert main(["language", str(tiny_store), "--lessons", str(tiny_store), "--out", str(figures)]) == 0
    assert main(["language", str(tiny_store), "--lessons", str(tiny_store), "--out", str(page)]) == 0
    rows = json.loads(figures.read_text())
    store = SceneStore(tiny_store)
    kept = sum(len(at_keyframe) for key in store.keys for at_keyframe in store.annotations(key).qa)
    assert sum(row["questions"] for row in rows) == kept
    assert {"narration", "note", "caption"} <= {row["kind"] for row in rows}
    assert all((row["blind_accuracy"] is not None) == (row["form"] == "number") for row in rows)
    assert any(row["form"] == "choice" and row["blind"] == pytest.approx(row["chance"]) for row in rows)
    assert page.read_text().startswith(
        "| type | hop | form | questions | chance | blind reader | blind MRA | answers |"
    )
    assert f"{kept} questions about" in " ".join(capsys.readouterr().out.split())


def test_without_other_lessons_half_of_the_logs_are_asked_about(tiny_store, capsys):
    assert main(["language", str(tiny_store)]) == 0
    store = SceneStore(tiny_store)
    asked = sum(len(at_keyframe) for at_keyframe in store.annotations(store.keys[1]).qa)
    assert f"asked here {asked}" in " ".join(capsys.readouterr().out.split())
