"""Plan every keyframe of a source and score the plans: one record per (planner, keyframe, noise seed)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eyesup.data.source import SampleSource
from eyesup.evaluation.records import Record, append_records, group_by, read_records
from eyesup.models.protocol import Planner
from eyesup.scoring import openloop
from eyesup.scoring.ego_gap import ego_gap
from eyesup.types import DataError, Prediction, Sample, Trajectory, Truth

BATCH = 32
TAGS = ("scenario", "town", "split", "cue_active", "cue_effect_m", "cue_since_s")


def evaluate(
    planner: Planner,
    source: SampleSource,
    seeds: Sequence[int] = (0,),
    out: Path | None = None,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
    stamp: str = "",
    each: bool = False,
) -> list[Record]:
    """Records of all keyframes under all noise seeds, in the protocol of `scoring.openloop`.

    Args:
        planner: Receives Observations only; the Truth stays here.
        source: Samples with Truth.
        seeds: Noise seeds; a planner without noise gives the same record for each.
        out: Records file (JSON lines). Keyframes of this source that it already holds for this planner are not planned again.
        batch_size: Observations per call of `plan`.
        progress: Called with the number of keyframes just planned.
        stamp: Tells planners of one name apart (weights, number of alternatives): records with another stamp are not reused.
        each: Score each alternative of a planner by itself, in place of the plan it chose among them: what a single draw
            would get.

    Returns:
        All records of this planner on this source, those read from `out` included.
    """
    records = _finished(read_records(out), planner, source, seeds, stamp) if out else []
    done = {(r["key"], r["seed"]) for r in records}
    for rows in _batches(len(source), batch_size):
        todo = [seed for seed in seeds if any((source.keys[row], seed) not in done for row in rows)]
        if not todo:
            continue
        samples = [source[row] for row in rows]
        for seed in todo:
            fresh = [sample for sample in samples if (sample.key, seed) not in done]
            made = score_batch(planner, fresh, seed, stamp, each)
            if out:
                append_records(out, made)
            records += made
            if progress:
                progress(len(fresh))
    return records


def _finished(
    records: Sequence[Record], planner: Planner, source: SampleSource, seeds: Sequence[int], stamp: str
) -> list[Record]:
    """The records that need not be made again. A keyframe whose alternatives were cut short by a kill is not among them."""
    keys = set(source.keys)
    ours = {
        (r["key"], r["seed"], r["alternative"]): r  # the last, where a keyframe was planned again
        for r in records
        if r["planner"] == planner.name and r["seed"] in seeds and r["key"] in keys and r.get("stamp", "") == stamp
    }
    plans = group_by(ours.values(), lambda r: (r["key"], r["seed"])).values()
    return [r for plan in plans if len(plan) == plan[0].get("alternatives", len(plan)) for r in plan]


def score_batch(
    planner: Planner, samples: Sequence[Sample], seed: int, stamp: str = "", each: bool = False
) -> list[Record]:
    """Plan and score some samples with one noise seed: the plan, or with `each` every alternative by itself."""
    predictions = planner.plan([sample.observation for sample in samples], seed)
    return [
        to_record(planner, sample, single, seed, index) | {"alternatives": len(singles), "stamp": stamp}
        for sample, singles in zip(samples, map(alternatives, predictions) if each else ([p] for p in predictions))
        for index, single in enumerate(singles)
    ]


def alternatives(prediction: Prediction) -> list[Prediction]:
    """Each alternative as a plan of its own; the plan itself where there are none.

    Alternatives differ in noise only, so they are noise seeds that share one pass of encoder and language model.
    """
    if prediction.samples is None:
        return [prediction]
    dt_s = prediction.trajectory.dt_s
    return [Prediction(prediction.key, Trajectory(poses, dt_s)) for poses in prediction.samples]


def to_record(planner: Planner, sample: Sample, prediction: Prediction, seed: int, alternative: int = 0) -> Record:
    """One line: who planned what with which privileges, and every score by name (None where it is not measurable)."""
    truth = _truth(sample)
    scores = openloop.evaluate([prediction], [truth])
    gap = ego_gap([sample.observation.ego], [truth])
    return {
        "planner": planner.name,
        "key": sample.key,
        "scene": sample.key.rsplit("@", 1)[0],
        "seed": seed,
        "alternative": alternative,
        "protocol": openloop.PROTOCOL,
        "privileged": planner.privileged or sample.observation.privileged,
        **{name: truth.tags.get(name) for name in TAGS},
        "ego_gap": gap.values[0] if gap.valid[0] else None,
        **{score.name: float(score.values[0]) if score.valid[0] else None for score in scores},
    }


def _truth(sample: Sample) -> Truth:
    if sample.truth is None:
        raise DataError(f"sample {sample.key} has no Truth; evaluation needs a source with it")
    return sample.truth


def _batches(total: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, total)) for start in range(0, total, size))
