"""`prepare` a scene once, then `score` any number of plans for it: the public face of the PDM score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from eyesup.geometry.se2 import to_frame
from eyesup.scoring.pdm import cpu
from eyesup.scoring.pdm.closed import forecast, forecast_tracks, proposals
from eyesup.scoring.pdm.contacts import AgentTracks
from eyesup.scoring.pdm.cpu import Judged
from eyesup.scoring.pdm.scene import PreparedScene, SceneInputs, prepare_map, sample_agents
from eyesup.scoring.pdm.version import DT_S, EC, EP, FAMILIES, STEPS, V2, Version, version_named
from eyesup.types import DataError, MissingExtraError, Score

HORIZON_S = STEPS * DT_S
HUMAN_DT_S = 0.5


@dataclass(frozen=True)
class VersionedScene:
    """What a version adds to a prepared scene.

    Attributes:
        agents: At 10 Hz.
        reference_progress_m: Of PDM-Closed, simulated like any plan.
        reference_factor: Product of PDM-Closed's factors.
        human_fails: Sub-scores at which the human scores exactly 0.
    """

    agents: AgentTracks
    reference_progress_m: float
    reference_factor: float
    human_fails: frozenset[str]


@dataclass(frozen=True)
class PDMScore:
    """Scores of K plans in each of S scenes; every array is (S, K).

    Attributes:
        version: The definition behind the numbers.
        scenes: Names, one per scene.
        subscores: By official name, as measured.
        filtered: By official name, after the human filter; equal to `subscores` in versions without one.
        scores: By official name: ``score`` is the version's own (PDMS or EPDMS). v2 also has ``pdm_score`` (no filter, no EC)
            and ``epdms_{nofilter,filter}_{noec,ec}``.
        valid: False for plans with non-finite waypoints (only with `keep_going`); their values are 0 and mean nothing.
        two_frame_valid: Where an earlier plan was compared; elsewhere EC, and the scores that contain it, mean nothing.
        judged: Distances, times and signals behind the sub-scores.
    """

    version: Version
    scenes: tuple[str, ...]
    subscores: dict[str, Float[np.ndarray, "S K"]]
    filtered: dict[str, Float[np.ndarray, "S K"]]
    scores: dict[str, Float[np.ndarray, "S K"]]
    valid: Bool[np.ndarray, "S K"]
    two_frame_valid: Bool[np.ndarray, "S K"]
    judged: Judged

    @property
    def score(self) -> Float[np.ndarray, "S K"]:
        return self.scores["score"]

    def validity(self, name: str) -> Bool[np.ndarray, "S K"]:
        """Where a sub-score or score means something."""
        return self.valid & self.two_frame_valid if name == EC or name.endswith("_ec") else self.valid

    def as_scores(self) -> list[Score]:
        """Sub-scores and scores as the house's `Score`s over S * K samples, scene by scene."""
        parts = {**self.subscores, **{f"filtered_{k}": v for k, v in self.filtered.items() if k != EC}, **self.scores}
        if not self.version.human_filter:
            parts = {**self.subscores, **self.scores}
        return [
            Score(name, self.version.name, "1", np.where(self.validity(name), values, 0.0).ravel(), self.validity(name).ravel())
            for name, values in parts.items()
        ]  # fmt: skip


def prepare(inputs: SceneInputs, *versions: Version | str) -> PreparedScene:
    """Index a scene for scoring, ready for the given versions; others are worked out when first asked for.

    Raises:
        DataError: The scene is unfit: a polygon that is none, a missing PDM-Closed plan, ...
    """
    scene = prepare_map(inputs)
    for version in versions:
        versioned(scene, version_named(version) if isinstance(version, str) else version)
    return scene


def versioned(scene: PreparedScene, version: Version) -> VersionedScene:
    """The version's view of a scene, worked out once; versions that differ in weights alone share it."""
    rules = replace(version, name=version.family, weights=tuple((name, 1.0) for name, _ in version.weights))
    if rules not in scene.derived:
        scene.derived[rules] = _derive(scene, rules)
    found = scene.derived[rules]
    assert isinstance(found, VersionedScene)
    return found


