"""The prompt: what the language model is told in words (arXiv 2605.21061, Appendix D).

Layout: ChatML. The system message holds the role, where the visual tokens and the ego token stand, the coordinate convention,
the two tasks and the output blocks. The user message holds one line each for ego status, past positions, mission goal, previous
action and the trajectory placeholder, and optionally a question. The assistant's turn is the block of next-state placeholders,
then the answer. The layout is the paper's; the sentences are ours.

Everything comes from an Observation, that is from t <= 0. Prompts use x right, y front; the rest of EyesUp x forward, y left.
This module is the only place that converts.

`<bev_start>`, `<BEV_STATE>`, `<bev_end>` (the paper's other spelling of the next-state block) are accepted as an alias in the
system message, where they are plain text; the assistant's block always uses the `<next_*>` tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eyesup.types import DataError, Observation, Trajectory

SCENE, EGO, NEXT_STATE, TRAJECTORY = "<SCENE>", "<EGO>", "<NEXT_STATE>", "<trajectory>"
SPECIAL_TOKENS = (
    "<scene_start>", "<scene_end>", SCENE, "<ego_start>", "<ego_end>", EGO, "<next_start>", "<next_end>", NEXT_STATE,
    "<question_start>", "<question_end>", "<answer_start>", "<answer_end>", TRAJECTORY,
)  # fmt: skip
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
RESERVED = (*SPECIAL_TOKENS, *CHATML_TOKENS)

HISTORY_STEP_S = 0.5  # Appendix D: "last 2 seconds", four points
HISTORY_POINTS = 4
STOP_SPEED_MPS = 0.3  # below this over the last half second the car "stops"
SPEED_CHANGE_MPS2 = 0.5  # beyond this it "speeds up" or "slows down"
TURN_RAD = 0.05  # heading change over the last second beyond which it "turns" (a 100 m bend at 5 m/s)

_NUMBER = r"(-?\d{1,4}(?:\.\d+)?)"
_PAIR = re.compile(rf"\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)")
_BLOCK_NAMES = {"next": ("<next_start>", NEXT_STATE, "<next_end>"), "bev": ("<bev_start>", "<BEV_STATE>", "<bev_end>")}

_SYSTEM = """You are a driving vision-language model that foresees what the cameras will show.
You are given:
- Current visual tokens: <scene_start><SCENE><scene_end>
- Ego status: <ego_start><EGO><ego_end>
You will be given:
- Ego status, historical trajectory, mission goal and previous action.
- Optional question about the scene.
Coordinate convention (IMPORTANT):
- Ego-centric 2D coordinates in meters; x is to the right, y is to the front.
Your tasks:
1) Predict the NEXT visual state. Work out a feasible ego trajectory for it internally; DO NOT output the trajectory, a separate \
inverse-kinematics network recovers it.
2) If a question is given, answer it.
Output format (STRICT). Output ONLY the blocks below.
Block 1 (next visual state): {start} {state} ... {state} {end}
Block 2 (optional answer): <answer_start>SHORT ANSWER<answer_end>"""

_SYSTEM_SHORT = (
    "View <scene_start><SCENE><scene_end> ego <ego_start><EGO><ego_end> in meters, x right, y front. "
    "Predict the next view, then answer."
)


@dataclass(frozen=True)
class PromptConfig:
    """What the prompt says and leaves out.

    Attributes:
        system: ``full`` follows Appendix D line by line; ``short`` says the same in one sentence, for small models on a CPU.
        block: Spelling of the next-state block in the full system message.
        ego: ``none`` leaves out ego status, past positions and previous action (the goal stays): the ego ablation.
        units: ``si`` writes m/s and m/s2. ``opendrivevla`` writes metres per half second and metres per half second squared,
            as OpenDriveVLA's published prompts do (a quirk: its velocities carry a factor 0.5).
        decimals: Digits behind the point of every number.
    """

    system: Literal["full", "short"] = "full"
    block: Literal["next", "bev"] = "next"
    ego: Literal["full", "none"] = "full"
    units: Literal["si", "opendrivevla"] = "si"
    decimals: int = 2

    def __post_init__(self) -> None:
        choices = {
            "system": ("full", "short"),
            "block": ("next", "bev"),
            "ego": ("full", "none"),
            "units": ("si", "opendrivevla"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise DataError(f"prompt config: {name} {getattr(self, name)!r} is none of {allowed}")
        if self.decimals < 0:
            raise DataError(f"prompt config: decimals {self.decimals} must not be negative")


def prompt_head(observation: Observation, config: PromptConfig, question: str | None = None) -> str:
    """Everything before the next-state block: system and user messages and the opening of the assistant's turn.

    Args:
        question: Asked instead of the Observation's own question (training draws one); None keeps the Observation's.
    """
    question = question if question is not None else observation.question
    user = "\n".join(user_lines(observation, config, question))
    return f"<|im_start|>system\n{system_message(config)}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


def answer_text(answer: str) -> str:
    """What follows `<answer_start>` in the assistant's turn; supervised with next-token prediction."""
    _check_free_text("answer", answer)
    return f"{answer}<answer_end><|im_end|>"


def trajectory_text(xy: np.ndarray, decimals: int = 2) -> str:
    """(T, 2) positions, x forward, y left, as a model that plans in text writes them: ``[(x,y),...]``, prompt frame."""
    return _points(to_prompt_frame(xy), decimals)


