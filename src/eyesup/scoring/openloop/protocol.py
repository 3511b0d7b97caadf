"""The open-loop protocols of the literature, as data.

Nine rows that differ in a handful of choices: which agents count and when, on which raster they are drawn, where the ego's
footprint lies on it, and how six waypoints become three numbers. All choices are fields of `Protocol`; `score` has one
implementation for all of them. Slips of the published code are kept on purpose, since they are part of the published numbers,
and stand in `notes`. Every protocol reads the annotated future of the agents and drops what the driven path itself hits.

Axes: forward and right (lidar at t = 0), in metres. Cells are counted from the rear and from the left unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from eyesup.types import DataError

# nuScenes' ten detection classes, in the order of its devkit.
CATEGORIES = ("car", "truck", "construction_vehicle", "bus", "trailer", "barrier", "motorcycle", "bicycle", "pedestrian",
              "traffic_cone")  # fmt: skip
VEHICLES = frozenset(("car", "truck", "construction_vehicle", "bus", "trailer", "motorcycle", "bicycle"))
VEHICLES_AND_PEOPLE = VEHICLES | {"pedestrian"}

EGO_LENGTH_M, EGO_WIDTH_M = 4.084, 1.85
OMNIDRIVE_LENGTH_M = 4.08  # of the footprint in its drivable-area test; its collision test has 4.084
LIDAR_TO_CENTER_M = 0.5  # what all of them assume
AXLE_TO_LIDAR_M = 0.985793  # of one of the two vehicle set-ups (the other: 0.943713)
GRID_HALF_M = 50.0


class Presence(Enum):
    """When an agent is drawn in frame t."""

    ANNOTATED = "annotated in frame t"
    SINCE_NOW = "annotated now and in every frame up to t"
    SEEN_NOW = "annotated now and in frame t"


class Unknown(Enum):
    """What happens to frames after the end of a scene."""

    NO_ERROR = "no error and no collision, but counted in the mean"
    EMPTY_TRUTH = "no error; the driven path stands still, agents as drawn"
    LEFT_OUT = "a sample that has any is left out"


class Reading(Enum):
    """How six steps become values at 1, 2 and 3 s."""

    AT = "at"  # the step itself
    CUMULATIVE = "cumulative"  # mean over the steps up to it
    ANY = "any"  # whether any step up to it


@dataclass(frozen=True)
class Axis:
    """From metres to cells along one axis; +1 is forward or right.

    Attributes:
        box_sign: Direction in which an agent's corners are counted.
        reversed_after: The drawn grid is reversed, cell i stands at n - 1 - i (the true mirror of cell centres is n - i).
        plan_sign: Direction in which the footprint is counted.
        plan_from_end: The footprint's cell is n minus its count.
    """

    box_sign: int = 1
    reversed_after: bool = False
    plan_sign: int = 1
    plan_from_end: bool = False


@dataclass(frozen=True)
class Raster:
    """The grid, 100 m x 100 m around the origin.

    Attributes:
        cell_m: Edge of a cell.
        forward, right: The two axes.
        rows_forward: Whether rows run along the forward axis (else columns do).
        rounded_corners: Corners go to the nearest cell (else they are cut off towards the cell before).
        agents_ahead_m: The agents' frame lies this far behind the lidar, so they are drawn this far ahead.
        center_ahead_m: Centre of the footprint ahead of the planned point.
        warped: Each frame is drawn around its own ego position and moved to the frame of t = 0 cell by cell.
    """

    cell_m: float = 0.5
    forward: Axis = Axis()
    right: Axis = Axis()
    rows_forward: bool = True
    rounded_corners: bool = True
    agents_ahead_m: float = 0.0
    center_ahead_m: float = LIDAR_TO_CENTER_M
    warped: bool = False

    @property
    def cells(self) -> int:
        return round(2 * GRID_HALF_M / self.cell_m)


@dataclass(frozen=True)
class Protocol:
    """One protocol.

    Attributes:
        name: As asked for, printed beside every number.
        source: Whose numbers it reproduces.
        official: How its collision (and distance) is read in its papers.
        categories: Agents that count.
        presence: When they count.
        range_m: Largest distance to the right and forward, at t = 0, of agents that count; no limit when None.
        unknown: Frames after the end of a scene.
        raster: None for exact rectangles.
        turns: The footprint turns with the path (else it keeps the heading of t = 0).
        drivable_area: Also tells which plans leave the drivable area.
        kerbs: Also tells which plans drive over the edge of the road, where cases know it.
        running_sum: The published code keeps nothing but sums over the samples so far, in single precision; what it says of one
            sample is a step of such a sum (`published_l2`).
        notes: What a reader of its numbers must know.
    """

    name: str
    source: str
    official: Reading
    categories: frozenset[str]
    presence: Presence
    unknown: Unknown
    raster: Raster | None = None
    range_m: tuple[float, float] | None = None
    turns: bool = False
    drivable_area: bool = False
    kerbs: bool = False
    running_sum: bool = False
    notes: tuple[str, ...] = ()


_NO_YAW = "the footprint keeps the heading of t = 0"
_NO_PEOPLE = "pedestrians, cones and barriers do not count"
_RUNNING_SUM = (
    "the distance of one sample is a step of a single-precision sum: some 0.1 mm off after hundreds of samples"
)

UNIAD = Protocol(
    name="uniad",
    source="UniAD (planning_metrics.py)",
    official=Reading.AT,
    categories=VEHICLES,
    presence=Presence.ANNOTATED,
    unknown=Unknown.NO_ERROR,
    raster=Raster(),
    notes=(_NO_YAW, _NO_PEOPLE, "steps after the end of a scene count as perfect"),
)
VAD = Protocol(
    name="vad",
    source="VAD (metric_stp3.py), without the range filter of its test pipeline",
    official=Reading.CUMULATIVE,
    categories=VEHICLES_AND_PEOPLE,
    presence=Presence.SINCE_NOW,
    unknown=Unknown.LEFT_OUT,
    raster=Raster(forward=Axis(box_sign=-1, plan_from_end=True)),
    notes=(_NO_YAW, "agents that appear later, or after a gap, do not count"),
)
VAD_RANGEFILTERED = replace(
    VAD,
    name="vad_rangefiltered",
    source="VAD (metric_stp3.py) as published",
    range_m=(15.0, 30.0),
    notes=(*VAD.notes, "agents that start beyond 15 m to a side or 30 m ahead or behind do not count"),
)
STP3 = Protocol(
    name="stp3",
    source="ST-P3 (stp3/metrics.py)",
    official=Reading.CUMULATIVE,
    categories=VEHICLES_AND_PEOPLE,
    presence=Presence.SEEN_NOW,
    unknown=Unknown.LEFT_OUT,
    raster=Raster(right=Axis(box_sign=-1, plan_sign=-1), agents_ahead_m=AXLE_TO_LIDAR_M, warped=True),
    notes=(
        _NO_YAW,
        "the footprint lies 1 m too far back: agents are in the axle's frame, the path in the lidar's",
        "agents are moved between frames as if the ego drove circular arcs",
        "its sample list also asks for two earlier keyframes, and drops agents barely visible then; cases do not say",
    ),
)
OPENDRIVEVLA_VEHICLES = Protocol(
    name="opendrivevla_vehicles",
    source="OpenDriveVLA's evaluator (= GPT-Driver's), only_vehicle=True (its default)",
    official=Reading.AT,
    categories=VEHICLES,
    presence=Presence.ANNOTATED,
    unknown=Unknown.NO_ERROR,
    raster=Raster(right=Axis(reversed_after=True, plan_sign=-1)),
    running_sum=True,
    notes=(
        _NO_YAW,
        _NO_PEOPLE,
        "grids are mirrored about the wrong cell: agents are one cell to the side",
        _RUNNING_SUM,
    ),
)
OPENDRIVEVLA_ALL = replace(
    OPENDRIVEVLA_VEHICLES,
    name="opendrivevla_all",
    source="OpenDriveVLA's evaluator (= GPT-Driver's), only_vehicle=False",
    official=Reading.CUMULATIVE,
    categories=VEHICLES_AND_PEOPLE,
    presence=Presence.SINCE_NOW,
    unknown=Unknown.EMPTY_TRUTH,
    raster=Raster(forward=Axis(box_sign=-1, reversed_after=True), right=Axis(reversed_after=True, plan_sign=-1)),
    notes=(
        _NO_YAW,
        "grids are mirrored about the wrong cell: agents are one cell to the side and one behind",
        _RUNNING_SUM,
    ),
)
BEV_PLANNER = Protocol(
    name="bevplanner",
    source="BEV-Planner (metric_stp3.py, ignore_gt=False)",
    official=Reading.ANY,
    categories=VEHICLES,
    presence=Presence.ANNOTATED,
    unknown=Unknown.LEFT_OUT,
    raster=Raster(
        cell_m=0.1,
        right=Axis(box_sign=-1, plan_sign=-1),
        rows_forward=False,
        rounded_corners=False,
        agents_ahead_m=AXLE_TO_LIDAR_M,
        center_ahead_m=AXLE_TO_LIDAR_M + LIDAR_TO_CENTER_M,
    ),
    turns=True,
    kerbs=True,
    notes=(_NO_PEOPLE, "the footprint turns with a step of at least 1 m, else it has the heading of t = 0"),
)
OMNIDRIVE = replace(
    BEV_PLANNER,
    name="omnidrive",
    source="OmniDrive (evaluation/planning_utils.py), as ORION and SpaceDrive report",
    presence=Presence.SINCE_NOW,
    raster=replace(BEV_PLANNER.raster or Raster(), rounded_corners=True),
    drivable_area=True,
    kerbs=False,
    notes=(
        *BEV_PLANNER.notes,
        "in the drivable-area test the footprint turns about a point 1.5 m ahead along the axis of t = 0",
        "a plan that starts outside the drivable area never leaves it",
    ),
)
EXACT = Protocol(
    name="exact",
    source="this project (eyesup-openloop-v1)",
    official=Reading.ANY,
    categories=frozenset(CATEGORIES),
    presence=Presence.ANNOTATED,
    unknown=Unknown.LEFT_OUT,
    turns=True,
    notes=("a sample in which the driven path collides is kept", "agents that overlap the ego at t = 0 do not count"),
)
PROTOCOLS = {protocol.name: protocol for protocol in (UNIAD, VAD, VAD_RANGEFILTERED, STP3, OPENDRIVEVLA_VEHICLES,
             OPENDRIVEVLA_ALL, BEV_PLANNER, OMNIDRIVE, EXACT)}  # fmt: skip


def protocol_named(name: str) -> Protocol:
    """A protocol by name; DataError lists the names."""
    if name not in PROTOCOLS:
        raise DataError(f"protocol {name!r} is unknown; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
