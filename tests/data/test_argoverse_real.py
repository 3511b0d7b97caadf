"""The same reader on real logs of Argoverse 2, where EYESUP_REALDATA names the folder that holds them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pyarrow import feather

from eyesup.data.argoverse.scene import read_scene
from eyesup.geometry.polygons import contains
from eyesup.geometry.projection import in_image, project
from eyesup.types import AgentKind, DataError, Maneuver, Scene, SemanticClass
from eyesup.world.ego_view import agents_in_ego_frame
from eyesup.world.render import Renderer
from eyesup.world.rigs import front3
from eyesup.world.route import make_route

LEFT_TURN = "3b3570b4-7b0b-3268-a571-b0889dbf40b6"
LOGS = (LEFT_TURN, "3bffdcff-c3a7-38b6-a0f2-64196d130958", "7fab2350-7eaf-3b7e-a39d-6937a4c1bede",
        "adcf7d18-0510-35b0-a2fa-b4cea13a6d76")  # fmt: skip
WITHOUT_POSES = "b87683ae-14c5-321f-8af3-623e7bafc3a7"


@pytest.fixture(scope="module")
def logs() -> Path:
    folder = os.environ.get("EYESUP_REALDATA")
    if not folder:
        pytest.skip("EYESUP_REALDATA is not set; it names the folder of real samples, which cannot be shipped")
    return Path(folder) / "av2_sensor_logs"


@pytest.fixture(scope="module")
def turning(logs) -> Scene:
    return read_scene(logs / LEFT_TURN)


def rotation(q: tuple[float, ...]) -> np.ndarray:
    """Of a quaternion (w, x, y, z), written out from i, j, k: the columns are q i q*, q j q*, q k q*."""

    def times(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
        return (
            a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
            a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
            a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
            a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
        )

    inverse = (q[0], -q[1], -q[2], -q[3])
    axes = ((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    return np.array([times(times(q, axis), inverse)[1:] for axis in axes]).T


def test_the_ego_goes_from_pose_to_pose_of_the_file(logs, turning):
    """Displacement over 3 s: that of the file's poses at the times of the two sweeps."""
    poses = feather.read_table(logs / LEFT_TURN / "city_SE3_egovehicle.feather").to_pylist()
    sweeps = feather.read_table(logs / LEFT_TURN / "annotations_with_ego.feather")["timestamp_ns"].unique().sort()
    first, last = (next(p for p in poses if p["timestamp_ns"] == sweeps[step].as_py()) for step in (80, 110))
    driven = turning.ego_poses[110, :2] - turning.ego_poses[80, :2]
    assert driven == pytest.approx([last["tx_m"] - first["tx_m"], last["ty_m"] - first["ty_m"]], abs=1e-9)
    assert np.linalg.norm(driven) > 5.0 and turning.ego_poses[0, :2].tolist() == [0.0, 0.0]


def test_a_box_lies_where_its_row_says(logs, turning):
    """The farthest car of one sweep, carried from the ego's frame to the city's by hand."""
    rows = feather.read_table(logs / LEFT_TURN / "annotations_with_ego.feather").to_pylist()
    poses = {
        p["timestamp_ns"]: p for p in feather.read_table(logs / LEFT_TURN / "city_SE3_egovehicle.feather").to_pylist()
    }
    times = sorted({row["timestamp_ns"] for row in rows})
    cars = [row for row in rows if row["timestamp_ns"] == times[70] and row["category"] == "REGULAR_VEHICLE"]
    car = max(cars, key=lambda row: float(np.hypot(row["tx_m"], row["ty_m"])))
    ego, start = poses[times[70]], poses[times[0]]
    turned = rotation(tuple(ego[name] for name in ("qw", "qx", "qy", "qz")))
    centre = turned @ [car["tx_m"], car["ty_m"], car["tz_m"]] + [ego["tx_m"], ego["ty_m"], ego["tz_m"]]
    wanted = centre[:2] - [start["tx_m"], start["ty_m"]]
    places = turning.agents.poses[turning.agents.valid[:, 70], 70, :2]
    near = np.linalg.norm(places - wanted, axis=1).argmin()
    assert places[near] == pytest.approx(wanted, abs=1e-6)
    row = np.flatnonzero(turning.agents.valid[:, 70])[near]
    assert turning.agents.sizes[row] == pytest.approx([car["length_m"], car["width_m"], car["height_m"]], rel=1e-6)


