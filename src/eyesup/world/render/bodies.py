"""Bodies of agents: low-poly vehicles, people and obstacles that fill the agent's box.

Object frame: origin at the centre of the box's underside, x forward, y left, z up. Lamps are drawn larger than life
(about 0.4 m) so that they cover several pixels at 25 m in a 256 x 144 picture.

A kind's variants follow from size and look: an emergency vehicle is a police car, an ambulance or a fire engine by its
size; a person whose look is `WORKER_LOOK` or more is a construction worker.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from eyesup.types import AgentKind
from eyesup.world.render import emergency, obstacles, people, vehicles
from eyesup.world.render.meshes import Mesh
from eyesup.world.render.people import GAITS as GAITS
from eyesup.world.render.people import STANDING as STANDING
from eyesup.world.render.people import WORKER_LOOK as WORKER_LOOK

Size = tuple[float, float, float]  # length, width, height [m]

POLICE_SIZE_M: Size = (4.8, 1.9, 1.75)
AMBULANCE_SIZE_M: Size = (5.6, 2.1, 2.7)
FIRE_ENGINE_SIZE_M: Size = (8.2, 2.5, 3.4)
CONE_SIZE_M: Size = (0.45, 0.45, 0.9)
BARRIER_SIZE_M: Size = (0.5, 2.0, 1.05)  # its stripes face forward and back
DEBRIS_SIZE_M: Size = (1.2, 0.9, 0.5)

MOVING_MPS = 0.3  # people who are faster move their legs
STEPS_PER_PHASE = 2  # at 0.1 s: a full step of both legs in 0.8 s

_Builder = Callable[[float, float, float, np.random.Generator], Mesh]
_BUILDERS: dict[AgentKind, _Builder] = {
    AgentKind.CAR: vehicles.car,
    AgentKind.VAN: vehicles.van,
    AgentKind.TRUCK: vehicles.truck,
    AgentKind.BUS: vehicles.bus,
    AgentKind.EMERGENCY: emergency.emergency,
    AgentKind.CONE: obstacles.cone,
    AgentKind.BARRIER: obstacles.barrier,
    AgentKind.DEBRIS: obstacles.debris,
}
WALKERS = frozenset({AgentKind.PEDESTRIAN, AgentKind.BICYCLE})


def body(kind: AgentKind, size: Float[np.ndarray, "3"], look: int, gait: int = STANDING) -> Mesh:
    """Mesh of an agent of that kind and size (length, width, height) [m].

    `look` seeds colour and variant; `gait`, below `GAITS`, is the phase of a person's step (see `gait_at`).
    """
    length, width, height = (float(s) for s in size)
    rng = np.random.default_rng([int(look), int(kind)])
    if kind == AgentKind.PEDESTRIAN:
        return people.pedestrian(length, width, height, rng, gait, worker=int(look) >= WORKER_LOOK)
    if kind in (AgentKind.BICYCLE, AgentKind.MOTORCYCLE):
        return people.two_wheeler(length, width, height, rng, gait, motor=kind == AgentKind.MOTORCYCLE)
    return _BUILDERS[kind](length, width, height, rng)


def gait_at(kind: AgentKind, speed_mps: float, step: int, look: int) -> int:
    """Phase of the step at a time: a function of the step alone, so that any picture can be drawn on its own."""
    if kind not in WALKERS or speed_mps < MOVING_MPS:
        return STANDING
    return 1 + (step // STEPS_PER_PHASE + look) % (GAITS - 1)
