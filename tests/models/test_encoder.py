"""Pretraining labels are counted right, follow the image when mirrored, and can be learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from eyesup.models.encoder.config import EncoderModelConfig, EncoderProcessorConfig
from eyesup.models.encoder.model import DenseLabelModel
from eyesup.models.encoder.processor import EncoderProcessor, jitter_colours, to_patches
from eyesup.nn.vision.encoder import VisionConfig, VisualEncoder
from eyesup.nn.vision.images import ImageRule
from eyesup.objectives.dense_labels import dense_label_losses, masked_l1, soft_cross_entropy, weighted_presence
from eyesup.types import (
    Agents,
    Camera,
    CameraRig,
    Command,
    DataError,
    EgoStatus,
    Maneuver,
    Observation,
    Sample,
    SemanticClass,
    Trajectory,
    Truth,
)

CONFIG = EncoderProcessorConfig(ImageRule(32, 64), patch_px=16)
MODEL = EncoderModelConfig(VisionConfig(hidden=32, depth=2, heads=2, registers=1, frozen=False), head_width=32)
RED, VEHICLE, SKY, ROAD = SemanticClass.SIGNAL_RED, SemanticClass.VEHICLE, SemanticClass.SKY, SemanticClass.ROAD


def make_sample(depth: bool = True) -> Sample:
    """Sky above road; in the road's first patch a half-patch vehicle at 10 m and, in the sky's last patch, one red pixel."""
    semantics = np.full((1, 32, 64), SKY, np.uint8)
    semantics[:, 16:] = ROAD
    semantics[0, 16:24, :16] = VEHICLE
    semantics[0, 3, 60] = RED
    depth_m = np.full((1, 32, 64), np.inf, np.float32)
    depth_m[:, 16:] = 20.0
    depth_m[0, 16:24, :16] = 10.0
    images = np.zeros((1, 1, 32, 64, 3), np.uint8)
    images[0, 0, semantics[0] == VEHICLE] = (60, 60, 200)
    images[0, 0, semantics[0] == RED] = (255, 0, 0)
    camera = Camera("front", np.array([[32.0, 0, 32], [0, 32.0, 16], [0, 0, 1]]), np.eye(4), 64, 32)
    observation = Observation(
        key="s",
        images=images,
        image_times_s=np.zeros(1),
        rig=CameraRig((camera,)),
        ego=EgoStatus((5.0, 0.0)),
        history=Trajectory(np.zeros((0, 3)), -0.5),
        command=Command(Maneuver.KEEP_FORWARD),
    )
    future = Trajectory(np.zeros((1, 3)), 0.5)
    truth = Truth(future, Agents.empty(2), semantics=semantics, depth_m=depth_m if depth else None)
    return Sample(observation, truth)


def test_labels_by_hand():
    batch = EncoderProcessor(CONFIG)([make_sample()])
    assert batch["keys"] == ("s/front",)
    assert batch["images"].shape == (1, 3, 32, 64)
    fraction, presence = batch["fraction"][0], batch["presence"][0]  # patches: 2 rows x 4 columns
    assert fraction[4, VEHICLE] == 0.5 and fraction[4, ROAD] == 0.5
    torch.testing.assert_close(fraction.sum(-1), torch.ones(8))
    assert presence[3].nonzero().flatten().tolist() == [SKY, RED]  # one lit pixel is a lamp
    assert batch["image_presence"][0].nonzero().flatten().tolist() == [SKY, ROAD, VEHICLE, RED]
    depth, valid = batch["log_inverse_depth"][0], batch["depth_valid"][0]
    assert valid.tolist() == [[False, False]] * 4 + [[True, True]] + [[True, False]] * 3
    np.testing.assert_allclose(depth[4], [-(np.log(10) + np.log(20)) / 2, -np.log(10)], rtol=1e-6)


def test_missing_depth_is_masked():
    batch = EncoderProcessor(CONFIG)([make_sample(depth=False)])
    assert not batch["depth_valid"].any()
    outputs = DenseLabelModel(MODEL)(batch)
    assert dense_label_losses(outputs, batch)["depth"] == 0


def test_mirrored_image_has_mirrored_labels():
    processor = EncoderProcessor(replace(CONFIG, jitter=0.0))
    plain = processor([make_sample()])
    for seed in range(8):
        mirrored = processor([make_sample()], rngs=[np.random.default_rng(seed)])
        if not torch.equal(mirrored["images"], plain["images"]):
            break
    assert torch.equal(mirrored["images"], plain["images"].flip(-1))
    grid = plain["fraction"].reshape(1, 2, 4, -1)
    assert torch.equal(mirrored["fraction"].reshape(1, 2, 4, -1), grid.flip(2))


def test_augmentation_is_repeatable_and_keeps_lamps_red():
    processor = EncoderProcessor(CONFIG)
    first, second = (processor([make_sample()], rngs=[np.random.default_rng(5)])["images"] for _ in range(2))
    assert torch.equal(first, second)
    red = torch.zeros(3, 4, 4)
    red[0] = 0.8
    for seed in range(20):
        changed = jitter_colours(red, 0.2, np.random.default_rng(seed))
        assert changed.min() >= 0 and changed.max() <= 1
        assert (changed[0] > 2 * changed[1]).all()


def test_patches_are_row_major():
    image = np.arange(6 * 4).reshape(6, 4)
    patches = to_patches(image, 2)
    assert patches.shape == (6, 4)
    np.testing.assert_array_equal(patches[1], [2, 3, 6, 7])


def test_semantics_are_required():
    sample = make_sample()
    with pytest.raises(DataError, match="sample s has no semantics"):
        EncoderProcessor(CONFIG)([Sample(sample.observation)])


def test_presence_weight_makes_a_missed_lamp_cost_more():
    absent = torch.full((1, len(SemanticClass)), -3.0)
    lamp, road = (torch.zeros(1, len(SemanticClass), dtype=torch.bool) for _ in range(2))
    lamp[0, RED], road[0, ROAD] = True, True
    assert weighted_presence(absent, lamp) > 5 * weighted_presence(absent, road)


def test_soft_cross_entropy_is_least_at_the_target():
    target = torch.tensor([0.7, 0.2, 0.1])
    best = soft_cross_entropy(target.log(), target)
    torch.testing.assert_close(best, -(target * target.log()).sum())
    assert soft_cross_entropy(torch.zeros(3), target) > best


def test_masked_l1_by_hand():
    loss = masked_l1(torch.tensor([1.0, 5.0]), torch.tensor([0.5, 0.0]), torch.tensor([True, False]))
    assert loss == 0.5


def test_overfits_one_image_and_keeps_the_encoder(tmp_path):
    torch.manual_seed(0)
    batch = EncoderProcessor(CONFIG)([make_sample()])
    model = DenseLabelModel(MODEL).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = dense_label_losses(model(batch), batch)["total"].item()
    for _ in range(200):
        losses = dense_label_losses(model(batch), batch)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
    assert losses["total"].item() < 0.4 * first
    outputs = model.eval()(batch)
    assert torch.equal(outputs["presence_logits"] > 0, batch["presence"])
    model.save_encoder(tmp_path)
    frozen = VisualEncoder.load(tmp_path)
    assert torch.equal(frozen.patch_features(batch["images"]), model.encoder.patch_features(batch["images"]))
