"""The whole nuScenes run of a planner: a world-written data set, and the real keyframe where EYESUP_REALDATA names its folder."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyesup.cli.main import main
from eyesup.cli.score_nuscenes import SIDES
from eyesup.data.nuscenes.dataset import NuScenes
from eyesup.data.nuscenes.export import export
from eyesup.data.nuscenes.source import NuScenesSource
from eyesup.types import ZOE, Command, EgoStatus, Maneuver, Observation
from eyesup.world.store import SceneStore


@pytest.fixture(scope="module")
def root(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One log with the store's own three cameras."""
    folder = tmp_path_factory.mktemp("nuscenes") / "root"
    export(SceneStore(tiny_store), folder, "mini_val", "stored", 1)
    return folder


def test_a_checkpoint_runs_the_whole_benchmark(root: Path, debug_checkpoint: Path, tmp_path: Path):
    words = ["eval", str(root), "--benchmark", "nuscenes", "--split", "mini_val", "--out", str(tmp_path),
             "--planners", "constant_velocity", str(debug_checkpoint)]  # fmt: skip
    assert main(words) == 0
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    count = len(NuScenes(root))
    assert len(records) == 2 * count and {r["scene"] for r in records} == {"scene-0103"}
    assert all(record["privileged"] for record in records)  # the command is read off the future
    tables = json.loads((tmp_path / "summary.json").read_text())["protocols"]
    assert len(tables) == 2
    for table in tables.values():
        assert set(table) == set(SIDES) and table["uniad"]["n"] == count
        assert table["vad"]["L2"]["cumulative"]["3s"] == pytest.approx(
            table["exact"]["L2"]["cumulative"]["3s"], rel=1e-5
        )
    # Again: nothing is planned anew, and the stored plans score the same on their own.
    assert main(words) == 0
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 2 * count
    plans = next(tmp_path.glob("constant*.plans.jsonl"))
    scores = tmp_path / "again.jsonl"
    assert (
        main(
            [
                "score",
                "openloop",
                "--nuscenes",
                str(root),
                "--predictions",
                str(plans),
                "--split",
                "mini_val",
                "--out",
                str(scores),
            ]
        )
        == 0
    )
    lines = [json.loads(line) for line in scores.read_text().splitlines()]
    again = {line["protocol"]: line["dataset"] for line in lines if "dataset" in line}
    ours = next(table for name, table in tables.items() if name.startswith("constant"))
    assert again["vad"]["L2"]["cumulative"]["3s"] == pytest.approx(ours["vad"]["L2"]["cumulative"]["3s"], rel=1e-6)


def test_a_route_command_leaves_no_privilege(root: Path, tmp_path: Path):
    words = [
        "eval",
        str(root),
        "--benchmark",
        "nuscenes",
        "--split",
        "mini_val",
        "--out",
        str(tmp_path),
        "--command",
        "route",
    ]
    assert main(words) == 0
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert records and not any(record["privileged"] for record in records)


