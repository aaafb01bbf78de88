"""The figures of plain retrieval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.scoring import RevisitTruth, ToleranceTruth, score_retrieval


def score(rankings, truth, database=range(10), **how):
    """Score lists of (match, similarity), one a query, as deep as they are."""
    depth = max((len(ranking) for ranking in rankings), default=0)
    matches = np.full((len(rankings), depth), -1)
    similarities = np.zeros((len(rankings), depth))
    for row, ranking in enumerate(rankings):
        for column, (match, similarity) in enumerate(ranking):
            matches[row, column], similarities[row, column] = match, similarity
    queries = np.arange(len(rankings))
    return score_retrieval(queries, matches, similarities, np.array(list(database)), truth, **how)


def test_recall_by_hand():
    """Right at rank 1, at rank 3, and nowhere."""
    seen = score(
        [[(0, 0.9), (5, 0.8), (6, 0.7)], [(8, 0.9), (7, 0.8), (1, 0.7)], [(9, 0.6), (8, 0.5), (7, 0.4)]],
        ToleranceTruth(0),
    )
    assert seen.queries == 3
    assert seen.recall_at == {1: 1 / 3, 5: 2 / 3, 10: 2 / 3}


def test_thresholds_by_hand():
    """Best matches from surest to least are right, right, wrong, right: two of four come before an error."""
    seen = score([[(0, 0.9)], [(1, 0.8)], [(7, 0.7)], [(3, 0.6)]], ToleranceTruth(0))

    assert seen.recall_at_100_precision == 2 / 4
    assert seen.average_precision == pytest.approx((1 / 1 + 2 / 2 + 3 / 4) / 4)


def test_a_threshold_can_not_tell_equal_similarities_apart():
    seen = score([[(0, 0.9)], [(7, 0.9)], [(2, 0.5)]], ToleranceTruth(0))
    assert seen.recall_at_100_precision == 0.0
    assert seen.average_precision == pytest.approx((1 / 2 + 2 / 3) / 3)


def test_a_query_without_an_answer_costs_precision_and_no_recall():
    truth = RevisitTruth([(0, 4), (1, 5)])
    seen = score([[(4, 0.8)], [(5, 0.6)], [(6, 0.7)]], truth)

    assert seen.queries == 2
    assert seen.recall_at[1] == 1.0
    assert seen.recall_at_100_precision == 1 / 2
    assert seen.average_precision == pytest.approx((1 + 2 / 3) / 2)


def test_what_truth_leaves_open_is_taken_out_of_the_ranking():
    class GreyFirst(ToleranceTruth):
        def labels(self, queries, matches):
            return np.where(matches == 9, 0, super().labels(queries, matches))

    seen = score([[(9, 0.9), (0, 0.8)], [(9, 0.9), (9, 0.8)]], GreyFirst(0))

    assert seen.recall_at[1] == 1 / 2
    assert seen.recall_at_100_precision == 1 / 2


def test_ignored_queries_are_not_scored():
    seen = score([[(4, 0.8)], [(5, 0.9)]], RevisitTruth([(0, 4)], ignored=[1]))
    assert (seen.queries, seen.recall_at[1], seen.average_precision) == (1, 1.0, 1.0)


def test_in_a_sequence_only_earlier_places_are_answers():
    truth = RevisitTruth([(0, 2), (2, 0)])
    seen = score([[], [(0, 0.3)], [(0, 0.9), (1, 0.2)]], truth, database=range(3), only_earlier=True)
    assert (seen.queries, seen.recall_at[1], seen.recall_at_100_precision) == (1, 1.0, 1.0)


@pytest.mark.parametrize("rankings", [[], [[]], [[(3, 0.5)]]])
def test_without_any_answer_there_is_no_figure(rankings):
    seen = score(rankings, RevisitTruth([]))
    assert seen.queries == 0
    assert set(seen.recall_at.values()) == {None}
    assert (seen.recall_at_100_precision, seen.average_precision) == (None, None)


rankings = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.1, 0.3, 0.5, 0.7])), max_size=12).map(
        lambda ranking: sorted(ranking, key=lambda pair: -pair[1])
    ),
    max_size=8,
)


@given(rankings, st.integers(0, 3))
def test_figures_are_what_sweeping_every_threshold_gives(answers, tolerance):
    truth = ToleranceTruth(tolerance)
    seen = score(answers, truth)
    if not answers:
        return

    best = [(s, truth.label(q, m) == 1) for q, ranking in enumerate(answers) for m, s in ranking[:1]]
    area, recall_before, sure = 0.0, 0.0, 0.0
    for threshold in sorted({s for s, _ in best}, reverse=True):
        accepted = [is_right for s, is_right in best if s >= threshold]
        precision, recall = sum(accepted) / len(accepted), sum(accepted) / len(answers)
        area += precision * (recall - recall_before)
        recall_before = recall
        sure = recall if precision == 1 else sure
    assert seen.average_precision == pytest.approx(area)
    assert seen.recall_at_100_precision == pytest.approx(sure)
    for depth, recall in seen.recall_at.items():
        found = [any(truth.label(q, m) == 1 for m, _ in ranking[:depth]) for q, ranking in enumerate(answers)]
        assert recall == pytest.approx(np.mean(found))
    assert 0 <= seen.recall_at_100_precision <= seen.recall_at[1] <= seen.recall_at[5] <= seen.recall_at[10] <= 1
