"""Results of a long benchmark, kept on disk as they come, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class KeptResults:
    """A file of JSON lines, one `{"key": [...], "value": {...}}` per finished run; without a path nothing is kept.

    The file knows nothing of the code that made it: take a new one after a change.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._values: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                self._values[tuple(entry["key"])] = entry["value"]

    def get(self, *key: str | int) -> dict[str, Any] | None:
        """What was found, or None where that run is still to be made."""
        return self._values.get(key)

    def add(self, value: dict[str, Any], *key: str | int) -> None:
        self._values[key] = value
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"key": list(key), "value": value}) + "\n")
