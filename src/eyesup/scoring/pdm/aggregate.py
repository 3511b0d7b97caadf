"""From frames to a benchmark's number: means, successive frames, the two stages of navhard, the official tables."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from eyesup.scoring.pdm.scene import MAX_FRAME_GAP_S
from eyesup.scoring.pdm.score import PDMScore, frame_score
from eyesup.scoring.pdm.version import EC, Version
from eyesup.types import DataError

CLOSENESS_M2 = 0.1  # variance of the weight of a second-stage scene
STAGES = ("stage_one", "stage_two")
_ZERO_SUM = 1e-8  # weights that sum to this little are made equal


def predecessors(logs: Sequence[str], start_times_s: Float[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """For each frame the index of the frame before it in its log, at most 0.55 s earlier; -1 where there is none."""
    found = np.full(len(logs), -1)
    last: dict[str, int] = {}
    for i in np.argsort(start_times_s, kind="stable"):
        before = last.get(logs[i])
        if before is not None and 0 < start_times_s[i] - start_times_s[before] <= MAX_FRAME_GAP_S:
            found[i] = before
        last[logs[i]] = int(i)
    return found


@dataclass(frozen=True)
class Frames:
    """Scored frames of a two-stage evaluation, one plan each.

    Attributes:
        tokens: Names, unique.
        end_points: (N, 2) last waypoint of the submitted plan, world frame [m].
        start_points: (N, 2) rear axle at t = 0, world frame [m].
        values: By official name, (N,) sub-scores after the human filter.
        compared: (N,) where EC is known.
    """

    tokens: tuple[str, ...]
    end_points: Float[np.ndarray, "N 2"]
    start_points: Float[np.ndarray, "N 2"]
    values: dict[str, Float[np.ndarray, "N"]]
    compared: Bool[np.ndarray, "N"]


@dataclass(frozen=True)
class Group:
    """An original scene and the synthetic scenes that continue it.

    Attributes:
        now, previous: Tokens of the two successive original frames.
        second_stage: (now, previous) tokens of each synthetic scene.
    """

    now: str
    previous: str
    second_stage: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TwoStage:
    """Means by official name, ``score`` among them.

    Attributes:
        combined: The published figures; ``score`` is the EPDMS.
        stage_one, stage_two: Of each stage alone.
        weights: By token, of the second-stage frames.
        scores: By token, the score of each frame.
    """

    combined: dict[str, float]
    stage_one: dict[str, float]
    stage_two: dict[str, float]
    weights: dict[str, float]
    scores: dict[str, float]


def two_stage(frames: Frames, groups: Sequence[Group], version: Version) -> TwoStage:
    """Aggregate as the official two-stage evaluation.

    Second-stage frames weigh by how close they start to where the first-stage plan ends. Every column is averaged within
    a group, multiplied with the first stage's, and averaged over groups: a product of mean scores, not of sub-scores.

    Raises:
        DataError: A group without second stage, or with a token that has no frame.
    """
    if not groups:
        raise DataError("two-stage aggregation: 0 groups; there is nothing to average")
    row = {token: i for i, token in enumerate(frames.tokens)}
    score = frame_score(frames.values, version, frames.compared)
    columns = {**frames.values, "score": score}
    table = np.stack(list(columns.values()), axis=1)
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    weights: dict[str, float] = {}
    for group in groups:
        if not group.second_stage:
            raise DataError(f"two-stage aggregation: group {group.now} has no second-stage scene")
        for one, many in ((group.now, [now for now, _ in group.second_stage]),
                          (group.previous, [previous for _, previous in group.second_stage])):  # fmt: skip
            missing = [token for token in (one, *many) if token not in row]
            if missing:
                raise DataError(f"two-stage aggregation: no score for frame {missing[0]} of group {group.now}")
            rows = [row[token] for token in many]
            weight = closeness(frames.end_points[row[one]], frames.start_points[rows])
            weights |= dict(zip(many, weight.tolist()))
            first.append(table[row[one]])
            second.append(weight @ table[rows])
    stage_one, stage_two = np.array(first), np.array(second)

    def named(means: np.ndarray) -> dict[str, float]:
        return dict(zip(columns, means.tolist()))

    return TwoStage(
        named((stage_one * stage_two).mean(axis=0)),
        named(stage_one.mean(axis=0)),
        named(stage_two.mean(axis=0)),
        weights,
        dict(zip(frames.tokens, score.tolist())),
    )


def closeness(end_point: Float[np.ndarray, "2"], start_points: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, "M"]:
    """Weights that sum to 1, Gaussian in the distance; equal when all scenes start far away."""
    squared = ((start_points - end_point) ** 2).sum(axis=1)
    weight = np.exp(-squared / (2 * CLOSENESS_M2))
    total = weight.sum()
    return np.full(len(weight), 1.0 / len(weight)) if total <= _ZERO_SUM else weight / total


def official_rows(result: PDMScore, plan: int = 0) -> list[dict[str, object]]:
    """Rows of the official one-stage table, one per scene: a plan's sub-scores after the filter, and its score.

    What means nothing (an invalid plan, EC without an earlier plan) is NaN, as in the official table.
    """
    rows: list[dict[str, object]] = []
    for s, name in enumerate(result.scenes):
        row: dict[str, object] = {"token": name, "valid": bool(result.valid[s, plan])}
        for column, values in {**result.filtered, "score": result.score}.items():
            row[column] = float(values[s, plan]) if result.validity(column)[s, plan] else float("nan")
        rows.append(row)
    return rows


def average_row(rows: Sequence[Mapping[str, object]], version: Version) -> dict[str, object]:
    """The last row of the official table: means that skip NaN."""
    if not rows:
        raise DataError("official table: 0 rows; there is nothing to average")
    label = "average_all_frames" if version.two_frame else "average"
    row: dict[str, object] = {"token": label, "valid": all(bool(row["valid"]) for row in rows)}
    for column in (*version.subscores, "score"):
        values = np.array([row[column] for row in rows], dtype=np.float64)
        known = values[~np.isnan(values)]
        row[column] = float(known.mean()) if len(known) else float("nan")
    return row


def write_official_csv(path: Path, rows: Sequence[Mapping[str, object]], version: Version) -> None:
    """The official one-stage table, average row included; the first column is the row number, without a name."""
    _write_csv(path, ["token", "valid", *version.subscores, "score"], [*rows, average_row(rows, version)])


def write_two_stage_csv(path: Path, frames: Frames, result: TwoStage, version: Version) -> None:
    """The official two-stage table: every frame under the columns of its stage, then the three closing rows."""
    rows: list[dict[str, object]] = []
    for i, token in enumerate(frames.tokens):
        row: dict[str, object] = {"token": token, "valid": True, "score": result.scores[token]}
        for name in version.subscores:
            for stage in STAGES:
                known = (stage == "stage_two") == (token in result.weights) and (name != EC or bool(frames.compared[i]))
                row[f"{name}_{stage}"] = float(frames.values[name][i]) if known else float("nan")
        rows.append(row)
    columns = [f"{name}_{stage}" for name in version.subscores for stage in STAGES]
    _write_csv(path, ["token", "valid", *columns, "score"], [*rows, *two_stage_rows(result, version)])


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Numbered rows; what is not known is left empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *columns])
        for i, row in enumerate(rows):
            writer.writerow([i, *("" if row[c] != row[c] else row[c] for c in columns)])


def two_stage_rows(result: TwoStage, version: Version) -> list[dict[str, object]]:
    """The three closing rows of the official two-stage table."""
    rows: list[dict[str, object]] = []
    stages = dict(zip(STAGES, (result.stage_one, result.stage_two)))
    for label, means in {**stages, "combined": result.combined}.items():
        row: dict[str, object] = {"token": f"extended_pdm_score_{label}", "valid": True}
        for name in version.subscores:
            for stage, values in stages.items():
                row[f"{name}_{stage}"] = (
                    values[name] if label in (stage, "combined") and name in values else float("nan")
                )
        rows.append({**row, "score": means["score"]})
    return rows