def test_keyframes_without_images_stop_it_or_are_counted(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(root, broken)
    next((broken / "samples" / "CAM_FRONT").glob("*.jpg")).unlink()
    words = [
        "eval",
        str(broken),
        "--benchmark",
        "nuscenes",
        "--split",
        "mini_val",
        "--out",
        str(tmp_path / "out"),
        "--command",
        "forward",
    ]
    assert main(words) == 1
    assert "1 of" in (said := capsys.readouterr().err) and "eyesup data check" in said
    assert main([*words, "--keep-going"]) == 0
    assert "keyframes left out; these means are not comparable" in " ".join(capsys.readouterr().out.split())


def paper_sized():
    """IK-VLA with the paper's layout (224 x 224 px, 588 tokens, full prompt), small random networks and four sampling steps."""
    from eyesup.models.ik_vla.planner import IKVLAPlanner, build
    from eyesup.models.ik_vla.presets import preset

    paper, debug = preset("paper"), preset("debug")
    vision = replace(paper.model.vision, pretrained=None, hidden=32, depth=1, heads=2)
    diffusion = replace(paper.model.decoder.diffusion, sampler="ddim", sample_steps=4)
    decoder = replace(paper.model.decoder, diffusion=diffusion)
    model = replace(paper.model, vision=vision, language=debug.model.language, decoder=decoder)
    chosen = replace(paper, model=model, processor=replace(paper.processor, tokenizer="tiny"))
    planner = IKVLAPlanner(*build(chosen, seed=0))
    assert planner.processor.config.scene_tokens == 588 and planner.processor.config.next_tokens == 3 * 588
    return planner


@pytest.mark.timeout(600)
def test_the_papers_layout_plans_a_world_written_keyframe(root: Path):
    source = NuScenesSource(NuScenes(root, cache=False), "mini_val", "stp3")
    [prediction] = paper_sized().plan([source[0].observation], seed=1)
    assert prediction.trajectory.poses.shape == (6, 3) and np.isfinite(prediction.trajectory.poses).all()
    assert prediction.key == source.keys[0] and prediction.trajectory.dt_s == 0.5


@pytest.fixture(scope="module")
def paper_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole of it with random weights, half a billion of them: only where EYESUP_SLOW is set. The tokeniser is the small one."""
    if not os.environ.get("EYESUP_SLOW"):
        pytest.skip("EYESUP_SLOW is not set; this builds half a billion random weights")
    from eyesup.models.ik_vla.planner import IKVLAPlanner, build
    from eyesup.models.ik_vla.presets import preset

    folder = tmp_path_factory.mktemp("checkpoints") / "paper"
    paper = preset("paper")
    vision, language = (replace(part, pretrained=None) for part in (paper.model.vision, paper.model.language))
    model = replace(paper.model, vision=vision, language=language)
    chosen = replace(paper, model=model, processor=replace(paper.processor, tokenizer="tiny"))
    IKVLAPlanner(*build(chosen, seed=0)).save(folder)
    return folder


@pytest.mark.timeout(7200)
def test_the_paper_size_runs_the_whole_benchmark(root: Path, paper_checkpoint: Path, tmp_path: Path):
    words = ["eval", str(root), "--benchmark", "nuscenes", "--split", "mini_val", "--every", "9", "--samples", "1",
             "--planners", str(paper_checkpoint), "--out", str(tmp_path)]  # fmt: skip
    assert main(words) == 0
    count = len(range(0, len(NuScenes(root)), 9))
    [table] = json.loads((tmp_path / "summary.json").read_text())["protocols"].values()
    assert count >= 2 and table["uniad"]["n"] == count and np.isfinite(table["uniad"]["L2"]["at"]["3s"])


@pytest.mark.timeout(7200)
def test_the_paper_size_plans_the_real_keyframe(paper_checkpoint: Path):
    from eyesup.models.load import load_planner

    [prediction] = load_planner(str(paper_checkpoint)).plan([real_keyframe()], seed=1)
    assert prediction.trajectory.poses.shape == (6, 3) and np.isfinite(prediction.trajectory.poses).all()


def real_keyframe() -> Observation:
    """The front cameras of the one keyframe that mmdetection3d ships."""
    folder = os.environ.get("EYESUP_REALDATA")
    if not folder:
        pytest.skip("EYESUP_REALDATA is not set; it names the folder of real samples, which cannot be shipped")
    from eyesup.data.mmdet3d import FRONT3, read_infos

    [info] = (Path(folder) / "nuscenes_mmdet3d_demo").glob("*.pkl")
    [frame] = read_infos(info)
    return frame.renamed(FRONT3).observation(EgoStatus((8.0, 0.0)), Command(Maneuver.KEEP_FORWARD), ZOE)


def test_the_papers_layout_plans_the_real_keyframe():
    [prediction] = paper_sized().plan([real_keyframe()], seed=1)
    assert prediction.trajectory.poses.shape == (6, 3) and np.isfinite(prediction.trajectory.poses).all()
