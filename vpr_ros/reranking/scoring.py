"""How well the matched patches of two images agree in where they lie: rapid spatial scoring, and RANSAC.

Scores belong to the pair alone. The authors' code ranks by z-scores over the list of candidates, which says nothing
about a single pair and is NaN where all candidates score alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.reranking.descriptors import PatchDescriptors, PatchScale, check_comparable
from vpr_ros.reranking.matching import mutual_matches
from vpr_ros.reranking.vocabulary import PUBLISHED_WEIGHTS

# The authors' positions of patches in the image: VGG16's stride, and its first centre cut to an integer.
_STRIDE_PX = 16
_FIRST_CENTRE_PX = 7
# The authors' reprojection threshold: one and a half patches.
_RANSAC_THRESHOLD_PX = 1.5 * _STRIDE_PX
_LEAST_FOR_HOMOGRAPHY = 4


@dataclass(frozen=True, slots=True, eq=False)
class ScaleScore:
    """What one window size says of a pair of images.

    Attributes:
        query: The windows of the query.
        match: The windows of the match.
        query_patches: Index of each matched patch in ``query.vectors``, shape (pairs,), int64.
        match_patches: Its partner in ``match.vectors``.
        published: The authors' number: for spatial scoring in [0, bound], for RANSAC in [0, 1].
        score: The same as a share of what the pair could reach, in [0, 1].
        agreeing: Which pairs agree with the whole, shape (pairs,), bool: RANSAC's inliers, or the pairs within a
            window's side of the mean shift.
    """

    query: PatchScale
    match: PatchScale
    query_patches: NDArray[np.int64]
    match_patches: NDArray[np.int64]
    published: float
    score: float
    agreeing: NDArray[np.bool_]

    @property
    def mutual(self) -> int:
        """Number of matched pairs."""
        return len(self.query_patches)


@dataclass(frozen=True, slots=True, eq=False)
class PairScore:
    """What all window sizes say of a pair of images.

    Attributes:
        score: Fused over the sizes, in [0, 1]; larger is more alike. Comparable between pairs and lists.
        published: The authors' numbers, weighted and added: what their ``match_two`` prints.
        scales: One a window size.
    """

    score: float
    published: float
    scales: tuple[ScaleScore, ...]

    @property
    def mutual_counts(self) -> tuple[int, ...]:
        """Matched pairs of each window size."""
        return tuple(scale.mutual for scale in self.scales)


def spatial_score(
    query: PatchDescriptors, match: PatchDescriptors, window_weights: Mapping[int, float] = PUBLISHED_WEIGHTS
) -> PairScore:
    """Score a pair of images by rapid spatial scoring (Hausler et al. 2021, section 3.4.2).

    Args:
        query: Patch descriptors of the image that asks.
        match: Of the place it may show again.
        window_weights: Weight of each window size, as the vocabulary says.

    Raises:
        RerankingError: Descriptors of different vocabularies or window sizes.
    """
    check_comparable(query, match)
    return _fused([_spatial(*scales) for scales in zip(query.scales, match.scales, strict=True)], window_weights)


def ransac_score(
    query: PatchDescriptors, match: PatchDescriptors, window_weights: Mapping[int, float] = PUBLISHED_WEIGHTS
) -> PairScore:
    """Score a pair of images by the share of patches that one homography explains (section 3.4.1).

    The homography goes from match to query; the other way round the score is another. Arguments as for
    :func:`spatial_score`.

    Raises:
        RerankingError: Descriptors of different vocabularies or window sizes.
    """
    check_comparable(query, match)
    return _fused([_ransac(*scales) for scales in zip(query.scales, match.scales, strict=True)], window_weights)


def _fused(scales: list[ScaleScore], window_weights: Mapping[int, float]) -> PairScore:
    weights = [window_weights.get(scale.query.size, 1.0) for scale in scales]
    published = sum(weight * scale.published for weight, scale in zip(weights, scales, strict=True))
    score = sum(weight * scale.score for weight, scale in zip(weights, scales, strict=True)) / sum(weights)
    return PairScore(score, published, tuple(scales))


def _spatial(query: PatchScale, match: PatchScale) -> ScaleScore:
    match_patches, query_patches = mutual_matches(query.vectors, match.vectors)
    shifts = match.grid(match_patches) - query.grid(query_patches)
    extent = np.maximum((query.columns, query.rows), (match.columns, match.rows)) - 1
    residuals = np.abs(shifts - shifts.mean(axis=0)) if len(shifts) else np.empty((0, 2))
    patches = len(query.vectors)
    published = float(np.square(extent - residuals).sum()) / patches
    # A residual beyond the extent must not count like one within it, as its square does in the authors' number.
    clamped = float(np.square(np.maximum(extent - residuals, 0)).sum()) / patches
    bound = max(float(np.square(extent).sum()), 1.0)
    agreeing = residuals.max(axis=1, initial=0) <= query.size
    return ScaleScore(query, match, query_patches, match_patches, published, min(clamped / bound, 1.0), agreeing)


def _ransac(query: PatchScale, match: PatchScale) -> ScaleScore:
    match_patches, query_patches = mutual_matches(query.vectors, match.vectors)
    inliers = np.zeros(len(match_patches), dtype=bool)
    if len(match_patches) >= _LEAST_FOR_HOMOGRAPHY:
        source, target = _centres_px(match, match_patches), _centres_px(query, query_patches)
        homography, mask = cv2.findHomography(source, target, cv2.RANSAC, _RANSAC_THRESHOLD_PX)
        if homography is not None:
            inliers = mask.ravel() == 1
    share = float(inliers.sum()) / len(query.vectors)
    return ScaleScore(query, match, query_patches, match_patches, share, min(share, 1.0), inliers)


def _centres_px(scale: PatchScale, patches: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return where the authors place patches in the encoder's input, shape (n, 2)."""
    first = _FIRST_CENTRE_PX + _STRIDE_PX // 2 * (scale.size - 1)
    return (first + _STRIDE_PX * scale.grid(patches)).astype(np.float64)
