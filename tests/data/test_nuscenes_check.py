"""`eyesup data check`: what is missing or damaged is named, with a plain exit status."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eyesup.cli.main import main
from eyesup.data.nuscenes.check import check
from eyesup.data.nuscenes.schema import CAMERAS, split_scenes

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuscenes"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The golden data set with (empty-headed) files where images and points belong, so that it is whole but for its size."""
    root = tmp_path / "root"
    shutil.copytree(GOLDEN, root)
    for row in json.loads((root / "v1.0-mini" / "sample_data.json").read_text()):
        path = root / row["filename"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def damage(root: Path, table: str, edit: Callable[[list[dict]], None]) -> None:
    path = root / "v1.0-mini" / f"{table}.json"
    rows = json.loads(path.read_text())
    edit(rows)
    path.write_text(json.dumps(rows))


def test_a_part_of_a_release_is_told_from_the_whole(copy: Path, capsys: pytest.CaptureFixture[str]):
    report = check(copy)
    assert len(report.faults) == 1 and "1 scenes with 9 keyframes, the release has 8 with 323" in report.faults[0]
    assert report.files == (63, 63) and report.notes == [] and report.rows["sample_annotation"] == 18
    assert main(["data", "check", str(copy)]) == 1
    assert "mend them and repeat: eyesup data check" in " ".join(capsys.readouterr().out.split())


def test_missing_and_empty_images_are_counted(copy: Path):
    (copy / "samples" / "CAM_FRONT" / "0003.jpg").unlink()
    (copy / "samples" / "CAM_FRONT" / "0004.jpg").write_bytes(b"")
    shutil.rmtree(copy / "samples" / "LIDAR_TOP")
    report = check(copy)
    faults = [fault for fault in report.faults if fault.startswith("CAM_FRONT:")]
    assert len(faults) == 1
    assert (
        "2 file(s) missing or empty, e.g. samples/CAM_FRONT/0003.jpg, samples/CAM_FRONT/0004.jpg (empty)" in faults[0]
    )
    assert [note for note in report.notes if note.startswith("LIDAR_TOP: 9 file(s)")]
    assert report.files == (52, 63)
    assert check(copy, files=False).files == (0, 0)


def test_a_sweep_without_its_image_is_found_when_asked_for(copy: Path, capsys: pytest.CaptureFixture[str]):
    def edit(rows: list[dict]) -> None:
        front = next(row for row in rows if "CAM_FRONT/" in row["filename"])
        rows.append(
            {
                **front,
                "token": "5" * 32,
                "is_key_frame": False,
                "filename": "sweeps/CAM_FRONT/0007.jpg",
                "prev": "",
                "next": "",
            }
        )

    damage(copy, "sample_data", edit)
    assert check(copy).files == (63, 63)
    report = check(copy, sweeps=True)
    assert report.files == (63, 64)
    assert any("CAM_FRONT: 1 file(s) missing or empty, e.g. sweeps/CAM_FRONT/0007.jpg" in f for f in report.faults)
    assert main(["data", "check", str(copy), "--sweeps"]) == 1
    assert "sweeps/CAM_FRONT/0007.jpg" in "".join(capsys.readouterr().out.split())


def test_broken_links_are_counted(copy: Path):
    def edit(rows: list[dict]) -> None:
        rows[3]["instance_token"] = rows[5]["instance_token"] = "f" * 32
        rows[7]["next"] = "e" * 32

    damage(copy, "sample_annotation", edit)
    faults = check(copy).faults
    assert any("2 of 18 instance_token name no row of instance.json" in fault for fault in faults)
    assert any("1 of 18 next name no row of sample_annotation.json" in fault for fault in faults)


def test_missing_expansions_are_notes(copy: Path):
    shutil.rmtree(copy / "can_bus")
    shutil.rmtree(copy / "maps" / "expansion")
    notes = check(copy).notes
    assert any("CAN bus: 1 of 1 scenes have no messages" in note for note in notes)
    assert any("map expansion: no singapore-onenorth" in note for note in notes)


def test_a_damaged_table_is_a_fault_and_a_missing_one_an_error(copy: Path, capsys: pytest.CaptureFixture[str]):
    path = copy / "v1.0-mini" / "sample.json"
    path.write_bytes(path.read_bytes()[:-20])
    report = check(copy)
    assert any("sample.json: truncated" in fault for fault in report.faults) and not report.splits
    path.unlink()
    assert main(["data", "check", str(copy)]) == 1
    assert "error:" in (said := capsys.readouterr().err) and "table(s) sample missing of 13" in said


def test_a_whole_release_passes(
    tmp_path: Path, write_nuscenes: Callable[..., None], capsys: pytest.CaptureFixture[str]
):
    counts = dict.fromkeys(split_scenes("mini_train")[:7], 40) | {split_scenes("mini_train")[7]: 43}
    counts |= dict(zip(split_scenes("mini_val"), (40, 41)))
    write_nuscenes(tmp_path / "root", "v1.0-mini", counts)
    out = tmp_path / "report.json"
    assert main(["data", "check", str(tmp_path / "root"), "--no-files", "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "all well; next: eyesup eval" in said and "--split mini_val" in said
    splits = {row["split"]: row for row in json.loads(out.read_text())["splits"]}
    assert set(splits) == {"mini_train", "mini_val"} and splits["mini_val"]["vad"] == 81 - 12
    assert splits["mini_train"]["stp3"] == 323 - 8 * 8 and len(CAMERAS) == 6
