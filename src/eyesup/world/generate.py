"""Generation of a scene store: simulate, measure the cue, render, ask, store; parallel, resumable, deterministic.

Every log depends on the configuration and its own index alone, so a store is byte-identical whether it was made at once or in
pieces, by one process or by several. What depends on the machine (speed) is kept apart in ``speed.json``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eyesup import __version__
from eyesup.scoring.ego_gap import ego_gap
from eyesup.types import QA, Agents, CameraRig, Scene, Truth
from eyesup.types.errors import DataError, EyesUpError
from eyesup.world.cue_share import is_eventful, kept_keyframes
from eyesup.world.ego_view import ego_status, future_trajectory
from eyesup.world.import_map import import_town
from eyesup.world.language import Observer, questions
from eyesup.world.render import Renderer
from eyesup.world.render.labels import count_pixels
from eyesup.world.rigs import JITTER_SCALE, RIGS, jittered, looks_back
from eyesup.world.scenarios import SCENARIOS, load_scenario
from eyesup.world.scene_io import SCENE_FORMAT, Annotations
from eyesup.world.simulate import simulate
from eyesup.world.store import (
    CUE_ACTIVE_M,
    FUTURE_IMAGES_S,
    TWIN_MARK,
    read_annotations,
    read_receipt,
    rig_to_json,
    scene_files,
    write_atomic,
    write_manifest,
    write_scene,
)
from eyesup.world.twins import TwinKind, cue_effects, insert_obstacle, make_twin
from eyesup.world.workers import Engine, WorkerDiedError, outcomes

EGO_GAP_M = 1.0
SEEDS_PER_RUN = 1_000_000  # log i of seed s is simulated with seed s * SEEDS_PER_RUN + i
SPEED = "speed.json"
OBSTACLE_MIN_MPS = 3.0  # slower, an obstacle ahead changes little
OBSTACLE_AHEAD_M = (8.0, 40.0)  # from the ego's front to the obstacle's rear
OBSTACLE_BESIDE_M = 4.5
OBSTACLE_STREAM = 0x0B5
STAGES = ("simulate", "cue", "render", "labels", "write")
TWINS = {
    "removed": TwinKind.CUE_REMOVED, "off_path": TwinKind.CUE_OFF_PATH, "in_sky": TwinKind.CUE_IN_SKY, "moved": TwinKind.CUE_MOVED,
}  # fmt: skip
TwinName = Literal["removed", "off_path", "in_sky", "moved"]
PAIR = ("removed", "off_path")
UNEVENTFUL = "free_drive"
CUE_SHARE_STREAM = 0xC5


@dataclass(frozen=True)
class GenerateConfig:
    """What to generate. All but `out`, `logs`, `workers`, `engine`, `ray_address`, `keep_going` decide the content.

    Attributes:
        out: Folder of the store; an unfinished one is continued.
        split: Towns and seeds to draw from; no town is in two splits.
        logs: Number of logs; a store can be extended by asking for more.
        scenarios: Scenario name -> weight; empty takes every scenario alike whose cue the rig can show: what comes from behind
            needs a camera that looks there.
        seed: Another seed makes other logs.
        town: Map file (.osm, .xodr) to drive in instead of the split's towns; see `eyesup world import`.
        rig: Camera rig.
        width_px: Width of each camera's image.
        height_px: Height of each camera's image.
        duration_s: Length of a log in seconds.
        labels: Store a class label of every pixel at keyframes.
        cue_share: Share of keyframes whose plan the cue decides, 0.01 to 0.5 say: logs without an event are mixed in, and of the
            others only some keyframes are kept, until it is reached. None keeps everything.
        twins: Also store twins of keyframes that the cue decides.
        twin_kinds: Which: the cue removed, beside the road, in the sky, moved to another place where it matters.
        twins_per_log: Keyframes per log that get twins.
        obstacles_per_log: Keyframes per log that get two twins more: a standing car on the ego's path, at a drawn distance, and
            the same car beside the road. They teach what logs hardly hold, something in the way that nobody has answered yet.
        workers: Processes; 1 works in this one.
        engine: "process" for processes of this machine; "ray" for a Ray cluster (pip install 'eyesup[ray]').
        ray_address: Of a running cluster ("auto", "ray://host:10001"), whose nodes see `out` under the same path and have eyesup
            installed; left out, one of `workers` processes is started on this machine.
        keep_going: Count and list logs that fail instead of stopping at the first.
    """

    out: Path
    split: Literal["train", "val", "test", "shifted"] = "train"
    logs: int = 16
    scenarios: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    town: Path | None = None
    rig: Literal["front3", "surround6"] = "front3"
    width_px: int = 256
    height_px: int = 144
    duration_s: float = 20.0
    labels: bool = True
    cue_share: float | None = None
    twins: bool = False
    twin_kinds: tuple[TwinName, ...] = ("removed", "off_path")
    twins_per_log: int = 2
    obstacles_per_log: int = 0
    workers: int = 1
    engine: Engine = "process"
    ray_address: str | None = None
    keep_going: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.scenarios) - set(SCENARIOS))
        if unknown:
            raise DataError(f"unknown scenario {', '.join(unknown)}; known: {', '.join(SCENARIOS)}")
        if any(not weight > 0 for weight in self.scenarios.values()):
            raise DataError(f"scenario weights {dict(self.scenarios)} must be positive")
        for name in ("logs", "workers", "width_px", "height_px"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} {getattr(self, name)} must be at least 1")
        if self.cue_share is not None and not 0.0 < self.cue_share < 1.0:
            raise DataError(f"cue_share {self.cue_share} must lie between 0 and 1; leave it out to keep every keyframe")
        if self.width_px % 2 or self.height_px % 2:
            raise DataError(f"image size {self.width_px}x{self.height_px} px: both must be even")

    @property
    def content(self) -> dict[str, object]:
        """The fields that decide what a log looks like, as plain JSON values."""
        facts = asdict(self)
        for name in ("out", "logs", "workers", "engine", "ray_address", "keep_going"):
            del facts[name]
        facts["town"] = None if self.town is None else import_town(self.town).name  # its name tells the file's content
        return facts

    @property
    def fingerprint(self) -> str:
        """Changes whenever a log generated before would no longer come out the same."""
        text = json.dumps({"content": self.content, "versions": versions()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class GenerateReport:
    """What a store holds and what this run did for it.

    Attributes:
        logs, keyframes: In the store, twins apart.
        twins: Twin keyframes in the store.
        made: Keyframes made by this run (twins included).
        cue_share: Share of keyframes whose plan the cue moves by more than 1 m, among those where that was measured.
        cue_share_asked: The share that the configuration asks for, if it does.
        rho: Share of keyframes whose gap to constant velocity + constant yaw rate exceeds 1 m.
        failed: Keys of the logs that could not be made.
        wall_s: Seconds this run took.
        stage_s: Seconds per stage, all workers together.
    """

    logs: int
    keyframes: int
    twins: int
    made: int
    cue_share: float
    rho: float
    failed: tuple[str, ...]
    wall_s: float
    stage_s: Mapping[str, float]
    cue_share_asked: float | None = None

    @property
    def keyframes_per_s(self) -> float:
        return self.made / self.wall_s if self.wall_s > 0 else 0.0


def versions() -> dict[str, str | int]:
    """Versions that decide the content of a store."""
    return {
        "eyesup": __version__, "scene_format": SCENE_FORMAT, "panda3d": version("panda3d"), "sumo": version("eclipse-sumo"),
        "pillow": version("pillow"),
    }  # fmt: skip


def generate(config: GenerateConfig, show_progress: bool = True) -> GenerateReport:
    """Make what is missing of the store and close it with its manifest.

    Raises:
        DataError: The folder holds logs made with other settings.
        EyesUpError: A log failed, the disk is full, or a worker died; finished logs are kept and the same call continues.
    """
    start = time.perf_counter()
    config.out.mkdir(parents=True, exist_ok=True)
    for leftover in config.out.glob(".*.tmp"):  # of a run that was killed while writing
        leftover.unlink(missing_ok=True)
    plan = log_plan(config)
    missing = [index for index, key in enumerate(plan) if not _is_done(config, key)]
    stage_s = dict.fromkeys(STAGES, 0.0)
    failed: list[str] = []
    made = 0
    with _progress(show_progress, len(plan), len(plan) - len(missing)) as advance:
        for index, outcome in _outcomes(config, missing):
            if isinstance(outcome, Exception):
                failed.append(plan[index])
                _check_failure(config, plan[index], outcome)
            else:
                made += outcome.keyframes
                stage_s = {name: seconds + outcome.stage_s[name] for name, seconds in stage_s.items()}
            advance(made / (time.perf_counter() - start))
    return _close(
        config, [key for key in plan if key not in failed], failed, made, time.perf_counter() - start, stage_s
    )


def log_plan(config: GenerateConfig) -> list[str]:
    """Key of every log. Scenarios take turns in proportion to their weights, so any first n logs are in proportion too."""
    weights = dict(config.scenarios) or _shown_by(RIGS[config.rig](config.width_px, config.height_px))
    used: Counter[str] = Counter()
    keys = []
    for index in range(config.logs):
        group = _group(config, index, weights)
        total, turn = sum(group.values()), sum(used[name] for name in group)
        # Ties are broken by chance, else a scenario would always meet the same town: both would go round in step.
        tie_break = dict(zip(group, np.random.default_rng([config.seed, index]).random(len(group))))
        owed = {name: round(weight / total * (turn + 1) - used[name], 9) for name, weight in group.items()}
        scenario = max(owed, key=lambda name: (owed[name], tie_break[name]))
        used[scenario] += 1
        keys.append(f"{config.split}-{_log_seed(config, index):07d}-{scenario}")
    return keys


def _shown_by(rig: CameraRig) -> dict[str, float]:
    """Every scenario alike whose cue the rig can show."""
    return {name: 1.0 for name in SCENARIOS if looks_back(rig) or not load_scenario(name).from_behind}


def _group(config: GenerateConfig, index: int, weights: dict[str, float]) -> dict[str, float]:
    """The scenarios among which the log of that index is drawn: all, or those with or without an event."""
    if config.cue_share is None:
        return weights
    eventful = is_eventful(index, config.cue_share)
    group = {name: weight for name, weight in weights.items() if load_scenario(name).has_cue == eventful}
    if eventful and not group:
        raise DataError(f"cue_share {config.cue_share}: none of {', '.join(weights)} has a cue; add one that has")
    return group or {UNEVENTFUL: 1.0}


def _log_seed(config: GenerateConfig, index: int) -> int:
    return config.seed * SEEDS_PER_RUN + index


@dataclass(frozen=True)
class Made:
    """What one log added."""

    keyframes: int
    stage_s: dict[str, float]


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


def make_log(config: GenerateConfig, index: int) -> Made:
    """Make one log and its twins, and write them; the log's own files come last and vouch for its twins."""
    key = log_plan(replace(config, logs=index + 1))[index]
    seed = _log_seed(config, index)
    clock = _Clock()
    with clock.stage("simulate"):
        town = {} if config.town is None else {"town": import_town(config.town)}
        scene = simulate(key.rsplit("-", 1)[1], seed=seed, split=config.split, duration_s=config.duration_s, **town)
        scene = replace(scene, key=key)
    with clock.stage("cue"):
        effect_m = cue_effects(scene, scene.keyframes)
        if config.cue_share is not None and load_scenario(str(scene.tags["scenario"])).has_cue:
            rng = np.random.default_rng([seed, CUE_SHARE_STREAM])
            kept = kept_keyframes(effect_m > CUE_ACTIVE_M, config.cue_share, index, rng)
            scene, effect_m = replace(scene, keyframes=scene.keyframes[kept]), effect_m[kept]
        twins = _twin_scenes(config, scene, effect_m) + _obstacle_scenes(config, scene, seed)
    rig = jittered(RIGS[config.rig](config.width_px, config.height_px), seed, JITTER_SCALE.get(config.split, 1.0))
    artist = _Artist(config, rig, seed, clock)
    for twin in twins:
        artist.draw_and_write(twin, steps_to_draw(twin), (np.zeros(1), np.zeros(1, bool)), ())
    artist.draw_and_write(
        scene, steps_to_draw(scene), (effect_m, np.ones(len(effect_m), bool)), tuple(twin.key for twin in twins)
    )
    return Made(len(scene.keyframes) + len(twins), clock.seconds)


