"""The metric cache: whole, resumable, honest about what it could not prepare."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from eyesup.data.navsim import cache as cache_module
from eyesup.data.navsim.cache import MetricCache, build_cache, from_bytes, to_bytes
from eyesup.data.navsim.source import NavsimSource, Roots
from eyesup.data.navsim.splits import find_split
from eyesup.data.restricted_pickle import load_pickle
from eyesup.scoring.pdm import prepare, score
from eyesup.scoring.pdm.scene import PreparedScene
from eyesup.types.errors import DataError

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuplan"
DATA = GOLDEN / "minimal_navsim"
SPLIT = find_split("own_world", [DATA / "config"])


@pytest.fixture
def source() -> NavsimSource:
    return NavsimSource(Roots(DATA, GOLDEN / "minimal_maps"), SPLIT)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache")
    build_cache(NavsimSource(Roots(DATA, GOLDEN / "minimal_maps"), SPLIT), root)
    return root


def plans_of(scene: PreparedScene) -> np.ndarray:
    t = 0.5 * np.arange(1, 9)
    speeds = [[v * t, 0.3 * t, 0.02 * t] for v in (0.0, 4.0, 8.0, 12.0)]
    return np.array(speeds).transpose(0, 2, 1)[None]


def test_a_stored_scene_gives_the_same_scores_to_the_last_bit(source: NavsimSource, built: Path):
    cache = MetricCache(built)
    assert cache.keys == source.keys and len(cache) == 3
    for key in cache.keys:
        fresh, stored = prepare(source.inputs(key), "v1", "v2"), cache[key]
        for version in ("v1", "v2", "v2.2"):  # the last was not worked out beforehand
            ours, theirs = (score(plans_of(scene), [scene], version) for scene in (stored, fresh))
            assert np.array_equal(ours.score, theirs.score)
            assert all(np.array_equal(ours.filtered[name], theirs.filtered[name]) for name in ours.filtered)


def test_building_again_makes_nothing_and_mends_what_is_missing(source: NavsimSource, built: Path, tmp_path: Path):
    root = tmp_path / "cache"
    shutil.copytree(built, root)
    assert build_cache(source, root).made == 0
    before = {path: path.read_bytes() for path in root.rglob("*.npz")}
    gone, cut, _ = sorted(before)
    gone.unlink()
    cut.write_bytes(before[cut][:500])
    assert build_cache(source, root).made == 2
    assert {path: path.read_bytes() for path in root.rglob("*.npz")} == before
    assert build_cache(source, root, versions=("v2",)).made == 3  # other versions, made anew


def test_workers_make_the_same_files(tmp_path: Path, navsim_split: Path):
    roots = Roots(navsim_split, navsim_split / "maps")
    ours = NavsimSource(roots, find_split("own_world", [navsim_split / "config"]), every=4)
    for workers in (1, 2):
        build_cache(ours, tmp_path / str(workers), versions=("v2",), workers=workers)
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.*"))
    assert len(files) >= 3
    assert all((tmp_path / "1" / f).read_bytes() == (tmp_path / "2" / f).read_bytes() for f in files)


def test_ray_makes_the_same_files(tmp_path: Path, navsim_split: Path):
    pytest.importorskip("ray", reason="ray is not installed (pip install 'eyesup[ray]')")
    roots = Roots(navsim_split, navsim_split / "maps")
    ours = NavsimSource(roots, find_split("own_world", [navsim_split / "config"]), every=4)
    here = build_cache(ours, tmp_path / "process", versions=("v2",))
    over_ray = build_cache(ours, tmp_path / "ray", versions=("v2",), workers=2, engine="ray")
    assert here == over_ray and here.made == len(ours) >= 2
    files = sorted(path.relative_to(tmp_path / "ray") for path in (tmp_path / "ray").rglob("*.*") if path.is_file())
    assert len(files) == len(ours) + 1
    assert all((tmp_path / "process" / f).read_bytes() == (tmp_path / "ray" / f).read_bytes() for f in files)


def test_a_build_that_was_killed_goes_on_where_it_stopped(
    source: NavsimSource, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        """As if the process ended: nothing catches it."""

    prepared = []

    def dies_at_the_second(inputs, *versions):
        prepared.append(inputs.name)
        if len(prepared) == 2:
            raise Killed
        return prepare(inputs, *versions)

    monkeypatch.setattr(cache_module, "prepare", dies_at_the_second)
    with pytest.raises(Killed):
        build_cache(source, tmp_path)
    assert len(list(tmp_path.rglob("*.npz"))) == 1 and not (tmp_path / "index.json").exists()
    with pytest.raises(DataError, match="no metric cache here"):
        MetricCache(tmp_path)
    assert build_cache(source, tmp_path).made == 2
    assert prepared == [source.keys[0], source.keys[1], source.keys[1], source.keys[2]]
    for path in [*built.rglob("*.npz"), built / "index.json"]:
        assert (tmp_path / path.relative_to(built)).read_bytes() == path.read_bytes()


def test_scenes_that_cannot_be_prepared_stop_or_are_listed(tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    (log,) = (data / "navsim_logs" / "mini").glob("*.pkl")
    rows = load_pickle(log)
    rows[4]["roadblock_ids"] = ["17"]
    log.write_bytes(pickle.dumps(rows))
    source = NavsimSource(Roots(data, GOLDEN / "minimal_maps"), SPLIT)
    with pytest.raises(DataError, match=r"scene 3f52cef2fd527b8e .*roadblock '17' is neither"):
        build_cache(source, tmp_path / "cache")
    report = build_cache(source, tmp_path / "cache", keep_going=True)
    assert (report.scenes, list(report.failures)) == (2, ["3f52cef2fd527b8e"])
    cache = MetricCache(tmp_path / "cache")
    assert "3f52cef2fd527b8e" not in cache
    with pytest.raises(DataError, match=r"no prepared scene '3f52cef2fd527b8e': .*roadblock '17'"):
        cache["3f52cef2fd527b8e"]


def test_damaged_files(source: NavsimSource, built: Path, tmp_path: Path):
    scene = MetricCache(built)[source.keys[0]]
    data = to_bytes(scene, ("v2",))
    assert from_bytes(data).name == scene.name
    for broken in (b"", b"PK\x03\x04", data[: len(data) // 2], data[:-200] + bytes(200)):
        with pytest.raises(DataError, match="damaged"):
            from_bytes(broken, "x.npz")
    with pytest.raises(DataError, match="no metric cache here"):
        MetricCache(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"format": 99, "scenes": {}, "failures": {}}))
    with pytest.raises(DataError, match="format 99, this version reads 1"):
        MetricCache(tmp_path)
