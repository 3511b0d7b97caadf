"""Software rendering of scenes: pictures, pixel labels, depth. CPU only, deterministic."""

from eyesup.world.render.labels import FrameLabels as FrameLabels
from eyesup.world.render.renderer import Renderer as Renderer
