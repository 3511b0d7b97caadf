"""What scenarios have in common in which somebody crosses the ego's way on foot or on a bicycle. Cue: that person."""

from __future__ import annotations

import numpy as np

from eyesup.geometry.boxes import box_corners, boxes_overlap
from eyesup.types import AgentKind, Cue, CueKind
from eyesup.world.actors import Actor
from eyesup.world.scenarios.base import ALIGNED_SHARE, Scenario, on_time, time_to
from eyesup.world.stage import Stage, UnsuitableError
from eyesup.world.traffic import PEDESTRIAN_SIZE_M

CORRIDOR_M = 1.5  # half width of what the ego sweeps
SHOWS_S = 2.6  # the cue counts from when the person is this close to the ego's lane in time
STOP_GAP_M = 2.5  # at which a car stops before somebody
QUIET_M = 12.0  # behind the crossing nobody else shall be on the ego's lane
ALONE_M = 8.0  # nobody else on foot this close to the middle of the crossing


class Crosses(Scenario):
    """The person stands until a free ego would come about when the person is on its lane, then goes straight over.

    Attributes:
        kind, size_m: Of the person.
        speed_mps, accel_mps2: How the person crosses; the speed is a range.
        phase: Range of the share of the person's time on the ego's lane at which a free ego would arrive.
        hardest_mps2: The person starts no later than when stopping asks for this much braking.
    """

    kind: AgentKind = AgentKind.PEDESTRIAN
    size_m: tuple[float, float, float] = PEDESTRIAN_SIZE_M
    speed_mps: tuple[float, float] = (1.1, 1.9)
    accel_mps2: float = 1.5
    phase: tuple[float, float] = (0.25, 0.8)
    hardest_mps2: float = 3.5

    def let_cross(self, stage: Stage, way: np.ndarray, start_s: float, end_s: float) -> None:
        """Put the person at the start of `way`, which meets the route between two arc lengths [m]."""
        rng = stage.rng
        self._speed, self._phase = float(rng.uniform(*self.speed_mps)), float(rng.uniform(*self.phase))
        self._aligned = bool(rng.random() < ALIGNED_SHARE)
        self._start_s, self._end_s, self._gone = start_s, end_s, False
        self.person: Actor = stage.script("crossing", self.kind, self.size_m, way)
        stage.clear(stage.ego_s, end_s + 45.0)

    def act(self, stage: Stage) -> None:
        if stage.step == 0:  # not earlier: SUMO inserts no vehicle before a light that never changes
            stage.hold_green(self._start_s)
        enters_s, leaves_s = self._times(stage)
        if not self._gone:
            self._gone = self._starts(stage, enters_s + self._phase * (leaves_s - enters_s))
        if self._gone and self._is_run_over(stage):
            raise UnsuitableError("somebody else drives through who crosses")
        if self._gone and stage.cue_step is None and enters_s < SHOWS_S:
            if stage.occupied(stage.ego_front_s, self._end_s + QUIET_M) or self._others_cross(stage):
                raise UnsuitableError("somebody else is on the ego's way")
            stage.mark_cue()

    def _starts(self, stage: Stage, meeting_s: float) -> bool:
        distance = self._start_s - stage.ego_front_s - STOP_GAP_M
        needed = float(stage.ego.vx) ** 2 / (2 * max(distance, 0.1))
        late = needed > self.hardest_mps2
        if needed > 1.3 * self.hardest_mps2 or distance < 0:
            raise UnsuitableError("the ego is too close for anybody to cross")
        if (time_to(stage, self._start_s) < meeting_s and on_time(stage, self._aligned)) or late:
            self.person.go(self._speed, self.accel_mps2)
            return True
        return False

    def _times(self, stage: Stage) -> tuple[float, float]:
        """Seconds until the person comes to the ego's lane, and leaves it again, going on or from a standing start."""
        lateral = stage.place_at(*self.person.pose[:2])[1]
        reach = CORRIDOR_M + self.size_m[0] / 2
        waits_s = 0.0 if self._gone else 0.5 * self._speed / self.accel_mps2
        ahead = -lateral * float(np.sign(stage.place_at(*self.person.path.points[-1])[1]))
        return waits_s + max(ahead - reach, 0.0) / self._speed, waits_s + max(ahead + reach, 0.0) / self._speed

    def _is_run_over(self, stage: Stage) -> bool:
        """Whether a vehicle is where the person is."""
        x, y, _ = self.person.pose
        near = [s for s in stage.sightings if s.kind.is_vehicle and s.name != self.person.name]
        near = [s for s in near if np.hypot(s.pose[0] - x, s.pose[1] - y) < 0.5 * (s.size_m[0] + s.size_m[1])]
        person = box_corners(np.array(self.person.pose), *self.size_m[:2])
        return any(boxes_overlap(person, box_corners(np.array(s.pose), *s.size_m[:2])) for s in near)

    def _others_cross(self, stage: Stage) -> bool:
        staged = {s.name for s in stage.standing} | set(stage.actors)
        x, y, _ = stage.route.at(0.5 * (self._start_s + self._end_s))
        return any(
            sighting.kind is AgentKind.PEDESTRIAN and sighting.name not in staged
            and np.hypot(sighting.pose[0] - x, sighting.pose[1] - y) < ALONE_M
            for sighting in stage.sightings
        )  # fmt: skip

    def cue(self, stage: Stage, ids: dict[str, int]) -> Cue:
        return Cue(CueKind.AGENT, ids["crossing"])
