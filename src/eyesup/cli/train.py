"""`eyesup train`: run a named recipe, resumable at any step."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from eyesup.recipes import RECIPES, SUMMARIES, load_recipe
from eyesup.types import DataError

RUNS = Path("runs")
DEFAULT_DATA = Path("runs/world/train")
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
Count = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
REMEMBERED = ("data", "val", "encoder", "language", "init", "features")


def train(
    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE", help_behavior_hint="")],
    data: Folder = None,
    val: Folder = None,
    encoder: Folder = None,
    language: Folder = None,
    init: Folder = None,
    features: Folder = None,
    steps: Count = None,
    batch_size: Count = None,
    micro_batch_size: Count = None,
    seed: Count = None,
    out: Folder = None,
    resume: Switch = False,
    quiet: Switch = False,
) -> int:
    """Train a model from a named recipe.

    A run lives in one folder (OUT): run.json (resolved config, versions, next command), metrics.jsonl, tensorboard/,
    checkpoints/ and, at the end, final/. It may be killed at any time: `--resume` goes on and ends with the same weights, bit
    for bit. Several GPUs: accelerate launch -m eyesup.cli.main train RECIPE ...

    Example:
      eyesup train encoder_tiny --data runs/world/train --val runs/world/val
      eyesup train ik_vla_tiny --data runs/world/train --val runs/world/val --encoder runs/encoder_tiny/final

    Args:
        recipe: One of the names below.
        data: Store of training scenes, made by `eyesup world generate` (default: runs/world/train).
        val: Store to validate on: open-loop distances in metres (default: no validation).
        encoder: Folder of a trained visual encoder, e.g. runs/encoder_tiny/final; for the paper's sizes a transformers folder.
        language: Folder of a pretrained language model that replaces the recipe's.
        init: Folder of a finished run of the same model to start from, e.g. runs/ik_vla_tiny/final.
        features: Folder that keeps encoder tokens for later runs (default: runs/features).
        steps: Optimiser steps; the learning-rate schedule stretches with it (default: the recipe's).
        batch_size: Samples per optimiser step (default: the recipe's).
        micro_batch_size: Samples per forward pass, for less memory at the same result.
        seed: Order of the data, noise, initial weights (default: 0).
        out: Run folder (default: runs/RECIPE).
        resume: Continue the run in OUT; options that are left out are taken from it.
        quiet: Print nothing.
    """
    from eyesup.recipes.base import Inputs, run_recipe  # the loop, and with it torch: not for --help
    from eyesup.training.run_folder import read_run

    config = load_recipe(recipe)
    folder = out or RUNS / recipe
    before = read_run(folder) if resume else {"options": {}, "config": {"train": {}}}
    given = {"data": data, "val": val, "encoder": encoder, "language": language, "init": init, "features": features}
    paths = {name: given[name] or _path(before["options"].get(name)) for name in REMEMBERED}
    inputs = Inputs(**{"data": DEFAULT_DATA, **{name: path for name, path in paths.items() if path is not None}})
    knobs: dict[str, Any] = {
        "steps": steps,
        "batch_size": batch_size,
        "micro_batch_size": micro_batch_size,
        "seed": seed,
    }
    known = before["config"]["train"]
    knobs = {name: value if value is not None else known.get(name) for name, value in knobs.items()}
    changes = {name: value for name, value in knobs.items() if value is not None}
    config = replace(config, train=replace(config.train, **changes))
    run_recipe(config, inputs, folder, resume, quiet)
    if not quiet:
        print(f"next: {read_run(folder)['next']}")
    return 0


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def recipe_list() -> str:
    """The catalogue as help text."""
    width = max(map(len, RECIPES))
    return "\n".join(f"  {name:<{width}}  {SUMMARIES[name]}" for name in RECIPES)


def main(argv: list[str]) -> int:
    """Run `eyesup train`; returns the exit status."""
    if argv and not argv[0].startswith("-") and argv[0] not in RECIPES:
        raise DataError(f"no recipe {argv[0]!r}; known: {', '.join(RECIPES)}; `eyesup train --help` says what each is")
    about = inspect.cleandoc(train.__doc__ or "").split("Args:")[0]
    description = f"{about}Recipes:\n{recipe_list()}"
    status: int = tyro.cli(train, args=argv, prog="eyesup train", description=description)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
