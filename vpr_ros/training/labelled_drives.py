"""Drives whose poses are known, as queries whose answers are known: of the simulated robot, and of any frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np

from vpr_ros.core import Decision, Frame, Pose
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.detection.calibration import SWITCHED_OFF, Label, LabelledCandidate
from vpr_ros.encoders import Encoder
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources import SourceOptions, open_source

Stand = TypeVar("Stand")


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive of the simulated robot.

    Attributes:
        uri: Route and conditions.
        size: Width and height its images are shrunk to; None as they come (640, 480).
    """

    uri: str
    size: tuple[int, int] | None = None


DRIVES = (
    Drive("sim:ring"),
    Drive("sim:ring?light=night_lap2", (160, 120)),
    Drive("sim:garden?light=night_lap2"),
    Drive("sim:depot?shift_m=0.3"),
    Drive("sim:court?shift_m=0.4"),
    Drive("sim:terraces?light=night_lap2&shift_m=0.2"),
    Drive("sim:halls", (160, 120)),
    Drive("sim:quarry?light=night_lap2"),
    Drive("sim:station"),
    Drive("sim:street", (160, 120)),
    Drive("sim:office?light=night_lap2", (320, 240)),
)
HELD_OUT_DRIVES = (
    Drive("sim:cloister"),
    Drive("sim:temple?shift_m=0.5", (160, 120)),
    Drive("sim:cellblock?light=night_lap2", (320, 240)),
)

_STAMP_TOLERANCE_NS = 1_000_000
# Right within this, wrong beyond twice as far: in a hall two views some metres apart show one place, and geometry says
# so rightly; to call them wrong would teach the policy to distrust it.
_RADIUS_M = 2.0
_ANGLE_RAD = math.radians(45)


def drive_queries(drive: Drive, encoder: Encoder, settings: Settings) -> list[list[LabelledCandidate]]:
    """Drive once with open eyes and return each query's candidates, labelled by the robot's exact poses."""
    return labelled_queries(_drive_frames(drive), _label, encoder, settings)


def labelled_queries(
    frames: Iterable[tuple[Frame, Stand]],
    label: Callable[[Stand, Stand], Label],
    encoder: Encoder,
    settings: Settings,
) -> list[list[LabelledCandidate]]:
    """Return the candidates of each keyframe that looked for its place, with what truth says of them.

    Args:
        frames: Each with where its camera stands.
        label: What two stands are to each other.
        encoder: To run.
        settings: Of the detector; nothing it refuses before geometry is returned.
    """
    stands: dict[int, Stand] = {}
    decisions: list[Decision] = []
    with PlaceMap.in_memory(encoder.recipe) as place_map:
        detector = LoopDetector(encoder, place_map, settings, SWITCHED_OFF)
        for frame, stand in frames:
            observation = detector.observe(frame)
            if observation.keyframe is not None:
                stands[observation.keyframe.id] = stand
            decisions += observation.decisions
        decisions += detector.finish().decisions
    queries: dict[int, list[LabelledCandidate]] = {}
    for decision in decisions:
        if "inliers" in decision.figures:
            known = label(stands[decision.query_id], stands[decision.match_id])
            queries.setdefault(decision.query_id, []).append(LabelledCandidate(decision.figures, known))
    return list(queries.values())


def _drive_frames(drive: Drive) -> Iterator[tuple[Frame, Pose]]:
    with open_source(drive.uri, SourceOptions()) as source:
        assert source.truth is not None, "the simulator knows where its robot is"
        for frame in source.frames():
            pose = source.truth.at(frame.stamp_ns, _STAMP_TOLERANCE_NS)
            assert pose is not None, "it knows so at each frame"
            yield _shrunk(frame, drive.size), pose


def _label(query: Pose, match: Pose) -> Label:
    excess = max(query.distance_m(match) / _RADIUS_M, query.angle_rad(match) / _ANGLE_RAD)
    return Label.RIGHT if excess <= 1 else Label.IGNORED if excess <= 2 else Label.WRONG


def _shrunk(frame: Frame, size: tuple[int, int] | None) -> Frame:
    if size is None:
        return frame
    image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    # A camera without intrinsics is part of what a policy has to know.
    return replace(frame, image=np.asarray(image, np.uint8), camera=None, depth_m=None)
