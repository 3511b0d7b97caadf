"""The road around a keyframe, cut out of a map drawn by hand and of one that we wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eyesup.cli.score_nuscenes import run, score_all
from eyesup.data.nuscenes.areas import KERB_POINTS, Areas, road_around
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.definitions import lidar_future
from eyesup.data.nuscenes.export import export
from eyesup.data.nuscenes.maps import EXPANSION, LISTS, VERSION
from eyesup.types import DataError
from eyesup.world.store import SceneStore

# A road along +y, x from 96 to 104, with an island in the middle of it; its two halves are segments that share a border.
ROAD = [(96.0, 0.0), (104.0, 0.0), (104.0, 400.0), (96.0, 400.0)]
ISLAND = [(99.0, 210.0), (101.0, 210.0), (101.0, 220.0), (99.0, 220.0)]
HALVES = [
    [(96.0, 0.0), (104.0, 0.0), (104.0, 205.0), (96.0, 205.0)],
    [(96.0, 205.0), (104.0, 205.0), (104.0, 400.0), (96.0, 400.0)],
]
NORTH = np.array([100.0, 200.0, np.pi / 2])  # in the middle of it, facing +y


def write_map(path: Path, **changes: object) -> Path:
    content: dict[str, object] = {name: [] for name in LISTS}
    nodes: list[dict] = []

    def named(ring: list[tuple[float, float]]) -> list[str]:
        tokens = [f"n{len(nodes) + i}" for i in range(len(ring))]
        nodes.extend({"token": token, "x": x, "y": y} for token, (x, y) in zip(tokens, ring))
        return tokens

    polygons = [{"token": "road", "exterior_node_tokens": named(ROAD), "holes": [{"node_tokens": named(ISLAND)}]}]
    polygons += [
        {"token": f"half{i}", "exterior_node_tokens": named(ring), "holes": []} for i, ring in enumerate(HALVES)
    ]
    content |= {
        "version": VERSION, "canvas_edge": [500.0, 500.0], "arcline_path_3": {}, "connectivity": {}, "polygon": polygons, "node": nodes,
        "drivable_area": [{"token": "d", "polygon_tokens": ["road"]}],
        "road_segment": [{"token": "s0", "polygon_token": "half0"}],
        "lane": [{"token": "l0", "polygon_token": "half1"}], **changes,
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


def test_the_drivable_area_is_cut_to_100_m_and_keeps_its_holes(tmp_path: Path):
    [(road, island)] = Areas(write_map(tmp_path / "m.json")).drivable(NORTH)
    np.testing.assert_allclose(sorted(road.round(9).tolist()), [[-50, -4], [-50, 4], [50, -4], [50, 4]])
    np.testing.assert_allclose(sorted(island.round(9).tolist()), [[10, -1], [10, 1], [20, -1], [20, 1]])


def test_the_kerbs_are_the_outline_of_segments_and_lanes_together(tmp_path: Path):
    """Not the border that the two share, and not the island, which these layers do not know."""
    right, left = sorted(Areas(write_map(tmp_path / "m.json")).kerbs(NORTH), key=lambda line: line[0, 1])
    for line, y in ((right, -4.0), (left, 4.0)):
        assert line.shape == (KERB_POINTS, 2)
        np.testing.assert_allclose(line[:, 1], y, atol=1e-9)
        np.testing.assert_allclose(np.sort(line[:, 0]), np.linspace(-51.0, 51.0, KERB_POINTS), atol=1e-9)


def test_far_from_any_road_there_is_none(tmp_path: Path):
    areas = Areas(write_map(tmp_path / "m.json"))
    for right_m in (60.0, 200.0, 900.0):  # next to it, and where nothing is kept
        away = NORTH + [right_m, 0.0, 0.0]
        assert areas.drivable(away) == () and areas.kerbs(away) == ()


def test_what_is_kept_for_a_square_does_not_show(tmp_path: Path):
    """Across the borders of the squares of 200 m, and seen from a slope, the road is where it is."""
    areas = Areas(write_map(tmp_path / "m.json"))
    for y in (195.0, 199.9, 200.0, 205.0):
        [(road, _)] = areas.drivable(np.array([100.0, y, np.pi / 2]))
        assert np.abs(road).max(axis=0) == pytest.approx([50.0, 4.0]) and len(areas.kerbs(NORTH)) == 2
    for left in areas.kerbs(np.array([100.0, 200.0, np.pi / 2 - 0.1])):
        assert abs(left[:, 0] * np.sin(-0.1) + left[:, 1] * np.cos(-0.1)) == pytest.approx(4.0)


def test_a_map_that_names_what_is_not_there(tmp_path: Path):
    for change in (
        {"drivable_area": [{"token": "d", "polygon_tokens": ["nothing"]}]},
        {"lane": [{"token": "l0", "polygon_token": None}]},
        {"node": []},
    ):
        with pytest.raises(DataError, match=r"m\.json: a layer names something that is not there"):
            Areas(write_map(tmp_path / "m.json", **change))
    with pytest.raises(DataError, match=r"cannot be read .*; unpack the map expansion"):
        Areas(tmp_path / "none.json")


@pytest.fixture(scope="module")
def root(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("areas") / "root"
    export(SceneStore(tiny_store), folder, "mini_val", "stored", 1)
    return folder


def test_on_a_world_written_data_set_the_driven_path_stays_on_the_road(root: Path):
    data = NuScenes(root, cache=False)
    drivable, kerbs = road_around(data, 0)
    assert drivable and kerbs and min(len(ring) for rings in drivable for ring in rings) >= 3
    rows = np.arange(len(data))
    driven = {data.tokens[i]: lidar_future(data, int(i))[0] for i in rows}
    aside = {token: path + np.linspace(0.0, 6.0, 7)[1:, None] * [1.0, 0.0] for token, path in driven.items()}
    on, off = (score_all(data, paths, rows, ("omnidrive", "bevplanner")) for paths in (driven, aside))
    assert len(on["omnidrive"].ids) == len(data) - 6
    for result in on.values():
        [steps] = result.off_road.values()
        assert not steps.any()
    assert off["omnidrive"].off_road["intersection"][:, -1].all() and off["bevplanner"].off_road["kerb"].any()


def test_without_the_map_two_numbers_are_left_out_and_it_says_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bare = tmp_path / "root"
    bare.mkdir()
    (bare / "v1.0-mini").symlink_to(root / "v1.0-mini")
    data = NuScenes(bare)
    plans = tmp_path / "plans.json"
    plans.write_text(json.dumps({token: lidar_future(data, i)[0].tolist() for i, token in enumerate(data.tokens)}))
    assert run(bare, plans, tmp_path / "out.jsonl", split="mini_val", frame="lidar") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "omnidrive and bevplanner's kerbs not scored: no map expansion of boston-seaport; unpack" in said
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    means = {line["protocol"]: line["dataset"] for line in lines if "dataset" in line}
    assert "omnidrive" not in means and "kerb" not in means["bevplanner"] and len(means) == 8
    with pytest.raises(
        DataError, match=rf"{EXPANSION}/boston-seaport\.json: cannot be read .* unpack the map expansion"
    ):
        run(bare, plans, tmp_path / "out.jsonl", split="mini_val", frame="lidar", protocol="omnidrive")
