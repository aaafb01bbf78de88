"""What two real images say about each other, fresh and from the map, whole and damaged."""

import sqlite3
from dataclasses import replace

import cv2
import numpy as np
import pytest
import scenes
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, run, street

from vpr_ros.core import Frame, Keyframe
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.detection.evidence import Evidence
from vpr_ros.encoders import open_encoder
from vpr_ros.geometry import Degeneracy, GeometryRules
from vpr_ros.place_map import PlaceMap

BEFORE, AGAIN, ELSEWHERE = "005.jpg", "045.jpg", "012.jpg"


@pytest.fixture(scope="module")
def encoder():
    return open_encoder("gem-lite", "onnxruntime")


@pytest.fixture(scope="module")
def office(images):
    """Read a photograph of the office as a frame."""

    def frame_of(name, index=0):
        image = cv2.imread(str(images / "office" / name))[..., ::-1]
        return Frame(index, index * 10**9, np.ascontiguousarray(image), timed=False)

    return frame_of


def evidence_on(place_map, **kinds):
    return Evidence(place_map.recipe, place_map, GeometryRules(), **{"patches": True, "features": True} | kinds)


@pytest.fixture(scope="module")
def seen(encoder, office):
    """Three photographs as keyframes that carry their own patches and features, by name."""
    evidence = evidence_on(PlaceMap.in_memory(encoder.recipe))

    def keyframe(number, name):
        frame = office(name)
        encoding = encoder.encode(frame.image)
        patches, features = evidence.patches_of(encoding), evidence.features_of(frame)
        return Keyframe(
            number, 0, number, encoding.descriptor, patches=patches.to_bytes(), features=features.to_bytes()
        )

    return {name: keyframe(number, name) for number, name in enumerate((BEFORE, ELSEWHERE, AGAIN))}


@pytest.fixture
def a_map(encoder, seen):
    """Make a map of the first two, changed as asked."""

    def make(**changed):
        place_map = PlaceMap.in_memory(encoder.recipe)
        place_map.start_session()
        for name in (BEFORE, ELSEWHERE):
            place_map.add(replace(seen[name], **changed) if name == BEFORE else seen[name])
        return place_map

    return make


def test_the_same_place_scores_higher_than_another_one(seen, a_map):
    evidence = evidence_on(a_map())

    assert evidence.rerank_score(seen[AGAIN], seen[BEFORE]) > 2 * evidence.rerank_score(seen[AGAIN], seen[ELSEWHERE])


def test_the_same_place_has_more_and_wider_spread_inliers_than_another_one(seen, a_map):
    evidence = evidence_on(a_map())

    same = evidence.verification(seen[AGAIN], seen[BEFORE])
    other = evidence.verification(seen[AGAIN], seen[ELSEWHERE])

    assert same.inliers > 3 * other.inliers
    assert same.coverage > 2 * other.coverage


def test_what_the_map_stored_says_the_same_as_what_was_just_taken(seen, a_map):
    """A place of the map comes without its patches and features; they are read from the disk."""
    place_map = a_map()
    stored, fresh = place_map.place(0), seen[BEFORE]
    assert (stored.patches, stored.features) == (None, None)

    from_map, at_hand = evidence_on(place_map), evidence_on(place_map)

    assert from_map.rerank_score(seen[AGAIN], stored) == at_hand.rerank_score(seen[AGAIN], fresh)
    one, other = from_map.verification(seen[AGAIN], stored), at_hand.verification(seen[AGAIN], fresh)
    np.testing.assert_array_equal(one.matches, other.matches)
    np.testing.assert_array_equal(one.agrees, other.agrees)


def test_strength_is_known_only_of_pairs_that_were_verified(seen, a_map):
    evidence = evidence_on(a_map())
    assert evidence.strength(2, 0) == 0

    verified = evidence.verification(seen[AGAIN], seen[BEFORE])

    assert evidence.strength(2, 0) == pytest.approx(verified.inlier_ratio * verified.coverage)
    assert evidence.strength(2, 1) == 0


def test_a_place_without_patches_and_features_is_absent_and_says_so(seen, a_map):
    place_map = a_map(patches=None, features=None)
    evidence = evidence_on(place_map)
    pair = seen[AGAIN], place_map.place(0)

    assert evidence.rerank_score(*pair) is None
    assert evidence.why_no_score(*pair) == "one of the two was stored without patches"
    assert evidence.verification(*pair) is None
    assert evidence.why_no_verification(*pair) == "one of the two was stored without features"


def test_what_is_switched_off_takes_nothing_and_says_so(encoder, office, seen, a_map):
    evidence = evidence_on(a_map(), patches=False, features=False)
    pair = seen[AGAIN], seen[BEFORE]

    assert evidence.patches_of(encoder.encode(office(BEFORE).image)) is None
    assert evidence.features_of(office(BEFORE)) is None
    assert evidence.rerank_score(*pair) is None
    assert evidence.verification(*pair) is None
    assert evidence.why_no_score(*pair) == evidence.why_no_verification(*pair) == "switched off"


def test_an_encoder_without_a_vocabulary_says_how_to_get_one():
    evidence = evidence_on(PlaceMap.in_memory(World(street(3)).recipe))

    assert "table-rerank.npz" in evidence.no_patches
    assert "--without rerank" in evidence.no_patches


def test_patches_of_another_vocabulary_are_told_and_not_compared(seen, a_map):
    other = bytearray(seen[BEFORE].patches)
    other[5:21] = bytes(16)  # the vocabulary's sha256
    place_map = a_map(patches=bytes(other))
    evidence = evidence_on(place_map)

    assert evidence.rerank_score(seen[AGAIN], place_map.place(0)) is None
    assert "vocabulary 000000000000" in evidence.why_no_score(seen[AGAIN], place_map.place(0))


