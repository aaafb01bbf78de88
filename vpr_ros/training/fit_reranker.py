"""Fitting the re-ranker's clusters and whitening to an encoder's feature maps; nothing here is trained by gradients."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.encoders import Encoder
from vpr_ros.reranking import PatchVocabulary, RerankingError
from vpr_ros.reranking.description import soft_residuals, window_vlads
from vpr_ros.training.datasets.panorama_crop import Look, crop_panorama

# Share of the second-best cluster at the mean gap between the best two (the authors' initialisation).
_SECOND_SHARE = 0.01
_VIEW_HEIGHT, _VIEW_WIDTH = 360, 480
_PANORAMA_FOV_RAD = math.radians(75)


@dataclass(frozen=True, slots=True)
class VocabularySettings:
    """How a vocabulary is fitted; figures of the alternatives are in docs/reranking.md.

    Attributes:
        clusters: NetVLAD's K.
        dim: Values a patch descriptor keeps.
        centred: Whether the mean over all positions is subtracted before they are brought to unit length.
        whitened: Whether the kept directions are brought to equal variance, or only rotated.
        positions: Positions of maps that the clusters are found in.
        windows: Windows that the whitening is found in.
        rounds: Of k-means.
        seed: Of all that is drawn.
    """

    clusters: int = 8
    dim: int = 64
    centred: bool = True
    whitened: bool = False
    positions: int = 50_000
    windows: int = 40_000
    rounds: int = 50
    seed: int = 0


def fit_vocabulary(
    feature_maps: Sequence[NDArray[np.float32]], recipe: Recipe, settings: VocabularySettings | None = None
) -> PatchVocabulary:
    """Fit clusters and whitening to feature maps.

    Args:
        feature_maps: Of many different places, each (channels, rows, columns), float32.
        recipe: Of the encoder that gave them.
        settings: How; None for the shipped vocabulary's.

    Raises:
        RerankingError: Too few maps.
    """
    settings = settings or VocabularySettings()
    rng = np.random.default_rng(settings.seed)
    x = _positions(feature_maps, settings.positions, rng)
    if len(x) < 10 * settings.clusters:
        raise RerankingError(
            f"{len(x)} positions of {len(feature_maps)} maps are too few for {settings.clusters} "
            "clusters; give at least 10 positions a cluster"
        )
    mean = x.mean(axis=0) if settings.centred else np.zeros(x.shape[1], np.float32)
    x = _unit(x - mean)
    centroids = k_means(x, settings.clusters, settings.rounds, rng)
    directions = _unit(centroids)
    ranked = np.sort(x @ directions.T, axis=1)
    sharpness = -math.log(_SECOND_SHARE) / float((ranked[:, -1] - ranked[:, -2]).mean())
    whole = np.eye(1, centroids.size, dtype=np.float32)  # A placeholder: the whitening comes next.
    raw = PatchVocabulary(
        recipe.name, recipe.weights_sha256, mean, sharpness * directions, centroids, whole, np.zeros(1, np.float32)
    )
    whitening, bias = principal_axes(_window_vlads(feature_maps, raw, settings.windows, rng), settings)
    return PatchVocabulary(recipe.name, recipe.weights_sha256, mean, raw.assignment, centroids, whitening, bias)


def k_means(x: NDArray[np.float32], clusters: int, rounds: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return cluster centres (clusters, channels) by Lloyd's rounds, begun at k-means++ seeds; empty ones stay."""
    centres = x[rng.integers(len(x), size=1)]
    distances = np.square(x - centres[0]).sum(axis=1)
    while len(centres) < clusters:
        centres = np.concatenate((centres, x[rng.choice(len(x), size=1, p=distances / distances.sum())]))
        distances = np.minimum(distances, np.square(x - centres[-1]).sum(axis=1))
    for _ in range(rounds):
        nearest = (np.square(centres).sum(1) - 2 * x @ centres.T).argmin(axis=1)
        members = np.eye(clusters, dtype=np.float32)[nearest]
        counts = members.sum(axis=0)[:, np.newaxis]
        centres = np.where(counts > 0, members.T @ x / np.maximum(counts, 1), centres)
    return centres.astype(np.float32)


