"""Which candidates of labelled recordings the policy is fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from vpr_ros.core import Recipe
from vpr_ros.detection import Settings
from vpr_ros.detection.calibration import Label, LabelledCandidate, all_seen, fit_to_queries
from vpr_ros.detection.policy import FIGURES, PolicyError
from vpr_ros.evaluation import calibrate
from vpr_ros.scoring import PairLabel, Truth

RECIPE = Recipe("table", 8, 8, "bilinear", (0, 0, 0), (1, 1, 1), 4, "0" * 64, "none")


class ByCorner(Truth):
    """Frames 40 apart show the same corner of the hand-made square; frame 10 is never judged."""

    about = "made up"

    def labels(self, queries, matches):
        labels = np.where((queries - matches) % 40 == 0, PairLabel.RIGHT, PairLabel.WRONG)
        return np.where(matches == 10, PairLabel.IGNORED, labels).astype(np.int8)


def judged_with(square, *candidates):
    """A recording with a decision a candidate: query, match, and what geometry saw of it."""
    decisions = []
    for query, match, inliers in candidates:
        figures = {} if inliers is None else {**dict.fromkeys(FIGURES, 0.5), "inliers": inliers, "rerank": 0.5}
        decisions.append(replace(square.decision(query, match, accepted=False), figures=figures))
    return square.recording(refused=decisions), ByCorner()


def test_a_query_counts_once_with_its_best_candidate(square):
    right = judged_with(square, (4, 0, 5.0), (4, 2, 1.0), (7, 3, 5.0))
    wrong = judged_with(square, (4, 2, 1.5), (4, 3, 1.0), (6, 0, 1.5))

    outcome = calibrate([right] * 15 + [wrong] * 15, RECIPE, "square")

    assert (outcome.right, outcome.wrong) == (30, 30)
    assert outcome.policy.weights["inliers"] > 0
    assert sum(bin_.count for bin_ in outcome.bins) == 60
    assert outcome.reachable_precision == pytest.approx(30.5 / 31)


def test_pairs_that_truth_does_not_judge_or_that_were_not_looked_at_or_lie_in_another_session_count_nowhere(square):
    sound = judged_with(square, (4, 0, 5.0), (6, 0, 1.0))
    grey, unseen, elsewhere = (judged_with(square, pair) for pair in ((5, 1, 9.0), (4, 0, None), (4, 99, 9.0)))

    outcome = calibrate([sound] * 20 + [grey, unseen, elsewhere] * 20, RECIPE, "square")

    assert (outcome.right, outcome.wrong) == (20, 20)


def test_recordings_without_returns_are_too_few_pairs(square):
    with pytest.raises(PolicyError, match="0 right and 1 wrong"):
        calibrate([judged_with(square, (6, 0, 1.0))], RECIPE, "square")
    with pytest.raises(PolicyError, match="0 right and 0 wrong"):
        calibrate([], RECIPE, "nothing")


def test_with_open_eyes_no_stage_refuses_for_what_a_pair_looks_like():
    """Each threshold stands at the least that its figure can be; the rest of the settings stays the user's."""
    open_eyes = all_seen(Settings.from_values({"top_k": 3, "min_similarity": 0.9})).thresholds

    assert (open_eyes.min_similarity, open_eyes.min_margin, open_eyes.min_support) == (-1, -2, 0)
    assert (open_eyes.min_rerank_score, open_eyes.min_inliers, open_eyes.min_sequence_margin) == (0, 0, -1)
    assert open_eyes.top_k == 3


def test_what_odometry_allows_is_fitted_on_its_own(square):
    def judged(figures_of):
        decisions = []
        for query, match, inliers, allowed in ((4, 0, 5.0, 1.0), (6, 0, 4.0, 0.0), (7, 3, 3.0, 1.0), (5, 0, 1.0, 1.0)):
            seen = {**dict.fromkeys(FIGURES, 0.5), "inliers": inliers, **figures_of(allowed)}
            decisions.append(replace(square.decision(query, match, accepted=False), figures=seen))
        return square.recording(refused=decisions), ByCorner()

    with_odometry = calibrate([judged(lambda allowed: {"odometry": allowed})] * 20, RECIPE, "square").policy
    without = calibrate([judged(lambda _: {})] * 20, RECIPE, "square").policy

    seen = {**dict.fromkeys(FIGURES, 0.5), "inliers": 4.0}
    assert without.aided is None
    assert with_odometry.probability(seen) == pytest.approx(without.probability(seen))
    assert with_odometry.probability({**seen, "odometry": 1.0}) > with_odometry.probability(seen)


def test_single_images_are_judged_by_looks_alone_and_learn_from_look_alikes_of_other_recordings_too(square):
    """Neighbours tell the two kinds apart here, looks of the second recording do not."""

    def queries(inliers_of_wrong, right=20, wrong=20):
        looks = dict.fromkeys(FIGURES, 0.5)
        return [[LabelledCandidate({**looks, "inliers": 4.0, "support": 0.9}, Label.RIGHT)]] * right + [
            [LabelledCandidate({**looks, "inliers": inliers_of_wrong, "support": 0.1}, Label.WRONG)]
        ] * wrong

    by_itself, _ = fit_to_queries(queries(1.0), RECIPE, "square")
    look_alikes = queries(4.0, right=0, wrong=40)
    warned, _ = fit_to_queries(queries(1.0), RECIPE, "square", look_alikes)

    looks = {**dict.fromkeys(FIGURES, 0.5), "inliers": 4.0}
    assert by_itself.lone.weights["support"] == by_itself.lone.weights["sequence"] == 0
    assert warned.lone.probability(looks) < by_itself.lone.probability(looks)
    assert warned.probability(looks) == by_itself.probability(looks), "not where neighbours speak"


def test_look_alikes_of_other_recordings_say_what_odometry_is_worth(square):
    def queries(inliers_of_wrong):
        figures = dict.fromkeys(FIGURES, 0.5) | {"odometry": 1.0}
        right = [[LabelledCandidate({**figures, "inliers": 4.0}, Label.RIGHT)]] * 20
        return [*right, *[[LabelledCandidate({**figures, "inliers": inliers_of_wrong}, Label.WRONG)]] * 20]

    without, _ = fit_to_queries(queries(1.0), RECIPE, "square")
    warned, _ = fit_to_queries(queries(1.0), RECIPE, "square", queries(4.0))

    allowed = {**dict.fromkeys(FIGURES, 0.5), "inliers": 4.0, "odometry": 1.0}
    assert warned.probability(allowed) < without.probability(allowed)