@pytest.mark.parametrize("name", LOGS)
def test_lanes_and_the_ego_on_the_road(logs, name):
    scene = read_scene(logs / name)
    content = json.loads(next((logs / name).glob("map/log_map_archive_*.json")).read_text())
    driving = [row for row in content["lane_segments"].values() if row["lane_type"] in ("VEHICLE", "BUS")]
    assert len(scene.road_map.lanes) == len(driving)
    assert len(scene.road_map.crosswalks) == len(content["pedestrian_crossings"])
    on_road = np.any([contains(ring, scene.ego_poses[:, :2]) for ring in scene.road_map.drivable], axis=0)
    assert on_road.mean() > 0.99  # the cuts that open holes are seams of zero width
    widths = [lane.width_m for lane in scene.road_map.lanes if not lane.is_junction]
    assert 2.5 < np.median(widths) < 4.5
    route = make_route(scene.road_map, scene.route_lane_ids)  # linked in the map
    off = [np.linalg.norm(route.at(route.project(*pose))[:2] - pose[:2]) for pose in scene.ego_poses.tolist()]
    assert np.median(off) < 0.6 and max(off) < 3.0


@pytest.mark.parametrize("name", LOGS)
def test_the_status_is_that_of_the_driven_path(logs, name):
    """Velocity looked back for against the path driven around it: central differences over 0.4 s."""
    scene = read_scene(logs / name)
    steps = np.arange(10, len(scene) - 10)
    around = (scene.ego_poses[steps + 2, :2] - scene.ego_poses[steps - 2, :2]) / 0.4
    assert np.sqrt(((np.linalg.norm(around, axis=1) - scene.ego_velocities[steps, 0]) ** 2).mean()) < 0.1
    assert np.abs(scene.ego_velocities[steps, 1]).max() < 0.3  # a car does not slide
    turned = (np.unwrap(scene.ego_poses[:, 2])[steps + 2] - np.unwrap(scene.ego_poses[:, 2])[steps - 2]) / 0.4
    assert np.sqrt(((turned - scene.ego_yaw_rates[steps]) ** 2).mean()) < 0.02


def test_the_command_is_known_without_the_future(logs, turning):
    """It waits in a lane that only turns left: the lane says so, with nothing of the drive to come."""
    assert turning.maneuvers[0] is Maneuver.TURN_LEFT
    assert turning.maneuvers == read_scene(logs / LEFT_TURN, "driven").maneuvers


def test_a_car_ahead_is_drawn_where_its_box_is(logs):
    """Of all cars seen ahead within 40 m of the keyframes, the pixel of the box's middle is one of a vehicle."""
    scene, rig = read_scene(logs / LOGS[3]), front3()
    camera = rig.cameras[rig.names.index("front")]
    hits, seen = 0, 0
    with Renderer(rig) as renderer:
        renderer.load(scene)
        for step in scene.keyframes[::6].tolist():
            classes = renderer.labels(step, depth=False).semantics[rig.names.index("front")]
            agents = agents_in_ego_frame(scene, step, 0)
            ahead = agents.valid[:, 0] & (agents.kinds == AgentKind.CAR) & (np.abs(agents.poses[:, 0, 1]) < 2.5)
            ahead &= (agents.poses[:, 0, 0] > 6.0) & (agents.poses[:, 0, 0] < 40.0)
            middles = np.column_stack([agents.poses[ahead, 0, :2], 0.4 * agents.sizes[ahead, 2]]).astype(float)
            pixels, depth = project(middles, camera)
            for u, v in pixels[in_image(pixels, depth, camera)]:
                seen += 1
                hits += classes[int(v), int(u)] in (
                    SemanticClass.VEHICLE,
                    SemanticClass.BRAKE_LIGHT,
                    SemanticClass.INDICATOR,
                )
            rows = classes[camera.height_px - 1]
            assert np.isin(
                rows, [SemanticClass.ROAD, SemanticClass.PAINT, SemanticClass.CROSSWALK, SemanticClass.VEHICLE]
            ).all()
    assert seen >= 2 and hits == seen


def test_a_log_without_poses_and_map_is_named(logs):
    with pytest.raises(DataError, match=r"b87683ae-.*: 0 files map/log_map_archive_\*\.json, expected exactly one"):
        read_scene(logs / WITHOUT_POSES)
