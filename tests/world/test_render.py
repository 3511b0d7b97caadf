"""The renderer: geometry against analytic projection, labels against ray casting, lamps, determinism, edits."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import shapely
from panda3d import core as p3

from eyesup.types import (
    AgentKind,
    Agents,
    Appearance,
    Camera,
    CameraRig,
    Cue,
    DataError,
    Lane,
    Lights,
    Maneuver,
    Paint,
    PropKind,
    Props,
    RoadLine,
    RoadMap,
    Scene,
    SemanticClass,
    Signals,
    SignalState,
    StopLine,
)  # fmt: skip
from eyesup.world.render import Renderer, raster, raycast
from eyesup.world.render.bodies import AMBULANCE_SIZE_M, FIRE_ENGINE_SIZE_M, POLICE_SIZE_M, WORKER_LOOK, body
from eyesup.world.render.labels import decode, encode
from eyesup.world.render.meshes import SHELL, box
from eyesup.world.rigs import ego_from_cam, front3, jittered, surround6

STEPS = 4
CLASS = SemanticClass


def rectangle(x0, x1, y0, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def road_map() -> RoadMap:
    """A straight two-lane road along x, 7 m wide, with pavements, a crossing at x = 40 and a stop line before it."""
    lane = Lane("east", np.array([[-60.0, -1.75], [38.0, -1.75]]), 3.5, 13.9)
    lines = (
        RoadLine(np.array([[-60.0, 0.0], [200.0, 0.0]]), Paint.DASHED_YELLOW),
        RoadLine(np.array([[-60.0, 3.5], [200.0, 3.5]]), Paint.KERB),
        RoadLine(np.array([[-60.0, -3.5], [200.0, -3.5]]), Paint.KERB),
    )
    return RoadMap(
        (lane,), lines, (rectangle(39, 42, -3.5, 3.5),), (StopLine(np.array([[38.0, -3.5], [38.0, 0.0]]), "east"),),
        (rectangle(-60, 200, -3.5, 3.5),), (rectangle(-60, 200, 3.5, 6), rectangle(-60, 200, -6, -3.5)),
    )  # fmt: skip


def agents_of(*rows) -> Agents:
    """Rows of (kind, (x, y, heading), (length, width, height), lights); they stand still."""
    a = len(rows)
    return Agents(
        ids=np.arange(a) + 70,
        kinds=np.array([row[0] for row in rows], np.uint8).reshape(a),
        sizes=np.array([row[2] for row in rows], np.float32).reshape(a, 3),
        poses=np.repeat(np.array([row[1] for row in rows], float).reshape(a, 1, 3), STEPS, axis=1),
        velocities=np.zeros((a, STEPS, 2), np.float32),
        valid=np.ones((a, STEPS), bool),
        lights=np.repeat(np.array([row[3] for row in rows], np.uint8).reshape(a, 1), STEPS, axis=1),
        looks=np.arange(a, dtype=np.uint32),
    )


def signals_of(*rows) -> Signals:
    """Rows of ((x, y, z, heading), state)."""
    s = len(rows)
    poses = np.array([row[0] for row in rows], float).reshape(s, 4)
    states = np.repeat(np.array([row[1] for row in rows], np.uint8).reshape(s, 1), STEPS, axis=1)
    return Signals(np.arange(s), poses, states, (("east",),) * s, poses[:, :2])


def props_of(*rows) -> Props:
    p = len(rows)
    return Props(
        np.array([row[0] for row in rows], np.uint8).reshape(p), np.array([row[1] for row in rows], float).reshape(p, 3),
        np.array([row[2] for row in rows], np.float32).reshape(p, 3), np.arange(p, dtype=np.uint32),
    )  # fmt: skip


CAR = (4.6, 1.9, 1.5)


def scene_of(agents=None, signals=None, props=None, appearance=None, ego=None, roads=None) -> Scene:
    zeros = np.zeros((STEPS, 2))
    poses = np.array([[0.5 * i, -1.75, 0.0] for i in range(STEPS)]) if ego is None else np.tile(ego, (STEPS, 1))
    return Scene(
        "hand", 0.1, poses, zeros, zeros, np.zeros(STEPS), np.zeros(STEPS), (Maneuver.KEEP_FORWARD,) * STEPS,
        agents or Agents.empty(STEPS), signals or Signals.empty(STEPS), road_map() if roads is None else roads,
        props or Props.empty(), appearance or Appearance(), np.array([[0.0, -1.75], [100.0, -1.75]]), ("east",), Cue(),
        np.array([1]),
    )  # fmt: skip


def street_scene(**kwargs) -> Scene:
    """Vehicles, a person, houses, a tree and two signals."""
    agents = agents_of(
        (AgentKind.CAR, (14.0, -1.75, 0.0), CAR, Lights.BRAKE),
        (AgentKind.BUS, (25.0, 1.75, np.pi), (11.0, 2.5, 3.1), Lights.LEFT),
        (AgentKind.PEDESTRIAN, (12.0, -4.5, 1.0), (0.5, 0.6, 1.75), Lights.NONE),
        (AgentKind.VAN, (9.0, 1.9, 3.0), (5.2, 2.0, 2.3), Lights.NONE),
    )
    signals = signals_of(((38.0, -4.5, 3.2, np.pi), SignalState.RED), ((43.0, 4.5, 3.2, 0.0), SignalState.GREEN))
    props = props_of(
        (PropKind.BUILDING, (15.0, 14.0, 0.1), (14.0, 9.0, 12.0)), (PropKind.BUILDING, (22.0, -14.0, 0.0), (12.0, 9.0, 7.0)),
        (PropKind.TREE, (18.0, 7.0, 0.0), (3.0, 3.0, 6.0)), (PropKind.POLE, (10.0, -5.5, np.pi / 2), (0.2, 0.2, 7.0)),
        (PropKind.BUSH, (8.0, 7.0, 0.0), (1.4, 1.4, 1.0)), (PropKind.SIGN, (20.0, -5.0, np.pi), (0.1, 0.8, 2.6)),
    )  # fmt: skip
    return scene_of(agents, signals, props, **kwargs)


@pytest.fixture(scope="module")
def renderer():
    with Renderer(front3()) as made:
        yield made


def odd_rig() -> CameraRig:
    """Different focal lengths across and down, principal point far off the middle, camera pitched and rolled."""
    intrinsics = np.array([[170.0, 0.0, 97.0], [0.0, 210.0, 88.0], [0.0, 0.0, 1.0]])
    return jittered(CameraRig((Camera("odd", intrinsics, ego_from_cam(0.2, (1.2, 0.3, 1.4)), 256, 144),)), 5)


@pytest.mark.parametrize("rig", [front3(), surround6(), odd_rig()], ids=["front3", "surround6", "odd"])
def test_lens_matches_intrinsics(rig):
    """Silhouettes of boxes have the centroids that projecting their corners by hand gives, to well under a pixel."""
    world = p3.NodePath("world")
    buffer = raster.CameraBuffer(rig, world.attachNewNode("ego"), raster.COLOR_MASK)
    errors = []
    for camera_index, camera in enumerate(rig.cameras):
        for place in ((-2.0, 1.0, 9.0), (2.5, -0.6, 12.0), (0.3, 0.4, 7.0), (-0.5, -1.0, 20.0), (3.0, 1.2, 15.0)):
            x, y, z = (camera.ego_from_cam @ [*place, 1.0])[:3]
            mesh = box(
                (x - 0.5, x + 0.5),
                (y - 0.5, y + 0.5),
                (z - 0.5, z + 0.5),
                (1.0, 1.0, 1.0),
                CLASS.OBSTACLE,
                (*SHELL, "bottom"),
            )
            node = p3.GeomNode("box")
            node.addGeom(raster.geom(mesh, np.full((len(mesh), 4), 255, np.uint8)))
            path = world.attachNewNode(node)
            seen = np.argwhere(buffer.frame()[camera_index, ..., 0] > 128)[:, ::-1].mean(0) + 0.5
            path.removeNode()
            in_cam = (mesh.points - camera.ego_from_cam[:3, 3]) @ camera.ego_from_cam[:3, :3]
            uv = in_cam @ camera.intrinsics.T
            hull = shapely.MultiPoint(uv[:, :2] / uv[:, 2:]).convex_hull
            if not shapely.box(0, 0, camera.width_px, camera.height_px).contains(hull):
                continue
            expected = np.array([hull.centroid.x, hull.centroid.y])
            errors.append(seen - expected)
    buffer.close()
    assert len(errors) >= 3 * len(rig)
    assert np.abs(errors).max() < 0.8
    assert np.abs(np.mean(errors, axis=0)).max() < 0.25


def test_picture_shows_road_below_and_sky_above(renderer):
    renderer.load(scene_of())
    images, labels = renderer.images(0), renderer.labels(0)
    assert images.shape == (3, 144, 256, 3) and images.dtype == np.uint8
    assert (labels.semantics[1, :60] == CLASS.SKY).all() and labels.semantics[1, 143, 128] == CLASS.ROAD
    asphalt = images[1][labels.semantics[1] == CLASS.ROAD].mean(0)
    np.testing.assert_allclose(asphalt, np.array(Appearance().asphalt) * 255, atol=30)
    assert images[1, 5, 128, 2] > images[1, 5, 128, 0]  # blue sky
    for cls in (CLASS.PAINT, CLASS.CROSSWALK, CLASS.SIDEWALK, CLASS.GRASS):
        assert (labels.semantics == cls).any(), cls


def test_semantics_hold_every_thing_that_is_there(renderer):
    renderer.load(street_scene())
    labels = renderer.labels(0)
    present = set(np.unique(labels.semantics).tolist())
    wanted = {
        CLASS.BUILDING,
        CLASS.VEGETATION,
        CLASS.POLE,
        CLASS.VEHICLE,
        CLASS.PEDESTRIAN,
        CLASS.SIGNAL_BODY,
        CLASS.SIGNAL_RED,
        CLASS.BRAKE_LIGHT,
    }
    assert wanted <= present
    assert CLASS.SIGNAL_GREEN not in present  # that head faces the other way
    assert set(np.unique(labels.instances).tolist()) == {0, 71, 72, 73, 74}


def test_instances_agree_with_ray_cast_boxes(renderer):
    """Silhouettes fill their boxes: bodies are never outside them by more than a pixel's rim, and cover most of them."""
    scene = street_scene()
    renderer.load(scene)
    labels = renderer.labels(0, depth=False)
    boxes = raycast.scene_boxes(scene, scene.agents, 0, 0, 120.0)
    cast = np.stack([raycast.cast(camera, boxes)[1] for camera in renderer.rig])
    ids = np.concatenate([[0], scene.agents.ids + 1])[cast]
    for agent_id, share in ((71, 0.65), (72, 0.8), (73, 0.4), (74, 0.75)):
        drawn, boxed = labels.instances == agent_id, ids == agent_id
        assert boxed.sum() > 50
        assert (drawn & boxed).sum() / (drawn | boxed).sum() > share, agent_id
        assert (drawn & ~boxed).sum() < 0.12 * drawn.sum(), agent_id


