"""SUMO road networks: run SUMO's network tools and read a net file as a `RoadMap` with its traffic signals.

World coordinates are the net's coordinates plus an offset (`NetContent.offset`): ``world_xy = sumo_xy + offset``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import sumo
import sumolib
from jaxtyping import Float64
from shapely.geometry import LineString, Polygon

from eyesup.types.errors import EyesUpError
from eyesup.types.road_map import Lane, Paint, RoadLine, RoadMap, StopLine
from eyesup.types.scene import SignalState
from eyesup.world.rings import polygons, simple_rings

ROUNDING_M = 0.1  # gaps and slivers where SUMO's lanes, walkways and junctions meet
SIMPLIFY_M = 0.02
CORNER_RADIUS_M = 6.0
ISLAND_M2 = 400.0  # what paths enclose in a junction is smaller, a block larger
GRID_M = 1e-3
EDGE_LINE_INSET_M = 0.15  # centre of the edge line inside the lane's border
SIGNAL_Z_M = 4.5
SIGNAL_OVERHEAD_Z_M = 5.5  # clear of what passes below
# Where a head may stand, measured from the stop point. 9 m ahead it is 15 deg above a camera that is 1.5 m high and
# 2 m before the stop line: inside a vertical field of view of 40 deg.
SIGNAL_AHEAD_M = (9.0, 45.0)
SIGNAL_KERB_GAPS_M = (1.0, 2.0, 3.0, 4.0)  # right of the approach's carriageway
SIGNAL_OFF_ROAD_M = (0.4, 3.0)  # from the drivable area: not on it, and not among the buildings
SIGNAL_MAX_SIDEWAYS = 0.5  # tangent of the angle from the leftmost lane's driver: well inside a front camera
SIGNAL_OVERHEAD_M = (12.0, 20.0)  # ahead, where no place beside the road is left
DRIVER_BEHIND_M = 2.0
SIGN_Z_M = 2.3
# Where a sign may stand, nearest first: ahead of the stop line [m], right of the approach's carriageway [m].
SIGN_PLACES_M = tuple((ahead, gap) for gap in (0.7, 1.0, 1.5, 2.0, 3.0) for ahead in (0.5, 0.0, -0.5, -1.0, -2.0))
SIGN_OFF_ROAD_M = 0.35
SIGN_OF_LINK = {"s": SignalState.STOP_SIGN, "m": SignalState.YIELD_SIGN}  # SUMO's letters of minor links

Ring = Float64[np.ndarray, "_ 2"]


@dataclass(frozen=True)
class SignalHead:
    """A traffic signal, or a stop or yield sign, as the approaching driver sees it, world frame.

    Attributes:
        id: Unique in the town, from 0.
        pose: x, y, z [m] of the head's centre (beside the road, or over it where z > 5 m) and the heading [rad] of the
            direction it faces, towards the traffic.
        tls_id: Id of SUMO's traffic light program; empty for a sign.
        link_indices: Positions of the controlled links in the program's state string; all show the same colour.
        lane_ids: Incoming lanes that it controls.
        stop_point: Where the middle of the approach's lanes meets the stop line.
        sign: What a sign always shows; OFF where this is a traffic light.
    """

    id: int
    pose: tuple[float, float, float, float]
    tls_id: str
    link_indices: tuple[int, ...]
    lane_ids: tuple[str, ...]
    stop_point: tuple[float, float]
    sign: SignalState = SignalState.OFF


@dataclass(frozen=True)
class NetContent:
    """A net file read: map and signals in world coordinates, and ``world = sumo + offset``."""

    road_map: RoadMap
    signals: tuple[SignalHead, ...]
    offset: tuple[float, float]


def run_sumo_tool(tool: str, arguments: Sequence[str]) -> None:
    """Run `netgenerate` or `netconvert` of the `eclipse-sumo` wheel, silently.

    Raises:
        EyesUpError: The tool failed; the message carries what it printed.
    """
    command = [str(Path(sumo.SUMO_HOME) / "bin" / tool), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={"SUMO_HOME": sumo.SUMO_HOME}, check=False)
    if done.returncode != 0:
        raise EyesUpError(f"{tool} ended with {done.returncode}: {done.stderr.strip()}; command: {' '.join(command)}")


def read_net(net_file: Path, offset: tuple[float, float] | None = None, signs: bool = False) -> NetContent:
    """Read a net file; without `offset` the middle of the net's bounding box (whole metres) becomes the origin.

    With `signs`, approaches that must stop or give way without a signal get a sign after the signals.
    """
    net = sumolib.net.readNet(str(net_file), withInternal=True, withPrograms=True, withPedestrianConnections=True)
    if offset is None:
        (west, south), (east, north) = net.getBBoxXY()
        offset = (-float(round((west + east) / 2)), -float(round((south + north) / 2)))
    shift = np.array(offset)
    driving = [lane for edge in _edges(net, "", "internal") for lane in edge.getLanes() if lane.allows("passenger")]
    junctions, walkways = _junctions(net, shift), _walkways(net, shift)
    carriageway = _carriageway(driving, junctions, walkways, shift)
    kerbed = not walkways.is_empty
    if kerbed:  # outlines of walkways have many needless vertices; a bare road stays exact
        carriageway = carriageway.simplify(SIMPLIFY_M)
    paved = _union([walkways, junctions]) if kerbed else walkways
    sidewalks = _opened(shapely.difference(paved, carriageway, grid_size=GRID_M))
    road_map = RoadMap(
        lanes=tuple(_lane(lane, shift) for lane in driving),
        lines=tuple(_painted_lines(net, shift, kerbed=kerbed)) + (_kerbs(carriageway) if kerbed else ()),
        crosswalks=tuple(_crosswalks(net, shift)),
        stop_lines=tuple(_stop_lines(net, shift)),
        drivable=simple_rings(carriageway),
        sidewalks=simple_rings(sidewalks),
    )
    heads = _signal_heads(net, carriageway, shift)
    if signs:
        heads += _signs(net, carriageway, shift, len(heads))
    return NetContent(road_map, heads, offset)


def _edges(net: Any, *functions: str) -> Iterator[Any]:
    return (edge for edge in net.getEdges(withInternal=True) if edge.getFunction() in functions)


def _driving_lanes(edge: Any) -> list[Any]:
    """Lanes for cars, from right to left."""
    return [lane for lane in edge.getLanes() if lane.allows("passenger")]


def _line(lane: Any, shift: np.ndarray) -> np.ndarray:
    return np.array(lane.getShape(), np.float64)[:, :2] + shift


def _offset_line(line: np.ndarray, left_m: float) -> np.ndarray:
    """The line moved sideways, to the left where `left_m` > 0; a vertex moves along the mitre of its two segments."""
    steps = np.diff(line, axis=0)
    tangents = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    normals = np.stack([-tangents[:, 1], tangents[:, 0]], -1)
    before, after = np.concatenate([normals[:1], normals]), np.concatenate([normals, normals[-1:]])
    mitre = (before + after) / np.maximum(1 + (before * after).sum(-1, keepdims=True), 0.5)
    return line + left_m * mitre


def _end_direction(line: np.ndarray) -> np.ndarray:
    step = line[-1] - line[-2]
    return step / np.linalg.norm(step)


# --- lanes and paint ---------------------------------------------------------------------------------------------


def _lane(lane: Any, shift: np.ndarray) -> Lane:
    line = _line(lane, shift)
    distinct = np.concatenate([[True], np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-6])
    if distinct.sum() < 2:  # a connection shorter than the file's precision still has a direction
        line, distinct = np.stack([line[0], line[0] + 1e-3]), np.ones(2, bool)
    lanes = _driving_lanes(lane.getEdge())
    place = lanes.index(lane)
    internal = _is_internal(lane)
    successors = dict.fromkeys(
        connection.getViaLaneID() or connection.getToLane().getID() for connection in lane.getOutgoing()
    )
    return Lane(
        id=lane.getID(),
        centerline=line[distinct],
        width_m=float(lane.getWidth()),
        speed_limit_mps=float(lane.getSpeed()),
        successors=tuple(successors),
        left=None if internal or place + 1 == len(lanes) else lanes[place + 1].getID(),
        right=None if internal or place == 0 else lanes[place - 1].getID(),
        is_junction=internal,
    )


def _opposite(net: Any, edge: Any) -> Any | None:
    """The edge of the other direction on the same road."""
    backward = sorted(
        (other for other in edge.getToNode().getOutgoing() if other.getToNode() is edge.getFromNode()),
        key=lambda other: (other.getID().lstrip("-") != edge.getID().lstrip("-"), other.getID()),
    )
    return backward[0] if backward else None


def _painted_lines(net: Any, shift: np.ndarray, kerbed: bool) -> Iterator[RoadLine]:
    """Lines of every edge between its two junctions. With kerbs, roads of one lane a side have no edge lines."""
    for edge in _edges(net, ""):
        lanes = _driving_lanes(edge)
        if not lanes:
            continue
        for right in lanes[:-1]:
            yield RoadLine(_offset_line(_line(right, shift), right.getWidth() / 2), Paint.DASHED_WHITE)
        if not kerbed or len(lanes) > 1:
            inset = lanes[0].getWidth() / 2 - EDGE_LINE_INSET_M
            yield RoadLine(_offset_line(_line(lanes[0], shift), -inset), Paint.SOLID_WHITE)
        other = _opposite(net, edge)
        middle = _offset_line(_line(lanes[-1], shift), lanes[-1].getWidth() / 2)
        if other is None:
            yield RoadLine(middle, Paint.SOLID_WHITE)
        elif edge.getID() > other.getID():  # "main" before "-main": once per road
            narrow = max(len(lanes), len(_driving_lanes(other))) == 1
            yield RoadLine(middle, Paint.DASHED_YELLOW if narrow else Paint.SOLID_YELLOW)


def _stop_lines(net: Any, shift: np.ndarray) -> Iterator[StopLine]:
    """Across the end of every driving lane that a signal controls or that gives way."""
    for edge in _edges(net, ""):
        links = [link for lane in _driving_lanes(edge) for link in lane.getOutgoing() if link.getDirection() != "t"]
        if not any(link.getTLSID() for link in links) and (not links or any(link.getState() == "M" for link in links)):
            continue
        for lane in _driving_lanes(edge):
            line = _line(lane, shift)
            ahead = _end_direction(line)
            across = np.array([-ahead[1], ahead[0]]) * lane.getWidth() / 2
            yield StopLine(np.stack([line[-1] - across, line[-1] + across]), lane.getID())


# --- areas -------------------------------------------------------------------------------------------------------


def _ribbon(lane: Any, shift: np.ndarray) -> Polygon:
    return LineString(_line(lane, shift)).buffer(lane.getWidth() / 2, cap_style="flat", join_style="mitre")


def _crosswalks(net: Any, shift: np.ndarray) -> Iterator[Ring]:
    for edge in _edges(net, "crossing"):
        for lane in edge.getLanes():
            yield from simple_rings(_ribbon(lane, shift))


def _walkways(net: Any, shift: np.ndarray) -> Any:
    """Sidewalks along roads and the walking areas that join them at junctions."""
    along = [
        _ribbon(lane, shift) for edge in _edges(net, "") for lane in edge.getLanes() if not lane.allows("passenger")
    ]
    corners = [
        shapely.make_valid(Polygon(_line(lane, shift)))
        for edge in _edges(net, "walkingarea")
        for lane in edge.getLanes()
    ]
    return _closed(_union([*along, *corners]))


def _junctions(net: Any, shift: np.ndarray) -> Any:
    """Junctions out to the far side of their walkways."""
    shapes = [np.array(node.getShape())[:, :2] + shift for node in net.getNodes() if len(node.getShape()) >= 3]
    return _closed(_union([shapely.make_valid(Polygon(shape)) for shape in shapes]))


def _carriageway(driving: Sequence[Any], junctions: Any, walkways: Any, shift: np.ndarray) -> Any:
    """What lanes and turns sweep, and what lies between them in junctions, with rounded corners up to the walkways."""
    swept = _union([_ribbon(lane, shift) for lane in driving if not _turns_around(lane)])
    between = swept.buffer(CORNER_RADIUS_M).buffer(-CORNER_RADIUS_M)
    between = _union([_without_small_holes(part) for part in polygons(between)])
    between = _union(polygons(shapely.intersection(between, junctions, grid_size=GRID_M)))
    between = shapely.difference(between, walkways, grid_size=GRID_M)
    return _closed(_opened(_union([swept, *polygons(between)])))


def _without_small_holes(polygon: Polygon) -> Polygon:
    return Polygon(polygon.exterior, [hole for hole in polygon.interiors if Polygon(hole).area > ISLAND_M2])


def _union(areas: Sequence[Any]) -> Any:
    """Union on the grid of the file's precision, which survives the self-touching outlines that SUMO writes."""
    return shapely.union_all(areas, grid_size=GRID_M)