def _derive(scene: PreparedScene, version: Version) -> VersionedScene:
    agents = sample_agents(scene.inputs, version)
    no_past = scene.ego.driven[:0]
    poses = reference_poses(scene, version)
    judged = Judged.empty((1,), version)
    cpu.judge(cpu.drive(poses[None], scene.ego.initial), scene, agents, version, no_past, judged)
    factor = float(_product(judged.values, version)[0])
    fails: frozenset[str] = frozenset()
    if version.human_filter and scene.inputs.human is not None:
        human = Judged.empty((1,), version)
        plan = _as_plans(scene.inputs.human[None, None], HUMAN_DT_S, [scene], False, "human")[0][0]
        cpu.judge(cpu.simulate(plan, HUMAN_DT_S, scene.ego.initial), scene, agents, version, no_past, human)
        fails = frozenset(name for name in version.subscores if name not in (EP, EC) and human.values[name][0] == 0)
    return VersionedScene(agents, float(judged.progress_m[0]), factor, fails)


def reference_poses(scene: PreparedScene, version: Version) -> Float[np.ndarray, "41 3"]:
    """What ego progress is measured against, in the ego frame: the plan given with the scene, or else PDM-Closed's."""
    given = scene.inputs.references.get(version.family)
    origin = scene.inputs.ego_history[-1, :3]
    if given is not None:
        return np.ascontiguousarray(to_frame(given, origin))
    candidates, scores = closed_proposals(scene, version)
    return np.ascontiguousarray(to_frame(candidates[int(np.argmax(scores))], origin))


def closed_proposals(
    scene: PreparedScene, version: Version
) -> tuple[Float[np.ndarray, "15 41 3"], Float[np.ndarray, "15"]]:
    """PDM-Closed's proposals in the world frame, and their scores in the world that it foresees.

    They are judged like any plans, all together, by the version's family with its own weights; without EC and history.
    """
    rules = FAMILIES[version.family]
    seen = forecast(scene.inputs)
    candidates = proposals(scene.inputs, seen)
    red_now = np.repeat(scene.red_frames[:, :1], scene.red_frames.shape[1], axis=1)
    poses = np.ascontiguousarray(to_frame(candidates, scene.inputs.ego_history[-1, :3]))
    judged = Judged.empty((len(poses),), rules)
    agents = forecast_tracks(scene.inputs, seen, rules.agent_samples)
    states = cpu.drive(poses, scene.ego.initial)
    cpu.judge(states, replace(scene, red_frames=red_now), agents, rules, scene.ego.driven[:0], judged)
    factor = _product(judged.values, rules)
    progress = _relative_progress(judged.progress_m, factor, np.max(judged.progress_m * factor), rules)
    return candidates, frame_score({**judged.values, EP: progress}, rules, np.zeros(len(poses), dtype=bool))