def steps_to_draw(scene: Scene) -> list[int]:
    """Keyframes and the steps 1, 2 and 3 s after them, inside the log."""
    later = {int(k) + round(s / scene.dt_s) for k in scene.keyframes for s in (0.0, *FUTURE_IMAGES_S)}
    return sorted(step for step in later if step < len(scene))


def ego_gaps(scene: Scene) -> Float64[np.ndarray, "K"]:
    """Gap between the expert and constant velocity + constant yaw rate at each keyframe [m] (`scoring.ego_gap`)."""
    egos = [ego_status(scene, int(step)) for step in scene.keyframes]
    futures = [future_trajectory(scene, int(step)) for step in scene.keyframes]
    truths = [Truth(future, Agents.empty(len(future) + 1)) for future in futures]
    gap = ego_gap(egos, truths)
    if not gap.valid.all():
        step = int(scene.keyframes[np.flatnonzero(~gap.valid)[0]])
        raise DataError(f"scene {scene.key}: keyframe at step {step} of {len(scene)} has less than 3 s of future")
    return gap.values


def _twin_scenes(config: GenerateConfig, scene: Scene, effect_m: Float64[np.ndarray, "K"]) -> list[Scene]:
    """Twins at keyframes spread evenly over those that the cue decides.

    With and without the cue, and with it where it decides nothing, belong together: where one of them does not fit, none is made.
    """
    deciding = scene.keyframes[effect_m > CUE_ACTIVE_M]
    if not config.twins or not len(deciding):
        return []
    count = min(config.twins_per_log, len(deciding))
    chosen = deciding[np.linspace(0, len(deciding) - 1, count + 2)[1:-1].round().astype(int)]
    twins: list[Scene] = []
    for step in sorted({int(step) for step in chosen}):
        with suppress(DataError):  # no room beside the road, or the ego is in the bend already
            twins += [_twin(scene, step, name) for name in config.twin_kinds if name in PAIR]
        for name in (name for name in config.twin_kinds if name not in PAIR):
            with suppress(DataError):  # a road has no twin in the sky; a sign that we have reached cannot come nearer
                twins.append(_twin(scene, step, name))
    return twins


