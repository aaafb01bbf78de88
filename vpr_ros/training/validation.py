"""How well places are found after an epoch, on places that were not learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.scoring import PairLabel, RetrievalFigures, Truth, score_retrieval
from vpr_ros.training.datasets.views import DataSet, Role
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.pool import PLAIN, ViewPool

RENDERINGS = 2  # the plain one, which is searched, and a varied one, which asks
_VARIED = PLAIN + 1
_DEPTH = 50

# From views and renderings to descriptors (m, dim) and positions of those that could be read (m,).
Describe = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class SetFigures:
    """How well places of one data set are found.

    Attributes:
        name: Of the data set.
        queries: Queries with a right place in the database.
        database: Views that are searched.
        recall_at: Share of queries with a right place among the best k, by k.
        recall_at_100_precision: Largest share that one threshold answers without an error.
    """

    name: str
    queries: int
    database: int
    recall_at: dict[int, float]
    recall_at_100_precision: float

    @property
    def score(self) -> float:
        """Mean of recall at 1 and recall at 100 % precision: the right place first, and surely so."""
        return (self.recall_at[1] + self.recall_at_100_precision) / 2


class ViewTruth(Truth):
    """Which views of one data set are one place. A view is no answer to itself, unless its place has no other."""

    about = "Places and poses of the validation views."

    def __init__(self, data: DataSet) -> None:
        """Take the data set whose rows are the frames."""
        self._data = data
        _, site, counts = np.unique(data.table.site, return_inverse=True, return_counts=True)
        self._is_alone = data.self_supervised & (counts[site] == 1)

    def labels(self, queries: NDArray[np.int64], matches: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the ``PairLabel`` of each pair of rows."""
        labels = self._data.rule.labels(self._data.table, queries, matches)
        is_itself = (queries == matches) & ~self._is_alone[queries]
        return np.where(is_itself, PairLabel.IGNORED, labels).astype(np.int8)


def refuse_unaskable(data: DataSet) -> None:
    """Check that a validation set has views that ask and views that are searched.

    Raises:
        TrainingError: It lacks either.
    """
    role = data.table.role
    asking, searched = int((role != Role.DATABASE).sum()), int((role != Role.QUERY).sum())
    if not asking or not searched:
        raise TrainingError(
            f"'{data.name}' in data.validation has {asking} views that ask and {searched} that are searched, expected "
            "both: give the folder above 'database' and 'queries', or leave it out"
        )


def validate(pool: ViewPool, describe: Describe) -> list[SetFigures]:
    """Return the figures of each data set of a pool: varied views ask, plain ones are searched.

    Views that are queries by role (another drive, another folder) ask as they are.

    Raises:
        TrainingError: A data set has no query with a right place among the views that could be read.
    """
    return [_figures(data, int(first), describe) for data, first in zip(pool.sets, pool.offsets, strict=False)]


def _figures(data: DataSet, offset: int, describe: Describe) -> SetFigures:
    role = data.table.role
    database, places = _described(np.flatnonzero(role != Role.QUERY), offset, PLAIN, describe)
    queries, asked = _described(np.flatnonzero(role != Role.DATABASE), offset, None, describe, role)
    similarities = asked @ places.T
    depth = min(_DEPTH, len(database))
    best = np.argsort(-similarities, axis=1, kind="stable")[:, :depth]
    ranked = np.take_along_axis(similarities, best, axis=1).astype(np.float64)
    return _told(data, score_retrieval(queries, database[best], ranked, database, ViewTruth(data)), len(database))


def _described(
    rows: NDArray[np.int64],
    offset: int,
    rendering: int | None,
    describe: Describe,
    role: NDArray[np.int8] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return rows that could be read and their descriptors; without a rendering, the one that their role asks for."""
    if rendering is None:
        assert role is not None
        renderings = np.where(role[rows] == Role.QUERY, PLAIN, _VARIED)
    else:
        renderings = np.full(len(rows), rendering)
    descriptors, read = describe(rows + offset, renderings.astype(np.int64))
    return rows[read], descriptors


def _told(data: DataSet, figures: RetrievalFigures, database: int) -> SetFigures:
    if not figures.queries:
        raise TrainingError(
            f"in '{data.name}' of data.validation no view that could be read has its place among the {database} that "
            "are searched; expected some, or nothing is judged: check the images and the radii"
        )
    return SetFigures(
        name=data.name,
        queries=figures.queries,
        database=database,
        recall_at={depth: recall or 0.0 for depth, recall in figures.recall_at.items()},
        recall_at_100_precision=figures.recall_at_100_precision or 0.0,
    )