def _is_internal(lane: Any) -> bool:
    return lane.getEdge().getFunction() == "internal"


def _closed(area: Any) -> Any:
    """Gaps narrower than twice `ROUNDING_M` filled."""
    return _grown(_grown(area, ROUNDING_M), -ROUNDING_M)


def _opened(area: Any) -> Any:
    """Slivers narrower than twice `ROUNDING_M` removed."""
    return _grown(_grown(area, -ROUNDING_M), ROUNDING_M)


def _grown(area: Any, margin_m: float) -> Any:
    """Buffer with sharp corners; those can cross at thin places, which the grid's union repairs."""
    return _union(polygons(shapely.make_valid(area.buffer(margin_m, join_style="mitre"))))


def _turns_around(lane: Any) -> bool:
    """True for a path inside a junction that leads back to where it came from."""
    return _is_internal(lane) and any(link.getDirection() == "t" for link in lane.getIncomingConnections())


def _kerbs(carriageway: Any) -> tuple[RoadLine, ...]:
    parts = getattr(carriageway, "geoms", (carriageway,))
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    return tuple(RoadLine(np.array(ring.coords, np.float64)[:, :2], Paint.KERB) for ring in rings)


# --- signals -----------------------------------------------------------------------------------------------------


def _signal_heads(net: Any, carriageway: Any, shift: np.ndarray) -> tuple[SignalHead, ...]:
    """One head per approach and group of links that always share a colour."""
    heads: list[SignalHead] = []
    shapely.prepare(carriageway)
    for tls in sorted(net.getTrafficLights(), key=lambda tls: tls.getID()):
        phases = [phase.state for phase in next(iter(tls.getPrograms().values())).getPhases()]
        groups: dict[tuple[str, str], list[tuple[Any, int]]] = {}
        for lane, _, index in sorted(tls.getConnections(), key=lambda connection: connection[2]):
            if lane.allows("passenger") and lane.getEdge().getFunction() == "":
                colours = "".join(phase[index].lower() for phase in phases)
                groups.setdefault((lane.getEdge().getID(), colours), []).append((lane, index))
        for _, links in sorted(groups.items()):
            lanes = sorted({lane for lane, _ in links}, key=lambda lane: lane.getIndex())
            pose, stop_point = _signal_pose(lanes, carriageway, shift)
            heads.append(
                SignalHead(
                    id=len(heads),
                    pose=pose,
                    tls_id=tls.getID(),
                    link_indices=tuple(index for _, index in links),
                    lane_ids=tuple(lane.getID() for lane in lanes),
                    stop_point=stop_point,
                )
            )
    return tuple(heads)


