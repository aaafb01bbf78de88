"""Checkpoints of the authors: loaded strictly whatever K and PCA size, or refused with what is wrong."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from random_patch_netvlad import checkpoint  # noqa: E402 - needs torch

from vpr_ros.encoders import EncoderError  # noqa: E402
from vpr_ros.encoders.models.vgg16_netvlad import load_netvlad_head, load_vgg16_netvlad  # noqa: E402
from vpr_ros.reranking import RerankingError, describe, open_vocabulary  # noqa: E402
from vpr_ros.training.fit_reranker import vocabulary_of_checkpoint  # noqa: E402


@pytest.fixture
def saved(tmp_path):
    def save(content):
        path = tmp_path / "mapillary_WPCA8.pth.tar"
        torch.save(content, path)
        return path

    return save


@pytest.mark.parametrize(
    ("clusters", "dim", "name"),
    [(16, 8, "netvlad-mapillary-8"), (64, 4, "netvlad-pittsburgh-4"), (5, 3, "netvlad-k5-3")],
)
def test_clusters_and_size_are_read_from_the_tensors(saved, clusters, dim, name):
    content = checkpoint(clusters, dim)
    network, recipe = load_vgg16_netvlad(saved(content))

    assert (recipe.name, recipe.dim, recipe.height, recipe.width) == (name, dim, 480, 640)
    assert set(network.state_dict()) == set(content["state_dict"])
    assert len(network.state_dict()) == 30
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
    assert sum(value.numel() for value in network.encoder.parameters()) == 14_714_688


def test_files_saved_from_data_parallel_give_the_same_network(saved):
    content = checkpoint(16, 8)["state_dict"]
    parallel = {
        name.replace("encoder.", "encoder.module.").replace("pool.", "pool.module."): v for name, v in content.items()
    }
    network, _ = load_vgg16_netvlad(saved({"state_dict": parallel}))
    assert torch.equal(network.state_dict()["encoder.28.weight"], content["encoder.28.weight"])


def without(content, *names):
    return {"state_dict": {n: v for n, v in content["state_dict"].items() if n not in names}}


def changed(content, **tensors):
    return {"state_dict": content["state_dict"] | {name.replace("__", "."): value for name, value in tensors.items()}}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda c: changed(c, pool__centroids=torch.zeros(64, 512)),
            r"centroids of \(64, 512\) and whitening of \(8, 8192",
        ),
        (lambda c: changed(c, WPCA__0__bias=torch.zeros(9)), r"1 mis-shaped \(WPCA.0.bias is \(9,\) instead of \(8,\)"),
        (lambda c: changed(c, pool__conv__weight=torch.zeros(64, 512, 1, 1)), r"pool.conv.weight is \(64, 512"),
        (lambda c: changed(c, pool__conv__bias=torch.zeros(16)), r"vladv2"),
        (lambda c: changed(c, pool__centroids=torch.full((16, 512), torch.nan)), r"1 not finite \(pool.centroids\)"),
        (lambda c: without(c, "WPCA.0.weight", "WPCA.0.bias"), r"no whitening"),
        (lambda c: without(c, "encoder.10.weight"), r"1 missing \(encoder.10.weight\)"),
        (lambda c: without(c, "pool.centroids"), r"no Patch-NetVLAD checkpoint: pool.centroids missing"),
        (lambda c: {"state_dict": {"fc.weight": torch.zeros(2)}}, r"no Patch-NetVLAD checkpoint.*it has fc.weight"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_what_is_wrong(saved, spoil, sentence):
    with pytest.raises(EncoderError, match=sentence):
        load_vgg16_netvlad(saved(spoil(checkpoint(16, 8))))


def test_a_truncated_checkpoint_is_refused(saved):
    path = saved(checkpoint(16, 8))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EncoderError, match="no whole torch checkpoint"):
        load_netvlad_head(path)


def test_the_vocabulary_of_a_checkpoint_is_written_beside_its_network_and_opened_for_it_alone(saved, tmp_path):
    path = saved(checkpoint(16, 8))
    _, recipe = load_vgg16_netvlad(path)
    written = vocabulary_of_checkpoint(path, tmp_path)

    opened = open_vocabulary(recipe, (tmp_path,))

    assert opened.content_sha256 == written.content_sha256
    assert dict(opened.window_weights) == {2: 0.45, 5: 0.15, 8: 0.40}
    described = describe(np.random.default_rng(0).standard_normal((512, 30, 40)).astype(np.float32), opened)
    assert [len(scale.vectors) for scale in described.scales] == [1131, 936, 759]
    other = load_vgg16_netvlad(saved(checkpoint(16, 8, seed=1)))[1]
    with pytest.raises(RerankingError, match="different weights"):
        open_vocabulary(other, (tmp_path,))
