"""The default encoder: its shipped files are what one command makes of its weights."""

import numpy as np
import pytest

from vpr_ros.encoders import EncoderError, export_encoder, open_encoder


@pytest.mark.parametrize("is_halved", [False, True])
@pytest.mark.parametrize(("name", "dim"), [("mixvpr-lite", None), ("mixvpr-lite-128", 128)])
def test_the_shipped_file_gives_what_one_command_makes_of_the_weights(name, dim, is_halved, office, tmp_path):
    pytest.importorskip("torch")

    made = open_encoder(str(export_encoder("mixvpr-lite", tmp_path, dim=dim, stored_in_half=is_halved)))

    shipped = open_encoder(name)
    assert made.recipe.name == shipped.recipe.name
    assert made.recipe.dim == shipped.recipe.dim == (dim or 512)
    for image in office:
        ours, theirs = made.encode(image), shipped.encode(image)
        # The shipped weights are stored in half precision, whatever the made ones are.
        assert _cosine(ours.descriptor, theirs.descriptor) > 0.9999
        assert _cosine(ours.feature_map, theirs.feature_map) > 0.9999


@pytest.mark.parametrize(
    ("name", "dim", "words"),
    [
        ("mixvpr-lite", 512, "expected 1 to 511"),
        ("mixvpr-lite", 0, "expected 1 to 511"),
        ("gem-lite", 128, "can't be shortened"),
    ],
)
def test_a_length_that_can_not_be_is_refused(name, dim, words, tmp_path):
    pytest.importorskip("torch")

    with pytest.raises(EncoderError, match=words):
        export_encoder(name, tmp_path, dim=dim)
    assert list(tmp_path.iterdir()) == []


def _cosine(a, b):
    return np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
