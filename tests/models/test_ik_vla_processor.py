"""The processor: masks count, padding is harmless, nothing of the Truth enters a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from eyesup.models.ik_vla.processor import (
    EGO_SCALE,
    IKVLAProcessor,
    ProcessorConfig,
    TrajectoryNormalizer,
    fit_normalizer,
    past_motion,
)
from eyesup.models.ik_vla.prompt import SPECIAL_TOKENS, PromptConfig
from eyesup.nn.vision.images import ImageRule
from eyesup.types import (
    QA,
    Agents,
    Camera,
    CameraRig,
    Command,
    DataError,
    EgoStatus,
    Maneuver,
    Observation,
    Sample,
    Trajectory,
    Truth,
)

CONFIG = ProcessorConfig(
    image=ImageRule(32, 64),
    patch_px=16,
    merge=1,
    token_width=8,
    horizons_s=(1.0, 3.0),
    prompt=PromptConfig(system="short"),
)
N = 3 * 2 * 4
NAMES = ("front", "front_left", "front_right")  # not the model's order


def make_sample(seed: int = 0, **observation) -> Sample:
    rng = np.random.default_rng(seed)
    intrinsics = np.array([[32.0, 0, 32], [0, 32.0, 18], [0, 0, 1]])
    rig = CameraRig(tuple(Camera(name, intrinsics, np.eye(4), 64, 36) for name in NAMES))
    times = -0.5 * np.arange(1, 5)
    speed = float(rng.uniform(1, 15))
    base = Observation(
        key=f"sample-{seed}",
        images=rng.integers(0, 256, (2, 3, 36, 64, 3), dtype=np.uint8),
        image_times_s=np.array([-0.5, 0.0]),
        rig=rig,
        ego=EgoStatus((speed, 0.5), (0.3, -0.6), 0.25, 0.125),
        history=Trajectory(np.column_stack([speed * times, 0 * times, 0 * times]), -0.5),
        command=Command(Maneuver.TURN_LEFT),
    )
    future = np.column_stack([speed * 0.1 * np.arange(1, 51), np.zeros(50), np.zeros(50)])
    truth = Truth(
        future=Trajectory(future, 0.1),
        agents=Agents.empty(51),
        future_images=rng.integers(0, 256, (3, 3, 36, 64, 3), dtype=np.uint8),
        future_image_times_s=np.array([1.0, 2.0, 3.0]),
        future_images_valid=np.array([True, True, seed != 1]),
        qa=(QA("Is the light red?", "yes"), QA("How many cars?", "3 cars")),
    )
    return Sample(replace(base, **observation), truth)


@pytest.fixture(scope="module")
def processor() -> IKVLAProcessor:
    return IKVLAProcessor(CONFIG)


def test_masks_count_the_tokens_of_the_spec(processor):
    batch = processor([make_sample(0), make_sample(3)], training=True)
    assert CONFIG.scene_tokens == N
    assert batch["scene_mask"].sum(1).tolist() == [N, N]
    assert batch["ego_mask"].sum(1).tolist() == [1, 1]
    assert batch["next_mask"].sum(1).tolist() == [2 * N, 2 * N]
    assert batch["keys"] == ("sample-0", "sample-3")
    assert batch["images"].shape == (2, 3, 3, 32, 64)
    assert batch["future_images"].shape == (2, 2, 3, 3, 32, 64)
    assert batch["trajectory"].shape == (2, 6, 3)
    assert batch["ego_vector"].shape == (2, 9)


def test_only_the_assistants_block_is_read_out():
    """The full system message also shows `<NEXT_STATE>`; those are words, not read-out positions."""
    processor = IKVLAProcessor(replace(CONFIG, prompt=PromptConfig(system="full")))
    batch = processor([make_sample()])
    tokens = processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    block = torch.nonzero(batch["next_mask"][0]).flatten().tolist()
    assert tokens.count("<NEXT_STATE>") == 2 * N + 2
    assert block == list(range(block[0], block[0] + 2 * N))
    assert tokens[block[0] - 1] == "<next_start>"
    assert tokens[block[-1] + 1 :] == ["<next_end>"]


def test_truth_never_enters_a_plan(processor):
    sample = make_sample()
    from_observation = processor([sample.observation])
    from_sample = processor([sample])
    assert from_observation.keys() == from_sample.keys()
    assert not {"labels", "trajectory", "trajectory_valid", "future_images", "future_valid"} & from_sample.keys()
    other_truth = replace(make_sample(9).truth, qa=())
    for name, value in processor([Sample(sample.observation, other_truth)]).items():
        expected = from_observation[name]
        assert torch.equal(value, expected) if isinstance(value, torch.Tensor) else value == expected


def test_training_inputs_equal_planning_inputs(processor):
    plan, train = processor([make_sample()]), processor([make_sample()], training=True)
    for name, value in plan.items():
        assert torch.equal(value, train[name]) if isinstance(value, torch.Tensor) else value == train[name]


def test_only_the_present_image_enters_in_the_models_camera_order(processor):
    sample = make_sample()
    images = sample.observation.images.copy()
    expected = processor([sample])["images"]
    images[0] = 0  # the past
    past = Sample(replace(sample.observation, images=images))
    assert torch.equal(processor([past])["images"], expected)
    images = sample.observation.images.copy()
    images[1, 1] = 0  # front_left, second in the rig and first in the model
    changed = processor([Sample(replace(sample.observation, images=images))])["images"]
    assert [torch.equal(changed[0, c], expected[0, c]) for c in range(3)] == [False, True, True]


def test_padding_stands_right_and_changes_no_row(processor):
    short, long = make_sample(0), make_sample(3, question="What should the ego do at the next junction?")
    both, alone = processor([short, long]), processor([short])
    length = alone["input_ids"].shape[1]
    assert both["attention_mask"].sum(1)[0] == length < both["input_ids"].shape[1]
    for name in ("input_ids", "position_ids", "next_mask", "scene_mask", "ego_mask"):
        assert torch.equal(both[name][0, :length], alone[name][0])
    assert not (both["scene_mask"] | both["next_mask"])[0, length:].any()


def test_labels_are_the_answer_and_nothing_else(processor):
    batch = processor([make_sample(question="How many cars?")], training=True)
    labelled = batch["labels"][0] != -100
    answer = batch["labels"][0][labelled]
    assert processor.tokenizer.decode(answer) == "3 cars<answer_end><|im_end|>"
    assert torch.equal(answer, batch["input_ids"][0][labelled])
    before = int(torch.nonzero(labelled)[0]) - 1
    assert batch["input_ids"][0, before] == processor.tokenizer.convert_tokens_to_ids("<answer_start>")
    assert processor.decode_answer(answer[: (answer == processor.stop_id).nonzero()[0, 0]].tolist()) == "3 cars"


def test_training_questions_are_drawn_by_the_generator():
    processor = IKVLAProcessor(replace(CONFIG, question_rate=1.0))
    texts = set()
    for seed in range(6):
        batches = [processor([make_sample()], training=True, rngs=[np.random.default_rng(seed)]) for _ in range(2)]
        assert torch.equal(batches[0]["input_ids"], batches[1]["input_ids"])
        texts.add(processor.tokenizer.decode(batches[0]["labels"][0][batches[0]["labels"][0] != -100]))
    assert texts == {"yes<answer_end><|im_end|>", "3 cars<answer_end><|im_end|>"}
    assert (processor([make_sample()], training=True)["labels"] == -100).all()


def test_future_frames_are_those_of_the_horizons(processor):
    present, missing = make_sample(0), make_sample(1)
    batch = processor([present, missing], training=True)
    assert batch["future_valid"].tolist() == [[True, True], [True, False]]
    assert (batch["future_images"][1, 1] == 0).all()
    as_present = replace(present.observation, images=present.truth.future_images[None, 2], image_times_s=np.zeros(1))
    assert torch.equal(batch["future_images"][0, 1], processor([as_present])["images"][0])


def test_cached_features_replace_images(processor):
    rng = np.random.default_rng(0)
    sample = make_sample()
    entry = (
        rng.normal(size=(N, 8)).astype(np.float16),
        rng.normal(size=(2, N, 8)).astype(np.float16),
        np.array([True, False]),
    )
    for features in ({sample.key: entry}, lambda key: {sample.key: entry}[key]):
        batch = processor([sample], training=True, features=features)
        assert "images" not in batch and "future_images" not in batch
        assert batch["current_tokens"].shape == (1, N, 8) and batch["current_tokens"].dtype == torch.float32
        assert batch["future_tokens"].shape == (1, 2, N, 8)
        assert batch["future_valid"].tolist() == [[True, False]]
        assert "future_tokens" not in processor([sample], features=features)
    with pytest.raises(DataError, match="no cached features for sample sample-0"):
        processor([sample], features={})


def test_vision_ablation_hides_every_image():
    processor = IKVLAProcessor(replace(CONFIG, vision="none"))
    batch = processor([make_sample()], training=True)
    assert "images" not in batch
    assert batch["current_tokens"].shape == (1, N, 8) and not batch["current_tokens"].any()


def driven(velocities: list[tuple[float, float]], now: tuple[float, float], yaw_rate: float = 0.0) -> Observation:
    """An observation after half seconds of these mean velocities [m/s], newest first, turning steadily."""
    steps = np.arange(1, len(velocities) + 1)
    poses = np.column_stack([-0.5 * np.cumsum(velocities, axis=0), -0.5 * yaw_rate * steps])
    return make_sample(0, ego=EgoStatus(now), history=Trajectory(poses, -0.5)).observation


def test_past_motion_by_hand():
    steady = past_motion(driven([(8.0, 0.0)] * 4, (8.0, 0.0), yaw_rate=0.25))
    np.testing.assert_allclose(steady, [0] * 6 + [0.5] * 3 + [1] * 3, atol=1e-12)
    # 2.5, 5.5, 6.5 m/s on average, then 8: +6 m/s2 up to now (a quarter second on), 2 and 6 m/s2 between half seconds.
    changes = past_motion(driven([(6.5, 0.0), (5.5, 0.5), (2.5, 0.5), (9.0, 9.0)], (8.0, 0.0)))[:6]
    np.testing.assert_allclose(changes * 3.0, [6, 0, 2, -1, 6, 0], atol=1e-12)


def test_past_motion_says_what_it_does_not_know():
    short = driven([(6.5, 0.0), (5.5, 0.0)], (8.0, 0.0), yaw_rate=0.25)
    np.testing.assert_allclose(past_motion(short), [2, 0, 2 / 3, 0, 0, 0, 0.5, 0.5, 0, 1, 1, 0], atol=1e-12)
    gap = replace(short, history=Trajectory(np.ones((4, 3)), -0.5, np.array([False, True, True, True])))
    assert not past_motion(gap).any()


def test_the_ego_vector_with_past_motion_and_in_the_ablation():
    observation = driven([(6.5, 0.0), (5.5, 0.0), (2.5, 0.0)], (8.0, 0.0))
    config = replace(CONFIG, past_motion=True)
    vector = IKVLAProcessor(config)([Sample(observation)])["ego_vector"][0]
    assert len(vector) == config.ego_dims == CONFIG.ego_dims + 12
    np.testing.assert_allclose(vector[9:], past_motion(observation), rtol=1e-6)
    assert torch.equal(vector[:9], IKVLAProcessor(CONFIG)([Sample(observation)])["ego_vector"][0])
    blind = IKVLAProcessor(replace(config, prompt=PromptConfig(ego="none")))([Sample(observation)])["ego_vector"][0]
    assert not blind[:6].any() and not blind[9:].any()


def test_ego_vector_by_hand_and_in_the_ablation(processor):
    sample = make_sample()
    status = [*sample.observation.ego.velocity_mps, 0.3, -0.6, 0.25, 0.125]
    expected = torch.tensor([*(np.array(status) / EGO_SCALE), 0, 1, 0], dtype=torch.float32)
    torch.testing.assert_close(processor([sample])["ego_vector"][0], expected)
    blind = IKVLAProcessor(replace(CONFIG, prompt=PromptConfig(ego="none")))
    assert blind([sample])["ego_vector"][0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0]
    faster = Sample(replace(sample.observation, ego=EgoStatus((9.0, 0.0)), history=Trajectory(np.ones((4, 3)), -0.5)))
    assert torch.equal(blind([sample])["input_ids"], blind([faster])["input_ids"])


@pytest.mark.parametrize("dims", [2, 3])
def test_trajectory_round_trip(dims):
    rng = np.random.default_rng(0)
    processor = IKVLAProcessor(replace(CONFIG, action_dims=dims))
    sample = make_sample()
    plan = processor.decode(processor([sample], training=True)["trajectory"][0])
    np.testing.assert_allclose(plan.poses, sample.truth.future.resampled(0.5, 6).poses, atol=1e-4)
    assert plan.dt_s == 0.5
    many = torch.from_numpy(rng.normal(size=(4, 5, 6, dims))).float()
    assert processor.denormalize(many).shape == (4, 5, 6, 3)


def test_headings_of_a_planar_plan_follow_its_path_and_hold_at_rest():
    processor = IKVLAProcessor(replace(CONFIG, action_dims=2, waypoints=3))
    normalizer = processor.config.normalizer
    poses = np.array([[1.0, 1.0, 0], [1.0, 2.0, 0], [1.0, 2.01, 0]])
    plan = processor.decode(torch.from_numpy(normalizer.encode(poses)[:, :2]))
    np.testing.assert_allclose(plan.poses[:, 2], [np.pi / 4, np.pi / 2, np.pi / 2], atol=1e-6)


def test_range_per_waypoint_weighs_near_and_far_alike():
    steps = np.arange(1, 4)
    paths = [
        Trajectory(np.stack([speed * steps, 0.1 * speed * steps, np.zeros(3)], -1), 0.5, np.ones(3, bool))
        for speed in (0.0, 2.0)
    ]
    normalizer = fit_normalizer(paths, 0.0, 100.0, per_waypoint=True)
    assert np.shape(normalizer.low) == np.shape(normalizer.high) == (3, 3)
    np.testing.assert_allclose(normalizer.encode(paths[1].poses)[:, :2], 1.0)
    np.testing.assert_allclose(normalizer.encode(paths[0].poses)[:, :2], -1.0)
    np.testing.assert_allclose(normalizer.decode(normalizer.encode(paths[1].poses)), paths[1].poses)
    short = [Trajectory(paths[0].poses, 0.5, np.array([True, True, False]))]
    with pytest.raises(DataError, match="reaches the last"):
        fit_normalizer(short, per_waypoint=True)


def test_fitted_normalizer_puts_training_data_into_the_unit_box():
    rng = np.random.default_rng(0)
    paths = [Trajectory(rng.uniform([0, -5, -1], [40, 5, 1], (6, 3)), 0.5) for _ in range(200)]
    normalizer = fit_normalizer(paths)
    values = normalizer.encode(np.stack([path.poses for path in paths]))
    inside = (np.abs(values) <= 1).mean(axis=(0, 1))
    assert (inside >= 0.996).all() and (np.abs(values).max(axis=(0, 1)) > 0.99).all()
    np.testing.assert_allclose(normalizer.decode(values), np.stack([path.poses for path in paths]))


def test_fit_ignores_invalid_poses_and_survives_a_constant_axis():
    path = Trajectory(np.array([[1.0, 0, 0], [2.0, 0, 0], [999.0, 0, 0]]), 0.5, np.array([True, True, False]))
    normalizer = fit_normalizer([path])
    assert normalizer.high[0] < 2.001
    assert np.isfinite(normalizer.encode(path.poses)).all()
    with pytest.raises(DataError, match="without a valid pose"):
        fit_normalizer([Trajectory(path.poses, 0.5, np.zeros(3, bool))])


def test_default_range_is_recogdrives_for_navsim():
    """x -> 2 (x + 1.57) / 66.74 - 1, y -> 2 (y + 19.68) / 42 - 1, heading -> 2 (h + 1.67) / 3.53 - 1."""
    pose = np.array([[10.0, 3.0, 0.5]])
    expected = [2 * 11.57 / 66.74 - 1, 2 * 22.68 / 42 - 1, 2 * 2.17 / 3.53 - 1]
    np.testing.assert_allclose(TrajectoryNormalizer().encode(pose)[0], expected)


def test_plan_as_text_is_supervised_and_read_back():
    processor = IKVLAProcessor(replace(CONFIG, plan_as_text=True))
    sample = make_sample()
    batch = processor([sample], training=True)
    labels = batch["labels"][0][batch["labels"][0] != -100]
    answer = processor.decode_answer(labels[: (labels == processor.stop_id).nonzero()[0, 0]].tolist())
    plan = processor.parse_plan(answer)
    np.testing.assert_allclose(plan.poses, sample.truth.future.resampled(0.5, 6).poses, atol=0.0051)
    assert not processor.parse_plan("no idea").valid.any()


def test_saved_folder_gives_the_same_batches(processor, tmp_path):
    fitted = processor.with_normalizer(fit_normalizer([make_sample(s).truth.future for s in range(3)]))
    fitted.save(tmp_path / "model")
    loaded = IKVLAProcessor.load(tmp_path / "model")
    assert loaded.config == fitted.config
    first, second = fitted([make_sample()], training=True), loaded([make_sample()], training=True)
    for name, value in first.items():
        assert torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]


def test_observation_with_separate_truth_equals_sample(processor):
    sample = make_sample()
    whole = processor([sample], training=True)
    parts = processor([sample.observation], truths=[sample.truth], training=True)
    assert torch.equal(whole["trajectory"], parts["trajectory"])


def test_what_is_missing_is_named(processor):
    sample = make_sample()
    with pytest.raises(DataError, match="sample-0 has no Truth"):
        processor([sample.observation], training=True)
    rig = sample.observation.rig.select(("front", "front_left"))
    bare = replace(sample.observation, rig=rig, images=sample.observation.images[:, :2])
    with pytest.raises(DataError, match="missing camera"):
        processor([bare])
    with pytest.raises(DataError, match="empty batch"):
        processor([])


def test_tiny_preset_keeps_the_prompt_short():
    processor = IKVLAProcessor(ProcessorConfig.preset("tiny"))
    config = processor.config
    assert (config.scene_tokens, config.token_width) == (96, 512)
    words = processor([make_sample()])["attention_mask"].sum() - config.scene_tokens - config.next_tokens
    assert words <= 140
    assert ProcessorConfig.preset("paper").scene_tokens == 588


def test_special_tokens_are_single_ids_and_digits_stay_single(processor):
    for token in SPECIAL_TOKENS:
        assert len(processor.tokenizer.encode(token, add_special_tokens=False)) == 1
    pieces = processor.tokenizer.tokenize("(12.34,-5.60)")
    assert [piece for piece in pieces if any(c.isdigit() for c in piece)] == list("123456") + ["0"]


def test_tokenizer_is_lossless_on_any_text(processor):
    text = "Grüße, 你好: -0.05 m/s²\n\tA cyclist?  "
    assert processor.tokenizer.decode(processor.tokenizer.encode(text, add_special_tokens=False)) == text
