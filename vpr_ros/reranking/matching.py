"""Which patches of two images are each other's nearest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mutual_matches(
    query: NDArray[np.float32], match: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of rows that are each other's nearest by cosine.

    Among equal cosines the lowest index wins, so that each patch is in one pair at most: a blank wall, whose patches
    all look alike, gives one pair and not hundreds.

    Args:
        query: Unit rows, shape (n, dim), float32.
        match: Unit rows, shape (m, dim), float32.

    Returns:
        Patches of the match in ascending order, and the patch of the query that belongs to each; shape (pairs,).
    """
    cosines = match @ query.T
    nearest_query = cosines.argmax(axis=1)
    reached = cosines[np.arange(len(match)), nearest_query]
    # A pair is mutual where no other patch of the match reaches more at the same patch of the query. Comparing with
    # the columns' maxima spares finding where they lie, the slower half of the work.
    mutual = np.flatnonzero(reached >= cosines.max(axis=0)[nearest_query])
    _, first = np.unique(nearest_query[mutual], return_index=True)
    in_match = mutual[np.sort(first)]
    return in_match, nearest_query[in_match]
