"""A planner from a name or a folder: rules by name, shipped checkpoints by name, anything else by the folder it was saved in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eyesup import catalog
from eyesup.models.protocol import Planner
from eyesup.types import DataError

SHIPPED = Path(__file__).parent / "shipped"


def shipped() -> dict[str, Path]:
    """Checkpoints that come with the package: name -> folder."""
    return {folder.name: folder for folder in sorted(SHIPPED.glob("*")) if (folder / "config.json").exists()}


def load_planner(name: str) -> Planner:
    """A planner by name or checkpoint folder.

    Args:
        name: A rule (``constant_velocity``), a shipped checkpoint (``ik_vla_tiny``) or the path of a checkpoint folder.

    Raises:
        DataError: Neither a known name nor a folder with a readable config.json of a known family.
    """
    if name in catalog.PRIVILEGED:
        raise DataError(
            f"{name} is told more than cameras and ego status; `eyesup eval` adds its row by itself where the data has it, "
            f"do not name it among the planners"
        )
    if name in catalog.RULES:
        rule: Any = catalog.lookup(catalog.RULES, name, "planner")
        return rule()
    folder = shipped().get(name, Path(name))
    family = read_family(folder)
    planner: Any = catalog.lookup(catalog.FAMILIES, family, f"family (in {folder / 'config.json'})")
    return planner.load(folder)


def read_family(folder: Path) -> str:
    """The family named in a checkpoint's config.json."""
    path = folder / "config.json"
    if not path.exists():
        known = ", ".join([*catalog.RULES, *shipped()])
        raise DataError(f"{folder} is no checkpoint folder (no config.json) and no known name; known names: {known}")
    try:
        family = json.loads(path.read_text())["family"]
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: no readable 'family' ({error!r}); the checkpoint is damaged, copy it again"
        ) from error
    return str(family)
