from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from eyesup.training.metrics_log import MetricsLog, read_metrics
from eyesup.training.run_folder import plain, read_run, write_run
from eyesup.types import DataError


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Config:
    colour: Colour = Colour.RED
    sizes: tuple[int, ...] = (1, 2)
    folder: Path = Path("a/b")


def test_a_config_becomes_plain_json():
    assert plain({"c": Config(), 3: None}) == {"c": {"colour": "red", "sizes": [1, 2], "folder": "a/b"}, "3": None}


def test_run_json_holds_what_repeats_the_run(tmp_path):
    write_run(tmp_path, "ik", {"data": Path("d")}, Config(), "eyesup eval x")
    record = read_run(tmp_path)
    assert record == json.loads((tmp_path / "run.json").read_text())
    assert (record["recipe"], record["options"], record["next"]) == ("ik", {"data": "d"}, "eyesup eval x")
    assert {"eyesup", "python", "packages", "commit", "platform"} <= record["environment"].keys()


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no run"):
        read_run(tmp_path)


def test_resumed_metrics_drop_what_is_trained_again(tmp_path):
    log = MetricsLog(tmp_path, 0, tensorboard=False)
    for step in (1, 2, 3):
        log.write(step, {"loss": float(step)})
    log.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "lo')  # killed while writing
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]
    log = MetricsLog(tmp_path, 2, tensorboard=False)
    log.write(3, {"loss": 9.0})
    log.close()
    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)] == [(1, 1.0), (2, 2.0), (3, 9.0)]


def test_tensorboard_events_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    log = MetricsLog(tmp_path, 0)
    log.write(1, {"loss": 1.0})
    log.close()
    assert list((tmp_path / "tensorboard").glob("events*"))
