"""Tables without the devkit: the same answers as the devkit's, two ways of reading JSON, the cache, and bad files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eyesup.data.nuscenes import lines
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.schema import OFFICIAL_COUNTS, SPLITS, TABLES, split_scenes
from eyesup.data.nuscenes.tables import Tables, read_table
from eyesup.types import DataError

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuscenes"
SAID = json.loads((GOLDEN / "devkit.json").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tables in a folder of their own, to be damaged."""
    shutil.copytree(GOLDEN / "v1.0-mini", tmp_path / "root" / "v1.0-mini")
    return tmp_path / "root"


@pytest.fixture
def edit(copy: Path) -> Callable[..., None]:
    def change(table: str, row: int, **values: object) -> None:
        path = copy / "v1.0-mini" / f"{table}.json"
        rows = json.loads(path.read_text())
        rows[row] |= values
        path.write_text(json.dumps(rows))

    return change


def test_look_ups_equal_the_devkit():
    data = NuScenes(GOLDEN, cache=False)
    for number, said in enumerate(SAID["samples"]):
        assert data.tokens[number] == said["token"] and data.index(said["token"]) == number
        for channel, token in said["data"].items():
            row = data.data_row(number, channel)
            assert data.tables["sample_data"].row(row)["token"] == token
        anns = data.tables["sample_annotation"].tokens[data.annotation_rows(number)]
        assert [token.decode() for token in anns] == said["anns"]


def test_boxes_in_the_lidar_frame_equal_the_devkit():
    from eyesup.data.nuscenes.dataset import inverse

    data = NuScenes(GOLDEN, cache=False)
    for number, said in enumerate(SAID["samples"]):
        boxes, frame = data.boxes(number), inverse(data.ego_poses[number] @ data.ego_from_lidar[number])
        assert list(boxes.categories) == said["names"]
        expected = np.array(said["lidar_boxes"])
        centres = boxes.centres @ frame[:3, :3].T + frame[:3, 3]
        ahead = (frame[:3, :3] @ boxes.rotations)[:, :2, 0]
        np.testing.assert_allclose(centres, expected[:, :3], atol=1e-9)
        np.testing.assert_allclose(boxes.sizes[:, [1, 0, 2]], expected[:, 3:6])
        np.testing.assert_allclose(np.arctan2(ahead[:, 1], ahead[:, 0]), expected[:, 6], atol=1e-9)


def test_the_camera_sees_boxes_where_the_devkit_does():
    from eyesup.data.nuscenes.source import agents_after, camera_rig

    data = NuScenes(GOLDEN, cache=False)
    said, front = SAID["samples"][3], camera_rig(data, 3).select(("front",)).cameras[0]
    boxes = agents_after(data, 3, 0)
    ego = np.column_stack([boxes.poses[:, 0, :2], boxes.bottom_z[:, 0] + boxes.sizes[:, 2] / 2])
    seen = (ego - front.ego_from_cam[:3, 3]) @ front.ego_from_cam[:3, :3]
    assert said["camera_centres"]
    for centre in said["camera_centres"]:  # the devkit leaves out what is not in the picture
        assert np.abs(seen - centre).max(axis=1).min() < 1e-5
    np.testing.assert_allclose(front.intrinsics, said["intrinsics"])


NESTED = {"calibrated_sensor"}  # a list in a list: left to the JSON parser


@pytest.mark.parametrize("table", list(TABLES))
def test_both_ways_of_reading_give_the_same(table: str, tmp_path: Path):
    rows = json.loads((GOLDEN / "v1.0-mini" / f"{table}.json").read_text())
    published = tmp_path / f"{table}.json"
    published.write_text(json.dumps(rows, indent=0))  # one field a line, as nuScenes is published
    assert (lines.read_lines(published.read_bytes(), TABLES[table]) is None) == (table in NESTED)
    fast = read_table(published, TABLES[table])
    slow = read_table(GOLDEN / "v1.0-mini" / f"{table}.json", TABLES[table])
    assert fast.num_rows == len(rows) and fast.to_pylist() == slow.to_pylist()
    for row, read in zip(rows, fast.to_pylist()):
        assert {name: value for name, value in read.items() if value is not None} == row


def test_a_text_that_looks_like_a_border_between_rows_is_kept(tmp_path: Path):
    path = tmp_path / "attribute.json"
    rows = [
        {"token": "1", "name": 'a"},\n{"b', "description": "],[ },{"},
        {"token": "2", "name": "c", "description": ""},
    ]
    path.write_text(json.dumps(rows, indent=0))
    assert read_table(path, TABLES["attribute"]).to_pylist() == rows


def published(table: str, rows: int = 9) -> bytes:
    """The first rows of a table, one field a line."""
    return json.dumps(json.loads((GOLDEN / "v1.0-mini" / f"{table}.json").read_text())[:rows], indent=0).encode()


def test_a_large_table_is_cut_in_blocks(monkeypatch: pytest.MonkeyPatch):
    text = published("sample_annotation", 40)  # 18 rows
    whole = lines.read_lines(text, TABLES["sample_annotation"])
    monkeypatch.setattr(lines, "_BLOCK_BYTES", 1500)  # about three rows
    parts = lines.read_lines(text, TABLES["sample_annotation"])
    assert whole is not None and parts is not None and parts.column("token").num_chunks == 5
    assert parts.to_pylist() == whole.to_pylist() == json.loads(text)


