"""What the detector says of whole drives."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BLANK, World, along_x, detector_for, drive, run, street

from vpr_ros.core import FrameError
from vpr_ros.core.settings import SettingsError
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.place_map import PlaceMap

LAP = list(range(30))


def test_a_street_driven_once_closes_no_loop():
    assert not run(detector_for(World(street(30))), drive(LAP))[1]


def test_a_second_lap_closes_a_loop_at_every_keyframe_with_its_own_place():
    _, closures = run(detector_for(World(street(30))), drive(LAP + LAP))

    assert [c.query_id for c in sorted(closures, key=lambda c: c.query_id)] == list(range(30, 60))
    assert all(abs(c.match_id - (c.query_id - 30)) <= 1 for c in closures)


def test_a_closure_that_waited_for_the_next_keyframes_keeps_its_own_stamp():
    frames = list(drive(LAP + LAP[:10]))
    detector = detector_for(World(street(30)), sequence_length=5)
    announced = {c.query_id: (frame.index, c) for frame in frames for c in detector.observe(frame).closures}

    at_frame, first = announced[30]

    assert at_frame == 34, "the first keyframe of the lap is sure when four more agree"
    assert first.query_stamp_ns == frames[30].stamp_ns
    assert announced[35][0] == 35, "once under way there is nothing to wait for"


def test_the_same_street_driven_backwards_in_reverse_order_closes_loops():
    _, closures = run(detector_for(World(street(30)), min_similarity=0.8), drive(LAP + LAP[::-1]))

    assert len(closures) >= 20
    assert all(abs(c.match_id - (59 - c.query_id)) <= 1 for c in closures)


def test_one_image_that_happens_to_look_like_an_old_one_closes_no_loop():
    alike = street(60)
    alike[50, :], alike[:, 50] = alike[10, :], alike[:, 10]
    alike[50, 50] = 1.0
    decisions, closures = run(detector_for(World(alike)), drive(range(60)))

    assert not closures
    refused = next(d for d in decisions if (d.query_id, d.match_id) == (50, 10))
    assert refused.stage == "sequence"
    assert refused.value < refused.threshold
    assert "in a row" in refused.reason


def twin_corridors():
    """Spots 0-14 and 15-29 are two corridors built alike: twins have cosine 0.97."""
    one = street(15, background=0.6)
    return np.block([[one, one - 0.03], [one - 0.03, one]])


def test_a_place_that_looks_like_two_distant_places_closes_no_loop():
    detector = detector_for(
        World(twin_corridors(), noise=0.0),
        min_similarity=0.98,
        min_margin=0.04,
        stay_similarity=0.95,
        return_contrast=0.02,
    )
    decisions, closures = run(detector, drive([*range(30), *range(15)]))

    assert not closures
    best = [d for d in decisions if d.query_id == 37 and d.match_id == 7]
    assert [d.stage for d in best] == ["margin"]
    assert best[0].value == pytest.approx(0.03, abs=0.005)
    assert "keyframe 22" in best[0].reason, "the rival is named"


def test_a_robot_at_a_red_light_closes_no_loop_with_itself():
    _, closures = run(detector_for(World(street(30))), drive([*range(15), *[15] * 60, *range(16, 30)]))
    assert not closures


def test_a_slow_drive_closes_no_loop_with_what_is_just_behind_it():
    """Each view looks like all of the last 30, the nearer the more: the best old match trails behind the robot."""
    _, closures = run(detector_for(World(street(120, reach=15.0, background=0.5))), drive(range(120)))
    assert not closures


def test_a_third_lap_matches_although_two_laps_look_alike():
    _, closures = run(detector_for(World(street(30))), drive(LAP * 3))

    third = [c for c in closures if c.query_id >= 60]
    assert len(third) == 30
    assert all((c.query_id - c.match_id) % 30 in (0, 1, 29) for c in third)


def test_with_odometry_a_place_must_be_travelled_away_from():
    """The robot turns on the spot, so views change and come back, but it has not gone anywhere."""
    spots = [*range(12), *range(12)]
    there = along_x([0.0] * 24)
    away = along_x([float(x) for x in range(12)] * 2)
    rules = {"keyframe_travel_m": 0.0, "exclude_recent_s": 0.0, "exclude_recent_keyframes": 2}

    assert not run(detector_for(World(street(12)), **rules), drive(spots, t_odom_cameras=there))[1]
    assert run(detector_for(World(street(12)), **rules), drive(spots, t_odom_cameras=away))[1]


def test_stamps_that_only_number_frames_say_nothing_about_age():
    """At 0.1 s a frame all 20 places are younger than 5 s, unless the stamps are no times."""
    spots = [*range(10), *range(10)]
    rules = {"keyframe_interval_s": 0.0}

    assert not run(detector_for(World(street(10)), **rules), drive(spots, interval_s=0.1))[1]
    assert run(detector_for(World(street(10)), **rules), drive(spots, interval_s=0.1, timed=False))[1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 19), min_size=1, max_size=60), st.integers(0, 99))
def test_every_candidate_ends_as_one_decision_and_a_query_closes_one_loop_at_most(spots, seed):
    detector = detector_for(World(street(20), noise=0.2, seed=seed), min_similarity=0.6)

    decisions, closures = run(detector, drive(spots))

    assert max(Counter((d.query_id, d.match_id) for d in decisions).values(), default=1) == 1
    assert max(Counter(c.query_id for c in closures).values(), default=1) == 1
    assert sorted((c.query_id, c.match_id) for c in closures) == sorted(
        (d.query_id, d.match_id) for d in decisions if d.accepted
    )
    for d in decisions:
        assert d.match_id < d.query_id
        assert d.reason
        assert 0 <= d.probability <= 1
        assert d.accepted or d.value < d.threshold or d.stage in ("sequence", "probability", "best")


def test_what_waits_when_the_session_ends_is_refused_and_says_why():
    detector = detector_for(World(street(30)))
    for frame in drive([*LAP, *LAP[:3]]):
        assert not detector.observe(frame).closures

    ended = detector.finish()

    assert not ended.closures
    assert {d.query_id for d in ended.decisions} >= {30, 31, 32}
    assert all("session ended" in d.reason for d in ended.decisions)
    assert not detector.finish().decisions


def test_the_next_session_finds_the_places_of_the_first(tmp_path):
    world = World(street(30))
    with PlaceMap.open_or_create(tmp_path / "street.vprmap", world.recipe) as place_map:
        run(detector_for(world, place_map), drive(LAP))
    with PlaceMap.open_or_create(tmp_path / "street.vprmap", world.recipe) as place_map:
        _, closures = run(detector_for(world, place_map), drive(LAP, start_s=9000.0))

    assert len(closures) == 30
    assert {c.match_session for c in closures} == {0}


def test_localization_finds_places_and_writes_nothing(tmp_path):
    world = World(street(30))
    with PlaceMap.open_or_create(tmp_path / "street.vprmap", world.recipe) as place_map:
        run(detector_for(world, place_map), drive(LAP))
    with PlaceMap.open(tmp_path / "street.vprmap", world.recipe, read_only=True) as place_map:
        _, closures = run(detector_for(world, place_map, mode="localization"), drive(LAP, start_s=9000.0))
        assert len(place_map) == 30

    assert len(closures) == 30


def test_a_stage_that_is_switched_off_says_so_in_the_decision():
    decisions, closures = run(detector_for(World(street(30)), without=("margin", *BLANK)), drive(LAP + LAP))

    assert closures
    accepted = next(d for d in decisions if d.accepted)
    assert accepted.stage == "probability"
    assert "margin (switched off)" in accepted.reason


def test_switching_off_a_stage_that_is_none_is_refused():
    with pytest.raises(SettingsError, match="no stage 'magic'"):
        detector_for(World(street(3)), without=("magic",))


def test_a_frame_from_the_past_is_refused_and_the_drive_goes_on():
    detector = detector_for(World(street(30)))
    frames = list(drive(LAP + LAP))
    for frame in frames[:20]:
        detector.observe(frame)

    with pytest.raises(FrameError, match="before the last keyframe"):
        detector.observe(replace(frames[20], stamp_ns=frames[5].stamp_ns))

    assert detector.observe(frames[20]).keyframe.id == 20


class Breaking(World):
    """A world whose encoder fails at one view."""

    def encode(self, image):
        """Fail at view 20."""
        if tuple(image[0, 0, 1:]) == (0, 20):
            raise FrameError("broken on purpose")
        return super().encode(image)


def test_a_frame_that_can_not_be_encoded_leaves_no_trace():
    world = Breaking(street(30))
    detector = LoopDetector(world, PlaceMap.in_memory(world.recipe), Settings())
    frames = list(drive(LAP + LAP))
    broken = frames.pop(20)
    before = [detector.observe(frame).keyframe.id for frame in frames[:20]]

    with pytest.raises(FrameError, match="broken on purpose"):
        detector.observe(broken)

    assert [*before, *(detector.observe(frame).keyframe.id for frame in frames[20:])] == list(range(59))
    assert len(detector.place_map) == 59


def test_timings_name_each_step():
    observation = detector_for(World(street(3))).observe(next(drive([0])))
    assert list(observation.timing_ms) == ["encode", "describe", "features", "search", "store", "judge"]
    assert observation.keyframe.thumbnail.startswith(b"\xff\xd8")


def test_neighbours_share_their_margin_over_another_place():
    """Which neighbour is the spot is for patches and geometry to tell, and no reason to refuse the others."""
    decisions, _ = run(detector_for(World(street(30), noise=0.0)), drive(LAP + LAP))
    by_query = {}
    for decision in decisions:
        by_query.setdefault(decision.query_id, []).append(decision)
    second_lap = next(found for query_id, found in sorted(by_query.items()) if query_id > len(LAP) + 8)
    own = second_lap[0].query_id - len(LAP)
    margins = {d.match_id - own: d.figures["margin"] for d in second_lap if "margin" in d.figures}

    assert margins[0] == pytest.approx(margins[1]) == pytest.approx(margins[-2])
    assert margins[0] > 0.5
    assert all(margin < margins[0] for offset, margin in margins.items() if abs(offset) > 2)
