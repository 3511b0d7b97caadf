"""The closed loop: an episode driven by the expert is its log; what others do has consequences; Gymnasium's contract holds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from eyesup.types import AgentKind, Agents, DataError, EyesUpError, Maneuver, SignalState, Trajectory
from eyesup.types import Signals as SignalHeads
from eyesup.world.agents_now import AgentsNow
from eyesup.world.ego_view import ego_status, history
from eyesup.world.episode import Episode, dense
from eyesup.world.expert import Expert
from eyesup.world.rigs import front3
from eyesup.world.simulate import simulate

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.vector import AsyncVectorEnv  # noqa: E402

from eyesup.world.env import ENVIRONMENT, MANEUVERS, DrivingEnv, Reward  # noqa: E402

SHORT_S = 8.0
PLAN_MPS = 7.0
TINY = front3(64, 36)
NOBODY = AgentsNow.of(Agents.empty(1), 0)


def quick(**changes) -> DrivingEnv:
    settings = {"scenario": "free_drive", "duration_s": SHORT_S, "width_px": 64, "height_px": 36}
    return DrivingEnv(**{**settings, **changes})


@pytest.mark.parametrize(("scenario", "seed"), [("free_drive", 3), ("red_light", 4)])
def test_an_episode_driven_by_the_expert_is_the_log_bit_by_bit(scenario, seed):
    log = simulate(scenario, seed, duration_s=SHORT_S)
    poses, seen = [], []
    with Episode(scenario, seed, duration_s=SHORT_S, rig=TINY) as episode:
        for step in range(len(log)):
            poses.append(episode.ego.pose)
            seen.append(episode.observation(np.zeros((3, 36, 64, 3), np.uint8)) if step % 7 == 0 else None)
            if step < len(log) - 1:
                happening = episode.step(*episode.expert_command())
                assert happening.events == () and happening.script == ""
    assert np.array_equal(poses, log.ego_poses)
    for step in range(0, len(log), 7):
        observation, past = seen[step], history(log, step)
        assert observation.ego == ego_status(log, step)
        assert observation.command.maneuver is log.maneuvers[step]
        assert np.array_equal(observation.history.valid, past.valid)
        assert np.array_equal(observation.history.poses[past.valid], past.poses[past.valid])
        assert not observation.privileged


def heedless(episode: Episode) -> Expert:
    """The expert as if there were no signals; given nobody, it heeds nothing at all."""
    return Expert(episode.stage.route, episode.cruise_mps, SignalHeads.empty(0), episode.stage.road_map)


def test_a_driver_who_heeds_no_signal_runs_the_red_light():
    with Episode("red_light", 4, duration_s=12.0, rig=TINY) as episode:
        driver, red_at = heedless(episode), []
        for _ in range(110):  # like the expert until the light is red, then on
            is_red = episode.stage.signal_states[episode._play.script._row] == SignalState.RED
            on = driver.command(episode.ego, NOBODY, np.zeros(0, np.uint8))
            happening = episode.step(*(on if is_red else episode.expert_command()))
            if happening.red_light:
                red_at.append(episode.stage.ego_front_s)
                break
        stop_s = episode._play.script._stop_s
        assert len(red_at) == 1 and 0 <= red_at[0] - stop_s < 1.5  # noticed in the step in which the front passes
        assert happening.events == ("red_light",) and not happening.ends
        for _ in range(3):
            assert not episode.step(0.0, 0.0).red_light  # once
        assert "too late" in episode.step(0.0, 0.0).script


def test_a_driver_who_heeds_nobody_hits_the_stopped_car():
    with Episode("stopped_car", 3, duration_s=12.0, rig=TINY) as episode:
        driver, ttc = heedless(episode), []
        for _ in range(150):
            happening = episode.step(*driver.command(episode.ego, NOBODY, np.zeros(0, np.uint8)))
            ttc.append(happening.time_to_collision_s)
            if happening.ends:
                break
        assert happening.events == ("collision",)
        kind, agent_id = happening.collision_with
        assert kind.is_vehicle and agent_id == episode._recorder.ids["stopped"]
        assert ttc[-1] == 0.0 and all(t <= 1.5 for t in ttc[-6:])
        assert all(abs(now - before) < 1.0 for now, before in zip(ttc[-8:], ttc[-9:-1]))


def test_traffic_reacts_to_the_ego():
    def others(accel: float) -> tuple[dict, dict]:
        with Episode("free_drive", 2, duration_s=SHORT_S, rig=TINY, rehearsed=False) as episode:
            start = {s.name: s.pose for s in episode.stage.sightings}
            for _ in range(60):
                _, rate = episode.expert_command()
                episode.step(min(accel, -float(episode.ego.vx) / 0.3) if accel < 0 else accel, rate)
            return start, {s.name: s.pose for s in episode.stage.sightings}

    (start_a, braked), (start_b, drove) = others(-3.0), others(0.0)
    assert start_a == start_b
    vehicles = [name for name in braked.keys() & drove.keys() if name.startswith("v")]
    assert any(braked[name] != drove[name] for name in vehicles)


def test_steering_off_the_road_ends_the_episode():
    env = quick(images=False)
    env.reset(seed=1)
    for _ in range(80):
        _, reward, terminated, truncated, info = env.step(np.array([2.0, 0.6], np.float32))
        if terminated:
            break
    env.close()
    assert terminated and not truncated and "off_road" in info["events"]
    assert reward == pytest.approx(0.1 * info["progress_m"] - 20.0)


def test_reward_adds_up_what_happened():
    from eyesup.world.episode import Happening

    calm = Happening(2.0, 0.1, np.inf, None, False, False, False, False, "")
    bad = Happening(0.5, 0.1, 0.0, (AgentKind.CAR, 7), True, True, False, False, "")
    assert Reward().of(calm) == pytest.approx(0.2) and calm.events == () and not calm.ends
    assert Reward(progress=1.0).of(bad) == pytest.approx(0.5 - 20 - 20 - 5)
    assert bad.events == ("collision", "off_road", "red_light") and bad.ends


def test_the_same_seed_gives_the_same_episode_and_another_another():
    env, runs = quick(), []
    for seed in (7, 7, 8):
        first, info = env.reset(seed=seed)
        rows = [first, *(env.step(np.array([0.5, 0.0], np.float32))[0] for _ in range(3))]
        runs.append((info["seed"], rows))
    env.close()
    assert runs[0][0] == runs[1][0] != runs[2][0]
    for a, b in zip(runs[0][1], runs[1][1]):
        assert all(np.array_equal(a[name], b[name]) for name in a)
    assert any(not np.array_equal(a["images"], c["images"]) for a, c in zip(runs[0][1], runs[2][1]))


def test_reset_options_choose_the_log():
    env = quick(scenario=None)
    _, info = env.reset(seed=0, options={"scenario": "curve", "split": "val", "seed": 5})
    assert (info["scenario"], info["split"], info["seed"]) == ("curve", "val", 5)
    assert env.episode.stage.town.kind.startswith("bend") and env.observation().key == "val-0000005-curve@0"
    with pytest.raises(DataError, match=r"reset options \['sceanrio'\] are unknown; known: scenario, seed, split"):
        env.reset(options={"sceanrio": "curve"})
    env.close()


def test_gymnasiums_checker_passes():
    env = quick(scenario="curve")  # the smallest map: the checker resets often
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unbounded and unnormalised spaces: they are in SI units
        check_env(env, skip_render_check=True)
    env.close()
    env.close()


def test_a_second_environment_in_the_process_is_refused():
    one, two = quick(images=False), quick(images=False)
    one.reset(seed=0)
    with pytest.raises(EyesUpError, match=r"already open in this process \(limit 1\).*AsyncVectorEnv"):
        two.reset(seed=0)
    one.close()
    two.reset(seed=0)
    two.close()


def test_a_forgotten_episode_frees_the_simulation():
    env = quick(images=False)
    env.reset(seed=0)
    del env
    with Episode("free_drive", 1, duration_s=SHORT_S, rig=TINY, rehearsed=False) as episode:
        assert episode.step(0.0, 0.0).progress_m > 0


def make_quick() -> DrivingEnv:
    return quick(images=False)


def test_several_run_in_processes():
    envs = AsyncVectorEnv([make_quick, make_quick], context="spawn")
    first, _ = envs.reset(seed=[3, 3])
    second, reward, terminated, truncated, info = envs.step(np.zeros((2, 2), np.float32))
    envs.close()
    assert np.array_equal(first["route"][0], first["route"][1]) and np.array_equal(reward[:1], reward[1:])
    assert not terminated.any() and not truncated.any() and info["step"].tolist() == [1, 1]
    assert (second["ego"][:, 0] > 0).all()


def test_plans_are_tracked_along_the_route():
    env = gymnasium.make(
        f"eyesup.world.env:{ENVIRONMENT}", scenario="curve", action="trajectory", images=False, duration_s=SHORT_S
    ).unwrapped
    observation, _ = env.reset(seed=3)
    truncated = steps = 0
    while not truncated and steps < 30:
        route = np.concatenate([np.zeros((1, 2)), observation["route"]])
        along = np.linalg.norm(np.diff(route, axis=0), axis=1).cumsum()
        at = PLAN_MPS * 0.5 * np.arange(1, 7)
        xy = np.stack([np.interp(at, np.append(0.0, along), route[:, i]) for i in range(2)], axis=-1)
        tangents = np.gradient(np.concatenate([np.zeros((1, 2)), xy]), axis=0)[1:]
        plan = np.concatenate([xy, np.arctan2(tangents[:, 1], tangents[:, 0])[:, None]], axis=-1)
        observation, _, terminated, truncated, info = env.step(plan.astype(np.float32))
        assert not terminated and info["off_route_m"] < 0.7
        steps += 1
    env.close()
    assert steps == 16 and info["step"] == 80  # 8 s in ticks of 0.5 s
    assert observation["ego"][0] == pytest.approx(PLAN_MPS, abs=0.2)


def test_a_plan_becomes_poses_every_tenth_of_a_second():
    even = Trajectory(np.array([[5.0, 0, 0], [10.0, 0, 0], [15.0, 0, 0]]), 0.5)
    poses = dense(even, 5)
    assert poses.shape == (16, 3)
    assert poses[:, 0] == pytest.approx(np.arange(16.0)) and not poses[:, 1:].any()
    stop = Trajectory(np.array([[2.0, 0, 0], [3.0, 0, 0], [3.0, 0, 0], [3.0, 0, 0]]), 0.5)
    assert dense(stop, 5)[:, 0].max() == 3.0 and (np.diff(dense(stop, 5)[:, 0]) >= 0).all()
    assert dense(Trajectory(np.array([[4.0, 0, 0]]), 0.5), 5)[5, 0] == pytest.approx(4.0)
    around = Trajectory(np.array([[0.0, 0, 3.1], [0.0, 0, -3.1]]), 0.5)  # past pi, not back through zero
    assert dense(around, 5)[:, 2].max() == pytest.approx(2 * np.pi - 3.1)
    with pytest.raises(DataError, match=r"plan covers 1.0 s, 1.5 s shall be driven"):
        dense(around, 15)


def test_pictures_and_spaces():
    env = quick(rig="surround6", render_mode="rgb_array")
    observation, _ = env.reset(seed=3)
    assert env.observation_space.contains(observation) and observation["images"].shape == (6, 36, 64, 3)
    assert env.render().shape == (36, 6 * 64, 3) and observation["images"].std() > 10
    assert np.array_equal(env.observation().images[0], observation["images"])
    env.render_mode = "birds_eye"
    assert env.render().shape == (432, 432, 3)
    assert MANEUVERS[observation["command"]] in Maneuver
    env.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rig": "front4"}, "rig 'front4' is unknown; choose one of front3"),
        ({"action": "pedals"}, "action 'pedals' is unknown; choose control or trajectory"),
        ({"render_mode": "human"}, "render_mode 'human' is unknown"),
        ({"tick_s": 0.25}, "tick of 0.25 s is no whole multiple of 0.1 s"),
        ({"action": "trajectory", "plan_poses": 1, "tick_s": 1.0}, "is shorter than the tick of 1.0 s"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        quick(**changes)


def test_bad_actions_are_refused():
    env = quick(images=False)
    with pytest.raises(DataError, match="call reset"):
        env.step(np.zeros(2))
    env.reset(seed=0)
    with pytest.raises(DataError, match=r"action of shape \(3,\), expected \(2,\)"):
        env.step(np.zeros(3))
    with pytest.raises(DataError, match="must be finite"):
        env.step(np.array([np.nan, 0.0]))
    env.close()
