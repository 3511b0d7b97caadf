"""No planner sees the future: rewrite everything after t = 0, and inputs and plans stay bit for bit what they were."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

from eyesup import catalog
from eyesup.data.world import WorldSource
from eyesup.evaluation.openloop import evaluate
from eyesup.models.baselines.ego_mlp import EgoMLP, encode
from eyesup.models.ik_vla.planner import IKVLAPlanner
from eyesup.models.load import load_planner
from eyesup.models.protocol import Planner
from eyesup.types import QA, Agents, Command, CommandSource, Maneuver, Observation, Sample, Scene, Trajectory, Truth
from eyesup.world.rigs import front3
from eyesup.world.store import rig_to_json, scene_files, write_manifest

RIG = front3(64, 36)
KEYFRAMES = range(3)
FAMILIES = tuple(catalog.FAMILIES)


@pytest.fixture(scope="module")
def planners(debug_checkpoint: Path) -> dict[str, Planner]:
    torch.manual_seed(0)
    return {"ik_vla": load_planner(str(debug_checkpoint)), "ego_mlp": EgoMLP().eval()}


def scrambled(array: np.ndarray, axis: int, step: int) -> np.ndarray:
    """Noise after `step`."""
    rng = np.random.default_rng(step)
    tail = [slice(None)] * array.ndim
    tail[axis] = slice(step + 1, None)
    changed = array.copy()
    shape = changed[tuple(tail)].shape
    noise = rng.integers(0, 3, shape) if array.dtype.kind in "iub" else 9.0 * rng.normal(size=shape)
    changed[tuple(tail)] = noise.astype(array.dtype)
    return changed


def with_another_future(scene: Scene, step: int) -> Scene:
    """Everything that the scene says about the time after `step`, replaced by noise."""
    ego = ("ego_poses", "ego_velocities", "ego_accelerations", "ego_yaw_rates", "ego_steerings")
    moving = ("poses", "velocities", "valid", "lights", "bottom_z")
    maneuvers = scene.maneuvers[: step + 1] + (Maneuver.TURN_RIGHT,) * (len(scene) - step - 1)
    return replace(
        scene,
        **{name: scrambled(getattr(scene, name), 0, step) for name in ego},
        agents=replace(scene.agents, **{name: scrambled(getattr(scene.agents, name), 1, step) for name in moving}),
        signals=replace(scene.signals, states=scrambled(scene.signals.states, 1, step)),
        maneuvers=maneuvers,
    )


def other_truth(truth: Truth) -> Truth:
    """Another Truth of the right types and sizes, with nothing of the first in it."""
    rng = np.random.default_rng(7)
    steps = len(truth.future)
    images = truth.future_images
    assert images is not None
    return replace(
        truth,
        future=Trajectory(50.0 * rng.normal(size=(steps, 3)), truth.future.dt_s),
        agents=Agents.empty(steps + 1),
        signals=None,
        visible_px=None,
        visible_share=None,
        road_map=None,
        future_images=rng.integers(0, 256, images.shape, dtype=np.uint8),
        semantics=np.zeros_like(truth.semantics),
        qa=(QA("Does the ego brake?", "yes", "exist"),),
        tags={"scenario": "another"},
    )


@pytest.fixture
def build(tmp_path: Path, hand_scene: Callable[..., Scene], write_hand_scene: Callable[..., None]):
    """Store of one scene whose pictures are noise; `after` is a step behind which scene and pictures are replaced."""

    def make(name: str, after: int | None = None) -> list[Sample]:
        root, scene = tmp_path / name, hand_scene()
        steps = sorted({int(k) + later for k in scene.keyframes for later in (0, 10, 20, 30)})
        rng = np.random.default_rng(5)
        images = {step: rng.integers(0, 256, (3, 36, 64, 3), dtype=np.uint8) for step in steps}
        if after is not None:
            images = {step: image if step <= after else 255 - image for step, image in images.items()}
            scene = with_another_future(scene, after)
        root.mkdir()
        write_hand_scene(root, scene, RIG, images)
        write_manifest(root, [scene_files(root, scene.key)], {"rig": json.loads(rig_to_json(RIG))})
        return list(WorldSource(root))

    return make


def inputs(planner: Planner, item: Observation | Sample) -> dict[str, Any]:
    """What enters the network when this is planned."""
    if isinstance(planner, IKVLAPlanner):
        return planner.processor([item], training=False)
    assert isinstance(planner, EgoMLP)
    observation = item.observation if isinstance(item, Sample) else item
    return {"features": torch.from_numpy(encode(observation, planner.config))}


def identical(first: dict[str, Any], second: dict[str, Any]) -> bool:
    same = [torch.equal(v, second[k]) if isinstance(v, torch.Tensor) else v == second[k] for k, v in first.items()]
    return first.keys() == second.keys() and all(same)


def plan(planner: Planner, observation: Observation) -> bytes:
    (prediction,) = planner.plan([replace(observation, question="Is there a red light?")], seed=3)
    shown = {name: array.tobytes() for name, array in prediction.extras.items()}
    return repr((prediction.trajectory.poses.tobytes(), prediction.answer, shown)).encode()


def test_every_family_is_tried(planners):
    assert set(planners) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keyframe", KEYFRAMES)
def test_another_future_changes_neither_input_nor_plan(build, planners, family, keyframe):
    before = build("a")
    step = int(before[keyframe].key.rsplit("@", 1)[1])
    after = build("b", after=step)
    one, two, planner = before[keyframe], after[keyframe], planners[family]
    assert one.truth and two.truth
    assert not np.array_equal(one.truth.future.poses, two.truth.future.poses)  # the rewriting reached the files
    assert not np.array_equal(one.truth.future_images, two.truth.future_images)
    assert identical(inputs(planner, one.observation), inputs(planner, two.observation))
    assert plan(planner, one.observation) == plan(planner, two.observation)


@pytest.mark.parametrize("family", FAMILIES)
def test_another_past_does_change_them(build, planners, family):
    """The comparison is not blind: rewriting from before the keyframe on is noticed."""
    one, two, planner = build("a")[1], build("b", after=39)[1], planners[family]
    assert one.key == two.key
    assert not identical(inputs(planner, one.observation), inputs(planner, two.observation))
    assert plan(planner, one.observation) != plan(planner, two.observation)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_truth_beside_the_observation_changes_nothing(build, planners, family):
    planner = planners[family]
    for sample in build("a"):
        assert sample.truth is not None
        garbage = replace(sample, truth=other_truth(sample.truth))
        bare = Sample(sample.observation)
        first = inputs(planner, sample)
        assert identical(first, inputs(planner, garbage)) and identical(first, inputs(planner, bare))
        assert not {"trajectory", "trajectory_valid", "labels", "future_images", "future_tokens"} & first.keys()


@pytest.mark.parametrize("name", [*FAMILIES, *catalog.RULES])
def test_plan_takes_observations_and_a_seed_only(planners, name):
    planner = planners[name] if name in planners else load_planner(name)
    signature = inspect.signature(planner.plan)
    assert list(signature.parameters) == ["observations", "seed"]
    module = inspect.getmodule(type(planner))
    hints = get_type_hints(inspect.unwrap(type(planner).plan), vars(module))
    assert hints["observations"].__args__ == (Observation,)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("what", ["sample", "truth"])
def test_a_planner_cannot_be_handed_a_truth(build, planners, family, what):
    sample = build("a")[0]
    with pytest.raises(Exception, match=r"type|attribute"):
        planners[family].plan([sample if what == "sample" else sample.truth])


def test_no_field_of_an_observation_can_hold_a_truth():
    hints = get_type_hints(Observation)
    assert {field.name for field in fields(Observation)} == set(hints)
    assert all("Truth" not in str(hint) and "Scene" not in str(hint) for hint in hints.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_command_from_the_future_marks_every_record(build, planners, family):
    samples = build("a")

    class FromFuture:
        name, keys = "from the future", tuple(sample.key for sample in samples)

        def __len__(self):
            return len(samples)

        def __getitem__(self, index):
            command = Command(samples[index].observation.command.maneuver, CommandSource.FUTURE)
            return replace(samples[index], observation=replace(samples[index].observation, command=command))

        def __iter__(self):
            return (self[index] for index in range(len(self)))

    records = evaluate(planners[family], FromFuture(), seeds=(0, 1))
    assert len(records) == 6 and all(record["privileged"] is True for record in records)