def test_depth_is_finite_exactly_where_there_is_no_sky(renderer):
    renderer.load(street_scene())
    labels = renderer.labels(0)
    assert labels.depth_m is not None
    solid = labels.semantics != CLASS.SKY
    assert (np.isfinite(labels.depth_m) == solid).mean() > 0.96
    assert labels.depth_m.min() > 0
    assert renderer.labels(0, depth=False).depth_m is None


def test_depth_of_ground_and_of_a_wall_by_hand():
    camera = front3().cameras[1]
    wall = raycast.Boxes(
        np.array([[21.7, 0.0, 0.0]]), np.array([[2.0, 8.0, 5.0]]), np.zeros(1), np.array([9], np.int32)
    )
    depth, slots = raycast.cast(camera, wall)
    assert depth[72, 128] == pytest.approx(19.0) and slots[72, 128] == 9  # rear face at x = 20.7, camera at 1.7
    focal = camera.intrinsics[0, 0]
    assert depth[143, 128] == pytest.approx(1.5 * focal / 71.5, rel=1e-6) and slots[143, 128] == 0
    assert np.isinf(depth[10, 5])


@pytest.mark.parametrize(
    ("light", "cls"),
    [(Lights.BRAKE, CLASS.BRAKE_LIGHT), (Lights.LEFT, CLASS.INDICATOR), (Lights.RIGHT, CLASS.INDICATOR)],
)
def test_lamps_of_a_car_are_seen_25_m_ahead(renderer, light, cls):
    renderer.load(scene_of(agents_of((AgentKind.CAR, (29.0, -1.75, 0.0), CAR, light))))
    lit = renderer.labels(0, depth=False).semantics[1] == cls
    assert lit.sum() >= 4
    red, green, blue = renderer.images(0)[1][lit].mean(0)
    assert red > 200 and blue < 80
    assert (green < 80) if light == Lights.BRAKE else (120 < green < 200)
    columns = np.argwhere(lit)[:, 1]
    if light == Lights.LEFT:
        assert columns.max() < 128
    if light == Lights.RIGHT:
        assert columns.min() >= 128


