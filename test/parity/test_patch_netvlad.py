"""The re-ranker equals the authors' package, and where that strays, the formula evaluated in float64."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("patchnetvlad", reason="the authors' package is not installed")
try:
    from vpr_ros.evaluation.peers.patch_netvlad import PeerMatcher, peer_descriptors, peer_model
except (ImportError, RuntimeError) as error:
    pytest.skip(f"the authors' package does not load: {error}", allow_module_level=True)

from random_patch_netvlad import checkpoint  # noqa: E402 - needs torch

from vpr_ros.encoders.models.vgg16_netvlad import load_vgg16_netvlad  # noqa: E402
from vpr_ros.encoders.preprocessing import Preprocessing  # noqa: E402
from vpr_ros.reranking import PatchDescriptors, PatchScale, describe, ransac_score, spatial_score  # noqa: E402
from vpr_ros.training.fit_reranker import vocabulary_of_checkpoint  # noqa: E402

SIZES = (2, 5, 8)
WEIGHTS = (0.45, 0.15, 0.40)


@pytest.fixture(scope="module", params=[(16, 128, 60.0), (64, 128, 300.0)], ids=["K 16, soft", "K 64, sharp"])
def exact(request, images, tmp_path_factory):
    """Two office photographs through our network and theirs, the same random weights."""
    clusters, dim, sharpness = request.param
    path = tmp_path_factory.mktemp("checkpoint") / "weights.pth.tar"
    content = checkpoint(clusters, dim, sharpness)
    torch.save(content, path)
    network, recipe = load_vgg16_netvlad(path)
    vocabulary = vocabulary_of_checkpoint(path)
    theirs = peer_model(content["state_dict"], SIZES)
    pairs = []
    for name in ("001", "041"):
        photo = np.array(Image.open(images / "office" / f"{name}.jpg").convert("RGB"))
        network_input = torch.from_numpy(Preprocessing(recipe).apply(photo))
        with torch.inference_mode():
            descriptor, feature_map = network(network_input)
        ours = descriptor[0].numpy(), feature_map[0].numpy(), describe(feature_map[0].numpy(), vocabulary)
        pairs.append((ours, peer_descriptors(theirs, network_input)))
    return vocabulary, pairs


def float64_patches(feature_map, vocabulary, size, every):
    """The formula, window by window, in float64; no product, sum or order shared with the code under test."""
    w = {name: getattr(vocabulary, name).astype(float) for name in ("assignment", "centroids", "whitening", "bias")}
    x = feature_map.astype(float)
    x = x / np.sqrt((x**2).sum(0))
    logits = np.tensordot(w["assignment"], x, 1)
    shares = np.exp(logits - logits.max(0))
    shares /= shares.sum(0)
    residuals = shares[:, None] * (x[None] - w["centroids"][:, :, None, None])
    described = []
    windows = [(row, column) for row in range(x.shape[1] - size + 1) for column in range(x.shape[2] - size + 1)]
    for row, column in windows[::every]:
        v = residuals[:, :, row : row + size, column : column + size].mean((2, 3))
        v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)
        y = w["whitening"] @ (v.ravel() / np.linalg.norm(v)) + w["bias"]
        described.append(y / np.linalg.norm(y))
    return np.array(described)


def test_map_and_global_descriptor_are_the_authors(exact):
    for (descriptor, feature_map, _), (their_descriptor, _, their_map) in exact[1]:
        assert feature_map.shape == (512, 30, 40)
        assert (feature_map < 0).mean() > 0.2  # conv5_3 comes without its ReLU.
        np.testing.assert_allclose(feature_map, their_map, rtol=1e-4, atol=1e-4 * np.abs(their_map).max())
        np.testing.assert_allclose(descriptor, their_descriptor, atol=1e-5)


def test_patch_descriptors_are_the_formula_in_float64_and_the_authors_where_they_keep_it(exact):
    vocabulary, pairs = exact
    (_, feature_map, ours), (_, theirs, _) = pairs[0]
    assert [len(scale.vectors) for scale in ours.scales] == [1131, 936, 759]
    assert [len(vectors) for vectors in theirs] == [1131, 936, 759]
    for scale, all_their_vectors in zip(ours.scales, theirs, strict=True):
        truth = float64_patches(feature_map, vocabulary, scale.size, every=5)
        our_vectors, their_vectors = scale.vectors[::5], all_their_vectors[::5]
        our_cosines, their_cosines = (our_vectors * truth).sum(1), (their_vectors * truth).sum(1)
        assert our_cosines.min() >= 0.99999
        np.testing.assert_allclose(our_vectors, truth, atol=1e-5)
        kept = their_cosines >= 0.999999  # Elsewhere their float32 integral has cancelled.
        assert (our_vectors * their_vectors).sum(1)[kept].min(initial=1) >= 0.99999


@pytest.mark.parametrize(("method", "score"), [("spatial", spatial_score), ("ransac", ransac_score)])
def test_scores_of_real_images_are_the_authors_for_the_same_descriptors(exact, method, score):
    (_, _, query), (_, _, match) = (ours for ours, _ in exact[1])
    theirs = peer_scores(method, query, match, rows=30, columns=40)

    ours = score(query, match)

    assert [scale.published for scale in ours.scales] == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    assert ours.published == pytest.approx(np.dot(WEIGHTS, theirs), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_mutual_pairs_are_the_authors(noise):
    """A view shifted by two columns, from clear to buried in noise."""
    query, match = shifted_views(noise)
    their_nearest_query = (query.scales[0].vectors @ match.scales[0].vectors.T).argmax(0)
    their_nearest_match = (query.scales[0].vectors @ match.scales[0].vectors.T).argmax(1)
    mutual = np.flatnonzero(their_nearest_match[their_nearest_query] == np.arange(len(their_nearest_query)))

    ours = spatial_score(query, match).scales[0]

    np.testing.assert_array_equal(ours.match_patches, mutual)
    np.testing.assert_array_equal(ours.query_patches, their_nearest_query[mutual])
    assert ours.published == pytest.approx(peer_scores("spatial", query, match, 30, 40)[0], rel=1e-6)
    assert ransac_score(query, match).scales[0].published == pytest.approx(
        peer_scores("ransac", query, match, 30, 40)[0], abs=1e-6
    )


def peer_scores(method, query, match, rows, columns):
    matcher = PeerMatcher(method, [scale.size for scale in query.scales], rows, columns)
    return matcher.scores(
        [torch.from_numpy(scale.vectors) for scale in query.scales],
        [torch.from_numpy(np.ascontiguousarray(scale.vectors.T)) for scale in match.scales],
    )


def shifted_views(noise):
    rng = np.random.default_rng(0)
    wall = rng.standard_normal((26, 38, 128), dtype=np.float32)
    views = []
    for columns in (slice(0, 36), slice(2, 38)):
        seen = wall[:, columns].reshape(-1, 128) + noise * rng.standard_normal((936, 128), dtype=np.float32)
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        views.append(PatchDescriptors("0" * 64, (PatchScale(5, 26, 36, seen),)))
    return views
