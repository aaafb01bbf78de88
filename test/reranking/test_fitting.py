"""Fitting finds the clusters that are there, gives the same file again, and reads nothing that is not open."""

import csv

import cv2
import made_up_maps
import numpy as np
import pytest

from vpr_ros.encoders import open_encoder
from vpr_ros.reranking import RerankingError, describe, open_vocabulary, spatial_score
from vpr_ros.training.fit_reranker import (
    VocabularySettings,
    fit_reranker,
    fit_vocabulary,
    k_means,
    open_views,
    principal_axes,
)

SMALL = VocabularySettings(clusters=3, dim=8, positions=2000, windows=1000, rounds=20)


def maps_of_materials(count=12, seed=0):
    """Maps whose positions show one of three materials, in patches, and some noise."""
    rng = np.random.default_rng(seed)
    materials = 3 * np.eye(3, 10)
    for _ in range(count):
        kinds = np.kron(rng.integers(3, size=(5, 5)), np.ones((4, 4), int))
        yield (materials[kinds] + 0.3 * rng.standard_normal((20, 20, 10))).transpose(2, 0, 1).astype(np.float32)


def test_clusters_are_the_materials_that_the_maps_show():
    points = np.concatenate([m.reshape(10, -1).T for m in maps_of_materials()])
    centres = k_means(points, 3, 20, np.random.default_rng(1))
    np.testing.assert_allclose(centres[np.argsort(centres.argmax(axis=1))], 3 * np.eye(3, 10), atol=0.1)


def test_the_same_maps_give_the_same_vocabulary_and_another_seed_another():
    maps = list(maps_of_materials())
    first, again = (fit_vocabulary(maps, made_up_maps.recipe(), SMALL) for _ in range(2))
    other = fit_vocabulary(maps, made_up_maps.recipe(), VocabularySettings(3, 8, positions=2000, windows=1000, seed=1))
    assert first.content_sha256 == again.content_sha256 != other.content_sha256


def test_the_projection_takes_the_mean_away_and_whitens_only_where_asked():
    rng = np.random.default_rng(0)
    spread = np.array([5.0, 2.0, 1.0, 0.1])
    points = (rng.standard_normal((5000, 4)) * spread + [1, 2, 3, 4]).astype(np.float32)
    for whitened, expected in ((True, [1, 1]), (False, [5, 2])):
        projection, bias = principal_axes(points, VocabularySettings(dim=2, whitened=whitened))
        projected = points @ projection.T + bias
        np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(projected.std(axis=0), expected, rtol=0.05)


def test_a_fitted_vocabulary_tells_a_shifted_view_from_another_place():
    vocabulary = fit_vocabulary(list(maps_of_materials()), made_up_maps.recipe(), SMALL)
    (place, other) = (np.concatenate(list(maps_of_materials(2, seed)), axis=2) for seed in (7, 8))
    left, right, elsewhere = (describe(m, vocabulary) for m in (place[:, :, :20], place[:, :, 4:24], other[:, :, :20]))
    assert spatial_score(left, right).score > 2 * spatial_score(left, elsewhere).score


def test_too_few_maps_are_refused():
    with pytest.raises(RerankingError, match="10 positions a cluster"):
        fit_vocabulary([np.zeros((10, 3, 3), np.float32)], made_up_maps.recipe(), SMALL)


@pytest.fixture
def folder(tmp_path):
    rows = [
        ("open.png", "train", "yes"),
        ("pano.png", "train", "yes"),
        ("val.png", "val", "yes"),
        ("nc.png", "train", "no"),
    ]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "split", "open"))
        writer.writerows(rows)
    for number, (name, *_) in enumerate(rows):
        size = (64, 128, 3) if name == "pano.png" else (60, 80, 3)
        cv2.imwrite(str(tmp_path / name), np.random.default_rng(number).integers(0, 256, size, np.uint8))
    return tmp_path


def test_only_open_training_images_are_read_and_panoramas_give_four_views(folder):
    for name in ("nc.png", "val.png"):
        (folder / name).unlink()
    assert [view.shape for view in open_views(folder)] == [(60, 80, 3)] + 4 * [(360, 480, 3)]


def test_a_missing_image_is_an_error_that_names_it(folder):
    (folder / "open.png").unlink()
    with pytest.raises(RerankingError, match=r"open\.png"):
        list(open_views(folder))


def test_fitting_an_encoder_writes_a_vocabulary_that_opens_for_it(folder, tmp_path):
    encoder = open_encoder("gem-lite", threads=2)
    fitted = fit_reranker(encoder, folder, tmp_path, SMALL)
    assert open_vocabulary(encoder.recipe, (tmp_path,)).content_sha256 == fitted.content_sha256
