"""Hand-made scenes and stores shared by the tests of several rooms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from eyesup.types import (
    QA,
    AgentKind,
    Agents,
    Appearance,
    Camera,
    CameraRig,
    Cue,
    CueKind,
    Lane,
    Lights,
    Maneuver,
    Paint,
    PropKind,
    Props,
    RoadLine,
    RoadMap,
    Scene,
    Signals,
    SignalState,
    StopLine,
)


def make_hand_scene(key: str = "train-0001-hand", steps: int = 120, seed: int = 0) -> Scene:
    """A straight road along +x of a rotated world; the ego at 5 m/s follows a car 20 m ahead; a red light; 3 keyframes."""
    rng = np.random.default_rng(seed)
    t = 0.1 * np.arange(steps)
    heading = 0.3
    along = np.array([np.cos(heading), np.sin(heading)])
    ego_xy = 100.0 + t[:, None] * 5.0 * along
    ego = np.column_stack([ego_xy, np.full(steps, heading)])
    car = np.column_stack([ego_xy + 20.0 * along, np.full(steps, heading)])
    walker = np.column_stack([np.tile(ego_xy[60] + 8 * along, (steps, 1)), np.full(steps, 1.0)])
    far = np.column_stack([np.tile(ego_xy[0] + 500 * along, (steps, 1)), np.zeros(steps)])
    valid = np.ones((3, steps), bool)
    valid[1, :30] = False
    poses = np.stack([car, walker, far])
    lights = np.zeros((3, steps), np.uint8)
    lights[0, 40:] = Lights.BRAKE
    velocities = np.zeros((3, steps, 2), np.float32)
    velocities[0] = 5.0 * along
    line = ego_xy[0] + np.linspace(-20, 200, 23)[:, None] * along
    road_map = RoadMap(
        lanes=(Lane("a_0", line, 3.5, 13.9, ("b_0",)), Lane("b_0", line + 220 * along, 3.5, 13.9, left="b_1")),
        lines=(RoadLine(line + [0, 1.75], Paint.DASHED_WHITE),),
        crosswalks=(line[:3] + rng.normal(size=(3, 2)),),
        stop_lines=(StopLine(line[10:12], "a_0"),),
        drivable=(line[:4] + rng.normal(size=(4, 2)),),
    )
    return Scene(
        key=key,
        dt_s=0.1,
        ego_poses=ego,
        ego_velocities=np.tile([5.0, 0.0], (steps, 1)),
        ego_accelerations=rng.normal(size=(steps, 2)),
        ego_yaw_rates=rng.normal(size=steps),
        ego_steerings=rng.normal(size=steps),
        maneuvers=tuple(Maneuver.KEEP_FORWARD if i < steps // 2 else Maneuver.TURN_LEFT for i in range(steps)),
        agents=Agents(
            ids=np.array([7, 9, 11]),
            kinds=np.array([AgentKind.CAR, AgentKind.PEDESTRIAN, AgentKind.TRUCK], np.uint8),
            sizes=np.array([[4.5, 1.8, 1.5], [0.5, 0.5, 1.7], [8.0, 2.5, 3.0]], np.float32),
            poses=poses,
            velocities=velocities,
            valid=valid,
            lights=lights,
            looks=np.array([1, 2, 3], np.uint32),
        ),
        signals=Signals(
            ids=np.array([3]),
            poses=np.array([[*(ego_xy[0] + 60 * along), 5.0, heading + np.pi]]),
            states=np.full((1, steps), SignalState.RED, np.uint8),
            stop_lane_ids=(("a_0",),),
            stop_points=(ego_xy[0] + 55 * along)[None],
        ),
        road_map=road_map,
        props=Props(
            np.array([PropKind.TREE], np.uint8),
            np.array([[1.0, 2.0, 0.5]]),
            np.ones((1, 3), np.float32),
            np.array([5], np.uint32),
        ),
        appearance=Appearance(haze=(0.1, 0.2, 0.3), texture_seed=5),
        route=line,
        route_lane_ids=("a_0", "b_0"),
        cue=Cue(CueKind.AGENT, 7),
        keyframes=np.array([20, 40, 60]),
        tags={"scenario": "hand", "town": "paper", "split": "train", "seed": 1},
    )


def make_hand_rig(width_px: int = 48, height_px: int = 32) -> CameraRig:
    """Two cameras at the front axle, one looking ahead, one 60 degrees to the left."""
    cameras = []
    for name, yaw in (("front", 0.0), ("front_left", np.pi / 3)):
        forward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        pose = np.eye(4)
        pose[:3, :3] = np.column_stack([right, [0.0, 0.0, -1.0], forward])
        pose[:3, 3] = [1.5, 0.0, 1.5]
        intrinsics = np.array([[30.0, 0, width_px / 2], [0, 30.0, height_px / 2], [0, 0, 1]])
        cameras.append(Camera(name, intrinsics, pose, width_px, height_px))
    return CameraRig(tuple(cameras))


def hand_images(rig: CameraRig, step: int) -> np.ndarray:
    """A flat colour per step and camera, which JPEG keeps to within a level or two."""
    width, height = rig.size_px
    colours = [(step % 256, 40 * c, 200) for c in range(len(rig))]
    return np.stack([np.full((height, width, 3), colour, np.uint8) for colour in colours])


@pytest.fixture
def hand_scene() -> Callable[..., Scene]:
    return make_hand_scene


@pytest.fixture
def hand_rig() -> CameraRig:
    return make_hand_rig()


@pytest.fixture
def write_hand_scene() -> Callable[..., None]:
    """Store a hand scene with images at the keyframes and at +1, +2, +3 s, labels, and one question per keyframe."""
    from eyesup.world.store import Annotations, write_scene

    def write(root: Path, scene: Scene, rig: CameraRig, images: dict[int, np.ndarray] | None = None) -> None:
        steps = sorted({int(k) + later for k in scene.keyframes for later in (0, 10, 20, 30)})
        width, height = rig.size_px
        labels = {int(k): np.full((len(rig), height, width), int(k) % 20, np.uint8) for k in scene.keyframes}
        k = len(scene.keyframes)
        annotations = Annotations(
            cue_effect_m=np.linspace(0.0, 4.0, k),
            cue_effect_valid=np.arange(k) < k - 1 if k > 1 else np.ones(k, bool),
            ego_gap_m=np.linspace(0.5, 1.5, k),
            visible_px=np.tile(np.arange(len(scene.agents))[:, None], (k, 1, len(rig))),
            whole_px=np.tile(np.arange(len(scene.agents))[:, None] * 2, (k, 1, len(rig))),
            qa=tuple((QA(f"Question {i}?", "yes", "exist"),) for i in range(k)),
        )
        write_scene(root, scene, rig, images or {s: hand_images(rig, s) for s in steps}, labels, annotations, "f1")

    return write


@pytest.fixture
def hand_store(tmp_path: Path, hand_rig: CameraRig, write_hand_scene: Callable[..., None]) -> Path:
    """A finished store of two logs and one twin."""
    from eyesup.world.store import rig_to_json, scene_files, write_manifest

    root = tmp_path / "store"
    root.mkdir()
    keys = ("train-0001-hand", "train-0002-hand", "train-0001-hand~removed@40")
    for seed, key in enumerate(keys):
        scene = make_hand_scene(key, seed=seed)
        if "~" in key:
            scene = replace(scene, keyframes=np.array([40]), tags={**scene.tags, "twin": "removed"})
        write_hand_scene(root, scene, hand_rig)
    write_manifest(root, [scene_files(root, key) for key in keys], {"rig": json.loads(rig_to_json(hand_rig))})
    return root


@pytest.fixture(scope="session")
def log_of() -> Callable[[str, int], Scene]:
    """`log_of(scenario, seed)`: a simulated log of 12 s, made once. Read only; seeds 11 and 12 are shared by most tests."""
    from eyesup.world.simulate import simulate

    return lru_cache(lambda scenario, seed: simulate(scenario, seed, duration_s=12.0))


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two logs of the real world of 9 s, three cameras of 64 x 36 px: free driving, and a car that brakes ahead. Read only."""
    from eyesup.world.generate import GenerateConfig, generate

    root = tmp_path_factory.mktemp("tiny") / "store"
    scenarios = {"free_drive": 1.0, "lead_brakes": 1.0}
    config = GenerateConfig(root, split="val", logs=2, scenarios=scenarios, duration_s=9.0, width_px=64, height_px=36)
    generate(config, show_progress=False)
    return root


