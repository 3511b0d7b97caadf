"""Which frames are scenes: NAVSIM's scene filters and splits, read from the YAML files of its devkit.

::

    <folder>/train_test_split/navtest.yaml                 which logs, and (two stages) which synthetic scenes belong together
    <folder>/train_test_split/scene_filter/navtest.yaml    how logs are cut, which tokens are kept

The lists themselves (navtrain 103,288 tokens, navtest 12,146, navhard_two_stage) come with the NAVSIM devkit, in
``navsim/planning/script/config/common``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from eyesup.types.errors import DataError, MissingExtraError

CONFIG = Path("navsim/planning/script/config/common")
STANDARD = ("navtrain", "navtest", "navmini", "navhard_two_stage", "mini", "trainval", "test", "warmup_two_stage")
Mapping2 = tuple[str, str, tuple[tuple[str, str], ...]]
_IGNORED = ("_target_", "_convert_")


@dataclass(frozen=True)
class SceneFilter:
    """How logs are cut into scenes; a scene is known by the token of its current frame.

    Attributes:
        num_history_frames: Frames up to and with the current one.
        num_future_frames: Frames after it.
        frame_interval: Frames from one scene to the next; None leaves no overlap.
        has_route: Take only scenes with a route.
        max_scenes: Stop after so many.
        log_names: Take only these logs.
        tokens: Take only these scenes.
        include_synthetic_scenes: Take the synthetic scenes of the data too.
        synthetic_scene_tokens, reactive_synthetic_initial_tokens, non_reactive_synthetic_initial_tokens: Which ones; without
            any, all.
    """

    num_history_frames: int = 4
    num_future_frames: int = 10
    frame_interval: int | None = None
    has_route: bool = True
    max_scenes: int | None = None
    log_names: tuple[str, ...] | None = None
    tokens: tuple[str, ...] | None = None
    include_synthetic_scenes: bool = False
    synthetic_scene_tokens: tuple[str, ...] | None = None
    reactive_synthetic_initial_tokens: tuple[str, ...] | None = None
    non_reactive_synthetic_initial_tokens: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.num_history_frames < 1 or self.num_future_frames < 0 or (self.frame_interval or 1) < 1:
            raise DataError(
                f"scene filter: {self.num_history_frames} history frames, {self.num_future_frames} future frames, interval "
                f"{self.frame_interval}; needs at least 1, 0 and 1"
            )

    @property
    def num_frames(self) -> int:
        return self.num_history_frames + self.num_future_frames

    @property
    def step(self) -> int:
        """Frames from one scene to the next."""
        return self.frame_interval or self.num_frames

    @property
    def synthetic_tokens(self) -> tuple[str, ...] | None:
        """Those asked for; None for all of them."""
        lists = (
            self.synthetic_scene_tokens,
            self.reactive_synthetic_initial_tokens,
            self.non_reactive_synthetic_initial_tokens,
        )
        asked = [token for tokens in lists if tokens is not None for token in tokens]
        return tuple(dict.fromkeys(asked)) if any(tokens is not None for tokens in lists) else None


@dataclass(frozen=True)
class Split:
    """A named part of the data.

    Attributes:
        name: E.g. ``navtest``.
        data_split: Folder of the logs and of the sensor blobs.
        scene_filter: Which of their frames.
        two_stage: (original token, token of the frame before, ((synthetic token, its frame before), ...)), where the split is
            scored in two stages.
    """

    name: str
    data_split: str
    scene_filter: SceneFilter
    two_stage: tuple[Mapping2, ...] = ()


def find_split(name: str, folders: Sequence[str | Path] = ()) -> Split:
    """A split by name, or by the path of its file.

    Args:
        name: ``navtest``, ``navtrain``, ``navhard_two_stage``, ..., one of your own, or a YAML file.
        folders: Where to look for ``train_test_split/<name>.yaml``; the devkit named in `$NAVSIM_DEVKIT_ROOT` follows.

    Raises:
        DataError: No such file; a key that a scene filter does not have; a value of the wrong kind.
    """
    devkit = os.environ.get("NAVSIM_DEVKIT_ROOT")
    places = [Path(folder) for folder in folders] + ([Path(devkit) / CONFIG] if devkit else [])
    given = Path(name)
    files = [given] if given.suffix in (".yaml", ".yml") else [p / "train_test_split" / f"{name}.yaml" for p in places]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        looked = ", ".join(str(file) for file in files) or "no folder was named"
        raise DataError(
            f"split {name!r} not found ({looked}); standard splits ({', '.join(STANDARD[:4])}) come with the NAVSIM devkit: "
            f"set NAVSIM_DEVKIT_ROOT to it"
        )
    facts = read_yaml(path)
    defaults = facts.get("defaults") or []
    chosen = [entry["scene_filter"] for entry in defaults if isinstance(entry, dict) and "scene_filter" in entry]
    if len(chosen) != 1 or "data_split" not in facts:
        raise DataError(f"{path}: needs 'data_split' and one 'scene_filter' among its defaults; it has {sorted(facts)}")
    scenes = read_filter(path.parent / "scene_filter" / f"{chosen[0]}.yaml")
    return Split(path.stem, str(facts["data_split"]), scenes, _two_stage(path, facts))


def read_filter(path: Path) -> SceneFilter:
    """A scene filter's file."""
    facts = {key: value for key, value in read_yaml(path).items() if key not in _IGNORED}
    known = {field.name for field in fields(SceneFilter)}
    unknown = sorted(set(facts) - known)
    if unknown:
        raise DataError(f"{path}: unknown key {unknown[0]!r}; a scene filter has {', '.join(sorted(known))}")
    for key, value in facts.items():
        if isinstance(value, list):
            facts[key] = tuple(str(entry) for entry in value)
        elif value is not None and not isinstance(value, int | bool):
            raise DataError(f"{path}: {key} is {value!r}; expected a number, a list, true, false or null")
    return SceneFilter(**facts)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds one mapping; nothing in it is run."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading NAVSIM's splits", "navsim") from error
    try:
        content = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds {type(content).__name__}, expected a mapping")
    return content


def _two_stage(path: Path, facts: dict[str, Any]) -> tuple[Mapping2, ...]:
    """``reactive_all_mapping`` (and ``non_reactive_all_mapping``) of a split in two stages."""
    found: list[Mapping2] = []
    for key in ("reactive_all_mapping", "non_reactive_all_mapping"):
        for entry in facts.get(key) or ():
            try:
                now, before, pairs = entry
                found.append((str(now), str(before), tuple((str(a), str(b)) for a, b in pairs)))
            except (TypeError, ValueError) as error:
                raise DataError(f"{path}: {key} holds {str(entry)[:80]}; expected [now, before, pairs]") from error
    return tuple(found)
