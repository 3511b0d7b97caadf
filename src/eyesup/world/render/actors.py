"""Things that move or change colour: agents and signal lamps. Their geometry is made once and re-posed at every frame."""

from __future__ import annotations

import numpy as np
from panda3d import core as p3

from eyesup.types import AgentKind, Agents, DataError, Lights, SemanticClass, Signals, SignalState
from eyesup.world.render import raster, street
from eyesup.world.render.bodies import body
from eyesup.world.render.labels import encode
from eyesup.world.render.light import Light, lit_classes, lit_colors
from eyesup.world.render.meshes import Lamp, Mesh, polygons

VISIBLE_M = 120.0  # agents farther from the ego are not drawn
HEADING_BINS = 32  # sunlight on a body is refreshed when its heading enters another bin
_SHADOW_ALPHA, _SHADOW_MARGIN_M = 0.50, 0.12

_LAMPS_OF_LIGHT = (
    (Lights.BRAKE, Lamp.BRAKE), (Lights.LEFT, Lamp.LEFT), (Lights.RIGHT, Lamp.RIGHT), (Lights.BEACON, Lamp.BEACON),
)  # fmt: skip
_LAMPS_OF_SIGNAL: dict[int, frozenset[Lamp]] = {
    SignalState.OFF: frozenset(),
    SignalState.GREEN: frozenset({Lamp.GREEN}),
    SignalState.AMBER: frozenset({Lamp.AMBER}),
    SignalState.RED: frozenset({Lamp.RED}),
}
_LIT: tuple[frozenset[Lamp], ...] = tuple(
    frozenset(lamp for light, lamp in _LAMPS_OF_LIGHT if bits & light) for bits in range(16)
)


class Actor:
    """One body in the scene graph, drawn for pictures and for labels; colours are rewritten only when they change."""

    def __init__(self, parent: p3.NodePath, mesh: Mesh, light: Light, shadow: Mesh | None = None) -> None:
        self._mesh, self._light = mesh, light
        self._shown: tuple[int, frozenset[Lamp]] | None = None
        self._labelled: tuple[int, frozenset[Lamp]] | None = None
        self.path = parent.attachNewNode("actor")
        color, label = p3.GeomNode("color"), p3.GeomNode("label")
        empty = np.zeros((len(mesh), 4), np.uint8)
        if shadow is not None:
            rgba = np.zeros((len(shadow), 4), np.uint8)
            rgba[:, 3] = int(255 * _SHADOW_ALPHA)
            color.addGeom(raster.geom(shadow, rgba), raster.flat_state(raster.Order.SHADOW, blended=True))
        color.addGeom(raster.geom(mesh, empty))
        label.addGeom(raster.geom(mesh, empty))
        self._color, self._label = color, label
        self.path.attachNewNode(color).hide(raster.LABEL_MASK)
        self.path.attachNewNode(label).hide(raster.COLOR_MASK)

    def place(self, x: float, y: float, z: float, heading_rad: float) -> None:
        self.path.setPosHpr(x, y, z, np.degrees(heading_rad), 0.0, 0.0)

    def show(self, heading_rad: float, lit: frozenset[Lamp]) -> None:
        """Bring the picture's colours up to date."""
        state = (round(heading_rad * HEADING_BINS / (2 * np.pi)) % HEADING_BINS, lit)
        if state != self._shown:
            self._shown = state
            rgba = lit_colors(self._mesh, self._light, state[0] * 2 * np.pi / HEADING_BINS, lit)
            raster.recolor(self._color.modifyGeom(self._color.getNumGeoms() - 1), rgba)

    def mark(self, slot: int, lit: frozenset[Lamp]) -> None:
        """Bring the label colours up to date."""
        state = (slot, lit)
        if state != self._labelled:
            self._labelled = state
            raster.recolor(self._label.modifyGeom(0), encode(lit_classes(self._mesh, lit), slot))


class AgentStage:
    """Actors of the agents seen so far, found again by kind, size and look."""

    def __init__(self, parent: p3.NodePath, light: Light) -> None:
        self._parent, self._light = parent, light
        self._actors: dict[tuple[int, int, bytes, int], Actor] = {}
        self._visible: dict[tuple[int, int, bytes, int], Actor] = {}

    def update(self, agents: Agents, step: int, ego_xy: np.ndarray, labels: bool) -> None:
        """Pose, light or label the agents of one step within `VISIBLE_M` of the ego; hide the others."""
        poses = agents.poses[:, step]
        offset = poses[:, :2] - ego_xy
        near = agents.valid[:, step].copy()
        near[near] = (offset[near] ** 2).sum(-1) < VISIBLE_M**2
        visible = {}
        for row in np.flatnonzero(near).tolist():
            key = (int(agents.ids[row]), int(agents.kinds[row]), agents.sizes[row].tobytes(), int(agents.looks[row]))
            actor = self._actors.get(key) or self._make(key, agents.sizes[row])
            visible[key] = actor
            if key not in self._visible:
                actor.path.show()
            x, y, heading = poses[row].tolist()
            actor.place(x, y, float(agents.bottom_z[row, step]), heading)
            lit = _LIT[int(agents.lights[row, step]) & 15]
            if labels:
                actor.mark(row + 1, lit)
            else:
                actor.show(heading, lit)
        for key in self._visible.keys() - visible.keys():
            self._visible[key].path.hide()
        self._visible = visible

    def _make(self, key: tuple[int, int, bytes, int], size: np.ndarray) -> Actor:
        mesh = body(AgentKind(key[1]), size, key[3])
        actor = Actor(self._parent, mesh, self._light, _shadow(size, self._light))
        actor.path.hide()
        self._actors[key] = actor
        actor.path.show()
        return actor


class SignalStage:
    """Lamps of the signal heads; their posts are part of the static world."""

    def __init__(self, parent: p3.NodePath, signals: Signals, light: Light) -> None:
        lamps = street.signal_lamps()
        self._actors = {}
        for signal_id, pose in zip(signals.ids.tolist(), signals.poses.tolist()):
            actor = Actor(parent, lamps, light)
            actor.place(*pose)
            self._actors[signal_id] = (actor, pose[3])

    def update(self, signals: Signals, step: int, labels: bool) -> None:
        present = set(signals.ids.tolist())
        unknown = present - self._actors.keys()
        if unknown:
            raise DataError(
                f"signals: ids {sorted(unknown)} are not in the loaded scene; load the edited scene instead"
            )
        for signal_id, (actor, _) in self._actors.items():
            if signal_id in present:
                actor.path.show()
            else:
                actor.path.hide()
        for signal_id, state in zip(signals.ids.tolist(), signals.states[:, step].tolist()):
            actor, heading = self._actors[signal_id]
            lit = _LAMPS_OF_SIGNAL[state]
            if labels:
                actor.mark(0, lit)
            else:
                actor.show(heading, lit)


def _shadow(size: np.ndarray, light: Light) -> Mesh:
    """A dark patch on the ground under a body, a little larger than its footprint."""
    x, y = (float(s) / 2 + _SHADOW_MARGIN_M for s in size[:2])
    cut = 0.3 * min(x, y)
    ring = [
        (-x, cut - y),
        (cut - x, -y),
        (x - cut, -y),
        (x, cut - y),
        (x, y - cut),
        (x - cut, y),
        (cut - x, y),
        (-x, y - cut),
    ]
    corners = np.insert(np.array(ring), 2, 0.0, axis=1)
    return polygons(corners[None], (0.0, 0.0, 0.0), SemanticClass.ROAD)
