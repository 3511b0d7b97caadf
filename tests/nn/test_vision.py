"""Images keep their calibration; the encoder keeps its token order and stays frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from eyesup.nn.vision.encoder import VisionConfig, VisualEncoder, merge_patches
from eyesup.nn.vision.images import IMAGENET_MEAN, IMAGENET_STD, ImageRule, normalize
from eyesup.types import Camera, DataError

SMALL = VisionConfig(hidden=32, depth=2, heads=2, registers=2, merge=2)


def camera(width: int, height: int) -> Camera:
    intrinsics = np.array([[200.0, 0, width / 2], [0, 190.0, height / 2], [0, 0, 1]])
    return Camera("front", intrinsics, np.eye(4), width, height)


def test_default_rule_cuts_sixteen_rows_of_sky_and_changes_no_pixel():
    image = np.random.default_rng(0).integers(0, 256, (3, 144, 256, 3), dtype=np.uint8)
    result = ImageRule(128, 256).images(image)
    assert result.shape == (3, 3, 128, 256)
    assert torch.equal((result * 255).round().byte(), torch.from_numpy(image[:, 16:]).permute(0, 3, 1, 2))


@pytest.mark.parametrize("fit", ["cover", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(256, 144), (1600, 900), (300, 400)])
def test_calibration_follows_the_pixels(fit, width, height):
    """A bright dot lies where the new calibration projects the ray on which the old one saw it."""
    rule = ImageRule(128, 256, fit=fit)
    source = camera(width, height)
    image = np.zeros((height, width, 3), np.uint8)
    row, column, half = int(height * 0.8), int(width * 0.55), max(2, height // 60)
    image[row - half : row + half, column - half : column + half] = 255
    ray = np.linalg.inv(source.intrinsics) @ [column, row, 1]  # the dot's centre: pixel edges are integers
    u, v, depth = rule.camera(source).intrinsics @ ray
    brightness = rule.images(image)[0].double().numpy()
    rows, columns = np.mgrid[: rule.height_px, : rule.width_px] + 0.5
    centre = (brightness * columns).sum() / brightness.sum(), (brightness * rows).sum() / brightness.sum()
    np.testing.assert_allclose(centre, (u / depth, v / depth), atol=0.3)


def test_labels_follow_the_image():
    image = np.random.default_rng(0).integers(0, 256, (144, 256), dtype=np.uint8)
    rule = ImageRule(64, 128)
    assert rule.labels(image).dtype == np.uint8
    np.testing.assert_array_equal(rule.labels(image), image[17::2, 1::2])  # 16 rows cut, then every second pixel


def test_rule_names_a_bad_anchor():
    with pytest.raises(DataError, match=r"anchors \(0.5, 2.0\) must lie in \[0, 1\]"):
        ImageRule(anchor_y=2.0)


def test_normalize_maps_imagenets_mean_to_zero():
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    image = torch.stack([mean, mean + std], dim=1)[:, :, None]  # (3, 2, 1)
    torch.testing.assert_close(normalize(image)[:, :, 0], torch.tensor([[0.0, 1.0]] * 3))


def test_merge_equals_naive_loop():
    grid, width = (4, 6), 5
    patches = torch.arange(2 * 24 * width, dtype=torch.float32).reshape(2, 24, width)
    merged = merge_patches(patches, grid, 2)
    rows = []
    for top in range(0, 4, 2):
        for left in range(0, 6, 2):
            cells = [(top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)]
            rows.append(torch.cat([patches[:, r * 6 + c] for r, c in cells], dim=-1))
    assert torch.equal(merged, torch.stack(rows, dim=1))


@pytest.mark.parametrize(
    "config", [SMALL, replace(SMALL, merge=1), VisionConfig("dinov2", hidden=32, depth=1, heads=2)]
)
def test_tokens_have_the_announced_shape(config):
    encoder = VisualEncoder(config)
    tokens = encoder(torch.randn(2, 3, 3, 64, 96))
    rows, columns = config.token_grid(64, 96)
    assert tokens.shape == (2, 3 * rows * columns, encoder.width)
    assert not tokens.requires_grad


def test_cameras_do_not_mix_and_come_in_order():
    encoder = VisualEncoder(SMALL)
    images = torch.randn(1, 3, 3, 32, 64)
    per_camera = encoder(images).reshape(3, -1, encoder.width)
    alone = torch.cat([encoder(images[:, [c]]) for c in range(3)])
    torch.testing.assert_close(per_camera, alone)


def test_frozen_encoder_has_no_gradient_and_stays_in_evaluation_mode():
    encoder = VisualEncoder(SMALL).train()
    assert not encoder.backbone.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    encoder.set_frozen(False)
    encoder.train()
    encoder(torch.randn(1, 1, 3, 32, 32)).sum().backward()
    assert encoder.backbone.training
    assert next(iter(encoder.parameters())).grad is not None


def test_save_and_load_give_the_same_tokens(tmp_path):
    encoder = VisualEncoder(SMALL)
    encoder.save(tmp_path / "encoder")
    loaded = VisualEncoder.load(tmp_path / "encoder")
    images = torch.randn(1, 2, 3, 32, 64)
    assert torch.equal(encoder(images), loaded(images))
    assert loaded.config == encoder.config


def test_a_pretrained_folder_decides_the_sizes(tmp_path):
    VisualEncoder(replace(SMALL, hidden=48, heads=3)).backbone.save_pretrained(tmp_path)
    encoder = VisualEncoder(VisionConfig(pretrained=str(tmp_path), merge=1))
    assert encoder.width == encoder.config.hidden == 48


def test_odd_image_size_is_named():
    with pytest.raises(DataError, match="100x64 px: both sides must be multiples of patch x merge = 32 px"):
        VisualEncoder(SMALL)(torch.randn(1, 1, 3, 64, 100))


def test_missing_encoder_is_named(tmp_path):
    with pytest.raises(DataError, match="train an encoder first"):
        VisualEncoder.load(tmp_path)
