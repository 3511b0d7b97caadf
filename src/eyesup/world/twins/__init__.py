"""Twins: what the expert would have done had the scene been different.

A twin repeats a log up to a step with one thing edited, and re-runs the expert for 5 s after it against the recorded
other agents. The edit is there from the first step on, so the images before the step show it too.
"""

from eyesup.world.twins.drive import (
    EFFECT_STEPS as EFFECT_STEPS,
)
from eyesup.world.twins.drive import (
    TWIN_STEPS as TWIN_STEPS,
)
from eyesup.world.twins.drive import (
    EgoLog as EgoLog,
)
from eyesup.world.twins.drive import (
    ego_log as ego_log,
)
from eyesup.world.twins.drive import (
    ego_state as ego_state,
)
from eyesup.world.twins.drive import (
    rollout as rollout,
)
from eyesup.world.twins.drive import (
    scene_expert as scene_expert,
)
from eyesup.world.twins.drive import (
    scene_route as scene_route,
)
from eyesup.world.twins.kinds import TwinKind as TwinKind
from eyesup.world.twins.make import (
    cue_effect as cue_effect,
)
from eyesup.world.twins.make import (
    cue_effects as cue_effects,
)
from eyesup.world.twins.make import (
    make_twin as make_twin,
)
from eyesup.world.twins.obstacle import insert_obstacle as insert_obstacle
