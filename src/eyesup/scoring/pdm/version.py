"""What distinguishes the published versions of NAVSIM's PDM score, as data; the scorer itself is one.

Sub-scores carry their official (long) names, which are also the columns of the official tables:

| short | official name | weight in v1 | weight in v2 |
|---|---|---|---|
| NC | no_at_fault_collisions | factor | factor |
| DAC | drivable_area_compliance | factor | factor |
| DDC | driving_direction_compliance | reported | factor |
| TLC | traffic_light_compliance | - | factor |
| EP | ego_progress | 5 | 5 |
| TTC | time_to_collision_within_bound | 5 | 5 |
| C, HC | comfort, history_comfort | 2 | 2 |
| LK | lane_keeping | - | 2 |
| EC | two_frame_extended_comfort | - | 2 |

Several incompatible numbers are published as "PDMS" and "EPDMS": name the version beside every score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from eyesup.types import DataError

NC = "no_at_fault_collisions"
DAC = "drivable_area_compliance"
DDC = "driving_direction_compliance"
TLC = "traffic_light_compliance"
EP = "ego_progress"
TTC = "time_to_collision_within_bound"
C = "comfort"
HC = "history_comfort"
LK = "lane_keeping"
EC = "two_frame_extended_comfort"

DT_S = 0.1
STEPS = 40  # of the simulation: samples 0 .. 40 at 0.1 s
SAMPLES = STEPS + 1


@dataclass(frozen=True)
class ComfortWindows:
    """Savitzky-Golay window lengths, in samples.

    Attributes:
        acceleration: Of the acceleration that is compared with its bounds.
        acceleration_in_jerk: Of the acceleration that the jerk is derived from.
        jerk: Of the derivative.
    """

    acceleration: int
    acceleration_in_jerk: int
    jerk: int


@dataclass(frozen=True)
class Version:
    """One definition of the score.

    Attributes:
        name: Stamped on every result.
        family: ``v1`` or ``v2``: whose PDM-Closed plan is the reference for progress.
        factors: Sub-scores that are multiplied.
        weights: Sub-scores that are averaged, with their weights.
        reported: Sub-scores that are computed but do not count.
        min_progress_m: Below this best progress of the pair, ego progress is not compared.
        progress_of_failures: Whether a plan with a zero factor still makes progress (v2), or none (v1).
        agent_seconds: How far agents are known [s].
        ttc_last_sample: Last sample from which the time to collision is looked ahead.
        drop_initial_overlaps: Whether agents that touch the ego at t = 0 are removed.
        forgive_in_intersections: Whether driving direction is not judged inside intersections.
        comfort_windows: Smoothing of the comfort signals.
        comfort_at_center: Whether longitudinal acceleration is that of the box centre (v2) or the rear axle (v1).
        comfort_history: Whether the driven past precedes the plan in the comfort signals.
        human_filter: Whether failures that the human shares are forgiven.
        filter_reaches_score: Whether a forgiven failure also counts in the score; until 2025-09 it changed the columns only.
    """

    name: str
    family: str
    factors: tuple[str, ...]
    weights: tuple[tuple[str, float], ...]
    reported: tuple[str, ...]
    min_progress_m: float
    progress_of_failures: bool
    agent_seconds: float
    ttc_last_sample: int
    drop_initial_overlaps: bool
    forgive_in_intersections: bool
    comfort_windows: ComfortWindows
    comfort_at_center: bool
    comfort_history: bool
    human_filter: bool
    filter_reaches_score: bool

    @property
    def subscores(self) -> tuple[str, ...]:
        """All names, in the order of the official columns."""
        names = {*self.factors, *dict(self.weights), *self.reported}
        return tuple(name for name in _COLUMN_ORDER[C in names] if name in names)

    @property
    def comfort(self) -> str:
        """Official name of the single-frame comfort sub-score."""
        return HC if HC in dict(self.weights) else C

    @property
    def two_frame(self) -> bool:
        """Whether successive frames are compared."""
        return EC in dict(self.weights)

    @property
    def agent_samples(self) -> int:
        return round(self.agent_seconds / DT_S) + 1


_COLUMN_ORDER = {True: (NC, DAC, EP, TTC, C, DDC), False: (NC, DAC, DDC, TLC, EP, TTC, LK, HC, EC)}

V1 = Version(
    name="navsim-v1.1",
    family="v1",
    factors=(NC, DAC),
    weights=((EP, 5.0), (TTC, 5.0), (C, 2.0)),
    reported=(DDC,),
    min_progress_m=5.0,
    progress_of_failures=False,
    agent_seconds=5.0,
    ttc_last_sample=40,
    drop_initial_overlaps=False,
    forgive_in_intersections=False,
    comfort_windows=ComfortWindows(41, 8, 41),
    comfort_at_center=False,
    comfort_history=False,
    human_filter=False,
    filter_reaches_score=False,
)
# The CVPR 2024 challenge.
V1_0 = replace(V1, name="navsim-v1.0", min_progress_m=0.1)
V2 = Version(
    name="navsim-v2",
    family="v2",
    factors=(NC, DAC, DDC, TLC),
    weights=((EP, 5.0), (TTC, 5.0), (LK, 2.0), (HC, 2.0), (EC, 2.0)),
    reported=(),
    min_progress_m=5.0,
    progress_of_failures=True,
    agent_seconds=4.0,
    ttc_last_sample=31,
    drop_initial_overlaps=True,
    forgive_in_intersections=True,
    comfort_windows=ComfortWindows(8, 8, 15),
    comfort_at_center=True,
    comfort_history=True,
    human_filter=True,
    filter_reaches_score=True,
)
# Releases up to v2.2 and papers until autumn 2025.
V2_2 = replace(V2, name="navsim-v2.2", filter_reaches_score=False)
# Rewards that weigh progress higher (ReCogDrive; IK-VLA, arXiv 2605.21061, section on GRPO).
V1_TRAINING = replace(V1, name="navsim-v1.1-training", weights=((EP, 10.0), (TTC, 5.0), (C, 2.0)))

FAMILIES = {"v1": V1, "v2": V2}
VERSIONS = {"v1": V1, "v1.0": V1_0, "v1-training": V1_TRAINING, "v2": V2, "v2.2": V2_2}


def version_named(name: str) -> Version:
    """The version with a short name; DataError lists them."""
    if name not in VERSIONS:
        raise DataError(f"pdm: unknown version {name!r}; known: {', '.join(VERSIONS)}")
    return VERSIONS[name]
