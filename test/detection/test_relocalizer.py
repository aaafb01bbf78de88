"""One image against the map: a place, or an honest "unknown"."""

import numpy as np
import pytest
from test_loop_detector import twin_corridors
from worlds import World, detector_for, drive, run, street

from vpr_ros.core import Frame
from vpr_ros.detection import Relocalizer, Settings
from vpr_ros.detection.policy import Policy, policy_as_yaml
from vpr_ros.place_map import PlaceMap


@pytest.fixture
def relocalizer_on(tmp_path):
    """Make a relocalizer on a map of spots. A world's images are blank, so its policy goes by the margin alone."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(policy_as_yaml(Policy("by margin", bias=-6.0, weights={"margin": 120.0}), {}))

    def make(alike, spots):
        world = World(alike, noise=0.0)
        place_map = PlaceMap.in_memory(world.recipe)
        run(detector_for(world, place_map), drive(spots))
        return Relocalizer(world, place_map, Settings.from_values({"policy": str(policy)}))

    return make


def frame_of(spot):
    return Frame(0, 0, np.full((8, 8, 3), (spot, 9, 9), np.uint8))


def test_a_known_place_is_named_the_most_probable_first(relocalizer_on):
    answer = relocalizer_on(street(30, reach=4.0), range(30)).locate(frame_of(12), max_hypotheses=3)

    assert answer.known
    assert answer.hypotheses[0].match_id == 12
    probabilities = [h.probability for h in answer.hypotheses]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {h.match_id for h in answer.hypotheses} <= set(range(10, 15))


def test_a_place_never_seen_is_unknown_and_has_no_hypotheses(relocalizer_on):
    answer = relocalizer_on(street(60), range(30)).locate(frame_of(50))

    assert not answer.known
    assert not answer.hypotheses
    assert answer.reason.startswith("unknown place")


def test_twins_are_unknown(relocalizer_on):
    assert not relocalizer_on(twin_corridors(), range(30)).locate(frame_of(7)).known


def test_an_empty_map_knows_no_place(relocalizer_on):
    assert "empty" in relocalizer_on(street(3), []).locate(frame_of(0)).reason
