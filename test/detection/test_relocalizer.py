"""One image against the map: a place, or an honest "unknown"."""

import numpy as np
from test_loop_detector import twin_corridors
from worlds import World, detector_for, drive, run, street

from vpr_ros.detection import Relocalizer, Settings
from vpr_ros.place_map import PlaceMap


def relocalizer_on(alike, spots):
    world = World(alike, noise=0.0)
    place_map = PlaceMap.in_memory(world.recipe)
    run(detector_for(world, place_map), drive(spots))
    return Relocalizer(world, place_map, Settings())


def image_of(spot):
    return np.full((8, 8, 3), (spot, 9, 9), np.uint8)


def test_a_known_place_is_named_with_its_neighbours_behind_it():
    answer = relocalizer_on(street(30), range(30)).locate(image_of(12), max_hypotheses=3)

    assert answer.known
    assert answer.hypotheses[0].match_id == 12
    assert {h.match_id for h in answer.hypotheses} == {11, 12, 13}
    assert answer.hypotheses[0].probability > answer.hypotheses[1].probability


def test_a_place_never_seen_is_unknown_and_has_no_hypotheses():
    answer = relocalizer_on(street(60), range(30)).locate(image_of(50))

    assert not answer.known
    assert not answer.hypotheses
    assert answer.reason.startswith("unknown place")


def test_twins_are_unknown():
    assert not relocalizer_on(twin_corridors(), range(30)).locate(image_of(7)).known


def test_an_empty_map_knows_no_place():
    assert "empty" in relocalizer_on(street(3), []).locate(image_of(0)).reason
