"""The CAN bus expansion: ``can_bus/<scene>_<message>.json``, lists of messages with their time ``utime`` in microseconds."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from eyesup.data.nuscenes.schema import NO_CAN_BUS
from eyesup.types.errors import DataError

FOLDER = "can_bus"
MESSAGES = ("ms_imu", "pose", "steeranglefeedback", "vehicle_monitor", "zoesensors", "zoe_veh_info", "meta", "route")


class CanBus:
    """Messages of a data set, read per scene when asked for.

    Args:
        root: The data set's root, which holds ``can_bus/``; there may be none.
    """

    def __init__(self, root: str | Path) -> None:
        self.folder = Path(root) / FOLDER
        self._messages = lru_cache(maxsize=64)(self._read)

    def __bool__(self) -> bool:
        return self.folder.is_dir()

    def has(self, scene: str, message: str) -> bool:
        """Whether a scene has messages of that kind."""
        return self._path(scene, message).exists()

    def expected(self, scene: str) -> bool:
        """Whether the official expansion has anything for this scene."""
        return int(scene.rsplit("-", 1)[-1]) not in NO_CAN_BUS if scene.rsplit("-", 1)[-1].isdigit() else True

    def messages(self, scene: str, message: str) -> list[dict[str, Any]]:
        """All messages in order of time; empty where the scene has none."""
        return self._messages(scene, message)

    def times_us(self, scene: str, message: str) -> np.ndarray:
        """(M,) int64."""
        return np.array([row["utime"] for row in self.messages(scene, message)], dtype=np.int64)

    def last(self, scene: str, message: str, time_us: int) -> dict[str, Any] | None:
        """The last message not after a time; None where there is none yet. Nothing later than `time_us` is looked at."""
        index = int(np.searchsorted(self.times_us(scene, message), time_us, side="right")) - 1
        return self.messages(scene, message)[index] if index >= 0 else None

    def route(self, scene: str) -> Float64[np.ndarray, "P 2"]:
        """The navigation route that the driver was given, map frame; empty where it is not recorded."""
        points = np.asarray(self._messages(scene, "route"), dtype=np.float64)
        return points.reshape(-1, points.shape[-1] if points.ndim == 2 else 2)[:, :2]

    def _path(self, scene: str, message: str) -> Path:
        return self.folder / f"{scene}_{message}.json"

    def _read(self, scene: str, message: str) -> list[Any]:
        if message not in MESSAGES:
            raise DataError(f"CAN bus: unknown message {message!r}; known: {', '.join(MESSAGES)}")
        path = self._path(scene, message)
        if not path.exists():
            return []
        try:
            rows = json.loads(path.read_bytes())
        except ValueError as error:
            raise DataError(f"{path}: truncated or damaged ({error}); unpack the CAN bus expansion again") from error
        if not isinstance(rows, list):
            raise DataError(f"{path}: must be a list of messages")
        if message != "route":
            rows.sort(key=lambda row: row["utime"])
        return rows
