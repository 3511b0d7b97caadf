"""The world's questions: what they cost, how small they store, and what a reader who sees no picture gets right.

The blind reader learns from logs of the training towns and is asked about logs of other towns. Yes-or-no questions are also
examined before balancing (everything that could be asked), to show what balancing takes away. Numbers are also scored by mean
relative accuracy (MRA, VSI-Bench).

Run: python benchmarks/language.py --logs 24
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import asdict
from datetime import date
from itertools import chain

import numpy as np
import pyarrow as pa

from eyesup.types import QA
from eyesup.world.language import Observer, Sight, possible_questions, questions
from eyesup.world.language.blind import blind_report
from eyesup.world.render import Renderer
from eyesup.world.rigs import front3
from eyesup.world.scenarios import SCENARIOS
from eyesup.world.simulate import simulate


def ask(split: str, logs: int) -> tuple[list[QA], list[QA], int, float]:
    """Questions asked, yes-or-no questions that could be asked, keyframes, and CPU seconds for looking and asking."""
    asked: list[QA] = []
    possible: list[QA] = []
    keyframes, seconds = 0, 0.0
    for seed in range(logs):
        scene = simulate(list(SCENARIOS)[seed % len(SCENARIOS)], seed, split)
        rig = front3()
        with Renderer(rig) as renderer:
            renderer.load(scene)
            frames = [renderer.labels(int(step), depth=False) for step in scene.keyframes]
        start = time.process_time()
        observer = Observer(scene, rig)
        sights: list[Sight] = [
            observer.look(int(step), frame.semantics, frame.instances) for step, frame in zip(scene.keyframes, frames)
        ]
        asked += chain.from_iterable(questions(observer, sights, seed))
        seconds += time.process_time() - start
        keyframes += len(sights)
        candidates = chain.from_iterable(possible_questions(observer, sights)[0])
        possible += [QA(c.question, c.answer, c.kind, c.hop, "choice") for c in candidates if c.answer in ("yes", "no")]
    return asked, possible, keyframes, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=24, help="logs of 20 s per split, the scenarios in turn")
    options = parser.parse_args()
    lessons, possible_lessons, *_ = ask("train", options.logs)
    exam, possible_exam, keyframes, seconds = ask("val", options.logs)
    text = json.dumps([list(asdict(qa).values()) for qa in exam]).encode()
    print(
        f"{date.today()}  {platform.processor() or platform.machine()}  {options.logs} logs a split, front3 at 256x144"
    )
    print(
        f"{1e3 * seconds / keyframes:.2f} ms of CPU a keyframe (looking and asking), {len(exam) / keyframes:.1f} questions a keyframe"
    )
    packed = len(pa.compress(text, codec="zstd", asbytes=True))
    print(
        f"1000 keyframes: {1e-3 * len(text) / keyframes:.2f} MB of JSON, {1e-3 * packed / keyframes:.2f} MB compressed"
    )
    print(f"\n{'type':18}{'hop':>4}{'questions':>11}{'chance':>9}{'blind':>9}{'95 %':>8}{'MRA':>8}")
    for row in blind_report(lessons, exam):
        if row.blind is not None:
            chance = "" if row.chance is None else f"{row.chance:.3f}"
            near = "" if row.blind_accuracy is None else f"{row.blind_accuracy:8.3f}"
            print(f"{row.kind:18}{row.hop:4}{row.questions:11}{chance:>9}{row.blind:9.3f}{row.margin or 0:8.3f}{near}")
    before = blind_report(possible_lessons, possible_exam)
    right = np.average([row.blind or 0.0 for row in before], weights=[row.questions for row in before])
    print(
        f"\nbefore balancing, the blind reader is right about {right:.3f} of all {len(possible_exam)} yes-or-no questions"
    )


if __name__ == "__main__":
    main()
