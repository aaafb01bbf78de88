"""The file of clusters and whitening: comes back whole, or is refused with a sentence; and the one that ships."""

import hashlib
import re
from dataclasses import replace

import made_up_maps
import numpy as np
import pytest
from PIL import Image

from vpr_ros.core import share_path
from vpr_ros.encoders import open_encoder
from vpr_ros.reranking import (
    PatchDescriptors,
    PatchVocabulary,
    RerankingError,
    describe,
    open_vocabulary,
    spatial_score,
)


@pytest.fixture
def saved(tmp_path):
    return made_up_maps.vocabulary().save(tmp_path / "made-up-rerank.npz")


def test_a_vocabulary_comes_back_as_it_was_saved(saved):
    before, after = made_up_maps.vocabulary(), PatchVocabulary.load(saved)

    for name in ("mean", "assignment", "centroids", "whitening", "bias"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert dict(after.window_weights) == {2: 0.6, 3: 0.4}
    assert after.content_sha256 == before.content_sha256
    assert saved.parent.joinpath("made-up-rerank.npz.part").exists() is False


def test_the_same_vocabulary_gives_the_same_file_byte_by_byte(saved, tmp_path):
    assert made_up_maps.vocabulary().save(tmp_path / "again.npz").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("keep", [0, 10, 500, -1])
def test_a_truncated_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(RerankingError, match="no whole re-ranking vocabulary"):
        PatchVocabulary.load(saved)


def test_a_flipped_byte_is_noticed(saved):
    content = bytearray(saved.read_bytes())
    for place in range(200, len(content) - 200, 97):
        changed = content.copy()
        changed[place] ^= 0xFF
        saved.write_bytes(changed)
        try:
            same = PatchVocabulary.load(saved).content_sha256 == made_up_maps.vocabulary().content_sha256
        except RerankingError:
            continue
        assert same  # A byte that no value hangs on, such as a zip entry's attribute.


def test_arrays_changed_behind_the_checksum_are_noticed(saved):
    with np.load(saved) as archive:
        members = dict(archive)
    members["centroids"] = members["centroids"] + 1
    np.savez(saved, **members)
    with pytest.raises(RerankingError, match="changed or damaged"):
        PatchVocabulary.load(saved)


def test_other_files_are_refused_and_nothing_in_them_is_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was executed",))

    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, weights=np.zeros(3))
    with pytest.raises(RerankingError, match="holds weights; expected a re-ranking vocabulary"):
        PatchVocabulary.load(foreign)
    pickled = tmp_path / "pickled.npz"
    with np.load(made_up_maps.vocabulary().save(tmp_path / "made-up.npz")) as archive:
        np.savez(pickled, **(dict(archive) | {"bias": np.array([Bomb()], dtype=object)}))
    single = tmp_path / "single.npz"
    with single.open("wb") as file:
        np.save(file, np.zeros(3))
    for path in (pickled, single, tmp_path / "gone.npz", tmp_path):
        with pytest.raises(RerankingError, match=r"no whole re-ranking vocabulary|there is no re-ranking vocabulary"):
            PatchVocabulary.load(path)


def test_a_newer_format_is_refused(saved):
    with np.load(saved) as archive:
        members = dict(archive)
    np.savez(saved, **(members | {"format": np.int64(9)}))
    with pytest.raises(RerankingError, match="format 9, this version reads 1"):
        PatchVocabulary.load(saved)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"whitening": np.zeros((8, 30))}, r"whitening \(8, 30\) instead of \(8, 18\)"),
        ({"assignment": np.zeros((4, 6))}, r"assignment \(4, 6\) instead of \(3, 6\)"),
        ({"mean": np.zeros(5)}, r"mean \(5,\) instead of \(6,\)"),
        ({"bias": np.zeros(0), "whitening": np.zeros((0, 18))}, "clusters, channels and whitening of one model"),
        ({"centroids": np.full((3, 6), np.inf)}, "centroids hold NaN or infinite"),
        ({"windows": {0: 1.0}}, "sizes from 1 to 255"),
        ({"windows": {2: -1.0}}, "weight above 0"),
    ],
)
def test_clusters_and_whitening_of_different_models_are_refused(changed, sentence):
    """As a checkpoint of another number of clusters or another PCA size gives them."""
    with pytest.raises(RerankingError, match=sentence):
        made_up_maps.vocabulary(**changed)


def test_the_users_own_folder_comes_before_the_shipped_one(saved):
    recipe = made_up_maps.recipe()
    assert open_vocabulary(recipe, (saved.parent,)).encoder == "made-up"
    with pytest.raises(RerankingError, match=r"no re-ranking vocabulary 'made-up-rerank\.npz'"):
        open_vocabulary(recipe)


def test_another_encoders_maps_are_refused(saved):
    with pytest.raises(
        RerankingError, match=r"made for 'made-up' \(sha256 11111111...\), but this encoder is 'made-up'"
    ):
        open_vocabulary(made_up_maps.recipe(digit="2"), (saved.parent,))


def test_every_setting_changes_the_checksum():
    base = made_up_maps.vocabulary()
    others = [
        replace(base, mean=base.mean + 1e-6),
        replace(base, whitening=base.whitening * np.float32(1.001)),
        replace(base, window_weights={2: 0.5, 3: 0.4}),
        replace(base, weights_sha256="3" * 64),
    ]
    assert len({vocabulary.content_sha256 for vocabulary in (base, *others)}) == 5


@pytest.fixture(scope="module")
def gem_lite():
    return open_encoder("gem-lite", threads=2)


@pytest.fixture(scope="module")
def described(gem_lite, images):
    vocabulary = open_vocabulary(gem_lite.recipe)
    photos = {name: Image.open(images / "office" / f"{name}.jpg").convert("RGB") for name in ("007", "013", "047")}
    return {name: describe(gem_lite.encode(np.array(photo)).feature_map, vocabulary) for name, photo in photos.items()}


def test_the_shipped_file_is_the_one_of_the_model_card():
    card = share_path("weights/gem-lite-rerank.md").read_text()
    content = share_path("weights/gem-lite-rerank.npz").read_bytes()
    assert re.search(r"sha256 `([0-9a-f]{64})`", card)[1] == hashlib.sha256(content).hexdigest()


def test_a_keyframe_of_gem_lite_costs_at_most_64_kib(described):
    assert all(len(one.to_bytes()) <= 64 * 1024 for one in described.values())
    assert [len(scale.vectors) for scale in described["007"].scales] == [361, 256, 169]


def test_a_revisited_corridor_scores_above_another_place_fresh_and_stored(described):
    """047 is the same place as 007 on the next lap; 013 is elsewhere."""
    stored = {name: PatchDescriptors.from_bytes(one.to_bytes()) for name, one in described.items()}
    for places in (described, stored):
        same = spatial_score(described["047"], places["007"]).score
        assert same > 1.25 * spatial_score(described["047"], places["013"]).score


def test_storing_a_keyframe_costs_hardly_any_score(described):
    fresh = spatial_score(described["047"], described["007"]).score
    stored = PatchDescriptors.from_bytes(described["007"].to_bytes())
    assert spatial_score(described["047"], stored).score == pytest.approx(fresh, abs=0.01)
