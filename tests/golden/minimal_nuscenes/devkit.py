"""Writes devkit.json: what nuscenes-devkit 1.2.0 says about the tables beside it. Run where the devkit is installed:

python tests/golden/minimal_nuscenes/devkit.py
"""

import json
from pathlib import Path

from nuscenes import NuScenes
from nuscenes.can_bus.can_bus_api import NuScenesCanBus

root = Path(__file__).parent
nusc = NuScenes("v1.0-mini", str(root), verbose=False)
samples = []
for sample in nusc.sample:
    record = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
    _, boxes, _ = nusc.get_sample_data(record["token"])
    _, in_camera, intrinsics = nusc.get_sample_data(sample["data"]["CAM_FRONT"])
    samples.append(
        {
            "token": sample["token"],
            "data": sample["data"],
            "anns": sample["anns"],
            "names": [box.name for box in boxes],
            "lidar_boxes": [[*box.center, *box.wlh, box.orientation.yaw_pitch_roll[0]] for box in boxes],
            "camera_centres": [list(box.center) for box in in_camera],
            "intrinsics": intrinsics.tolist(),
        }
    )
messages = NuScenesCanBus(str(root)).get_messages("scene-0061", "pose")
(root / "devkit.json").write_text(json.dumps({"samples": samples, "can_poses": len(messages)}) + "\n")
