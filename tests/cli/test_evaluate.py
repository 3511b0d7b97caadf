"""`eyesup eval` end to end on a real, tiny store."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from eyesup.cli.evaluate import stamp
from eyesup.cli.main import main
from eyesup.data.world import WorldSource
from eyesup.evaluation.records import read_records


@pytest.fixture(scope="module")
def run(tiny_store, debug_checkpoint, tmp_path_factory):
    """Folder of one evaluation: a rule, and a checkpoint whose three draws are scored each, also with blank images."""
    out = tmp_path_factory.mktemp("eval")
    options = [
        "--planners",
        str(debug_checkpoint),
        "constant_velocity",
        "--samples",
        "3",
        "--each",
        "--blank",
        "--out",
        str(out),
    ]
    assert main(["eval", str(tiny_store), *options]) == 0
    return out


def test_every_planner_has_a_record_per_keyframe_and_seed(run, tiny_store):
    keyframes = len(WorldSource(tiny_store))
    counts: dict[str, int] = {}
    for record in read_records(run / "records.jsonl"):
        counts[record["planner"]] = counts.get(record["planner"], 0) + 1
    assert counts == {
        "debug": 3 * keyframes, "debug, blank images": 3 * keyframes, "constant velocity + yaw rate": keyframes,
        "expert replay": keyframes,
    }  # fmt: skip


def test_every_score_is_finite_and_the_expert_is_the_floor(run):
    records = read_records(run / "records.jsonl")
    for record in records:
        scores = [record[name] for name in ("ade_3s", "l2_at_1s", "l2_at_3s", "l2_at_avg", "collision_3s", "ego_gap")]
        assert np.isfinite(np.array(scores, float)).all()
        assert record["privileged"] is (record["planner"] == "expert replay")
    assert {r["ade_3s"] < 1e-9 for r in records if r["planner"] == "expert replay"} == {True}
    assert min(r["ade_3s"] for r in records if r["planner"] == "debug") > 1e-3


def test_the_summary_is_strict_json_with_intervals_and_facts(run):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    summary = json.loads((run / "summary.json").read_text(), parse_constant=refuse)
    assert {f["planner"] for f in summary["findings"]} >= {"ade_3s [m]", "l2_at_3s [m]", "collision_3s [%]"}
    for finding in summary["findings"]:
        paired = "minus that of debug" in finding["planner"]  # the others against the first
        assert len(finding["rows"]) == (3 if paired else 4) and finding["protocol"]
        for row in finding["rows"].values():
            assert row["all"]["low"] <= row["all"]["mean"] <= row["all"]["high"] and row["all"]["n"] == 10
    assert {"machine", "packages", "date", "EyesUp"} <= set(summary["facts"])


def test_a_repeated_command_plans_nothing_and_other_weights_or_seeds_do(
    run, tiny_store, debug_checkpoint, tmp_path, monkeypatch
):
    from eyesup.models.ik_vla.planner import IKVLAPlanner, build
    from eyesup.models.ik_vla.presets import preset

    out, checkpoint = tmp_path / "eval", tmp_path / "debug"
    shutil.copytree(run, out)
    shutil.copytree(debug_checkpoint, checkpoint)
    planned, original = [], IKVLAPlanner.plan

    def counting(self, observations, seed=0):
        planned.extend(observations)
        return original(self, observations, seed)

    monkeypatch.setattr(IKVLAPlanner, "plan", counting)
    command = [
        "eval",
        str(tiny_store),
        "--planners",
        str(checkpoint),
        "--no-expert",
        "--out",
        str(out),
        "--each",
        "--samples",
    ]
    before = (out / "records.jsonl").read_bytes()
    assert main([*command, "3"]) == 0
    assert planned == [] and (out / "records.jsonl").read_bytes() == before
    assert main([*command, "2"]) == 0
    assert len(planned) == 10
    assert json.loads((out / "summary.json").read_text())["findings"][0]["rows"]["debug"]["all"]["n"] == 10
    IKVLAPlanner(*build(preset("debug"), seed=1)).save(checkpoint)
    assert main([*command, "3"]) == 0
    assert len(planned) == 20


def test_every_kth_keyframe(tiny_store, tmp_path):
    out = tmp_path / "eval"
    common = ["eval", str(tiny_store), "--checkpoint", "constant_velocity", "--no-expert", "--out", str(out)]
    assert main([*common, "--every", "4"]) == 0
    assert [r["key"] for r in read_records(out / "records.jsonl")] == list(WorldSource(tiny_store).keys[::4])


def test_pairs_are_evaluated_beside_the_keyframes(hand_store, tmp_path, capsys):
    out = tmp_path / "eval"
    planners = ("--planners", "constant_velocity", "constant_position")
    assert main(["eval", str(hand_store), *planners, "--twins", "--no-expert", "--out", str(out)]) == 0
    findings = {f["planner"]: f["rows"] for f in json.loads((out / "summary.json").read_text())["findings"]}
    keys = [r["key"] for r in read_records(out / "records.jsonl") if r["planner"].startswith("constant velocity")]
    assert sorted(keys) == sorted([*WorldSource(hand_store).keys, "train-0001-hand~removed@40"])
    errors = {(r["planner"], r["key"]): r["ade_3s"] for r in read_records(out / "records.jsonl")}
    rows = findings["ade_3s of pairs [m]"]
    for planner, row in rows.items():
        twin = errors[planner, "train-0001-hand~removed@40"]
        assert row["without the cue"]["mean"] == pytest.approx(twin) and row["both"]["n"] == 1
        assert row["both"]["mean"] == pytest.approx((errors[planner, "train-0001-hand@40"] + twin) / 2)
    first, second = rows.values()
    (difference,) = findings["ade_3s of pairs minus that of constant velocity + yaw rate [m]"].values()
    assert difference["both"]["mean"] == pytest.approx(second["both"]["mean"] - first["both"]["mean"])
    assert all(row["all"]["n"] == 6 for row in findings["ade_3s [m]"].values())  # the twins are not among the keyframes


def test_a_store_without_twins_has_no_pairs(tiny_store, tmp_path, capsys):
    assert (
        main(["eval", str(tiny_store), "--planners", "constant_velocity", "--twins", "--out", str(tmp_path / "e")]) == 1
    )
    assert "generate the store with --twins" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("option", ["--samples", "--every"])
def test_nonsense_numbers_are_refused(option, tiny_store, tmp_path, capsys):
    assert main(["eval", str(tiny_store), option, "0", "--out", str(tmp_path)]) == 1
    assert "must be at least 1" in capsys.readouterr().err


def test_the_stamp_follows_weights_and_seeds(debug_checkpoint, tmp_path):
    assert stamp(str(debug_checkpoint), 3) == stamp(str(debug_checkpoint), 3) != stamp(str(debug_checkpoint), 5)
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert stamp(str(tmp_path), 3) != stamp(str(debug_checkpoint), 3)
    assert stamp("constant_velocity", 3) == "rule x 3"
