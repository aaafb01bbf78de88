"""Patch descriptors are the formula, in any corner, and never NaN."""

from dataclasses import replace

import made_up_maps
import numpy as np
import pytest

from vpr_ros.reranking import PatchDescriptors, RerankingError, describe


def by_loops(feature_map, vocabulary, size, row, column):
    """One window's descriptor, written straight from the formula in float64; empty clusters stay empty, as in torch."""
    summed = np.zeros((made_up_maps.CLUSTERS, made_up_maps.CHANNELS))
    for y in range(row, row + size):
        for x in range(column, column + size):
            local = feature_map[:, y, x].astype(float) - vocabulary.mean
            local /= np.linalg.norm(local)
            shares = np.exp(vocabulary.assignment.astype(float) @ local)
            shares /= shares.sum()
            for cluster, share in enumerate(shares):
                summed[cluster] += share * (local - vocabulary.centroids[cluster])
    vlad = np.concatenate([one / max(np.linalg.norm(one / size**2), 1e-12) for one in summed])
    whitened = vocabulary.whitening.astype(float) @ (vlad / np.linalg.norm(vlad)) + vocabulary.bias
    return whitened / np.linalg.norm(whitened)


def test_each_window_has_the_descriptor_of_the_formula_row_by_row():
    vocabulary, feature_map = made_up_maps.vocabulary(), made_up_maps.feature_map()

    described = describe(feature_map, vocabulary)

    assert [(s.size, s.rows, s.columns) for s in described.scales] == [(2, 6, 8), (3, 5, 7)]
    for scale in described.scales:
        expected = [
            by_loops(feature_map, vocabulary, scale.size, row, column)
            for row in range(scale.rows)
            for column in range(scale.columns)
        ]
        np.testing.assert_allclose(scale.vectors, expected, atol=2e-6)


def test_a_sharp_assignment_leaves_no_noise_where_a_cluster_is_empty():
    """At this sharpness most clusters are empty in most windows; a float32 integral image gives noise there."""
    vocabulary, feature_map = made_up_maps.vocabulary(sharpness=60.0), made_up_maps.feature_map()

    scale = describe(feature_map, vocabulary).scales[0]

    expected = [by_loops(feature_map, vocabulary, 2, row, column) for row in range(6) for column in range(8)]
    assert (scale.vectors * np.array(expected)).sum(axis=1).min() > 0.99999


def test_a_camera_that_moves_by_one_position_moves_the_descriptors_by_one_window():
    vocabulary, feature_map = made_up_maps.vocabulary(), made_up_maps.feature_map()
    left, right = (describe(m, vocabulary).scales[0] for m in (feature_map[:, :, :-1], feature_map[:, :, 1:]))

    a, b = (scale.vectors.reshape(scale.rows, scale.columns, -1) for scale in (left, right))

    np.testing.assert_allclose(a[:, 1:], b[:, :-1], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-20, 1e15])
def test_a_map_without_any_variation_gives_equal_finite_descriptors(value):
    flat = np.full((made_up_maps.CHANNELS, 5, 5), value, np.float32)

    scale = describe(flat, made_up_maps.vocabulary()).scales[0]

    assert np.isfinite(scale.vectors).all()
    np.testing.assert_allclose(scale.vectors, np.broadcast_to(scale.vectors[0], scale.vectors.shape), atol=1e-5)


def test_describing_leaves_the_map_as_it_was():
    feature_map = made_up_maps.feature_map()
    before = feature_map.copy()
    describe(feature_map, made_up_maps.vocabulary(mean=np.zeros(made_up_maps.CHANNELS)))
    np.testing.assert_array_equal(feature_map, before)


@pytest.mark.parametrize(
    ("feature_map", "sentence"),
    [
        (np.zeros((5, 7, 9), np.float32), r"shape \(5, 7, 9\), expected \(6, rows, columns\) as 'made-up' gives"),
        (np.zeros((6, 63), np.float32), r"shape \(6, 63\)"),
        (np.zeros((6, 2, 9), np.float32), r"2 x 9 positions, the largest window has 3 x 3"),
        (np.full((6, 7, 9), np.nan, np.float32), r"NaN"),
    ],
    ids=["other channels", "flat", "too small", "NaN"],
)
def test_a_map_that_does_not_fit_is_refused(feature_map, sentence):
    with pytest.raises(RerankingError, match=sentence):
        describe(feature_map, made_up_maps.vocabulary())


def test_descriptors_come_back_from_bytes_nearly_the_same():
    described = describe(made_up_maps.feature_map(), made_up_maps.vocabulary())
    content = described.to_bytes()
    back = PatchDescriptors.from_bytes(content)

    assert len(content) == 24 + 2 * 5 + made_up_maps.DIM * (48 + 35)  # header, grids, one byte a value
    assert described.vocabulary_sha256.startswith(back.vocabulary_sha256)
    for ours, theirs in zip(described.scales, back.scales, strict=True):
        assert (ours.size, ours.rows, ours.columns) == (theirs.size, theirs.rows, theirs.columns)
        assert (ours.vectors * theirs.vectors).sum(axis=1).min() > 0.9999
        np.testing.assert_allclose(np.linalg.norm(theirs.vectors, axis=1), 1, atol=1e-6)
    assert back.to_bytes() == content


def test_rows_of_zeros_survive_the_way_through_bytes():
    (view,) = made_up_maps.views_of_a_wall((0, 0))
    view.scales[0].vectors[3] = 0
    back = PatchDescriptors.from_bytes(view.to_bytes())
    assert not back.scales[0].vectors[3].any()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"JUNK" + content[4:],
        lambda content: content[:4] + b"\x02" + content[5:],
        lambda content: content[:23] + b"\xff" + content[24:],
        lambda content: content[:23] + b"\0",
    ],
    ids=["empty", "cut in the header", "cut", "longer", "foreign", "another version", "more sizes", "no size"],
)
def test_damaged_bytes_are_refused(damage):
    content = describe(made_up_maps.feature_map(), made_up_maps.vocabulary()).to_bytes()
    with pytest.raises(RerankingError, match="make the map anew"):
        PatchDescriptors.from_bytes(damage(content))


def test_windows_whose_descriptors_are_missing_are_refused():
    (view,) = made_up_maps.views_of_a_wall((0, 0))
    with pytest.raises(RerankingError, match="expected one row a window"):
        replace(view.scales[0], rows=7)
