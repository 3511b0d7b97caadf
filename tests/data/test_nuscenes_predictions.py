"""One's own plans against nuScenes: formats, frames, and every way a file can be wrong."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eyesup.cli.main import main
from eyesup.cli.score_nuscenes import SIDES, score_all
from eyesup.data.nuscenes.cases import lidar_from_ego
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.definitions import ego_frame_future, lidar_future
from eyesup.data.nuscenes.predictions import checked_plans, read_predictions
from eyesup.scoring.openloop.score import summary
from eyesup.types import DataError

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuscenes"


@pytest.fixture(scope="module")
def data() -> NuScenes:
    return NuScenes(GOLDEN, cache=False)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: object, name: str = "plans.json") -> Path:
        path = tmp_path / name
        path.write_bytes(pickle.dumps(content) if name.endswith(".pkl") else json.dumps(content).encode())
        return path

    return write


def driven(data: NuScenes) -> dict[str, np.ndarray]:
    return {token: lidar_future(data, row)[0] for row, token in enumerate(data.tokens)}


def in_every_format(data: NuScenes) -> dict[str, tuple[object, str]]:
    """The driven paths as each format stores them, and the file's name."""
    paths = driven(data)
    ego = {}
    for row, token in enumerate(data.tokens):
        poses, known = ego_frame_future(data, row, 6)
        last = poses[known][-1] if known.any() else np.zeros(3)
        ego[token] = np.where(known[:, None], poses, last)
    offsets = {token: np.diff(path, axis=0, prepend=np.zeros((1, 2))) for token, path in paths.items()}
    others = np.full((6, 2), 9.0)
    text = {t: "<answer> [" + ",".join(f"({x:.6f}, {y:.6f})" for x, y in p) + "]" for t, p in paths.items()}
    rows = [{"key": f"scene-0061@{t}", "dt_s": 0.5, "poses": p.tolist()} for t, p in ego.items()]
    dense = [
        {**row, "dt_s": 0.25, "poses": np.repeat(np.array(row["poses"]), 2, axis=0).tolist()} for row in rows
    ]  # what lies between the waypoints is not looked at
    return {
        "eyesup": ({"plans": rows}, "a.json"),
        "eyesup, denser": ({"plans": dense}, "a2.json"),
        "eyesup, lidar frame": ({"frame": "lidar", "plans": [{"key": t, "poses": p.tolist()} for t, p in paths.items()]}, "b.json"),
        "opendrivevla": ({f"{t}_trajectory": p[None].astype(np.float32) for t, p in paths.items()}, "c.pkl"),
        "opendrivevla, text": ([{"id": f"{t}_trajectory", "answer": a} for t, a in text.items()], "d.json"),
        "vad": (
            {"plan_results": {t: [np.stack([others, o, others]), np.array([[[0.0, 1.0, 0.0]]])] for t, o in offsets.items()}}, "e.pkl"
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["eyesup", "eyesup, denser", "eyesup, lidar frame", "opendrivevla", "opendrivevla, text", "vad"]
)
def test_the_driven_path_scores_zero_in_every_format_and_protocol(data: NuScenes, save: Callable[..., Path], name: str):
    content, file = in_every_format(data)[name]
    keyframes = data.keyframes("mini_train")
    paths = checked_plans(data, read_predictions(save(content, file)), keyframes)
    results = score_all(data, paths, keyframes, tuple(SIDES))
    assert {name: result.counted.sum() for name, result in results.items()} == {
        "uniad": 9, "opendrivevla_vehicles": 9, "opendrivevla_all": 9, "vad": 3, "vad_rangefiltered": 3, "stp3": 1, "bevplanner": 3,
        "omnidrive": 3, "exact": 3,
    }  # fmt: skip
    for result in results.values():
        assert result.l2_m[result.counted].max() < 1e-4 and not result.collides.any()


def test_a_plan_half_a_metre_short_is_half_a_metre_off(data: NuScenes, save: Callable[..., Path]):
    paths = {f"{token}_trajectory": path - [0.0, 0.5] for token, path in driven(data).items()}
    keyframes = data.keyframes("mini_train")
    found = checked_plans(data, read_predictions(save(paths, "p.pkl")), keyframes)
    results = score_all(data, found, keyframes, ("uniad", "vad"))
    means = summary(results["vad"])["L2"]
    assert [round(means["cumulative"][h], 4) for h in ("1s", "2s", "3s", "avg")] == [0.5] * 4
    # UniAD divides by all nine keyframes, though only 3 have a known pose at 3 s, 5 at 2 s, 7 at 1 s.
    at = summary(results["uniad"])["L2"]["at"]
    assert [at[h] for h in ("1s", "2s", "3s")] == pytest.approx([0.5 * 7 / 9, 0.5 * 5 / 9, 0.5 * 3 / 9])


def test_the_lidar_swings_with_the_heading(data: NuScenes):
    path = lidar_from_ego(data, 0, np.array([[0.0, 0.0, np.pi / 2], [10.0, 0.0, 0.0]]))
    # Turned on the spot by a quarter to the left, the lidar 0.943713 m ahead of the axle goes left by as much.
    np.testing.assert_allclose(path, [[-0.943713, -0.943713], [0.0, 10.0]], atol=1e-9)


@pytest.fixture
def straight(tmp_path: Path, write_nuscenes: Callable[..., None]) -> NuScenes:
    """Sixteen keyframes straight ahead at 8 m/s: ten of them have 3 s of future."""
    write_nuscenes(tmp_path / "straight", "v1.0-mini", {"scene-0103": 16})
    return NuScenes(tmp_path / "straight", cache=False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda p: p[:, ::-1] * [1.0, -1.0],
            r"do not fit the lidar frame: .* 19\.8 m .* 10 moving samples, but 0\.0 m as the ego frame",
        ),
        (lambda p: np.diff(p, axis=0, prepend=np.zeros((1, 2))), "step-by-step offsets; add them up"),
    ],
)
def test_a_wrong_frame_is_told_from_what_was_driven(straight: NuScenes, save: Callable[..., Path], wrong, message: str):
    keyframes, paths = straight.keyframes("mini_val"), driven(straight)
    path = save({f"{token}_trajectory": wrong(path) for token, path in paths.items()}, "p.pkl")
    with pytest.raises(DataError, match=message):
        checked_plans(straight, read_predictions(path), keyframes)


