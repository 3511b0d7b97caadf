"""A log of Argoverse 2 as a `Scene` at 10 Hz, flat, in a local frame.

* **Frame**: the city's axes, the origin under the rear axle at the first sweep.
* **Flat**: everything keeps its x and y and is set down on z = 0; pitch, roll and height are dropped. In the data boxes stand on the
  ground (of 44,501, 98 % have their underside within 5 cm of the ground height raster), so what is lost is the slope.
* **Ego status**: from poses up to the step alone (`motion`). **Commands**: see `lanes`.
* **Agents**: ids count the tracks in the order of their uuids; velocities, which only a Truth shows, are central differences over
  +-0.2 s within the track. Lamps are not recorded.
* **Unknown**: traffic lights, stop lines, sidewalks, buildings, weather. There are none.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from eyesup.data.argoverse.lanes import CommandRule, DrivenLanes
from eyesup.data.argoverse.log import Boxes, Log, read_log
from eyesup.data.argoverse.maps import read_map
from eyesup.data.argoverse.motion import past_motion
from eyesup.data.argoverse.schema import CATEGORIES, FUSION, SWEEP_DT_S
from eyesup.types import AgentKind, Agents, Appearance, CommandSource, Cue, DataError, Props, Scene, Signals
from eyesup.world.render.people import WORKER_LOOK
from eyesup.world.scenarios.base import KEYFRAME_STEPS
from eyesup.world.simulate import FUTURE_STEPS, HISTORY_STEPS

SCENARIO = "recorded"  # what tables are split by: nobody staged anything
DIFFERENCE_STEPS = 2  # of an agent's velocity, to each side
MIN_CRUISE_MPS = 8.0  # of the expert that drives twins of a slow log


def read_scene(folder: str | Path, command: CommandRule = "ahead") -> Scene:
    """A log folder as a Scene; its keyframes have 2 s before and 5 s after them.

    Args:
        folder: With annotations, ego poses and map/, see `log`.
        command: How commands are derived, see `lanes`; ``driven`` makes every sample privileged.

    Raises:
        DataError: something is missing, damaged or too short; the message says what to do.
    """
    log = read_log(folder)
    if len(log) <= HISTORY_STEPS + FUTURE_STEPS:
        raise DataError(
            f"{folder}: {len(log)} sweeps are too few; a keyframe needs {HISTORY_STEPS} before and {FUTURE_STEPS} after it"
        )
    origin = log.poses[log.sweeps[0], :2]
    road_map = read_map(log.map_file, origin)
    poses = log.poses[log.sweeps] - np.append(origin, 0.0)
    motion = past_motion(log.times_s, log.poses, log.sweeps, FUSION.wheel_base_m)
    lanes = DrivenLanes(road_map, poses)
    route = lanes.route(len(log) - 1)
    source = CommandSource.FUTURE if command == "driven" else CommandSource.ROUTE
    return Scene(
        key=key_of(folder),
        dt_s=SWEEP_DT_S,
        ego_poses=poses,
        ego_velocities=motion.velocities,
        ego_accelerations=motion.accelerations,
        ego_yaw_rates=motion.yaw_rates,
        ego_steerings=motion.steerings,
        maneuvers=lanes.maneuvers(command),
        agents=_agents(log.boxes, len(log), origin),
        signals=Signals.empty(len(log)),
        road_map=road_map,
        props=Props.empty(),
        appearance=Appearance(),
        route=route.centerline,
        route_lane_ids=route.lane_ids,
        cue=Cue(),
        keyframes=np.arange(HISTORY_STEPS, len(log) - FUTURE_STEPS, KEYFRAME_STEPS),
        vehicle=FUSION,
        tags={
            "scenario": SCENARIO, "town": _city(log), "split": "argoverse2", "seed": 0, "twin": "", "log": log.name,
            "command_source": source.value, "cruise_mps": max(float(motion.velocities[:, 0].max()), MIN_CRUISE_MPS),
        },
    )  # fmt: skip


def key_of(folder: str | Path) -> str:
    """Key of a log's Scene: the folder's name is the log's uuid."""
    return f"argoverse2-{Path(folder).resolve().name}"


def _city(log: Log) -> str:
    """Three letters in the map's file name."""
    found = re.search(r"____([A-Z]+)_", log.map_file.name)
    return found.group(1) if found else ""


def _agents(boxes: Boxes, steps: int, origin: np.ndarray) -> Agents:
    """Every track whose class is drawn, at all steps, in the local frame."""
    rows = np.flatnonzero([CATEGORIES[name] is not None for name in boxes.categories.tolist()])
    names, first, slots = np.unique(boxes.tracks[rows].astype(str), return_index=True, return_inverse=True)
    kinds = np.array([CATEGORIES[boxes.categories[row]] for row in rows[first].tolist()], np.uint8)
    when = boxes.steps[rows]
    poses, valid = np.zeros((len(names), steps, 3)), np.zeros((len(names), steps), bool)
    poses[slots, when] = boxes.poses[rows] - np.append(origin, 0.0)
    valid[slots, when] = True
    return Agents(
        ids=np.arange(len(names)),
        kinds=kinds,
        sizes=boxes.sizes[rows[first]].astype(np.float32),
        poses=poses,
        velocities=_velocities(poses[..., :2], valid).astype(np.float32),
        valid=valid,
        looks=np.array([_look(name, kind) for name, kind in zip(names.tolist(), kinds.tolist())], np.uint32),
    )


def _look(track: str, kind: int) -> int:
    """Colour and body from the track's uuid: the same in every import. Nobody is dressed as a road worker."""
    look = zlib.crc32(track.encode())
    return look % WORKER_LOOK if kind == AgentKind.PEDESTRIAN else look


def _velocities(xy: Float64[np.ndarray, "A T 2"], valid: Bool[np.ndarray, "A T"]) -> Float64[np.ndarray, "A T 2"]:
    """Central differences between the outermost steps within `DIFFERENCE_STEPS` that the track reaches without a gap."""
    steps = valid.shape[1]
    now = np.broadcast_to(np.arange(steps), valid.shape)
    before, after = now.copy(), now.copy()
    for reach in range(1, DIFFERENCE_STEPS + 1):
        behind, ahead = np.maximum(now - reach, 0), np.minimum(now + reach, steps - 1)
        known = np.take_along_axis(valid, behind, 1) & (now - before == reach - 1)
        before = np.where(known, behind, before)
        known = np.take_along_axis(valid, ahead, 1) & (after - now == reach - 1)
        after = np.where(known, ahead, after)
    moved = np.take_along_axis(xy, after[..., None], 1) - np.take_along_axis(xy, before[..., None], 1)
    elapsed = SWEEP_DT_S * np.maximum(after - before, 1)[..., None]
    return np.where(valid[..., None], moved / elapsed, 0.0)
