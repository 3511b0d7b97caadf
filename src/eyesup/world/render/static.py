"""Everything that does not move, baked into few geometries per chunk of the world: grass, road, scenery."""

from __future__ import annotations

import numpy as np
from panda3d import core as p3
from scipy.spatial import cKDTree

from eyesup.types import Appearance, PropKind, Scene, SignalState
from eyesup.world.render import raster, sky, street, textures
from eyesup.world.render.ground import SEAM_M, ground_meshes, road_area
from eyesup.world.render.labels import encode
from eyesup.world.render.light import Light, lit_colors
from eyesup.world.render.meshes import Mesh, join
from eyesup.world.render.signs import sign_post
from eyesup.world.render.windows import lit_windows

SEEN_M = {PropKind.BUILDING: 140.0, PropKind.TREE: 100.0, PropKind.POLE: 80.0, PropKind.BUSH: 50.0, PropKind.SIGN: 80.0}
DETAIL_M = 35.0  # trees farther than this from the ego's path are drawn with fewer triangles
LIT_WINDOWS_M = 80.0  # houses farther than this from the ego's path show no light
GRAIN_CONTRAST = 0.06
STANDING_M = 7.0  # lights and signs that hang higher have no post
RAIN_TURN_DEG = 137.5  # the golden angle: no step's streaks are like those of a step near it


class StaticWorld:
    """Scene graph of ground, scenery and sky. `root` hangs in the world frame, `around_ego` must follow the ego's x, y."""

    def __init__(self, scene: Scene) -> None:
        self.root = p3.NodePath("static")
        self.around_ego = p3.NodePath("around_ego")
        self._rain: p3.NodePath | None = None
        self._light = Light.of(scene.appearance)
        self._add_ground(scene)
        self._add_scenery(scene)
        self._add_sky(scene.appearance)

    def follow(self, x: float, y: float, step: int) -> None:
        """Bring sky, haze and rain to the ego's place at a step."""
        self.around_ego.setPos(x, y, 0.0)
        if self._rain is not None:
            self._rain.setH(RAIN_TURN_DEG * step)

    def close(self) -> None:
        """Free the geometry and its textures."""
        self.root.removeNode()
        self.around_ego.removeNode()

    def _add_ground(self, scene: Scene) -> None:
        grain = raster.texture(textures.grain(scene.appearance.texture_seed, GRAIN_CONTRAST, scene.appearance.ground))
        meshes = ground_meshes(scene.road_map, scene.appearance, scene.ego_poses[:, :2])
        for order, mesh in zip((raster.Order.GRASS, raster.Order.ROAD), meshes):
            state = raster.flat_state(order)
            self._add(mesh, raster.textured(state, grain), state)

    def _add_scenery(self, scene: Scene) -> None:
        atlas = raster.texture(textures.facade_atlas(scene.appearance.texture_seed))
        state = p3.RenderState.makeEmpty()
        self._add(
            join([*_props(scene, self._light.windows_on), *_signal_posts(scene)]), raster.textured(state, atlas), state
        )

    def _add_sky(self, appearance: Appearance) -> None:
        mesh, rgba = sky.dome(appearance)
        self._attach(self.around_ego, mesh, rgba, raster.flat_state(raster.Order.SKY), raster.LABEL_MASK)
        for index, (mesh, rgba) in enumerate(sky.veils(appearance)):
            self._attach(self.around_ego, mesh, rgba, raster.veil_state(raster.Order.HAZE + index), raster.LABEL_MASK)
        rain = sky.rain(appearance.weather)
        if rain is not None:
            self._rain = self._attach(self.around_ego, *rain, raster.veil_state(raster.Order.RAIN), raster.LABEL_MASK)

    def _add(self, mesh: Mesh, color_state: p3.RenderState, label_state: p3.RenderState) -> None:
        """Attach a mesh chunk by chunk, once for the pictures and once for the labels."""
        rgba, label = lit_colors(mesh, self._light), encode(mesh.classes, 0)
        for part, rows in _chunks(mesh):
            self._attach(self.root, part, rgba[rows], color_state, raster.LABEL_MASK)
            self._attach(self.root, part, label[rows], label_state, raster.COLOR_MASK)

    @staticmethod
    def _attach(
        parent: p3.NodePath, mesh: Mesh, rgba: np.ndarray, state: p3.RenderState, hidden_from: p3.BitMask32
    ) -> p3.NodePath:
        node = p3.GeomNode("static")
        node.addGeom(raster.geom(mesh, rgba), state)
        path = parent.attachNewNode(node)
        path.hide(hidden_from)
        return path


def _props(scene: Scene, windows_on: bool) -> list[Mesh]:
    """Props near enough to the ego's path to be seen, in the world frame."""
    props = scene.props
    if not len(props):
        return []
    distance = cKDTree(scene.ego_poses[:, :2]).query(props.poses[:, :2])[0]
    meshes = []
    for row in np.flatnonzero(distance < np.array([SEEN_M[kind] for kind in PropKind])[props.kinds]):
        kind, detailed = PropKind(props.kinds[row]), bool(distance[row] < DETAIL_M)
        mesh = street.prop(kind, props.sizes[row], int(props.looks[row]), detailed)
        meshes.append(mesh.moved(*props.poses[row].tolist()))
        if windows_on and kind == PropKind.BUILDING and distance[row] < LIT_WINDOWS_M:
            panes = street.blank(lit_windows(props.sizes[row], int(props.looks[row])))
            meshes.append(panes.moved(*props.poses[row].tolist()))
    return meshes


def _signal_posts(scene: Scene) -> list[Mesh]:
    if not len(scene.signals):
        return []
    roads = road_area(scene.road_map)
    meshes = []
    for pose, first in zip(scene.signals.poses, scene.signals.states[:, 0]):
        x, y, z, heading = pose.tolist()
        if SignalState(int(first)).is_sign:
            if z < STANDING_M:
                meshes.append(street.blank(sign_post(z)).moved(x, y, heading))
        else:
            post = street.signal_post(z, street.mast_arm(pose, roads), standing=z < STANDING_M)
            meshes.append(street.blank(post).moved(x, y, heading))
    return meshes


def _chunks(mesh: Mesh) -> list[tuple[Mesh, np.ndarray]]:
    """The mesh cut along the `SEAM_M` grid by each triangle's middle: [(part, its vertex rows in the mesh)], in order."""
    if not len(mesh):
        return []
    cell = np.floor(mesh.points[mesh.faces, :2].mean(1) / SEAM_M).astype(np.int64)
    _, group = np.unique(cell, axis=0, return_inverse=True)
    group = group.ravel()
    order = np.argsort(group, kind="stable")
    splits = np.flatnonzero(np.diff(group[order])) + 1
    parts = []
    for triangles in np.split(order, splits):
        rows, faces = np.unique(mesh.faces[triangles], return_inverse=True)
        parts.append((mesh.rows(rows, faces.reshape(-1, 3)), rows))
    return parts
