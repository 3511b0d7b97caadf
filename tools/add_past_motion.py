"""Weights of IK-VLA from before `ProcessorConfig.past_motion`, to go on from: its inputs are added to the ego encoder, with weight zero.

python tools/add_past_motion.py runs/before/final runs/widened
eyesup train ik_vla_tiny --init runs/widened ...
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from eyesup.models.ik_vla.processor import PAST_DIMS, STATUS_DIMS
from eyesup.training.checkpoint import WEIGHTS_FILE

INPUT = "ego_encoder.0.weight"


def main(source: Path, out: Path) -> None:
    weights = load_file(source / WEIGHTS_FILE)
    width, inputs = weights[INPUT].shape
    if inputs != STATUS_DIMS:
        sys.exit(
            f"{source}: the ego encoder takes {inputs} numbers, not the {STATUS_DIMS} of a model without past motion"
        )
    weights[INPUT] = torch.cat([weights[INPUT], torch.zeros(width, PAST_DIMS)], dim=1)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / WEIGHTS_FILE)
    print(f"{out / WEIGHTS_FILE}: {inputs + PAST_DIMS} inputs")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
