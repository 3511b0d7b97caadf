"""The thin layer over Panda3D's software rasteriser: engine, buffers, geometry, textures. No window, no GL, no X."""

from __future__ import annotations

from enum import IntEnum
from functools import cache

import numpy as np
from jaxtyping import UInt8
from panda3d import core as p3

from eyesup.types import Camera, CameraRig, EyesUpError
from eyesup.world.render.meshes import Mesh

NEAR_M, FAR_M = 0.6, 240.0
COLOR_MASK, LABEL_MASK = p3.BitMask32.bit(0), p3.BitMask32.bit(1)

_SETTINGS = """
load-display p3tinydisplay
notify-level fatal
notify-level-x11display fatal
notify-level-display fatal
notify-level-tinydisplay fatal
textures-power-2 down
audio-library-name null
sync-video false
support-threads false
garbage-collect-states false
"""


class Order(IntEnum):
    """Drawing order within a frame."""

    SKY = 0
    GRASS = 1
    ROAD = 2
    SHADOW = 3
    HAZE = 4
    RAIN = 99  # behind the last veil of haze


@cache
def _pipe() -> p3.GraphicsPipe:
    """The rasteriser; made once per process."""
    p3.loadPrcFileData("eyesup", _SETTINGS)
    # Unsorted: the default sorts by memory address, so coplanar edges would depend on what was drawn before.
    bins = p3.CullBinManager.getGlobalPtr()
    bins.setBinType(bins.findBin("opaque"), p3.CullBinManager.BT_unsorted)
    pipe = p3.GraphicsPipeSelection.getGlobalPtr().makeModulePipe("p3tinydisplay")
    if pipe is None:
        raise EyesUpError("panda3d has no p3tinydisplay software rasteriser here; run: pip install panda3d==1.10.16")
    return pipe


# x right, y down, z forward (OpenCV) -> Panda3D's x right, y forward, z up; columns are Panda3D's axes
_CV_FROM_PANDA = np.array([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])


# The rasteriser fills half a pixel too much at the left and upper edges of shapes; this shift shares the excess between
# opposite edges, so that centroids are right on average (measured over 500 boxes).
FILL_SHIFT_PX = 0.26


def lens_of(camera: Camera, scale: int = 1) -> p3.Lens:
    """A lens with exactly the camera's intrinsics, off-centre principal point included; `scale` is the supersampling."""
    fx, fy = camera.intrinsics[0, 0], camera.intrinsics[1, 1]
    cx, cy = camera.intrinsics[:2, 2] + FILL_SHIFT_PX / scale
    lens = p3.PerspectiveLens()
    lens.setFocalLength(1.0)
    lens.setFilmSize(camera.width_px / fx, camera.height_px / fy)
    lens.setFilmOffset((camera.width_px / 2 - cx) / fx, (cy - camera.height_px / 2) / fy)
    lens.setNearFar(NEAR_M, FAR_M)
    return lens


def matrix(transform: np.ndarray) -> p3.LMatrix4f:
    """Panda3D's matrix (row vectors) of a 4 x 4 transform of column vectors."""
    return p3.LMatrix4f(*(float(v) for v in transform.T.ravel()))


class CameraBuffer:
    """One offscreen picture with the cameras stacked from top to bottom; copied to memory at every frame."""

    def __init__(self, rig: CameraRig, ego: p3.NodePath, mask: p3.BitMask32, scale: int = 1) -> None:
        self._engine = p3.GraphicsEngine.getGlobalPtr()
        width, height = rig.size_px
        self.shape = (len(rig), height * scale, width * scale)
        properties = p3.FrameBufferProperties()
        properties.setRgbaBits(8, 8, 8, 8)
        properties.setDepthBits(24)
        window = p3.WindowProperties.size(self.shape[2], self.shape[0] * self.shape[1])
        self._buffer = self._engine.makeOutput(_pipe(), "eyesup", 0, properties, window, p3.GraphicsPipe.BFRefuseWindow)
        if self._buffer is None:
            raise EyesUpError(f"Panda3D gave no {window.getXSize()} x {window.getYSize()} px buffer")
        self._buffer.setActive(False)
        self._buffer.setClearColor((0, 0, 0, 0))
        self._texture = p3.Texture()
        self._buffer.addRenderTexture(self._texture, p3.GraphicsOutput.RTMCopyRam)
        for index, camera in enumerate(rig.cameras):
            node = p3.Camera(camera.name, lens_of(camera, scale))
            node.setCameraMask(mask)
            path = ego.attachNewNode(node)
            path.setMat(matrix(camera.ego_from_cam @ _CV_FROM_PANDA))
            top = 1 - index / len(rig)
            self._buffer.makeDisplayRegion(0, 1, top - 1 / len(rig), top).setCamera(path)

    def frame(self) -> UInt8[np.ndarray, "C H W 3"]:
        """Draw, and copy out as RGB, top row first."""
        self._buffer.setActive(True)
        self._engine.renderFrame()
        self._buffer.setActive(False)
        cameras, height, width = self.shape
        bgra = np.frombuffer(memoryview(self._texture.getRamImage()), np.uint8)
        bgra = bgra.reshape(cameras * height, width, 4)[::-1]
        rgb = np.empty((cameras * height, width, 3), np.uint8)
        for channel in range(3):  # three strided copies are three times as fast as one with a reversed axis
            rgb[..., channel] = bgra[..., 2 - channel]
        return rgb.reshape(cameras, height, width, 3)

    def close(self) -> None:
        """Give the buffer back to the engine."""
        self._engine.removeWindow(self._buffer)


