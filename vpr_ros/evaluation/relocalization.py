"""Where each frame of a recording is in a map, judged against poses: known places right, unknown ones honestly so."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from vpr_ros.core import Pose, Trajectory
from vpr_ros.detection import RelocalizationAnswer, Relocalizer
from vpr_ros.evaluation.recording import POSE_TOLERANCE_NS
from vpr_ros.place_map import PlaceMap
from vpr_ros.scoring import PoseRules, TruthError
from vpr_ros.sources import Source

# Beyond this many times the radius or angle an answer is wrong; between, it is grey (design: as for loop closures).
_WRONG_BEYOND = 2.0
OnFrame = Callable[[], None]


@dataclass(frozen=True, slots=True)
class LocatedFrame:
    """The answer to one frame.

    Attributes:
        query: Its position in the source.
        stamp_ns: Its stamp in ns.
        answer: What was said.
    """

    query: int
    stamp_ns: int
    answer: RelocalizationAnswer


@dataclass(frozen=True, slots=True)
class RelocalizationFigures:
    """What truth says of the answers; grey ones and frames without a pose count nowhere.

    Attributes:
        right: A place was named and the camera stood there.
        wrong: A place was named and the camera stood elsewhere.
        unknown_right: "Unknown", and no place of the map is near.
        unknown_wrong: "Unknown", though a place of the map is near.
    """

    right: int = 0
    wrong: int = 0
    unknown_right: int = 0
    unknown_wrong: int = 0


@dataclass(frozen=True, slots=True)
class RelocalizationRun:
    """All answers of one recording.

    Attributes:
        answers: One a frame.
        seconds: Wall clock.
        timed: Whether stamps say anything about time.
    """

    answers: tuple[LocatedFrame, ...]
    seconds: float
    timed: bool = True


def relocalize(source: Source, relocalizer: Relocalizer, on_frame: OnFrame) -> RelocalizationRun:
    """Locate every frame of a source, each for itself.

    Raises:
        SourceError: The source can't be read.
    """
    began = time.perf_counter()
    answers, timed = [], True
    for frame in source.frames():
        answers.append(LocatedFrame(frame.index, frame.stamp_ns, relocalizer.locate(frame)))
        timed &= frame.timed
        on_frame()
    return RelocalizationRun(tuple(answers), time.perf_counter() - began, timed)


def score_relocalization(
    run: RelocalizationRun, place_map: PlaceMap, queries: Trajectory, places: Trajectory, rules: PoseRules
) -> RelocalizationFigures:
    """Judge answers by where cameras really stood.

    Args:
        run: The answers.
        place_map: The map that was asked.
        queries: Poses of the recording's camera.
        places: Poses of the camera that made the map, in the same fixed frame.
        rules: What counts as near.

    Raises:
        TruthError: The frames have no stamps to look their poses up by.
    """
    if not run.timed:
        raise TruthError("poses are stamped, but the images have no stamps; give --rate-hz")
    known = {
        place_id: pose
        for place_id in place_map.ids.tolist()
        if (pose := places.at(place_map.place(place_id).stamp_ns, POSE_TOLERANCE_NS)) is not None
    }
    counts = dict.fromkeys(("right", "wrong", "unknown_right", "unknown_wrong"), 0)
    for located in run.answers:
        pose = queries.at(located.stamp_ns, POSE_TOLERANCE_NS)
        verdict = None if pose is None else _verdict(located.answer, pose, known, rules)
        if verdict is not None:
            counts[verdict] += 1
    return RelocalizationFigures(**counts)


def _verdict(answer: RelocalizationAnswer, pose: Pose, places: dict[int, Pose], rules: PoseRules) -> str | None:
    if answer.known:
        match = places.get(answer.hypotheses[0].match_id)
        excess = math.inf if match is None else _excess(pose, match, rules)
        return None if match is None or 1 < excess <= _WRONG_BEYOND else "right" if excess <= 1 else "wrong"
    nearest = min((_excess(pose, place, rules) for place in places.values()), default=math.inf)
    return None if 1 < nearest <= _WRONG_BEYOND else "unknown_wrong" if nearest <= 1 else "unknown_right"


def _excess(pose: Pose, other: Pose, rules: PoseRules) -> float:
    """Return how far apart two poses are, in units of what is allowed."""
    return max(pose.distance_m(other) / rules.radius_m, math.degrees(pose.angle_rad(other)) / rules.angle_deg)
