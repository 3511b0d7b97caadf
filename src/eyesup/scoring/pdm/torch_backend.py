"""The scorer's second backend: the same stages as whole-batch PyTorch operations, on any device, in float32 by default.

Coordinates are those of the ego at t = 0, where float32 resolves some micrometres. Differences of waypoints are taken in
float64 beforehand: near standstill the curvature is a ratio of tiny numbers. Every function mirrors one of the compiled
stages (simulate, areas, contacts, progress, comfort), which hold the explanations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from eyesup.dynamics.bicycle import ACCELERATION_LAG_S, MAX_STEERING_RAD, STEERING_LAG_S
from eyesup.dynamics.lqr import (
    ACCELERATION_WEIGHT,
    CURVATURE_RATE_RIDGE,
    CURVATURE_START_RIDGE,
    HEADING_WEIGHT,
    HORIZON_STEPS,
    LATERAL_WEIGHT,
    SPEED_ERROR_WEIGHT,
    STEERING_RATE_WEIGHT,
    STOPPING_GAIN,
    STOPPING_SPEED_MPS,
)
from eyesup.geometry.se2 import wrap_angle
from eyesup.scoring.pdm.areas import AXLE_TO_CENTER, HALF_LENGTH, HALF_WIDTH
from eyesup.scoring.pdm.comfort import (
    COMFORT_BOUNDS,
    TWO_FRAME_LIMITS,
    ComfortFilters,
    Filter,
    comfort_filters,
    two_frame_filters,
)
from eyesup.scoring.pdm.contacts import (
    AHEAD_COS,
    BEHIND_COS,
    IS_MOVING,
    IS_ROAD_USER,
    NEVER,
    SAMPLES_PER_FRAME,
    STATIC_OBJECT_SCORE,
    STOPPED_EGO_MPS,
    STOPPED_TTC_MPS,
    TTC_STEPS,
    AgentTracks,
)
from eyesup.scoring.pdm.cpu import Judged
from eyesup.scoring.pdm.grid import DRIVABLE, INTERSECTION, LANE, ROUTE
from eyesup.scoring.pdm.progress import (
    OFF_LANE_M,
    OFF_LANE_SAMPLES,
    WRONG_WAY_HALF_M,
    WRONG_WAY_SAMPLES,
    WRONG_WAY_ZERO_M,
)
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.scoring.pdm.simulate import (
    AX,
    AY,
    HEADING,
    VX,
    VY,
    YAW_ACCELERATION,
    YAW_RATE,
    resample,
    resampling,
    velocity_operator,
)
from eyesup.scoring.pdm.version import DAC, DDC, DT_S, EC, LK, NC, SAMPLES, TLC, TTC, Version
from eyesup.types import PACIFICA

CHUNK = 256  # plans of one scene at a time: bounds the memory of the pairwise tests

_HORIZON_S = HORIZON_STEPS * DT_S
_SPEED_GAIN = SPEED_ERROR_WEIGHT * _HORIZON_S / (SPEED_ERROR_WEIGHT * _HORIZON_S**2 + ACCELERATION_WEIGHT)


@dataclass(frozen=True)
class Place:
    """Where and how precisely to compute."""

    device: torch.device
    dtype: torch.dtype

    def real(self, values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=self.dtype, device=self.device)

    def whole(self, values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64), device=self.device)


def judge_plans(
    plans: np.ndarray,
    dt_s: float,
    scenes: list[PreparedScene],
    agents: list[AgentTracks],
    version: Version,
    previous: np.ndarray | None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Judged:
    """As `cpu.judge_plans`, on a device."""
    place = Place(torch.device(device), dtype)
    judged = Judged.empty(plans.shape[:2], version)
    with torch.no_grad():
        states = _simulate(plans, dt_s, np.stack([s.ego.initial for s in scenes]), place)
        earlier = None
        if previous is not None and version.two_frame:
            earlier = _simulate(previous, dt_s, np.stack([s.ego.previous for s in scenes]), place)
        for s, scene in enumerate(scenes):
            for first in range(0, plans.shape[1], CHUNK):
                rows = slice(first, first + CHUNK)
                into = judged.part(s, rows)
                _judge(states[s, rows], scene, agents[s], version, place, into)
                if earlier is not None and scene.ego.frame_gap:
                    before = earlier[s] if earlier.shape[1] == 1 else earlier[s, rows]
                    _compare(states[s, rows], before, scene.ego.frame_gap, version, place, into)
    return judged


def _simulate(plans: np.ndarray, dt_s: float, initial: np.ndarray, place: Place) -> Float[Tensor, "S K 41 11"]:
    """States of plans (S, K, T, 3); `initial` (S, 4) is the ego of each scene."""
    count, each = plans.shape[:2]
    poses = np.empty((count * each, SAMPLES, 3))
    resample(plans.reshape(count * each, *plans.shape[2:]), *resampling(plans.shape[2], dt_s), poses)
    cos, sin = np.cos(poses[:, :-1, 2]), np.sin(poses[:, :-1, 2])
    steps = np.diff(poses[..., :2], axis=1)
    advance = place.real(steps[..., 0] * cos + steps[..., 1] * sin)
    turn = place.real(wrap_angle(np.diff(poses[..., 2], axis=1)))
    velocity = advance @ place.real(velocity_operator())
    curvature = _fit_curvature(velocity, turn)
    start = place.real(np.repeat(initial, each, axis=0))
    states = _drive(place.real(poses), start, velocity, curvature)
    return states.reshape(count, each, SAMPLES, 11)


def _fit_curvature(velocity: Float[Tensor, "N 40"], turn: Float[Tensor, "N 40"]) -> Float[Tensor, "N 40"]:
    coupling = CURVATURE_RATE_RIDGE / DT_S**2
    step = velocity * DT_S
    pivot, carried = list((step * step).unbind(1)), list((step * turn).unbind(1))
    pivot[0] = pivot[0] + CURVATURE_START_RIDGE
    for i in range(1, len(pivot)):
        share = coupling / (coupling + pivot[i - 1])
        pivot[i] = pivot[i] + pivot[i - 1] * share
        carried[i] = carried[i] + carried[i - 1] * share
    curvature = carried
    curvature[-1] = carried[-1] / pivot[-1]
    for i in range(len(pivot) - 2, -1, -1):
        curvature[i] = (carried[i] + coupling * curvature[i + 1]) / (coupling + pivot[i])
    return torch.stack(curvature, dim=1)


def _drive(
    poses: Float[Tensor, "N 41 3"],
    initial: Float[Tensor, "N 4"],
    velocity: Float[Tensor, "N 40"],
    curvature: Float[Tensor, "N 40"],
) -> Float[Tensor, "N 41 11"]:
    count, steps = velocity.shape
    k = torch.arange(HORIZON_STEPS, device=poses.device)
    i = torch.arange(steps, device=poses.device)[:, None]
    windows = curvature[:, torch.minimum(i + k, torch.clamp(i + HORIZON_STEPS, max=steps - 1))]  # (N, 40, 10)
    cos, sin = poses[..., 2].cos(), poses[..., 2].sin()
    zero = torch.zeros_like(initial[:, 0])
    x, y, heading, vx, ax, steering, yaw_rate = zero, zero, zero, initial[:, 0], initial[:, 2], zero, zero
    rows = [torch.stack([zero, zero, zero, *initial.unbind(1), zero, zero, zero, zero], dim=1)]
    later = k * DT_S
    for step in range(steps):
        last = min(step + HORIZON_STEPS, steps - 1)
        error = vx - velocity[:, last]
        accel = -_SPEED_GAIN * error
        dx, dy = x - poses[:, step, 0], y - poses[:, step, 1]
        lateral = -dx * sin[:, step] + dy * cos[:, step]
        off = _wrap(heading - poses[:, step, 2])
        rate = _steering_rate(
            lateral, off, steering, (vx[:, None] + accel[:, None] * later) * DT_S, windows[:, step], later
        )
        stopping = (velocity[:, last] <= STOPPING_SPEED_MPS) & (vx <= STOPPING_SPEED_MPS)
        accel = torch.where(stopping, -STOPPING_GAIN * error, accel)
        rate = torch.where(stopping, zero, rate) * (DT_S / (DT_S + STEERING_LAG_S))
        ax = ax + DT_S / (DT_S + ACCELERATION_LAG_S) * (accel - ax)
        x, y = x + vx * heading.cos() * DT_S, y + vx * heading.sin() * DT_S
        heading = _wrap(heading + vx * steering.tan() / PACIFICA.wheel_base_m * DT_S)
        vx = vx + ax * DT_S
        steering = (steering + rate * DT_S).clamp(-MAX_STEERING_RAD, MAX_STEERING_RAD)
        before, yaw_rate = yaw_rate, vx * steering.tan() / PACIFICA.wheel_base_m
        rows.append(
            torch.stack(
                [x, y, heading, vx, zero, ax, zero, steering, rate, yaw_rate, (yaw_rate - before) / DT_S], dim=1
            )
        )
    return torch.stack(rows, dim=1).reshape(count, steps + 1, 11)


def _steering_rate(
    lateral: Tensor, heading: Tensor, steering: Tensor, advance: Tensor, curvature: Tensor, later: Tensor
) -> Tensor:
    """As `lqr._steering_rate`: metres per step `advance` (N, 10), times `later` (10,) of the steps."""
    turned = (advance * (steering[:, None] / PACIFICA.wheel_base_m - curvature)).cumsum(dim=1)
    heading_before = heading[:, None] + torch.nn.functional.pad(turned[:, :-1], (1, 0))
    free_heading = _wrap(heading + turned[:, -1])
    free_lateral = lateral + (advance * heading_before).sum(dim=1)
    responded = (advance * later).cumsum(dim=1) / PACIFICA.wheel_base_m
    heading_response = responded[:, -1]
    lateral_response = (advance[:, 1:] * responded[:, :-1]).sum(dim=1)
    pull = LATERAL_WEIGHT * lateral_response * free_lateral + HEADING_WEIGHT * heading_response * free_heading
    stiffness = LATERAL_WEIGHT * lateral_response**2 + HEADING_WEIGHT * heading_response**2
    return -pull / (stiffness + STEERING_RATE_WEIGHT)


def _wrap(angle: Tensor) -> Tensor:
    turned = angle - 2 * torch.pi * torch.floor((angle + torch.pi) / (2 * torch.pi))
    return torch.where((angle >= -torch.pi) & (angle < torch.pi), angle, turned)


@dataclass(frozen=True)
class Areas:
    """What the map says, each (K, 41)."""

    beside: Bool[Tensor, "K T"]  # on several lanes, or off the road
    off_road: Bool[Tensor, "K T"]
    oncoming: Bool[Tensor, "K T"]
    center_in_junction: Bool[Tensor, "K T"]
    axle_in_junction: Bool[Tensor, "K T"]


def _judge(
    states: Float[Tensor, "K 41 11"],
    scene: PreparedScene,
    agents: AgentTracks,
    version: Version,
    place: Place,
    into: Judged,
) -> None:
    heading = states[..., HEADING]
    direction = torch.stack([heading.cos(), heading.sin()], dim=-1)
    centers = states[..., :2] + AXLE_TO_CENTER * direction
    areas = _locate(states, centers, direction, scene, place)
    leaves = areas.off_road.any(dim=1)
    _set(into.values[DAC], ~leaves)
    _set(into.samples["off_road"], torch.where(leaves, areas.off_road.int().argmax(dim=1), NEVER))
    if len(agents.kind):
        _contacts(states, centers, direction, areas, agents, version.ttc_last_sample, place, into)
    _follow(centers, areas, scene, version, place, into)
    if TLC in version.factors and len(scene.red_polygons):
        _red_lights(centers, direction, scene, place, into)
    past = scene.ego.driven if version.comfort_history else scene.ego.driven[:0]
    if len(past) or not version.comfort_history:
        _comfort(states, past, version, place, into)


def _set(target: np.ndarray, values: Tensor) -> None:
    target[...] = values.cpu().numpy()


def _expand(start: Int[Tensor, "N"], count: Int[Tensor, "N"]) -> tuple[Int[Tensor, "M"], Int[Tensor, "M"]]:
    """Owners and items of ranges: the items start ... start + count - 1 of each owner, one after the other."""
    owner = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    offset = torch.arange(len(owner), device=count.device) - (count.cumsum(0) - count)[owner]
    return owner, start[owner] + offset


def _containing(
    points: Float[Tensor, "N 2"], scene: PreparedScene, place: Place
) -> tuple[Int[Tensor, "M"], Int[Tensor, "M"]]:
    """Pairs (point, polygon) for every polygon that strictly contains a point."""
    grid = scene.grid
    cell = torch.floor((points - place.real(grid.frame[:2])) / grid.frame[2]).long()
    known = (cell >= 0).all(dim=1) & (cell[:, 0] < int(grid.shape[0])) & (cell[:, 1] < int(grid.shape[1]))
    flat = torch.where(known, cell[:, 0] * int(grid.shape[1]) + cell[:, 1], 0)
    start = place.whole(grid.cell_start)
    point, entry = _expand(start[flat], torch.where(known, start[flat + 1] - start[flat], 0))
    edge_count = place.whole(grid.entry_count)[entry]
    pair, slot = _expand(place.whole(grid.entry_edges)[entry], edge_count.abs())
    edge = place.whole(grid.strip_edges)[slot]
    along_x = edge_count[pair] > 0
    x, y = place.real(grid.x), place.real(grid.y)
    p, q = points[point[pair]].unbind(1)
    p, q = torch.where(along_x, p, q), torch.where(along_x, q, p)
    a0, a1 = (torch.where(along_x, x[e], y[e]) for e in (edge, edge + 1))
    b0, b1 = (torch.where(along_x, y[e], x[e]) for e in (edge, edge + 1))
    side = (a1 - a0) * (q - b0) - (b1 - b0) * (p - a0)
    straddles = (a0 <= p) != (a1 <= p)
    crosses = straddles & ((side < 0) == (a1 > a0))
    parallel = (a1 == p) & (torch.minimum(b0, b1) <= q) & (q <= torch.maximum(b0, b1))
    touches = torch.where(straddles, side == 0, (a0 == p) & ((b0 == q) | parallel))
    crossings = torch.zeros(len(entry), dtype=torch.int64, device=place.device).index_add_(0, pair, crosses.long())
    touching = torch.zeros_like(crossings).index_add_(0, pair, touches.long())
    inside = (edge_count == 0) | ((crossings % 2 == 1) & (touching == 0))
    return point[inside], place.whole(grid.entry_polygon)[entry[inside]]


def _locate(states: Tensor, centers: Tensor, direction: Tensor, scene: PreparedScene, place: Place) -> Areas:
    left = torch.stack([-direction[..., 1], direction[..., 0]], dim=-1)
    signs = ((1, 1), (-1, 1), (-1, -1), (1, -1))
    corners = [centers + a * HALF_LENGTH * direction + b * HALF_WIDTH * left for a, b in signs]
    points = torch.stack([*corners, centers, states[..., :2]], dim=2)  # (K, T, 6, 2)
    plans, samples = states.shape[:2]
    point, polygon = _containing(points.reshape(-1, 2), scene, place)
    layer = place.whole(scene.grid.layers)[polygon]

    def within(bit: int) -> Tensor:
        found = torch.zeros(plans * samples * 6, dtype=torch.bool, device=place.device)
        found[point[(layer & bit) != 0]] = True
        return found.reshape(plans, samples, 6)

    drivable, route, junction = within(DRIVABLE), within(ROUTE), within(INTERSECTION)
    off_road = ~drivable[..., :4].all(dim=2)
    is_corner = ((layer & LANE) != 0) & (point % 6 < 4)
    polygons = len(scene.grid.layers)
    held = torch.zeros(plans * samples * polygons, dtype=torch.int32, device=place.device)
    held.index_add_(
        0, (point // 6 * polygons + polygon)[is_corner], torch.ones_like(point[is_corner], dtype=torch.int32)
    )
    held = held.reshape(plans, samples, polygons)
    several = ((held > 0).sum(dim=2) > 1) & ~(held == 4).any(dim=2)
    return Areas(several | off_road, off_road, ~route[..., 4], junction[..., 4], junction[..., 5])


def _overlap(
    offset: Tensor, direction: Tensor, half_length: float, half_width: float, other: Tensor, extent: Tensor
) -> Tensor:
    """As `contacts._overlap`: offsets between centres, directions of both boxes, half extents of the second."""
    cos = (direction * other).sum(-1).abs()
    sin = (direction[..., 0] * other[..., 1] - direction[..., 1] * other[..., 0]).abs()
    length, width = extent[..., 0], extent[..., 1]

    def along(axis: Tensor) -> Tensor:
        return (offset * axis).sum(-1).abs()

    def across(axis: Tensor) -> Tensor:
        return (offset[..., 1] * axis[..., 0] - offset[..., 0] * axis[..., 1]).abs()

    return (
        (along(direction) <= half_length + length * cos + width * sin)
        & (across(direction) <= half_width + length * sin + width * cos)
        & (along(other) <= length + half_length * cos + half_width * sin)
        & (across(other) <= width + half_length * sin + half_width * cos)
    )


def _contacts(
    states: Tensor,
    centers: Tensor,
    direction: Tensor,
    areas: Areas,
    agents: AgentTracks,
    ttc_last: int,
    place: Place,
    into: Judged,
) -> None:
    boxes, extent = place.real(agents.boxes), place.real(agents.extent)
    kind, present = place.whole(agents.kind), place.whole(agents.present)
    times = torch.arange(boxes.shape[1], device=place.device)
    there = (times[:, None] >= present[:, 0]) & (times[:, None] <= present[:, 1])  # (T, A)
    where, facing = boxes[..., :2].transpose(0, 1), boxes[..., 2:].transpose(0, 1)  # (T, A, 2)
    speed = torch.hypot(states[..., VX], states[..., VY])
    road_user = (kind & IS_ROAD_USER) != 0
    plans, samples = states.shape[:2]
    rows, columns = torch.arange(plans, device=place.device)[:, None], torch.arange(len(kind), device=place.device)

    offset = where[None, :samples] - centers[:, :, None]  # (K, T, A, 2)
    hit = (
        _overlap(offset, direction[:, :, None], HALF_LENGTH, HALF_WIDTH, facing[None, :samples], extent)
        & there[:samples]
    )
    any_hit, first = hit.any(dim=1), hit.int().argmax(dim=1)  # (K, A)
    ahead = direction[rows, first]
    front = _overlap(
        offset[rows, first, columns] - HALF_LENGTH * ahead, ahead, 0.0, HALF_WIDTH, facing[first, columns], extent
    )
    _, behind = _bearing(states[rows, first, :2], ahead, where[first, columns])
    still = (kind & (IS_ROAD_USER | IS_MOVING)) != IS_ROAD_USER | IS_MOVING
    fault = any_hit & (speed[rows, first] > STOPPED_EGO_MPS) & (still | (~behind & (front | areas.beside[rows, first])))
    cost = torch.where(fault, torch.where(road_user, 0.0, STATIC_OBJECT_SCORE), 1.0)
    _set(into.values[NC], cost.amin(dim=1))
    _set(into.samples["collision"], _earliest(fault, first))

    later = torch.tensor(TTC_STEPS, device=place.device)
    start = torch.arange(ttc_last + 1, device=place.device)
    reached = (start[:, None] + later).reshape(-1)  # (i, k) flattened, i first
    step = torch.repeat_interleave(start, len(TTC_STEPS))
    ahead_s = (later * DT_S).repeat(len(start))
    moved = centers[:, step] + (speed[:, step] * ahead_s)[..., None] * direction[:, step]
    hit = _overlap(
        where[None, reached] - moved[:, :, None], direction[:, step][:, :, None], HALF_LENGTH, HALF_WIDTH, facing[None, reached], extent
    )  # fmt: skip
    hit &= there[reached] & (speed[:, step] >= STOPPED_TTC_MPS)[..., None]
    any_hit, first = hit.any(dim=1), hit.int().argmax(dim=1)
    i = step[first]
    in_front, behind = _bearing(states[rows, i, :2], direction[rows, i], where[reached[first], columns])
    near = any_hit & (in_front | ((areas.beside | areas.axle_in_junction)[rows, i] & ~behind))
    _set(into.values[TTC], ~near.any(dim=1))
    _set(into.samples["ttc"], _earliest(near, i))


def _bearing(axle: Tensor, direction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a point lies within 30 degrees of the heading, and whether beyond 150 degrees."""
    to = target - axle
    along, distance = (to * direction).sum(-1), to.norm(dim=-1)
    return along > AHEAD_COS * distance, along < BEHIND_COS * distance


