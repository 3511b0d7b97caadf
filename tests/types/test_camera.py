from __future__ import annotations

import numpy as np
import pytest

from eyesup.types import Camera, CameraRig, DataError

INTRINSICS = np.array([[100.0, 0, 64], [0, 80.0, 32], [0, 0, 1]])


def camera(name: str = "front", **changes: object) -> Camera:
    fields = {"name": name, "intrinsics": INTRINSICS, "ego_from_cam": np.eye(4), "width_px": 128, "height_px": 64}
    return Camera(**{**fields, **changes})


def test_resizing_scales_both_axes_of_the_intrinsics():
    half = camera().resized(64, 16)
    np.testing.assert_allclose(half.intrinsics, [[50, 0, 32], [0, 20, 8], [0, 0, 1]])
    assert (half.width_px, half.height_px) == (64, 16)
    np.testing.assert_allclose(half.resized(128, 64).intrinsics, INTRINSICS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intrinsics": np.eye(4)}, r"camera front: intrinsics: shape \(4, 4\), expected \(3, 3\)"),
        ({"intrinsics": np.diag([-1.0, 1, 1])}, "focal lengths -1.0, 1.0 px must be positive"),
        ({"intrinsics": np.full((3, 3), np.nan)}, "intrinsics: 9 non-finite"),
        ({"width_px": 0}, "size 0x64 px, both must be positive"),
        ({"ego_from_cam": np.diag([2.0, 1, 1, 1])}, "is no rotation matrix"),
        ({"ego_from_cam": np.diag([-1.0, 1, 1, 1])}, "is no rotation matrix"),  # a mirror
    ],
)
def test_impossible_cameras_are_refused_by_name(change, message):
    with pytest.raises(DataError, match=message):
        camera(**change)


def test_rig_keeps_order_and_picks_by_name():
    rig = CameraRig((camera("left"), camera("front"), camera("right")))
    assert rig.names == ("left", "front", "right")
    assert len(rig) == 3
    assert [c.name for c in rig] == list(rig.names)
    assert rig.size_px == (128, 64)
    assert rig.select(("right", "left")).names == ("right", "left")
    assert rig.resized(64, 32).size_px == (64, 32)


def test_impossible_rigs_are_refused():
    with pytest.raises(DataError, match="must be unique and at least one"):
        CameraRig(())
    with pytest.raises(DataError, match=r"names \['front', 'front'\] must be unique"):
        CameraRig((camera(), camera()))
    with pytest.raises(DataError, match="differ; resize the images to one size first"):
        CameraRig((camera("a"), camera("b", width_px=64)))
    with pytest.raises(DataError, match=r"missing camera \['rear'\]; the rig has \['front'\]"):
        CameraRig((camera(),)).select(("rear",))
