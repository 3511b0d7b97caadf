"""Background traffic: a thin wrapper of SUMO, run inside this process by libsumo.

SUMO's position is the front bumper's centre and its angle is clockwise from north; here everything is box centres and
counter-clockwise headings. libsumo is one global simulation: `Traffic` is a context manager, and only one may be open.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import libsumo
import numpy as np
from jaxtyping import Float64

from eyesup.types import PACIFICA, AgentKind, EyesUpError, Lights, VehicleGeometry

STEP_S = 0.1
LATERAL_RESOLUTION_M = 0.8
BRAKE_LAMP_DECEL_MPS2 = 0.5  # stronger braking lights the brake lamps
STANDING_MPS = 0.1
EGO_ID = "ego"
STAND_IN = "standin_"  # names of vehicles that are there for other traffic to see, and not sighted themselves
_EDGE_ANYWHERE, _KEEP_ROUTE = "", 2  # moveToXY: off the network is allowed, other traffic still sees the ego
_SIGNAL_RIGHT, _SIGNAL_LEFT, _SIGNAL_HAZARD, _SIGNAL_BRAKE = 1, 2, 4, 8  # bits of SUMO's vehicle signals
_BRAKING_OFF, _ALL_CHECKS = 0, 31


@dataclass(frozen=True)
class Body:
    """One vehicle model: its size, how often it is seen and how it drives."""

    kind: AgentKind
    size_m: tuple[float, float, float]
    share: float
    vclass: str = "passenger"
    accel_mps2: float = 2.0
    decel_mps2: float = 4.5
    max_speed_mps: float = 25.0


BODIES: dict[str, Body] = {
    "hatchback": Body(AgentKind.CAR, (4.0, 1.75, 1.48), 0.24),
    "sedan": Body(AgentKind.CAR, (4.65, 1.82, 1.45), 0.26),
    "suv": Body(AgentKind.CAR, (4.75, 1.9, 1.7), 0.18),
    "van": Body(AgentKind.VAN, (5.4, 2.0, 2.3), 0.10),
    "truck": Body(AgentKind.TRUCK, (8.4, 2.5, 3.4), 0.06, "truck", 1.2, 4.0, 20.0),
    "bus": Body(AgentKind.BUS, (12.0, 2.55, 3.1), 0.04, "bus", 1.2, 4.0, 20.0),
    "motorcycle": Body(AgentKind.MOTORCYCLE, (2.2, 0.8, 1.5), 0.06, "motorcycle", 2.5, 5.0),
    "bicycle": Body(AgentKind.BICYCLE, (1.8, 0.65, 1.75), 0.06, "bicycle", 1.0, 3.0, 5.0),
}
PEDESTRIAN_SIZE_M = (0.45, 0.6, 1.75)


class Sighting(NamedTuple):
    """One agent at one time: the box centre in the world frame. `look` is drawn where none is given."""

    name: str
    kind: AgentKind
    size_m: tuple[float, float, float]
    pose: tuple[float, float, float]
    speed_mps: float
    lights: Lights
    look: int | None = None


class Traffic:
    """A running SUMO simulation; time advances by `STEP_S` with each `step`.

    Args:
        net_file: SUMO network.
        offset: World coordinates less the network's, metres.
        seed: Seed of SUMO's own draws.
        vehicle: Size of the ego vehicle.

    Raises:
        EyesUpError: another simulation is open in this process.
    """

    _open = False

    def __init__(
        self, net_file: Path, offset: tuple[float, float], seed: int, vehicle: VehicleGeometry = PACIFICA
    ) -> None:
        self._net_file, self._offset, self._seed, self._vehicle = net_file, offset, seed, vehicle
        self.held: dict[str, tuple[int, ...]] = {}  # signals that were told to stay green, and for which links
        self._bodies: dict[str, Body] = {}
        self._front_m = vehicle.front_m

    def __enter__(self) -> Traffic:
        if Traffic._open:
            raise EyesUpError(
                "traffic: a simulation is already open in this process (limit 1); close it (the other environment, the other "
                "log) or run each in a process of its own (AsyncVectorEnv with context='spawn')"
            )
        with tempfile.TemporaryDirectory() as folder:
            types = Path(folder) / "types.add.xml"
            types.write_text(_types_xml(self._vehicle))
            libsumo.start(
                ["sumo", "--net-file", str(self._net_file), "--additional-files", str(types), "--seed", str(self._seed % 2**31),
                 "--step-length", str(STEP_S), "--lateral-resolution", str(LATERAL_RESOLUTION_M), "--time-to-teleport", "-1",
                 "--collision.action", "none", "--no-step-log", "--no-warnings", "--begin", "0",
                 "--default.speeddev", "0.08"]
            )  # fmt: skip
        Traffic._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        libsumo.close()
        Traffic._open = False

    def step(self) -> None:
        """Advance by `STEP_S`."""
        libsumo.simulationStep()

    # Placing ---------------------------------------------------------------------------------------------------------

    def populate(self, rng: np.random.Generator, vehicles: int, pedestrians: int) -> None:
        """Put random traffic on the roads: trips between random edges, people on the sidewalks."""
        roads, walks = self._edges()
        names = list(BODIES)
        shares = np.array([BODIES[name].share for name in names])
        for i in range(vehicles):
            body = names[rng.choice(len(names), p=shares / shares.sum())]
            start, goal = rng.choice(len(roads), 2)
            edges = libsumo.simulation.findRoute(roads[start], roads[goal], body).edges
            if edges:
                self._insert(f"v{i}", body, edges, departPos="random_free", departLane="best", departSpeed="max")
        for i in range(pedestrians if walks else 0):
            self._walk(f"p{i}", walks, rng)

    def _edges(self) -> tuple[list[str], list[str]]:
        """Edges that cars may use, and edges with a sidewalk."""
        roads, walks = [], []
        for edge in libsumo.edge.getIDList():
            if edge.startswith(":"):
                continue
            allowed = [libsumo.lane.getAllowed(f"{edge}_{i}") for i in range(libsumo.edge.getLaneNumber(edge))]
            if any(not classes or "passenger" in classes for classes in allowed):
                roads.append(edge)
            if any("pedestrian" in classes and "passenger" not in classes for classes in allowed):
                walks.append(edge)
        return sorted(roads), sorted(walks)

    def _walk(self, name: str, walks: list[str], rng: np.random.Generator) -> None:
        start, goal = (walks[i] for i in rng.choice(len(walks), 2))
        stages = libsumo.simulation.findIntermodalRoute(start, goal, modes="")
        edges = [edge for stage in stages for edge in stage.edges]
        if not edges:
            return
        length = libsumo.lane.getLength(f"{start}_0")
        libsumo.person.add(name, start, float(rng.uniform(0.05, 0.95)) * length, typeID="pedestrian")
        short = libsumo.lane.getLength(f"{edges[-1]}_0")  # imported maps have edges of centimetres
        libsumo.person.appendWalkingStage(name, edges, -min(1.0, short / 2))

    def _insert(self, name: str, body: str, edges: Sequence[str], **depart: str) -> None:
        libsumo.route.add(f"route_{name}", list(edges))
        libsumo.vehicle.add(name, f"route_{name}", typeID=body, **depart)
        if body in BODIES:
            self._bodies[name] = BODIES[body]

    def add_vehicle(
        self,
        name: str,
        body: str,
        edges: Sequence[str],
        lane: int,
        position_m: float,
        speed_mps: float,
        stay: bool = True,
    ) -> None:
        """Insert a vehicle with its front `position_m` along the first edge; it shows up after the next step.

        Args:
            edges: Its whole route.
            lane: Index of the lane on the first edge.
            stay: Never change lanes by itself.
        """
        self._insert(
            name, body, edges, departLane=str(lane), departPos=f"{position_m:.3f}", departSpeed=f"{speed_mps:.3f}"
        )
        if stay:
            libsumo.vehicle.setLaneChangeMode(name, 0)
        libsumo.vehicle.setSpeedFactor(name, 1.0)

    def cancel_waiting(self) -> None:
        """Give up vehicles that found no room yet, so that none appears out of nothing later."""
        for name in libsumo.simulation.getPendingVehicles():
            libsumo.vehicle.remove(name)

    def add_ego(self, edges: Sequence[str], pose: Float64[np.ndarray, "3"], speed_mps: float) -> None:
        """Insert the ego at a rear-axle pose."""
        self._insert(EGO_ID, EGO_ID, edges)
        self.move_ego(pose, speed_mps)

    def move_ego(self, pose: Float64[np.ndarray, "3"], speed_mps: float) -> None:
        """Where the ego will be after the next step (rear axle)."""
        front = pose[:2] - self._offset + self._front_m * np.array([np.cos(pose[2]), np.sin(pose[2])])
        angle = float(np.rad2deg(np.pi / 2 - pose[2]) % 360)
        libsumo.vehicle.moveToXY(EGO_ID, _EDGE_ANYWHERE, -1, float(front[0]), float(front[1]), angle, _KEEP_ROUTE)
        libsumo.vehicle.setSpeed(EGO_ID, speed_mps)

    def add_scripted(
        self, name: str, kind: AgentKind, size_m: tuple[float, float, float], edges: Sequence[str]
    ) -> None:  # fmt: skip
        """Insert a box that `move` places at every step, so that other traffic sees it; `let_go` makes it a car.

        Args:
            edges: What it drives along once it is let go.
        """
        libsumo.vehicletype.copy(EGO_ID, f"type_{name}")
        libsumo.vehicletype.setLength(f"type_{name}", size_m[0])
        libsumo.vehicletype.setWidth(f"type_{name}", size_m[1])
        libsumo.vehicletype.setHeight(f"type_{name}", size_m[2])
        self._insert(name, f"type_{name}", edges)
        self._bodies[name] = Body(kind, size_m, 0.0)

    def move(self, name: str, pose: tuple[float, float, float], speed_mps: float, aligned: bool = True) -> None:
        """Where a vehicle will be after the next step (box centre).

        Args:
            aligned: It heads along its lane; False where it crosses lanes, as people do.
        """
        x, y, heading = pose
        front = self._bodies[name].size_m[0] / 2
        x, y = (
            x - self._offset[0] + front * float(np.cos(heading)),
            y - self._offset[1] + front * float(np.sin(heading)),
        )
        angle = float(np.rad2deg(np.pi / 2 - heading) % 360) if aligned else libsumo.INVALID_DOUBLE_VALUE
        libsumo.vehicle.moveToXY(name, _EDGE_ANYWHERE, -1, x, y, angle, _KEEP_ROUTE)
        libsumo.vehicle.setSpeed(name, speed_mps)

    def let_go(self, name: str, goal_edge: str) -> None:
        """Let SUMO drive a vehicle that was moved, to the end of `goal_edge`; it keeps its lane where it can."""
        libsumo.vehicle.changeTarget(name, goal_edge)
        libsumo.vehicle.setLaneChangeMode(name, 0)
        libsumo.vehicle.setSpeedFactor(name, 1.0)
        self.release(name)

    def remove(self, name: str) -> None:
        """Take a vehicle or a person off the road."""
        if name in libsumo.person.getIDList():
            libsumo.person.remove(name)
        else:
            libsumo.vehicle.remove(name)

    def remove_bound_for(self, edge: str, keep: str) -> None:
        """Take every vehicle that is on an edge, or still on its way there, off the road, but for `keep` and the ego."""
        for name in libsumo.vehicle.getIDList():
            onward = libsumo.vehicle.getRoute(name)[max(libsumo.vehicle.getRouteIndex(name), 0) :]
            if name not in (keep, EGO_ID) and edge in onward:
                libsumo.vehicle.remove(name)

    # Steering of single vehicles -------------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        return name in libsumo.vehicle.getIDList()

    def on_lane(self, name: str) -> bool:
        """Whether SUMO has a vehicle on a lane; one that was moved may be beside all of them."""
        return bool(libsumo.vehicle.getLaneID(name))

    def road_of(self, name: str) -> str:
        """Edge that a vehicle is on; starts with a colon inside a junction."""
        return libsumo.vehicle.getRoadID(name)

    def hold_speed(self, name: str, speed_mps: float, decel_mps2: float | None = None) -> None:
        """Bring a vehicle to a speed and keep it there, braking no harder than `decel_mps2`."""
        if decel_mps2 is not None:
            libsumo.vehicle.setDecel(name, decel_mps2)
        libsumo.vehicle.setSpeed(name, speed_mps)

    def release(self, name: str) -> None:
        """Let SUMO decide the vehicle's speed again."""
        libsumo.vehicle.setSpeed(name, -1.0)

    def cap_speed(self, name: str, speed_mps: float) -> None:
        """Highest speed of a vehicle from now on."""
        libsumo.vehicle.setMaxSpeed(name, max(speed_mps, 0.1))

    # Traffic lights --------------------------------------------------------------------------------------------------

    def light_states(self, tls_id: str) -> str:
        """One letter per link of a junction's signal: G g y r and so on."""
        return libsumo.trafficlight.getRedYellowGreenState(tls_id)

    def show_green(self, tls_id: str, links: Sequence[int], hold_s: float = 1e4) -> bool:
        """Jump to a phase in which all `links` are green and stay in it; False where the program has none."""
        return self._show(tls_id, links, "Gg", hold_s)

    def show_red(self, tls_id: str, links: Sequence[int], hold_s: float = 1e4) -> bool:
        """Jump to a phase in which all `links` are red and stay in it; False where the program has none."""
        return self._show(tls_id, links, "r", hold_s)

    def _show(self, tls_id: str, links: Sequence[int], letters: str, hold_s: float) -> bool:
        for i, phase in enumerate(libsumo.trafficlight.getAllProgramLogics(tls_id)[0].phases):
            if all(phase.state[link] in letters for link in links):
                libsumo.trafficlight.setPhase(tls_id, i)
                libsumo.trafficlight.setPhaseDuration(tls_id, hold_s)
                self.held[tls_id] = tuple(links)
                return True
        return False

    def end_phase(self, tls_id: str) -> None:
        """Let the running phase end now; its amber follows by the program."""
        libsumo.trafficlight.setPhaseDuration(tls_id, 0.0)
        self.held.pop(tls_id, None)

    # Reading ---------------------------------------------------------------------------------------------------------

    def sightings(self, around: Float64[np.ndarray, "2"], radius_m: float) -> list[Sighting]:
        """Everything but the ego whose front (person: centre) is within `radius_m`."""
        return [*self._vehicles(around, radius_m), *self._people(around, radius_m)]

    def _vehicles(self, around: np.ndarray, radius_m: float) -> list[Sighting]:
        get, found = libsumo.vehicle, []
        (dx, dy), limit = self._offset, radius_m**2
        x0, y0 = float(around[0]) - dx, float(around[1]) - dy
        for name in get.getIDList():
            x, y = get.getPosition(name)
            if name == EGO_ID or name.startswith(STAND_IN) or not (x - x0) ** 2 + (y - y0) ** 2 <= limit:
                continue
            body = self._bodies[name]
            heading = float(np.pi / 2 - np.deg2rad(get.getAngle(name)))
            back = body.size_m[0] / 2
            pose = (x + dx - back * float(np.cos(heading)), y + dy - back * float(np.sin(heading)), _wrap(heading))
            speed = get.getSpeed(name)
            lights = _lamps(get.getSignals(name), speed, get.getAcceleration(name))
            found.append(Sighting(name, body.kind, body.size_m, pose, speed, lights))
        return found

    def _people(self, around: np.ndarray, radius_m: float) -> list[Sighting]:
        get, found = libsumo.person, []
        (dx, dy), limit = self._offset, radius_m**2
        x0, y0 = float(around[0]) - dx, float(around[1]) - dy
        for name in get.getIDList():
            x, y = get.getPosition(name)
            if (x - x0) ** 2 + (y - y0) ** 2 <= limit:
                heading = _wrap(float(np.pi / 2 - np.deg2rad(get.getAngle(name))))
                pose = (x + dx, y + dy, heading)
                found.append(
                    Sighting(name, AgentKind.PEDESTRIAN, PEDESTRIAN_SIZE_M, pose, get.getSpeed(name), Lights.NONE)
                )
        return found


