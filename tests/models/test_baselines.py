from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from eyesup.models.baselines.constant_velocity import ConstantPosition, ConstantVelocity
from eyesup.models.baselines.ego_mlp import EgoMLP, EgoMLPConfig, encode
from eyesup.models.baselines.expert import ExpertReplay
from eyesup.models.protocol import Planner
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
    Trajectory,
    Truth,
)

RIG = CameraRig((Camera("front", np.array([[4.0, 0, 4], [0, 4.0, 2], [0, 0, 1]]), np.eye(4), 8, 4),))
SMALL = EgoMLPConfig(width=64, layers=2)


def make_sample(seed: int, **changes: object) -> Sample:
    """A car on an arc at random speed and curvature; the past continues the same arc."""
    rng = np.random.default_rng(seed)
    speed, yaw_rate = rng.uniform(1, 15), rng.uniform(-0.3, 0.3)
    maneuver = (
        Maneuver.TURN_LEFT if yaw_rate > 0.1 else Maneuver.TURN_RIGHT if yaw_rate < -0.1 else Maneuver.KEEP_FORWARD
    )
    observation = Observation(
        key=f"sample-{seed}",
        images=np.zeros((1, 1, 4, 8, 3), np.uint8),
        image_times_s=np.zeros(1),
        rig=RIG,
        ego=EgoStatus((speed, 0.0), yaw_rate_rps=yaw_rate),
        history=arc(speed, yaw_rate, -0.5, 4),
        command=Command(maneuver),
    )
    future = arc(speed, yaw_rate, 0.1, 50)
    return Sample(replace(observation, **changes), Truth(future, Agents.empty(51)))


def arc(speed: float, yaw_rate: float, dt: float, steps: int) -> Trajectory:
    times = dt * np.arange(1, steps + 1)
    turned = yaw_rate * times
    poses = np.stack([speed / yaw_rate * np.sin(turned), speed / yaw_rate * (1 - np.cos(turned)), turned], axis=-1)
    return Trajectory(poses, dt)


SAMPLES = [make_sample(seed) for seed in range(40)]


def fitted(samples: list[Sample], seed: int = 0, steps: int = 150) -> EgoMLP:
    model = EgoMLP(SMALL)
    model.fit(samples, seed=seed, steps=steps)
    return model


def plans_of(planner: Planner, samples: list[Sample]) -> np.ndarray:
    return np.stack([p.trajectory.poses for p in planner.plan([s.observation for s in samples])])


def futures_of(samples: list[Sample]) -> np.ndarray:
    return np.stack([s.truth.future.resampled(0.5, 6).poses for s in samples])


PLANNERS = {
    "constant velocity": ConstantVelocity,
    "constant position": ConstantPosition,
    "ego mlp": lambda: fitted(SAMPLES, steps=2),
    "expert": lambda: ExpertReplay({s.key: s.truth.future for s in SAMPLES}),
}


@pytest.mark.parametrize("build", PLANNERS.values(), ids=PLANNERS.keys())
def test_every_baseline_keeps_the_planner_protocol(build):
    planner = build()
    assert isinstance(planner, Planner)
    observations = [s.observation for s in SAMPLES[:5]]
    plans = planner.plan(observations, seed=1)
    assert [p.key for p in plans] == [o.key for o in observations]
    for observation, together in zip(observations, plans):
        assert (together.trajectory.poses.shape, together.trajectory.dt_s) == ((6, 3), 0.5)
        (alone,) = planner.plan([observation], seed=2)
        np.testing.assert_allclose(alone.trajectory.poses, together.trajectory.poses, rtol=1e-5, atol=1e-5)
    assert planner.plan([]) == []


def test_constant_velocity_is_exact_on_an_arc():
    np.testing.assert_allclose(plans_of(ConstantVelocity(), SAMPLES), futures_of(SAMPLES), atol=1e-9)


def test_constant_position_stays():
    assert (plans_of(ConstantPosition(), SAMPLES) == 0).all()