def _earliest(found: Bool[Tensor, "K A"], sample: Int[Tensor, "K A"]) -> Int[Tensor, "K"]:
    first = torch.where(found, sample, SAMPLES).amin(dim=1)
    return torch.where(first < SAMPLES, first, NEVER)


def _follow(centers: Tensor, areas: Areas, scene: PreparedScene, version: Version, place: Place, into: Judged) -> None:
    segments = place.real(scene.centerline.segments)
    start, direction, length, arc = segments[:, :2], segments[:, 2:4], segments[:, 4], segments[:, 5]
    offset = centers[:, :, None] - start  # (K, T, N, 2)
    along = (offset * direction).sum(-1).clamp(min=0).minimum(length)
    squared = (offset - along[..., None] * direction).square().sum(-1)
    nearest, best = squared.min(dim=2)
    ends = [arc[best[:, t]] + along[:, t].gather(1, best[:, t, None])[:, 0] for t in (0, -1)]
    _set(into.progress_m, (ends[1] - ends[0]).clamp(min=0))

    wrong = areas.oncoming & ~areas.center_in_junction if version.forgive_in_intersections else areas.oncoming
    steps = (centers[:, 1:] - centers[:, :-1]).norm(dim=-1) * wrong[:, 1:]
    padded = torch.nn.functional.pad(steps, (WRONG_WAY_SAMPLES, 0))
    most = padded.unfold(1, WRONG_WAY_SAMPLES + 1, 1).sum(dim=2).amax(dim=1)
    _set(into.wrong_way_m, most)
    _set(into.values[DDC], torch.where(most < WRONG_WAY_HALF_M, 1.0, torch.where(most < WRONG_WAY_ZERO_M, 0.5, 0.0)))

    away = nearest > OFF_LANE_M**2
    off, longest = torch.zeros_like(best[:, 0]), torch.zeros_like(best[:, 0])
    for t in range(away.shape[1]):
        off = torch.where(areas.center_in_junction[:, t], off, torch.where(away[:, t], off + 1, 0))
        longest = torch.maximum(longest, off)
    _set(into.values[LK], longest < OFF_LANE_SAMPLES)


