"""Loading weights strictly where parameters are tied."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from eyesup.types import DataError


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file into a model; every parameter must be there, under any of its names, and nothing else.

    A tied parameter (embedding and output layer of a language model) has several names; files hold one of them, or, where
    the weights are a running average, each.

    Raises:
        DataError: The file is missing, damaged, or of another model.
    """
    try:
        state = load_file(path)
        missing, unexpected = model.load_state_dict(state, strict=False)
    except (RuntimeError, SafetensorError, OSError) as error:
        raise DataError(f"{path} does not fit the model: {error}") from error
    own = model.state_dict(keep_vars=True)
    loaded = {own[name].data_ptr() for name in state if name in own}
    absent = [name for name in missing if own[name].data_ptr() not in loaded]
    if absent or unexpected:
        raise DataError(
            f"{path} does not fit the model: {len(absent)} tensors missing {absent[:3]}, "
            f"{len(unexpected)} unknown {list(unexpected)[:3]}; is it the checkpoint of another configuration?"
        )