def test_expert_replays_its_future_and_says_that_it_is_privileged():
    expert = ExpertReplay({s.key: s.truth.future for s in SAMPLES})
    np.testing.assert_array_equal(plans_of(expert, SAMPLES), futures_of(SAMPLES))
    assert expert.privileged
    with pytest.raises(DataError, match="no future for sample 'sample-999' among 40"):
        expert.plan([make_sample(999).observation])


def test_ego_mlp_learns_one_sample_by_heart():
    model = fitted(SAMPLES[:1], steps=100)
    np.testing.assert_allclose(plans_of(model, SAMPLES[:1]), futures_of(SAMPLES[:1]), atol=0.01)


def test_ego_mlp_learns_arcs():
    losses = EgoMLP(SMALL).fit(SAMPLES, steps=300)
    assert losses[-1] < 0.1 * losses[0]


def test_ego_mlp_learns_from_small_batches_in_an_order_the_seed_draws():
    told: list[tuple[int, float]] = []
    model = EgoMLP(SMALL)
    losses = model.fit(SAMPLES, seed=1, steps=300, batch_size=16, progress=lambda step, loss: told.append((step, loss)))
    assert told == list(enumerate(losses, start=1)) and len(losses) == 300
    assert sum(losses[-10:]) < 0.2 * sum(losses[:10])
    assert EgoMLP(SMALL).fit(SAMPLES, seed=1, steps=5, batch_size=16)[0] == losses[0]
    assert EgoMLP(SMALL).fit(SAMPLES, seed=1, steps=5, batch_size=8)[0] != losses[0]
    whole = EgoMLP(SMALL).fit(SAMPLES, seed=1, steps=5)
    assert whole == EgoMLP(SMALL).fit(SAMPLES, seed=1, steps=5, batch_size=10**6)


def test_a_sample_whose_future_is_unknown_does_not_stop_training():
    dark = Sample(SAMPLES[0].observation, Truth(
        Trajectory(np.zeros((8, 3)), 0.5, np.zeros(8, dtype=bool)), Agents.empty(9)))  # fmt: skip
    losses = EgoMLP(SMALL).fit([dark] * 8 + SAMPLES[:1], steps=4, batch_size=1)
    assert np.isfinite(losses).all()


def test_ego_mlp_also_plans_from_what_recorded_benchmarks_show():
    """NAVSIM shows 1.5 s of the past and no steering; the plan must not fall apart for want of the rest."""
    model = fitted(SAMPLES, steps=300)
    recorded = [
        replace(s, observation=replace(s.observation, history=Trajectory(s.observation.history.poses, -0.5, np.arange(4) < 3)))
        for s in SAMPLES
    ]  # fmt: skip
    whole = np.abs(plans_of(model, SAMPLES) - futures_of(SAMPLES))[..., :2].max()
    assert whole < 2.0
    assert np.abs(plans_of(model, recorded) - futures_of(SAMPLES))[..., :2].max() < 2.0
    # A flag that never varied in training moves the plan by little, not by a thousand spreads.
    blind = [
        replace(s, observation=replace(s.observation, history=Trajectory(np.zeros((4, 3)), -0.5, np.zeros(4, bool))))
        for s in SAMPLES
    ]
    assert np.abs(plans_of(model, blind) - futures_of(SAMPLES))[..., :2].max() < 60.0


