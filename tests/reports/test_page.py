"""A report is one file that needs no other, and shows every number with its N."""

from __future__ import annotations

from eyesup.reports.charts import grouped_bars, intervals
from eyesup.reports.page import Page, Picture, Section, render, write
from eyesup.types import Estimate, Finding

ESTIMATE = Estimate(1.234, 1.0, 1.5, 20, 7, "m")


def page() -> Page:
    finding = Finding(
        "probe", "planner & co", "Protocol text.", {"row <1>": {"ADE": ESTIMATE, "N": 20}, "other": {"ADE": 2.0}}
    )
    section = Section(
        "Scores", ["Text."], [finding], [intervals({"a": ESTIMATE}, "m")], [[Picture("cap", svg="<svg></svg>")]]
    )
    return Page("Title", "Lead.", [section], {"command": "eyesup demo"})


def test_numbers_come_with_interval_n_and_protocol():
    html = render(page())
    assert "1.23" in html
    assert "[1.00, 1.50]" in html
    assert "n = 20 samples in 7 scenes" in html
    assert "Protocol text." in html


def test_text_is_escaped_and_svg_is_not():
    html = render(page())
    assert "row &lt;1&gt;" in html
    assert "planner &amp; co" in html
    assert "<svg></svg>" in html


def test_the_page_refers_to_no_other_file(tmp_path):
    html = write(page(), tmp_path / "deep" / "report.html").read_text()
    for reference in ('src="http', 'href="http', "<script src", '<link rel="stylesheet"'):
        assert reference not in html


def test_charts_are_the_same_bytes_for_the_same_numbers():
    groups = {"all": {"a": ESTIMATE, "b": ESTIMATE}}
    assert grouped_bars(groups, "m") == grouped_bars(groups, "m")
    assert intervals({"a": ESTIMATE}, "m") == intervals({"a": ESTIMATE}, "m")
