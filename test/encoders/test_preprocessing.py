"""The network's input equals the authors', which PIL and torchvision make."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vpr_ros.core import Recipe
from vpr_ros.encoders import EncoderError
from vpr_ros.encoders.preprocessing import Preprocessing, banded_filter, resize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Columns, rows: reduction, odd sizes, one axis up and the other down, enlargement, a strip.
SIZES = [(512, 384), (640, 480), (1241, 376), (333, 271), (200, 500), (160, 120), (320, 320), (61, 7)]
lengths = st.integers(1, 700)
interpolations = st.sampled_from(["bilinear", "bicubic"])


def recipe(interpolation="bicubic", channel_order="rgb"):
    return Recipe("test", 320, 320, interpolation, MEAN, STD, 8, "0" * 64, "none", channel_order)


def torch_of(values):
    import torch

    return torch.from_numpy(values)


def cosine(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return a @ b / np.sqrt((a @ a) * (b @ b))


def of_size(image, size):
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_input_is_what_pil_and_torchvision_make(office, size, interpolation):
    try:
        from torchvision import transforms
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not load: {error}")
    authors = transforms.Compose(
        [
            transforms.Resize((320, 320), interpolation=transforms.InterpolationMode(interpolation)),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    for photograph in office:
        image = of_size(photograph, size)
        theirs = authors(Image.fromarray(image)).numpy()

        ours = Preprocessing(recipe(interpolation)).apply(image)

        assert ours.shape == (1, 3, 320, 320)
        assert ours.dtype == np.float32
        assert ours.flags.c_contiguous
        assert cosine(ours[0], theirs) >= 0.9999


@pytest.mark.parametrize(("interpolation", "rounding"), [("bilinear", 1.01), ("bicubic", 1.15)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_resized_image_is_within_the_rounding_of_pils_two_passes(office, size, interpolation, rounding):
    """Bicubic's negative lobes make more of the first pass's rounding, and overshoot, which both passes clip."""
    if interpolation == "bicubic" and size[0] < 320 < size[1]:
        pytest.skip("newer versions of PIL take the rows first where one axis grows and the other shrinks")
    high_contrast = (255 * (of_size(office[1], size) > 127)).astype(np.uint8)
    for image in (of_size(office[0], size), high_contrast):
        theirs = Image.fromarray(image).resize((320, 320), Image.Resampling[interpolation.upper()])

        ours = resize(image, 320, 320, interpolation)

        assert np.abs(ours - np.array(theirs, dtype=np.float64).transpose(2, 0, 1)).max() <= rounding


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_resized_image_is_torchs_antialiased_one_where_nothing_is_rounded(office, size):
    torch = pytest.importorskip("torch")
    image = of_size(office[0], size)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].double(), (320, 320), mode="bilinear", antialias=True
    )

    np.testing.assert_allclose(resize(image, 320, 320, "bilinear"), theirs[0], atol=0.01)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_without_antialiasing_it_is_torchs_resize_of_tensors(office, size, interpolation):
    torch = pytest.importorskip("torch")
    image = of_size(office[0], size)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].double(), (320, 300), mode=interpolation, antialias=False
    )

    np.testing.assert_allclose(resize(image, 320, 300, interpolation, antialias=False), theirs[0], atol=0.01)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("resized", "taken"), [((256, 341), (224, 224)), ((480, 640), (476, 630)), ((33, 40), (32, 39))]
)
def test_the_middle_of_the_resized_image_is_what_torchvision_cuts(office, resized, taken, antialias):
    try:
        from torchvision.transforms import functional
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not load: {error}")
    height, width = taken
    cut = replace(recipe("bilinear"), height=height, width=width, resized=resized, antialias=antialias)
    whole = replace(cut, height=resized[0], width=resized[1], resized=None)

    ours = Preprocessing(cut).apply(office[0])

    assert ours.flags.c_contiguous
    theirs = functional.center_crop(torch_of(Preprocessing(whole).apply(office[0])), list(taken))
    np.testing.assert_array_equal(ours, theirs.numpy())


def test_a_resize_without_antialiasing_would_fail_the_same_test(office):
    """The bound has teeth: OpenCV's resize, which does not antialias, is outside it."""
    import cv2

    image = office[0]
    theirs = np.array(Image.fromarray(image).resize((320, 320), Image.Resampling.BICUBIC)) / 255
    rough = cv2.resize(image, (320, 320), interpolation=cv2.INTER_CUBIC) / 255
    assert cosine((rough - MEAN) / STD, (theirs - MEAN) / STD) < 0.9999


@settings(max_examples=60, deadline=None)
@given(lengths, lengths, interpolations, st.booleans())
def test_the_weights_of_each_output_sum_to_one_and_the_blocks_cover_all_outputs(
    inputs, outputs, interpolation, antialias
):
    blocks = banded_filter(inputs, outputs, interpolation, antialias)

    assert [i for block in blocks for i in range(outputs)[block.target]] == list(range(outputs))
    for block in blocks:
        assert 0 <= block.source.start < block.source.stop <= inputs
        np.testing.assert_allclose(block.weights.sum(axis=1), 1, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(lengths, lengths, st.integers(0, 255), interpolations)
def test_a_constant_image_stays_constant(rows, columns, level, interpolation):
    image = np.full((rows, columns, 3), level, dtype=np.uint8)
    np.testing.assert_allclose(resize(image, 40, 30, interpolation), level, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(lengths, lengths, interpolations, st.booleans())
def test_mirroring_the_image_mirrors_the_result(rows, columns, interpolation, antialias):
    image = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    ours = resize(image, 24, 33, interpolation, antialias=antialias)
    mirrored = resize(image[::-1, ::-1], 24, 33, interpolation, antialias=antialias)
    np.testing.assert_allclose(mirrored[:, ::-1, ::-1], ours, atol=1e-2)


def test_bicubic_never_leaves_the_range_of_grey_levels():
    board = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((6, 6)))[..., np.newaxis].repeat(3, 2)
    enlarged = resize((board * 255).astype(np.uint8), 320, 320, "bicubic")
    assert enlarged.min() >= 0
    assert enlarged.max() <= 255


def test_a_bgr_recipe_gets_the_channels_turned_round(office):
    equal = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    rgb = Recipe("test", 32, 32, "bilinear", **equal, dim=8, weights_sha256="0" * 64, licence="none")
    bgr = Recipe(
        "test", 32, 32, "bilinear", **equal, dim=8, weights_sha256="0" * 64, licence="none", channel_order="bgr"
    )
    turned = Preprocessing(bgr).apply(office[0])
    np.testing.assert_array_equal(turned[:, ::-1], Preprocessing(rgb).apply(office[0]))


def test_an_image_that_is_a_view_of_a_larger_one_is_read_rightly(office):
    view = office[0][10:300:2, 5:400]
    np.testing.assert_array_equal(
        Preprocessing(recipe()).apply(view), Preprocessing(recipe()).apply(np.ascontiguousarray(view))
    )


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.zeros((4, 4), np.uint8), r"\(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        ([[1, 2, 3]], "list"),
    ],
    ids=["grey", "rgba", "float", "empty", "no array"],
)
def test_what_is_no_rgb_image_is_refused_with_what_was_seen(image, word):
    with pytest.raises(EncoderError, match=word):
        Preprocessing(recipe()).apply(image)
