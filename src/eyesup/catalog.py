"""The index of the package: name -> "module:attribute". Literal, so reading it is enough; lazy, so listing imports nothing.

Two rooms keep their own: training runs in `eyesup.recipes.RECIPES`, scenarios in `eyesup.world.scenarios.SCENARIOS`.
"""

from __future__ import annotations

from importlib import import_module

from eyesup.types.errors import DataError

# Planner families by the name their checkpoints carry: class with a `load(folder)` constructor.
FAMILIES = {
    "ik_vla": "eyesup.models.ik_vla.planner:IKVLAPlanner",
    "ego_mlp": "eyesup.models.baselines.ego_mlp:EgoMLP",
}

# Planners that need no checkpoint.
RULES = {
    "constant_velocity": "eyesup.models.baselines.constant_velocity:ConstantVelocity",
    "constant_position": "eyesup.models.baselines.constant_velocity:ConstantPosition",
}

# Planners that are told more than an Observation: a benchmark that knows it builds them and adds their rows.
PRIVILEGED = {
    "expert_replay": "eyesup.models.baselines.expert:ExpertReplay",
    "pdm_closed": "eyesup.evaluation.pdm_closed:PDMClosed",
}

# Probes: probe(planner, source, ...) -> Finding.
PROBES = {
    "insertion": "eyesup.diagnostics.insertion:probe",
    "vision_swap": "eyesup.diagnostics.vision_swap:probe",
    "ego_status": "eyesup.diagnostics.ego_status:probe",
    "next_source": "eyesup.diagnostics.next_source:probe",
}


def resolve(target: str) -> object:
    """Import what "module:attribute" names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def lookup(table: dict[str, str], name: str, what: str) -> object:
    """Resolve `name` from a table; an unknown name raises DataError that lists the known ones."""
    if name not in table:
        raise DataError(f"unknown {what} {name!r}; known: {', '.join(sorted(table))}")
    return resolve(table[name])
