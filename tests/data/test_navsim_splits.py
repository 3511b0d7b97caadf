"""Scene filters and splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyesup.data.navsim.splits import SceneFilter, find_split
from eyesup.types.errors import DataError

CONFIG = Path(__file__).parents[1] / "golden" / "minimal_nuplan" / "minimal_navsim" / "config"


@pytest.fixture
def write(tmp_path: Path):
    def files(split: str, rules: str) -> Path:
        (tmp_path / "train_test_split" / "scene_filter").mkdir(parents=True)
        (tmp_path / "train_test_split" / "one.yaml").write_text(split)
        (tmp_path / "train_test_split" / "scene_filter" / "one.yaml").write_text(rules)
        return tmp_path

    return files


SPLIT = "defaults:\n  - scene_filter: one\ndata_split: test\n"


def test_the_official_example():
    split = find_split("own_world", [CONFIG])
    assert (split.name, split.data_split, split.two_stage) == ("own_world", "mini", ())
    assert split.scene_filter == SceneFilter(4, 10, 1, True)
    assert find_split(str(CONFIG / "train_test_split" / "own_world.yaml")) == split


def test_two_stages(write):
    mapping = "reactive_all_mapping:\n- - 'a'\n  - 'b'\n  - - - 'c1'\n      - 'c0'\n    - - 'd1'\n      - 'd0'\n"
    rules = "num_future_frames: 8\ninclude_synthetic_scenes: true\ntokens: ['a', 'b']\nreactive_synthetic_initial_tokens:\n- c1\n"
    split = find_split("one", [write(SPLIT + mapping, rules)])
    assert split.two_stage == (("a", "b", (("c1", "c0"), ("d1", "d0"))),)
    assert split.scene_filter.synthetic_tokens == ("c1",)
    assert split.scene_filter.tokens == ("a", "b")


def test_without_interval_scenes_do_not_overlap():
    assert SceneFilter(4, 10).step == 14
    assert SceneFilter(4, 10, 1).step == 1


def test_a_split_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NAVSIM_DEVKIT_ROOT", raising=False)
    with pytest.raises(DataError, match=r"split 'navtest' not found .*own_world.*|split 'navtest' not found"):
        find_split("navtest", [CONFIG])
    with pytest.raises(DataError, match="set NAVSIM_DEVKIT_ROOT"):
        find_split("navtest")


def test_the_devkits_folder_is_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    common = tmp_path / "navsim/planning/script/config/common"
    common.parent.mkdir(parents=True)
    common.symlink_to(CONFIG)
    monkeypatch.setenv("NAVSIM_DEVKIT_ROOT", str(tmp_path))
    assert find_split("own_world").data_split == "mini"


@pytest.mark.parametrize(
    ("split", "rules", "message"),
    [
        (SPLIT, "num_frames: 3\n", "unknown key 'num_frames'"),
        (SPLIT, "tokens: everything\n", "tokens is 'everything'; expected a number"),
        (SPLIT, "num_history_frames: 0\n", "0 history frames"),
        (SPLIT, "- a\n- b\n", "holds list, expected a mapping"),
        (SPLIT, "tokens: [a\n", "no valid YAML"),
        (SPLIT, "!!python/object/apply:os.system ['true']\n", "no valid YAML"),
        ("data_split: test\n", "max_scenes: 1\n", "needs 'data_split' and one 'scene_filter'"),
        (SPLIT + "reactive_all_mapping: [[a, b]]\n", "max_scenes: 1\n", r"expected \[now, before, pairs\]"),
    ],
)
def test_bad_files(write, split: str, rules: str, message: str):
    with pytest.raises(DataError, match=message):
        find_split("one", [write(split, rules)])