def principal_axes(
    vlads: NDArray[np.float32], settings: VocabularySettings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the projection (dim, length) on the strongest axes and its bias, which takes the mean away."""
    mean = vlads.mean(axis=0, dtype=np.float64)
    covariance = (vlads.T @ vlads).astype(np.float64) / len(vlads) - np.outer(mean, mean)
    values, axes = np.linalg.eigh(covariance)
    strongest = np.argsort(values)[::-1][: settings.dim]
    projection = axes[:, strongest].T
    if settings.whitened:
        projection /= np.sqrt(np.maximum(values[strongest], 1e-9))[:, np.newaxis]
    # The sign of an axis is arbitrary; fixed, so that the same maps give the same file.
    projection *= np.sign(projection[np.arange(len(projection)), np.abs(projection).argmax(axis=1)])[:, np.newaxis]
    return projection.astype(np.float32), (-projection @ mean).astype(np.float32)


def open_views(folder: Path, split: str = "train") -> Iterator[NDArray[np.uint8]]:
    """Yield the openly licensed images of a folder with a ``manifest.csv``, four views of each panorama.

    Args:
        folder: Holds ``manifest.csv`` with the columns path, split and open.
        split: Which of its splits.
    """
    rng = np.random.default_rng(0)
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["open"] == "yes" and row["split"] == split]
    for row in rows:
        image = _read_rgb(folder / row["path"])
        if image.shape[1] != 2 * image.shape[0]:
            yield image
            continue
        for quarter in range(4):
            yaw_rad = math.pi / 2 * quarter + rng.uniform(0, math.pi / 3)
            look = Look(yaw_rad, rng.uniform(-0.14, 0.14), fov_rad=_PANORAMA_FOV_RAD)
            yield crop_panorama(image, look, _VIEW_WIDTH, _VIEW_HEIGHT)


def fit_reranker(
    encoder: Encoder, folder: Path, out: Path, settings: VocabularySettings | None = None
) -> PatchVocabulary:
    """Fit an encoder's vocabulary to the open images of a folder, write ``<encoder>-rerank.npz``, and return it.

    Args:
        encoder: Gives feature maps.
        folder: Images with ``manifest.csv``; only rows of split train with open = yes are read.
        out: Folder to write into.
        settings: How; None for the shipped vocabulary's.

    Raises:
        RerankingError: The encoder gives no feature maps, or there are too few images.
    """
    maps = [m for view in open_views(folder) if (m := encoder.encode(view).feature_map) is not None]
    if not maps:
        raise RerankingError(
            f"'{encoder.recipe.name}' gave no feature map of the open images of '{folder}'; take an "
            "encoder that exports one, such as gem-lite, and a folder with open images"
        )
    vocabulary = fit_vocabulary(maps, encoder.recipe, settings)
    vocabulary.save(out / f"{encoder.recipe.name}-rerank.npz")
    return vocabulary


def vocabulary_of_checkpoint(checkpoint: Path, out: Path | None = None) -> PatchVocabulary:
    """Return the vocabulary of a Patch-NetVLAD checkpoint, its own clusters and whitening.

    Args:
        checkpoint: One of the authors' files.
        out: Folder to write ``<encoder>-rerank.npz`` into, beside the exported network; None writes nothing.

    Raises:
        EncoderError: The file can't be read or holds another model.
    """
    from vpr_ros.encoders.models.vgg16_netvlad import load_netvlad_head  # torch

    head = load_netvlad_head(checkpoint)
    vocabulary = PatchVocabulary(
        encoder=head.recipe.name,
        weights_sha256=head.recipe.weights_sha256,
        mean=np.zeros(head.centroids.shape[1], np.float32),
        assignment=head.assignment,
        centroids=head.centroids,
        whitening=head.whitening,
        bias=head.bias,
    )
    if out is not None:
        vocabulary.save(out / f"{head.recipe.name}-rerank.npz")
    return vocabulary


def _read_rgb(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise RerankingError(f"can't read the image '{path}' that manifest.csv names; copy the folder again")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _positions(maps: Sequence[NDArray[np.float32]], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw positions, equally many of each map, shape (positions, channels)."""
    each = max(1, count // max(len(maps), 1))
    drawn = [m.reshape(len(m), -1).T[rng.permutation(m[0].size)[:each]] for m in maps]
    return np.concatenate(drawn)


def _window_vlads(
    maps: Sequence[NDArray[np.float32]], vocabulary: PatchVocabulary, count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw VLADs, equally many of each map and window size."""
    each = max(1, count // len(maps) // len(vocabulary.window_weights))
    drawn = []
    for feature_map in maps:
        residuals = soft_residuals(feature_map, vocabulary)
        for size in vocabulary.window_weights:
            vlads = window_vlads(residuals, size)
            drawn.append(vlads[rng.permutation(len(vlads))[:each]])
    return np.concatenate(drawn)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