def _wrap(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _lamps(signals: int, speed_mps: float, acceleration_mps2: float) -> Lights:
    lamps = Lights.NONE
    if signals & _SIGNAL_BRAKE or acceleration_mps2 < -BRAKE_LAMP_DECEL_MPS2 or speed_mps < STANDING_MPS:
        lamps |= Lights.BRAKE
    if signals & (_SIGNAL_LEFT | _SIGNAL_HAZARD):
        lamps |= Lights.LEFT
    if signals & (_SIGNAL_RIGHT | _SIGNAL_HAZARD):
        lamps |= Lights.RIGHT
    return lamps


def _types_xml(vehicle: VehicleGeometry) -> str:
    rows = [
        f'<vType id="{name}" vClass="{b.vclass}" length="{b.size_m[0]}" width="{b.size_m[1]}" height="{b.size_m[2]}" '
        f'accel="{b.accel_mps2}" decel="{b.decel_mps2}" maxSpeed="{b.max_speed_mps}" minGap="2.0" sigma="0.2"/>'
        for name, b in BODIES.items()
    ]
    rows.append(
        f'<vType id="{EGO_ID}" vClass="passenger" length="{vehicle.length_m}" width="{vehicle.width_m}" minGap="2.0"/>'
    )
    rows.append(
        f'<vType id="pedestrian" vClass="pedestrian" length="{PEDESTRIAN_SIZE_M[0]}" width="{PEDESTRIAN_SIZE_M[1]}"/>'
    )
    return "<additional>\n" + "\n".join(rows) + "\n</additional>\n"