def test_left_and_right_swapped_show_in_a_curve(tmp_path: Path, straight: NuScenes, save: Callable[..., Path]):
    file = tmp_path / "straight" / "v1.0-mini" / "ego_pose.json"
    rows = json.loads(file.read_text())
    for i, row in enumerate(rows):
        row["translation"][1] = 0.4 * i**1.5
    file.write_text(json.dumps(rows))
    data = NuScenes(tmp_path / "straight", cache=False)
    swapped = {f"{token}_trajectory": path * [-1.0, 1.0] for token, path in driven(data).items()}
    with pytest.raises(DataError, match="left and right swapped; negate the lateral axis"):
        checked_plans(data, read_predictions(save(swapped, "p.pkl")), data.keyframes("mini_val"))


def test_a_standing_planner_is_not_taken_for_a_wrong_frame(straight: NuScenes, save: Callable[..., Path]):
    still = {f"{token}_trajectory": np.zeros((6, 2)) for token in straight.tokens}
    assert len(checked_plans(straight, read_predictions(save(still, "p.pkl")), straight.keyframes("mini_val"))) == 16


def test_unknown_duplicate_missing_and_broken_plans(straight: NuScenes, save: Callable[..., Path]):
    keyframes = straight.keyframes("mini_val")
    rows = [{"key": token, "poses": lidar_future(straight, i)[0].tolist()} for i, token in enumerate(straight.tokens)]

    def altered(row: int, **values: object) -> list[dict]:
        return [{**one, **values} if one is rows[row] else one for one in rows]

    faults = {
        "plan for unknown sample 'abc': v1.0-mini has no such keyframe": [*rows, {**rows[0], "key": "abc"}],
        "two plans for sample scene-0103-003": [*rows, rows[3]],
        "1 of 16 samples have no plan, e.g. scene-0103-005": [row for row in rows if row is not rows[5]],
        r"plan for scene-0103-002: shape \(4, 2\), expected at least \(6, 2\)": altered(2, poses=rows[2]["poses"][:4]),
        "plan for scene-0103-001: a position is not finite": altered(1, poses=[[float("nan"), 0.0]] * 6),
        "step 0.3 s does not divide": altered(1, dt_s=0.3),
    }
    for message, plans in faults.items():
        read = read_predictions(save({"frame": "lidar", "plans": plans}))
        with pytest.raises(DataError, match=message):
            checked_plans(straight, read, keyframes)
        complaints: list[str] = []
        kept = checked_plans(straight, read, keyframes, complaints.append)
        assert len(kept) in (15, 16) and complaints  # what is whole is kept


