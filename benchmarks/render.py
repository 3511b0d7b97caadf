"""Frames per second of the renderer on one core, beside a plain Panda3D rendering of the same scenes.

    python benchmarks/render.py --scenarios red_light lead_brakes --seeds 0 1 --out benchmarks/results/render.md

Every scene counted has at least 10 vehicles and 30 buildings. Frames per second are per three-camera frame of
3 x 256 x 144 px, picture copied to a NumPy array included; the median over scenes is reported. Time is the process's CPU
time (wall time on an idle core), so that a shared machine does not blur the number; wall time is printed beside it.

The plain baseline draws the same meshes the way a first version would: one node per object, one buffer and one engine
frame per camera, ground in one piece, all props at full detail; no haze, shadows or lamps that light up.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the thread limits
from panda3d import core as p3  # noqa: E402

from eyesup.types import AgentKind, PropKind, Scene  # noqa: E402
from eyesup.world.render import Renderer, raster, sky, street, textures  # noqa: E402
from eyesup.world.render.bodies import body  # noqa: E402
from eyesup.world.render.ground import ground_meshes  # noqa: E402
from eyesup.world.render.light import Light, lit_colors  # noqa: E402
from eyesup.world.render.meshes import Mesh  # noqa: E402
from eyesup.world.render.static import GRAIN_CONTRAST  # noqa: E402
from eyesup.world.rigs import front3  # noqa: E402
from eyesup.world.simulate import simulate  # noqa: E402

MIN_VEHICLES, MIN_BUILDINGS = 10, 30


@dataclass(frozen=True)
class Timing:
    """Per three-camera frame: seconds of CPU and of wall time."""

    cpu_s: float
    wall_s: float


class PlainRenderer:
    """The baseline: a node per object, a buffer per camera."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._world = p3.NodePath("world")
        self._ego = self._world.attachNewNode("ego")
        self._light = Light.of(scene.appearance)
        rig = front3()
        self._buffers = [raster.CameraBuffer(rig.select((name,)), self._ego, raster.COLOR_MASK) for name in rig.names]
        seed = scene.appearance.texture_seed
        grain = raster.texture(textures.grain(seed, GRAIN_CONTRAST))
        self._atlas = raster.texture(textures.facade_atlas(seed))
        ground = ground_meshes(scene.road_map, scene.appearance, scene.ego_poses[:, :2])
        for order, mesh in zip((raster.Order.GRASS, raster.Order.ROAD), ground):
            self._attach(mesh, raster.textured(raster.flat_state(order), grain))
        dome, colors = sky.dome(scene.appearance)
        self._attach(dome, raster.flat_state(raster.Order.SKY), colors).reparentTo(self._ego)
        for kind, pose, size, look in zip(
            *(getattr(scene.props, name) for name in ("kinds", "poses", "sizes", "looks"))
        ):
            self._add_prop(PropKind(kind), pose.tolist(), size, int(look))
        self._bodies = [
            self._attach(body(AgentKind(kind), size, int(look)))
            for kind, size, look in zip(scene.agents.kinds, scene.agents.sizes, scene.agents.looks)
        ]

    def _add_prop(self, kind: PropKind, pose: list[float], size: np.ndarray, look: int) -> None:
        state = raster.textured(p3.RenderState.makeEmpty(), self._atlas)
        self._attach(street.prop(kind, size, look).moved(*pose), state)

    def _attach(self, mesh: Mesh, state: p3.RenderState | None = None, colors: np.ndarray | None = None) -> p3.NodePath:
        node = p3.GeomNode("thing")
        colors = lit_colors(mesh, self._light) if colors is None else colors
        node.addGeom(raster.geom(mesh, colors), state or p3.RenderState.makeEmpty())
        return self._world.attachNewNode(node)

    def images(self, step: int) -> np.ndarray:
        x, y, heading = self._scene.ego_poses[step].tolist()
        self._ego.setPosHpr(x, y, 0, np.degrees(heading), 0, 0)
        agents = self._scene.agents
        for row, path in enumerate(self._bodies):
            ax, ay, heading = agents.poses[row, step].tolist()
            path.setPosHpr(ax, ay, float(agents.bottom_z[row, step]), np.degrees(heading), 0, 0)
        return np.concatenate([buffer.frame() for buffer in self._buffers])

    def close(self) -> None:
        for buffer in self._buffers:
            buffer.close()
        self._world.removeNode()


