"""Keyframes in the layout of mmdetection3d's nuScenes info files (``info_version`` 1.1), e.g. ``nuscenes_infos_val.pkl``.

The pickle is opened through `restricted_pickle`. Boxes are stored in the lidar frame (x right, y forward), with the centre of
the box, and are brought to the ego frame here. The file knows neither ego speed nor command nor the next keyframe; the caller
states them (`RecordedFrame.observation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from eyesup.data.recorded import RecordedFrame, read_image, unknown_history
from eyesup.data.restricted_pickle import load_pickle
from eyesup.types import AgentKind, Agents, Camera, CameraRig
from eyesup.types.errors import DataError

# nuScenes' front cameras by the names of the `front3` rig.
FRONT3 = {"CAM_FRONT_LEFT": "front_left", "CAM_FRONT": "front", "CAM_FRONT_RIGHT": "front_right"}

KINDS: dict[str, AgentKind] = {
    "car": AgentKind.CAR, "truck": AgentKind.TRUCK, "trailer": AgentKind.TRUCK, "bus": AgentKind.BUS,
    "construction_vehicle": AgentKind.TRUCK, "bicycle": AgentKind.BICYCLE, "motorcycle": AgentKind.MOTORCYCLE,
    "pedestrian": AgentKind.PEDESTRIAN, "traffic_cone": AgentKind.CONE, "barrier": AgentKind.BARRIER,
}  # fmt: skip


def read_infos(info_file: str | Path, image_root: str | Path | None = None) -> list[RecordedFrame]:
    """All keyframes of an info file.

    Args:
        info_file: The pickle.
        image_root: Folder of the images; the file's own folder when None. Both the bare file name and
            ``samples/<camera>/<file name>`` are tried.

    Raises:
        DataError: The file is no such info file, asks for other than NumPy data, or an image is missing.
    """
    info_file = Path(info_file)
    root = Path(image_root) if image_root is not None else info_file.parent
    infos = load_pickle(info_file)
    try:
        names = {label: name for name, label in infos["metainfo"]["categories"].items()}
        return [_frame(info, names, root) for info in infos["data_list"]]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{info_file}: not an mmdetection3d nuScenes info file, version 1.1 ({error!r})") from error


def _frame(info: Mapping[str, Any], names: Mapping[int, str], root: Path) -> RecordedFrame:
    ego_from_lidar = np.array(info["lidar_points"]["lidar2ego"], dtype=np.float64)
    images, cameras = [], []
    for name, record in info["images"].items():
        images.append(read_image(_find(root, name, record["img_path"])))
        cameras.append(_camera(name, record, ego_from_lidar, images[-1].shape))
    agents, class_names, known = _agents(info["instances"], names, ego_from_lidar)
    return RecordedFrame(
        info["token"], np.stack(images), CameraRig(tuple(cameras)), agents, class_names, known, unknown_history()
    )


def _find(root: Path, camera: str, img_path: str) -> Path:
    for path in (root / img_path, root / "samples" / camera / Path(img_path).name):
        if path.exists():
            return path
    return root / img_path  # reading it names the missing file


def _camera(
    name: str, record: Mapping[str, Any], ego_from_lidar: Float64[np.ndarray, "4 4"], shape: tuple[int, ...]
) -> Camera:
    """`lidar2cam` joins the lidar's time to the camera's (up to 43 ms earlier), so that the ego's motion between is accounted for."""
    ego_from_cam = ego_from_lidar @ np.linalg.inv(np.array(record["lidar2cam"], dtype=np.float64))
    ego_from_cam[:3, :3] = _nearest_rotation(ego_from_cam[:3, :3])
    return Camera(name, np.array(record["cam2img"])[:3, :3], ego_from_cam, width_px=shape[1], height_px=shape[0])


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The file stores float32 products; their rounding is removed."""
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def _agents(
    instances: list[Mapping[str, Any]], names: Mapping[int, str], ego_from_lidar: np.ndarray
) -> tuple[Agents, tuple[str, ...], np.ndarray]:
    rows = [row for row in instances if names.get(int(row["bbox_label_3d"])) in KINDS]
    class_names = tuple(names[int(row["bbox_label_3d"])] for row in rows)
    boxes = np.array([row["bbox_3d"] for row in rows], dtype=np.float64).reshape(-1, 7)  # x y z l w h yaw, lidar
    velocity = np.array([row["velocity"] for row in rows], dtype=np.float64).reshape(-1, 2)
    known = np.asarray(np.isfinite(velocity).all(-1))
    rotation, translation = ego_from_lidar[:3, :3], ego_from_lidar[:3, 3]
    centres = boxes[:, :3] @ rotation.T + translation
    flat = np.column_stack([np.cos(boxes[:, 6]), np.sin(boxes[:, 6]), np.zeros(len(boxes))]) @ rotation.T
    moving = np.column_stack([np.where(known[:, None], velocity, 0.0), np.zeros(len(boxes))]) @ rotation.T
    agents = Agents(
        ids=np.arange(len(rows)),
        kinds=np.array([KINDS[name] for name in class_names], np.uint8),
        sizes=boxes[:, 3:6].astype(np.float32),
        poses=np.column_stack([centres[:, :2], np.arctan2(flat[:, 1], flat[:, 0])])[:, None],
        velocities=moving[:, None, :2].astype(np.float32),
        valid=np.ones((len(rows), 1), bool),
        bottom_z=(centres[:, 2] - boxes[:, 5] / 2)[:, None].astype(np.float32),
    )
    return agents, class_names, known
