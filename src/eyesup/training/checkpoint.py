"""Checkpoints that survive a kill and a full disk: complete in a hidden folder first, then renamed.

    checkpoints/step-000100/
      model.safetensors     the weights to use (averaged where an average is kept), and what `export` puts beside them
      trainer/              optimizer.safetensors, state.json, and weights.safetensors where model.safetensors is an average
    checkpoints/latest      name of the newest complete one

Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eyesup.types import DataError, EyesUpError

WEIGHTS_FILE = "model.safetensors"
TRAINER_FOLDER = "trainer"
LATEST_FILE = "latest"


class CheckpointError(EyesUpError):
    """A checkpoint could not be written; earlier ones are untouched."""


def step_name(step: int) -> str:
    return f"step-{step:06d}"


def write_folder(target: Path, fill: Callable[[Path], None]) -> Path:
    """Make `target` by filling a hidden sibling and renaming it, so that `target` is never half-written."""
    partial = target.parent / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        fill(partial)
        for file in sorted(p for p in partial.rglob("*") if p.is_file()):
            _sync(file)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        free = shutil.disk_usage(next(p for p in target.absolute().parents if p.exists())).free
        raise CheckpointError(
            f"{target} could not be written: {error} ({free / 1e6:.0f} MB free on that disk)"
        ) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if target.exists():
        shutil.rmtree(target)
    os.rename(partial, target)
    return target


def point_latest(root: Path, target: Path) -> None:
    partial = root / f".{LATEST_FILE}.partial"
    partial.write_text(target.name + "\n", encoding="utf-8")
    _sync(partial)
    os.replace(partial, root / LATEST_FILE)


def latest_checkpoint(root: Path) -> Path | None:
    """The newest complete checkpoint below `root`, or None. Only complete ones carry a ``step-`` name."""
    pointer = root / LATEST_FILE
    if pointer.exists() and (root / pointer.read_text(encoding="utf-8").strip()).is_dir():
        return root / pointer.read_text(encoding="utf-8").strip()
    found = sorted(root.glob("step-*"))
    return found[-1] if found else None


def prune(root: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints."""
    for old in sorted(root.glob("step-*"))[:-keep]:
        shutil.rmtree(old)


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """A state dict as safetensors; of tensors that share memory (tied embeddings) the first name is kept."""
    unique: dict[tuple, str] = {}
    for name in sorted(state):
        tensor = state[name]
        unique.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride(), name if tensor.numel() == 0 else ""), name)
    save_file({name: state[name].detach().contiguous() for name in unique.values()}, path)


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Optimiser state flattened to ``<parameter name>/<state>``; sharded tensors are gathered."""
    return {
        f"{name}/{key}": full_tensor(value).cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter in optimizer.state
        for key, value in optimizer.state[parameter].items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module, path: Path) -> None:
    """The inverse of `optimizer_tensors`."""
    parameters = dict(model.named_parameters())
    for flat, value in load_file(path).items():
        name, key = flat.rsplit("/", 1)
        if name not in parameters:
            raise DataError(f"{path}: state of a parameter {name} that the model does not have")
        like = parameters[name]
        optimizer.state[like][key] = value if value.ndim == 0 else shard_like(value.to(like.device), like)


def full_tensor(tensor: Tensor) -> Tensor:
    """The whole tensor of one that FSDP shards; every process must take part."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def shard_like(value: Tensor, like: Tensor) -> Tensor:
    """`value` sharded as `like` is; itself where `like` is whole."""
    if not hasattr(like, "full_tensor"):
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(value, like.device_mesh, like.placements)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=False) + "\n", encoding="utf-8")
