"""The reliability diagram: spots where the policy's word and the truth meet."""

import math

import pytest

from vpr_ros.evaluation.reliability import reliability_diagram


def noted(*bins):
    return {"reliability": [{"pairs": pairs, "said": said, "true": true} for pairs, said, true in bins]}


def test_a_spot_lies_at_what_was_said_and_what_was_true():
    diagram = reliability_diagram(noted((100, 0.25, 0.5), (25, 1.0, 0.0)))

    large, small = diagram.spots
    assert diagram.pairs == 125
    assert (large.x - diagram.left) / (diagram.right - diagram.left) == pytest.approx(0.25)
    assert (large.y - diagram.bottom) / (diagram.top - diagram.bottom) == pytest.approx(0.5)
    assert (small.x, small.y) == (diagram.right, diagram.bottom)
    assert large.radius**2 == pytest.approx(4 * small.radius**2)
    assert large.words == "100 pairs: said 0.25, right 0.50"


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {"reliability": "good"},
        {"reliability": []},
        {"reliability": [None, 3, {"pairs": 4}]},
        noted((0, 0.5, 0.5), (3, math.nan, 0.5), (3, 0.5, 2.0), ("3", 0.5, 0.5)),
    ],
)
def test_notes_without_a_sound_figure_give_no_diagram(notes):
    assert reliability_diagram(notes) is None