def test_a_damaged_place_is_absent_names_itself_and_is_warned_of_once(seen, a_map, caplog):
    place_map = a_map(patches=b"VPRP", features=seen[BEFORE].features[:-3])
    evidence = evidence_on(place_map)

    for query in (seen[AGAIN], replace(seen[AGAIN], id=3)):
        assert evidence.rerank_score(query, place_map.place(0)) is None
        assert evidence.verification(query, place_map.place(0)) is None

    assert "keyframe 0: 4 bytes are too few" in evidence.why_no_score(seen[AGAIN], place_map.place(0))
    assert "keyframe 0:" in evidence.why_no_verification(seen[AGAIN], place_map.place(0))
    assert len(caplog.records) == len(told := evidence.new_damage()) == 2
    assert all("keyframe 0:" in sentence for sentence in told)
    assert evidence.new_damage() == (), "each is told once"
    assert evidence.rerank_score(seen[AGAIN], place_map.place(1)) is not None, "others are none the worse"


def test_damage_in_the_map_file_costs_no_frame(tmp_path, encoder, office):
    """The first lap's patches and features are overwritten on disk; the second lap is still judged, by what is left."""
    path = tmp_path / "office.vprmap"
    with PlaceMap.open_or_create(path, encoder.recipe) as place_map:
        run(LoopDetector(encoder, place_map, Settings()), [office(f"00{i}.jpg", i) for i in (4, 5, 6)])
    with sqlite3.connect(path / "map.sqlite3") as disk:
        disk.execute("UPDATE places SET patches = x'00', features = x'00'")
    with PlaceMap.open_or_create(path, encoder.recipe) as place_map:
        detector = LoopDetector(encoder, place_map, Settings(), without=("sequence",))
        observations = [detector.observe(office(f"04{i}.jpg", i)) for i in (4, 5, 6)] + [detector.finish()]
        decisions = [decision for observation in observations for decision in observation.decisions]
        assert len(place_map) == 6
    assert any("can't be used" in sentence for observation in observations for sentence in observation.damage)

    assert {d.query_id for d in decisions} == {3, 4, 5}
    judged = [d for d in decisions if d.stage == "probability"]
    assert judged
    assert all("rerank" not in d.figures and "inliers" not in d.figures for d in judged)


WORLD = World(street(3), noise=0.0)
WHOLE = tuple(view.features.to_bytes() for view in scenes.room(count=60).views())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE[0]) - 1), st.integers(0, 255), st.integers(0, len(WHOLE[0])))
def test_no_byte_that_is_wrong_or_missing_in_features_ends_in_a_crash(at, value, length):
    content = bytearray(WHOLE[0])
    content[at] = value
    evidence = evidence_on(PlaceMap.in_memory(WORLD.recipe), patches=False)
    look = np.eye(1, 256, dtype=np.float32)[0]
    query = Keyframe(1, 0, 0, look, features=WHOLE[1], camera=scenes.CAMERA)

    for number, features in ((0, bytes(content)), (2, WHOLE[0][:length])):
        match = Keyframe(number, 0, 0, look, features=features, camera=scenes.CAMERA)
        verified = evidence.verification(query, match)
        assert verified is not None or evidence.why_no_verification(query, match)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 255), st.integers(0, 60))
def test_no_byte_that_is_wrong_or_missing_in_patches_ends_in_a_crash(encoder, seen, at, value, length):
    content = bytearray(seen[BEFORE].patches)
    content[at] = value  # the header and the first rows; a wrong byte further on is another direction
    evidence = evidence_on(PlaceMap.in_memory(encoder.recipe), features=False)

    for number, patches in ((7, bytes(content)), (8, seen[BEFORE].patches[:length])):
        match = replace(seen[BEFORE], id=number, patches=patches)
        score = evidence.rerank_score(seen[AGAIN], match)
        assert evidence.why_no_score(seen[AGAIN], match) if score is None else 0 <= score <= 1


def test_memory_stays_bounded_on_a_long_drive():
    """A pair is computed once while it is kept; after very many others it is computed anew, so it was let go."""
    read = []

    class CountingMap(PlaceMap):
        def features(self, place_id):
            read.append(place_id)
            return WHOLE[0]

    place_map = CountingMap.in_memory(WORLD.recipe)
    place_map.start_session()
    look = np.eye(1, 256, dtype=np.float32)[0]
    for number in range(300):
        place_map.add(Keyframe(number, 0, number, look))
    evidence = evidence_on(place_map, patches=False)
    query = Keyframe(300, 0, 300, look, features=WHOLE[1])

    evidence.verification(query, place_map.place(0))
    evidence.verification(query, place_map.place(0))
    assert read == [0]
    for number in range(1, 300):
        evidence.verification(query, place_map.place(number))
    evidence.verification(replace(query, id=301), place_map.place(0))

    assert read.count(0) == 2
    assert len(read) == 301


def test_an_image_without_features_is_near_blank_and_no_error(seen, a_map, office):
    evidence = evidence_on(a_map())
    frame = replace(office(BEFORE), image=np.full((384, 512, 3), 128, np.uint8))
    blank = replace(seen[AGAIN], id=9, features=evidence.features_of(frame).to_bytes())

    assert evidence.verification(blank, seen[BEFORE]).degeneracy is Degeneracy.NEAR_BLANK
