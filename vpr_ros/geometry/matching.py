"""Which keypoints of two images look alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpr_ros.geometry.errors import GeometryError
from vpr_ros.geometry.features import FeatureSet

_ROUNDING = 1e-6  # of a cosine in float32, with room


def match_features(query: FeatureSet, match: FeatureSet, *, ratio: float) -> NDArray[np.int64]:
    """Return the mutual nearest neighbours that pass the ratio test from both sides.

    Descriptors are compared as RootSIFT (Arandjelovic and Zisserman 2012): the Hellinger distance of histograms.
    Asking both sides makes the result the same, whichever image is called the query.

    Args:
        query: Features of one image.
        match: Features of the other image, of the same extractor.
        ratio: Largest distance to the nearest over that to the second nearest.

    Returns:
        Index in the query, index in the match, shape (n, 2), int64.

    Raises:
        GeometryError: The features were found by two different extractors.
    """
    if query.extractor != match.extractor or query.descriptors.shape[1] != match.descriptors.shape[1]:
        raise GeometryError(
            f"features of '{query.extractor}' ({query.descriptors.shape[1]}) can't be compared with those of "
            f"'{match.extractor}' ({match.descriptors.shape[1]}); use the extractor the map was made with"
        )
    if min(len(query), len(match)) < 2:
        return np.zeros((0, 2), np.int64)
    cosines = _root(query.descriptors) @ _root(match.descriptors).T
    to_match, is_distinct = _nearest(cosines, ratio)
    to_query, is_distinct_back = _nearest(np.ascontiguousarray(cosines.T), ratio)  # rows are faster than columns
    rows = np.arange(len(query))
    passes = (to_query[to_match] == rows) & is_distinct & is_distinct_back[to_match]
    return np.stack((rows[passes], to_match[passes]), axis=1).astype(np.int64)


def _root(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    histograms = descriptors.astype(np.float32)
    histograms /= np.maximum(histograms.sum(axis=1, keepdims=True), 1)
    rooted: NDArray[np.float32] = np.sqrt(histograms)
    return rooted


def _nearest(cosines: NDArray[np.float32], ratio: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the nearest of each row, and whether it is that much nearer than the second nearest."""
    rows = np.arange(len(cosines))
    nearest = cosines.argmax(axis=1)
    others = cosines.copy()
    others[rows, nearest] = -1
    # The squared distance of unit vectors is 2 - 2 cos. Equal descriptors differ by rounding, on some processors.
    is_distinct: NDArray[np.bool_] = 1 - cosines[rows, nearest] + _ROUNDING < ratio**2 * (1 - others.max(axis=1))
    return nearest, is_distinct
