"""The literal facts of nuScenes: tables and their columns, classes, sensors, splits, and what the recordings lack."""

from __future__ import annotations

from eyesup.types import AgentKind
from eyesup.types.errors import DataError

# table -> column -> type. ``text``, ``int``, ``bool``, ``number``; ``[x]`` is a list of x. A `?` marks a column that may be missing.
TABLES: dict[str, dict[str, str]] = {
    "category": {"token": "text", "name": "text", "description": "text?", "index": "int?"},
    "attribute": {"token": "text", "name": "text", "description": "text?"},
    "visibility": {"token": "text", "level": "text", "description": "text?"},
    "instance": {
        "token": "text", "category_token": "text", "nbr_annotations": "int?",
        "first_annotation_token": "text", "last_annotation_token": "text",
    },
    "sensor": {"token": "text", "channel": "text", "modality": "text"},
    "calibrated_sensor": {
        "token": "text", "sensor_token": "text", "translation": "[number]", "rotation": "[number]", "camera_intrinsic": "[[number]]",
    },
    "ego_pose": {"token": "text", "timestamp": "int", "rotation": "[number]", "translation": "[number]"},
    "log": {"token": "text", "logfile": "text?", "vehicle": "text?", "date_captured": "text?", "location": "text"},
    "scene": {
        "token": "text", "log_token": "text", "nbr_samples": "int", "first_sample_token": "text", "last_sample_token": "text",
        "name": "text", "description": "text?",
    },
    "sample": {"token": "text", "timestamp": "int", "prev": "text", "next": "text", "scene_token": "text"},
    "sample_data": {
        "token": "text", "sample_token": "text", "ego_pose_token": "text", "calibrated_sensor_token": "text", "timestamp": "int",
        "fileformat": "text?", "is_key_frame": "bool", "height": "int?", "width": "int?", "filename": "text", "prev": "text",
        "next": "text",
    },
    "sample_annotation": {
        "token": "text", "sample_token": "text", "instance_token": "text", "visibility_token": "text?", "attribute_tokens": "[text]",
        "translation": "[number]", "size": "[number]", "rotation": "[number]", "prev": "text", "next": "text",
        "num_lidar_pts": "int", "num_radar_pts": "int",
    },
    "map": {"category": "text?", "token": "text", "filename": "text", "log_tokens": "[text]"},
}  # fmt: skip

# table -> column -> the table that it points into. An empty token points nowhere (the first row has no `prev`).
LINKS: dict[str, dict[str, str]] = {
    "instance": {"category_token": "category"},
    "calibrated_sensor": {"sensor_token": "sensor"},
    "scene": {"log_token": "log"},  # not its samples: `sample` points back here
    "sample": {"scene_token": "scene", "prev": "sample", "next": "sample"},
    "sample_data": {
        "sample_token": "sample", "ego_pose_token": "ego_pose", "calibrated_sensor_token": "calibrated_sensor",
        "prev": "sample_data", "next": "sample_data",
    },
    "sample_annotation": {
        "sample_token": "sample", "instance_token": "instance", "prev": "sample_annotation", "next": "sample_annotation",
    },
}  # fmt: skip

OWN_VEHICLE = "eyesup"  # `log.vehicle` of data sets that we wrote
LIDAR = "LIDAR_TOP"
# The cameras by the names of the `surround6` rig; the first three are those of `front3`.
CAMERAS = {
    "CAM_FRONT_LEFT": "front_left", "CAM_FRONT": "front", "CAM_FRONT_RIGHT": "front_right",
    "CAM_BACK_LEFT": "back_left", "CAM_BACK": "back", "CAM_BACK_RIGHT": "back_right",
}  # fmt: skip
KEYFRAME_DT_S = 0.5  # nominal; the true spacing varies a little, and everybody divides by this

