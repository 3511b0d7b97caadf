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
    Lamp.LEFT: ((1.0, 0.66, 0.0), (0.42, 0.27, 0.16), SemanticClass.INDICATOR),
    Lamp.RIGHT: ((1.0, 0.66, 0.0), (0.42, 0.27, 0.16), SemanticClass.INDICATOR),
    Lamp.BEACON: ((0.10, 0.35, 1.0), (0.08, 0.10, 0.30), SemanticClass.BEACON),
    Lamp.RED: ((1.0, 0.05, 0.05), (0.16, 0.03, 0.03), SemanticClass.SIGNAL_RED),
    Lamp.AMBER: ((1.0, 0.72, 0.0), (0.15, 0.11, 0.02), SemanticClass.SIGNAL_AMBER),
    Lamp.GREEN: ((0.05, 1.0, 0.35), (0.02, 0.14, 0.06), SemanticClass.SIGNAL_GREEN),
}
_LIT = np.zeros((len(Lamp), 3), np.float32)
_DARK = np.zeros((len(Lamp), 3), np.float32)
_LIT_CLASS = np.zeros(len(Lamp), np.uint8)
for _lamp, (_lit, _dark, _cls) in LAMPS.items():
    _LIT[_lamp], _DARK[_lamp], _LIT_CLASS[_lamp] = _lit, _dark, int(_cls)


@dataclass(frozen=True)
class Light:
    """The light of an Appearance: unit vector to the sun (world), overall level."""

    to_sun: np.ndarray
    brightness: float

    @staticmethod
    def of(appearance: Appearance) -> Light:
        azimuth, elevation = appearance.sun_azimuth_rad, appearance.sun_elevation_rad
        to_sun = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        return Light(np.array(to_sun, np.float32), float(appearance.brightness))

    def shade(self, normals: Float[np.ndarray, "V 3"], heading_rad: float = 0.0) -> Float[np.ndarray, "V"]:
        """Light arriving at surfaces of an object turned by `heading_rad`."""
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        x, y, z = self.to_sun
        to_sun = np.array([cos * x + sin * y, -sin * x + cos * y, z], np.float32)  # into the object's frame
        return self.brightness * (AMBIENT + DIFFUSE * np.maximum(normals @ to_sun, 0.0))

    def level(self, color: Rgb) -> Rgb:
        """A colour that the light level dims but no surface turns (sky, haze)."""
        r, g, b = np.clip(np.asarray(color) * self.brightness, 0, 1)
        return float(r), float(g), float(b)


def lit_colors(
    mesh: Mesh, light: Light, heading_rad: float = 0.0, lit: frozenset[Lamp] = frozenset()
) -> UInt8[np.ndarray, "V 4"]:
    """RGBA of the vertices under the light; lit lamps glow at full strength whatever the light level."""
    is_lamp = mesh.lamps > 0
    base = np.where(is_lamp[:, None], _DARK[mesh.lamps], mesh.colors)
    rgb = base * light.shade(mesh.normals, heading_rad)[:, None]
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
