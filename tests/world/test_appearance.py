"""Days: drawn from the seed, never shared between training and the shifted split, and seen in the pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eyesup.types import AgentKind, Agents, Appearance, Ground, Lights, PropKind, Props, SemanticClass, Weather
from eyesup.world.appearance import appearance_of, draw_appearance
from eyesup.world.render import Renderer, textures
from eyesup.world.render.light import Light
from eyesup.world.render.windows import lit_windows
from eyesup.world.rigs import JITTER_SCALE, front3, jittered
from eyesup.world.scene_io import Annotations, scene_from_table, scene_to_table
from eyesup.world.splits import SPLITS, TOWNS

DAYS = [draw_appearance(seed) for seed in range(80)]
SHIFTED = [draw_appearance(seed, shifted=True) for seed in range(80)]


def test_a_day_is_drawn_from_the_seed():
    assert draw_appearance(3) == draw_appearance(3)
    assert draw_appearance(3) != draw_appearance(4)
    assert appearance_of("curve", "train", 5) == appearance_of("curve", "train", 5)
    assert appearance_of("curve", "train", 5) != appearance_of("curve", "test", 5)


def test_shifted_days_have_weather_and_ground_that_training_never_has():
    assert {day.weather for day in DAYS} == {Weather.CLEAR, Weather.OVERCAST, Weather.DRIZZLE}
    assert {day.weather for day in SHIFTED} == {Weather.DUSK, Weather.FOG, Weather.DOWNPOUR}
    assert {day.ground for day in DAYS} == {Ground.PLAIN}
    assert {day.ground for day in SHIFTED} == {Ground.DRY, Ground.PATCHED}
    for split in SPLITS:
        days = {appearance_of("free_drive", split, seed).weather for seed in range(12)}
        assert days <= ({day.weather for day in SHIFTED} if split == "shifted" else {day.weather for day in DAYS})


def test_shifted_days_are_darker_or_hazier_than_any_other():
    darkest, haziest = min(day.brightness for day in DAYS), max(day.haze_density for day in DAYS)
    assert all(day.brightness < darkest or day.haze_density > haziest for day in SHIFTED)
    for day in (*DAYS, *SHIFTED):
        channels = np.array([day.sky, day.haze, day.grass, day.asphalt])
        assert ((channels >= 0) & (channels <= 1)).all()


def test_shifted_towns_and_mountings_are_its_own():
    towns = [set(TOWNS[split]) for split in SPLITS]
    assert sum(map(len, towns)) == len(set.union(*towns))
    rig, scale = front3(), JITTER_SCALE["shifted"]
    usual, wild = jittered(rig, 4), jittered(rig, 4, scale)
    for camera, near, far in zip(rig, usual, wild):
        moved = [other.ego_from_cam[:3, 3] - camera.ego_from_cam[:3, 3] for other in (near, far)]
        np.testing.assert_allclose(moved[1], scale * moved[0], atol=1e-12)


def test_lamps_go_on_when_it_gets_dark_or_foggy():
    for day in (*DAYS, *SHIFTED):
        light = Light.of(day)
        assert light.lamps_on == (day.weather in (Weather.DUSK, Weather.FOG, Weather.DOWNPOUR))
        assert light.windows_on <= light.lamps_on
    assert all(Light.of(day).windows_on for day in SHIFTED if day.weather is Weather.DUSK)


def test_clouds_flatten_the_light_and_a_low_sun_reddens_it():
    normals = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], np.float32)
    noon = Appearance(sun_azimuth_rad=0.0, sun_elevation_rad=0.6)
    sunny, cloudy = (Light.of(replace(noon, sun=sun)).shade(normals) for sun in (1.0, 0.0))
    np.testing.assert_allclose(sunny[1], 0.58 + 0.55 * np.cos(0.6), rtol=1e-5)  # white light
    assert np.ptp(cloudy) == 0 and sunny[1, 0] > cloudy[1, 0] > sunny[2, 0]
    evening = Light.of(replace(noon, sun_elevation_rad=0.1)).shade(normals)
    assert evening[1, 0] > evening[1, 1] > evening[1, 2]


def test_a_day_survives_the_store(hand_scene):
    scene = replace(hand_scene("hand"), appearance=SHIFTED[3])
    stored = scene_to_table(scene, Annotations.empty(len(scene.keyframes), len(scene.agents)), {})
    read = scene_from_table(stored).appearance
    assert read == SHIFTED[3] and isinstance(read.weather, Weather) and isinstance(read.ground, Ground)


def one_car(lights: Lights) -> Agents:
    return Agents(
        ids=np.array([7]), kinds=np.array([AgentKind.CAR], np.uint8), sizes=np.array([[4.6, 1.9, 1.5]], np.float32),
        poses=np.tile([12.0, 0.0, 0.0], (1, 200, 1)), velocities=np.zeros((1, 200, 2), np.float32),
        valid=np.ones((1, 200), bool), lights=np.full((1, 200), lights, np.uint8),
    )  # fmt: skip


@pytest.fixture(scope="module")
def renderer():
    with Renderer(front3().select(("front",))) as made:
        yield made


@pytest.fixture
def road(hand_scene):
    """A car ahead of an ego at the origin, nothing else."""
    scene = hand_scene("hand")
    steps = len(scene)
    agents = one_car(Lights.NONE).at(np.arange(steps))
    return replace(scene, agents=agents, ego_poses=np.zeros((steps, 3)), props=Props.empty())


def test_rear_lamps_glow_at_dusk_and_brighter_when_braking(renderer, road):
    """Tail lamps are red but no brake lamps, neither in the picture nor in the labels."""
    levels = {}
    for weather in (Weather.CLEAR, Weather.DUSK):
        day = next(day for day in (*DAYS, *SHIFTED) if day.weather is weather)
        for lights in (Lights.NONE, Lights.BRAKE):
            agents = one_car(lights).at(np.arange(len(road)))
            agents = replace(agents, velocities=np.full_like(agents.velocities, 3.0))
            renderer.load(replace(road, appearance=day, agents=agents))
            semantics = renderer.labels(0, depth=False).semantics[0]
            if lights is Lights.BRAKE:
                lamp = semantics == SemanticClass.BRAKE_LIGHT
                levels[weather, lights] = renderer.images(0)[0][lamp].mean(0)
            else:
                assert not (semantics == SemanticClass.BRAKE_LIGHT).any()
                levels[weather, lights] = renderer.images(0)[0]
        assert lamp.sum() > 20
        levels[weather, Lights.NONE] = levels[weather, Lights.NONE][lamp].mean(0)
    for weather in (Weather.CLEAR, Weather.DUSK):
        assert levels[weather, Lights.BRAKE][0] > 1.6 * levels[weather, Lights.NONE][0]
    assert levels[Weather.DUSK, Lights.NONE][0] > 1.3 * levels[Weather.CLEAR, Lights.NONE][0]


def test_parked_cars_stay_dark(renderer, road):
    """Standing without any lamp is parked, also at dusk: the picture tells it from a car that rolls."""
    day = next(day for day in SHIFTED if day.weather is Weather.DUSK)
    red = []
    for speed in (0.0, 3.0):
        agents = replace(road.agents, velocities=np.full_like(road.agents.velocities, speed))
        renderer.load(replace(road, appearance=day, agents=agents))
        car = renderer.images(0)[0][renderer.labels(0, depth=False).instances[0] == 8].astype(int)
        red.append((car[:, 0] > 100 + car[:, 1]).sum())
    assert red[0] == 0 and red[1] > 20


def test_rain_falls_in_pictures_but_not_in_labels(renderer, road):
    dry = Appearance()
    renderer.load(replace(road, appearance=dry))
    labels, picture = renderer.labels(3, depth=False), renderer.images(3)
    renderer.load(replace(road, appearance=replace(dry, weather=Weather.DOWNPOUR)))
    wet = [renderer.images(step)[0].astype(int) for step in (3, 4)]
    np.testing.assert_array_equal(renderer.labels(3, depth=False).semantics, labels.semantics)
    streaks = [np.abs(image - picture[0]).max(-1) > 8 for image in wet]
    assert 0.003 < streaks[0].mean() < 0.15
    assert (streaks[0] & streaks[1]).sum() < 0.5 * streaks[0].sum()  # other streaks at the next step
    np.testing.assert_array_equal(renderer.images(3)[0], wet[0])


def test_windows_are_lit_at_dusk_only(renderer, road):
    props = Props(
        np.array([PropKind.BUILDING], np.uint8), np.array([[40.0, 0.0, np.pi / 2]]), np.array([[20, 12, 14]], np.float32),
        np.array([3], np.uint32),
    )  # fmt: skip
    scene = replace(road, props=props, agents=Agents.empty(len(road)))
    glowing = {}
    for weather in (Weather.OVERCAST, Weather.DUSK):
        day = next(day for day in (*DAYS, *SHIFTED) if day.weather is weather)
        renderer.load(replace(scene, appearance=day))
        house = renderer.labels(0, depth=False).semantics[0] == SemanticClass.BUILDING
        red, _, blue = renderer.images(0)[0][house].astype(int).T
        glowing[weather] = ((red > 230) & (blue < 140)).sum()
    assert glowing[Weather.OVERCAST] == 0 and glowing[Weather.DUSK] > 30


def test_panes_lie_on_the_walls():
    size = np.array([14.0, 9.0, 12.0])
    panes = lit_windows(size, 3)
    assert len(panes) >= 8
    off = np.minimum(np.abs(np.abs(panes.points[:, 0]) - 7.0), np.abs(np.abs(panes.points[:, 1]) - 4.5))
    assert off.max() < 0.04 and panes.points[:, 2].min() > 12.0 / 4 and panes.points[:, 2].max() < 12.0


def test_grounds_have_textures_of_their_own():
    plain, dry, patched = (textures.grain(5, 0.06, ground).astype(float) for ground in Ground)
    assert plain.shape == dry.shape == patched.shape == (256, 256, 3)
    assert dry.std() > 1.3 * plain.std() and patched.std() > 1.3 * plain.std()
    np.testing.assert_array_equal(textures.grain(5, 0.06), textures.grain(5, 0.06, Ground.PLAIN))
