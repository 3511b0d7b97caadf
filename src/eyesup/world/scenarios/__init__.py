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
    "parked_car": "eyesup.world.scenarios.parked_car:ParkedCar",
    "construction": "eyesup.world.scenarios.construction:Construction",
    "accident": "eyesup.world.scenarios.accident:Accident",
    "cyclist": "eyesup.world.scenarios.cyclist:Cyclist",
    "emergency_vehicle": "eyesup.world.scenarios.emergency_vehicle:EmergencyVehicle",
    "emergency_crossing": "eyesup.world.scenarios.emergency_crossing:EmergencyCrossing",
    "stop_sign": "eyesup.world.scenarios.stop_sign:StopSign",
    "oncoming_left_turn": "eyesup.world.scenarios.oncoming_left_turn:OncomingLeftTurn",
    "give_way": "eyesup.world.scenarios.give_way:GiveWay",
    "merge": "eyesup.world.scenarios.merge:Merge",
    "green_light": "eyesup.world.scenarios.green_light:GreenLight",
    "pedestrian_crossing": "eyesup.world.scenarios.pedestrian_crossing:PedestrianCrossing",
    "pedestrian_dart_out": "eyesup.world.scenarios.pedestrian_dart_out:PedestrianDartOut",
    "cut_in": "eyesup.world.scenarios.cut_in:CutIn",
    "pull_out": "eyesup.world.scenarios.pull_out:PullOut",
    "red_light_runner": "eyesup.world.scenarios.red_light_runner:RedLightRunner",
    "following": "eyesup.world.scenarios.following:Following",
    "bus_stop": "eyesup.world.scenarios.bus_stop:BusStop",
    "crossing_cyclist": "eyesup.world.scenarios.crossing_cyclist:CrossingCyclist",
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