def _signal_pose(
    lanes: Sequence[Any], carriageway: Any, shift: np.ndarray
) -> tuple[tuple[float, float, float, float], tuple[float, float]]:
    """The nearest place past the stop line and right of the approach, off the road and in view; else overhead."""
    ends = np.stack([_line(lane, shift)[-1] for lane in lanes])
    stop = ends.mean(0)
    ahead = _end_direction(_line(lanes[0], shift))
    right = np.array([ahead[1], -ahead[0]])
    sideways = (ends - stop) @ right
    kerb = float(sideways.max()) + lanes[0].getWidth() / 2
    distances, gaps = np.meshgrid(np.arange(*SIGNAL_AHEAD_M), SIGNAL_KERB_GAPS_M, indexing="ij")
    places = stop + distances.reshape(-1, 1) * ahead + (kerb + gaps.reshape(-1, 1)) * right
    clear = shapely.distance(carriageway, shapely.points(places))
    angle = (kerb + gaps.ravel() - sideways.min()) / (distances.ravel() + DRIVER_BEHIND_M)
    good = (clear >= SIGNAL_OFF_ROAD_M[0]) & (clear <= SIGNAL_OFF_ROAD_M[1]) & (angle <= SIGNAL_MAX_SIDEWAYS)
    junction = np.array(lanes[0].getEdge().getToNode().getShape())[:, :2] + shift
    overhead = stop + np.clip(((junction - stop) @ ahead).max(), *SIGNAL_OVERHEAD_M) * ahead
    x, y, z = (*places[np.argmax(good)], SIGNAL_Z_M) if good.any() else (*overhead, SIGNAL_OVERHEAD_Z_M)
    facing = float(np.arctan2(-ahead[1], -ahead[0]))
    return (float(x), float(y), z, facing), (float(stop[0]), float(stop[1]))


