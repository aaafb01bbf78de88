"""What a policy accepts of labelled queries: the table that a policy's card shows."""

from dataclasses import replace

import pytest

from vpr_ros.detection.calibration import Label, LabelledCandidate
from vpr_ros.detection.policy import Policy
from vpr_ros.training.accepted import AcceptedCounts, Counts, accepted_table, count_accepted

# Log-odds are the inliers' logarithm; 0.999 is reached from 6.91 on.
SINGLE = Policy("single", bias=0.0, weights={"inliers": 1.0})
POLICY = Policy("made up", bias=0.0, weights={"inliers": 1.0}, lone=SINGLE)
PASSING = {"similarity": 0.9, "rerank": 0.5, "support": 1.0, "sequence": 1.0, "margin": 0.5}
SURE, UNSURE = 9.0, 4.5


def candidate(label, inliers, **figures):
    return LabelledCandidate({"inliers": inliers, **PASSING, **figures}, label)


def test_only_the_best_candidate_of_a_query_is_accepted_and_only_where_it_is_sure():
    queries = [
        [candidate(Label.RIGHT, SURE), candidate(Label.WRONG, UNSURE)],
        [candidate(Label.RIGHT, UNSURE)],
        [candidate(Label.RIGHT, SURE), candidate(Label.WRONG, SURE + 1)],
        [candidate(Label.IGNORED, SURE)],
    ]

    counts = count_accepted(queries, POLICY)

    assert counts.without_odometry == Counts(right=1, askable=3, wrong=1)
    assert counts.single_images == counts.without_odometry


def test_what_odometry_forbids_is_no_candidate_with_it_and_one_without():
    queries = [[candidate(Label.WRONG, SURE + 1, odometry=0.0), candidate(Label.RIGHT, SURE, odometry=1.0)]]

    counts = count_accepted(queries, POLICY)

    assert counts.with_odometry == Counts(1, 1, 0)
    assert counts.without_odometry == Counts(0, 1, 1)


@pytest.mark.parametrize("figure", ["similarity", "margin", "rerank", "support", "sequence", "inliers"])
def test_a_candidate_that_a_stage_refuses_does_not_hide_the_one_behind_it(figure):
    """By the values of Thresholds; without an odometry that vouches."""
    refused = LabelledCandidate({**candidate(Label.WRONG, SURE + 1).figures, figure: -1.0}, Label.WRONG)
    sure_without_inliers = replace(POLICY, bias=9.0, weights={"similarity": 1e-3}, lone=None)
    policy = sure_without_inliers if figure in ("inliers", "similarity") else POLICY

    assert count_accepted([[refused]], policy).without_odometry == Counts(0, 0, 0)
    assert count_accepted([[refused, candidate(Label.RIGHT, SURE)]], policy).without_odometry == Counts(1, 1, 0)


def test_a_single_image_is_asked_for_its_own_margin_and_for_nothing_of_its_neighbours():
    unsupported = candidate(Label.RIGHT, SURE, support=-1.0, sequence=-1.0)
    rivalled = candidate(Label.RIGHT, SURE, margin=0.01)
    own = replace(POLICY, thresholds={"min_lone_margin": 0.0})

    assert count_accepted([[unsupported], [rivalled]], POLICY).single_images == Counts(1, 2, 0)
    assert count_accepted([[rivalled]], own).single_images == Counts(1, 1, 0)


def test_neighbours_have_no_say_in_a_single_image():
    loud = replace(POLICY, lone=replace(SINGLE, weights={"inliers": 1.0, "sequence": 9.0}))

    assert count_accepted([[candidate(Label.RIGHT, UNSURE)]], loud).single_images == Counts(0, 1, 0)


def test_closures_need_what_reached_the_precision_together_and_single_images_reach_it_themselves():
    met = replace(POLICY, accepted=((0.95, 0.999),), lone=replace(SINGLE, accepted=((0.95, 0.999),)))

    counts = count_accepted([[candidate(Label.RIGHT, UNSURE)]], met)

    assert counts.without_odometry == Counts(1, 1, 0)
    assert counts.single_images == Counts(0, 1, 0)


def test_without_odometry_its_scale_is_left_aside():
    aided = replace(POLICY, aided=replace(SINGLE, bias=9.0))

    counts = count_accepted([[candidate(Label.RIGHT, UNSURE, odometry=1.0)]], aided)

    assert counts.with_odometry == Counts(1, 1, 0)
    assert counts.without_odometry == Counts(0, 1, 0)


def test_what_a_recording_lacks_is_told_from_nothing_accepted():
    photographs = [[LabelledCandidate({"inliers": SURE, "margin": 1.0}, Label.RIGHT)]]

    assert count_accepted(photographs, POLICY) == AcceptedCounts(None, None, Counts(1, 1, 0))


def test_a_policy_without_a_part_for_single_images_judges_them_itself():
    assert count_accepted([[candidate(Label.RIGHT, SURE)]], replace(POLICY, lone=None)).single_images == Counts(1, 1, 0)


def test_the_table_has_a_row_a_recording_and_sums_by_use():
    walk = [[candidate(Label.RIGHT, SURE)], [candidate(Label.WRONG, SURE)]]
    photographs = [[LabelledCandidate({"inliers": SURE, "margin": 1.0}, Label.RIGHT)]]
    found = [("walk", "fitted", walk), ("photographs", "fitted", photographs), ("more", "held out", photographs)]

    table = accepted_table(found, POLICY).splitlines()

    assert "| walk | fitted |  | 1 of 1, 1 | 1 of 1, 1 |" in table
    assert "| all fitted | fitted |  | 1 of 1, 1 | 2 of 2, 1 |" in table
    assert "| all held out | held out |  |  | 1 of 1, 0 |" in table
