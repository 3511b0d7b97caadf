"""Camera pictures and labels of a Scene, on the CPU, the same bytes every time."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt8
from panda3d import core as p3
from PIL import Image

from eyesup.types import Agents, CameraRig, DataError, Scene, Signals
from eyesup.world.render import raster, raycast
from eyesup.world.render.actors import VISIBLE_M, AgentStage, SignalStage
from eyesup.world.render.labels import FrameLabels, count_pixels, decode
from eyesup.world.render.light import Light
from eyesup.world.render.static import StaticWorld


class Renderer:
    """Draws one scene at a time for one rig.

    Use as a context manager, or call `close`. One process may hold several renderers.
    """

    def __init__(self, rig: CameraRig, supersample: int = 1) -> None:
        """`supersample` > 1 draws that many times larger and averages: smoother edges, slower."""
        if supersample < 1:
            raise DataError(f"renderer: supersample {supersample} must be at least 1")
        self.rig = rig
        self._supersample = supersample
        self._world = p3.NodePath("world")
        self._ego = self._world.attachNewNode("ego")
        self._color = raster.CameraBuffer(rig, self._ego, raster.COLOR_MASK, supersample)
        self._label = raster.CameraBuffer(rig, self._ego, raster.LABEL_MASK)
        self._scene: Scene | None = None

    def load(self, scene: Scene) -> None:
        """Build the scene's geometry; what an earlier scene held is freed."""
        self._free()
        self._scene = scene
        self._static = StaticWorld(scene)
        self._static.root.reparentTo(self._world)
        self._static.around_ego.reparentTo(self._world)
        self._moving = self._world.attachNewNode("moving")
        light = Light.of(scene.appearance)
        self._agents = AgentStage(self._moving, light)
        self._signals = SignalStage(self._moving, scene.signals, light)

    def images(
        self, step: int, agents: Agents | None = None, signals: Signals | None = None
    ) -> UInt8[np.ndarray, "C H W 3"]:
        """RGB pictures at a step of the scene.

        `agents` and `signals`, where given, replace the scene's own: edited copies that reach at least to `step`.
        """
        self._pose(step, agents, signals, labels=False)
        return self._picture()

    def live(
        self, step: int, ego_pose: Float64[np.ndarray, "3"], agents: Agents, signals: Signals
    ) -> UInt8[np.ndarray, "C H W 3"]:
        """RGB pictures of a moment that is not in the scene: the ego's pose and one step of agents and signals.

        `step` sets the pace of what moves in place (legs, beacons, rain).
        """
        if self._scene is None:
            raise DataError("renderer: no scene loaded; call load(scene) first")
        self._place(ego_pose, agents, signals, row=0, clock=step, labels=False)
        return self._picture()

    def _picture(self) -> UInt8[np.ndarray, "C H W 3"]:
        frame = self._color.frame()
        return frame if self._supersample == 1 else _reduced(frame, self._supersample)

    def labels(
        self, step: int, agents: Agents | None = None, signals: Signals | None = None, depth: bool = True
    ) -> FrameLabels:
        """Pixel labels of the same view as `images`; `depth=False` leaves out the ray-cast depth, which costs most."""
        agents = self._pose(step, agents, signals, labels=True)
        ids = np.concatenate([[0], agents.ids + 1]).astype(np.int32)
        labels = decode(self._label.frame(), ids)
        if not depth:
            return labels
        assert self._scene is not None
        boxes = raycast.scene_boxes(self._scene, agents, step, step, VISIBLE_M, signals)
        depths = [
            raycast.refined(raycast.cast(camera, boxes)[0], classes, camera)
            for camera, classes in zip(self.rig.cameras, labels.semantics)
        ]
        return FrameLabels(labels.semantics, labels.instances, np.stack(depths))

    def whole_pixels(
        self, step: int, visible_px: Int32[np.ndarray, "A C"], agents: Agents | None = None
    ) -> Int32[np.ndarray, "A C"]:
        """Pixels that each agent would cover if nothing stood before it; 0 for those that no camera sees.

        Agents are drawn without the rest of the world, as many at once as cannot cover each other.
        """
        agents = self._pose(step, agents, None, labels=True)
        assert self._scene is not None
        seen = np.flatnonzero(visible_px.any(axis=1))
        whole = np.zeros_like(visible_px)
        if not len(seen):
            return whole
        self._static.root.hide()
        self._signals.path.hide()
        for group in raycast.apart(self._windows(agents, step, seen)):
            self._agents.show_only([int(seen[index]) for index in group])
            slots = decode(self._label.frame(), np.arange(len(agents) + 1, dtype=np.int32)).instances
            whole += count_pixels(np.arange(len(agents)), slots)
        self._agents.show_only(None)
        self._static.root.show()
        self._signals.path.show()
        return whole

    def _windows(self, agents: Agents, step: int, rows: np.ndarray) -> Int64[np.ndarray, "n C 4"]:
        """Where each of the agents may appear in each camera."""
        assert self._scene is not None
        boxes = raycast.scene_boxes(self._scene, agents.select(rows), step, step, np.inf)
        boxes = boxes.rows(boxes.slots > 0)
        return np.stack([raycast.windows(camera, boxes)[0] for camera in self.rig.cameras], axis=1)

    def close(self) -> None:
        """Free the scene and the buffers; the renderer cannot be used afterwards."""
        self._free()
        self._color.close()
        self._label.close()
        self._world.removeNode()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pose(self, step: int, agents: Agents | None, signals: Signals | None, labels: bool) -> Agents:
        """Bring the scene graph to a step; returns the agents that were placed."""
        scene = self._scene
        if scene is None:
            raise DataError("renderer: no scene loaded; call load(scene) first")
        if not 0 <= step < len(scene):
            raise DataError(f"renderer: step {step} outside the scene's 0..{len(scene) - 1}")
        agents = scene.agents if agents is None else agents
        signals = scene.signals if signals is None else signals
        known = min(agents.steps, signals.states.shape[1])  # an edited scene may end earlier than the one loaded
        if step >= known:
            raise DataError(f"renderer: step {step} outside the 0..{known - 1} of the edited agents or signals")
        self._place(scene.ego_poses[step], agents, signals, row=step, clock=step, labels=labels)
        return agents

    def _place(
        self, ego_pose: np.ndarray, agents: Agents, signals: Signals, row: int, clock: int, labels: bool
    ) -> None:
        x, y, heading = ego_pose.tolist()
        self._ego.setPosHpr(x, y, 0.0, np.degrees(heading), 0.0, 0.0)
        self._static.follow(x, y, clock)
        self._agents.update(agents, row, ego_pose[:2], labels, clock)
        self._signals.update(signals, row, labels)

    def _free(self) -> None:
        """Drop the loaded scene, if any."""
        if self._scene is not None:
            self._static.close()
            self._moving.removeNode()
            self._scene = None


def _reduced(frame: UInt8[np.ndarray, "C H W 3"], factor: int) -> UInt8[np.ndarray, "C h w 3"]:
    """Average of factor x factor pixels."""
    cameras, height, width = frame.shape[:3]
    stacked = Image.fromarray(frame.reshape(cameras * height, width, 3))
    return np.asarray(stacked.reduce(factor)).reshape(cameras, height // factor, width // factor, 3).copy()
