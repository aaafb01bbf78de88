"""A small run made by hand: a square driven twice, four keyframes a lap, so that every number can be checked by eye."""

import numpy as np
import pytest

from vpr_ros.core import Decision, Keyframe, LoopClosure, Pose, Recipe
from vpr_ros.evaluation import Recording, SeenKeyframe, StageTiming
from vpr_ros.place_map import PlaceMap

SECOND_NS = 1_000_000_000
CORNERS = [(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (0.0, 2.0)]


def keyframe(number):
    """Keyframe ``number`` is frame ``10 * number``; odometry drifts 0.1 m a keyframe, the truth does not."""
    x, y = CORNERS[number % 4]
    return SeenKeyframe(
        id=number,
        frame=10 * number,
        stamp_ns=number * SECOND_NS,
        t_odom_camera=Pose.from_rotation_translation(np.eye(3), (x + 0.1 * number, y, 0.0)),
        t_world_camera=Pose.from_rotation_translation(np.eye(3), (x, y, 0.0)),
    )


def decision(query, match, *, accepted, stage="sequence", similarity=0.9, probability=0.8, reason="same place"):
    return Decision(
        query_id=query,
        query_stamp_ns=query * SECOND_NS,
        match_id=match,
        match_stamp_ns=match * SECOND_NS,
        match_session=0,
        accepted=accepted,
        stage=stage,
        value=similarity,
        threshold=0.7,
        similarity=similarity,
        probability=probability,
        reason=reason,
    )


def closure(query, match, probability=0.8, **more):
    return LoopClosure(
        query_id=query,
        query_stamp_ns=query * SECOND_NS,
        query_frame_id="camera",
        match_id=match,
        match_stamp_ns=match * SECOND_NS,
        match_session=0,
        similarity=0.9,
        probability=probability,
        **more,
    )


def recording(closures=(), refused=(), **more):
    accepted = [decision(c.query_id, c.match_id, accepted=True, probability=c.probability) for c in closures]
    return Recording(
        source="square.mcap",
        encoder="gem-lite",
        engine="onnxruntime",
        frames=80,
        keyframes=tuple(keyframe(number) for number in range(8)),
        decisions=(*accepted, *refused),
        closures=tuple(closures),
        timing={"encode": StageTiming(30.0, 40.0), "search": StageTiming(1.0, 2.0)},
        peak_memory_mib=300.0,
        seconds=8.0,
        **more,
    )


def place_map(thumbnail=None, encoder="table"):
    """The map of the run, in memory: thumbnails and no features."""
    recipe = Recipe(encoder, 8, 8, "bilinear", (0, 0, 0), (1, 1, 1), 8, "0" * 64, "none")
    filled = PlaceMap.in_memory(recipe)
    filled.start_session()
    for number in range(8):
        filled.add(Keyframe(number, 0, number * SECOND_NS, np.eye(8, dtype=np.float32)[number], thumbnail))
    return filled


@pytest.fixture
def square():
    """Builders of the hand-made run: ``square.recording(closures=[square.closure(4, 0)])``."""

    class Square:
        pass

    square = Square()
    square.recording, square.closure, square.decision, square.keyframe = recording, closure, decision, keyframe
    square.place_map = place_map
    return square
