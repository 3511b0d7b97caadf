"""The literal facts of the Argoverse 2 sensor dataset: files and their columns, classes, lane marks, the vehicle."""

from __future__ import annotations

from eyesup.types import AgentKind, Paint, VehicleGeometry

SWEEP_DT_S = 0.1  # annotations stand at every lidar sweep
POSES = "city_SE3_egovehicle.feather"
ANNOTATIONS = ("annotations.feather", "annotations_with_ego.feather")  # the second: of the scenario mining task
MAP_PATTERN = "map/log_map_archive_*.json"

_ROTATION, _PLACE = ("qw", "qx", "qy", "qz"), ("tx_m", "ty_m", "tz_m")
SIZE = ("length_m", "width_m", "height_m")
POSE_COLUMNS = ("timestamp_ns", *_ROTATION, *_PLACE)
ANNOTATION_COLUMNS = ("timestamp_ns", "track_uuid", "category", *SIZE, *_ROTATION, *_PLACE)

# Category -> what we draw and avoid; None: nothing of its own. The bodies of our bicycles and motorcycles carry a rider, whom
# Argoverse boxes a second time; road signs stand beside the road.
CATEGORIES: dict[str, AgentKind | None] = {
    "ANIMAL": AgentKind.DEBRIS,
    "ARTICULATED_BUS": AgentKind.BUS,
    "BICYCLE": AgentKind.BICYCLE,
    "BICYCLIST": None,
    "BOLLARD": AgentKind.BARRIER,
    "BOX_TRUCK": AgentKind.TRUCK,
    "BUS": AgentKind.BUS,
    "CONSTRUCTION_BARREL": AgentKind.CONE,
    "CONSTRUCTION_CONE": AgentKind.CONE,
    "DOG": AgentKind.DEBRIS,
    "EGO_VEHICLE": None,
    "LARGE_VEHICLE": AgentKind.VAN,
    "MESSAGE_BOARD_TRAILER": AgentKind.BARRIER,
    "MOBILE_PEDESTRIAN_CROSSING_SIGN": AgentKind.BARRIER,
    "MOBILE_PEDESTRIAN_SIGN": AgentKind.BARRIER,
    "MOTORCYCLE": AgentKind.MOTORCYCLE,
    "MOTORCYCLIST": None,
    "OFFICIAL_SIGNALER": AgentKind.PEDESTRIAN,
    "PEDESTRIAN": AgentKind.PEDESTRIAN,
    "RAILED_VEHICLE": AgentKind.BUS,
    "REGULAR_VEHICLE": AgentKind.CAR,
    "SCHOOL_BUS": AgentKind.BUS,
    "SIGN": None,
    "STOP_SIGN": None,
    "STROLLER": AgentKind.PEDESTRIAN,
    "TRAFFIC_LIGHT_TRAILER": AgentKind.BARRIER,
    "TRUCK": AgentKind.TRUCK,
    "TRUCK_CAB": AgentKind.TRUCK,
    "VEHICULAR_TRAILER": AgentKind.TRUCK,
    "WHEELCHAIR": AgentKind.PEDESTRIAN,
    "WHEELED_DEVICE": AgentKind.DEBRIS,
    "WHEELED_RIDER": AgentKind.PEDESTRIAN,
}

# Mark of a lane boundary -> paint; double lines become one, of a solid and a dashed one the solid stays; None: no paint.
MARKS: dict[str, Paint | None] = {
    "DASHED_WHITE": Paint.DASHED_WHITE,
    "DASHED_YELLOW": Paint.DASHED_YELLOW,
    "DASH_SOLID_WHITE": Paint.SOLID_WHITE,
    "DASH_SOLID_YELLOW": Paint.SOLID_YELLOW,
    "DOUBLE_DASH_WHITE": Paint.DASHED_WHITE,
    "DOUBLE_DASH_YELLOW": Paint.DASHED_YELLOW,
    "DOUBLE_SOLID_WHITE": Paint.SOLID_WHITE,
    "DOUBLE_SOLID_YELLOW": Paint.SOLID_YELLOW,
    "NONE": None,
    "SOLID_BLUE": Paint.SOLID_WHITE,
    "SOLID_DASH_WHITE": Paint.SOLID_WHITE,
    "SOLID_DASH_YELLOW": Paint.SOLID_YELLOW,
    "SOLID_WHITE": Paint.SOLID_WHITE,
    "SOLID_YELLOW": Paint.SOLID_YELLOW,
    "UNKNOWN": None,
}

DRIVING_LANES = frozenset({"VEHICLE", "BUS"})  # of the others (BIKE, NON_VEHICLE) only the paint is taken
NO_LIMIT_MPS = 13.4  # the maps have no speed limits: 30 mph, that of most streets in its cities

# Argoverse's Ford Fusion. Length, width, height: the box of its own EGO_VEHICLE annotation. Wheel base: data sheet. Where the
# axles lie within the length is not published; they are taken as symmetric.
FUSION = VehicleGeometry(4.877, 2.0, 1.473, 2.85, 1.425)
