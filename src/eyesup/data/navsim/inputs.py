"""A NAVSIM scene as the PDM score's inputs: map around the ego, route, past, agents and lights, as the official cache has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from eyesup.data.navsim.logs import SYNTHETIC_TOKEN, Later, LogFrame, Tracks, poses_seen_from
from eyesup.data.navsim.route import plan_route
from eyesup.data.nuplan_map import NuPlanMap
from eyesup.scoring.pdm.scene import ROAD_USERS, SceneInputs
from eyesup.types import PACIFICA
from eyesup.types.errors import DataError

HUMAN_FRAMES = 8  # 4 s


@dataclass(frozen=True)
class Window:
    """The frames of one scene: history with the current one last, then the future.

    Attributes:
        frames: At 2 Hz.
        history: How many are past or present.
        later: Of a synthetic scene, what happens after its last frame.
        original_token: Of a synthetic scene, the scene that it was made from.
    """

    frames: tuple[LogFrame, ...]
    history: int
    later: Later = field(default_factory=Later)
    original_token: str | None = None

    @property
    def now(self) -> LogFrame:
        return self.frames[self.history - 1]

    @property
    def past(self) -> tuple[LogFrame, ...]:
        """Oldest first, the current frame last."""
        return self.frames[: self.history]

    @property
    def future(self) -> tuple[LogFrame, ...]:
        """Without the current frame."""
        return self.frames[self.history :]

    @property
    def is_synthetic(self) -> bool:
        return len(self.now.token) == SYNTHETIC_TOKEN


def scene_inputs(window: Window, city: NuPlanMap) -> SceneInputs:
    """What `scoring.pdm.prepare` needs.

    The human's path is given where 4 s of it are known, which they are not in synthetic scenes.

    Raises:
        DataError: No annotations, no route, no road; the message names the scene.
    """
    now, what = window.now, f"scene {window.now.token} ({window.now.log})"
    route = plan_route(city, now.pose, now.route, what)
    shift = PACIFICA.rear_axle_to_center_m
    center = now.pose[:2] + shift * np.array([np.cos(now.pose[2]), np.sin(now.pose[2])])
    polygons, ids, layers = city.polygons_around(center)
    moments = [_tracks(frame, what) for frame in (now, *window.future)]
    agents = join_tracks([*moments, *window.later.tracks])
    drawn = set(ids)
    lights = [frame.lights for frame in (now, *window.future)] + list(window.later.lights)
    asked = {lane for block in now.route if block in city.blocks for lane in city.blocks[block].lane_ids}
    human = None
    if not window.is_synthetic and len(window.future) >= HUMAN_FRAMES:
        human = poses_seen_from(window.future[:HUMAN_FRAMES], now)
    return SceneInputs(
        name=now.token,
        polygons=polygons, polygon_ids=ids, polygon_layers=layers,
        centerline=route.centerline,
        route_lane_ids=route.lane_ids,
        ego_history=np.array([[*frame.pose, *frame.velocity, *frame.acceleration] for frame in window.past]),
        ego_times_us=np.array([frame.time_us for frame in window.past], np.int64),
        agent_poses=agents.poses, agent_velocities=agents.velocities, agent_sizes=agents.sizes, agent_seen=agents.seen,
        agent_types=agents.types,
        red_lane_ids=tuple(
            tuple(sorted({lane for lane, red in frame if red and lane in drawn and lane in asked})) for frame in lights
        ),
        human=human,
        speed_limit_mps=route.start.speed_limit_mps,
    )  # fmt: skip


@dataclass(frozen=True)
class JoinedTracks:
    """Objects over F moments at 2 Hz, by track; poses where not seen are 0."""

    tokens: tuple[str, ...]
    types: tuple[str, ...]
    poses: Float64[np.ndarray, "A F 3"]
    velocities: Float64[np.ndarray, "A F 2"]
    sizes: Float64[np.ndarray, "A 2"]
    heights: Float64[np.ndarray, "A 2"]
    seen: np.ndarray


def join_tracks(moments: Sequence[Tracks]) -> JoinedTracks:
    """Follow objects by their token, in order of first sighting; size and type are those of the first sighting.

    Static objects have no velocity, whatever the file says. `heights` holds the box's height and its underside.
    """
    rows: dict[str, int] = {}
    for moment in moments:
        for token in moment.tokens:
            rows.setdefault(token, len(rows))
    count, frames = len(rows), len(moments)
    poses, velocities = np.zeros((count, frames, 3)), np.zeros((count, frames, 2))
    sizes, heights, types = np.ones((count, 2)), np.zeros((count, 2)), [""] * count
    seen = np.zeros((count, frames), bool)
    for f, moment in enumerate(moments):
        for i, token in enumerate(moment.tokens):
            row = rows[token]
            if not seen[row].any():
                types[row], sizes[row] = moment.names[i].upper(), moment.sizes[i, :2]
                heights[row] = moment.sizes[i, 2], moment.centre_z[i] - moment.sizes[i, 2] / 2
            poses[row, f], seen[row, f] = moment.poses[i], True
            velocities[row, f] = moment.velocities[i] * (types[row] in ROAD_USERS)
    return JoinedTracks(tuple(rows), tuple(types), poses, velocities, sizes, heights, seen)


def _tracks(frame: LogFrame, what: str) -> Tracks:
    if frame.tracks is None:
        raise DataError(f"{what}: frame {frame.token} has no annotations; it can be planned and submitted, not scored")
    return frame.tracks