def score(
    trajectories: Float[np.ndarray, "S K T 3"],
    scenes: Sequence[PreparedScene],
    version: Version | str = V2,
    previous: Float[np.ndarray, "S Kp T 3"] | None = None,
    *,
    dt_s: float | None = None,
    joint: bool = False,
    keep_going: bool = False,
    workers: int | None = None,
    backend: str = "compiled",
    device: str = "cpu",
) -> PDMScore:
    """Score K plans for each of S prepared scenes.

    Args:
        trajectories: Waypoints (x, y, heading) of the rear axle at dt, 2 dt, ..., 4 s in the ego frame at t = 0.
        scenes: One per row of `trajectories`.
        version: The definition, or its short name; see `VERSIONS`. Change the weights with `replace`.
        previous: Plans of the frame before, in that frame's ego coordinates and at the same times, for EC: one per plan or
            (with K = 1) one per scene. Without it EC is left out and its weight with it.
        dt_s: Step of the waypoints; by default the one that makes T waypoints 4 s.
        joint: Compare progress within each scene over all K plans and PDM-Closed together, instead of each plan alone with
            PDM-Closed as the official evaluation does.
        keep_going: Mark plans with non-finite waypoints invalid instead of raising.
        workers: Threads of the compiled backend; all cores by default. Results do not depend on it.
        backend: ``compiled`` (Numba, float64) or ``torch`` (float32).
        device: Of the torch backend.

    Raises:
        DataError: Shapes that do not fit, another horizon than 4 s, a non-finite waypoint.
    """
    version = version_named(version) if isinstance(version, str) else version
    dt_s = HORIZON_S / trajectories.shape[2] if dt_s is None and trajectories.shape[2] else dt_s or 0.0
    plans, valid = _as_plans(trajectories, dt_s, scenes, keep_going, "plan")
    earlier = None
    if previous is not None and version.two_frame:
        if previous.shape[1] not in (1, plans.shape[1]):
            raise DataError(
                f"pdm: {previous.shape[1]} earlier plans for {plans.shape[1]} plans; give one each or one for all"
            )
        earlier, earlier_valid = _as_plans(previous, dt_s, scenes, keep_going, "earlier plan")
    views = [versioned(scene, version) for scene in scenes]
    agents = [view.agents for view in views]
    if backend == "compiled":
        judged = cpu.judge_plans(plans, dt_s, list(scenes), agents, version, earlier, workers)
    elif backend == "torch":
        try:
            from eyesup.scoring.pdm import torch_backend
        except ModuleNotFoundError as error:
            raise MissingExtraError("the torch backend of the PDM score", "models") from error
        judged = torch_backend.judge_plans(plans, dt_s, list(scenes), agents, version, earlier, device)
    else:
        raise DataError(f"pdm: unknown backend {backend!r}; known: compiled, torch")
    compared = np.zeros(valid.shape, dtype=bool)
    if earlier is not None:
        compared[:] = earlier_valid & np.array([[scene.ego.frame_gap > 0] for scene in scenes])
    return _assemble(judged, views, version, tuple(s.name for s in scenes), valid, compared, joint)


