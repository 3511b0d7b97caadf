"""`check_store` names what is broken, `repair` deletes no more, and the command it gives is the one that made the store."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest
import tyro

from eyesup.types import DataError
from eyesup.world.check import check_store, generate_command, repair
from eyesup.world.generate import GenerateConfig
from eyesup.world.store import MANIFEST

FRAMES, SCENE = "train-0002-hand.frames.arrow", "train-0002-hand.scene.arrow"


def faults(root, **options) -> dict[str, str]:
    return {fault.path.name: fault.what for fault in check_store(root, **options).faults}


def edit_manifest(root, change) -> None:
    manifest = json.loads((root / MANIFEST).read_text())
    change(manifest)
    (root / MANIFEST).write_text(json.dumps(manifest))


def row_of(manifest, key):
    return next(row for row in manifest["scenes"] if row["key"] == key)


def test_a_whole_store_has_no_faults(hand_store):
    report = check_store(hand_store, pictures=True)
    assert report.faults == () and report.strays == ()
    assert (report.scenes, report.files) == (3, 6)
    assert report.pictures == 2 * (8 + 8 + 4)  # two cameras; steps 20 to 90 of the logs, four of the twin
    assert report.bytes == sum(path.stat().st_size for path in hand_store.glob("*.arrow"))
    assert check_store(hand_store).pictures == 2 * 3


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (FRAMES, flip_a_bit, "differs from its checksum"),
        (SCENE, flip_a_bit, "differs from its checksum"),
        (FRAMES, lambda path: path.write_bytes(path.read_bytes()[:99]), "has 99 bytes"),
        (SCENE, lambda path: path.unlink(), "is missing"),
    ],
)
def test_damage_is_named_and_repair_deletes_that_file_alone(hand_store, name, damage, words):
    others = {path.name: path.read_bytes() for path in hand_store.iterdir() if path.name != name}
    damage(hand_store / name)
    report = check_store(hand_store)
    assert [fault.path.name for fault in report.faults] == [name] and words in report.faults[0].what
    repair(report)
    assert {path.name: path.read_bytes() for path in hand_store.iterdir()} == others


def test_every_broken_file_is_named_at_once(hand_store):
    for path in hand_store.glob("*.frames.arrow"):
        flip_a_bit(path)
    assert len(faults(hand_store)) == 3


def test_counts_are_compared_with_the_manifest(hand_store):
    edit_manifest(hand_store, lambda m: row_of(m, "train-0002-hand").update(keyframes=[20, 40]))
    assert faults(hand_store) == {SCENE: "has 3 keyframes and 8 steps, the manifest 2 and 8"}


def test_a_manifest_that_is_not_there_or_cannot_be_read(hand_store):
    edit_manifest(hand_store, lambda m: m.pop("scenes"))
    assert "lacks what a manifest holds" in faults(hand_store)[MANIFEST]
    (hand_store / MANIFEST).write_text("{")
    assert "no valid JSON" in faults(hand_store)[MANIFEST]
    (hand_store / MANIFEST).unlink()
    flip_a_bit(hand_store / FRAMES)  # found all the same: the receipt in the scene file vouches for the frames
    assert faults(hand_store) == {
        MANIFEST: "is missing: generation did not finish",
        FRAMES: "differs from its checksum: its bytes were altered",
    }


def test_a_scene_that_is_no_table(hand_store):
    (hand_store / MANIFEST).unlink()
    (hand_store / SCENE).write_bytes(b"no table")
    assert "cannot be read" in faults(hand_store)[SCENE]


def test_files_of_killed_writers_are_no_faults(hand_store):
    (hand_store / ".train-0003-hand.frames.arrow.12.tmp").write_bytes(b"half")
    report = check_store(hand_store)
    assert report.faults == () and [path.name for path in report.strays] == [".train-0003-hand.frames.arrow.12.tmp"]


def test_a_lost_picture_is_named(hand_store):
    """Checksums match, as after a faulty writer: only reading shows it."""
    import hashlib

    table = pa.ipc.open_file(hand_store / FRAMES).read_all()
    cut = table.slice(1)
    with pa.OSFile(str(hand_store / FRAMES), "wb") as sink, pa.ipc.new_file(sink, cut.schema) as writer:
        writer.write_table(cut)
    data = (hand_store / FRAMES).read_bytes()

    def forge(manifest):
        row = row_of(manifest, "train-0002-hand")
        row["bytes"][FRAMES], row["sha256"][FRAMES] = len(data), hashlib.sha256(data).hexdigest()

    edit_manifest(hand_store, forge)
    found = faults(hand_store)
    assert found.keys() <= {FRAMES, SCENE} and found


def test_nothing_here_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no scene store here; run `eyesup world generate"):
        check_store(tmp_path)


def test_the_command_gives_back_the_configuration(tmp_path):
    config = GenerateConfig(
        tmp_path / "my store", split="val", logs=7, scenarios={"red_light": 2.0, "curve": 1.0}, seed=3, labels=False,
        twins=True, twin_kinds=("removed",), cue_share=0.25,
    )  # fmt: skip
    stored = json.loads(json.dumps({**config.content, "logs": config.logs}))
    import shlex

    words = shlex.split(generate_command(config.out, stored))
    assert words[:3] == ["eyesup", "world", "generate"]
    again = tyro.cli(GenerateConfig, args=words[3:])
    assert again == config
    assert generate_command(config.out, replace(config, workers=4).content | {"logs": 7}) == shlex.join(words)
