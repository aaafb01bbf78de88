"""A recipe survives JSON, and a wrong one is refused by name."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.core import Recipe, VprError

RECIPE = Recipe("net", 320, 240, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.2, 0.1), 512, "ab" * 32, "MIT", "bgr")

share = st.floats(0, 1)
spread = st.floats(1e-3, 1)
recipes = st.builds(
    Recipe,
    name=st.text(min_size=1).filter(str.strip),
    height=st.integers(1, 4000),
    width=st.integers(1, 4000),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    mean=st.tuples(share, share, share),
    std=st.tuples(spread, spread, spread),
    dim=st.integers(1, 100_000),
    weights_sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    licence=st.text(),
    channel_order=st.sampled_from(["rgb", "bgr"]),
    antialias=st.booleans(),
    resized=st.none() | st.tuples(st.integers(4000, 5000), st.integers(4000, 5000)),
)


@given(recipes)
def test_a_recipe_comes_back_from_json_equal(recipe):
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": " "}, "name"),
        ({"height": 0}, "height 0"),
        ({"dim": -1}, "dim -1"),
        ({"interpolation": "nearest"}, "nearest"),
        ({"channel_order": "rgba"}, "rgba"),
        ({"std": (0.1, 0.0, 0.1)}, "std"),
        ({"mean": (float("nan"), 0.0, 0.0)}, "mean"),
        ({"mean": (123.0, 116.0, 103.0)}, r"mean \(123.0, 116.0, 103.0\).*in units of \[0, 1\]: divide by 255"),
        ({"std": (0.2, 58.0, 0.2)}, r"std \(0.2, 58.0, 0.2\).*divide by 255"),
        ({"mean": (0.5, -0.1, 0.5)}, "expected mean 0 to 1"),
        ({"weights_sha256": "AB" * 32}, "lower-case"),
        ({"resized": (319, 400)}, r"resized \[319, 400\] and takes the middle 320 x 240"),
    ],
)
def test_a_value_no_encoder_can_have_is_refused_by_name(change, word):
    with pytest.raises(VprError, match=word):
        replace(RECIPE, **change)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        pytest.param(0.5, 0.5, id="-1 to 1"),
        pytest.param(0, 1, id="0 to 1"),
        pytest.param(1, 1, id="-1 to 0"),
        pytest.param(0, 1 / 255, id="grey levels"),
        pytest.param(0.485, 1 / 255, id="grey levels about their mean"),
    ],
)
def test_each_range_that_networks_are_trained_on_can_be_said(mean, std):
    assert replace(RECIPE, mean=(mean,) * 3, std=(std,) * 3).std == (std,) * 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red", "crop": 1}, "recipe has colour, crop, .*it takes name, height, .*antialias, resized$"),
        ({"height": "320"}, "recipe has height '320', expected a whole number"),
        ({"mean": [0.5, 0.5]}, r"recipe has mean \[0.5, 0.5\], expected three numbers"),
        ({"mean": "grey"}, "recipe has mean 'grey', expected three numbers"),
        ({"interpolation": "nearest"}, "recipe has interpolation 'nearest', expected one of bilinear, bicubic"),
        ({"antialias": "no"}, "recipe has antialias 'no', expected true or false"),
        ({"resized": [256]}, r"recipe has resized \[256\], expected two whole numbers"),
        ({"resized": "256"}, "recipe has resized '256', expected two whole numbers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_json_that_is_no_recipe_is_refused(change, said):
    with pytest.raises(VprError, match=said):
        Recipe.from_json(json.dumps(json.loads(RECIPE.to_json()) | change))


def test_a_missing_key_is_named():
    values = json.loads(RECIPE.to_json())
    del values["dim"]
    with pytest.raises(VprError, match=r"^recipe lacks dim; it needs name, height, .*, dim, weights_sha256, licence$"):
        Recipe.from_json(json.dumps(values))


def test_a_recipe_of_before_there_was_a_choice_is_antialiased_and_whole():
    values = json.loads(RECIPE.to_json())
    del values["antialias"], values["resized"]
    assert Recipe.from_json(json.dumps(values)) == RECIPE


@pytest.mark.parametrize("text", ["", "[1, 2]", "{"])
def test_a_text_that_is_no_json_object_is_refused(text):
    with pytest.raises(VprError, match="recipe"):
        Recipe.from_json(text)


def test_a_recipe_says_itself_in_one_line():
    assert str(RECIPE) == "net: 512-D from 240 x 320 BGR, bilinear; weights abababababab, MIT"
    assert str(replace(RECIPE, antialias=False, resized=(480, 640))) == (
        "net: 512-D from 240 x 320 BGR, the middle of 640 x 480, bilinear without antialiasing; "
        "weights abababababab, MIT"
    )
