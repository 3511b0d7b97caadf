"""Things that move or change colour: agents and signal lamps. Their geometry is made once and re-posed at every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from panda3d import core as p3

from eyesup.types import AgentKind, Agents, DataError, Lights, SemanticClass, Signals, SignalState
from eyesup.world.render import raster, street
from eyesup.world.render.bodies import body, gait_at
from eyesup.world.render.labels import encode
from eyesup.world.render.light import Light, lit_classes, lit_colors
from eyesup.world.render.meshes import Lamp, Mesh, polygons
from eyesup.world.render.signs import sign_plate

VISIBLE_M = 120.0  # agents farther from the ego are not drawn
HEADING_BINS = 32  # sunlight on a body is refreshed when its heading enters another bin
_SHADOW_ALPHA, _SHADOW_MARGIN_M = 0.50, 0.12
_SHADOW_BELOW_M = 0.3  # the height of an underside from which there is no shadow

BEACON_STEPS = 2  # the two halves of a beacon take turns: at 0.1 s, two and a half flashes a second

_LAMPS_OF_LIGHT = (
    (Lights.BRAKE, Lamp.BRAKE),
    (Lights.BRAKE, Lamp.REAR),
    (Lights.LEFT, Lamp.LEFT),
    (Lights.RIGHT, Lamp.RIGHT),
)
_FLASHING = (Lamp.BEACON_LEFT, Lamp.BEACON_RIGHT)
_LAMPS_OF_SIGNAL: dict[int, frozenset[Lamp]] = {
    SignalState.OFF: frozenset(),
    SignalState.GREEN: frozenset({Lamp.GREEN}),
    SignalState.AMBER: frozenset({Lamp.AMBER}),
    SignalState.RED: frozenset({Lamp.RED}),
    SignalState.STOP_SIGN: frozenset(),
    SignalState.YIELD_SIGN: frozenset(),
}
_LIT: tuple[tuple[frozenset[Lamp], ...], ...] = tuple(
    tuple(
        frozenset(lamp for light, lamp in (*_LAMPS_OF_LIGHT, (Lights.BEACON, flashing)) if bits & light)
        for bits in range(16)
    )
    for flashing in _FLASHING
)  # by turn of the beacon, then by the bits of `Lights`

_Key = tuple[int, int, bytes, int, int]  # id, kind, size, look, gait


class Actor:
    """One body in the scene graph, drawn for pictures and for labels; colours are rewritten only when they change."""

    def __init__(self, parent: p3.NodePath, mesh: Mesh, light: Light, shadow: Mesh | None = None) -> None:
        self._mesh, self._light, self._unlit = mesh, light, replace(light, lamps_on=False)
        self._shown: tuple[int, frozenset[Lamp], bool] | None = None
        self._labelled: tuple[int, frozenset[Lamp]] | None = None
        self.path = parent.attachNewNode("actor")
        color, label = p3.GeomNode("color"), p3.GeomNode("label")
        empty = np.zeros((len(mesh), 4), np.uint8)
        self._shadow = None if shadow is None else self._attach_shadow(shadow)
        color.addGeom(raster.geom(mesh, empty))
        label.addGeom(raster.geom(mesh, empty))
        self._color, self._label = color, label
        self.path.attachNewNode(color).hide(raster.LABEL_MASK)
        self.path.attachNewNode(label).hide(raster.COLOR_MASK)

    def _attach_shadow(self, mesh: Mesh) -> p3.NodePath:
        rgba = np.zeros((len(mesh), 4), np.uint8)
        rgba[:, 3] = int(255 * _SHADOW_ALPHA)
        node = p3.GeomNode("shadow")
        node.addGeom(raster.geom(mesh, rgba), raster.flat_state(raster.Order.SHADOW, blended=True))
        path = self.path.attachNewNode(node)
        path.hide(raster.LABEL_MASK)
        return path

    def place(self, x: float, y: float, z: float, heading_rad: float) -> None:
        """Move it; what hangs in the air casts no shadow."""
        self.path.setPosHpr(x, y, z, np.degrees(heading_rad), 0.0, 0.0)
        grounded = z < _SHADOW_BELOW_M
        if self._shadow is not None and grounded == self._shadow.isStashed():
            if grounded:
                self._shadow.unstash()
            else:
                self._shadow.stash()

    def show(self, heading_rad: float, lit: frozenset[Lamp], parked: bool = False) -> None:
        """Bring the picture's colours up to date; what is parked has its head and tail lamps off in the dark too."""
        state = (round(heading_rad * HEADING_BINS / (2 * np.pi)) % HEADING_BINS, lit, parked)
        if state != self._shown:
            self._shown = state
            rgba = lit_colors(
                self._mesh, self._unlit if parked else self._light, state[0] * 2 * np.pi / HEADING_BINS, lit
            )
            raster.recolor(self._color.modifyGeom(0), rgba)

    def mark(self, slot: int, lit: frozenset[Lamp]) -> None:
        """Bring the label colours up to date."""
        state = (slot, lit)
        if state != self._labelled:
            self._labelled = state
            raster.recolor(self._label.modifyGeom(0), encode(lit_classes(self._mesh, lit), slot))