def _twin(scene: Scene, step: int, name: str) -> Scene:
    twin = make_twin(scene, step, TWINS[name])
    tags = {**twin.tags, "twin": name, "twin_of": scene.key}
    return replace(twin, key=f"{scene.key}{TWIN_MARK}{name}@{step}", tags=tags)


def _obstacle_scenes(config: GenerateConfig, scene: Scene, seed: int) -> list[Scene]:
    """Pairs of scenes with a standing car on the path and beside it, at drawn keyframes of a moving ego."""
    moving = scene.keyframes[scene.ego_velocities[scene.keyframes, 0] > OBSTACLE_MIN_MPS]
    if not config.obstacles_per_log or not len(moving):
        return []
    rng = np.random.default_rng([seed, OBSTACLE_STREAM])
    chosen = np.sort(rng.choice(moving, min(config.obstacles_per_log, len(moving)), replace=False))
    pairs: list[Scene] = []
    for step, distance, side in zip(
        chosen, rng.uniform(*OBSTACLE_AHEAD_M, len(chosen)), rng.choice([-1.0, 1.0], len(chosen))
    ):
        with suppress(DataError):  # no room beside the road
            for name, lateral in (("obstacle", 0.0), ("obstacle_beside", side * OBSTACLE_BESIDE_M)):
                twin = insert_obstacle(scene, int(step), float(distance), float(lateral))
                tags = {**twin.tags, "twin": name, "twin_of": scene.key}
                pairs.append(replace(twin, key=f"{scene.key}{TWIN_MARK}{name}@{step}", tags=tags))
    return pairs


