"""One self-contained HTML page from findings, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from eyesup.types import Estimate, Finding


@dataclass(frozen=True)
class Picture:
    """An image (data: URI) or an inline SVG, with its caption."""

    caption: str
    src: str = ""
    svg: str = ""


@dataclass(frozen=True)
class Section:
    """A titled part of a page: text, tables, a chart and pictures, in that order. A row of pictures is one figure."""

    title: str
    text: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    charts: Sequence[str] = ()
    pictures: Sequence[Sequence[Picture]] = ()


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    lead: str
    sections: Sequence[Section]
    facts: Mapping[str, str] = field(default_factory=dict)


def cell(value: Estimate | float | int | str) -> Markup:
    """A table cell; an Estimate shows its interval and says its N on hover."""
    if isinstance(value, Estimate):
        title = f"n = {value.n} samples in {value.groups} scenes, 95 % bootstrap interval over scenes"
        interval = Markup("<small>[{:.2f}, {:.2f}]</small>").format(value.low, value.high)
        return Markup('<span title="{}">{:.2f} {}</span>').format(title, value.mean, interval)
    if isinstance(value, float):
        return Markup("{:.2f}").format(value)
    return Markup("{}").format(value)


def columns(finding: Finding) -> list[str]:
    """Column names of all rows, in order of first appearance."""
    return list(dict.fromkeys(name for row in finding.rows.values() for name in row))


def render(page: Page) -> str:
    """The page as HTML."""
    environment = Environment(loader=PackageLoader("eyesup.reports"), autoescape=select_autoescape(default=True))
    environment.globals |= {"cell": cell, "columns": columns, "Markup": Markup}
    return environment.get_template("page.html.j2").render(page=page)


def write(page: Page, path: Path) -> Path:
    """Write the page; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(page), encoding="utf-8")
    return path
