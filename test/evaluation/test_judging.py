"""What truth says of a run, and what was required of it."""

import numpy as np
import pytest

from vpr_ros.core import Pose, Trajectory
from vpr_ros.evaluation import (
    Requirement,
    RequirementError,
    assess,
    carried_poses,
    judge_by_poses,
    judge_by_revisits,
    loops_result,
    standing_of,
    unjudged,
)
from vpr_ros.scoring import PoseRules, RevisitTruth, TruthError
from vpr_ros.sources import open_source

RULES = PoseRules(radius_m=0.5, angle_deg=45, gap_s=2)


def square_trajectory(square):
    stamps_ns = np.array([square.keyframe(n).stamp_ns for n in range(8)])
    return Trajectory(stamps_ns, tuple(square.keyframe(n).t_world_camera for n in range(8)))


class Robot:
    """A source that carries exact poses."""

    uri = "sim:square"

    def __init__(self, truth):
        self.truth = truth


def test_each_closure_is_marked_and_counted(square):
    """Keyframes are frames 0, 10, ... 70; the second lap is 40 ... 70, and 70 is not scored."""
    truth = RevisitTruth([(40, 0), (50, 10), (60, 20)], ignored=[70])
    closures = [square.closure(4, 0), square.closure(5, 2), square.closure(7, 1), square.closure(6, 99)]

    assessment = assess(square.recording(closures), truth)

    # Place 99 lies in an earlier session, of which the table says nothing.
    assert assessment.marks == ("right", "wrong", "unscored", "unscored")
    figures = assessment.figures
    assert (figures.queries_with_revisit, figures.correct, figures.wrong, figures.missed) == (3, 1, 1, 2)
    assert standing_of(assessment) == "wrong"


def test_a_run_that_finds_none_of_the_revisits_has_missed_them(square):
    truth = RevisitTruth([(40, 0)])

    assert standing_of(assess(square.recording(), truth)) == "missed"
    assert standing_of(assess(square.recording([square.closure(4, 0)]), truth)) == "sound"
    assert standing_of(assess(square.recording(), RevisitTruth([]))) == "sound"
    assert standing_of(unjudged(square.recording())[1]) == "unjudged"


def test_poses_a_source_carries_judge_its_run(square):
    judge = judge_by_poses(carried_poses(Robot(square_trajectory(square))), RULES)

    _, assessment = judge(square.recording([square.closure(4, 0), square.closure(5, 0)]))

    assert assessment.marks == ("right", "wrong")
    assert assessment.figures.queries_with_revisit == 4
    assert "0.5 m" in assessment.truth


def test_poses_of_a_file_are_drawn_as_where_it_really_drove(square):
    moved = Trajectory(
        np.array([0, 7_000_000_000]),
        tuple(Pose.from_rotation_translation(np.eye(3), (x, 0.0, 0.0)) for x in (0.0, 7.0)),
    )

    recording, _ = judge_by_poses(carried_poses(Robot(moved)), RULES)(square.recording())

    assert recording.keyframes[0].t_world_camera.translation.tolist() == [0, 0, 0]
    assert recording.keyframes[3].t_world_camera is None, "no pose is near 3 s"
    assert recording.keyframes[7].t_world_camera.translation.tolist() == [7, 0, 0]


def test_a_source_without_poses_says_what_to_give_instead():
    with pytest.raises(TruthError, match="--revisits"):
        carried_poses(Robot(None))


def test_a_table_is_read_before_the_run_and_may_name_images(square, images, tmp_path):
    table = tmp_path / "revisits.csv"
    table.write_text("query,match\n041.jpg,001.jpg\n")
    with open_source(str(images / "office")) as source:
        judge = judge_by_revisits(table, source)
        table.unlink()

    _, assessment = judge(square.recording([square.closure(1, 0)]))

    assert assessment.marks == ("wrong",), "041.jpg is frame 14, not 10"


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("recall>=0.25", True),
        ("recall > 0.25", False),
        ("wrong==0", False),
        ("wrong <= 1", True),
        ("closures<3", True),
        ("seconds<9", True),
        ("keyframes==9", False),
    ],
)
def test_a_requirement_holds_or_tells_what_was_seen(square, text, is_met):
    truth = RevisitTruth([(40, 0), (50, 10), (60, 20), (70, 30)])
    recording = square.recording([square.closure(4, 0), square.closure(5, 0)])
    result = loops_result(recording, assess(recording, truth))

    shortfall = Requirement.parse(text).shortfall(result)

    assert (shortfall is None) == is_met
    if not is_met:
        assert "square.mcap" in shortfall


def test_what_truth_can_not_tell_is_not_met(square):
    recording = square.recording()
    nothing_revisited = loops_result(recording, assess(recording, RevisitTruth([])))

    for result in (loops_result(recording, None), nothing_revisited):
        assert "not known" in Requirement.parse("recall>=0").shortfall(result)


@pytest.mark.parametrize("text", ["recall", "recall>=", "recall>=much", "recall>=nan", "luck>=1", "", "recall=>1"])
def test_a_requirement_that_says_nothing_is_refused_with_what_there_is(text):
    with pytest.raises(RequirementError, match=r"recall>=0\.8"):
        Requirement.parse(text)