@pytest.mark.parametrize("table", ["sample_data", "sample_annotation"])
def test_damage_is_never_read_as_data(table: str):
    """Bytes changed, lost and added anywhere: what is read at all is what a JSON parser reads."""
    text, rng = published(table, 3), np.random.default_rng(0)
    read = 0
    for _ in range(300):
        damaged, place = bytearray(text), int(rng.integers(len(text)))
        kind = rng.integers(4)
        if kind == 0:
            damaged[place] = rng.choice(list(b'",[]{}:\n 0a\\-\0\xff'))
        elif kind == 1:
            damaged.insert(place, rng.choice(list(b'",[]{}:\n 0a\\-')))
        else:
            del damaged[place : place + (1 if kind == 2 else int(rng.integers(300)))]
        found = lines.read_lines(bytes(damaged), TABLES[table])
        if found is not None:
            read += 1
            rows = [{name: value for name, value in row.items() if value is not None} for row in found.to_pylist()]
            assert rows == [{k: v for k, v in row.items() if k in TABLES[table]} for row in json.loads(damaged)]
    assert 50 < read < 250  # a changed letter of a token is no damage that can be seen


@pytest.mark.parametrize("number", ["007", ".5", "5.", "0x10", "nan", "-", "+1", "null", '"1"'])
def test_what_is_no_number_is_left_to_the_parser(number: str):
    text = b'[\n{\n"token": "a",\n"timestamp": %s,\n"rotation": [\n1.0\n],\n"translation": []\n}\n]'
    assert lines.read_lines(text % b"-12", TABLES["ego_pose"]) is not None
    assert lines.read_lines(text % number.encode(), TABLES["ego_pose"]) is None
    assert lines.read_lines(text.replace(b"1.0", number.encode()) % b"-12", TABLES["ego_pose"]) is None


def test_the_cache_answers_the_same_and_notices_a_change(copy: Path, tmp_path: Path, edit: Callable[..., None]):
    folder, cache = copy / "v1.0-mini", tmp_path / "cache"
    first = Tables(folder, cache)
    assert first.write_cache() is not None
    again = Tables(folder, cache)
    for name in TABLES:
        assert again._cached(name) is not None
        assert [again[name].row(i) for i in range(len(again[name]))] == [
            first[name].row(i) for i in range(len(first[name]))
        ]
    token = SAID["samples"][4]["token"]
    assert again["sample"].find(token) == first["sample"].find(token) == 4
    edit("log", 0, vehicle="another")
    changed = Tables(folder, cache)
    assert changed._cached("log") is None and changed["log"].row(0)["vehicle"] == "another"


def test_a_truncated_table_is_named(copy: Path):
    path = copy / "v1.0-mini" / "sample_data.json"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"sample_data\.json: truncated or no JSON list"):
        len(NuScenes(copy, cache=False).tables["sample_data"])
    path.write_bytes(path.read_bytes()[:-100] + b"]")
    with pytest.raises(DataError, match=r"sample_data\.json: damaged .* unpack or download it again"):
        len(NuScenes(copy, cache=False).tables["sample_data"])


def test_missing_parts_are_named(copy: Path, tmp_path: Path):
    (copy / "v1.0-mini" / "instance.json").unlink()
    with pytest.raises(DataError, match=r"table\(s\) instance missing of 13"):
        NuScenes(copy, cache=False)
    with pytest.raises(DataError, match="no such folder"):
        NuScenes(tmp_path / "nothing", cache=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no folder v1\.0-\* with tables"):
        NuScenes(tmp_path / "empty", cache=False)
    shutil.copytree(GOLDEN / "v1.0-mini", copy / "v1.0-trainval")
    with pytest.raises(DataError, match=r"several versions \(v1\.0-mini, v1\.0-trainval\); name one"):
        NuScenes(copy, cache=False)


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ("sample", "scene_token", "belongs to an unknown scene"),
        ("sample_data", "calibrated_sensor_token", "names an unknown calibrated_sensor"),
        ("sample_data", "ego_pose_token", "names an unknown ego_pose"),
        ("sample_annotation", "instance_token", "names an unknown instance"),
        ("sample", "next", "is not the keyframe that follows in time"),
    ],
)
def test_a_wrong_token_is_named(copy: Path, edit: Callable[..., None], table: str, column: str, message: str):
    row = 6 if table == "sample_data" else 0
    rows = json.loads((copy / "v1.0-mini" / "sample_data.json").read_text())
    lidar = SAID["samples"][0]["data"]["LIDAR_TOP"]
    row = next(i for i, r in enumerate(rows) if r["token"] == lidar) if table == "sample_data" else 0
    edit(table, row, **{column: "f" * 32})
    with pytest.raises(DataError, match=message):
        data = NuScenes(copy, cache=False)
        _ = data.ego_poses, data.boxes(0)


def test_an_unknown_token_or_column_is_an_error(copy: Path, edit: Callable[..., None]):
    data = NuScenes(copy, cache=False)
    with pytest.raises(DataError, match="table sample has no token 'abc'"):
        data.index("abc")
    rows = json.loads((copy / "v1.0-mini" / "log.json").read_text())
    for row in rows:
        del row["location"]
    (copy / "v1.0-mini" / "log.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match="column 'location' is missing in 1 of 1 rows"):
        len(NuScenes(copy, cache=False).tables["log"])


def test_the_official_splits_have_their_sizes_and_do_not_overlap():
    sizes = {split: len(split_scenes(split)) for split in SPLITS}
    assert sizes == {"train": 700, "val": 150, "test": 150, "mini_train": 8, "mini_val": 2}
    whole = [name for split in ("train", "val", "test") for name in split_scenes(split)]
    assert len(set(whole)) == 1000
    assert {scenes for counts in OFFICIAL_COUNTS.values() for scenes, _ in counts.values()} == set(sizes.values())
    with pytest.raises(DataError, match="no split 'eval'; choose one of train, val"):
        split_scenes("eval")
