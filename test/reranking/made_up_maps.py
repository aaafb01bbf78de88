"""Vocabularies and patches small enough to reason about."""

import numpy as np

from vpr_ros.core import Recipe
from vpr_ros.reranking import PatchDescriptors, PatchScale, PatchVocabulary

CHANNELS, CLUSTERS, DIM = 6, 3, 8


def recipe(name="made-up", digit="1"):
    return Recipe(name, 32, 32, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 4, digit * 64, "none")


def vocabulary(seed=0, sharpness=5.0, windows=None, **changed):
    rng = np.random.default_rng(seed)
    centroids = rng.standard_normal((CLUSTERS, CHANNELS))
    values = {
        "encoder": "made-up",
        "weights_sha256": "1" * 64,
        "mean": 0.1 * rng.standard_normal(CHANNELS),
        "assignment": sharpness * centroids,
        "centroids": centroids,
        "whitening": rng.standard_normal((DIM, CLUSTERS * CHANNELS)),
        "bias": rng.standard_normal(DIM),
        "window_weights": windows or {2: 0.6, 3: 0.4},
    }
    return PatchVocabulary(**(values | changed))


def feature_map(seed=1, rows=7, columns=9):
    return np.random.default_rng(seed).standard_normal((CHANNELS, rows, columns)).astype(np.float32)


def views_of_a_wall(*shifts, size=2, rows=6, columns=8, dim=32, noise=0.0, seed=0):
    """Views of one wall of patches; a shift (right, down) says where the camera looks."""
    rng = np.random.default_rng(seed)
    wall = rng.standard_normal((rows + 8, columns + 8, dim))
    views = []
    for right, down in shifts:
        seen = wall[down : down + rows, right : right + columns].reshape(-1, dim)
        seen = seen + noise * rng.standard_normal(seen.shape)
        seen = (seen / np.linalg.norm(seen, axis=1, keepdims=True)).astype(np.float32)
        views.append(PatchDescriptors("a" * 64, (PatchScale(size, rows, columns, seen),)))
    return views
