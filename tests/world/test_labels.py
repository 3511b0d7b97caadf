"""Labels of keyframes: what is hidden, how far things are, which agent a pixel belongs to, and that a store gives them all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyesup.data.world import WorldSource
from eyesup.geometry.se2 import to_frame
from eyesup.types import AgentKind, Agents, DataError, Props, SemanticClass, Signals, SignalState
from eyesup.world.ego_view import agents_in_ego_frame, agents_near, signals_in_ego_frame
from eyesup.world.render import Renderer, raycast
from eyesup.world.render.labels import count_pixels
from eyesup.world.rigs import front3, jittered, pinhole
from eyesup.world.scene_io import Annotations
from eyesup.world.store import AGENT_CLASSES, SceneStore

GROUND = {int(k) for k in raycast.GROUND}


def boxes_of(*rows) -> raycast.Boxes:
    """Rows of (x, y, heading, length, width, height, bottom); slots count from 1."""
    table = np.array(rows, float).reshape(-1, 7)
    return raycast.Boxes(table[:, :3], table[:, 3:6], table[:, 6], np.arange(1, len(table) + 1, dtype=np.int32))


def parked(*rows) -> Agents:
    """Standing cars and boxes: rows of (x, y, heading, length, width, height), 40 steps."""
    table = np.array(rows, float)
    count = len(table)
    return Agents(
        ids=np.arange(count) * 3 + 5, kinds=np.full(count, AgentKind.TRUCK, np.uint8), sizes=table[:, 3:].astype(np.float32),
        poses=np.repeat(table[:, None, :3], 100, axis=1), velocities=np.zeros((count, 100, 2), np.float32),
        valid=np.ones((count, 100), bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def camera():
    """Level, 2 m above the ground at the origin, 90 degrees wide: focal length 100 px."""
    return pinhole("front", 0.0, (0.0, 0.0, 2.0), 90.0, 200, 120)


@pytest.fixture
def bare(hand_scene):
    """A hand scene with the ego at the origin and nothing but what a test puts there."""
    scene = hand_scene("hand", steps=100)
    return replace(
        scene, ego_poses=np.zeros((100, 3)), props=Props.empty(), agents=Agents.empty(100), signals=Signals.empty(100)
    )


# --- ray casting -----------------------------------------------------------------------------------------------------


def test_faces_of_a_box_by_hand(camera):
    """A box from x = 8 to 12, y = -0.98 to 0.98, z = 0 to 3: its rear face, 8 m away, fills columns 87.75 to 112.25."""
    depth, slots = raycast.cast(camera, boxes_of((10.0, 0.0, 0.0, 4.0, 1.96, 3.0, 0.0)))
    assert depth[60, 100] == pytest.approx(8.0) and slots[60, 100] == 1
    hit = np.flatnonzero(slots[60])
    assert (hit[0], hit[-1]) == (88, 111)  # pixel centres 88.5 .. 111.5 lie within
    assert slots[49, 100] == 1 and slots[47, 100] == 0  # its top edge, 1 m above the camera, is row 60 - 100 / 8 = 47.5
    assert depth[100, 100] == pytest.approx(2.0 * 100 / 40.5) and slots[100, 100] == 0  # the road before it
    assert np.isinf(depth[0, 0])


def test_a_turned_box_is_hit_on_its_edge(camera):
    """A box of 2 x 2 m turned by 45 degrees shows its edge, half a diagonal nearer than its middle.

    The ray y = -x / 200 through the middle of column 100 meets the face x = 10 - sqrt(2) - y.
    """
    depth, _ = raycast.cast(camera, boxes_of((10.0, 0.0, np.pi / 4, 2.0, 2.0, 4.0, 0.0)))
    assert depth[60, 100] == pytest.approx((10.0 - np.sqrt(2.0)) / (1 - 0.005))


def test_from_above_the_roof_is_seen(camera):
    """The roof at 1 m lies 1 m below the camera: row 60 + 100 / x for x from 5 to 15."""
    depth, slots = raycast.cast(camera, boxes_of((10.0, 0.0, 0.0, 10.0, 2.0, 1.0, 0.0)))
    assert slots[69, 100] == 1 and depth[69, 100] == pytest.approx(100 / 9.5)
    assert depth[75, 100] < 100 / 14.5  # below the roof's near edge: the rear face
    assert depth[85, 100] == pytest.approx(5.0)


def test_nearer_boxes_hide_farther_ones_in_any_order(camera):
    near, far = (6.0, 0.0, 0.0, 1.0, 4.0, 4.0, 0.0), (12.0, 0.5, 0.3, 2.0, 9.0, 6.0, 0.0)
    first, slots = raycast.cast(camera, boxes_of(near, far))
    second, swapped = raycast.cast(camera, boxes_of(far, near))
    np.testing.assert_array_equal(first, second)
    assert slots[60, 100] == 1 and swapped[60, 100] == 2 and (slots == 2).any()


def test_boxes_around_behind_and_beside_the_camera(camera):
    around, behind = (0.0, 0.0, 0.3, 6.0, 6.0, 5.0, 0.0), (-9.0, 0.0, 0.0, 4.0, 4.0, 4.0, 0.0)
    empty, _ = raycast.cast(camera, boxes_of())
    for box in (around, behind):
        depth, slots = raycast.cast(camera, boxes_of(box))
        np.testing.assert_array_equal(depth, empty)
        assert not slots.any()
    wall = (0.0, 3.0, 0.0, 40.0, 1.0, 4.0, 0.0)  # runs past the camera on its left, 2.5 m away
    depth, slots = raycast.cast(camera, boxes_of(wall))
    assert slots[60, 10] == 1 and depth[60, 10] == pytest.approx(2.5 * 100 / 89.5)
    level = (10.0, 0.0, 0.0, 4.0, 2.0, 2.0, 0.0)  # its top is exactly as high as the camera
    assert (raycast.cast(camera, boxes_of(level))[1][60:] == 1).any()


def test_classes_correct_what_boxes_get_wrong(camera):
    depth, _ = raycast.cast(camera, boxes_of((10.0, 0.0, 0.0, 4.0, 2.0, 3.0, 0.0)))
    classes = np.full(depth.shape, SemanticClass.VEGETATION, np.uint8)
    classes[60, 100], classes[70, 100] = SemanticClass.SKY, SemanticClass.ROAD
    refined = raycast.refined(depth, classes, camera)
    assert np.isinf(refined[60, 100]) and refined[70, 100] == pytest.approx(2.0 * 100 / 10.5)
    untouched = classes == SemanticClass.VEGETATION
    np.testing.assert_array_equal(refined[untouched], depth[untouched])


# --- what is hidden --------------------------------------------------------------------------------------------------


def test_counts_are_per_agent_and_camera():
    instances = np.zeros((2, 3, 4), np.int32)
    instances[0, 0], instances[1, 2, :3], instances[1, 0, 0] = 8, 8, 10
    assert count_pixels(np.array([7, 8, 9]), instances).tolist() == [[4, 3], [0, 0], [0, 1]]


def test_windows_that_do_not_touch_share_a_picture():
    places = np.array([[[0, 0, 10, 10]], [[0, 20, 10, 30]], [[0, 8, 10, 15]], [[5, 5, 5, 5]]])
    assert raycast.apart(places) == [[0, 1, 3], [2]]


def test_a_hidden_truck_keeps_its_whole_size(bare):
    """A box behind another: its visible pixels go, its whole pixels stay those it has when alone."""
    trucks = parked((14.0, 0.0, 0.0, 4.0, 2.5, 3.0), (26.0, 2.2, 0.0, 6.0, 2.5, 3.0), (22.0, -9.0, 0.0, 6.0, 2.5, 3.0))
    with Renderer(front3()) as renderer:
        counts = {}
        for name, rows in (("all", [0, 1, 2]), ("alone", [1])):
            agents = trucks.select(np.array(rows))
            renderer.load(replace(bare, agents=agents))
            visible = count_pixels(agents.ids, renderer.labels(0, depth=False).instances)
            before = renderer.images(0)
            counts[name] = visible, renderer.whole_pixels(0, visible)
            np.testing.assert_array_equal(renderer.images(0), before)  # everything stands where it stood
    visible, whole = counts["all"]
    alone, alone_whole = counts["alone"]
    np.testing.assert_array_equal(alone, alone_whole)
    np.testing.assert_array_equal(whole[1], alone[0])
    np.testing.assert_array_equal(whole[[0, 2]], visible[[0, 2]])  # nothing stands before these
    assert 0.05 < visible[1].sum() / whole[1].sum() < 0.9


def test_a_building_hides_and_what_no_camera_sees_counts_nothing(bare):
    agents = parked((30.0, 0.0, 0.0, 6.0, 2.5, 3.0), (-20.0, 0.0, 0.0, 6.0, 2.5, 3.0))
    house = Props(
        np.zeros(1, np.uint8), np.array([[20.0, 6.0, 0.0]]), np.array([[6.0, 12.0, 9.0]], np.float32), np.zeros(1, np.uint32)
    )  # fmt: skip
    with Renderer(front3()) as renderer:
        renderer.load(replace(bare, agents=agents, props=house))
        visible = count_pixels(agents.ids, renderer.labels(0, depth=False).instances)
        whole = renderer.whole_pixels(0, visible)
    assert 0.2 < visible[0].sum() / whole[0].sum() < 0.8
    assert not visible[1].any() and not whole[1].any()


def test_shares_by_hand():
    visible = np.array([[[3, 0], [0, 0], [5, 5]]], np.int32)
    whole = np.array([[[4, 8], [0, 0], [5, 4]]], np.int32)
    zeros = np.zeros(1)
    annotations = Annotations(zeros, zeros > 0, zeros, visible, whole, ((),))
    assert annotations.visible_share.tolist() == [[0.25, 0.0, 1.0]]
    with pytest.raises(DataError, match="whole_px"):
        Annotations(zeros, zeros > 0, zeros, visible, whole[:, :2], ((),))


# --- rasteriser and ray caster, store --------------------------------------------------------------------------------


@pytest.mark.parametrize(("scenario", "seed"), [("lead_brakes", 11), ("free_drive", 12)])
def test_ray_cast_agents_are_the_drawn_ones(log_of, scenario, seed):
    """Two implementations that share no code agree on the agent of nine agent pixels in ten, and on where the ground is."""
    scene = log_of(scenario, seed)
    ids = np.concatenate([[0], scene.agents.ids + 1])
    agree, agent_px, ground_free, ground_px = 0, 0, 0, 0
    with Renderer(jittered(front3(), seed)) as renderer:
        renderer.load(scene)
        for step in scene.keyframes[::3].tolist():
            frame = renderer.labels(step, depth=False)
            boxes = raycast.scene_boxes(scene, scene.agents, step, step, 120.0)
            for camera, drawn, classes in zip(renderer.rig, frame.instances, frame.semantics):
                cast = ids[raycast.cast(camera, boxes)[1]]
                on, ground = drawn > 0, np.isin(classes, list(GROUND))
                agree, agent_px = agree + (cast == drawn)[on].sum(), agent_px + on.sum()
                ground_free, ground_px = ground_free + (cast == 0)[ground].sum(), ground_px + ground.sum()
    assert agent_px > 2000
    assert agree / agent_px > 0.9
    assert ground_free / ground_px > 0.98


def test_a_store_gives_depth_and_instances_of_its_keyframes(tiny_store):
    store = SceneStore(tiny_store)
    key = next(key for key in store.keys if "lead_brakes" in key)
    scene, rig = store.scene(key), store.rig_of(key)
    with Renderer(rig) as renderer:
        renderer.load(scene)
        agree = []
        for step in store.keyframes(key)[::4]:
            frame = renderer.labels(step)
            np.testing.assert_array_equal(store.depth(key, step), frame.depth_m)
            instances = store.instances(key, step)
            agree.append((instances == frame.instances).mean())
            assert not instances[~np.isin(frame.semantics, AGENT_CLASSES)].any()
    assert min(agree) > 0.99
    assert store.depth(key, step) is store.depth(key, step)  # kept
    later = next(step for step in store.steps(key) if step not in store.keyframes(key))
    assert store.depth(key, later).shape == (3, 36, 64)  # without labels too
    with pytest.raises(DataError, match=f"steps 0 to {len(scene) - 1}, not {len(scene)}"):
        store.depth(key, len(scene))


def test_annotations_say_how_much_of_each_agent_is_seen(tiny_store):
    store = SceneStore(tiny_store)
    shares = []
    for key in store.keys:
        annotations, scene = store.annotations(key), store.scene(key)
        assert annotations.visible_px.shape == (len(scene.keyframes), len(scene.agents), 3)
        k = len(scene.keyframes) // 2
        seen = np.isin(store.labels(key, int(scene.keyframes[k])), AGENT_CLASSES).sum()
        assert annotations.visible_px[k].sum() == seen  # every agent pixel belongs to one agent
        # Drawn alone, an edge may fall a pixel short of where it is drawn among others.
        assert (annotations.visible_px <= annotations.whole_px + 2).all()
        shares.append(annotations.visible_share)
    values = np.concatenate([share.ravel() for share in shares])
    assert (values == 0).any() and (values == 1).any() and ((values > 0.05) & (values < 0.95)).any()


def test_samples_carry_depth_visibility_and_signals(tiny_store):
    source = WorldSource(tiny_store, depth=True)
    sample = source[3]
    key, step = source.place(3)
    truth, scene = sample.truth, source.store.scene(key)
    np.testing.assert_array_equal(truth.depth_m, source.store.depth(key, step))
    near = agents_near(scene, step, len(truth.future))
    assert truth.agents.ids.tolist() == scene.agents.ids[near].tolist()
    assert truth.visible_px.shape == (near.sum(), 3) and truth.visible_share.shape == (near.sum(),)
    row = source.store.annotations(key).visible_px[list(scene.keyframes).index(step)]
    np.testing.assert_array_equal(truth.visible_px, row[near])
    assert truth.signals.states.shape[1] == truth.agents.steps
    with pytest.raises(DataError, match="visible_px has 0 rows"):
        replace(truth, visible_px=truth.visible_px[:0])
    assert WorldSource(tiny_store)[3].truth.depth_m is None
    assert WorldSource(tiny_store, depth=True, images="none")[3].truth.depth_m is None


def test_signals_in_the_ego_frame_by_hand(bare):
    """A light 20 m ahead of an ego that looks along y, one too far away; the log's last colour stays."""
    poses = np.array([[5.0, 20.0, 3.0, -np.pi / 2], [5.0, 300.0, 3.0, 0.0]])
    states = np.full((2, 100), SignalState.RED, np.uint8)
    states[:, 95:] = SignalState.GREEN
    signals = Signals(np.array([4, 9]), poses, states, (("lane",), ()), np.array([[5.0, 18.0], [0.0, 0.0]]))
    scene = replace(bare, ego_poses=np.tile([5.0, 0.0, np.pi / 2], (100, 1)), signals=signals)
    seen = signals_in_ego_frame(scene, 90, 20)
    assert seen.ids.tolist() == [4] and seen.stop_lane_ids == (("lane",),)
    np.testing.assert_allclose(seen.poses, [[20.0, 0.0, 3.0, -np.pi]], atol=1e-12)
    np.testing.assert_allclose(seen.stop_points, [[18.0, 0.0]], atol=1e-12)
    assert seen.states[0].tolist() == [SignalState.RED] * 5 + [SignalState.GREEN] * 16


def test_agents_near_are_those_in_the_ego_frame(log_of):
    scene = log_of("free_drive", 12)
    near = agents_near(scene, 30, 50)
    agents = agents_in_ego_frame(scene, 30, 50)
    assert agents.ids.tolist() == scene.agents.ids[near].tolist() and 0 < near.sum() < len(near)
    here = agents.valid[:, 0]
    expected = to_frame(scene.agents.poses[near][here, 30], scene.ego_poses[30])
    np.testing.assert_allclose(agents.poses[here, 0], expected)
