"""Truth: what is known of which frames show the same place, whoever said so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import VprError

_PAIRS_AT_ONCE = 1 << 20  # bounds the memory of asking for all pairs of a long recording


class TruthError(VprError):
    """A truth file that can't be read, or that does not fit the recording."""


class PairLabel(IntEnum):
    """What truth says of a pair of frames."""

    WRONG = -1
    IGNORED = 0  # ambiguous, grey, too close in time, or without truth: counts neither way
    RIGHT = 1


class Truth(ABC):
    """Says of pairs of frames whether they show the same place.

    Frames are 0-based positions in their source. Queries and matches may come from two sources, such as the two folders
    of a retrieval benchmark, or from one.

    Attributes:
        about: Where it comes from and what counts as right, one sentence for people.
    """

    about: str

    @abstractmethod
    def labels(self, queries: NDArray[np.int64], matches: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the ``PairLabel`` of each pair; the two arrays are broadcast against each other."""

    def label(self, query: int, match: int) -> PairLabel:
        """Return what is known of one pair."""
        return PairLabel(int(self.labels(np.array(query), np.array(match))))

    def has_revisit(self, query: int, candidates: NDArray[np.int64]) -> bool:
        """Say whether any of the candidates is right for a query."""
        return bool((self.labels(np.array(query), candidates) == PairLabel.RIGHT).any())


class ToleranceTruth(Truth):
    """Two recordings of one route, frame by frame in step: the same position is the same place."""

    def __init__(self, tolerance: int) -> None:
        """Take a match within ``tolerance`` frames of the query's own position as right, any other as wrong."""
        if tolerance < 0:
            raise TruthError(f"tolerance is {tolerance} frames, expected 0 or more")
        self.about = f"Both folders are taken to be in step; right is the same position within {tolerance} frames."
        self._tolerance = tolerance

    def labels(self, queries: NDArray[np.int64], matches: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the ``PairLabel`` of each pair."""
        is_right = np.abs(queries - matches) <= self._tolerance
        return np.where(is_right, PairLabel.RIGHT, PairLabel.WRONG).astype(np.int8)


def with_revisit(
    truth: Truth, queries: NDArray[np.int64], candidates: NDArray[np.int64], *, only_earlier: bool
) -> NDArray[np.bool_]:
    """Say for each query whether a candidate is right for it.

    Args:
        truth: Who is asked.
        queries: Frames, shape (n,).
        candidates: Frames, shape (m,).
        only_earlier: Only candidates before the query, in the same source, count.
    """
    found = np.zeros(len(queries), dtype=np.bool_)
    if not len(candidates):
        return found
    step = max(1, _PAIRS_AT_ONCE // len(candidates))
    for start in range(0, len(queries), step):
        some = queries[start : start + step, None]
        is_right = truth.labels(some, candidates[None]) == PairLabel.RIGHT
        if only_earlier:
            is_right &= candidates[None] < some
        found[start : start + step] = is_right.any(axis=1)
    return found
