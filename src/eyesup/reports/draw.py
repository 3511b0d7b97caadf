"""Pictures: plans projected into camera images, and bird's-eye views. Plain Pillow and SVG, no model in sight."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from eyesup.geometry.boxes import box_corners
from eyesup.geometry.projection import NEAR_M, box_edges_3d, clip_segments, in_image, project
from eyesup.types import AgentKind, Agents, Camera, CameraRig, RoadMap, Trajectory, VehicleGeometry

PLAN_COLORS = {
    "expert": (46, 204, 113),
    "plan": (255, 140, 0),
    "other": (66, 165, 245),
    "before": (150, 150, 150),
}
RIBBON_HALF_WIDTH_M = 0.35
OVERHEAD_M = 2.5  # from above, what hangs higher is an outline


@dataclass(frozen=True)
class Path:
    """A trajectory to draw, with its legend and colour (RGB)."""

    trajectory: Trajectory
    label: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Dot:
    """A small thing to mark from above: place in the ego frame [m] and colour (CSS)."""

    x: float
    y: float
    color: str


def _ribbon(trajectory: Trajectory, half_width_m: float) -> Float[np.ndarray, "T 4"]:
    """Left and right ground edge of the path from the ego on: rows (xl, yl, xr, yr), densely sampled."""
    poses = np.vstack([np.zeros((1, 3)), trajectory.poses[trajectory.valid]])
    steps = np.arange(len(poses))
    fine = np.linspace(0, len(poses) - 1, 12 * (len(poses) - 1) + 1)
    xy = np.stack([np.interp(fine, steps, poses[:, k]) for k in range(2)], -1)
    heading = np.interp(fine, steps, np.unwrap(poses[:, 2]))
    normal = half_width_m * np.stack([-np.sin(heading), np.cos(heading)], -1)
    return np.hstack([xy + normal, xy - normal])


def overlay(
    image: UInt8[np.ndarray, "H W 3"], camera: Camera, paths: Sequence[Path], scale: int = 2
) -> UInt8[np.ndarray, "h w 3"]:
    """The camera image, `scale` times larger, with each path painted as a translucent ribbon on the ground.

    Waypoints are dots; a path that leaves the image is clipped at the camera's near plane.
    """
    height, width = image.shape[:2]
    canvas = Image.fromarray(image).resize((width * scale, height * scale), Image.Resampling.LANCZOS).convert("RGBA")
    big = camera.resized(width * scale, height * scale)
    for path in paths:
        layer = Image.new("RGBA", canvas.size)
        draw = ImageDraw.Draw(layer)
        _draw_ribbon(draw, path, big)
        canvas = Image.alpha_composite(canvas, layer)
    return np.asarray(canvas.convert("RGB"))


def _draw_ribbon(draw: ImageDraw.ImageDraw, path: Path, camera: Camera) -> None:
    edges = _ribbon(path.trajectory, RIBBON_HALF_WIDTH_M)
    zeros = np.zeros((len(edges), 1))
    left, left_depth = project(np.hstack([edges[:, :2], zeros]), camera)
    right, right_depth = project(np.hstack([edges[:, 2:], zeros]), camera)
    ok = (left_depth > NEAR_M) & (right_depth > NEAR_M)
    for i in range(len(edges) - 1):
        if ok[i] and ok[i + 1]:
            quad = [tuple(left[i]), tuple(left[i + 1]), tuple(right[i + 1]), tuple(right[i])]
            draw.polygon(quad, fill=(*path.color, 120))
    poses = path.trajectory.poses[path.trajectory.valid]
    pixels, depth = project(np.hstack([poses[:, :2], np.zeros((len(poses), 1))]), camera)
    for (u, v), seen in zip(pixels, in_image(pixels, depth, camera)):
        if seen:
            draw.ellipse((u - 3, v - 3, u + 3, v + 3), fill=(*path.color, 255), outline=(20, 20, 20, 255))


def draw_boxes(
    image: UInt8[np.ndarray, "H W 3"],
    camera: Camera,
    agents: Agents,
    step: int = 0,
    color: tuple[int, int, int] = (255, 60, 60),
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with the wire frames of the agents' 3D boxes (ego frame); edges behind the camera are cut."""
    canvas = Image.fromarray(image.copy())
    draw = ImageDraw.Draw(canvas)
    line_width = max(1, image.shape[1] // 400)
    rows = agents.valid[:, step]
    edges = box_edges_3d(
        agents.poses[rows, step], agents.sizes[rows].astype(float), agents.bottom_z[rows, step].astype(float)
    )
    segments, visible = clip_segments(edges, camera)
    for start, end in segments[visible]:
        draw.line([tuple(start), tuple(end)], fill=color, width=line_width)
    return np.asarray(canvas)


def side_by_side(images: Sequence[UInt8[np.ndarray, "H _ 3"]], gap: int = 4) -> UInt8[np.ndarray, "h w 3"]:
    """Images of one height in a row."""
    height = images[0].shape[0]
    spacer = np.full((height, gap, 3), 255, np.uint8)
    row = [part for image in images for part in (image, spacer)][:-1]
    return np.concatenate(row, axis=1)


def rig_overlay(
    images: UInt8[np.ndarray, "C H W 3"], rig: CameraRig, paths: Sequence[Path], scale: int = 2
) -> UInt8[np.ndarray, "h w 3"]:
    """All cameras of a rig beside each other with the paths drawn in."""
    return side_by_side([overlay(image, camera, paths, scale) for image, camera in zip(images, rig)])


def jpeg_data_uri(image: UInt8[np.ndarray, "H W 3"], quality: int = 85) -> str:
    """The image as a data: URI, so that a page needs no second file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


# Bird's-eye view -------------------------------------------------------------------------------------------------

KIND_FILL: Mapping[AgentKind, str] = {
    AgentKind.PEDESTRIAN: "#d6336c",
    AgentKind.CONE: "#f08c00",
    AgentKind.BARRIER: "#f08c00",
}


def bev_svg(
    paths: Sequence[Path],
    agents: Agents | None = None,
    road_map: RoadMap | None = None,
    vehicle: VehicleGeometry | None = None,
    marked: Sequence[int] = (),
    forward_m: float = 45.0,
    back_m: float = 10.0,
    side_m: float = 18.0,
    width_px: int = 260,
    dots: Sequence[Dot] = (),
) -> str:
    """A bird's-eye view in the ego frame, forward up: road, boxes at t = 0 (ids in `marked` stand out), dots, ego and paths."""
    scale = width_px / (2 * side_m)
    height_px = (forward_m + back_m) * scale

    def px(xy: np.ndarray) -> str:
        return " ".join(f"{(side_m - y) * scale:.1f},{(forward_m - x) * scale:.1f}" for x, y in xy)

    parts = [
        f'<svg class="bev" viewBox="0 0 {width_px} {height_px:.0f}" width="{width_px}" height="{height_px:.0f}" role="img">'
    ]
    parts.append('<rect width="100%" height="100%" fill="#dfe5da"/>')
    if road_map is not None:
        parts += [f'<polygon points="{px(ring)}" fill="#c2c6cc"/>' for ring in road_map.drivable]
        parts += [f'<polygon points="{px(ring)}" fill="#f1f3f5" opacity="0.8"/>' for ring in road_map.crosswalks]
        parts += [
            f'<polyline points="{px(line.points)}" fill="none" stroke="#fff" stroke-width="1"/>'
            for line in road_map.lines
        ]
    if agents is not None:
        for row in np.flatnonzero(agents.valid[:, 0]):
            size = agents.sizes[row].astype(float)
            corners = box_corners(agents.poses[row, 0], size[0], size[1])
            fill = "#e03131" if agents.ids[row] in marked else KIND_FILL.get(AgentKind(agents.kinds[row]), "#495057")
            overhead = float(agents.bottom_z[row, 0]) > OVERHEAD_M
            paint = f'fill="none" stroke="{fill}" stroke-dasharray="3 2"' if overhead else f'fill="{fill}"'
            parts.append(f'<polygon points="{px(corners)}" {paint}/>')
    if vehicle is not None:
        corners = box_corners(np.array([vehicle.rear_axle_to_center_m, 0.0, 0.0]), vehicle.length_m, vehicle.width_m)
        parts.append(f'<polygon points="{px(corners)}" fill="#1c7ed6"/>')
    for dot in dots:
        x, y = px(np.array([[dot.x, dot.y]])).split(",")
        parts.append(f'<circle cx="{x}" cy="{y}" r="3.6" fill="{dot.color}" stroke="#fff" stroke-width="1"/>')
    for path in paths:
        parts.append(_svg_path(path, px))
    return "".join([*parts, "</svg>"])


def _svg_path(path: Path, px) -> str:
    xy = np.vstack([np.zeros((1, 2)), path.trajectory.xy[path.trajectory.valid]])
    color = "#{:02x}{:02x}{:02x}".format(*path.color)
    dots = "".join(
        '<circle cx="{}" cy="{}" r="2.6" fill="{}"/>'.format(*px(point[None]).split(","), color) for point in xy[1:]
    )
    line = f'<polyline points="{px(xy)}" fill="none" stroke="{color}" stroke-width="2.4" stroke-linejoin="round"/>'
    return f"<g><title>{escape(path.label)}</title>{line}{dots}</g>"
