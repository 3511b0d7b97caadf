"""NAVSIM's PDM score (v1: PDMS) and extended PDM score (v2: EPDMS), exact and fast.

scene = prepare(inputs, "v2")                        # once per scene
result = score(trajectories, [scene], "v2")          # (S, K, T, 3) waypoints in the ego frame
result.score, result.subscores["ego_progress"]       # (S, K)
"""

from eyesup.scoring.pdm.scene import PreparedScene as PreparedScene
from eyesup.scoring.pdm.scene import SceneInputs as SceneInputs
from eyesup.scoring.pdm.score import PDMScore as PDMScore
from eyesup.scoring.pdm.score import prepare as prepare
from eyesup.scoring.pdm.score import score as score
from eyesup.scoring.pdm.score import with_weights as with_weights
from eyesup.scoring.pdm.version import VERSIONS as VERSIONS
from eyesup.scoring.pdm.version import Version as Version