def test_dark_lamps_are_no_lamps(renderer):
    renderer.load(scene_of(agents_of((AgentKind.CAR, (12.0, -1.75, 0.0), CAR, Lights.NONE))))
    semantics = renderer.labels(0, depth=False).semantics
    assert not np.isin(semantics, [CLASS.BRAKE_LIGHT, CLASS.INDICATOR, CLASS.BEACON]).any()


@pytest.mark.parametrize(
    "size", [POLICE_SIZE_M, AMBULANCE_SIZE_M, FIRE_ENGINE_SIZE_M], ids=["police", "ambulance", "fire"]
)
@pytest.mark.parametrize("heading", [0.0, np.pi / 2, np.pi])
def test_beacon_is_seen_from_every_side_and_its_halves_take_turns(renderer, size, heading):
    renderer.load(scene_of(agents_of((AgentKind.EMERGENCY, (26.7, -1.75, heading), size, Lights.BEACON))))
    lit = [renderer.labels(step, depth=False).semantics[1] == CLASS.BEACON for step in (0, 2)]
    for step, pixels in zip((0, 2), lit):
        assert pixels.sum() >= 4 and renderer.images(step)[1][pixels].mean(0)[2] > 200
    assert (lit[0] & lit[1]).sum() < 0.5 * lit[0].sum()
    same = renderer.labels(1, depth=False).semantics[1] == CLASS.BEACON  # a turn lasts two steps
    assert (same & lit[0]).sum() > (same & lit[1]).sum()