def _as_plans(
    trajectories: np.ndarray, dt_s: float, scenes: Sequence[PreparedScene], keep_going: bool, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Plans as contiguous float64, non-finite ones as zeros, and which are finite; DataError when they do not fit."""
    if len(trajectories) != len(scenes):
        raise DataError(
            f"pdm: {what}s for {len(trajectories)} scenes, but {len(scenes)} scenes; give K plans per scene"
        )
    count, steps = trajectories.shape[1], trajectories.shape[2]
    if not len(scenes) or not count:
        where = ", ".join(scene.name for scene in scenes[:3]) or "0 scenes"
        raise DataError(f"pdm: {where}: {count} {what}s of each scene; there is nothing to score")
    if not steps or abs(steps * dt_s - HORIZON_S) > 1e-6:
        raise DataError(
            f"pdm: scene {scenes[0].name}: {what} of {steps} waypoints at {dt_s:g} s covers {steps * dt_s:g} s; "
            f"the score needs {HORIZON_S:g} s (8 at 0.5 s or 40 at 0.1 s)"
        )
    plans = np.ascontiguousarray(trajectories, dtype=np.float64)
    finite = np.asarray(np.isfinite(plans).all(axis=(2, 3)))
    if not finite.all():
        s, k = (int(i) for i in np.argwhere(~finite)[0])
        if not keep_going:
            t, axis = (int(i) for i in np.argwhere(~np.isfinite(plans[s, k]))[0])
            raise DataError(
                f"pdm: scene {scenes[s].name}, {what} {k}: waypoint {t} has {['x', 'y', 'heading'][axis]} = "
                f"{plans[s, k, t, axis]}; every waypoint must be finite"
            )
        plans = np.where(finite[..., None, None], plans, 0.0)
    return plans, finite


def _assemble(
    judged: Judged,
    views: list[VersionedScene],
    version: Version,
    names: tuple[str, ...],
    valid: np.ndarray,
    compared: np.ndarray,
    joint: bool,
) -> PDMScore:
    """Ego progress, the human filter and the sums."""
    factor = _product(judged.values, version)
    progress = _ego_progress(judged.progress_m, factor, views, version, joint, valid)
    values = {**judged.values, EP: progress}
    subscores = {name: values[name] for name in version.subscores}
    filtered = subscores
    if version.human_filter:
        fails = [view.human_fails for view in views]
        filtered = {
            name: np.where(np.array([[name in failed] for failed in fails]), 1.0, column) for name, column in subscores.items()
        }  # fmt: skip
    if not version.two_frame:
        scores = {"score": frame_score(subscores, version, compared)}
    else:
        final = filtered if version.filter_reaches_score else subscores
        never, always = np.zeros_like(compared), np.ones_like(compared)
        scores = {
            "score": frame_score(final, version, compared),
            "pdm_score": frame_score(subscores, version, never),
            "epdms_nofilter_noec": frame_score(subscores, version, never),
            "epdms_nofilter_ec": frame_score(subscores, version, always),
            "epdms_filter_noec": frame_score(final, version, never),
            "epdms_filter_ec": frame_score(final, version, always),
        }
    return PDMScore(version, names, subscores, filtered, scores, valid, compared, judged)


def frame_score(values: dict[str, np.ndarray], version: Version, compared: np.ndarray) -> np.ndarray:
    """The version's score from its sub-scores: factors times the weighted mean, EC left out where not `compared`."""
    total, weight = np.zeros(compared.shape), np.zeros(compared.shape)
    for name, share in version.weights:
        counts = share * compared if name == EC else share
        total += counts * values[name]
        weight += counts
    return _product(values, version) * total / weight


def _product(values: dict[str, np.ndarray], version: Version) -> np.ndarray:
    product = values[version.factors[0]].copy()
    for name in version.factors[1:]:
        product *= values[name]
    return product


def _ego_progress(
    progress_m: np.ndarray,
    factor: np.ndarray,
    views: list[VersionedScene],
    version: Version,
    joint: bool,
    valid: np.ndarray,
) -> np.ndarray:
    """EP: progress relative to the best safe progress among the plan and PDM-Closed (or, `joint`, among all plans too)."""
    safe = progress_m * factor
    best = np.where(valid, safe, 0.0).max(axis=1, keepdims=True) if joint else safe
    best = np.maximum(best, np.array([[view.reference_progress_m * view.reference_factor] for view in views]))
    return _relative_progress(progress_m, factor, best, version)


def _relative_progress(
    progress_m: np.ndarray, factor: np.ndarray, best: np.ndarray | np.floating, version: Version
) -> np.ndarray:
    """Share of the best safe progress; 1 where nobody gets far, and in v1 nothing for plans that fail."""
    compared = np.broadcast_to(best > version.min_progress_m, progress_m.shape)
    counts = progress_m if version.progress_of_failures else progress_m * factor
    share = np.clip(np.divide(counts, best, out=np.ones_like(counts), where=compared), 0.0, 1.0)
    return share if version.progress_of_failures else np.where(~compared & (factor == 0), 0.0, share)


def with_weights(version: Version, **weights: float) -> Version:
    """The version with other weights by official name, e.g. for a reward; its name says so."""
    unknown = sorted(set(weights) - set(dict(version.weights)))
    if unknown:
        raise DataError(
            f"pdm: {version.name} does not weigh {unknown[0]!r}; it weighs {', '.join(dict(version.weights))}"
        )
    changed = {**dict(version.weights), **weights}
    label = ",".join(f"{name}={weight:g}" for name, weight in weights.items())
    return replace(version, name=f"{version.name}[{label}]", weights=tuple(changed.items()))
