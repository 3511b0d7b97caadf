"""The world in NAVSIM's formats: the same structure as files that the official devkits open, and the same content as the world."""

from __future__ import annotations

import json
import pickletools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
import yaml
from PIL import Image

from eyesup.data.navsim.source import NavsimSource, Roots
from eyesup.data.navsim.splits import find_split
from eyesup.data.navsim.write import export_store
from eyesup.data.nuplan_map import LOCATIONS, NuPlanMap, find_map, open_map
from eyesup.data.restricted_pickle import load_pickle
from eyesup.geometry.se2 import to_frame
from eyesup.scoring.pdm import prepare, score
from eyesup.types.errors import DataError
from eyesup.world.store import SceneStore

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuplan"


@pytest.fixture(scope="module")
def source(navsim_split: Path) -> NavsimSource:
    return NavsimSource(Roots(navsim_split, navsim_split / "maps"), find_split("own_world", [navsim_split / "config"]))


@pytest.fixture(scope="module")
def city(navsim_split: Path) -> NuPlanMap:
    return open_map(navsim_split / "maps", "us-ma-boston")


def logs_of(root: Path) -> list[Path]:
    return sorted((root / "navsim_logs" / "mini").glob("*.pkl"))


def structure(value: object, at: str = "") -> Iterator[tuple[str, str]]:
    """Every part of nested containers: keys in their order, types, and of arrays kind, item size and number of axes."""
    if isinstance(value, dict):
        yield at, "dict: " + ", ".join(value)
        for key, item in value.items():
            yield from structure(item, f"{at}.{key}")
    elif isinstance(value, np.ndarray):
        size = "" if value.dtype.kind == "U" else value.dtype.itemsize  # the longest name decides the size of text
        yield at, f"array {value.dtype.kind}{size} of {value.shape[1:]}"
    elif isinstance(value, list | tuple):
        yield at, type(value).__name__
        for item in value[:1]:
            yield from structure(item, f"{at}[]")
    else:
        yield at, type(value).__name__


def test_frames_have_the_structure_of_the_official_example(navsim_split: Path):
    official = load_pickle(logs_of(GOLDEN / "minimal_navsim")[0])
    for path in logs_of(navsim_split):
        ours = load_pickle(path)
        for row, reference in ((0, 0), (7, 7), (-1, -1)):  # the ends have no frame before, or after
            expected, found = dict(structure(official[reference])), dict(structure(ours[row]))
            if not ours[row]["traffic_lights"]:  # a road without lights: an empty list
                expected = {at: kind for at, kind in expected.items() if not at.startswith(".traffic_lights[]")}
            assert found == expected


def test_pickles_name_the_modules_of_numpy_1(navsim_split: Path):
    for path in logs_of(navsim_split):
        words = {word for _, word, _ in pickletools.genops(path.read_bytes()) if isinstance(word, str)}
        assert {word for word in words if word.startswith("numpy")} == {"numpy", "numpy.core.multiarray"}


