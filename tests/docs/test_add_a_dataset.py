"""The readers of docs/add_a_dataset.md run as the page says; the one it teaches sees nothing of the future."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyesup.data.nuscenes.export import export
from eyesup.data.source import SampleSource
from eyesup.types import DataError
from eyesup.world.store import SceneStore

PAGE = (Path(__file__).parents[2] / "docs" / "add_a_dataset.md").read_text()
NUSCENES, ARGOVERSE, READER, TRIAL = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def write_drive(folder: Path, lines: int = 12) -> None:
    """4 m/s for six lines, then braking by 0.5 m/s each, round a left bend; grey pictures, each brighter than the last."""
    folder.mkdir(parents=True)
    speeds = np.maximum(4.0 - 0.5 * np.maximum(np.arange(lines) - 6, 0), 0.0)
    headings = 0.05 * np.arange(lines)
    steps = 0.5 * speeds[:, None] * np.column_stack([np.cos(headings), np.sin(headings)])
    xy = np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], axis=0)])
    np.savetxt(folder / "track.csv", np.column_stack([0.5 * np.arange(lines), xy, headings]), delimiter=",")
    for line in range(lines):
        Image.fromarray(np.full((144, 256, 3), 20 * line, np.uint8)).save(folder / f"{line}.jpg")


@pytest.fixture
def drives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SampleSource]:
    """`drives(folder)`: the page's reader on a folder of two drives; the page's module can be imported."""
    (tmp_path / "my_drives.py").write_text(READER)
    assert "Save it as `my_drives.py`" in PAGE
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_drives", raising=False)
    for name in ("drives", "others"):
        write_drive(tmp_path / name / "monday")
        write_drive(tmp_path / name / "tuesday", lines=11)
    yield importlib.import_module("my_drives").MyDrives
    sys.modules.pop("my_drives", None)


def flat(value: object) -> bytes:
    """Every number and word of an Observation."""
    if hasattr(value, "__dataclass_fields__"):
        return b"".join(flat(getattr(value, f.name)) for f in fields(value))  # type: ignore[arg-type]
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return b"".join(map(flat, value)) if isinstance(value, tuple | list) else repr(value).encode()


def test_the_page_s_reader_is_a_source_and_is_scored(drives, capsys):
    source = drives("drives")
    assert isinstance(source, SampleSource) and source.keys == ("monday@4", "monday@5", "tuesday@4")
    sample = source[0]
    assert sample.observation.images.shape == (1, 1, 144, 256, 3) and sample.observation.images.mean() == pytest.approx(
        80, abs=1
    )
    assert sample.observation.ego.speed_mps == pytest.approx(
        4.0
    ) and sample.observation.ego.yaw_rate_rps == pytest.approx(0.1)
    assert sample.observation.history.times_s.tolist() == [-0.5, -1.0, -1.5, -2.0]
    assert sample.truth.future.poses[0] == pytest.approx([2.0, 0.0, 0.05])
    exec(compile(TRIAL, "docs/add_a_dataset.md", "exec"), {})
    assert re.match(r"3 keyframes, L2 over 3 s \d\.\d+ m", capsys.readouterr().out)


def test_nothing_after_now_reaches_an_observation_of_it(drives, tmp_path):
    track = tmp_path / "others" / "monday" / "track.csv"
    rows = np.loadtxt(track, delimiter=",")
    rows[5:, 1:] += 7.0
    np.savetxt(track, rows, delimiter=",")
    for line in range(5, 12):
        Image.new("RGB", (256, 144)).save(track.parent / f"{line}.jpg")
    one, two = drives("drives"), drives("others")
    assert not np.array_equal(one[0].truth.future.poses, two[0].truth.future.poses)
    assert flat(one[0].observation) == flat(two[0].observation)
    assert flat(one[1].observation) != flat(two[1].observation)  # its own moment was altered


def test_what_is_missing_is_named(drives, tmp_path):
    (tmp_path / "others" / "monday" / "4.jpg").unlink()
    with pytest.raises(DataError, match=r"4\.jpg: image is missing"):
        drives("others")[0]
    track = tmp_path / "others" / "monday" / "track.csv"
    np.savetxt(track, np.loadtxt(track, delimiter=",")[::2], delimiter=",")
    with pytest.raises(DataError, match=r"lines are 1\.00 s apart at most, expected 0\.5 s; resample"):
        drives("others")
    track.unlink()
    with pytest.raises(DataError, match=r"track\.csv is missing; every folder of a drive holds one"):
        drives("others")


def test_the_nuscenes_example_reads_a_data_set(tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    export(SceneStore(tiny_store), tmp_path / "root", "mini_val", "stored", 1)
    assert '"/data/nuscenes"' in NUSCENES
    namespace: dict[str, object] = {}
    exec(
        compile(NUSCENES.replace("/data/nuscenes", str(tmp_path / "root")), "docs/add_a_dataset.md", "exec"), namespace
    )
    assert capsys.readouterr().out.startswith("scene-0103@")


def test_the_argoverse_example_reads_a_log(write_argoverse_log, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log = write_argoverse_log(tmp_path / "LOG")
    assert '"/data/av2/val/LOG"' in ARGOVERSE
    exec(compile(ARGOVERSE.replace("/data/av2/val/LOG", str(log)), "docs/add_a_dataset.md", "exec"), {})
    assert capsys.readouterr().out == "argoverse2-LOG 80 steps, 2 agents, 5 lanes, 2 keyframes\n"
