"""The house has one-way arrows: a room may import only the rooms to its left (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import eyesup

ROOT = Path(eyesup.__file__).parent

# Rooms of one rank do not import each other.
RANK = {
    "geometry": 0,
    "types": 1,
    "dynamics": 2,
    "scoring": 3,
    "nn": 3,
    "world": 4,
    "data": 5,
    "models": 5,
    "objectives": 5,
    "training": 6,
    "evaluation": 6,
    "diagnostics": 7,
    "serving": 7,
    "recipes": 8,
    "cli": 9,
}
# Rooms with an allow-list of their own instead of a rank.
ONLY = {"reports": {"types", "geometry"}, "catalog": {"types"}}
# `models` ranks beside `data`, but must run in a server without the world or a scorer.
FORBIDDEN = {"models": {"world", "scoring"}, "objectives": {"world", "scoring"}, "nn": {"scoring"}}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "eyesup" else [node.module]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("eyesup.")}
    return rooms


def violations(room: str, rooms: set[str]) -> list[str]:
    """The imports of one file in `room` that point back up the house or sideways."""
    others = rooms - {room, "__version__"}
    if room in ONLY:
        return sorted(others - ONLY[room])
    if room not in RANK:
        return []
    back = {other for other in others if other in RANK and RANK[other] >= RANK[room]}
    if room in ("cli", "recipes", "diagnostics", "evaluation", "training"):
        back |= {other for other in others if other == "reports" and room != "cli"}
    return sorted(back | (others & FORBIDDEN.get(room, set())))


def test_no_import_points_back():
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        room = room_of(path)
        found += [
            f"{path.relative_to(ROOT)} imports eyesup.{bad}"
            for bad in violations(room, imported_rooms(path.read_text()))
        ]
    assert not found, "\n".join(found)


def test_the_check_itself_sees_a_bad_import():
    assert violations("geometry", imported_rooms("from eyesup.types import Scene")) == ["types"]
    assert violations("models", imported_rooms("import eyesup.world.store")) == ["world"]
    assert violations("reports", imported_rooms("from eyesup.models.protocol import Planner")) == ["models"]
    assert violations("world", imported_rooms("from eyesup.geometry.se2 import wrap_angle")) == []


def test_every_room_is_known():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(RANK) | set(ONLY)


def test_importing_the_package_and_its_types_stays_light():
    heavy = ["torch", "panda3d", "libsumo", "transformers", "matplotlib", "pyarrow"]
    code = f"import sys, eyesup.types, eyesup.catalog, eyesup.cli.main; print(set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