class AgentStage:
    """Actors of the agents seen so far, found again by kind, size, look and phase of their step."""

    def __init__(self, parent: p3.NodePath, light: Light) -> None:
        self._parent, self._light = parent, light
        self._actors: dict[_Key, Actor] = {}
        self._visible: dict[_Key, Actor] = {}
        self._of_row: dict[int, Actor] = {}

    def update(self, agents: Agents, step: int, ego_xy: np.ndarray, labels: bool, clock: int) -> None:
        """Pose, light or label the agents of one step within `VISIBLE_M` of the ego; hide the others.

        `clock` is the step that legs and beacons go by.
        """
        poses = agents.poses[:, step]
        offset = poses[:, :2] - ego_xy
        near = agents.valid[:, step].copy()
        near[near] = (offset[near] ** 2).sum(-1) < VISIBLE_M**2
        speeds = np.hypot(*agents.velocities[:, step].T)
        visible, self._of_row = {}, {}
        for row in np.flatnonzero(near).tolist():
            kind, look = int(agents.kinds[row]), int(agents.looks[row])
            gait = gait_at(AgentKind(kind), float(speeds[row]), clock, look)
            key = (int(agents.ids[row]), kind, agents.sizes[row].tobytes(), look, gait)
            actor = self._actors.get(key) or self._make(key, agents.sizes[row])
            visible[key] = self._of_row[row] = actor
            if key not in self._visible:
                actor.path.show()
            x, y, heading = poses[row].tolist()
            actor.place(x, y, float(agents.bottom_z[row, step]), heading)
            lit = _LIT[clock // BEACON_STEPS % 2][int(agents.lights[row, step]) & 15]
            if labels:
                actor.mark(row + 1, lit)
            else:
                actor.show(heading, lit, parked=not lit and bool(speeds[row] == 0))
        for key in self._visible.keys() - visible.keys():
            self._visible[key].path.hide()
        self._visible = visible

    def show_only(self, rows: Sequence[int] | None) -> None:
        """Of the agents of the last `update`, show these alone; None: all again."""
        for row, actor in self._of_row.items():
            if rows is None or row in rows:
                actor.path.show()
            else:
                actor.path.hide()

    def _make(self, key: _Key, size: np.ndarray) -> Actor:
        mesh = body(AgentKind(key[1]), size, key[3], key[4])
        actor = Actor(self._parent, mesh, self._light, _shadow(size, self._light))
        actor.path.hide()
        self._actors[key] = actor
        actor.path.show()
        return actor


class SignalStage:
    """Lamps of the signal heads and plates of the signs; their posts are part of the static world."""

    def __init__(self, parent: p3.NodePath, signals: Signals, light: Light) -> None:
        lamps = street.signal_lamps()
        self._actors = {}
        self.path = parent.attachNewNode("signals")
        for signal_id, pose, first in zip(signals.ids.tolist(), signals.poses.tolist(), signals.states[:, 0].tolist()):
            state = SignalState(first)
            actor = Actor(self.path, sign_plate(state) if state.is_sign else lamps, light)
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
