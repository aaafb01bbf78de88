"""Images altered as a robot meets them again, and the retrieval that is asked with them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.detection.keyframes import KeyframeRules
from vpr_ros.encoders import open_encoder
from vpr_ros.evaluation import altered_result, retrieve_altered, to_json
from vpr_ros.evaluation.alterations import ALTERATIONS, Margins, by_night
from vpr_ros.scoring import TruthError
from vpr_ros.sources import SourceOptions, open_source

NAMES = [alteration.name for alteration in ALTERATIONS]


def street():
    return np.random.default_rng(0).integers(0, 256, (48, 100, 3), dtype=np.uint8)


def test_margins_are_shares_of_width_and_height():
    image = street()

    left = Margins(right=0.15).without(image)
    middle = Margins(0.12, 0.12, 0.25, 0.25).without(image)

    assert np.array_equal(left, image[:, :85])
    assert np.array_equal(middle, image[12:36, 12:88])


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    share=st.floats(0, 1),
    other=st.floats(0, 1),
)
def test_of_the_smallest_image_a_pixel_stays(height, width, share, other):
    rest = Margins(share, other, other, share).without(np.zeros((height, width, 3), np.uint8))

    assert rest.size > 0
    for alteration in ALTERATIONS:
        assert alteration.query_of(rest, np.random.default_rng(0)).size > 0


def test_a_night_is_dark_has_lamps_and_is_the_same_again_by_its_seed():
    image = np.full((60, 80, 3), 150, np.uint8)

    night, again, other = (by_night(image, np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert night.shape == image.shape
    assert np.median(night) < 75
    assert night.max() == 255
    assert np.array_equal(night, again)
    assert not np.array_equal(night, other)


def test_an_encoder_finds_a_step_aside_and_loses_more_the_farther_it_is(images):
    encoder = open_encoder("gem-lite")
    with open_source(str(images / "office"), SourceOptions(rate_hz=1, to_s=13)) as source:
        seen = []
        retrieval = retrieve_altered(source, encoder, KeyframeRules(), 0, lambda: seen.append(1))

    assert len(seen) == 14
    result = json.loads(to_json(altered_result(retrieval)))
    assert list(result) == ["images", "tolerance", "altered", "encoder", "seconds"]
    assert (result["images"], result["tolerance"], result["encoder"]) == (14, 0, "gem-lite")
    assert [row["alteration"] for row in result["altered"]] == NAMES
    found = {row["alteration"]: row["recall_at"]["1"] for row in result["altered"]}
    assert found["8 % aside"] >= 0.9
    assert found["25 % aside"] <= found["8 % aside"]
    assert 0 < found["by night"] <= 1


def test_a_tolerance_below_0_is_refused(images):
    with (
        open_source(str(images / "office")) as source,
        pytest.raises(TruthError, match="-1"),
    ):
        retrieve_altered(source, open_encoder("gem-lite"), KeyframeRules(), -1, lambda: None)
