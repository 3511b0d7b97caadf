"""The edits that make a twin."""

from __future__ import annotations

from enum import Enum


class TwinKind(Enum):
    """What becomes of a scene's cue.

    Attributes:
        IDENTITY: Nothing.
        CUE_REMOVED: It is not there: agents and signs gone, a light without its change, a straight road.
        CUE_OFF_PATH: It stands beside the road, where it decides nothing.
        CUE_IN_SKY: The same object at the same size hangs above the road, where it decides nothing.
        CUE_MOVED: It is at another place, or comes at another time, where it matters too.
    """

    IDENTITY = "identity"
    CUE_REMOVED = "cue_removed"
    CUE_OFF_PATH = "cue_off_path"
    CUE_IN_SKY = "cue_in_sky"
    CUE_MOVED = "cue_moved"
