"""IK-VLA on real frames: a nuScenes keyframe and a DDAD scene, planned by the shipped tiny model and by the paper's sizes.

    EYESUP_REALDATA=folder python benchmarks/real_frames.py --out runs/real_frames

The paper's sizes (DINOv3 ViT-S/16, Qwen2.5-0.5B, 100 DDPM steps) go through the real loading code: checkpoint folders with random
weights are written first, because the gated ones cannot be had here, so their plans mean nothing; their prompts, shapes and times do.
The nuScenes keyframe has no neighbours, so its ego status is an assumption (--speed-mps). DDAD's comes from its past poses.
Pictures: nuScenes' annotated boxes drawn into its six images, and the plans painted on the road.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image
from transformers import DINOv3ViTConfig, DINOv3ViTModel, Qwen2Config, Qwen2ForCausalLM
from vla_inputs import show

from eyesup.data import dgp, mmdet3d
from eyesup.data.recorded import RecordedFrame
from eyesup.models.ik_vla.planner import IKVLAPlanner, build
from eyesup.models.ik_vla.presets import preset
from eyesup.models.ik_vla.prompt import prompt_head
from eyesup.models.load import load_planner
from eyesup.reports.draw import draw_boxes, rig_overlay, side_by_side
from eyesup.reports.scenes import paths
from eyesup.types import ZOE, Command, EgoStatus, Maneuver, Observation

STAGES = ("process", "encode", "prefill", "ik", "answer")
NUSCENES = "nuscenes_mmdet3d_demo/n015-2018-07-24-11-22-45+0800.pkl"
DDAD = "ddad_dgp/_src/tests/data/dgp/test_scene/scene_01"
DDAD_TIME_SCALE = 0.1  # the sample's timestamps are ten times too far apart
BOX_ROWS = (("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"), ("CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT"))


def main(out: Path = Path("runs/real_frames"), speed_mps: float = 8.0, threads: int = 2, paper: bool = True) -> None:
    """Plan, time and draw.

    Args:
        out: Where the pictures go.
        speed_mps: Assumed speed of the nuScenes keyframe.
        threads: Torch threads.
        paper: Also run the paper's sizes (about 3 GB and a minute per frame on two cores).
    """
    torch.set_num_threads(threads)
    root = real_data()
    out.mkdir(parents=True, exist_ok=True)
    keyframe = mmdet3d.read_infos(root / NUSCENES)[0]
    save_boxes(keyframe, out / "nuscenes_boxes.jpg")
    observations = {"nuScenes": nuscenes_observation(keyframe, speed_mps), "DDAD": ddad_observation(root / DDAD)}
    planners: dict[str, IKVLAPlanner] = {"tiny": load_planner("ik_vla_tiny")}  # type: ignore[dict-item]
    if paper:
        planners["paper, random weights"] = paper_planner()
    rows = []
    for model, planner in planners.items():
        for data, observation in observations.items():
            planner.plan([observation])  # warm up
            plan = planner.plan([observation])[0]
            x, y, _ = plan.trajectory.poses[-1]
            times = [f"{1e3 * plan.stage_s[stage]:.0f}" for stage in STAGES]
            rows.append([f"{model} on {data}", *times, f"{x:.1f}, {y:+.1f}"])
            picture = rig_overlay(observation.images[0], observation.rig, paths({"plan": plan.trajectory}), 1)
            Image.fromarray(picture).save(out / f"{data}-{model.split(',')[0]}.jpg", quality=88)
    command = f"python benchmarks/real_frames.py --speed-mps {speed_mps} --threads {threads}"
    show(
        "one plan, ms per stage, batch 1, fp32; end point at 3 s",
        ["model and frame", *STAGES, "x, y [m]"],
        rows,
        command,
    )
    print(prompt_head(observations["nuScenes"], planners["tiny"].processor.config.prompt))
    print(f"pictures: {out}")


def real_data() -> Path:
    folder = os.environ.get("EYESUP_REALDATA")
    if not folder:
        raise SystemExit(
            "error: EYESUP_REALDATA is not set; it names the folder of real samples, which cannot be shipped"
        )
    return Path(folder)


def nuscenes_observation(keyframe: RecordedFrame, speed_mps: float) -> Observation:
    front = keyframe.renamed(mmdet3d.FRONT3)
    return front.observation(EgoStatus((speed_mps, 0.0)), Command(Maneuver.KEEP_FORWARD), ZOE)


def ddad_observation(folder: Path) -> Observation:
    """The last of its three samples: the only one with two past poses."""
    scene = dgp.DgpScene(folder, DDAD_TIME_SCALE)
    last = len(scene) - 1
    ego = scene.past_status(last)
    assert ego is not None
    return scene[last].renamed(dgp.FRONT3).observation(ego, Command(Maneuver.KEEP_FORWARD), ZOE)


def paper_planner() -> IKVLAPlanner:
    """The paper's sizes, loaded by path from folders with random weights and the tiny tokeniser."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(0)
        vision, language = Path(folder) / "dinov3-vits16", Path(folder) / "qwen2.5-0.5b"
        vit = DINOv3ViTConfig(
            hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536, patch_size=16,
            num_register_tokens=4, image_size=224,
        )  # fmt: skip
        qwen = Qwen2Config(
            hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, intermediate_size=4864,
            vocab_size=151_936, tie_word_embeddings=True,
        )  # fmt: skip
        DINOv3ViTModel(vit).save_pretrained(vision)
        Qwen2ForCausalLM(qwen).save_pretrained(language)
        build(preset("tiny"))[1].tokenizer.save_pretrained(str(language))
        return IKVLAPlanner(*build(preset("paper", str(vision), str(language))), name="IK-VLA paper")


def save_boxes(keyframe: RecordedFrame, path: Path) -> None:
    """The six images with the annotated boxes; they must lie on the objects."""
    drawn = {
        camera.name: draw_boxes(image, camera, keyframe.agents) for image, camera in zip(keyframe.images, keyframe.rig)
    }
    rows = [side_by_side([drawn[name] for name in names]) for names in BOX_ROWS]
    picture = Image.fromarray(np.concatenate(rows))
    picture.resize((picture.width // 2, picture.height // 2)).save(path, quality=85)


if __name__ == "__main__":
    tyro.cli(main)