@pytest.fixture(scope="session")
def debug_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved IK-VLA of debug size with random weights. Read only."""
    from eyesup.models.ik_vla.planner import IKVLAPlanner, build
    from eyesup.models.ik_vla.presets import preset

    folder = tmp_path_factory.mktemp("checkpoints") / "debug"
    IKVLAPlanner(*build(preset("debug"), seed=0)).save(folder)
    return folder


@pytest.fixture(scope="session")
def navsim_split(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny store exported as a NAVSIM split ``own_world`` with eight cameras of 64 x 36 px. Read only."""
    from eyesup.data.navsim.write import export_store, navsim8
    from eyesup.world.store import SceneStore

    out = tmp_path_factory.mktemp("navsim") / "split"
    export_store(SceneStore(tiny_store), out, rig=navsim8(64, 36))
    return out


@pytest.fixture(scope="session")
def write_argoverse_log() -> Callable[..., Path]:
    """`write_argoverse_log(folder, seconds=8.0)`: a log in the layout of Argoverse 2, written by hand; returns the folder.

    City frame: a road along +y through (1000, 2000), two lanes one after the other and one more, the second of them a junction's, where a
    lane branches off to the left; beside them an oncoming lane and a bicycle lane; a crossing. The ego starts at (1000, 2000), 50 m
    up, and drives at 5 m/s along +y. Boxes: a car 20 m ahead at its speed, a pedestrian at (1006, 2030) from the eleventh sweep on,
    a sign, and the ego's own.
    """
    return _write_argoverse_log