def _red_lights(centers: Tensor, direction: Tensor, scene: PreparedScene, place: Place, into: Judged) -> None:
    grid, found = scene.grid, torch.zeros(centers.shape[:2], dtype=torch.bool, device=place.device)
    frame = np.minimum(np.arange(centers.shape[1]) // SAMPLES_PER_FRAME, scene.red_frames.shape[1] - 1)
    for polygon, frames in zip(scene.red_polygons, scene.red_frames):
        edges = slice(int(grid.ring_start[polygon]), int(grid.ring_start[polygon + 1]))
        ring = torch.stack([place.real(grid.x[edges]), place.real(grid.y[edges])], dim=1)
        offset = ring - centers[:, :, None]
        x = (offset * direction[:, :, None]).sum(-1)  # in the frame of the box
        y = offset[..., 1] * direction[:, :, None, 0] - offset[..., 0] * direction[:, :, None, 1]
        x0, x1, y0, y1 = x[..., :-1], x[..., 1:], y[..., :-1], y[..., 1:]
        dx, dy = x1 - x0, y1 - y0
        meets = (torch.minimum(x0, x1) <= HALF_LENGTH) & (torch.maximum(x0, x1) >= -HALF_LENGTH)
        meets &= (torch.minimum(y0, y1) <= HALF_WIDTH) & (torch.maximum(y0, y1) >= -HALF_WIDTH)
        meets &= (x0 * dy - y0 * dx).abs() <= HALF_LENGTH * dy.abs() + HALF_WIDTH * dx.abs()
        straddles = (x0 <= 0) != (x1 <= 0)
        crosses = straddles & (y0 - x0 * dy / torch.where(straddles, dx, 1.0) > 0)
        touching = meets.any(dim=2) | (crosses.sum(dim=2) % 2 == 1)
        found |= touching & torch.as_tensor(frames[frame], device=place.device)
    red = found.any(dim=1)
    _set(into.values[TLC], ~red)
    _set(into.samples["red_light"], torch.where(red, found.int().argmax(dim=1), NEVER))


def _matrix(band: Filter, place: Place) -> Float[Tensor, "N N"]:
    """The filter as a dense matrix, to be multiplied from the right."""
    samples, window = band.weights.shape
    dense = np.zeros((samples, samples))
    dense[np.arange(samples)[:, None], band.start[:, None] + np.arange(window)] = band.weights
    return place.real(dense.T)


def _unwrap(heading: Tensor) -> Tensor:
    turns = torch.round(heading.diff(dim=1) / (2 * torch.pi)).cumsum(dim=1)
    return torch.cat([heading[:, :1], heading[:, 1:] - 2 * torch.pi * turns], dim=1)


def _comfort(states: Tensor, past: np.ndarray, version: Version, place: Place, into: Judged) -> None:
    along = states[..., AX]
    if version.comfort_at_center:
        along = along + AXLE_TO_CENTER * (states[..., YAW_RATE].square() + states[..., YAW_ACCELERATION])
    signals = [along, states[..., AY], torch.hypot(states[..., AX], states[..., AY]), states[..., HEADING]]
    if len(past):
        before = place.real(past).T[:, None].expand(4, len(states), len(past))
        signals = [torch.cat([old, new], dim=1) for old, new in zip(before, signals)]
    along, across, total, heading = signals
    filters = comfort_filters(along.shape[1], version.comfort_windows)
    acceleration, inner, jerk, yaw_rate, yaw_acceleration = (_matrix(band, place) for band in filters)
    heading = _unwrap(heading)
    smooth = (
        along @ acceleration,
        across @ acceleration,
        total @ inner @ jerk,
        along @ inner @ jerk,
        heading @ yaw_acceleration,
        heading @ yaw_rate,
    )
    flags = [
        ((low < signal) & (signal < high)).all(dim=1) for signal, (low, high) in zip(smooth, COMFORT_BOUNDS.tolist())
    ]
    _set(into.comfort, torch.stack(flags, dim=1))
    _set(into.values[version.comfort], torch.stack(flags, dim=1).all(dim=1))


def _compare(states: Tensor, before: Tensor, gap: int, version: Version, place: Place, into: Judged) -> None:
    samples = states.shape[1] - gap
    filters = two_frame_filters(samples, version.comfort_windows)
    now, then = _motion(states[:, :samples], filters, place), _motion(before[:, gap:], filters, place)
    rms = (now - then).square().mean(dim=2).sqrt()
    _set(into.differences, rms)
    _set(into.values[EC], (rms <= place.real(TWO_FRAME_LIMITS)).all(dim=1))


def _motion(states: Tensor, filters: ComfortFilters, place: Place) -> Float[Tensor, "K 4 N"]:
    total = torch.hypot(states[..., AX], states[..., AY]) @ _matrix(filters.acceleration, place)
    heading = _unwrap(states[..., HEADING])
    return torch.stack(
        [
            total,
            total @ _matrix(filters.jerk, place),
            heading @ _matrix(filters.yaw_rate, place),
            heading @ _matrix(filters.yaw_acceleration, place),
        ],
        dim=1,
    )
