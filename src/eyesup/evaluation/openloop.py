"""Plan every keyframe of a source and score the plans: one record per (planner, keyframe, noise seed)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eyesup.data.source import SampleSource
from eyesup.evaluation.records import Record, append_records, read_records
from eyesup.models.protocol import Planner
from eyesup.scoring import openloop
from eyesup.scoring.ego_gap import ego_gap
from eyesup.types import Prediction, Sample, Trajectory, Truth

BATCH = 32
TAGS = ("scenario", "town", "split", "cue_active", "cue_effect_m")


def evaluate(
    planner: Planner,
    source: SampleSource,
    seeds: Sequence[int] = (0,),
    out: Path | None = None,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> list[Record]:
    """Records of all keyframes under all noise seeds, in the protocol of `scoring.openloop`.

    Args:
        planner: Receives Observations only; the Truth stays here.
        source: Samples with Truth.
        seeds: Noise seeds; a planner without noise gives the same record for each.
        out: Records file (JSON lines). Records it already holds for this planner are not computed again.
        batch_size: Observations per call of `plan`.
        progress: Called with the number of keyframes just planned.

    Returns:
        All records of this planner, those read from `out` included.
    """
    records = [r for r in read_records(out) if r["planner"] == planner.name and r["seed"] in seeds] if out else []
    done = {(r["key"], r["seed"]) for r in records}
    for rows in _batches(len(source), batch_size):
        todo = [seed for seed in seeds if any((source.keys[row], seed) not in done for row in rows)]
        if not todo:
            continue
        samples = [source[row] for row in rows]
        for seed in todo:
            fresh = [sample for sample in samples if (sample.key, seed) not in done]
            made = score_batch(planner, fresh, seed)
            if out:
                append_records(out, made)
            records += made
            if progress:
                progress(len(fresh))
    return records


def score_batch(planner: Planner, samples: Sequence[Sample], seed: int) -> list[Record]:
    """Plan and score some samples with one noise seed; of a planner that gives alternatives each is scored by itself."""
    predictions = planner.plan([sample.observation for sample in samples], seed)
    return [
        to_record(planner, sample, single, seed, index)
        for sample, prediction in zip(samples, predictions)
        for index, single in enumerate(alternatives(prediction))
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
        raise ValueError(f"sample {sample.key} has no Truth; evaluation needs a source with it")
    return sample.truth


def _batches(total: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, total)) for start in range(0, total, size))
