"""What the keyframes around a query, and the way between, say of its match."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from photographed import PhotographedDrive

from vpr_ros.core import Pose
from vpr_ros.detection.sequence import astray_m, best_view
from vpr_ros.detection.stages import GeometryStage, Outcome, RerankStage, SequenceStage, Verdict
from vpr_ros.encoders import open_encoder
from vpr_ros.sources import SourceOptions, open_source

ALLOWED = Verdict(Outcome.PASSED, 1.0, 0.0, "odometry allows it")
# A camera that comes nearer sees the middle of the image larger; at the end it stands where the place was taken.
ZOOMS = (1.7, 1.45, 1.3, 1.15, 1.0)
STEP_M = 0.6
FIRST_QUERY = 12


def zoomed(image, factor):
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0, 1 / factor)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


def along_x(*metres):
    return [Pose.from_rotation_translation(np.eye(3), (x, 0, 0)) for x in metres]


@pytest.fixture(scope="module")
def office(images):
    files = sorted((images / "office").glob("*.jpg"))
    return [cv2.imread(str(file), cv2.IMREAD_COLOR_RGB) for file in files]


@pytest.fixture(scope="module")
def encoder():
    return open_encoder("mixvpr-lite", "onnxruntime")


@pytest.fixture
def approach(encoder, office):
    """Keyframe 0 is a photograph; a camera comes towards the spot from keyframe 12 on, ``count`` keyframes so far."""

    def make(count=5, has_odometry=True, **thresholds):
        views = [office[0], *office[2 : FIRST_QUERY + 1], *(zoomed(office[0], factor) for factor in ZOOMS[:count])]
        poses = along_x(*(STEP_M * number for number in range(len(views)))) if has_odometry else [None] * len(views)
        return PhotographedDrive(encoder, views, poses, **thresholds)

    return make


def verdict_of(drive, query=FIRST_QUERY, match=0, is_over=False):
    candidate = drive.candidate(query, match)
    drive.context.is_over = is_over
    geometry = GeometryStage(drive.thresholds).judge(candidate, drive.context)
    drive.context.found = {"geometry": geometry, "odometry": ALLOWED}
    return SequenceStage(drive.thresholds).judge(candidate, drive.context)


def best_view_of(drive):
    return best_view(drive.candidate(FIRST_QUERY, 0), drive.memory, drive.evidence, drive.thresholds.sequence_length)


def test_the_keyframe_that_stands_where_the_place_was_taken_sees_it_best(approach):
    best = best_view_of(approach())

    assert best.query_id == FIRST_QUERY + 4
    assert best.away_m == pytest.approx(4 * STEP_M)


def test_a_place_that_came_into_view_before_the_camera_was_there_is_refused(approach):
    verdict = verdict_of(approach())

    assert verdict.outcome is Outcome.REFUSED
    assert (verdict.value, verdict.threshold) == (pytest.approx(-4 * STEP_M), -1.0)
    assert "keyframe 16, 2.4 m away" in verdict.reason


def test_a_query_waits_for_the_keyframes_that_may_see_its_match_better(approach):
    """After two keyframes the best view is just beside the query; the third shows that it lies farther on."""
    assert verdict_of(approach(count=2)).outcome is Outcome.WAITING
    assert verdict_of(approach(count=3)).outcome is Outcome.REFUSED


def test_how_far_the_best_view_may_be_is_a_setting(approach):
    assert verdict_of(approach(best_view_m=3.0)).outcome is Outcome.PASSED


def test_without_odometry_nothing_is_away(approach):
    assert best_view_of(approach(has_odometry=False)).away_m == 0.0


@pytest.fixture(scope="module")
def second_lap(encoder, office):
    """Keyframes 0 to 8 are photographs, those from 9 on the same from a little nearer, and 1 is a copy of 4.

    Odometry has drifted by half a metre on the second lap.
    """

    def make(count):
        first = [zoomed(office[4 if number == 1 else number], 1.05) for number in range(9)]
        way = [STEP_M * number for number in range(9)]
        poses = along_x(*way, *(x + 0.5 for x in way[:count]))
        drive = PhotographedDrive(encoder, [*first, *office[:count]], poses, recent=4)
        for query in drive.keyframes[9:]:
            drive.memory.candidates_of(drive.memory.look(query, np.arange(9, 9 + count)), most=3)
            for place in drive.memory.judged(query.id):
                drive.evidence.verification(query, place)
        return drive

    return make


@pytest.fixture(scope="module")
def two_laps(second_lap):
    return second_lap(count=9)


@pytest.fixture(scope="module")
def a_lap_and_a_half(second_lap):
    return second_lap(count=5)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_loop_lies_astray_by_as_much_as_it_differs_from_its_neighbours(two_laps, steps):
    candidate = two_laps.candidate(13, 4 - steps)

    found = astray_m(candidate, two_laps.memory, two_laps.evidence, two_laps.thresholds.sequence_length)

    assert found == pytest.approx(steps * STEP_M)


def test_a_copy_of_the_place_that_lies_beside_the_loop_is_refused(two_laps):
    verdict = verdict_of(two_laps, query=13, match=1)

    assert verdict.outcome is Outcome.REFUSED
    assert (verdict.value, verdict.threshold) == (pytest.approx(-3 * STEP_M), -1.0)
    assert "the keyframes around it see a loop that lies 1.8 m from this one" in verdict.reason
    assert verdict_of(two_laps, query=13, match=4).outcome is Outcome.PASSED


@pytest.mark.parametrize(("match", "outcome"), [(4, Outcome.PASSED), (3, Outcome.WAITING), (1, Outcome.WAITING)])
def test_at_the_end_of_a_session_a_loop_amid_known_places_needs_no_more_keyframes(a_lap_and_a_half, match, outcome):
    """Place 3 is too near the beginning of its way to be sure of, and 1 besides a copy that lies beside the loop."""
    assert verdict_of(a_lap_and_a_half, query=13, match=match).outcome is Outcome.WAITING
    assert verdict_of(a_lap_and_a_half, query=13, match=match, is_over=True).outcome is outcome


def test_a_place_lies_amid_others_that_the_query_could_have_matched(two_laps):
    def lies_amid(query, match):
        return two_laps.memory.lies_amid(two_laps.candidate(query, match), reach=4)

    assert lies_amid(13, 4)
    assert not lies_amid(13, 3)  # at the beginning
    assert lies_amid(14, 5)
    assert not lies_amid(13, 5)  # 9 is of the recent past
    assert not lies_amid(17, 16)  # behind it there is nothing


def test_where_too_few_neighbours_see_a_loop_nothing_is_said(two_laps):
    candidate = two_laps.candidate(13, 1)

    assert astray_m(candidate, two_laps.memory, two_laps.evidence, length=2) is None


@pytest.mark.parametrize(("has_odometry", "outcome"), [(True, Outcome.PASSED), (False, Outcome.REFUSED)])
def test_copies_that_odometry_rules_out_take_no_place_among_the_best(encoder, office, has_odometry, outcome):
    """Three copies 50 m off look more like the query than the place itself, which it sees from a little nearer."""
    views = [zoomed(office[0], 1.3), office[0], office[0], office[0], office[0]]
    poses = along_x(0, 50, 51, 52, 0) if has_odometry else [None] * 5
    drive = PhotographedDrive(encoder, views, poses, verify_candidates=3)
    drive.memory.candidates_of(drive.memory.look(drive.keyframes[4], np.array([4])), most=10)

    assert RerankStage(drive.thresholds).judge(drive.candidate(4, 0), drive.context).outcome is outcome


@pytest.fixture(scope="module")
def way_and_return():
    """Frames with depth of a way of 13 s, a second apart, and five more, each just beside one of the first five."""
    pytest.importorskip("vizdoom")
    with open_source("sim:office?rate_hz=3&depth=true", SourceOptions(to_s=13)) as robot:
        frames = list(robot.frames())
    return [*frames[::3], *frames[1:15:3]]


@pytest.mark.parametrize(
    ("has_depth", "has_odometry", "support", "outcome", "without_margin"),
    [
        (True, False, 0.25, Outcome.PASSED, True),
        (True, False, 1.0, Outcome.REFUSED, False),
        (False, False, 0.25, Outcome.REFUSED, False),
        (True, True, 1.0, Outcome.PASSED, False),
    ],
)
def test_a_metric_pose_spares_the_margin_with_odometry_also_the_support(
    encoder, way_and_return, has_depth, has_odometry, support, outcome, without_margin
):
    frames = way_and_return if has_depth else [replace(frame, depth_m=None) for frame in way_and_return]
    poses = [frame.t_odom_camera for frame in frames]
    drive = PhotographedDrive(encoder, frames, poses, min_sequence_margin=2.0, min_support=support)
    first = len(frames) - 5
    for query in drive.keyframes[first:]:
        drive.memory.candidates_of(drive.memory.look(query, np.arange(first, len(frames))), most=3)
        for place in drive.memory.judged(query.id):
            drive.evidence.verification(query, place)
    candidate = drive.candidate(first, 0)
    drive.context.found = {"geometry": GeometryStage(drive.thresholds).judge(candidate, drive.context)}
    if has_odometry:
        drive.context.found["odometry"] = ALLOWED

    verdict = SequenceStage(drive.thresholds).judge(candidate, drive.context)

    assert drive.context.verification(candidate).metric is has_depth
    assert verdict.outcome is outcome
    assert ("without_margin" in verdict.figures) is without_margin


def test_cameras_that_a_metric_pose_puts_too_far_apart_close_no_loop(encoder, way_and_return):
    """The robot drives ahead, a metre between two keyframes."""
    drive = PhotographedDrive(encoder, way_and_return[:5], [None] * 5, same_place_m=1.5)
    near, far = (GeometryStage(drive.thresholds).judge(drive.candidate(4, match), drive.context) for match in (3, 2))

    assert near.outcome is Outcome.PASSED
    assert far.outcome is Outcome.REFUSED
    poses = [frame.t_odom_camera for frame in way_and_return]
    assert far.value == pytest.approx(-poses[4].distance_m(poses[2]), rel=0.1)
    assert "m apart, at most 1.5 m are one place" in far.reason


def test_of_metric_loops_the_poses_are_compared_not_the_places(encoder, way_and_return):
    """On the return keyframes are twice as near: their places lie up to a metre off, where poses put them does not."""
    frames = [*way_and_return[:13:2], *way_and_return[13:]]
    drive = PhotographedDrive(encoder, frames, [frame.t_odom_camera for frame in frames])
    first = len(frames) - 5
    for query, place in ((0, 0), (1, 0), (2, 1), (3, 1), (4, 2)):
        drive.memory.candidates_of(drive.memory.look(drive.keyframes[first + query], np.arange(first, len(frames))), 3)
        drive.evidence.verification(drive.keyframes[first + query], drive.keyframes[place])

    apart_m = [
        astray_m(drive.candidate(first + 3, place), drive.memory, drive.evidence, drive.thresholds.sequence_length)
        for place in (1, 2)
    ]

    assert apart_m[0] < 0.1
    assert apart_m[1] > 0.5, "that pair was not looked at, so only its place is known"