class Attack:
    def __reduce__(self):
        return os.system, ("echo attacked > attacked.txt",)


def test_a_pickle_with_code_is_refused(save: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="system is not admitted"):
        read_predictions(save({"a_trajectory": Attack()}, "p.pkl"))
    assert not (tmp_path / "attacked.txt").exists()


def test_a_sample_twice_in_an_object_is_told(tmp_path: Path, straight: NuScenes):
    """JSON itself keeps the last and says nothing."""
    path = tmp_path / "p.json"
    rows = [f'"{token}": {lidar_future(straight, i)[0].tolist()}' for i, token in enumerate(straight.tokens)]
    path.write_text("{" + ", ".join([*rows, rows[3]]) + "}")
    read, keyframes = read_predictions(path, "lidar"), straight.keyframes("mini_val")
    with pytest.raises(DataError, match="'scene-0103-003' stands 2 times in one object"):
        checked_plans(straight, read, keyframes)
    complaints: list[str] = []
    assert len(checked_plans(straight, read, keyframes, complaints.append)) == 16 and len(complaints) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"poses": [[0.0, 0.0]] * 6, "dt_s": 0}, "dt_s 0 must be a time above 0 s"),
        ({"dt_s": 0.5}, r"plan for a: poses of shape (), expected at least (6, 2)"),
        ({"poses": "none"}, "plan for a: could not convert"),
        ({"poses": {"x": 1}}, "plan for a: "),
    ],
)
def test_a_broken_row_is_a_complaint(save: Callable[..., Path], row: dict, message: str):
    [complaint] = read_predictions(save({"plans": [{"key": "a", **row}]})).broken
    assert message in complaint
    [complaint] = read_predictions(save({"plan_results": {"b": [[[[0.0, 0.0]] * 6] * 3, [0, 0, 0, 1]]}})).broken
    assert complaint.startswith("plan for b: ")


@pytest.mark.parametrize(
    "content", [[], {}, [1, 2], {"a": 1}, {"frame": "world", "plans": []}, "text", {"plans": 5}, {"plans": [{"poses": []}]},
                {"plan_results": 3}],
)  # fmt: skip
def test_what_is_no_plan_is_named(save: Callable[..., Path], content: object):
    with pytest.raises(
        DataError, match=r"no known format of plans|frame 'world' must be|'plans' must be a list of objects"
    ):
        read_predictions(save(content))


def test_a_truncated_file_is_named(tmp_path: Path):
    path = tmp_path / "p.json"
    path.write_text('{"plans": [')
    with pytest.raises(DataError, match=r"no valid JSON .* cut short"):
        read_predictions(path)


def test_the_command_line(
    straight: NuScenes, save: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    rows = [{"key": t, "poses": lidar_future(straight, i)[0].tolist()} for i, t in enumerate(straight.tokens[:-1])]
    out = tmp_path / "scores.jsonl"
    words = ["score", "openloop", "--nuscenes", str(straight.root), "--predictions", str(save({"frame": "lidar", "plans": rows})),
             "--split", "mini_val", "--out", str(out)]  # fmt: skip
    assert main(words) == 1
    assert "1 of 16 samples have no plan" in capsys.readouterr().err
    assert main([*words, "--keep-going"]) == 0
    assert "15 of 16 samples scored" in capsys.readouterr().out
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    means = {line["protocol"]: line["dataset"] for line in lines if "dataset" in line}
    assert (
        set(means) == set(SIDES) - {"omnidrive"} and means["vad"]["n"] == 10
    )  # no map here and means["stp3"]["n"] == 8
    assert means["vad"]["L2"]["cumulative"]["avg"] == pytest.approx(0.0, abs=1e-6)
    assert main(["score", "openloop", "--nuscenes", str(straight.root), "--out", str(out)]) == 1
    assert "together with --predictions" in capsys.readouterr().err