def test_people_move_their_legs_only_while_they_walk(renderer):
    """A walker's mesh changes with the step, a standing person's does not; both keep their place and size."""
    row = (AgentKind.PEDESTRIAN, (9.0, -1.75, np.pi / 2), (0.6, 0.6, 1.75), Lights.NONE)
    standing = agents_of(row)
    walking = replace(standing, velocities=np.full_like(standing.velocities, 1.0))
    ego = np.array([0.0, -1.75, 0.0])
    shapes = {}
    for name, agents in (("standing", standing), ("walking", walking)):
        renderer.load(scene_of(agents, ego=ego))
        shapes[name] = [renderer.labels(step, depth=False).instances[1] == 71 for step in (0, 2)]
    assert (shapes["standing"][0] == shapes["standing"][1]).all()
    assert (shapes["walking"][0] != shapes["walking"][1]).sum() > 10
    for shape in shapes["walking"]:
        assert 0.6 < shape.sum() / shapes["standing"][0].sum() < 1.6


def test_workers_wear_orange():
    plain, worker = (
        body(AgentKind.PEDESTRIAN, np.array([0.5, 0.6, 1.8], np.float32), look) for look in (1, WORKER_LOOK + 1)
    )
    orange = np.array([1.0, 0.42, 0.05], np.float32)
    assert not np.isclose(plain.colors, orange).all(-1).any() and np.isclose(worker.colors, orange).all(-1).any()