def _signs(net: Any, carriageway: Any, shift: np.ndarray, first_id: int) -> tuple[SignalHead, ...]:
    """One sign per approach all of whose links give way, and that no signal controls."""
    heads: list[SignalHead] = []
    for edge in sorted(_edges(net, ""), key=lambda edge: edge.getID()):
        lanes = _driving_lanes(edge)
        links = [link for lane in lanes for link in lane.getOutgoing() if link.getDirection() != "t"]
        letters = {link.getState() for link in links}
        if not links or any(link.getTLSID() for link in links) or not letters <= SIGN_OF_LINK.keys():
            continue
        pose, stop_point = _sign_pose(lanes, carriageway, shift)
        heads.append(
            SignalHead(
                id=first_id + len(heads),
                pose=pose,
                tls_id="",
                link_indices=(),
                lane_ids=tuple(lane.getID() for lane in lanes),
                stop_point=stop_point,
                sign=SIGN_OF_LINK["s" if "s" in letters else "m"],
            )
        )
    return tuple(heads)


def _sign_pose(
    lanes: Sequence[Any], carriageway: Any, shift: np.ndarray
) -> tuple[tuple[float, float, float, float], tuple[float, float]]:
    """Right of the approach at its stop line, off the road, facing the traffic."""
    ends = np.stack([_line(lane, shift)[-1] for lane in lanes])
    stop = ends.mean(0)
    ahead = _end_direction(_line(lanes[0], shift))
    right = np.array([ahead[1], -ahead[0]])
    kerb = float(((ends - stop) @ right).max()) + lanes[0].getWidth() / 2
    places = np.array([stop + forward * ahead + (kerb + gap) * right for forward, gap in SIGN_PLACES_M])
    clear = shapely.distance(carriageway, shapely.points(places)) >= SIGN_OFF_ROAD_M
    x, y = places[int(np.argmax(clear))] if clear.any() else places[-1]
    facing = float(np.arctan2(-ahead[1], -ahead[0]))
    return (float(x), float(y), SIGN_Z_M, facing), (float(stop[0]), float(stop[1]))
