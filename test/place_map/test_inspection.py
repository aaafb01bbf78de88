"""``vpr_ros map info`` and ``vpr_ros map check``."""

import re
import sqlite3

import pytest
from made_up import RECIPE, fill, keyframe

from vpr_ros.place_map import MapError, PlaceMap, check_map, map_facts
from vpr_ros.place_map.rows import SCHEMA_VERSION


@pytest.fixture
def directory(tmp_path, images):
    """Folder of a sound map: two sessions, real thumbnails."""
    jpeg = (images / "office/001.jpg").read_bytes()
    with PlaceMap.open_or_create(tmp_path / "office.vprmap", RECIPE) as place_map:
        for session in range(2):
            place_map.start_session()
            for _ in range(5):
                place_map.add(keyframe(place_map.next_id, session, thumbnail=jpeg))
        place_map.add(keyframe(10, 1, stamp_ns=0, timed=False, thumbnail=None))
    return tmp_path / "office.vprmap"


def test_facts_tell_what_a_map_holds(directory):
    facts = map_facts(directory)

    assert facts.recipe == RECIPE
    assert (facts.schema, facts.places, len(facts.sessions)) == (SCHEMA_VERSION, 11, 2)
    assert (facts.first_stamp_ns, facts.last_stamp_ns) == (keyframe(0).stamp_ns, keyframe(9).stamp_ns)
    assert facts.size_bytes >= (directory / "map.sqlite3").stat().st_size


def test_facts_of_an_empty_map_span_no_time(tmp_path):
    PlaceMap.open_or_create(tmp_path / "new.vprmap", RECIPE).close()
    facts = map_facts(tmp_path / "new.vprmap")
    assert (facts.places, facts.sessions, facts.first_stamp_ns, facts.last_stamp_ns) == (0, (), None, None)


def test_facts_of_a_map_that_is_none_are_refused(tmp_path):
    with pytest.raises(MapError, match="there is no map"):
        map_facts(tmp_path)


def test_a_sound_map_has_no_problems_also_while_it_is_open(directory):
    assert check_map(directory) == []
    with PlaceMap.open(directory, RECIPE) as place_map:
        fill(place_map, 1)
        assert check_map(directory) == ["the thumbnail of place 11 is no image"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM sessions WHERE id = 0", "places 0, 1, 2, 3, 4 belong to a session that is not there"),
        ("DELETE FROM sessions WHERE id = 1", "places 5, 6, 7, 8, 9 and 1 more belong to a session that is not there"),
        ("UPDATE sessions SET id = 7 WHERE id = 1", r"sessions are numbered \[0, 7\]"),
        ("UPDATE places SET session = 1 WHERE id = 2", "places 3 go back to an earlier session"),
        ("DELETE FROM places WHERE id = 4", "ids of places"),
        ("UPDATE places SET descriptor = zeroblob(32) WHERE id = 6", "places 6 are not of unit length"),
        ("UPDATE places SET descriptor = zeroblob(31) WHERE id = 6", "31.* bytes, expected 32"),
        ("UPDATE places SET thumbnail = x'FFD8' WHERE id = 3", "thumbnail of place 3 is no image"),
        ("UPDATE places SET thumbnail = x'' WHERE id = 3", "thumbnail of place 3 is no image"),
    ],
)
def test_each_kind_of_damage_is_named(directory, damage, said):
    connection = sqlite3.connect(directory / "map.sqlite3")
    with connection:
        connection.execute(damage)
    connection.close()

    problems = check_map(directory)

    assert any(re.search(said, problem) for problem in problems), problems


def test_flipped_bytes_are_found(directory):
    """A byte inside the tree's own structure, as a failing card leaves it."""
    path = directory / "map.sqlite3"
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(content)

    assert check_map(directory)