@pytest.mark.parametrize(
    ("state", "cls", "channel"),
    [
        (SignalState.RED, CLASS.SIGNAL_RED, 0),
        (SignalState.AMBER, CLASS.SIGNAL_AMBER, 0),
        (SignalState.GREEN, CLASS.SIGNAL_GREEN, 1),
    ],
)
def test_signal_colour_reads_at_35_m_and_only_from_the_front(renderer, state, cls, channel):
    renderer.load(scene_of(signals=signals_of(((36.7, -4.5, 3.2, np.pi), state))))
    semantics = renderer.labels(0, depth=False).semantics
    lit = semantics[1] == cls
    assert lit.sum() >= 3
    assert renderer.images(0)[1][lit].mean(0)[channel] > 200
    renderer.load(scene_of(signals=signals_of(((36.7, -4.5, 3.2, 0.0), state))))
    from_behind = renderer.labels(0, depth=False).semantics
    assert not (from_behind == cls).any() and (from_behind == CLASS.SIGNAL_BODY).any()


def test_red_is_above_green(renderer):
    rows = []
    for state, cls in ((SignalState.RED, CLASS.SIGNAL_RED), (SignalState.GREEN, CLASS.SIGNAL_GREEN)):
        renderer.load(scene_of(signals=signals_of(((20.0, -4.5, 3.0, np.pi), state))))
        rows.append(np.argwhere(renderer.labels(0, depth=False).semantics[1] == cls)[:, 0].mean())
    assert rows[0] < rows[1]


def test_same_bytes_whatever_was_drawn_before(renderer):
    scene = street_scene()
    renderer.load(scene)
    first = renderer.images(1)
    labels = renderer.labels(2)
    renderer.images(3)
    np.testing.assert_array_equal(renderer.images(1), first)
    renderer.load(scene_of())
    renderer.images(0)
    renderer.load(scene)
    again = renderer.labels(2)
    np.testing.assert_array_equal(renderer.images(1), first)
    np.testing.assert_array_equal(again.semantics, labels.semantics)
    np.testing.assert_array_equal(again.instances, labels.instances)
    np.testing.assert_array_equal(again.depth_m, labels.depth_m)


