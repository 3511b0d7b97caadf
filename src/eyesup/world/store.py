"""The native scene store: a folder of Arrow files, written atomically, read at random through memory maps.

::

    manifest.json               configuration, versions, and every scene with its checksums and counts; written last
    <key>.frames.arrow          one row per stored step: JPEG bytes per camera, at keyframes also PNG class labels
    <key>.scene.arrow           the Scene and what was measured at its keyframes; written after the frames it vouches for

Twins of a scene (same state, edited cue) carry the key ``<key>~<twin>@<step>`` and are listed apart.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int32, UInt8
from PIL import Image

from eyesup.types import Camera, CameraRig, Scene, SemanticClass
from eyesup.types.errors import DataError
from eyesup.world.scene_io import (
    SCENE_FORMAT,
    Annotations,
    annotations_from_table,
    scene_facts,
    scene_from_table,
    scene_to_table,
)

MANIFEST = "manifest.json"
STORE_FORMAT = 1
TWIN_MARK = "~"
# 4:4:4: with halved chroma a brake lamp of 3 x 2 px fades from (255, 30, 20) to (186, 56, 60), one of 2 x 1 px to grey;
# full chroma keeps it within 5 levels for 40 % more bytes.
JPEG_QUALITY = 90
JPEG_SUBSAMPLING = 0
FUTURE_IMAGES_S = (1.0, 2.0, 3.0)  # after each keyframe; what IK-VLA predicts (arXiv 2605.21061, Appendix K.2)
CUE_ACTIVE_M = 1.0  # the cue decides the plan where removing it moves the expert's 3 s end point by more
OPEN_SCENES = 512  # decoded scenes and memory maps kept per process
OPEN_DEPTHS = 16  # keyframes whose depth is kept per process
DEPTH_REACH_M = 120.0  # agents beyond are not drawn
AGENT_CLASSES = (
    SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN, SemanticClass.CYCLIST, SemanticClass.OBSTACLE,
    SemanticClass.BRAKE_LIGHT, SemanticClass.INDICATOR, SemanticClass.BEACON,
)  # fmt: skip
REMEDY = "delete it and run `eyesup world generate` again with the same options; only what is missing is made"


@dataclass(frozen=True)
class SceneFiles:
    """Receipt of one stored scene, a row of the manifest.

    Attributes:
        key: Scene key.
        scenario: Scenario name ("" when the scene has none).
        keyframes: Steps at which samples may be taken.
        steps: Number of steps with images.
        sha256: File name -> checksum.
        bytes: File name -> size.
    """

    key: str
    scenario: str
    keyframes: tuple[int, ...]
    steps: int
    sha256: dict[str, str]
    bytes: dict[str, int]


def encode_jpeg(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """RGB to JPEG, deterministic."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING, optimize=True)
    return buffer.getvalue()