class _Artist:
    """Draws scenes of one log with its cameras and stores them."""

    def __init__(self, config: GenerateConfig, rig: CameraRig, seed: int, clock: _Clock) -> None:
        self.config, self.rig, self.seed, self.clock = config, rig, seed, clock

    def draw_and_write(
        self, scene: Scene, steps: list[int], effects: tuple[np.ndarray, np.ndarray], twins: tuple[str, ...]
    ) -> None:
        """Pictures at `steps`, labels and questions at keyframes, then both files."""
        with Renderer(self.rig) as renderer:
            with self.clock.stage("render"):
                renderer.load(scene)
                images = {step: renderer.images(step) for step in steps}
            with self.clock.stage("labels"):
                labels, pixels, qa = self._label(renderer, scene, effects[0])
        annotations = Annotations(*effects, ego_gaps(scene), *pixels, qa)
        with self.clock.stage("write"):
            write_scene(self.config.out, scene, self.rig, images, labels, annotations, self.config.fingerprint, twins)

    def _label(
        self, renderer: Renderer, scene: Scene, effect_m: np.ndarray
    ) -> tuple[dict[int, np.ndarray], tuple[np.ndarray, np.ndarray], tuple[tuple[QA, ...], ...]]:
        """Classes, visible and whole pixels of each agent, and questions at each keyframe."""
        labels, visible, whole, sights = {}, [], [], []
        observer = Observer(scene, self.rig)
        for step in map(int, scene.keyframes):
            frame = renderer.labels(step, depth=False)
            labels[step] = frame.semantics
            visible.append(count_pixels(scene.agents.ids, frame.instances))
            whole.append(renderer.whole_pixels(step, visible[-1]))
            sights.append(observer.look(step, frame.semantics, frame.instances))
        shape = (len(scene.keyframes), len(scene.agents), len(self.rig))
        pixels = np.array(visible, np.int32).reshape(shape), np.array(whole, np.int32).reshape(shape)
        return (labels if self.config.labels else {}), pixels, questions(observer, sights, self.seed, effect_m)