def test_same_bytes_in_a_fresh_process(renderer):
    renderer.load(street_scene())
    here = hashlib.sha256(renderer.images(2).tobytes() + renderer.labels(2).semantics.tobytes()).hexdigest()
    code = (
        "import importlib.util, hashlib\n"
        f"spec = importlib.util.spec_from_file_location('scenes', {__file__!r})\n"
        "m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m)\n"
        "with m.Renderer(m.front3()) as r:\n"
        "    r.load(m.street_scene())\n"
        "    print(hashlib.sha256(r.images(2).tobytes() + r.labels(2).semantics.tobytes()).hexdigest())\n"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
    assert there.stderr == ""  # the rasteriser's chatter is silenced


def test_world_turns_with_the_ego(renderer):
    """Turning and shifting map, agents and ego together leaves the instance picture as it was."""

    def moved(xyh):
        x, y, h = xyh
        return np.array([30 + x * np.cos(1.1) - y * np.sin(1.1), -20 + x * np.sin(1.1) + y * np.cos(1.1), h + 1.1])

    rows = [
        (AgentKind.CAR, (14.0, 0.0, 0.3), CAR, Lights.NONE),
        (AgentKind.TRUCK, (22.0, 5.0, 0.0), (8.0, 2.5, 3.4), Lights.NONE),
    ]
    renderer.load(scene_of(agents_of(*rows), ego=np.array([0.0, -1.0, 0.1])))
    before = renderer.labels(0, depth=False).instances
    turned = [(kind, tuple(moved(pose)), size, lit) for kind, pose, size, lit in rows]
    renderer.load(scene_of(agents_of(*turned), ego=moved([0.0, -1.0, 0.1])))
    after = renderer.labels(0, depth=False).instances
    assert (before > 0).sum() > 500
    assert (before != after).mean() < 2e-3


def test_removing_an_agent_changes_only_where_it_and_its_shadow_were(renderer):
    scene = street_scene()
    renderer.load(scene)
    full, mask = renderer.images(0), renderer.labels(0, depth=False).instances == 71
    edited = replace(scene.agents, valid=scene.agents.valid & (scene.agents.ids != 70)[:, None])
    without = renderer.images(0, agents=edited)
    changed = (full != without).any(-1)
    assert changed[mask].mean() > 0.8
    assert changed.sum() < 2.5 * mask.sum()
    assert not (renderer.labels(0, agents=edited, depth=False).instances == 71).any()
    np.testing.assert_array_equal(renderer.images(0), full)


def test_edited_signal_changes_colour(renderer):
    scene = street_scene()
    renderer.load(scene)
    green = replace(scene.signals, states=np.full_like(scene.signals.states, SignalState.GREEN))
    semantics = renderer.labels(0, signals=green, depth=False).semantics
    assert (semantics == CLASS.SIGNAL_GREEN).any() and not (semantics == CLASS.SIGNAL_RED).any()


def test_inserted_agent_appears(renderer):
    scene = scene_of()
    renderer.load(scene)
    inserted = agents_of((AgentKind.CONE, (8.0, -1.75, 0.0), (0.4, 0.4, 0.8), Lights.NONE))
    assert (renderer.labels(0, agents=inserted, depth=False).semantics == CLASS.OBSTACLE).any()
    assert not (renderer.labels(0, depth=False).semantics == CLASS.OBSTACLE).any()


def test_agents_in_the_air_are_drawn_in_the_air(renderer):
    rows = agents_of((AgentKind.CAR, (20.0, -1.75, 0.0), CAR, Lights.NONE))
    renderer.load(scene_of(replace(rows, bottom_z=np.full((1, STEPS), 6.0, np.float32))))
    seen = renderer.labels(0, depth=False).instances[1] == 71
    assert seen.any() and not seen[72:].any()  # above the horizon
    changed = renderer.images(0)[1] != renderer.images(0, agents=replace(rows, valid=~rows.valid))[1]
    assert not changed[72:].any()  # nor does it throw a shadow on the road


def test_second_scene_frees_the_first(renderer):
    renderer.load(street_scene())
    renderer.images(0)
    nodes = renderer._world.findAllMatches("**").getNumPaths()
    for _ in range(3):
        renderer.load(street_scene())
        renderer.images(0)
    assert renderer._world.findAllMatches("**").getNumPaths() == nodes


def test_renderers_one_after_the_other_do_not_disturb_each_other():
    scene = street_scene()
    with Renderer(front3(64, 36)) as small:
        small.load(scene)
        first = small.images(0)
    with Renderer(surround6(64, 36)) as other:
        other.load(scene)
        assert other.images(0).shape == (6, 36, 64, 3)
    with Renderer(front3(64, 36)) as small:
        small.load(scene)
        np.testing.assert_array_equal(small.images(0), first)


def test_supersampling_comes_closer_to_a_much_finer_picture():
    scene = street_scene()
    pictures = []
    for factor in (1, 2, 8):
        with Renderer(front3(64, 36), supersample=factor) as made:
            made.load(scene)
            pictures.append(made.images(0).astype(float))
    plain, twice, fine = pictures
    assert plain.shape == twice.shape
    assert np.abs(twice - fine).mean() < 0.8 * np.abs(plain - fine).mean()


def test_night_is_darker_but_lamps_still_glow(renderer):
    agents = agents_of((AgentKind.CAR, (14.0, -1.75, 0.0), CAR, Lights.BRAKE))
    means = []
    for brightness in (1.0, 0.3):
        renderer.load(scene_of(agents, appearance=Appearance(brightness=brightness)))
        images, lit = renderer.images(0), renderer.labels(0, depth=False).semantics == CLASS.BRAKE_LIGHT
        means.append(images.mean())
        assert images[lit].mean(0)[0] > 200
    assert means[1] < 0.5 * means[0]


def test_haze_hides_what_is_far(renderer):
    def contrast(density):
        agents = agents_of((AgentKind.BUS, (75.0, -1.75, 0.0), (11.0, 2.5, 3.1), Lights.NONE))
        renderer.load(scene_of(agents, appearance=Appearance(haze_density=density)))
        mask = renderer.labels(0, depth=False).instances[1] == 71
        return np.abs(renderer.images(0)[1][mask].astype(float) - np.array(Appearance().haze) * 255).mean()

    assert contrast(0.03) < 0.35 * contrast(0.0)


def test_scene_without_map_props_signals_or_agents(renderer):
    renderer.load(scene_of(roads=RoadMap()))
    assert set(np.unique(renderer.labels(0).semantics).tolist()) == {CLASS.SKY, CLASS.GRASS}
    assert renderer.images(0).std() > 0


@pytest.mark.parametrize("kind", list(AgentKind))
@pytest.mark.parametrize("look", [0, 1, 2, 3])
def test_bodies_fill_their_box(kind, look):
    size = {
        AgentKind.PEDESTRIAN: (0.6, 0.6, 1.75), AgentKind.CONE: (0.4, 0.4, 0.75), AgentKind.BARRIER: (0.5, 2.5, 1.1),
        AgentKind.MOTORCYCLE: (2.1, 0.8, 1.6), AgentKind.BICYCLE: (1.8, 0.6, 1.75), AgentKind.BUS: (11.0, 2.5, 3.1),
        AgentKind.TRUCK: (8.5, 2.5, 3.4), AgentKind.DEBRIS: (1.0, 0.8, 0.4), AgentKind.VAN: (5.2, 2.0, 2.4),
        AgentKind.EMERGENCY: (5.6, 2.1, 2.6),
    }.get(kind, CAR)  # fmt: skip
    gait = 1 if kind in (AgentKind.PEDESTRIAN, AgentKind.BICYCLE) else 0
    mesh = body(kind, np.array(size, np.float32), look, gait)
    low, high = mesh.points.min(0), mesh.points.max(0)
    half = np.array([size[0] / 2, size[1] / 2])
    assert low[2] >= -0.01 and high[2] == pytest.approx(size[2], abs=0.06)
    assert (high[:2] <= half + 0.12).all() and (low[:2] >= -half - 0.12).all()
    assert (high - low)[0] >= 0.6 * size[0] and (high - low)[1] >= 0.6 * size[1]
    assert mesh.faces.max() < len(mesh) and len(mesh) < 900
    np.testing.assert_array_equal(mesh.points, body(kind, np.array(size, np.float32), look, gait).points)


def test_label_colours_survive_the_round_trip():
    classes = np.array([0, 5, 19], np.uint8)
    ids = np.zeros(70_000, np.int32)
    ids[65_535], ids[258] = 9, 4
    for slot in (0, 258, 65_535):
        labels = decode(encode(classes, slot)[None, None, :, :3], ids)
        np.testing.assert_array_equal(labels.semantics[0, 0], classes)
        assert (labels.instances == ids[slot]).all()


def test_errors_name_value_limit_and_remedy(renderer):
    with Renderer(front3(32, 18)) as empty, pytest.raises(DataError, match=r"call load\(scene\) first"):
        empty.images(0)
    renderer.load(scene_of())
    with pytest.raises(DataError, match=r"step 9 outside the scene's 0\.\.3"):
        renderer.images(9)
    with pytest.raises(DataError, match="not in the loaded scene"):
        renderer.images(0, signals=signals_of(((30.0, -4.5, 3.0, np.pi), SignalState.RED)))
    with pytest.raises(DataError, match=r"step 3 outside the 0\.\.1 of the edited agents"):
        renderer.images(3, agents=Agents.empty(2))
    with pytest.raises(DataError, match="65535"):
        encode(np.zeros(1, np.uint8), 65_536)
    with pytest.raises(DataError, match="supersample 0"):
        Renderer(front3(32, 18), supersample=0)
