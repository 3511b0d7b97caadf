"""Scenes in the layout of the Dataset Governance Policy (DGP) JSON files, the format of DDAD.

``scene_<hash>.json`` lists samples; each points to camera images, a lidar datum and a calibration file. The vehicle frame (x
forward, y left, z up, origin on the ground) is that of the lidar datum, so the lidar's boxes are already in the ego frame. Past
ego poses come from the samples before, never from later ones. Ego status and command are not part of the format; a velocity can be
had from the past poses (`DgpScene.past_status`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from eyesup.data.recorded import RecordedFrame, planar, read_image, rigid, unknown_history
from eyesup.geometry.se2 import to_frame, wrap_angle
from eyesup.types import AgentKind, Agents, Camera, CameraRig, EgoStatus, Trajectory
from eyesup.types.errors import DataError

KINDS: dict[str, AgentKind] = {
    "Person": AgentKind.PEDESTRIAN, "Truck": AgentKind.TRUCK, "Car": AgentKind.CAR, "Bus/RV/Caravan": AgentKind.BUS,
    "Motorcycle": AgentKind.MOTORCYCLE, "Wheeled Slow": AgentKind.BICYCLE, "Towed Object": AgentKind.TRUCK,
    "Bicycle": AgentKind.BICYCLE, "Trailer": AgentKind.TRUCK, "Train": AgentKind.TRUCK,
}  # fmt: skip
LIDAR = "LIDAR"

# DDAD's front cameras by the names of the `front3` rig.
FRONT3 = {"CAMERA_05": "front_left", "CAMERA_01": "front", "CAMERA_06": "front_right"}


class DgpScene:
    """One scene folder (it holds exactly one ``scene_*.json``); indexing reads a sample, in time order.

    Args:
        folder: The scene's folder.
        time_scale: Multiplies the intervals between timestamps. The scenes that come with the format's own tests carry
            timestamps ten times too far apart (and dates in the year 2464); they need 0.1.

    Raises:
        DataError: The folder is no DGP scene; a file that it names is missing or damaged.
    """

    def __init__(self, folder: str | Path, time_scale: float = 1.0) -> None:
        self.folder = Path(folder)
        self.time_scale = time_scale
        files = sorted(self.folder.glob("scene_*.json"))
        if len(files) != 1:
            raise DataError(f"{self.folder}: {len(files)} files scene_*.json, expected exactly one")
        self._file = files[0]
        scene = _read_json(self._file)
        try:
            self._data = {datum["key"]: datum for datum in scene["data"]}
            self._samples = sorted(scene["samples"], key=lambda sample: sample["id"]["timestamp"])
            self._ontologies = scene["ontologies"]
        except (KeyError, TypeError) as error:
            raise DataError(f"{self._file}: not a DGP scene ({error!r})") from error

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> RecordedFrame:
        index = range(len(self))[index]
        try:
            return self._frame(index)
        except (KeyError, TypeError) as error:
            raise DataError(f"{self._file}: sample {index} is incomplete ({error!r})") from error

    def __iter__(self) -> Iterator[RecordedFrame]:
        return (self[index] for index in range(len(self)))

    @property
    def times_s(self) -> Float64[np.ndarray, "T"]:
        """Time of each sample [s], the first at 0."""
        times = [datetime.fromisoformat(sample["id"]["timestamp"]) for sample in self._samples]
        return self.time_scale * np.array([(time - times[0]).total_seconds() for time in times])

    def ego_poses(self) -> Float64[np.ndarray, "T 3"]:
        """x, y [m] and heading [rad] of the vehicle at each sample, in the recording's world frame."""
        return np.stack([planar(_pose(self._datum(index, LIDAR)[1]["pose"])) for index in range(len(self))])

    def past_status(self, index: int) -> EgoStatus | None:
        """Ego velocity and yaw rate between the sample before and this one; None for the first, which has no past.

        Acceleration and steering are not recorded and stay 0.
        """
        if index == 0:
            return None
        before, now = self.ego_poses()[index - 1 : index + 1]
        elapsed = self.times_s[index] - self.times_s[index - 1]
        forward, left, turned = -to_frame(before, now) / elapsed
        return EgoStatus((float(forward), float(left)), yaw_rate_rps=float(turned))

    def _frame(self, index: int) -> RecordedFrame:
        sample = self._samples[index]
        calibration = self._calibration(sample["calibration_key"])
        images, cameras = [], []
        for key in sample["datum_keys"]:
            kind, datum = _unwrap(self._data[key])
            if kind == "image":
                name = self._data[key]["id"]["name"]
                images.append(read_image(self.folder / datum["filename"]))
                cameras.append(_camera(name, calibration[name], images[-1].shape))
        agents, class_names = self._agents(self._datum(index, LIDAR)[1])
        return RecordedFrame(
            key=f"{self.folder.name}@{sample['id']['timestamp']}",
            images=np.stack(images),
            rig=CameraRig(tuple(cameras)),
            agents=agents,
            class_names=class_names,
            velocity_known=np.zeros(len(agents), bool),
            history=self._history(index),
        )

    def _datum(self, index: int, name: str) -> tuple[str, Mapping[str, Any]]:
        for key in self._samples[index]["datum_keys"]:
            if self._data[key]["id"]["name"] == name:
                return _unwrap(self._data[key])
        raise KeyError(name)

    def _calibration(self, key: str) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Sensor name -> (extrinsics, intrinsics)."""
        calibration = _read_json(self.folder / "calibration" / f"{key}.json")
        pairs = zip(calibration["extrinsics"], calibration["intrinsics"])
        return dict(zip(calibration["names"], pairs))

    def _agents(self, lidar: Mapping[str, Any]) -> tuple[Agents, tuple[str, ...]]:
        (kind, name), *_ = lidar["annotations"].items()  # the lidar carries 3D boxes only
        ontology = _read_json(self.folder / "ontology" / f"{self._ontologies[kind]}.json")
        names = {int(item["id"]): item["name"] for item in ontology["items"]}
        rows = [r for r in _read_json(self.folder / name)["annotations"] if names.get(int(r["class_id"])) in KINDS]
        class_names = tuple(names[int(row["class_id"])] for row in rows)
        boxes = [row["box"] for row in rows]
        poses = np.array([_pose(box["pose"]) for box in boxes]).reshape(-1, 4, 4)
        sizes = np.array([[box["length"], box["width"], box["height"]] for box in boxes], np.float32).reshape(-1, 3)
        agents = Agents(
            ids=np.array([int(row["instance_id"]) for row in rows], np.int64),
            kinds=np.array([KINDS[name] for name in class_names], np.uint8),
            sizes=sizes,
            poses=np.array([planar(pose) for pose in poses]).reshape(-1, 1, 3),
            velocities=np.zeros((len(rows), 1, 2), np.float32),
            valid=np.ones((len(rows), 1), bool),
            bottom_z=(poses[:, 2, 3] - sizes[:, 2] / 2)[:, None].astype(np.float32),
        )
        return agents, class_names

    def _history(self, index: int) -> Trajectory:
        """Past poses at 0.5 s steps, interpolated between this sample and those before it."""
        history = unknown_history()
        times = self.times_s[: index + 1] - self.times_s[index]
        past = to_frame(self.ego_poses()[: index + 1], self.ego_poses()[index])
        wanted = history.times_s
        valid = wanted >= times[0] - 1e-6
        columns = [np.interp(wanted, times, column) for column in (past[:, 0], past[:, 1], np.unwrap(past[:, 2]))]
        columns[2] = np.asarray(wrap_angle(columns[2]))
        return Trajectory(np.where(valid[:, None], np.column_stack(columns), 0.0), history.dt_s, valid)


def _camera(name: str, calibration: tuple[Mapping[str, Any], Mapping[str, Any]], shape: tuple[int, ...]) -> Camera:
    extrinsics, k = calibration
    intrinsics = np.array([[k["fx"], k["skew"], k["cx"]], [0.0, k["fy"], k["cy"]], [0.0, 0.0, 1.0]])
    return Camera(name, intrinsics, _pose(extrinsics), width_px=shape[1], height_px=shape[0])


def _pose(record: Mapping[str, Any]) -> Float64[np.ndarray, "4 4"]:
    rotation, translation = record["rotation"], record["translation"]
    return rigid([rotation[f"q{axis}"] for axis in "wxyz"], [translation[axis] for axis in "xyz"])


def _unwrap(datum: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    (kind, content), *_ = datum["datum"].items()
    return kind, content


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{path}: no valid JSON ({error})") from error