def parse_trajectory(text: str, waypoints: int) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `trajectory_text` for whatever a model wrote.

    Returns:
        (T, 2) positions, x forward, y left, and (T,) bool: True where a pair was read. What is missing repeats the last pair
        (the origin if there is none); pairs beyond `waypoints` are dropped.
    """
    pairs = [(float(x), float(y)) for x, y in _PAIR.findall(text)][:waypoints]
    valid = np.arange(waypoints) < len(pairs)
    padded = pairs + [pairs[-1] if pairs else (0.0, 0.0)] * (waypoints - len(pairs))
    return from_prompt_frame(np.array(padded)), valid


def system_message(config: PromptConfig) -> str:
    if config.system == "short":
        return _SYSTEM_SHORT
    start, state, end = _BLOCK_NAMES[config.block]
    return _SYSTEM.format(start=start, state=state, end=end)


def user_lines(observation: Observation, config: PromptConfig, question: str | None) -> list[str]:
    """The user message, in the order of Appendix D."""
    goal = f"Mission goal: {observation.command.maneuver.value}"
    lines = [goal]
    if config.ego == "full":
        lines = [
            f"Ego status: {ego_status(observation, config)}",
            f"Historical trajectory (last 2 seconds): {_points(past_positions(observation.history), config.decimals)}",
            goal,
            f"Previous action: {previous_action(observation.history)}",
        ]
    lines.append(f"Planning trajectory: {TRAJECTORY}")
    if question is not None:
        _check_free_text("question", question)
        lines.append(f"<question_start>{question}<question_end>")
    return lines


def ego_status(observation: Observation, config: PromptConfig) -> str:
    """The ego-status string. "Acceleration" is the difference of the last two displacements, "Can Bus" the measured one."""
    per_s, per_s2 = (HISTORY_STEP_S, HISTORY_STEP_S**2) if config.units == "opendrivevla" else (1.0, 1.0)
    status = observation.ego
    measured = np.array(status.acceleration_mps2)
    from_history = history_acceleration(observation.history)
    numbers: Mapping[str, np.ndarray] = {
        "Velocity (vx,vy)": to_prompt_frame(np.array(status.velocity_mps)) * per_s,
        "Heading Angular Velocity (v_yaw)": np.array([status.yaw_rate_rps]),
        "Acceleration (ax,ay)": to_prompt_frame(measured if from_history is None else from_history) * per_s2,
        "Can Bus": to_prompt_frame(measured),
        "Heading Speed": np.array([status.speed_mps * per_s]),
        "Steering": np.array([status.steering_rad]),
    }
    return " ".join(f"- {name}: {_tuple(values, config.decimals)}" for name, values in numbers.items())


def past_positions(history: Trajectory) -> np.ndarray:
    """(K, 2) metres, prompt frame, oldest first: the known positions at -2.0, -1.5, -1.0, -0.5 s; K <= 4."""
    known = [pose for step in range(HISTORY_POINTS, 0, -1) if (pose := pose_at(history, step)) is not None]
    return to_prompt_frame(np.array(known)[:, :2]) if known else np.zeros((0, 2))


def history_acceleration(history: Trajectory) -> np.ndarray | None:
    """(2,) m/s2, ego frame: change between the last two half-second displacements; None without one second of history."""
    half, one = pose_at(history, 1), pose_at(history, 2)
    if half is None or one is None:
        return None
    newer, older = -half[:2], half[:2] - one[:2]
    return (newer - older) / HISTORY_STEP_S**2


def previous_action(history: Trajectory) -> str:
    """What the car did during the last second, in words; from the past alone."""
    half, one = pose_at(history, 1), pose_at(history, 2)
    if half is None or one is None:
        return "unknown"
    newer = float(np.hypot(*half[:2])) / HISTORY_STEP_S
    older = float(np.hypot(*(half[:2] - one[:2]))) / HISTORY_STEP_S
    change = (newer - older) / HISTORY_STEP_S
    pace = "slow down" if change < -SPEED_CHANGE_MPS2 else "speed up" if change > SPEED_CHANGE_MPS2 else "keep speed"
    turned = -float(one[2])  # the heading is 0 now
    course = "turn left" if turned > TURN_RAD else "turn right" if turned < -TURN_RAD else "go straight"
    return f"{'stop' if newer < STOP_SPEED_MPS else pace}, {course}"


def to_prompt_frame(xy: np.ndarray) -> np.ndarray:
    """(..., 2) from x forward, y left to x right, y front."""
    return np.stack([-xy[..., 1], xy[..., 0]], axis=-1)


def from_prompt_frame(xy: np.ndarray) -> np.ndarray:
    """(..., 2) from x right, y front to x forward, y left."""
    return np.stack([xy[..., 1], -xy[..., 0]], axis=-1)


def pose_at(history: Trajectory, step: int) -> np.ndarray | None:
    """Pose `step` half seconds ago, or None when the history does not hold it."""
    rows = np.flatnonzero(np.abs(history.times_s + step * HISTORY_STEP_S) < 1e-6)
    return history.poses[rows[0]] if len(rows) and history.valid[rows[0]] else None


def _points(xy: np.ndarray, decimals: int) -> str:
    return "[" + ",".join(_tuple(point, decimals) for point in xy) + "]"


def _tuple(values: np.ndarray, decimals: int) -> str:
    # Adding 0.0 turns a rounded -0.0 into 0.0: one spelling per number.
    return "(" + ",".join(f"{round(float(value), decimals) + 0.0:.{decimals}f}" for value in values) + ")"


def _check_free_text(name: str, text: str) -> None:
    """Text from outside must not contain a token that the processor gives a meaning."""
    found = [token for token in RESERVED if token in text]
    if found:
        raise DataError(f"{name} {text!r} contains the reserved token {found[0]}; remove it")
