"""Layers that are fitted to data and not trained: NetVLAD's clusters before, principal axes after the training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vpr_ros.encoders.models.gem import unit_length
from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.encoders.models.vgg16_netvlad import NetVlad
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.fit_reranker import k_means

# Share of the second-best cluster at the mean gap between the best two (Arandjelović et al. 2016, their code).
_SECOND_SHARE = 0.01
_ROUNDS = 50
_SMALLEST_VARIANCE = 1e-9
_SHORTEST_PART = 1e-5  # of parts that are at most of length 1 and computed in float32


def fit_clusters(pool: NetVlad, feature_maps: torch.Tensor, positions: int, rng: np.random.Generator) -> None:
    """Set NetVLAD's centroids to clusters of a map's positions, and its assignment to go with them.

    Args:
        pool: Is changed.
        feature_maps: Of different places, shape (n, channels, rows, columns).
        positions: How many are drawn.
        rng: Draws them.

    Raises:
        TrainingError: There are too few positions.
    """
    unit = unit_length(feature_maps.float()).permute(0, 2, 3, 1).flatten(0, 2).cpu().numpy()
    clusters = len(pool.centroids)
    if len(unit) < 10 * clusters:
        raise TrainingError(
            f"{len(unit)} positions of maps are too few for {clusters} clusters, expected at least 10 a cluster; give "
            "more images"
        )
    drawn = unit[rng.permutation(len(unit))[:positions]]
    centroids = k_means(drawn, clusters, _ROUNDS, rng)
    directions = centroids / np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    ranked = np.sort(drawn @ directions.T, axis=1)
    gap = float((ranked[:, -1] - ranked[:, -2]).mean()) if clusters > 1 else 1.0
    sharpness = -math.log(_SECOND_SHARE) / max(gap, 1e-6)
    with torch.no_grad():
        pool.centroids.copy_(torch.from_numpy(centroids))
        pool.conv.weight.copy_(torch.from_numpy(sharpness * directions)[:, :, None, None])


def refuse_too_many_axes(axes: int, *, views: int, length: int) -> None:
    """Check that descriptors of training views can have that many principal axes.

    Args:
        axes: How many are wanted.
        views: How many descriptors there are.
        length: Values of each.

    Raises:
        TrainingError: They can't.
    """
    most = min(views - 1, length)
    if axes > most:
        raise TrainingError(
            f"projection.dim is {axes}, expected at most {most}: there are {views} training views of {length} values; "
            "take fewer axes or more views"
        )


def fit_axes(network: PlaceNetwork, descriptors: NDArray[np.float32]) -> None:
    """Set the projection to the principal axes of descriptors, and use it from now on.

    Args:
        network: Its projection is changed.
        descriptors: Joined heads of training views, shape (n, joined dim).

    Raises:
        TrainingError: There are fewer descriptors than axes, or fewer values than axes.
    """
    projection, spec = network.projection, network.spec.projection
    assert isinstance(projection, nn.Linear)
    count, length = descriptors.shape
    refuse_too_many_axes(spec.dim, views=count, length=length)
    mean = descriptors.mean(axis=0, dtype=np.float64)
    covariance = (descriptors.T @ descriptors).astype(np.float64) / count - np.outer(mean, mean)
    variances, rotation = _strongest_axes(covariance, spec.dim)
    if spec.whitened:
        rotation /= np.sqrt(np.maximum(variances, _SMALLEST_VARIANCE))[:, np.newaxis]
    with torch.no_grad():
        projection.weight.copy_(torch.from_numpy(rotation))
        projection.bias.copy_(torch.from_numpy(-rotation @ mean))
    network.is_projecting = True


def join_beside(
    network: PlaceNetwork, joined: NDArray[np.float32], lengths: Sequence[float], *, centered: bool = False
) -> None:
    """Join parts of heads to what a trained projection gives, and turn both to their strongest axes.

    The result is one linear map again. It takes the projected vectors, and what is centered, as equally long, which
    they are within some per cent, and keeps the cosines between views: the axes are those of the second moment, about
    zero and not the mean.

    Args:
        network: Its projection is ``linear``; is changed.
        joined: Joined heads of training views, shape (n, joined dim), unit length.
        lengths: Of each head's part beside a projected vector of length 1; 0 leaves it out.
        centered: Whether the projected vector and each part are taken less their means, at those usual lengths.
    """
    projection = network.projection
    assert isinstance(projection, nn.Linear)
    weight = projection.weight.detach().cpu().numpy().astype(np.float64)
    bias = projection.bias.detach().cpu().numpy().astype(np.float64)
    blocks = [_of_usual_length(joined, weight, bias, 1, centered=centered)]
    ends = np.cumsum(network.part_dims)
    for end, dim, length in zip(ends, network.part_dims, lengths, strict=True):
        if length:
            part = np.eye(network.joined_dim)[end - dim : end]
            blocks.append(_of_usual_length(joined, part, np.zeros(dim), length, centered=centered))
    matrix, offset = (np.concatenate(each) for each in zip(*blocks, strict=True))
    both = joined @ matrix.T + offset
    _, rotation = _strongest_axes(both.T @ both / len(both), projection.out_features)
    with torch.no_grad():
        projection.weight.copy_(torch.from_numpy(rotation @ matrix))
        projection.bias.copy_(torch.from_numpy(rotation @ offset))
    network.is_projecting = True


def _of_usual_length(
    joined: NDArray[np.float32],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    length: float,
    *,
    centered: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a linear map scaled so that its results have this length on average, and their mean at zero if asked."""
    given = joined @ matrix.T + offset
    if centered:
        mean = given.mean(axis=0)
        given, offset = given - mean, offset - mean
    usual_length = np.linalg.norm(given, axis=1).mean()
    # What is the same in all views has no length of its own, only rounding, and joins nothing.
    scale = length / usual_length if usual_length > _SHORTEST_PART else 0.0
    return scale * matrix, scale * offset


def _strongest_axes(moment: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues of a symmetric matrix, largest first, and their axes as rows."""
    values, axes = np.linalg.eigh(moment)
    strongest = np.argsort(values)[::-1][:count]
    rotation = axes[:, strongest].T
    # The sign of an axis is arbitrary; fixed, so that the same descriptors give the same weights.
    rotation *= np.sign(rotation[np.arange(len(rotation)), np.abs(rotation).argmax(axis=1)])[:, np.newaxis]
    return values[strongest], rotation
