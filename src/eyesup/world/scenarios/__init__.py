"""The catalogue of scenarios: name -> where its class is. Literal, so that reading it imports nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from eyesup.types import DataError

if TYPE_CHECKING:
    from eyesup.world.scenarios.base import Scenario

SCENARIOS: dict[str, str] = {
    "free_drive": "eyesup.world.scenarios.free_drive:FreeDrive",
    "lead_brakes": "eyesup.world.scenarios.lead_brakes:LeadBrakes",
    "stopped_car": "eyesup.world.scenarios.stopped_car:StoppedCar",
    "red_light": "eyesup.world.scenarios.red_light:RedLight",
    "curve": "eyesup.world.scenarios.curve:Curve",
}


def load_scenario(name: str) -> type[Scenario]:
    """The class of a scenario.

    Raises:
        DataError: unknown name.
    """
    if name not in SCENARIOS:
        raise DataError(f"scenario {name!r} is unknown; choose one of {', '.join(SCENARIOS)}")
    module, attribute = SCENARIOS[name].split(":")
    return getattr(import_module(module), attribute)
