"""The figures of plain retrieval: how often, how high and how surely the right place is ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.scoring.truth import PairLabel, Truth, with_revisit

DEPTHS = (1, 5, 10)
_NO_MATCH = -1


@dataclass(frozen=True, slots=True)
class RetrievalFigures:
    """What truth says of ranked answers. None stands where no query has an answer.

    Attributes:
        queries: Queries for which the database holds a right place.
        recall_at: For each k in ``DEPTHS``, the share of them with a right place among the best k.
        recall_at_100_precision: The largest share of them that one threshold on similarity answers without an error.
        average_precision: Area under the curve of precision over recall, as that threshold falls.
    """

    queries: int
    recall_at: Mapping[int, float | None]
    recall_at_100_precision: float | None
    average_precision: float | None


def score_retrieval(
    queries: NDArray[np.int64],
    matches: NDArray[np.int64],
    similarities: NDArray[np.float64],
    database: NDArray[np.int64],
    truth: Truth,
    *,
    only_earlier: bool = False,
) -> RetrievalFigures:
    """Return the figures of ranked answers (Schubert et al. 2023, "Visual Place Recognition: A Tutorial", section 5).

    Matches that truth leaves open are taken out of the ranking, as Philbin et al. (2007) do with junk images. A query
    without an answer in the database counts against precision when its best match is accepted, never against recall.

    Args:
        queries: Frames that asked, shape (n,).
        matches: Ranked frames of the database, the most similar first, shape (n, k); -1 where there are fewer.
        similarities: Of each match, shape (n, k).
        database: Frames that could be found, shape (m,).
        truth: What is known.
        only_earlier: Queries and database are one sequence, and only places before the query count as answers.
    """
    labels = np.zeros(matches.shape, np.int8)
    ranked = matches != _NO_MATCH
    labels[ranked] = truth.labels(np.broadcast_to(queries[:, None], matches.shape)[ranked], matches[ranked])
    answerable = with_revisit(truth, queries, database, only_earlier=only_earlier)
    count = int(answerable.sum())
    curve = _Curve.of(labels, similarities, count)
    return RetrievalFigures(
        queries=count,
        recall_at={depth: _recall_at(labels[answerable], depth) for depth in DEPTHS},
        recall_at_100_precision=curve.recall_at_100_precision if count else None,
        average_precision=curve.average_precision if count else None,
    )


def _recall_at(labels: NDArray[np.int8], depth: int) -> float | None:
    """Return the share of rows with a right match among the first ``depth`` that are scored."""
    if not len(labels):
        return None
    rank = np.cumsum(labels != PairLabel.IGNORED, axis=1)
    return float(((labels == PairLabel.RIGHT) & (rank <= depth)).any(axis=1).mean())


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    """Precision and recall as the threshold falls, one point a distinct similarity."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @classmethod
    def of(cls, labels: NDArray[np.int8], similarities: NDArray[np.float64], count: int) -> _Curve:
        """Return the curve of each query's best scored match."""
        scored = labels != PairLabel.IGNORED
        has_best = scored.any(axis=1)
        best = np.argmax(scored[has_best], axis=1)[:, None] if scored.size else np.zeros((0, 1), np.int64)
        is_right = np.take_along_axis(labels[has_best], best, axis=1)[:, 0] == PairLabel.RIGHT
        similarity = np.take_along_axis(similarities[has_best], best, axis=1)[:, 0]
        order = np.argsort(-similarity, kind="stable")
        right = np.cumsum(is_right[order])
        # A threshold can't tell equal similarities apart: only the last of them is a point.
        last = np.append(np.diff(similarity[order]) != 0, True)[: len(order)]
        return cls((right / np.arange(1, len(order) + 1))[last], (right / max(count, 1))[last])

    @property
    def recall_at_100_precision(self) -> float:
        """The largest recall without an error."""
        return float(self.recall[self.precision == 1].max(initial=0.0))

    @property
    def average_precision(self) -> float:
        """The sum of each point's precision times the recall it adds."""
        return float((self.precision * np.diff(self.recall, prepend=0.0)).sum())