def test_same_seed_same_weights_and_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    one, two, other = fitted(SAMPLES, 3, 5), fitted(SAMPLES, 3, 5), fitted(SAMPLES, 4, 5)
    for a, b in zip(one.state_dict().values(), two.state_dict().values()):
        assert torch.equal(a, b)
    assert not np.array_equal(plans_of(one, SAMPLES), plans_of(other, SAMPLES))
    EgoMLP(SMALL).fit(SAMPLES[:2], steps=1)
    torch.random.set_rng_state(state)
    model = EgoMLP(SMALL)
    before = torch.random.get_rng_state()
    model.fit(SAMPLES[:2], steps=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_images_do_not_reach_the_ego_mlp():
    model = fitted(SAMPLES, steps=5)
    bright = make_sample(0, images=np.full((1, 1, 4, 8, 3), 255, np.uint8))
    np.testing.assert_array_equal(plans_of(model, [bright]), plans_of(model, SAMPLES[:1]))


def test_each_text_input_does_reach_it():
    features = encode(SAMPLES[0].observation, SMALL)
    assert features.shape == (SMALL.features,) == (25,)
    for change in (
        {"ego": EgoStatus((3.0, 0.1), (0.2, 0.1), 0.1, 0.02)},
        {"command": Command(Maneuver.TURN_RIGHT if features[-3] == 0 else Maneuver.TURN_LEFT)},
        {"history": Trajectory(np.ones((4, 3)), -0.5)},
    ):
        assert not np.array_equal(encode(make_sample(0, **change).observation, SMALL), features)


def test_missing_history_is_flagged_not_invented():
    short = make_sample(0, history=Trajectory(np.ones((2, 3)), -0.5, np.array([True, False])))
    features = encode(short.observation, SMALL)[6:22].reshape(4, 4)
    np.testing.assert_array_equal(features, [[1, 1, 1, 1], [0] * 4, [0] * 4, [0] * 4])
    dense = make_sample(0, history=arc(5.0, 0.1, -0.1, 20))
    expected = arc(5.0, 0.1, -0.5, 4).poses
    np.testing.assert_allclose(encode(dense.observation, SMALL)[6:22].reshape(4, 4)[:, :3], expected, rtol=1e-6)


def test_waypoints_without_truth_do_not_train():
    sample = SAMPLES[0]
    future = sample.truth.future
    cut = Trajectory(future.poses[:20], future.dt_s)
    wild = Trajectory(future.poses.copy(), future.dt_s, np.arange(50) < 20)
    wild.poses[20:] = 1e6
    plans = [
        plans_of(fitted([Sample(sample.observation, Truth(path, Agents.empty(len(path) + 1)))], steps=20), [sample])
        for path in (cut, wild)
    ]
    np.testing.assert_array_equal(plans[0], plans[1])


def test_saved_and_loaded_plans_are_bit_equal(tmp_path):
    model = fitted(SAMPLES, steps=5)
    model.save(tmp_path / "checkpoint")
    loaded = EgoMLP.load(tmp_path / "checkpoint")
    assert loaded.config == SMALL
    np.testing.assert_array_equal(plans_of(loaded, SAMPLES), plans_of(model, SAMPLES))
    assert json.loads((tmp_path / "checkpoint" / "config.json").read_text())["family"] == "ego_mlp"


def test_damaged_checkpoints_are_refused(tmp_path):
    EgoMLP(SMALL).save(tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(DataError, match="config and weights do not fit"):
        EgoMLP.load(tmp_path / "cut")
    EgoMLP(SMALL).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "width": 32}))
    with pytest.raises(DataError, match="config and weights do not fit"):
        EgoMLP.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "family": "ik_vla"}))
    with pytest.raises(DataError, match="family 'ik_vla', expected 'ego_mlp'"):
        EgoMLP.load(tmp_path)


def test_training_without_truth_and_odd_steps_are_refused():
    with pytest.raises(DataError, match="0 samples"):
        EgoMLP(SMALL).fit([])
    with pytest.raises(DataError, match="sample-0 has no truth"):
        EgoMLP(SMALL).fit([Sample(SAMPLES[0].observation)])
    unknown = Truth(Trajectory(np.zeros((6, 3)), 0.5, np.zeros(6, bool)), Agents.empty(7))
    with pytest.raises(DataError, match="none of 1 samples"):
        EgoMLP(SMALL).fit([Sample(SAMPLES[0].observation, unknown)])
    with pytest.raises(DataError, match=r"history has dt_s -0\.4 s, which does not divide -0\.5 s"):
        encode(make_sample(0, history=arc(5.0, 0.1, -0.4, 4)).observation, SMALL)