def schema(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        pragmas = {
            f"pragma {p}": str(database.execute(f"PRAGMA {p}").fetchone()) for p in ("application_id", "user_version")
        }
        kinds = database.execute("SELECT * FROM gpkg_geometry_columns ORDER BY table_name").fetchall()
    # newer SQLite repeats the quotes of the statement that made a table, older ones do not
    tables = {name: " ".join(text.replace('"', "").split()) for name, text in rows if name != "sqlite_sequence"}
    return {**tables, **pragmas, "geometry": str(kinds)}


def test_split_files_have_the_structure_of_the_official_example(navsim_split: Path):
    for name in ("train_test_split/own_world.yaml", "train_test_split/scene_filter/own_world.yaml"):
        ours, official = (
            yaml.safe_load((root / "config" / name).read_text()) for root in (navsim_split, GOLDEN / "minimal_navsim")
        )
        assert dict(structure(ours)) == dict(structure(official)), name
        for key in ("_target_", "_convert_", "num_history_frames", "num_future_frames", "frame_interval", "has_route"):
            assert ours.get(key) == official.get(key), key


def test_the_list_of_maps_is_that_of_the_official_example_without_rasters(navsim_split: Path):
    ours, official = (
        json.loads((root / "nuplan-maps-v1.0.json").read_text())
        for root in (navsim_split / "maps", GOLDEN / "minimal_maps")
    )
    # Rasters are optional; no vector query, and nothing of NAVSIM, reads them.
    assert ours == {location: {**entry, "layers": {}} for location, entry in official.items()}


def pcd_head(root: Path) -> list[str]:
    """The head of the first point cloud without its number of points."""
    cloud = sorted((root / "sensor_blobs" / "mini").glob("*/MergedPointCloud/*.pcd"))[0].read_bytes()
    lines = cloud.split(b"DATA ", 1)[0].decode().splitlines() + [
        cloud.split(b"DATA ", 1)[1].split(b"\n", 1)[0].decode()
    ]
    return [line for line in lines if not line.startswith(("WIDTH", "POINTS"))]


def test_point_clouds_have_the_head_of_the_official_example(navsim_split: Path):
    assert pcd_head(navsim_split) == pcd_head(GOLDEN / "minimal_navsim")


@pytest.mark.parametrize("location", LOCATIONS)
def test_maps_have_the_tables_of_the_official_example(navsim_split: Path, location: str):
    ours, official = find_map(navsim_split / "maps", location), find_map(GOLDEN / "minimal_maps", location)
    assert ours.relative_to(navsim_split / "maps") == official.relative_to(GOLDEN / "minimal_maps")
    assert schema(ours) == schema(official)


def column_types(path: Path) -> dict[tuple[str, str], set[str]]:
    """SQLite keeps a type per value: what stands in each column of the non-empty tables, NULL left out."""
    found = {}
    with sqlite3.connect(path) as database:
        names = [row[0] for row in database.execute("SELECT table_name FROM gpkg_contents")]
        for name in names:
            for _, column, *_ in database.execute(f'PRAGMA table_info("{name}")').fetchall():
                kinds = {row[0] for row in database.execute(f'SELECT DISTINCT typeof("{column}") FROM "{name}"')}
                found[name, column] = kinds - {"null"}
    return found


def test_columns_hold_the_types_of_the_official_example(navsim_split: Path):
    paths = find_map(navsim_split / "maps", "us-ma-boston"), find_map(GOLDEN / "minimal_maps", "us-ma-boston")
    ours, official = (column_types(path) for path in paths)
    for column, kinds in ours.items():
        assert not kinds or not official[column] or kinds == official[column], column
    with sqlite3.connect(paths[0]) as database:
        for table, column in REFERENCES:
            assert not database.execute(f"SELECT count(*) FROM {table} WHERE {column} IS NULL").fetchone()[0], column


# One NULL among these makes the official reader lose the whole column.
REFERENCES = (
    ("lanes_polygons", "lane_group_fid"), ("lanes_polygons", "lane_fid"), ("lanes_polygons", "left_boundary_fid"),
    ("lanes_polygons", "right_boundary_fid"), ("lane_connectors", "exit_lane_fid"), ("lane_connectors", "entry_lane_fid"),
    ("lane_connectors", "lane_group_connector_fid"), ("lane_connectors", "traffic_light_stop_line_fids"),
    ("gen_lane_connectors_scaled_width_polygons", "lane_connector_fid"),
    ("gen_lane_connectors_scaled_width_polygons", "left_boundary_fid"), ("lane_group_connectors", "from_lane_group_fid"),
    ("lane_group_connectors", "to_lane_group_fid"), ("lane_group_connectors", "intersection_fid"),
)  # fmt: skip


def test_ids_are_unique_over_all_tables(navsim_split: Path):
    with sqlite3.connect(find_map(navsim_split / "maps", "us-ma-boston")) as database:
        names = [
            row[0] for row in database.execute("SELECT table_name FROM gpkg_contents WHERE data_type = 'features'")
        ]
        fids = [row[0] for name in names for row in database.execute(f'SELECT fid FROM "{name}"')]
    assert len(fids) == len(set(fids)) > 100


def test_the_map_is_sound(city: NuPlanMap):
    shapes = [lane.polygon for lane in city.lanes.values()] + [block.polygon for block in city.blocks.values()]
    assert all(shape.is_valid and shape.geom_type == "Polygon" for shape in shapes)
    for lane in city.lanes.values():
        steps = np.hypot(*np.diff(lane.baseline[:, :2], axis=0).T)
        assert steps.min() > 0 and steps.max() <= 1.0 + 1e-6
    for lane in (lane for lane in city.lanes.values() if lane.is_connector):
        assert len(lane.incoming) == len(lane.outgoing) == 1
        assert np.allclose(city.lanes[lane.incoming[0]].baseline[-1, :2], lane.baseline[0, :2], atol=1e-3)
        assert np.allclose(city.lanes[lane.outgoing[0]].baseline[0, :2], lane.baseline[-1, :2], atol=1e-3)


def test_what_was_driven_is_drivable_without_gaps(source: NavsimSource, city: NuPlanMap):
    ground = shapely.union_all(
        np.concatenate([city.areas[name].polygons for name in ("ROADBLOCK", "INTERSECTION", "CARPARK_AREA")])
    )
    for key in source.keys:
        window = source.window(key)
        path = shapely.LineString([frame.pose[:2] for frame in window.frames])
        assert ground.contains(path.buffer(0.9, cap_style="flat"))


def test_poses_agents_and_lights_are_the_worlds(source: NavsimSource, tiny_store: Path):
    store = SceneStore(tiny_store)
    for key in source.keys[::3]:
        window = source.window(key)
        scene = store.scene(window.now.log)
        step = 5 * round((window.now.time_us % 3_600_000_000) / 500_000)  # logs begin on the hour
        assert np.allclose(
            source.truth(window).future.poses,
            to_frame(scene.ego_poses[step + 5 : step + 55 : 5], scene.ego_poses[step]),
            atol=1e-6,
        )
        boxes = source.truth(window).agents
        theirs = to_frame(scene.agents.poses[scene.agents.valid[:, step], step], scene.ego_poses[step])
        for pose in boxes.poses[boxes.valid[:, 0], 0]:
            assert np.abs(theirs[:, :2] - pose[:2]).sum(axis=1).min() < 1e-3
        seen = source.observation(window)
        assert seen.command.maneuver is scene.maneuvers[step]
        assert np.allclose(seen.ego.velocity_mps, scene.ego_velocities[step])


def test_the_expert_scores_well_and_standing_still_does_not(source: NavsimSource):
    scores = []
    for key in source.keys[::4]:
        inputs = source.inputs(key)
        plans = np.stack([inputs.human, np.zeros((8, 3))])[None]
        scores.append(score(plans, [prepare(inputs)], "v2").score[0])
    human, standing = np.mean(scores, axis=0)
    assert human > 0.85
    assert human > standing


def test_every_named_file_is_there(navsim_split: Path):
    for path in logs_of(navsim_split):
        for row in load_pickle(path):
            blobs = navsim_split / "sensor_blobs" / "mini"
            assert all(Image.open(blobs / camera["data_path"]).size == (64, 36) for camera in row["cams"].values())
            cloud = (blobs / row["lidar_path"]).read_bytes()
            head, data = cloud.split(b"DATA binary\n", 1)
            points = int(head.split(b"POINTS ")[1].split()[0])
            assert len(data) == 15 * points > 0


def test_cameras_keep_their_place(source: NavsimSource):
    rig = source[0].observation.rig
    left = rig.select(("front_left",)).cameras[0]
    assert np.degrees(np.arctan2(left.ego_from_cam[1, 2], left.ego_from_cam[0, 2])) == pytest.approx(55.0)
    assert left.ego_from_cam[2, 3] == pytest.approx(1.8)


def test_stored_images_make_scenes_of_keyframes(tiny_store: Path, tmp_path: Path):
    store = SceneStore(tiny_store)
    done = export_store(store, tmp_path / "stored", name="mine", images="stored", logs=1)
    source = NavsimSource(Roots(done.out, done.out / "maps"), find_split("mine", [done.out / "config"]))
    key = store.keys[0]
    assert len(source) == done.scenes == len(store.keyframes(key))
    first = source[0].observation
    stored = store.images(key, store.keyframes(key)[0])
    assert first.rig.names == store.rig_of(key).names
    assert np.abs(first.images[0].astype(int) - stored).mean() < 3.0  # JPEG twice
    assert np.allclose(first.rig.cameras[1].ego_from_cam, store.rig_of(key).cameras[1].ego_from_cam, atol=1e-9)


def test_the_same_store_gives_the_same_bytes(tiny_store: Path, tmp_path: Path):
    for name in ("a", "b"):
        export_store(SceneStore(tiny_store), tmp_path / name, images="stored", logs=1)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 20
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_bad_wishes(tiny_store: Path, tmp_path: Path):
    store = SceneStore(tiny_store)
    with pytest.raises(DataError, match="map location 'berlin' is unknown"):
        export_store(store, tmp_path, images="stored", location="berlin")
    with pytest.raises(DataError, match="0 logs to export"):
        export_store(store, tmp_path, images="stored", logs=0)
