"""The agent for NAVSIM's harness, with modules that stand in for the devkit."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from torch import nn

from eyesup.data.navsim.source import NavsimSource, Roots
from eyesup.data.navsim.splits import find_split
from eyesup.serving.navsim_observation import observation_of, sensors_of
from eyesup.types.errors import DataError, EyesUpError

GOLDEN = Path(__file__).parents[1] / "golden" / "minimal_nuplan"
MODULE = "eyesup.serving.navsim_agent"


@dataclass
class Sampling:
    time_horizon: float
    interval_length: float

    @property
    def num_poses(self) -> int:
        return round(self.time_horizon / self.interval_length)


@dataclass
class Trajectory:
    poses: np.ndarray
    trajectory_sampling: Sampling


class AgentV1(nn.Module):
    def __init__(self, requires_scene: bool = False) -> None:
        super().__init__()
        self.requires_scene = requires_scene


class AgentV2(nn.Module):
    def __init__(self, trajectory_sampling: Sampling, requires_scene: bool = False) -> None:
        super().__init__()
        self._trajectory_sampling = trajectory_sampling


def install(monkeypatch: pytest.MonkeyPatch, base: type):
    """Modules of the devkit's names, and the agent's module imported afresh."""
    contents = {
        "navsim.agents.abstract_agent": {"AbstractAgent": base},
        "navsim.common.dataclasses": {"SensorConfig": SimpleNamespace, "Trajectory": Trajectory},
        "nuplan.planning.simulation.trajectory.trajectory_sampling": {"TrajectorySampling": Sampling},
    }
    for name, members in contents.items():
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            package = ModuleType(".".join(parts[:depth]))
            package.__path__ = []  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, package.__name__, sys.modules.get(package.__name__, package))
        for key, value in members.items():
            setattr(sys.modules[name], key, value)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    module = importlib.import_module(MODULE)
    monkeypatch.delitem(sys.modules, MODULE)
    return module


@pytest.fixture(scope="module")
def source() -> NavsimSource:
    data = GOLDEN / "minimal_navsim"
    return NavsimSource(Roots(data, GOLDEN / "minimal_maps"), find_split("own_world", [data / "config"]))


@pytest.fixture
def agent_input(source: NavsimSource) -> SimpleNamespace:
    """A golden scene as the harness gives it: states relative to now, cameras as loaded."""
    window = source.window(source.keys[0])
    raw = source.observation(window)
    statuses = [
        SimpleNamespace(
            ego_pose=np.array([frame.pose[0] - window.now.pose[0], 0.0, 0.0], np.float32),
            ego_velocity=frame.velocity.astype(np.float32),
            ego_acceleration=frame.acceleration.astype(np.float32),
            driving_command=np.array([0, 1, 0, 0]),
        )
        for frame in window.past
    ]
    cameras = SimpleNamespace()
    for i, (name, camera) in enumerate(zip(("cam_l0", "cam_f0", "cam_r0"), raw.rig)):
        pose = camera.ego_from_cam.copy()
        pose[:3, 3] -= [1.5, 0.0, 1.8]
        seen = SimpleNamespace(
            image=raw.images[0, i], sensor2lidar_rotation=pose[:3, :3], sensor2lidar_translation=pose[:3, 3],
            intrinsics=camera.intrinsics,
        )  # fmt: skip
        setattr(cameras, name, seen)
    return SimpleNamespace(ego_statuses=statuses, cameras=[None, None, None, cameras])


def test_the_observation_is_that_of_the_log(source: NavsimSource, agent_input: SimpleNamespace):
    ours, theirs = observation_of(agent_input), source.observation(source.window(source.keys[0]))
    assert np.array_equal(ours.images, theirs.images)
    assert (
        np.allclose(ours.history.poses, theirs.history.poses)
        and ours.history.valid.tolist() == theirs.history.valid.tolist()
    )
    assert (ours.ego, ours.command, ours.rig.names) == (theirs.ego, theirs.command, theirs.rig.names)
    for a, b in zip(ours.rig, theirs.rig):
        assert np.allclose(a.ego_from_cam, b.ego_from_cam)
    assert observation_of(agent_input).key == ours.key


def test_a_camera_that_was_not_loaded(agent_input: SimpleNamespace):
    agent_input.cameras[-1].cam_f0.image = None
    with pytest.raises(DataError, match="no image of CAM_F0; the agent's get_sensor_config"):
        observation_of(agent_input)


def test_sensors():
    wanted = sensors_of()
    assert {name for name, frames in wanted.items() if frames == [3]} == {"cam_f0", "cam_l0", "cam_r0"}
    assert wanted["lidar_pc"] is False and len(wanted) == 9


@pytest.mark.parametrize("base", [AgentV1, AgentV2])
def test_an_agent_plans_eight_poses(
    base: type, monkeypatch: pytest.MonkeyPatch, agent_input: SimpleNamespace, tmp_path: Path
):
    from eyesup.models.baselines.ego_mlp import EgoMLP, EgoMLPConfig

    EgoMLP(EgoMLPConfig(waypoints=8)).save(tmp_path / "mlp")
    agent = install(monkeypatch, base).EyesUpAgent(str(tmp_path / "mlp"))
    agent.initialize()
    assert agent.name() == "EyesUp_mlp"
    assert agent.get_sensor_config().cam_f0 == [3]
    answer = agent.compute_trajectory(agent_input)
    assert answer.poses.shape == (8, 3) and answer.poses.dtype == np.float32
    assert answer.trajectory_sampling.num_poses == 8


def test_a_plan_that_is_too_short(monkeypatch: pytest.MonkeyPatch, agent_input: SimpleNamespace):
    agent = install(monkeypatch, AgentV2).EyesUpAgent("constant_velocity")
    with pytest.raises(DataError, match=r"constant_velocity plans 3 s; NAVSIM asks for 8 poses"):
        agent.compute_trajectory(agent_input)


def test_without_the_devkit_the_import_says_so():
    sys.modules.pop(MODULE, None)  # imported before beside a stand-in for the devkit
    with pytest.raises(EyesUpError, match=r"runs inside NAVSIM's devkit, and 'navsim' is not installed"):
        importlib.import_module(MODULE)