def timed(draw: Callable[[int], object], steps: Sequence[int], repeats: int = 3) -> Timing:
    """Best of some passes over the steps, after one pass to warm up."""
    for step in steps:
        draw(step)
    cpu, wall = [], []
    for _ in range(repeats):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        for step in steps:
            draw(step)
        cpu.append((time.process_time() - cpu_start) / len(steps))
        wall.append((time.perf_counter() - wall_start) / len(steps))
    return Timing(min(cpu), min(wall))


def measure(scene: Scene, frames: int) -> dict[str, Timing]:
    """Timings of every row of the table on one scene."""
    steps = np.linspace(0, len(scene) - 1, frames).astype(int).tolist()
    out = {}
    with Renderer(front3()) as renderer:
        start = time.process_time(), time.perf_counter()
        renderer.load(scene)
        out["load(scene)"] = Timing(time.process_time() - start[0], time.perf_counter() - start[1])
        out["images"] = timed(renderer.images, steps)
        out["labels, no depth"] = timed(lambda step: renderer.labels(step, depth=False), steps)
        out["labels with depth"] = timed(renderer.labels, steps[:5], 1)
    with Renderer(front3(), supersample=2) as smooth:
        smooth.load(scene)
        out["images, supersample=2"] = timed(smooth.images, steps)
    plain = PlainRenderer(scene)
    out["baseline: plain Panda3D"] = timed(plain.images, steps)
    plain.close()
    return out


def vehicles(scene: Scene) -> int:
    return sum(AgentKind(kind).is_vehicle for kind in scene.agents.kinds)


def buildings(scene: Scene) -> int:
    return int((scene.props.kinds == PropKind.BUILDING).sum())


def table(results: list[dict[str, Timing]]) -> str:
    """Markdown: median over scenes."""
    lines = ["| | CPU ms | wall ms | per second (CPU) |", "|---|---|---|---|"]
    for name in results[0]:
        cpu = statistics.median(result[name].cpu_s for result in results)
        wall = statistics.median(result[name].wall_s for result in results)
        lines.append(f"| {name} | {cpu * 1e3:.2f} | {wall * 1e3:.2f} | {1 / cpu:.0f} |")
    return "\n".join(lines)


def processor() -> str:
    """The processor's name as Linux tells it."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return f"{names[0]}, {len(names)} cores (one used)" if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=["free_drive", "lead_brakes", "red_light"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--frames", type=int, default=50, help="frames per scene and pass")
    parser.add_argument("--out", type=Path, default=None, help="also write the table here")
    args = parser.parse_args()
    results, counted = [], []
    for scenario in args.scenarios:
        for seed in args.seeds:
            scene = simulate(scenario, seed)
            if vehicles(scene) < MIN_VEHICLES or buildings(scene) < MIN_BUILDINGS:
                print(f"left out {scene.key}: {vehicles(scene)} vehicles, {buildings(scene)} buildings")
                continue
            counted.append(f"{scene.key} ({vehicles(scene)} vehicles, {buildings(scene)} buildings)")
            results.append(measure(scene, args.frames))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("panda3d", "numpy", "eyesup"))
    report = "\n".join(
        [
            f"# Rendering, 3 cameras x 256 x 144, {date.today()}", "",
            f"{processor()}; Python {platform.python_version()}, {versions}; load average {os.getloadavg()[0]:.1f}.",
            f"Median over {len(results)} scenes: {'; '.join(counted)}.", "", table(results), "",
        ]
    )  # fmt: skip
    print(report)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(report)


if __name__ == "__main__":
    main()