def encode_labels(semantics: UInt8[np.ndarray, "H W"]) -> bytes:
    """Class ids (`SemanticClass`) to a palette PNG: opens in colour in any viewer, reads back as ids."""
    image = Image.fromarray(semantics, mode="P")
    image.putpalette(_PALETTE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def decode_image(data: bytes | pa.Buffer, mode: str, what: str) -> np.ndarray:
    """Decode JPEG or PNG bytes to an array; `what` names the image in the DataError of a corrupt one."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image if image.mode == mode else image.convert(mode))
    except Exception as error:  # Pillow raises many kinds on broken bytes
        raise DataError(f"{what} cannot be decoded ({error}); the file is damaged") from error


def rig_to_json(rig: CameraRig) -> str:
    """Calibration as JSON; floats survive exactly."""
    return json.dumps(
        [
            {"name": c.name, "intrinsics": c.intrinsics.tolist(), "ego_from_cam": c.ego_from_cam.tolist(),
             "width_px": c.width_px, "height_px": c.height_px}
            for c in rig
        ]
    )  # fmt: skip


def rig_from_json(text: str | bytes) -> CameraRig:
    """Inverse of `rig_to_json`."""
    return CameraRig(
        tuple(
            Camera(**{**row, "intrinsics": np.array(row["intrinsics"]), "ego_from_cam": np.array(row["ego_from_cam"])})
            for row in json.loads(text)
        )
    )


def write_atomic(path: Path, data: bytes | pa.Buffer) -> None:
    """Write a whole file or none: temp file in the same folder, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_scene(
    root: Path,
    scene: Scene,
    rig: CameraRig,
    images: Mapping[int, UInt8[np.ndarray, "C H W 3"]],
    labels: Mapping[int, UInt8[np.ndarray, "C H W"]],
    annotations: Annotations,
    fingerprint: str = "",
    twins: Sequence[str] = (),
) -> None:
    """Store one scene; when `<key>.scene.arrow` exists, both files are complete.

    Args:
        root: Store folder (exists).
        scene: The log.
        rig: Cameras of `images` and `labels`.
        images: Step -> RGB images.
        labels: Step -> class ids; steps must be among those of `images`.
        annotations: Measurements at the keyframes.
        fingerprint: Identifies the settings that made the scene.
        twins: Keys of the twins that were written before and belong to this log.
    """
    frames = _table_bytes(_frames_table(scene.key, rig, images, labels))
    write_atomic(root / f"{scene.key}.frames.arrow", frames)
    receipt = {
        "fingerprint": fingerprint, "frames_sha256": hashlib.sha256(frames).hexdigest(), "frames_bytes": frames.size,
        "steps": len(images), "twins": list(twins), "rig": rig_to_json(rig),
    }  # fmt: skip
    write_atomic(root / f"{scene.key}.scene.arrow", _table_bytes(scene_to_table(scene, annotations, receipt), "zstd"))


def read_receipt(root: Path, key: str) -> dict[str, Any] | None:
    """What was recorded when the scene was finished (``fingerprint``, ``twins``, ...), or None when it is not complete.

    Cheap: opens the scene file and compares the size of the frames file, hashes nothing.
    """
    try:
        receipt = scene_facts(_open_table(root / f"{key}.scene.arrow").schema)["receipt"]
        whole = (root / f"{key}.frames.arrow").stat().st_size == receipt["frames_bytes"]
    except (DataError, OSError):
        return None
    return receipt if whole else None


def read_annotations(root: Path, key: str) -> Annotations:
    """The measurements of a complete scene, whether or not the store has its manifest yet."""
    return annotations_from_table(_open_table(root / f"{key}.scene.arrow"))


def scene_files(root: Path, key: str) -> SceneFiles:
    """The manifest row of a complete scene: reads the receipt, hashes the (small) scene file only."""
    path = root / f"{key}.scene.arrow"
    table = _open_table(path)
    facts = scene_facts(table.schema)
    receipt = facts["receipt"]
    data = path.read_bytes()
    frames = f"{key}.frames.arrow"
    return SceneFiles(
        key=key,
        scenario=str(facts["tags"].get("scenario", "")),
        keyframes=tuple(table.column("keyframes")[0].as_py()),
        steps=receipt["steps"],
        sha256={frames: receipt["frames_sha256"], path.name: hashlib.sha256(data).hexdigest()},
        bytes={frames: receipt["frames_bytes"], path.name: len(data)},
    )


def write_manifest(root: Path, rows: Sequence[SceneFiles], facts: Mapping[str, Any]) -> None:
    """Close the store: `facts` (plain JSON values: config, versions, report) and the scenes, sorted by key."""
    head = {"format": STORE_FORMAT, "scene_format": SCENE_FORMAT, **facts}
    scenes = ",\n".join(json.dumps(asdict(row)) for row in sorted(rows, key=lambda row: row.key))
    text = (
        "{\n"
        + "".join(f"{json.dumps(k)}: {json.dumps(v)},\n" for k, v in head.items())
        + f'"scenes": [\n{scenes}\n]\n}}\n'
    )
    write_atomic(root / MANIFEST, text.encode())


class SceneStore:
    """Read access to a finished store. Safe to pickle and to share between processes; maps files lazily.

    Attributes:
        root: The folder.
        manifest: Content of manifest.json.
        keys: Keys of the logs, sorted.
        twin_keys: Keys of the twins, sorted.
        rig: The nominal cameras; a log's own, mounted within tolerance, are `rig_of(key)`.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.manifest = _read_manifest(self.root)
        self.rig = rig_from_json(json.dumps(self.manifest["rig"]))
        self._rows = {row["key"]: row for row in self.manifest["scenes"]}
        self.keys = tuple(key for key in self._rows if TWIN_MARK not in key)
        self.twin_keys = tuple(key for key in self._rows if TWIN_MARK in key)
        self._open_caches()

    def _open_caches(self) -> None:
        self._scene_table = lru_cache(OPEN_SCENES)(lambda key: self._open(key, "scene"))
        self._frames = lru_cache(OPEN_SCENES)(self._open_frames)
        self._rig_of = lru_cache(OPEN_SCENES)(
            lambda key: rig_from_json(scene_facts(self._scene_table(key).schema)["receipt"]["rig"])
        )
        self._scene = lru_cache(OPEN_SCENES)(lambda key: scene_from_table(self._scene_table(key)))
        self._depth = lru_cache(OPEN_DEPTHS)(self._cast)
        self._annotations = lru_cache(OPEN_SCENES)(lambda key: annotations_from_table(self._scene_table(key)))

    def _cast(self, key: str, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Depth and agent slots of all cameras."""
        from eyesup.world.render import raycast  # here: it loads the rasteriser, which reading a store does not need

        scene, rig = self.scene(key), self.rig_of(key)
        if not 0 <= step < len(scene):
            raise DataError(f"{self.root}: scene {key} has steps 0 to {len(scene) - 1}, not {step}")
        boxes = raycast.scene_boxes(scene, scene.agents, step, step, DEPTH_REACH_M)
        depths, slots = (np.stack(arrays) for arrays in zip(*(raycast.cast(camera, boxes) for camera in rig)))
        if step in self._frames(key).rows and self.has_labels(key, step):
            labels = self.labels(key, step)
            depths = np.stack([raycast.refined(*view) for view in zip(depths, labels, rig)])
        for array in (depths, slots):
            array.setflags(write=False)  # shared by the cache
        return depths, slots

    def __reduce__(self) -> tuple[type[SceneStore], tuple[Path]]:
        return SceneStore, (self.root,)

    def __len__(self) -> int:
        return len(self.keys)

    def scene(self, key: str) -> Scene:
        """The whole log. Treat its arrays as read-only: they are shared between callers."""
        return self._scene(key)

    def annotations(self, key: str) -> Annotations:
        """What was measured at the scene's keyframes."""
        return self._annotations(key)

    def keyframes(self, key: str) -> tuple[int, ...]:
        """Steps of the scene's keyframes, from the manifest: no file is opened."""
        return tuple(self._rows[key]["keyframes"])

    def rig_of(self, key: str) -> CameraRig:
        """Calibration of one scene's images."""
        return self._rig_of(key)

    def steps(self, key: str) -> tuple[int, ...]:
        """Steps of which images are stored."""
        return tuple(self._frames(key).rows)

    def images(self, key: str, step: int) -> UInt8[np.ndarray, "C H W 3"]:
        """RGB of every camera at a step; DataError names the stored steps when there is none."""
        return self._frames(key).images(step)

    def labels(self, key: str, step: int) -> UInt8[np.ndarray, "C H W"]:
        """Class ids (`SemanticClass`) of every camera at a step; DataError where none are stored."""
        return self._frames(key).labels(step)

    def depth(self, key: str, step: int) -> Float32[np.ndarray, "C H W"]:
        """Metres along the optical axis (inf: sky) of every camera at a step, cast anew from the scene: nothing of it is stored.

        Where class labels are stored, sky and ground are taken from them, so that outlines of trees and people are true.
        """
        return self._depth(key, step)[0]

    def instances(self, key: str, step: int) -> Int32[np.ndarray, "C H W"]:
        """Agent id + 1 of every pixel at a keyframe, 0 where none is seen: cast anew, and kept where the class is an agent's.

        DataError where no class labels are stored. Silhouettes follow the labels; where two agents overlap, their boxes decide.
        """
        slots = self._depth(key, step)[1]
        ids = np.concatenate([[0], self.scene(key).agents.ids + 1]).astype(np.int32)
        return np.where(np.isin(self.labels(key, step), AGENT_CLASSES), ids[slots], 0).astype(np.int32)

    def has_labels(self, key: str, step: int) -> bool:
        """Whether class labels of that step are stored."""
        return self._frames(key).has_labels(step)

    def verify(self) -> list[str]:
        """Hash every file against the manifest; one line per damaged or missing file, empty when all is well."""
        problems = []
        for row in self.manifest["scenes"]:
            for name, wanted in row["sha256"].items():
                path = self.root / name
                if not path.exists():
                    problems.append(f"{path} is missing; {REMEDY}")
                elif file_sha256(path) != wanted:
                    problems.append(f"{path} differs from its checksum in {MANIFEST}; {REMEDY}")
        return problems

    def _open(self, key: str, kind: str) -> pa.Table:
        if key not in self._rows:
            raise DataError(
                f"no scene {key!r} in {self.root}; it holds {len(self._rows)}, e.g. {sorted(self._rows)[:3]}"
            )
        path = self.root / f"{key}.{kind}.arrow"
        table = _open_table(path)
        # The numbers are small enough to be hashed on every opening; the frames are left to `verify`.
        if kind == "scene" and file_sha256(path) != self._rows[key]["sha256"][path.name]:
            raise DataError(f"{path} differs from its checksum in {MANIFEST}; {REMEDY}")
        return table

    def _open_frames(self, key: str) -> _Frames:
        table = self._open(key, "frames")
        path = self.root / f"{key}.frames.arrow"
        rig = self.rig_of(key)
        wanted = ["step", *(f"{kind}.{camera}" for kind in ("image", "label") for camera in rig.names)]
        if table.column_names != wanted:
            raise DataError(f"{path}: columns {table.column_names}, expected {wanted}; {REMEDY}")
        return _Frames(path, table, rig)


class _Frames:
    """Images of one scene, memory-mapped."""

    def __init__(self, path: Path, table: pa.Table, rig: CameraRig) -> None:
        self.path = path
        self.rig = rig
        self._table = table
        self.rows = {int(step): row for row, step in enumerate(table.column("step").to_numpy())}
        self._shape = self.rig.size_px[::-1]

    def images(self, step: int) -> np.ndarray:
        return np.stack([self._decode("image", camera, step, "RGB") for camera in self.rig.names])

    def labels(self, step: int) -> np.ndarray:
        if not self.has_labels(step):
            raise DataError(f"{self.path}: no labels at step {step}; labels exist at keyframes, and only with --labels")
        return np.stack([self._decode("label", camera, step, "P") for camera in self.rig.names])

    def has_labels(self, step: int) -> bool:
        return bool(self._table.column(f"label.{self.rig.names[0]}")[self._row(step)].is_valid)

    def _row(self, step: int) -> int:
        if step not in self.rows:
            raise DataError(f"{self.path}: no images at step {step}; stored steps are {list(self.rows)}")
        return self.rows[step]

    def _decode(self, kind: str, camera: str, step: int, mode: str) -> np.ndarray:
        what = f"{self.path}: {kind} of {camera} at step {step}"
        data = self._table.column(f"{kind}.{camera}")[self._row(step)].as_buffer()
        if data is None:
            raise DataError(f"{what} is missing; {REMEDY}")
        image = decode_image(data, mode, what)
        if image.shape[:2] != self._shape:
            raise DataError(
                f"{what}: {image.shape[1]}x{image.shape[0]} px, the rig has {self._shape[1]}x{self._shape[0]}; {REMEDY}"
            )
        return image


def _frames_table(
    key: str, rig: CameraRig, images: Mapping[int, np.ndarray], labels: Mapping[int, np.ndarray]
) -> pa.Table:
    width, height = rig.size_px
    steps = sorted(images)
    unknown = sorted(set(labels) - set(steps))
    if unknown:
        raise DataError(f"scene {key}: labels at steps {unknown} have no images")
    for step in steps:
        if images[step].shape != (len(rig), height, width, 3):
            raise DataError(
                f"scene {key}: images at step {step} are {images[step].shape}, the rig needs {(len(rig), height, width, 3)}"
            )
    columns: dict[str, pa.Array] = {"step": pa.array(steps, pa.int64())}
    for c, name in enumerate(rig.names):
        columns[f"image.{name}"] = pa.array([encode_jpeg(images[step][c]) for step in steps], pa.large_binary())
    for c, name in enumerate(rig.names):
        cells = [encode_labels(labels[step][c]) if step in labels else None for step in steps]
        columns[f"label.{name}"] = pa.array(cells, pa.large_binary())
    return pa.table(columns)


def _table_bytes(table: pa.Table, compression: str | None = None) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _open_table(path: Path) -> pa.Table:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)  # offsets only: a damaged one would read beyond the map
        return table
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {REMEDY}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: corrupt or cut short ({error}); {REMEDY}") from error


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    if not path.exists():
        state = "generation did not finish" if any(root.glob("*.scene.arrow")) else "no scene store here"
        raise DataError(
            f"{path} is missing: {state}; run `eyesup world generate --out {root}` (it continues where it stopped)"
        )
    try:
        manifest = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path}: no valid JSON ({error}); {REMEDY}") from error
    if manifest.get("format") != STORE_FORMAT:
        raise DataError(
            f"{path}: store format {manifest.get('format')}, this version reads {STORE_FORMAT}; generate it again"
        )
    return manifest


