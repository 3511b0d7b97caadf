"""Latency of one IK-VLA plan (tiny) by stage, against plain ways of doing the same.

    python benchmarks/inference.py --observations 8 --calls 4 --threads 2

Milliseconds per observation, best of the timed calls. ``process`` is prompt, tokeniser and image resize; ``encode`` the visual
encoder; ``prefill`` the language model; ``ik`` the denoising; ``answer`` greedy text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import tyro
from vla_inputs import make_samples, show

from eyesup.models.ik_vla.planner import IKVLAPlanner, build
from eyesup.models.ik_vla.presets import preset
from eyesup.types import Observation

STAGES = ("process", "encode", "prefill", "ik", "answer")


def main(observations: int = 8, calls: int = 4, threads: int = 2) -> None:
    """Print one table.

    Args:
        observations: Observations per call of plan().
        calls: Timed calls per row; the best counts.
        threads: Torch threads.
    """
    torch.set_num_threads(threads)
    silent = [sample.observation for sample in make_samples(observations, ask_every=0)]
    asking = [sample.observation for sample in make_samples(observations, ask_every=1)]
    cases = {
        "DDIM 10 steps": (make_planner(), silent),
        "DDIM 10 steps, 8 alternatives": (make_planner(num_samples=8), silent),
        "DDIM 10 steps, and a question": (make_planner(max_answer_tokens=16), asking),
        "plain: one observation per call": (make_planner(batch_size=1), silent),
        "plain: the paper's DDPM, 100 steps": (with_ddpm(make_planner()), silent),
        "plain: keys and values anew in every step": (without_memory(make_planner()), silent),
    }
    rows = [[name, *best(planner, inputs, calls)] for name, (planner, inputs) in cases.items()]
    command = f"python benchmarks/inference.py --observations {observations} --calls {calls} --threads {threads}"
    show("plan of IK-VLA tiny, ms per observation, fp32", ["row", *STAGES, "total"], rows, command)


def make_planner(**options) -> IKVLAPlanner:
    """A planner with random weights."""
    return IKVLAPlanner(*build(preset("tiny")), **options)


def best(planner: IKVLAPlanner, observations: Sequence[Observation], calls: int) -> list[str]:
    """Milliseconds of each stage and their sum, of the fastest call; the first call is not counted."""
    stages = [planner.plan(observations)[0].stage_s for _ in range(calls + 1)][1:]
    fastest = min(stages, key=lambda stage_s: sum(stage_s.values()))
    return [f"{1e3 * fastest[stage]:.1f}" for stage in STAGES] + [f"{1e3 * sum(fastest.values()):.1f}"]


def with_ddpm(planner: IKVLAPlanner) -> IKVLAPlanner:
    decoder = planner.model.decoder
    decoder.diffusion = replace(decoder.diffusion, sampler="ddpm")
    return planner


def without_memory(planner: IKVLAPlanner) -> IKVLAPlanner:
    """Project the visual tokens again in every denoising step."""
    network = planner.model.decoder.network
    forward, memory = network.forward, network.memory
    network.memory = lambda current, next: (current, next)
    network.forward = lambda x_k, k, tokens: forward(x_k, k, memory(*tokens))
    return planner


if __name__ == "__main__":
    tyro.cli(main)