@cache
def _format() -> p3.GeomVertexFormat:
    """Positions and texture coordinates in one array, colours in another, so that colours can be replaced alone."""
    surface, colors = p3.GeomVertexArrayFormat(), p3.GeomVertexArrayFormat()
    surface.addColumn("vertex", 3, p3.Geom.NTFloat32, p3.Geom.CPoint)
    surface.addColumn("texcoord", 2, p3.Geom.NTFloat32, p3.Geom.CTexcoord)
    colors.addColumn("color", 4, p3.Geom.NTUint8, p3.Geom.CColor)
    layout = p3.GeomVertexFormat()
    layout.addArray(surface)
    layout.addArray(colors)
    return p3.GeomVertexFormat.registerFormat(layout)


def geom(mesh: Mesh, rgba: UInt8[np.ndarray, "V 4"]) -> p3.Geom:
    """Panda3D geometry of a mesh with the given vertex colours."""
    data = p3.GeomVertexData("eyesup", _format(), p3.Geom.UHStatic)
    data.uncleanSetNumRows(len(mesh))
    surface = np.concatenate([mesh.points, mesh.uv], axis=1, dtype=np.float32)
    data.modifyArrayHandle(0).copyDataFrom(surface.tobytes())
    data.modifyArrayHandle(1).copyDataFrom(np.ascontiguousarray(rgba).tobytes())
    triangles = p3.GeomTriangles(p3.Geom.UHStatic)
    triangles.setIndexType(p3.Geom.NTUint32)
    indices = triangles.modifyVertices()
    indices.uncleanSetNumRows(mesh.faces.size)
    indices.modifyHandle().copyDataFrom(np.ascontiguousarray(mesh.faces, np.uint32).tobytes())
    result = p3.Geom(data)
    result.addPrimitive(triangles)
    return result


def recolor(target: p3.Geom, rgba: UInt8[np.ndarray, "V 4"]) -> None:
    """Replace the vertex colours of a geometry made by `geom`."""
    target.modifyVertexData().modifyArrayHandle(1).copyDataFrom(np.ascontiguousarray(rgba).tobytes())


def texture(picture: UInt8[np.ndarray, "h w 3"]) -> p3.Texture:
    """A repeating, mipmapped texture; the picture's first row is the top."""
    height, width = picture.shape[:2]
    result = p3.Texture()
    result.setup2dTexture(width, height, p3.Texture.TUnsignedByte, p3.Texture.FRgb)
    result.setRamImage(np.ascontiguousarray(picture[::-1, :, ::-1]).tobytes())
    result.setWrapU(p3.SamplerState.WMRepeat)
    result.setWrapV(p3.SamplerState.WMRepeat)
    result.setMinfilter(p3.SamplerState.FTLinearMipmapLinear)
    result.setMagfilter(p3.SamplerState.FTLinear)
    return result


def flat_state(order: int, blended: bool = False) -> p3.RenderState:
    """State of things that need no depth: sky, ground, shadows."""
    attributes = [
        p3.CullBinAttrib.make("background", order),
        p3.DepthTestAttrib.make(p3.DepthTestAttrib.MNone),
        p3.DepthWriteAttrib.make(p3.DepthWriteAttrib.MOff),
    ]
    if blended:
        attributes.append(p3.TransparencyAttrib.make(p3.TransparencyAttrib.MAlpha))
    return p3.RenderState.make(*attributes)


def veil_state(order: int) -> p3.RenderState:
    """State of haze: blended over what lies behind it, hidden by what stands before it."""
    return p3.RenderState.make(
        p3.CullBinAttrib.make("fixed", order),
        p3.DepthWriteAttrib.make(p3.DepthWriteAttrib.MOff),
        p3.TransparencyAttrib.make(p3.TransparencyAttrib.MAlpha),
    )


def textured(state: p3.RenderState, image: p3.Texture) -> p3.RenderState:
    """The state with a texture multiplied onto the vertex colours."""
    return state.addAttrib(p3.TextureAttrib.make(image))