# category name -> (one of the ten detection classes or "", kind). Matched by name, never by index: the published planning code
# uses the indices of the 32-class category.json of the lidarseg expansion, which in the plain one turn cars into people.
CATEGORIES: dict[str, tuple[str, AgentKind | None]] = {
    "vehicle.car": ("car", AgentKind.CAR),
    "vehicle.truck": ("truck", AgentKind.TRUCK),
    "vehicle.bus.bendy": ("bus", AgentKind.BUS),
    "vehicle.bus.rigid": ("bus", AgentKind.BUS),
    "vehicle.construction": ("construction_vehicle", AgentKind.TRUCK),
    "vehicle.trailer": ("trailer", AgentKind.TRUCK),
    "vehicle.motorcycle": ("motorcycle", AgentKind.MOTORCYCLE),
    "vehicle.bicycle": ("bicycle", AgentKind.BICYCLE),
    "vehicle.emergency.ambulance": ("", AgentKind.EMERGENCY),
    "vehicle.emergency.police": ("", AgentKind.EMERGENCY),
    "human.pedestrian.adult": ("pedestrian", AgentKind.PEDESTRIAN),
    "human.pedestrian.child": ("pedestrian", AgentKind.PEDESTRIAN),
    "human.pedestrian.construction_worker": ("pedestrian", AgentKind.PEDESTRIAN),
    "human.pedestrian.police_officer": ("pedestrian", AgentKind.PEDESTRIAN),
    "human.pedestrian.personal_mobility": ("", AgentKind.PEDESTRIAN),
    "human.pedestrian.stroller": ("", AgentKind.PEDESTRIAN),
    "human.pedestrian.wheelchair": ("", AgentKind.PEDESTRIAN),
    "movable_object.barrier": ("barrier", AgentKind.BARRIER),
    "movable_object.trafficcone": ("traffic_cone", AgentKind.CONE),
    "movable_object.debris": ("", AgentKind.DEBRIS),
    "movable_object.pushable_pullable": ("", AgentKind.DEBRIS),
    "static_object.bicycle_rack": ("", None),  # drawn around many bicycles: no obstacle of its own
    "animal": ("", AgentKind.DEBRIS),
}
# Index of a category in the 32-class list of the lidarseg expansion, which VAD's planning metric counts by.
LIDARSEG_INDEX = {
    "animal": 1, "human.pedestrian.adult": 2, "human.pedestrian.child": 3, "human.pedestrian.construction_worker": 4,
    "human.pedestrian.personal_mobility": 5, "human.pedestrian.police_officer": 6, "human.pedestrian.stroller": 7,
    "human.pedestrian.wheelchair": 8, "movable_object.barrier": 9, "movable_object.debris": 10,
    "movable_object.pushable_pullable": 11, "movable_object.trafficcone": 12, "static_object.bicycle_rack": 13,
    "vehicle.bicycle": 14, "vehicle.bus.bendy": 15, "vehicle.bus.rigid": 16, "vehicle.car": 17, "vehicle.construction": 18,
    "vehicle.emergency.ambulance": 19, "vehicle.emergency.police": 20, "vehicle.motorcycle": 21, "vehicle.trailer": 22,
    "vehicle.truck": 23,
}  # fmt: skip

LOCATIONS = ("singapore-onenorth", "singapore-hollandvillage", "singapore-queenstown", "boston-seaport")
# Scenes without CAN bus messages; scene 419 lacks `vehicle_monitor` alone.
NO_CAN_BUS = frozenset((*range(161, 169), *range(170, 177), *range(309, 315)))

# Scene numbers of the official splits (nuscenes-devkit 1.2.0); a range may name numbers that no scene has.
_SPLITS = {
    "train": "1-2 4-11 19-34 41-76 120-135 138-139 149-152 154-155 157-168 170-185 187-188 190-196 199-200 202-204 206-214 "
    "218-220 222 224-264 283-306 315-318 321 323-324 328 347-386 388-403 405-408 410-459 461-465 467-469 471-472 474-480 499-502 "
    "504-515 517-518 525-539 541-546 566 568 570-578 580 582-600 639-679 681 683-689 695-698 700-701 703-719 726-728 730-731 "
    "733-741 744 746-747 749-752 757-765 767-769 786-787 789-792 803-806 808-813 815-817 819-822 847-856 858 860-866 868-873 "
    "875-878 880 882-903 945 947 949 952-953 955-961 975-984 988-992 994-1025 1044-1058 1074-1102 1104-1110",
    "val": "3 12-18 35-36 38-39 92-110 221 268-278 329-332 344-346 519-524 552-565 625-627 629-630 632-638 770-771 775 777-778 "
    "780-784 794-800 802 904-917 919-931 962-963 966-969 971-972 1059-1073",
    "test": "77-91 111-119 140 142-148 265-266 279-282 307-314 333-343 481-498 547-551 601-604 606-624 827-831 833-842 844-846 "
    "932-933 935-943 1026-1043",
    "mini_train": "61 553 655 757 796 1077 1094 1100",
    "mini_val": "103 916",
}
SPLITS = tuple(_SPLITS)
# What the official release holds: version -> split -> (scenes, keyframes).
OFFICIAL_COUNTS = {
    "v1.0-trainval": {"train": (700, 28130), "val": (150, 6019)},
    "v1.0-mini": {"mini_train": (8, 323), "mini_val": (2, 81)},
    "v1.0-test": {"test": (150, 6008)},
}


def split_scenes(split: str) -> tuple[str, ...]:
    """Names of a split's scenes, in order; ``all`` is not a split, and an unknown name raises DataError."""
    if split not in _SPLITS:
        raise DataError(f"nuScenes has no split {split!r}; choose one of {', '.join(SPLITS)}")
    numbers: list[int] = []
    for part in _SPLITS[split].split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(f"scene-{number:04d}" for number in numbers)
