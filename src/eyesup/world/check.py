"""Verify a scene store: every file there, whole and unaltered, every table readable, every count as the manifest says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from eyesup.types import DataError
from eyesup.world.generate import GenerateConfig
from eyesup.world.store import (
    MANIFEST,
    SceneFiles,
    SceneStore,
    file_sha256,
    read_annotations,
    read_receipt,
    scene_files,
)


@dataclass(frozen=True)
class Fault:
    """A broken file and what is wrong with it."""

    path: Path
    what: str


@dataclass(frozen=True)
class CheckReport:
    """What was verified and found.

    Attributes:
        scenes, files, bytes, pictures: How much was read.
        faults: Broken files, sorted; each file at most once.
        strays: Files that no manifest knows: of killed writers, or of an extension that did not finish. Harmless.
        remedy: The command that makes again what is missing ("" where the store does not tell its settings).
    """

    scenes: int
    files: int
    bytes: int
    pictures: int
    faults: tuple[Fault, ...]
    strays: tuple[Path, ...]
    remedy: str


def check_store(root: Path, pictures: bool = False) -> CheckReport:
    """Read a store from end to end.

    Args:
        root: Folder made by `generate`; a store whose generation was interrupted is checked as far as it goes.
        pictures: Also decode every stored picture and label (slow; their bytes are covered by the checksums).

    Raises:
        DataError: there is no store here.
    """
    root = Path(root)
    if not any(root.glob("*.scene.arrow")) and not (root / MANIFEST).exists():
        raise DataError(f"{root}: no scene store here; run `eyesup world generate --out {root}`")
    faults: list[Fault] = []
    rows, store = _rows(root, faults)
    seen = {MANIFEST, "speed.json"}
    decoded = 0
    for row in rows:
        seen |= set(row.sha256)
        broken = [Fault(root / name, what) for name in row.sha256 if (what := _file_fault(root / name, row, name))]
        if not broken:
            broken = list(_content_faults(root, row, {row.key for row in rows}))
        if not broken and store is not None:
            count, broken = _picture_faults(store, row, pictures)
            decoded += count
        faults += broken
    known = {fault.path for fault in faults}
    strays = sorted(path for path in root.iterdir() if path.is_file() and path.name not in seen and path not in known)
    return CheckReport(
        scenes=len(rows),
        files=sum(len(row.sha256) for row in rows),
        bytes=sum(sum(row.bytes.values()) for row in rows),
        pictures=decoded,
        faults=tuple(sorted(faults, key=lambda fault: fault.path)),
        strays=tuple(strays),
        remedy="" if store is None else _remedy(root, store.manifest),
    )


def _remedy(root: Path, manifest: Mapping[str, Any]) -> str:
    """The command that made the store: its own words where it was not `generate`."""
    if "command" in manifest:
        return str(manifest["command"])
    return generate_command(root, manifest["config"]) if "config" in manifest else ""


def repair(report: CheckReport) -> list[Path]:
    """Delete the broken files, and nothing else; `report.remedy` then makes them again. Returns what was deleted."""
    broken = [fault.path for fault in report.faults if fault.path.exists()]
    for path in broken:
        path.unlink()
    return broken


def generate_command(root: Path, config: Mapping[str, Any]) -> str:
    """The `eyesup world generate` command that made a store, from the configuration in its manifest."""
    words = ["eyesup", "world", "generate", "--out", str(root)]
    for field in fields(GenerateConfig):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        value = config.get(field.name, default)
        value = tuple(value) if isinstance(value, list) else value
        if field.name == "town" and value is not None:
            value = f"MAP_FILE_OF_{value}"  # the store knows a map's content, not where its file is
        if value != default and value is not None:
            words += _flag(field.name.replace("_", "-"), value)
    return shlex.join(words)


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, Mapping):
        return [f"--{name}", *(str(word) for pair in value.items() for word in pair)]
    return [f"--{name}", *(str(word) for word in (value if isinstance(value, tuple) else (value,)))]


def _rows(root: Path, faults: list[Fault]) -> tuple[list[SceneFiles], SceneStore | None]:
    """What should be there: by the manifest, or, where that is not written yet, by the scene files themselves."""
    try:
        store = SceneStore(root)
        return [SceneFiles(**{**row, "keyframes": tuple(row["keyframes"])}) for row in store.manifest["scenes"]], store
    except DataError as error:
        unfinished = not (root / MANIFEST).exists()
        faults.append(Fault(root / MANIFEST, "is missing: generation did not finish" if unfinished else str(error)))
    except (KeyError, TypeError, ValueError) as error:
        faults.append(Fault(root / MANIFEST, f"lacks what a manifest holds ({error!r})"))
    rows = []
    for path in sorted(root.glob("*.scene.arrow")):
        try:
            rows.append(scene_files(root, path.name.removesuffix(".scene.arrow")))
        except (DataError, KeyError) as error:
            faults.append(Fault(path, f"cannot be read ({error})"))
    return rows, None


def _file_fault(path: Path, row: SceneFiles, name: str) -> str:
    if not path.exists():
        return "is missing"
    size = path.stat().st_size
    if size != row.bytes[name]:
        return f"has {size} bytes, {row.bytes[name]} were written: cut short or replaced"
    return "" if file_sha256(path) == row.sha256[name] else "differs from its checksum: its bytes were altered"


def _content_faults(root: Path, row: SceneFiles, keys: set[str]) -> Iterator[Fault]:
    """Tables that match their checksums and still do not say what the manifest says."""
    path = root / f"{row.key}.scene.arrow"
    try:
        receipt, annotations, again = (
            read_receipt(root, row.key),
            read_annotations(root, row.key),
            scene_files(root, row.key),
        )
    except (DataError, KeyError, ValueError) as error:
        yield Fault(path, f"cannot be read ({error})")
        return
    if receipt is None:
        yield Fault(path, "holds no receipt of its frames")
        return
    if (again.keyframes, again.steps) != (row.keyframes, row.steps):
        yield Fault(
            path,
            f"has {len(again.keyframes)} keyframes and {again.steps} steps, the manifest {len(row.keyframes)} and {row.steps}",
        )
    elif len(annotations.qa) != len(row.keyframes):
        yield Fault(path, f"has questions for {len(annotations.qa)} of {len(row.keyframes)} keyframes")
    lost = sorted(set(receipt["twins"]) - keys)
    if lost:
        yield Fault(root / f"{lost[0]}.scene.arrow", f"is missing: {row.key} has this twin")


def _picture_faults(store: SceneStore, row: SceneFiles, every: bool) -> tuple[int, list[Fault]]:
    """Pictures decoded, and what failed: of every step, or of the first keyframe."""
    path = store.root / f"{row.key}.frames.arrow"
    try:
        steps = store.steps(row.key)
        absent = sorted(set(row.keyframes) - set(steps))
        if len(steps) != row.steps or absent:
            return 0, [Fault(path, f"holds {len(steps)} of {row.steps} steps; keyframes without pictures: {absent}")]
        chosen: Sequence[int] = steps if every else row.keyframes[:1]
        for step in chosen:
            store.images(row.key, step)
            if store.has_labels(row.key, step):
                store.labels(row.key, step)
    except DataError as error:
        return 0, [Fault(path, str(error))]
    return len(chosen) * len(store.rig), []
