"""Which candidate of a query is its loop."""

import numpy as np
import pytest

from vpr_ros.core import Candidate, Keyframe
from vpr_ros.detection.judgement import Judgement, agrees_better
from vpr_ros.detection.stages import Outcome, Verdict, place_precision


def keyframe(number):
    return Keyframe(id=number, session=0, stamp_ns=number, descriptor=np.eye(4, dtype=np.float32)[0])


def judged(match, outcome=Outcome.PASSED, **figures):
    verdict = Verdict(outcome, 1.0, 0.5, "as the test says", figures)
    return Judgement(Candidate(keyframe(9), keyframe(match), 0.9, 0), (("probability", verdict),))


SURE = judged(1, rerank=0.3, inliers=4.0, coverage=0.3, zoom=0.1)


def test_a_place_that_agrees_better_in_everything_is_the_better_match_even_where_it_was_refused():
    better = judged(2, Outcome.REFUSED, rerank=0.4, inliers=5.0, coverage=0.4, zoom=0.0)

    assert agrees_better(SURE, [SURE, better]) is better
    assert agrees_better(better, [SURE, better]) is None


@pytest.mark.parametrize("worse", [{"rerank": 0.2}, {"inliers": 3.0}, {"coverage": 0.3}, {"zoom": 0.2}])
def test_one_that_agrees_better_only_in_part_changes_nothing(worse):
    partly = judged(2, **{"rerank": 0.4, "inliers": 5.0, "coverage": 0.4, "zoom": 0.0, **worse})

    assert agrees_better(SURE, [SURE, partly]) is None


def test_of_equal_views_the_one_at_the_same_scale_is_the_spot():
    ahead, here = ({"rerank": 0.3, "coverage": 0.3, "zoom": zoom} for zoom in (0.25, 0.02))
    assert place_precision(here) > place_precision(ahead)
    assert place_precision({"similarity": 0.7}) == 0.7, "where nothing else was looked at"


def test_what_geometry_or_patches_did_not_see_can_not_be_compared():
    unseen = judged(2, rerank=0.9)

    assert agrees_better(SURE, [SURE, unseen]) is None
    assert agrees_better(unseen, [SURE, unseen]) is None
