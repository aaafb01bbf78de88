"""Fitting the policy to labelled pairs whose truth is known because it was made up."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, street

from vpr_ros.detection.calibration import (
    LabelledPairs,
    accepted_precision,
    fit_policy,
    isotonic_curve,
    reliability,
)
from vpr_ros.detection.policy import FIGURES, Policy, PolicyError

RECIPE = World(street(3)).recipe


def pairs_by_law(count=4000, seed=0, **law):
    """Pairs whose labels are drawn with log-odds ``bias + weight * figure``; every figure is there."""
    randomness = np.random.default_rng(seed)
    bias = law.pop("bias", 0.0)
    columns = {name: randomness.normal(0.0, 1.0, count) for name in FIGURES}
    log_odds = bias + sum(weight * columns[name] for name, weight in law.items())
    is_same_place = randomness.random(count) < 1 / (1 + np.exp(-log_odds))
    figures = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return LabelledPairs(figures, is_same_place)


def test_the_weights_that_made_the_labels_are_found_again():
    policy = fit_policy(pairs_by_law(bias=-0.5, similarity=1.5, inliers=2.0), RECIPE, "made up")

    assert policy.bias == pytest.approx(-0.5, abs=0.15)
    assert policy.weights["similarity"] == pytest.approx(1.5, rel=0.15)
    assert policy.weights["inliers"] == pytest.approx(2.0, rel=0.15)
    others = {name: weight for name, weight in policy.weights.items() if name not in ("similarity", "inliers")}
    assert max(others.values()) < 0.15
    assert policy.encoder_sha256 == RECIPE.weights_sha256


def test_the_scale_of_a_figure_does_not_matter():
    pairs = pairs_by_law(margin=1.0, coverage=1.0)
    small = LabelledPairs([{**seen, "margin": seen["margin"] / 1000} for seen in pairs.figures], pairs.is_same_place)

    one, other = fit_policy(pairs, RECIPE, "one"), fit_policy(small, RECIPE, "other")

    assert other.weights["margin"] == pytest.approx(1000 * one.weights["margin"], rel=1e-3)
    assert other.weights["coverage"] == pytest.approx(one.weights["coverage"], rel=1e-3)


def test_no_figure_speaks_against_a_pair_for_being_larger():
    policy = fit_policy(pairs_by_law(similarity=-2.0, rerank=1.5), RECIPE, "made up")

    assert policy.weights["similarity"] == 0
    assert min(policy.weights.values()) >= 0
    assert policy.weights["rerank"] > 0.5


def test_labels_that_separate_perfectly_give_finite_weights():
    figures = [{**dict.fromkeys(FIGURES, 0.0), "inliers": float(right)} for right in (0, 1) * 40]
    policy = fit_policy(LabelledPairs(figures, np.array([False, True] * 40)), RECIPE, "made up")

    assert policy.probability(figures[1]) > 0.95 > 0.05 > policy.probability(figures[0])
    assert max(policy.weights.values()) < 100


def test_the_policy_knows_what_it_loses_where_a_stage_did_not_run():
    pairs = pairs_by_law(bias=-2.0, inliers=3.0, similarity=1.0)
    policy = fit_policy(pairs, RECIPE, "made up")
    without = [{k: v for k, v in seen.items() if FIGURES[k] != "geometry"} for seen in pairs.figures]

    said = np.mean([1 / (1 + np.exp(-policy.log_odds(seen))) for seen in without])

    assert said == pytest.approx(pairs.is_same_place.mean(), abs=0.05), "on average right, though it sees less"


def test_what_is_said_is_what_is_true_on_pairs_it_never_saw():
    policy = fit_policy(pairs_by_law(seed=1, bias=-0.5, similarity=1.5, inliers=2.0), RECIPE, "made up")
    unseen = pairs_by_law(seed=2, bias=-0.5, similarity=1.5, inliers=2.0)

    for bin_ in reliability(policy, unseen):
        if bin_.count >= 100:
            assert bin_.said == pytest.approx(bin_.true, abs=0.1)


def test_the_bins_hold_every_pair_once_and_their_means_are_the_whole():
    policy = Policy("steep", bias=0.0, weights={"margin": 3.0})
    pairs = pairs_by_law(count=500, margin=1.0)

    bins = reliability(policy, pairs)

    counts = np.array([bin_.count for bin_ in bins])
    said = [policy.probability(seen) for seen in pairs.figures]
    assert counts.sum() == 500
    assert counts @ [bin_.said for bin_ in bins] / 500 == pytest.approx(np.mean(said))
    assert counts @ [bin_.true for bin_ in bins] / 500 == pytest.approx(pairs.is_same_place.mean())
    assert all(a.said < b.said for a, b in pairwise(bins))


def test_certainty_falls_into_the_last_bin_and_empty_bins_are_left_out():
    certain = Policy("certain", bias=0.0, weights={}, curve=((0.0, 1.0),))
    (only,) = reliability(certain, LabelledPairs([{}, {}], np.array([True, False])))

    assert (only.count, only.said, only.true) == (2, 1.0, 0.5)


@pytest.mark.parametrize(("right", "wrong"), [(0, 0), (19, 500), (500, 19), (40, 0)])
def test_too_few_pairs_of_a_kind_are_refused_with_what_there_is(right, wrong):
    labels = np.array([True] * right + [False] * wrong, np.bool_)
    pairs = LabelledPairs([dict.fromkeys(FIGURES, 1.0)] * len(labels), labels)

    with pytest.raises(PolicyError, match=f"{right} right and {wrong} wrong pairs.*expected 20 of each"):
        fit_policy(pairs, RECIPE, "short")


def test_pairs_are_pooled_until_the_share_of_right_ones_ascends():
    """By hand: the two in the middle violate the order and are pooled at (1 + 1/2) / (2 + 1)."""
    curve = isotonic_curve(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, True, False, True]))

    assert curve == ((-2.0, 0.25), (-1.0, 0.5), (1.0, 0.5), (2.0, 0.75))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=200))
def test_every_curve_ascends_and_is_never_certain(pairs):
    curve = isotonic_curve(np.array([x for x, _ in pairs]), np.array([right for _, right in pairs]))

    policy = Policy("accepts its own curve", bias=0.0, weights={}, curve=curve)
    probabilities = [p for _, p in policy.curve]
    assert probabilities == sorted(probabilities)
    assert 0 < min(probabilities) <= max(probabilities) < 1


def pairs_said(*said_and_right):
    """Pairs to which the policy beside them gives a known probability."""
    policy = Policy("identity", bias=0.0, weights={"margin": 1.0}, curve=((0.0, 0.0), (1.0, 1.0)))
    figures = [{"margin": said} for said, _ in said_and_right]
    return policy, LabelledPairs(figures, np.array([right for _, right in said_and_right]))


def test_the_precision_of_what_is_accepted_is_the_share_of_right_ones_above():
    """By hand: (4 + 1/2) / (5 + 1) from 0.55 on, no more from 0.6 on, (3 + 1/2) / (3 + 1) from 0.7 on."""
    policy, pairs = pairs_said((0.55, True), (0.6, False), (0.7, True), (0.8, True), (0.9, True), (0.1, False))

    np.testing.assert_allclose(accepted_precision(policy, pairs), ((0.55, 4.5 / 6), (0.7, 3.5 / 4)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=150), st.floats(0.5, 0.999))
def test_what_a_fitted_threshold_accepts_is_as_precise_as_was_asked(said_and_right, target):
    policy, pairs = pairs_said(*said_and_right)
    accepted = accepted_precision(policy, pairs)

    measured = replace(policy, accepted=accepted)
    if any(precision >= target for _, precision in accepted):
        said = np.array([policy.probability(figures) for figures in pairs.figures])
        assert pairs.is_same_place[said >= measured.threshold(target, {})].mean() >= target


def test_too_few_right_pairs_vouch_for_no_high_precision():
    policy, pairs = pairs_said(*[(0.9, True)] * 44)
    assert accepted_precision(policy, pairs) == ((0.9, 44.5 / 45),)