def _write_argoverse_log(folder: Path, seconds: float = 8.0) -> Path:
    import pyarrow as pa
    from pyarrow import feather

    start_ns, facing = 10**18, {"qw": 0.5**0.5, "qx": 0.0, "qy": 0.0, "qz": 0.5**0.5}  # the ego's x is the city's y
    times = np.arange(round(100 * seconds)) * 10_000_000  # poses at 100 Hz
    poses = {"timestamp_ns": start_ns + times, **{k: np.full(len(times), v) for k, v in facing.items()}}
    poses |= {"tx_m": np.full(len(times), 1000.0), "ty_m": 2000.0 + 5e-9 * times, "tz_m": np.full(len(times), 50.0)}
    boxes: dict[str, list] = {name: [] for name in ("timestamp_ns", "track_uuid", "category", "length_m", "width_m", "height_m",
                                                    "qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")}  # fmt: skip
    for step, time in enumerate(times[::10]):
        driven = 5e-9 * time
        seen = [
            ("aa", "REGULAR_VEHICLE", (4.6, 1.9, 1.6), (20.0, 0.0, 0.5)),
            ("cc", "SIGN", (0.1, 0.6, 2.2), (40.0 - driven, -5.0, 0.8)),
            ("dd", "EGO_VEHICLE", (4.877, 2.0, 1.473), (0.0, 0.0, 0.0)),
        ]
        if step >= 10:
            seen.append(("bb", "PEDESTRIAN", (0.6, 0.6, 1.8), (30.0 - driven, -6.0, 0.6)))
        for track, category, size, place in seen:
            for name, value in zip(boxes, (start_ns + int(time), track, category, *size, 1.0, 0.0, 0.0, 0.0, *place)):
                boxes[name].append(value)
    (folder / "map").mkdir(parents=True)
    feather.write_feather(pa.table(poses), folder / "city_SE3_egovehicle.feather")
    feather.write_feather(pa.table(boxes), folder / "annotations.feather")
    (folder / "map" / f"log_map_archive_{folder.name}____PIT_city_1.json").write_text(json.dumps(_argoverse_map()))
    return folder


def _argoverse_map() -> dict[str, dict]:
    def points(*xy: tuple[float, float]) -> list[dict[str, float]]:
        return [{"x": 1000.0 + x, "y": 2000.0 + y, "z": 50.0} for x, y in xy]

    def lane(number: int, left: list, right: list, marks: tuple[str, str] = ("NONE", "NONE"), **facts: object) -> dict:
        return {
            "id": number, "is_intersection": False, "lane_type": "VEHICLE", "left_lane_boundary": left,
            "right_lane_boundary": right, "left_lane_mark_type": marks[0], "right_lane_mark_type": marks[1], "successors": [],
            "predecessors": [], "left_neighbor_id": None, "right_neighbor_id": None, **facts,
        }  # fmt: skip

    low, high = points((-1.75, -30.0), (-1.75, 15.0)), points((1.75, -30.0), (1.75, 15.0))
    turn = ((-1.75, 15.0), (-4.0, 24.0), (-13.0, 26.5)), ((1.75, 15.0), (-1.0, 27.0), (-13.0, 30.0))
    lanes = [
        lane(1, low, high, ("DOUBLE_SOLID_YELLOW", "DASHED_WHITE"), successors=[2, 3, 99], left_neighbor_id=5, right_neighbor_id=6),
        lane(2, points((-1.75, 15.0), (-1.75, 35.0)), points((1.75, 15.0), (1.75, 35.0)), is_intersection=True, successors=[4]),
        lane(3, points(*turn[0]), points(*turn[1]), is_intersection=True),
        lane(4, points((-1.75, 35.0), (-1.75, 120.0)), points((1.75, 35.0), (1.75, 120.0)), ("SOLID_YELLOW", "NONE")),
        lane(5, low[::-1], points((-5.25, 15.0), (-5.25, -30.0)), ("DOUBLE_SOLID_YELLOW", "NONE"), left_neighbor_id=1),
        lane(6, high, points((3.5, -30.0), (3.5, 15.0)), ("DASHED_WHITE", "SOLID_WHITE"), lane_type="BIKE", left_neighbor_id=1),
    ]  # fmt: skip
    ring = points((-20.0, -40.0), (5.0, -40.0), (5.0, 130.0), (-20.0, 130.0))
    crossing = {"id": 8, "edge1": points((-5.0, 36.0), (5.0, 36.0)), "edge2": points((-5.0, 39.0), (5.0, 39.0))}
    return {
        "lane_segments": {str(row["id"]): row for row in lanes},
        "drivable_areas": {"7": {"id": 7, "area_boundary": ring}},
        "pedestrian_crossings": {"8": crossing},
    }
