"""What a policy accepts of labelled queries: the table that a policy's card shows."""

import pytest

from vpr_ros.detection.calibration import Label, LabelledCandidate
from vpr_ros.detection.policy import Policy
from vpr_ros.training.accepted import Accepted, accepted
from vpr_ros.training.fit_policy import Recording, accepted_table

# Log-odds are the inliers' logarithm, and sure from about e^7 inliers.
POLICY = Policy(
    "made up", bias=0.0, weights={"inliers": 1.0}, lone=Policy("single", bias=0.0, weights={"inliers": 1.0})
)
VOUCHED = {"support": 1.0, "sequence": 1.0, "margin": 1.0}


def candidate(label, inliers, **figures):
    return LabelledCandidate({"inliers": inliers, **VOUCHED, **figures}, label)


SURE, UNSURE = 9.0, 4.5


def test_only_the_best_candidate_of_a_query_is_accepted_and_only_where_it_is_sure():
    queries = [
        [candidate(Label.RIGHT, SURE), candidate(Label.WRONG, UNSURE)],
        [candidate(Label.RIGHT, UNSURE)],
        [candidate(Label.RIGHT, SURE), candidate(Label.WRONG, SURE + 1)],
        [candidate(Label.IGNORED, SURE)],
    ]

    _, without, single = accepted(queries, POLICY)

    assert without == Accepted(right=1, revisits=3, wrong=1)
    assert single == without


def test_what_odometry_forbids_is_no_candidate_with_it_and_one_without():
    queries = [[candidate(Label.WRONG, SURE + 1, odometry=0.0), candidate(Label.RIGHT, SURE, odometry=1.0)]]

    with_odometry, without, _ = accepted(queries, POLICY)

    assert with_odometry == Accepted(1, 1, 0)
    assert without == Accepted(0, 1, 1)


@pytest.mark.parametrize("missing", ["support", "sequence"])
def test_without_odometry_neighbours_must_vouch_and_for_a_single_image_its_margin(missing):
    queries = [[candidate(Label.RIGHT, SURE)], [candidate(Label.RIGHT, SURE, **{missing: -1.0})]]
    close = [[candidate(Label.RIGHT, SURE, margin=-0.01)]]

    assert accepted(queries, POLICY)[1] == Accepted(1, 2, 0)
    assert accepted(queries, POLICY)[2] == Accepted(2, 2, 0)
    assert accepted(close, POLICY)[2] == Accepted(0, 1, 0)


def test_what_a_recording_or_policy_lacks_is_told_from_nothing_accepted():
    photographs = [[LabelledCandidate({"inliers": SURE, "margin": 1.0}, Label.RIGHT)]]

    assert accepted(photographs, POLICY) == (None, None, Accepted(1, 1, 0))
    assert accepted(photographs, Policy("no part for single images", bias=0.0, weights={})) == (None, None, None)


def test_the_table_has_a_row_a_recording_and_sums_by_use():
    walk = [[candidate(Label.RIGHT, SURE)], [candidate(Label.WRONG, SURE)]]
    found = [(Recording(name, "fitted", list), walk) for name in ("walk", "tour")]

    table = accepted_table([*found, (Recording("none", "held out", list), [])], POLICY).splitlines()

    assert "| walk | fitted |  | 1 of 1, 1 | 1 of 1, 1 |" in table
    assert "| all | fitted | 0 of 0, 0 | 2 of 2, 2 | 2 of 2, 2 |" in table
    assert "| none | held out |  |  | 0 of 0, 0 |" in table
