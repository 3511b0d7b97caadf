"""`eyesup world language`: what a store asks, and whether its questions can be answered without looking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from tyro.conf import Positional

from eyesup.cli.common import console
from eyesup.types import QA, DataError
from eyesup.world.language.blind import TypeReport, blind_report
from eyesup.world.store import SceneStore

COLUMNS = ("type", "hop", "form", "questions", "chance", "blind reader", "blind MRA", "answers")


def language(store: Positional[Path], lessons: Path | None = None, out: Path | None = None) -> int:
    """Print the questions of a store by type, their answers, and how often a reader who sees no picture is right.

    The blind reader learns from the questions and answers of other logs: the most frequent answer to the same words, else naive
    Bayes on words and word pairs. Every choice is asked equally often with each of its answers, so it must be right at chance.
    Numbers are also scored by mean relative accuracy (VSI-Bench): there it gives the figure that was nearest to right on average.

    Example: eyesup world language runs/world/val --lessons runs/world/train --out language.md

    Args:
        store: Folder made by `eyesup world generate`.
        lessons: Store that the blind reader learns from; by default every other log of `store`, and it is asked about the rest.
        out: Also write the table: .md for a page, .json for figures.
    """
    opened = SceneStore(store)
    if lessons is None:
        learned, asked = _questions(opened, opened.keys[::2]), _questions(opened, opened.keys[1::2])
    else:
        other = SceneStore(lessons)
        learned, asked = _questions(other, other.keys), _questions(opened, opened.keys)
    if not learned or not asked:
        raise DataError(
            f"{store}: {len(learned)} questions to learn from and {len(asked)} to ask; generate at least two logs"
        )
    report = blind_report(learned, asked)
    table = Table(str(store), *COLUMNS[1:])
    for row in report:
        table.add_row(*_cells(row))
    console.print(table)
    keyframes = sum(len(opened.keyframes(key)) for key in opened.keys)
    every = len(_questions(opened, opened.keys))
    console.print(f"{every} questions about {keyframes} keyframes of {len(opened.keys)} logs; asked here {len(asked)}")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(
            json.dumps([asdict(row) for row in report], indent=1) if out.suffix == ".json" else _page(report)
        )
        console.print(f"written: {out}")
    return 0


def _questions(store: SceneStore, keys: Sequence[str]) -> list[QA]:
    return [qa for key in keys for at_keyframe in store.annotations(key).qa for qa in at_keyframe]


def _cells(row: TypeReport) -> list[str]:
    chance = "" if row.chance is None else f"{100 * row.chance:.1f} %"
    blind = "" if row.blind is None or row.margin is None else f"{100 * row.blind:.1f} ± {100 * row.margin:.1f} %"
    near = "" if row.blind_accuracy is None else f"{100 * row.blind_accuracy:.1f} %"
    answers = ", ".join(f"{answer} {100 * share:.0f} %" for answer, share in row.answers) if row.form != "free" else ""
    return [row.kind, str(row.hop), row.form, str(row.questions), chance, blind, near, answers]


def _page(report: Sequence[TypeReport]) -> str:
    """The table in Markdown."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(_cells(row) for row in report)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
