"""The leaderboard's file, opened with classes named like the devkit's."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from eyesup.data.navsim.submission import Team, write_submission
from eyesup.types.errors import DataError

TEAM = Team("us", "A. Author", "a@b.c", "here", "nowhere")
PLAN = np.arange(24.0).reshape(8, 3)


@pytest.fixture
def devkit(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Two modules with the devkit's two classes."""

    @dataclass(frozen=True)
    class TrajectorySampling:
        num_poses: int | None = None
        time_horizon: float | None = None
        interval_length: float | None = None

    @dataclass
    class Trajectory:
        poses: np.ndarray
        trajectory_sampling: TrajectorySampling

    places = {
        "navsim.common.dataclasses": Trajectory,
        "nuplan.planning.simulation.trajectory.trajectory_sampling": TrajectorySampling,
    }
    for name, kind in places.items():
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), ModuleType(parts[depth - 1]))
        setattr(sys.modules[name], kind.__name__, kind)
    return {kind.__name__: kind for kind in places.values()}


def test_v1(tmp_path: Path, devkit: dict[str, type]):
    write_submission(tmp_path / "one.pkl", TEAM, {"a" * 16: PLAN})
    content = pickle.loads((tmp_path / "one.pkl").read_bytes())
    assert list(content) == ["team_name", "authors", "email", "institution", "country / region", "predictions"]
    trajectory = content["predictions"][0]["a" * 16]
    assert isinstance(trajectory, devkit["Trajectory"])
    assert trajectory.poses.dtype == np.float32 and np.array_equal(trajectory.poses, PLAN)
    assert trajectory.trajectory_sampling == devkit["TrajectorySampling"](8, 4.0, 0.5)


def test_v2_has_two_stages(tmp_path: Path, devkit: dict[str, type]):
    write_submission(tmp_path / "two.pkl", TEAM, {"a" * 16: PLAN}, {"b" * 17: PLAN + 1})
    content = pickle.loads((tmp_path / "two.pkl").read_bytes())
    assert list(content["first_stage_predictions"][0]) == ["a" * 16]
    assert np.array_equal(content["second_stage_predictions"][0]["b" * 17].poses, PLAN + 1)
    assert "predictions" not in content


def test_bad_plans(tmp_path: Path):
    with pytest.raises(DataError, match="0 plans"):
        write_submission(tmp_path / "x.pkl", TEAM, {})
    with pytest.raises(DataError, match=r"plan of scene t has shape \(6, 3\)"):
        write_submission(tmp_path / "x.pkl", TEAM, {"t": PLAN[:6]})
    with pytest.raises(DataError, match="plan of scene t holds nan"):
        write_submission(tmp_path / "x.pkl", TEAM, {"t": np.where(PLAN == 3.0, np.nan, PLAN)})
    assert not (tmp_path / "x.pkl").exists()
