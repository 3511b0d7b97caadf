"""Speed and memory of one training step of IK-VLA (tiny), against plain ways of doing the same.

    python benchmarks/train_step.py --batch 16 --steps 5 --threads 2

Every row runs in a fresh process, so that its peak memory is its own. Rows differ in how visual tokens come to be and in
precision; prompts, losses and optimiser are the same. Best of the timed steps.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import tyro
from vla_inputs import make_samples, show

ROWS = {
    "cached tokens, bf16 autocast": ("cached", "bf16"),
    "cached tokens, fp32": ("cached", "fp32"),
    "plain: encoder in the loop, fp32": ("encoder", "fp32"),
    "plain: encoder in the loop, one camera at a time, fp32": ("per_camera", "fp32"),
}


def measure(vision: str, precision: str, batch_size: int, steps: int, threads: int) -> tuple[float, float, float]:
    """(milliseconds per step, samples per second, peak resident memory in GB)."""
    import torch

    from eyesup.models.ik_vla.planner import build
    from eyesup.models.ik_vla.presets import preset
    from eyesup.objectives.ik_vla import IKVLAObjective

    torch.set_num_threads(threads)
    model, processor = build(preset("tiny"))
    batch = processor(make_samples(batch_size), training=True)
    if vision == "cached":
        batch = with_cached_tokens(model, batch)
    if vision == "per_camera":
        encode_one_camera_at_a_time(model.encoder)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)
    objective = IKVLAObjective()

    def step() -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = model(batch)
        objective(outputs, batch)["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - start

    step()  # first call allocates
    best = min(step() for _ in range(steps))
    return 1e3 * best, batch_size / best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def with_cached_tokens(model, batch: dict) -> dict:
    """The batch as a feature cache gives it: tokens instead of images."""
    import torch

    with torch.no_grad():
        current = torch.cat([model.encoder(images[None]) for images in batch["images"]])
        future = torch.stack([model.encoder(frames) for frames in batch["future_images"]])
    kept = {name: value for name, value in batch.items() if name not in ("images", "future_images")}
    return kept | {"current_tokens": current, "future_tokens": future}


def encode_one_camera_at_a_time(encoder) -> None:
    """Replace the batched forward by a loop over cameras."""
    import torch

    batched = encoder.forward

    def loop(images):
        return torch.cat([batched(images[:, c : c + 1]) for c in range(images.shape[1])], dim=1)

    encoder.forward = loop


def main(batch: int = 16, steps: int = 5, threads: int = 2) -> None:
    """Print one table.

    Args:
        batch: Samples per step.
        steps: Timed steps per row; the best counts.
        threads: Torch threads.
    """
    rows = []
    for name, (vision, precision) in ROWS.items():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            ms, speed, memory = pool.submit(measure, vision, precision, batch, steps, threads).result()
        rows.append([name, f"{ms:.0f}", f"{speed:.1f}", f"{memory:.2f}"])
    command = f"python benchmarks/train_step.py --batch {batch} --steps {steps} --threads {threads}"
    show("training step of IK-VLA tiny", ["row", "ms/step", "samples/s", "peak GB"], rows, command)


if __name__ == "__main__":
    tyro.cli(main)
