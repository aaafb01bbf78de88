"""What the whole detector says of drives of the simulated robot, whose poses are exact."""

import numpy as np
import pytest

from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.encoders import open_encoder
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources import SourceOptions, open_source

pytest.importorskip("vizdoom")

ENDS_S = 56  # twelve seconds into the second lap


def driven(uri):
    """Return the truth, the closures announced on the way, and those of the end of the session."""
    encoder = open_encoder("mixvpr-lite", "onnxruntime")
    with open_source(uri, SourceOptions(to_s=ENDS_S)) as robot, PlaceMap.in_memory(encoder.recipe) as place_map:
        detector = LoopDetector(encoder, place_map, Settings())
        on_the_way = [closure for frame in robot.frames() for closure in detector.observe(frame).closures]
        return robot.truth, on_the_way, list(detector.finish().closures)


def true_pose(truth, closure):
    """Return ``t_match_query`` by the exact poses."""
    query, match = (truth.at(stamp_ns, 1_000_000) for stamp_ns in (closure.query_stamp_ns, closure.match_stamp_ns))
    return match.inverse() @ query


def test_the_last_keyframes_of_a_session_close_their_loops_when_it_ends():
    """A loop waits for four keyframes; at the end known places on either side vouch."""
    truth, on_the_way, at_the_end = driven("sim:ring?rate_hz=1")

    last = max(closure.query_id for closure in at_the_end)
    assert {closure.query_id for closure in at_the_end} == {last - back for back in range(4)}
    assert len(on_the_way) >= 3
    assert max(closure.query_id for closure in on_the_way) < last - 3
    for closure in (*on_the_way, *at_the_end):
        assert np.linalg.norm(true_pose(truth, closure).translation) < 1.0


def test_with_depth_the_pose_of_a_loop_is_the_truth_s():
    truth, on_the_way, at_the_end = driven("sim:ring?rate_hz=1&depth=true")

    closures = [*on_the_way, *at_the_end]
    errors_m = [true_pose(truth, closure).distance_m(closure.t_match_query) for closure in closures]
    errors_deg = [np.degrees(true_pose(truth, closure).angle_rad(closure.t_match_query)) for closure in closures]
    assert len(closures) >= 7
    assert all(closure.metric for closure in closures)
    assert all(np.linalg.norm(true_pose(truth, closure).translation) < 1.0 for closure in closures)
    assert np.median(errors_m) < 0.02
    assert max(errors_m) < 0.06
    assert max(errors_deg) < 0.5
