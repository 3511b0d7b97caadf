"""Imported maps: hand-made OpenStreetMap and OpenDRIVE files whose measures are known, driven by the expert."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup.geometry.polygons import contains
from eyesup.types import DataError, EyesUpError, SignalState
from eyesup.world.check import generate_command
from eyesup.world.generate import GenerateConfig
from eyesup.world.import_map import facts_of, import_town
from eyesup.world.map_io import map_to_bytes
from eyesup.world.render import Renderer
from eyesup.world.rigs import front3
from eyesup.world.simulate import simulate

MAPS = Path(__file__).parent / "maps"


@pytest.fixture(scope="module")
def bend(tmp_path_factory):
    return import_town(MAPS / "bend.xodr", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    return import_town(MAPS / "square.osm", tmp_path_factory.mktemp("cache"))


def test_opendrive_keeps_its_measures(bend):
    facts = facts_of(bend)
    assert facts.road_km == pytest.approx(2 * 0.6942, rel=0.02)  # both directions of 300 m + 94.2 m + 300 m
    assert facts.width_m == pytest.approx(361.7, abs=2.0) and facts.height_m == pytest.approx(361.7, abs=2.0)
    roads = [lane for lane in bend.road_map.lanes if not lane.is_junction]
    assert {round(lane.width_m, 2) for lane in roads} == {3.4}
    assert {round(3.6 * lane.speed_limit_mps) for lane in roads} == {30, 40}


def test_a_bend_of_60_m_has_its_radius(bend):
    """The middle of the circle, in the map's own frame, is found from the lanes: the right one is 61.7 m away from it."""
    shift = np.array(bend.offset)
    centre = np.array([300.0, 60.0])
    distances = [
        np.linalg.norm(lane.centerline - shift - centre, axis=1)[(lane.centerline - shift)[:, 0] > 315.0]
        for lane in bend.road_map.lanes
        if not lane.is_junction
    ]
    near = np.concatenate([d[d < 65.0] for d in distances])
    assert len(near) > 20
    assert np.abs(near[:, None] - [58.3, 61.7]).min(axis=1).max() < 0.35


def test_openstreetmap_gives_streets_signals_and_sidewalks(square):
    facts = facts_of(square)
    assert (
        facts.signals == 4 and facts.signs > 0 and facts.crosswalks >= 4
    )  # one crossing with signals: four approaches
    # Three streets of 312 m each way, and the same of 312 m (one 67 m longer): twice that in lanes, less the junctions.
    total_km = 2 * (3 * 0.3115 + 3 * 0.3117 + 0.0668)
    assert 0.85 * total_km < facts.road_km < total_km
    assert square.road_map.sidewalks and facts.width_m == pytest.approx(315.0, abs=12.0)
    assert all(head.sign in (SignalState.OFF, SignalState.STOP_SIGN, SignalState.YIELD_SIGN) for head in square.signals)


@pytest.mark.parametrize(("town", "seed"), [("bend", 0), ("square", 1)])
def test_the_expert_drives_an_imported_town(town, seed, request):
    town = request.getfixturevalue(town)
    scene = simulate("free_drive", seed, duration_s=10.0, town=town)
    assert scene.tags["town"] == town.name and scene.tags["town_kind"] == "imported"
    driven = np.linalg.norm(np.diff(scene.ego_poses[:, :2], axis=0), axis=1).sum()
    assert driven > 20.0
    inside = np.zeros(len(scene), bool)
    for ring in scene.road_map.drivable:
        inside |= contains(ring, scene.ego_poses[:, :2])
    assert inside.all()
    with Renderer(front3(96, 54)) as renderer:
        renderer.load(scene)
        assert renderer.images(50).std() > 10


def test_the_same_file_gives_the_same_bytes(square, tmp_path):
    import_town.cache_clear()
    again = import_town(MAPS / "square.osm", tmp_path)
    assert again.name == square.name and again.signals == square.signals
    assert map_to_bytes(again.road_map) == map_to_bytes(square.road_map)
    assert again.net_file.read_bytes() == square.net_file.read_bytes()


def test_a_compressed_file_is_the_same_town(bend, tmp_path):
    packed = tmp_path / "bend.xodr.gz"
    packed.write_bytes(gzip.compress((MAPS / "bend.xodr").read_bytes()))
    assert map_to_bytes(import_town(packed, tmp_path / "cache").road_map) == map_to_bytes(bend.road_map)


def test_a_store_knows_the_map_by_its_content(tmp_path, monkeypatch):
    monkeypatch.setenv("EYESUP_CACHE", str(tmp_path / "cache"))
    config = GenerateConfig(tmp_path / "store", scenarios={"free_drive": 1.0}, town=MAPS / "bend.xodr")
    moved = tmp_path / "bend.xodr"
    moved.write_bytes((MAPS / "bend.xodr").read_bytes())
    assert config.fingerprint == replace(config, town=moved).fingerprint != replace(config, town=None).fingerprint
    assert "--town MAP_FILE_OF_bend-" in generate_command(config.out, config.content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("town.txt", b"", r"suffix '.txt' is unknown; give an .osm or .xodr file"),
        ("none.osm", None, "cannot be read .* check the path"),
        ("cut.xodr.gz", gzip.compress(b"<OpenDRIVE/>" * 50, mtime=0)[:-9], "cannot be read"),
        ("words.xodr", b"no map", "is no OpenDRIVE file"),
        ("words.osm", b"no map", "could not be converted|holds no road"),
        ("empty.osm", b'<osm version="0.6"></osm>', "could not be converted|holds no road"),
    ],
)
def test_what_is_no_map_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EyesUpError, match=message):
        import_town(tmp_path / name, tmp_path / "cache")


def test_a_scenario_with_roads_of_its_own_is_refused(bend):
    with pytest.raises(
        DataError, match=r"scenario curve needs roads of its own; in another town choose one of free_drive"
    ):
        simulate("curve", 0, town=bend)


@pytest.mark.skipif(importlib.util.find_spec("py123d") is None, reason="py123d (CARLA's town maps) is not installed")
def test_a_town_of_carla_is_driven(tmp_path):
    import py123d

    path = Path(py123d.__file__).parent / "parser" / "opendrive" / "carla_maps" / "Town01.xodr.gz"
    town = import_town(path, tmp_path)
    assert facts_of(town).width_m == pytest.approx(400.0, abs=10.0) and facts_of(town).signals > 20
    assert len(simulate("free_drive", 0, duration_s=8.0, town=town)) == 81
