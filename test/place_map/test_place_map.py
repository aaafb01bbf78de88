"""What the map promises to the detector."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up import CAMERA, DIM, RECIPE, assert_same, descriptor, fill, keyframe, unit

from vpr_ros.core import Pose
from vpr_ros.place_map import MapError, PlaceMap

numbers = st.floats(-100, 100, width=32)
descriptors = arrays(np.float32, DIM, elements=st.floats(-1, 1, width=32)).filter(lambda v: np.linalg.norm(v) > 0.1)
poses = st.none() | st.builds(
    lambda position, turn: Pose.from_xyz_quaternion([*position, *(turn / np.linalg.norm(turn))]),
    st.tuples(numbers, numbers, numbers),
    arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1),
)
sightings = st.fixed_dictionaries(
    {
        "stamp_ns": st.integers(-(2**63), 2**63 - 1),
        "descriptor": descriptors.map(unit),
        "thumbnail": st.none() | st.binary(),
        "patches": st.none() | st.binary(),
        "features": st.none() | st.binary(),
        "frame_id": st.text(st.characters(exclude_categories=["Cs"])),
        "camera": st.sampled_from([None, CAMERA]),
        "t_odom_camera": poses,
        "timed": st.booleans(),
    }
)


@settings(max_examples=40, deadline=None)
@given(runs=st.lists(st.lists(sightings, max_size=5), max_size=4))
def test_what_was_added_is_there_when_the_map_is_opened_again(tmp_path_factory, runs):
    directory = tmp_path_factory.mktemp("maps") / "town.vprmap"
    added = []
    for session, run in enumerate(runs):
        with PlaceMap.open_or_create(directory, RECIPE) as place_map:
            assert place_map.start_session() == session
            for sighting in run:
                added.append(keyframe(place_map.next_id, session, **sighting))
                place_map.add(added[-1])

    with PlaceMap.open_or_create(directory, RECIPE) as reopened:
        assert [s.id for s in reopened.sessions] == list(range(len(runs)))
        assert reopened.ids.tolist() == [k.id for k in added] == list(range(len(added)))
        for expected in added:
            assert_same(reopened.place(expected.id), expected)
            assert reopened.thumbnail(expected.id) == expected.thumbnail
            assert reopened.patches(expected.id) == expected.patches
            assert reopened.features(expected.id) == expected.features
        assert reopened.sessions_of(reopened.ids).tolist() == [k.session for k in added]
        for position, expected in zip(reopened.positions(reopened.ids), added, strict=True):
            pose = expected.t_odom_camera
            np.testing.assert_array_equal(position, [np.nan] * 3 if pose is None else pose.translation)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(1, 40), k=st.integers(1, 50))
def test_search_finds_what_sorting_all_inner_products_finds(data, count, k):
    place_map = PlaceMap.in_memory(RECIPE)
    fill(place_map, count)
    query = data.draw(descriptors.map(unit))
    exclude = data.draw(st.lists(st.integers(-3, count + 3), max_size=count))

    matches = place_map.search(query, k, exclude=np.array(exclude, np.int64))

    inner = np.stack([descriptor(number) for number in range(count)]).astype(np.float64) @ query
    allowed = np.setdiff1d(np.arange(count), exclude)
    expected = np.sort(inner[allowed])[::-1][:k]
    assert [m.similarity for m in matches] == pytest.approx(expected, abs=1e-5)
    assert {m.id for m in matches} <= set(allowed.tolist())
    assert len({m.id for m in matches}) == len(matches)
    assert [inner[m.id] for m in matches] == pytest.approx(expected, abs=1e-5)


def test_search_in_an_empty_map_finds_nothing():
    assert PlaceMap.in_memory(RECIPE).search(descriptor(0), 5) == []


def test_a_place_is_found_as_soon_as_it_was_added():
    place_map = PlaceMap.in_memory(RECIPE)
    fill(place_map, 3)

    best = place_map.search(descriptor(2), 1)[0]

    assert best.id == 2
    assert best.similarity == pytest.approx(1.0)


def test_descriptors_come_in_the_order_asked_for_and_stay_when_the_map_grows():
    place_map = PlaceMap.in_memory(RECIPE)
    fill(place_map, 5)
    taken = place_map.descriptors(np.array([4, 0]))

    fill(place_map, 500)

    np.testing.assert_array_equal(taken, [descriptor(4), descriptor(0)])


def test_each_later_session_has_a_map_frame_of_its_own():
    place_map = PlaceMap.in_memory(RECIPE)
    assert place_map.session == -1
    place_map.start_session("world")
    place_map.start_session("world")

    assert [s.map_frame for s in place_map.sessions] == ["world", "world/session_1"]
    assert place_map.session == 1


def test_an_empty_map_is_not_a_missing_one():
    place_map = PlaceMap.in_memory(RECIPE)
    assert len(place_map) == 0
    assert (place_map or None) is place_map


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": 7}, "id 7, expected 2"),
        ({"id": 1}, "id 1, expected 2"),
        ({"session": 4}, "session 4, but the running one is 0"),
        ({"descriptor": descriptor(2).astype(np.float64)}, "float64, expected .8,. float32"),
        ({"descriptor": np.ones(3, np.float32)}, r"shape .3,"),
        ({"descriptor": 2 * descriptor(2)}, "length 2, expected 1"),
        ({"descriptor": np.full(DIM, np.nan, np.float32)}, "length nan, expected 1"),
    ],
)
def test_a_keyframe_that_does_not_fit_is_refused_and_leaves_no_trace(changed, said):
    place_map = PlaceMap.in_memory(RECIPE)
    fill(place_map, 2)

    with pytest.raises(MapError, match=said):
        place_map.add(keyframe(2, **changed))

    assert len(place_map) == 2
    place_map.add(keyframe(2))
    assert place_map.search(descriptor(2), 1)[0].id == 2


def test_nothing_is_added_before_a_session_begins():
    with pytest.raises(MapError, match="start_session"):
        PlaceMap.in_memory(RECIPE).add(keyframe(0, session=-1))


@pytest.mark.parametrize("query", [np.ones(DIM + 1, np.float32), np.full(DIM, np.nan, np.float32)])
def test_a_query_of_another_length_or_with_nan_is_told_in_words(query):
    place_map = PlaceMap.in_memory(RECIPE)
    fill(place_map, 2)
    with pytest.raises(MapError, match="expected"):
        place_map.search(query, 1)


def test_places_that_are_not_there_are_refused_and_never_taken_from_the_end():
    place_map = PlaceMap.in_memory(RECIPE)
    fill(place_map, 3)
    for ask in (place_map.place, place_map.thumbnail):
        for place_id in (-1, 3):
            with pytest.raises(MapError, match="holds 0 to 2"):
                ask(place_id)
    with pytest.raises(MapError, match="holds 0 to 2"):
        place_map.descriptors(np.array([0, -1]))
