"""Sunlight on surfaces, baked into vertex colours (the rasteriser has no shaders)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from eyesup.types import Appearance, SemanticClass
from eyesup.world.render.meshes import Lamp, Mesh, Rgb

AMBIENT, DIFFUSE = 0.58, 0.55  # a level surface under a high sun comes out near 1

# lamp -> colour when lit, colour when dark, class of a lit pixel
LAMPS: dict[Lamp, tuple[Rgb, Rgb, SemanticClass]] = {
    Lamp.BRAKE: ((1.0, 0.06, 0.04), (0.30, 0.03, 0.04), SemanticClass.BRAKE_LIGHT),
    Lamp.REAR: ((1.0, 0.06, 0.04), (0.30, 0.03, 0.04), SemanticClass.BRAKE_LIGHT),
    Lamp.LEFT: ((1.0, 0.66, 0.0), (0.42, 0.27, 0.16), SemanticClass.INDICATOR),
    Lamp.RIGHT: ((1.0, 0.66, 0.0), (0.42, 0.27, 0.16), SemanticClass.INDICATOR),
    Lamp.BEACON_LEFT: ((0.10, 0.35, 1.0), (0.08, 0.10, 0.30), SemanticClass.BEACON),
    Lamp.BEACON_RIGHT: ((0.10, 0.35, 1.0), (0.08, 0.10, 0.30), SemanticClass.BEACON),
    Lamp.RED: ((1.0, 0.05, 0.05), (0.16, 0.03, 0.03), SemanticClass.SIGNAL_RED),
    Lamp.AMBER: ((1.0, 0.72, 0.0), (0.15, 0.11, 0.02), SemanticClass.SIGNAL_AMBER),
    Lamp.GREEN: ((0.05, 1.0, 0.35), (0.02, 0.14, 0.06), SemanticClass.SIGNAL_GREEN),
    Lamp.HEAD: ((1.0, 1.0, 0.92), (0.97, 0.97, 0.90), SemanticClass.VEHICLE),
    Lamp.WINDOW: ((1.0, 0.80, 0.42), (0.25, 0.28, 0.32), SemanticClass.BUILDING),
    Lamp.STREET: ((1.0, 0.93, 0.70), (0.80, 0.80, 0.76), SemanticClass.POLE),
}
_LIT = np.zeros((len(Lamp), 3), np.float32)
_DARK = np.zeros((len(Lamp), 3), np.float32)
_LIT_CLASS = np.zeros(len(Lamp), np.uint8)
_BY_NIGHT = frozenset({Lamp.HEAD, Lamp.STREET, Lamp.WINDOW})
for _lamp, (_lit, _dark, _cls) in LAMPS.items():
    _LIT[_lamp], _DARK[_lamp], _LIT_CLASS[_lamp] = _lit, _dark, int(_cls)


LAMPS_ON_BRIGHTNESS, LAMPS_ON_HAZE = 0.62, 0.008  # drivers switch their lamps on when it is darker or hazier than this
TAIL: Rgb = (0.46, 0.02, 0.03)  # a rear lamp that is on but does not brake
LOW_SUN_RAD = 0.35  # below this height the sun turns towards `LOW_SUN`
SKY_GAMMA = 0.6
LOW_SUN: Rgb = (1.0, 0.62, 0.32)


@dataclass(frozen=True)
class Light:
    """The light of an Appearance.

    Attributes:
        to_sun: (3,) float32 unit vector to the sun, world.
        brightness: Overall level.
        sun: (3,) float32 colour and strength of the direct light.
        lamps_on: Head, tail and street lamps are on.
        windows_on: Some windows are lit.
    """

    to_sun: np.ndarray
    brightness: float
    sun: np.ndarray
    lamps_on: bool = False
    windows_on: bool = False

    @staticmethod
    def of(appearance: Appearance) -> Light:
        azimuth, elevation = appearance.sun_azimuth_rad, appearance.sun_elevation_rad
        to_sun = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        low = min(max(1.0 - elevation / LOW_SUN_RAD, 0.0), 1.0)
        sun = appearance.sun * (1.0 - low * (1.0 - np.array(LOW_SUN, np.float32)))
        dark = appearance.brightness < LAMPS_ON_BRIGHTNESS
        return Light(
            np.array(to_sun, np.float32), float(appearance.brightness), sun.astype(np.float32),
            dark or appearance.haze_density > LAMPS_ON_HAZE, dark,
        )  # fmt: skip

    def shade(self, normals: Float[np.ndarray, "V 3"], heading_rad: float = 0.0) -> Float[np.ndarray, "V 3"]:
        """Light (RGB) arriving at surfaces of an object turned by `heading_rad`."""
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        x, y, z = self.to_sun
        to_sun = np.array([cos * x + sin * y, -sin * x + cos * y, z], np.float32)  # into the object's frame
        # What the clouds keep from the direct light comes down from the whole sky instead.
        scattered = AMBIENT + 0.5 * DIFFUSE * (1.0 - float(self.sun[0]))
        direct = DIFFUSE * np.maximum(normals @ to_sun, 0.0)[:, None] * self.sun
        return np.float32(self.brightness) * (np.float32(scattered) + direct)

    def level(self, color: Rgb) -> Rgb:
        """The colour of the sky or of haze, which stays brighter than the ground as the light goes."""
        r, g, b = np.clip(np.asarray(color) * self.brightness**SKY_GAMMA, 0, 1)
        return float(r), float(g), float(b)


def lit_colors(
    mesh: Mesh, light: Light, heading_rad: float = 0.0, lit: frozenset[Lamp] = frozenset()
) -> UInt8[np.ndarray, "V 4"]:
    """RGBA of the vertices under the light; lit lamps glow at full strength whatever the light level."""
    is_lamp = mesh.lamps > 0
    base = np.where(is_lamp[:, None], _DARK[mesh.lamps], mesh.colors)
    rgb = base * light.shade(mesh.normals, heading_rad)
    if light.lamps_on:
        rgb[mesh.lamps == Lamp.REAR] = TAIL
        lit = lit | _BY_NIGHT
    if lit:
        on = np.isin(mesh.lamps, [int(lamp) for lamp in lit])
        rgb[on] = _LIT[mesh.lamps[on]]
    rgba = np.full((len(mesh), 4), 255, np.uint8)
    rgba[:, :3] = np.clip(rgb * 255 + 0.5, 0, 255)
    return rgba


def lit_classes(mesh: Mesh, lit: frozenset[Lamp]) -> UInt8[np.ndarray, "V"]:
    """Semantic class of the vertices; a lamp counts as a lamp only while it is lit."""
    if not lit:
        return mesh.classes
    on = np.isin(mesh.lamps, [int(lamp) for lamp in lit])
    return np.where(on, _LIT_CLASS[mesh.lamps], mesh.classes).astype(np.uint8)
