"""From a feature map to a descriptor of each window: VLAD over windows, as in Patch-NetVLAD, section 3.

Means over windows are sums of float32 residuals in two banded matrix products, one an axis. The authors' code takes
them from differences of a float32 integral image, which cancels: where a cluster is nearly empty in a window, the noise
is all that is left, and intra-normalisation lifts it to unit length.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vpr_ros.reranking.descriptors import PatchDescriptors, PatchScale
from vpr_ros.reranking.errors import RerankingError
from vpr_ros.reranking.vocabulary import PatchVocabulary

# torch's normalize, which the authors use: shorter vectors are scaled down and not brought to unit length.
_EPSILON = 1e-12
# A share of a cluster below this changes no descriptor in float32, but would slow every sum as a subnormal number.
_LEAST_SHARE = 1e-30


def describe(feature_map: NDArray[np.float32], vocabulary: PatchVocabulary) -> PatchDescriptors:
    """Describe every window of a feature map, at each of the vocabulary's sizes, stride 1.

    Args:
        feature_map: ``Encoding.feature_map``, shape (channels, rows, columns), float32.
        vocabulary: Made for the encoder that gave the map; ``check_encoder`` says whether it was.

    Raises:
        RerankingError: Another number of channels, a map smaller than the largest window, or NaN.
    """
    _check(feature_map, vocabulary)
    residuals = soft_residuals(feature_map, vocabulary)
    scales = tuple(_describe_scale(residuals, size, vocabulary) for size in vocabulary.window_weights)
    return PatchDescriptors(vocabulary.content_sha256, scales)


def soft_residuals(feature_map: NDArray[np.float32], vocabulary: PatchVocabulary) -> NDArray[np.float32]:
    """Return each position's residual to each cluster times its share of it, shape (rows, columns, clusters, channels).

    NetVLAD (Arandjelović et al., CVPR 2016), equations 1 and 4, before the sum over positions.
    """
    channels, rows, columns = feature_map.shape
    x = _unit_rows(feature_map.reshape(channels, -1).T - vocabulary.mean)
    logits = x @ vocabulary.assignment.T
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[shares < _LEAST_SHARE] = 0
    residuals = x[:, np.newaxis, :] - vocabulary.centroids
    residuals *= shares[:, :, np.newaxis]
    return residuals.reshape(rows, columns, *vocabulary.centroids.shape)


def window_vlads(residuals: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the VLAD of every window of one size, before whitening: unit rows, shape (windows, clusters * channels).

    Args:
        residuals: What :func:`soft_residuals` gives.
        size: Side of a window in positions.
    """
    rows, columns, clusters, channels = residuals.shape
    down, right = rows - size + 1, columns - size + 1
    # One product sums the rows of all columns, the other the columns of each window row.
    bands = _banded(rows, size) @ residuals.reshape(rows, -1)
    windows = np.matmul(_banded(columns, size), bands.reshape(down, columns, -1))
    vlad = windows.reshape(down * right, clusters, channels)
    lengths = np.sqrt(np.einsum("nkc,nkc->nk", vlad, vlad))
    vlad /= np.maximum(lengths, _EPSILON)[:, :, np.newaxis]
    return _unit_rows(vlad.reshape(down * right, -1))


def _describe_scale(residuals: NDArray[np.float32], size: int, vocabulary: PatchVocabulary) -> PatchScale:
    rows, columns = residuals.shape[:2]
    whitened = window_vlads(residuals, size) @ vocabulary.whitening.T
    whitened += vocabulary.bias
    return PatchScale(size, rows - size + 1, columns - size + 1, _unit_rows(whitened))


@lru_cache(maxsize=32)
def _banded(positions: int, size: int) -> NDArray[np.float32]:
    """Return the matrix (windows, positions) that takes the mean of each window along one axis."""
    start = np.arange(positions - size + 1)[:, np.newaxis]
    inside = (np.arange(positions) >= start) & (np.arange(positions) < start + size)
    return np.ascontiguousarray(inside / np.float32(size), dtype=np.float32)


def _unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("nc,nc->n", rows, rows))
    rows /= np.maximum(lengths, _EPSILON)[:, np.newaxis]
    return rows


def _check(feature_map: NDArray[np.float32], vocabulary: PatchVocabulary) -> None:
    if feature_map.ndim != 3 or feature_map.shape[0] != vocabulary.channels:
        raise RerankingError(
            f"feature map has shape {feature_map.shape}, expected ({vocabulary.channels}, rows, columns) as "
            f"'{vocabulary.encoder}' gives; open the vocabulary of the encoder that runs"
        )
    largest = max(vocabulary.window_weights)
    if min(feature_map.shape[1:]) < largest:
        raise RerankingError(
            f"feature map has {feature_map.shape[1]} x {feature_map.shape[2]} positions, the largest window has "
            f"{largest} x {largest}; give the encoder a larger input"
        )
    if not np.isfinite(feature_map).all():
        raise RerankingError("feature map holds NaN or infinite values; check the encoder with 'vpr_ros doctor'")