def _receipt(config: GenerateConfig, key: str) -> dict | None:
    """The receipt of a finished log; DataError when other settings made it."""
    receipt = read_receipt(config.out, key)
    if receipt is not None and receipt["fingerprint"] != config.fingerprint:
        raise DataError(
            f"{config.out} holds {key} made with other settings or by another version; "
            f"choose another folder, or delete this one to make it anew"
        )
    return receipt


def _is_done(config: GenerateConfig, key: str) -> bool:
    receipt = _receipt(config, key)
    return receipt is not None and all(read_receipt(config.out, twin) is not None for twin in receipt["twins"])


def _outcomes(config: GenerateConfig, missing: list[int]) -> Iterator[tuple[int, Made | Exception]]:
    work = partial(make_log, replace(config, out=config.out.absolute()))
    return outcomes(work, missing, config.workers, config.engine, config.ray_address)


def _check_failure(config: GenerateConfig, key: str, error: Exception) -> None:
    """Raise unless the failure is one of the log itself and the configuration says to go on."""
    kept = "finished logs are kept and the same command continues"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise EyesUpError(
            f"no space left on the disk of {config.out} while writing {key}; {kept} once there is space"
        ) from error
    if isinstance(error, WorkerDiedError) and not config.keep_going:
        raise EyesUpError(
            f"a worker process died while making {key}, again when it was tried alone (killed, out of memory, or a crash of the "
            f"simulator); {kept}; --keep-going leaves such logs out"
        ) from error
    if not config.keep_going:
        raise EyesUpError(
            f"log {key} failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}; {kept}; --keep-going leaves failing logs out"
        ) from error


def _close(
    config: GenerateConfig, keys: list[str], failed: list[str], made: int, wall_s: float, stage_s: Mapping[str, float]
) -> GenerateReport:
    """Write the manifest from what is on disk, so that it does not depend on who made which log when."""
    receipts = {key: _receipt(config, key) for key in keys}
    twins = [twin for receipt in receipts.values() if receipt is not None for twin in receipt["twins"]]
    rows = [scene_files(config.out, key) for key in (*keys, *twins)]
    effect, known, gap = _gather(config.out, keys)
    cue_share, rho = share(effect[known] > CUE_ACTIVE_M), share(gap > EGO_GAP_M)
    totals = {
        "logs": len(keys), "keyframes": len(gap), "twins": len(twins), "failed": failed,
        "cue_share": cue_share, "rho": rho,
    }  # fmt: skip
    rig = RIGS[config.rig](config.width_px, config.height_px)
    facts = {
        "versions": versions(), "config": {**config.content, "logs": config.logs}, "fingerprint": config.fingerprint,
        "report": totals, "rig": json.loads(rig_to_json(rig)),
    }  # fmt: skip
    write_manifest(config.out, rows, facts)
    report = GenerateReport(
        logs=len(keys), keyframes=len(gap), twins=len(twins), made=made, cue_share=cue_share, rho=rho,
        failed=tuple(failed), wall_s=wall_s, stage_s=dict(stage_s), cue_share_asked=config.cue_share,
    )  # fmt: skip
    if made:
        _write_speed(config, report)
    return report


def _gather(root: Path, keys: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    measured = [read_annotations(root, key) for key in keys]
    columns = [[getattr(a, name) for a in measured] for name in ("cue_effect_m", "cue_effect_valid", "ego_gap_m")]
    effect, known, gap = (np.concatenate([np.zeros(0), *column]) for column in columns)
    return effect, known.astype(bool), gap


def share(rows: Bool[np.ndarray, "_"]) -> float:
    """Share of True; 0 of nothing is 0."""
    return float(rows.mean()) if len(rows) else 0.0


def _write_speed(config: GenerateConfig, report: GenerateReport) -> None:
    spent = sum(report.stage_s.values())
    facts = {
        "keyframes": report.made, "wall_s": round(report.wall_s, 2), "keyframes_per_s": round(report.keyframes_per_s, 2),
        "workers": config.workers, "cpus": os.cpu_count(),
        "stage_share": {name: round(report.stage_s.get(name, 0.0) / spent, 4) for name in STAGES},
    }  # fmt: skip
    write_atomic(config.out / SPEED, (json.dumps(facts, indent=1) + "\n").encode())


@contextmanager
def _progress(show: bool, total: int, done: int) -> Iterator[Callable[[float], None]]:
    columns = (
        TextColumn("logs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.1f} keyframes/s"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, disable=not show) as progress:
        task = progress.add_task("logs", total=total, completed=done, rate=0.0)
        yield lambda rate: progress.update(task, advance=1, rate=rate)
