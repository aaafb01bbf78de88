"""Which keypoints of two images look alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpr_ros.geometry.errors import GeometryError
from vpr_ros.geometry.features import FeatureSet


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
    to_match, to_query = cosines.argmax(axis=1), cosines.argmax(axis=0)
    rows = np.arange(len(query))
    passes = (to_query[to_match] == rows) & _distinct(cosines, ratio) & _distinct(cosines.T, ratio)[to_match]
    return np.stack((rows[passes], to_match[passes]), axis=1).astype(np.int64)


def _root(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    histograms = descriptors.astype(np.float32)
    histograms /= np.maximum(histograms.sum(axis=1, keepdims=True), 1)
    rooted: NDArray[np.float32] = np.sqrt(histograms)
    return rooted


def _distinct(cosines: NDArray[np.float32], ratio: float) -> NDArray[np.bool_]:
    """Return for each row whether its best is that much nearer than its second best."""
    second, best = np.partition(cosines, -2, axis=1)[:, -2:].T
    passes: NDArray[np.bool_] = (1 - best) < ratio**2 * (1 - second)
    return passes