def file_sha256(path: Path) -> str:
    """Checksum of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _label_palette() -> list[int]:
    """RGB per class, in the order of `SemanticClass`."""
    colours = {
        SemanticClass.SKY: (70, 130, 180), SemanticClass.ROAD: (90, 60, 90), SemanticClass.PAINT: (240, 240, 240),
        SemanticClass.CROSSWALK: (200, 200, 128), SemanticClass.SIDEWALK: (244, 35, 232), SemanticClass.GRASS: (152, 200, 120),
        SemanticClass.BUILDING: (70, 70, 70), SemanticClass.VEGETATION: (60, 110, 30), SemanticClass.POLE: (153, 153, 153),
        SemanticClass.VEHICLE: (0, 0, 180), SemanticClass.PEDESTRIAN: (220, 20, 60), SemanticClass.CYCLIST: (119, 11, 32),
        SemanticClass.OBSTACLE: (255, 140, 0), SemanticClass.SIGNAL_BODY: (40, 40, 20), SemanticClass.SIGNAL_GREEN: (0, 255, 0),
        SemanticClass.SIGNAL_AMBER: (255, 191, 0), SemanticClass.SIGNAL_RED: (255, 0, 0), SemanticClass.BRAKE_LIGHT: (255, 60, 60),
        SemanticClass.INDICATOR: (255, 160, 60), SemanticClass.BEACON: (60, 120, 255),
        SemanticClass.STOP_SIGN: (200, 0, 60), SemanticClass.YIELD_SIGN: (255, 120, 160),
    }  # fmt: skip
    return [channel for label in SemanticClass for channel in colours[label]]


_PALETTE = _label_palette()
