"""A scene from above, ego at the bottom centre, forward up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from eyesup.geometry.boxes import box_corners
from eyesup.geometry.se2 import points_to_frame
from eyesup.types import Agents, CueKind, Paint, RoadMap, Scene, SignalState, VehicleGeometry
from eyesup.world.ego_view import agents_in_ego_frame, future_trajectory, map_around

BEHIND_M = 12.0
MAP_MARGIN_M = 15.0
OVERSAMPLE = 2  # drawn this much larger and reduced: smooth edges
GROUND, ROAD, SIDEWALK, CROSSWALK = (203, 213, 192), (110, 112, 118), (190, 188, 184), (235, 235, 225)
PAINT = {
    Paint.SOLID_WHITE: (250, 250, 250), Paint.DASHED_WHITE: (215, 215, 215), Paint.SOLID_YELLOW: (240, 190, 40),
    Paint.DASHED_YELLOW: (215, 180, 80), Paint.KERB: (150, 148, 145),
}  # fmt: skip
SIGNAL = {
    SignalState.RED: (230, 30, 30), SignalState.AMBER: (250, 170, 20), SignalState.GREEN: (30, 190, 60),
    SignalState.OFF: (60, 60, 60), SignalState.STOP_SIGN: (170, 0, 40), SignalState.YIELD_SIGN: (250, 250, 250),
}  # fmt: skip
EGO, AGENT, CUE, PATH = (30, 90, 200), (50, 52, 60), (220, 50, 130), (46, 204, 113)


def draw_topdown(
    scene: Scene, step: int, size_px: int = 432, ahead_m: float = 60.0, plan: Float[np.ndarray, "P 2"] | None = None,
    beside: Mapping[tuple[int, int, int], Float[np.ndarray, "P 2"]] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:  # fmt: skip
    """A square picture of what surrounds the ego at a step: road, agents (the cue in pink), signals, driven path of 5 s.

    `plan`, in the ego frame [m], is drawn instead of the driven path; those of `beside` on top of it, each in its colour.
    """
    scale = OVERSAMPLE * size_px / (ahead_m + BEHIND_M)
    side = OVERSAMPLE * size_px

    def pixels(points: np.ndarray) -> list[tuple[float, float]]:
        return [(side / 2 - scale * y, scale * (ahead_m - x)) for x, y in points]

    canvas = Image.new("RGB", (side, side), GROUND)
    draw = ImageDraw.Draw(canvas)
    road_map = map_around(scene, step)
    for rings, colour in ((road_map.sidewalks, SIDEWALK), (road_map.drivable, ROAD), (road_map.crosswalks, CROSSWALK)):
        for ring in rings:
            draw.polygon(pixels(ring), fill=colour)
    for line in road_map.lines:
        draw.line(pixels(line.points), fill=PAINT[line.paint], width=2)
    for stop in road_map.stop_lines:
        draw.line(pixels(stop.points), fill=PAINT[Paint.SOLID_WHITE], width=5)
    if plan is None:
        future = future_trajectory(scene, step)
        plan = future.xy[future.valid]
    draw.line(pixels(np.vstack([np.zeros((1, 2)), plan])), fill=PATH, width=7, joint="curve")
    for colour, path in (beside or {}).items():
        draw.line(pixels(np.vstack([np.zeros((1, 2)), path])), fill=colour, width=4, joint="curve")
    _draw_agents(draw, pixels, scene, agents_in_ego_frame(scene, step, 0))
    for (x, y), state in zip(
        points_to_frame(scene.signals.poses[:, :2], scene.ego_poses[step]), scene.signals.states[:, step]
    ):
        ((u, v),) = pixels(np.array([[x, y]]))
        draw.ellipse([u - 7, v - 7, u + 7, v + 7], fill=SIGNAL[SignalState(int(state))], outline=(0, 0, 0))
    draw.polygon(pixels(_ego_box(scene.vehicle)), fill=EGO)
    return np.asarray(canvas.resize((size_px, size_px), Image.Resampling.LANCZOS))


def draw_map(
    road_map: RoadMap, width_px: int, path: Float[np.ndarray, "P 2"] | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """A whole map, north up, with a driven path (world frame) in red."""
    lines = np.concatenate([lane.centerline for lane in road_map.lanes])
    low, high = lines.min(axis=0) - MAP_MARGIN_M, lines.max(axis=0) + MAP_MARGIN_M
    scale = OVERSAMPLE * width_px / (high - low)[0]
    height = max(1, round(float((high - low)[1] * scale / OVERSAMPLE)))
    canvas = Image.new("RGB", (OVERSAMPLE * width_px, OVERSAMPLE * height), GROUND)
    draw = ImageDraw.Draw(canvas)

    def pixels(points: np.ndarray) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in (points - [low[0], high[1]]) * [scale, -scale]]

    for rings, colour in ((road_map.sidewalks, SIDEWALK), (road_map.drivable, ROAD), (road_map.crosswalks, CROSSWALK)):
        for ring in rings:
            draw.polygon(pixels(ring), fill=colour)
    if path is not None:
        draw.line(pixels(path), fill=SIGNAL[SignalState.RED], width=4 * OVERSAMPLE, joint="curve")
    return np.asarray(canvas.resize((width_px, height), Image.Resampling.LANCZOS))


def _draw_agents(draw: ImageDraw.ImageDraw, pixels, scene: Scene, agents: Agents) -> None:
    corners = box_corners(agents.poses[:, 0], agents.sizes[:, 0].astype(float), agents.sizes[:, 1].astype(float))
    for agent_id, corner, valid in zip(agents.ids, corners, agents.valid[:, 0]):
        if valid:
            is_cue = scene.cue.kind is CueKind.AGENT and agent_id == scene.cue.id
            draw.polygon(pixels(corner), fill=CUE if is_cue else AGENT, outline=(255, 255, 255))


def _ego_box(vehicle: VehicleGeometry) -> np.ndarray:
    centre = np.array([vehicle.rear_axle_to_center_m, 0.0, 0.0])
    return box_corners(centre, np.float64(vehicle.length_m), np.float64(vehicle.width_m))
